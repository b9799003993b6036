//! From a plan to an accepted plan: a dry run of exactly what will be written, before the first
//! write.

pub mod approval;
pub mod body;
pub mod changes;
pub mod dry_run;
pub mod listed;
pub mod refusal;

use std::collections::BTreeMap;
use std::time::Instant;

use self::dry_run::Preflight;
use self::refusal::refused;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::observe::labels::Phase;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::scope::Scope;

/// A plan after a successful dry run of everything that can be tried.
pub struct Accepted<'a> {
    /// The plan.
    pub planned: Planned<'a>,
    /// The results of the dry run, and what was deferred.
    pub preflight: Preflight<'a>,
    /// The fates of the steps that came before the rest.
    pub steps: BTreeMap<ObjectId, Fate>,
}

/// Dry-runs all that the plan writes, and keeps the answers if they are needed.
///
/// # Errors
/// Every refusal that the plan itself does not resolve.
pub async fn preflight<'a>(
    scope: &Scope<'a>,
    session: &'a Session,
    cache: &mut RolloutCache,
    planned: Planned<'a>,
    keeps_answers: bool,
) -> Result<Accepted<'a>, ReconcileError> {
    let started = Instant::now();
    let mut preflight = Preflight::new(scope, session, &planned.plan);
    preflight.keeps_answers = keeps_answers;
    let passed = preflight.first_pass(&planned.plan, &planned.discovery).await;
    scope.timer.add(Phase::Preflight, started.elapsed());
    cache.awaited = std::mem::take(&mut preflight.running);
    passed.map_err(|failures| refused(&failures))?;
    Ok(Accepted { planned, preflight, steps: BTreeMap::new() })
}
