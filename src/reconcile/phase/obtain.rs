//! From an admitted revision to its objects.

pub mod build;
pub mod fetch;
pub mod render;

use std::sync::Arc;

use jiff::Timestamp;

use self::build::{build, recorded};
use self::fetch::fetch;
use self::render::{Rendered, render};
use crate::api::reason::Reason;
use crate::api::status::ArtifactStatus;
use crate::cluster::discovery::ApiDiscovery;
use crate::domain::ledger::LedgerFacts;
use crate::domain::outcome::Outcome;
use crate::oci::Size;
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::phase::begin::facts_of;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::source::access::check_account;
use crate::reconcile::trust::admission::{Admission, Admitted};

/// The objects of a revision.
pub struct Obtained {
    /// The artifact, if there is one.
    pub artifact: Option<ArtifactStatus>,
    /// The admitted content, and its memory reservation.
    pub content: Admitted,
    /// The objects.
    pub rendered: Rendered,
    /// Whether this is a rollout, not only a drift correction.
    pub rollout: bool,
    /// When that began.
    pub began: Option<Timestamp>,
}

impl Obtained {
    /// Manifests from the command line.
    pub fn from_command_line(
        caches: &mut Caches,
        revision: &Revision,
        content: Admitted,
        rendered: Rendered,
    ) -> Self {
        let rollout = begin(caches, revision);
        Self { artifact: None, content, rendered, rollout, began: caches.rollout.progress.began() }
    }

    /// Adds to the outcome what is known so far.
    pub fn report(&self, cluster: &ClusterCache, outcome: &mut Outcome) {
        outcome.artifact.clone_from(&self.artifact);
        outcome.entries = Some(cluster.inventory.entries.len());
        (outcome.rollout, outcome.began) = (self.rollout, self.began);
    }
}

/// Begins or continues the rollout of a revision; returns whether it is still in progress.
fn begin(caches: &mut Caches, revision: &Revision) -> bool {
    let settled = caches.cluster.is_settled(&revision.key);
    caches.rollout.progress.begin(&revision.key, &revision.name, settled)
}

/// Takes a worker, fetches and renders. Large artifacts wait for one of a few slots.
///
/// # Errors
/// Why it fails, or that something is more urgent.
pub async fn obtain(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    admission: &Admission,
) -> Result<Obtained, ReconcileError> {
    check_account(scope, update.session).await?;
    let discovery = update.session.discovery().await?;
    let usual = obtain_within(scope, caches, update, admission, Arc::clone(&discovery), Size::Usual).await;
    match usual {
        Err(error) if error.reason() == Some(Reason::ArtifactTooLarge) => {
            scope.slot.release();
            let large = obtain_within(scope, caches, update, admission, discovery, Size::Large).await;
            large.map_err(|error| bounded(scope, error))
        }
        usual => usual,
    }
}

/// Of an artifact that is too large, whether that is because of a budget of the administrator.
fn bounded(scope: &Scope<'_>, error: ReconcileError) -> ReconcileError {
    match scope.env.registry.bounded_most() {
        Some(most) if error.reason() == Some(Reason::ArtifactTooLarge) => error.with_note(&format!(
            "an artifact gets at most {} MiB of memory, because the operator runs with --max-memory-per-namespace",
            most >> 20
        )),
        _ => error,
    }
}

/// The same, for an artifact of the assumed size.
///
/// # Errors
/// As for [`obtain`].
pub async fn obtain_within(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    admission: &Admission,
    discovery: Arc<ApiDiscovery>,
    size: Size,
) -> Result<Obtained, ReconcileError> {
    let Update { session, ledger, revision } = *update;
    // Drift of the applied revision is corrected meanwhile, if it is another one.
    let other = ledger.whole() != Some(revision.key.as_str());
    let facts: LedgerFacts<'_> = facts_of(scope, caches);
    let can_wait = other && ledger.restorable_first(scope.release, &facts).is_some();
    let (registry, seen) = caches.registry_and_sightings();
    let seen = Some(seen).filter(|_| can_wait);
    let artifact = fetch(scope, session, registry, seen, revision, size).await?;
    let status = revision.fetched(&artifact);
    let content = admission.admit(artifact)?;
    let rollout = begin(caches, revision);
    // A revision is rendered for what the cluster could when it was rendered first.
    let known = caches.cluster.chart_of(&revision.key).cloned();
    let seen = Some(caches.sightings()).filter(|_| can_wait);
    let rendered = async {
        let could = known.as_ref().map(|record| &record.capabilities);
        let content = build(scope, session, seen, content, could).await?;
        let record = recorded(scope, &content, &revision.key, known.as_deref()).await?;
        scope.slot.take().await;
        if scope.signals.is_stopping() {
            return Err(ReconcileError::SUPERSEDED);
        }
        let rendered = render(scope, session, discovery, &content, &revision.key).await?;
        Ok((content, record, rendered))
    };
    // On the heap: the future of a run is deep enough without it.
    match Box::pin(rendered).await {
        Ok((content, record, rendered)) => {
            caches.cluster.built = content.built().map(str::to_owned);
            caches.cluster.chart = record.map(Arc::new);
            let began = caches.rollout.progress.began();
            Ok(Obtained { artifact: Some(status), content, rendered, rollout, began })
        }
        Err(error) => Err(error.about(status, caches.cluster.inventory.entries.len())),
    }
}
