//! From the objects of a revision to an action for each.

pub mod drift;
pub mod expressions;
pub mod hooks;
pub mod losses;
pub mod once;
pub mod ownership;
pub mod removal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::cluster::discovery::ApiDiscovery;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::object::Object;
use crate::domain::order::ExplicitOrder;
use crate::domain::plan::removal::HeldContent;
use crate::domain::plan::{self, Correction, Plan, Purpose};
use crate::observe::labels::Phase;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::{ReconcileError, aggregate};
use crate::reconcile::live::view::View;
use crate::reconcile::phase::obtain::render::Rendered;
use crate::reconcile::scope::revision::Update;
use crate::reconcile::scope::{Scope, Trigger};

/// A plan, and its inputs.
pub struct Planned<'a> {
    /// The kinds that the cluster serves.
    pub discovery: Arc<ApiDiscovery>,
    /// The plan.
    pub plan: Plan,
    /// The order that the annotations of its objects ask for.
    pub order: ExplicitOrder,
    /// The live objects.
    pub view: View<'a>,
    /// The objects that leave and that another release is to take.
    pub promised: BTreeMap<ObjectId, ReleaseId>,
    /// What would be lost with the objects that leave.
    pub losses: Vec<HeldContent>,
    /// How many objects of the release are in the cluster.
    pub applied: usize,
    /// Whether the inventory was the complete result of the revision before.
    pub was_complete: bool,
}

/// Plans. Reads the objects of the revision and those of the inventory.
///
/// # Errors
/// When an object can neither be watched nor read, or the explicit order is impossible.
pub async fn plan<'a>(
    scope: &Scope<'a>,
    cache: &mut ClusterCache,
    update: &Update<'_>,
    rendered: Rendered,
) -> Result<Planned<'a>, ReconcileError> {
    let started = Instant::now();
    let Rendered { discovery, objects } = rendered;
    let planned = decide(scope, cache, update, &discovery, objects).await;
    scope.timer.add(Phase::Plan, started.elapsed());
    let (plan, view) = planned?;
    let order = explicit_order(scope, &plan)?;
    let applied = cache.inventory.claimed().count();
    let other = |id: &ObjectId| scope.env.target.claims.other_pending_owner(&scope.release.id, id);
    let promised = plan.leaving.iter().filter_map(|l| Some((l.id.clone(), other(&l.id)?))).collect();
    Ok(Planned {
        discovery,
        plan,
        order,
        view,
        promised,
        losses: Vec::new(),
        applied,
        was_complete: cache.is_settled(&update.revision.key),
    })
}

/// The explicit order of the plan. A drift correction has none: it must not wait.
fn explicit_order(scope: &Scope<'_>, plan: &Plan) -> Result<ExplicitOrder, ReconcileError> {
    if scope.trigger == Trigger::Restore {
        return Ok(ExplicitOrder::default());
    }
    ExplicitOrder::of(&plan.steps).map_err(|failures| {
        aggregate(Reason::ManifestInvalid, "nothing applied, impossible order of", failures)
    })
}

async fn decide<'a>(
    scope: &Scope<'a>,
    cache: &mut ClusterCache,
    update: &Update<'_>,
    discovery: &ApiDiscovery,
    objects: Vec<Object>,
) -> Result<(Plan, View<'a>), ReconcileError> {
    let (release, Update { session, revision, .. }) = (scope.release, *update);
    let objects = hooks::that_run(cache, revision, objects);
    let ids: Vec<ObjectId> = objects.iter().map(Object::id).collect();
    let inventory = Arc::clone(&cache.inventory);
    let all = ids.iter().chain(inventory.entries.keys());
    let mut view = View::of(scope.env, session, cache, discovery, all).await?;
    view.load_foreign_inventories(&release.id, &ids).await?;
    let correction = match release.drift {
        DriftMode::Correct => Correction::All,
        DriftMode::Report | DriftMode::Off if cache.is_settled(&revision.key) && !scope.is_asked => {
            Correction::Nothing
        }
        DriftMode::Report | DriftMode::Off => Correction::Missing,
    };
    let purpose = Purpose {
        release: &release.id,
        mark: session.mark(),
        applied_key: &revision.key,
        correction,
        ignore: &release.ignore,
    };
    let mut plan = plan::build(purpose, objects, &inventory, &view);
    once::plan_steps(scope, revision, cache.is_settled(&revision.key), &mut plan)?;
    Ok((plan, view))
}
