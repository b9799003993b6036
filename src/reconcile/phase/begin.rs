//! The begin of a run: the gates, the ledger of the release, and the next command.

use crate::cluster::session::Session;
use crate::domain::gate::{self, DependencyFacts, Facts};
use crate::domain::ledger::{self, Command, Ledger, next};
use crate::reconcile::cache::Caches;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::phase::inventory;
use crate::reconcile::scope::{Scope, Trigger};
use crate::reconcile::source::allowed::check_registry;

/// A run that passed the gates.
pub struct Begun {
    /// The session with the release's identity.
    pub session: Session,
    /// What is known of the release.
    pub ledger: Ledger,
    /// What to do next.
    pub command: Command,
}

/// Checks the gates, reads the inventory if it is not cached, and decides.
///
/// # Errors
/// The gate that blocks the run, or that the inventory cannot be read.
pub async fn begin(scope: &Scope<'_>, caches: &mut Caches) -> Result<Begun, ReconcileError> {
    if scope.trigger == Trigger::Full {
        caches.rollout.progress.wait_anew();
    }
    let cycle = scope.env.dependencies.cycle_of(&scope.release.id);
    let dependencies = DependencyFacts {
        cycle: cycle.as_deref(),
        across_namespaces: scope.env.dependencies.scope.across_namespaces,
        waited_for: &[],
    };
    let quotas = &scope.env.dependencies.quotas;
    if quotas.is_limited() {
        // Before that, older releases may be missing.
        scope.env.dependencies.listed().await;
    }
    let quota = Some(quotas.of_release(&scope.release.id));
    let facts = Facts { dependencies: Some(dependencies), quota, ..scope.facts() };
    ReconcileError::from_gate(gate::decide(&facts))?;
    // Objects from a registry that is not allowed any more are not changed.
    check_registry(&scope.env.allowed, scope.release)?;
    let session = caches.session(scope)?;
    inventory::load(scope, &mut caches.cluster).await?;
    if let Some(error) = scope.unread {
        return Err(error.clone());
    }
    let ledger = ledger_of(scope, caches);
    let command = next(&ledger, scope.release, &facts_of(scope, caches));
    Ok(Begun { session, ledger, command })
}

/// What is known of the release.
pub fn ledger_of(scope: &Scope<'_>, caches: &Caches) -> Ledger {
    let cluster = &caches.cluster;
    Ledger::of(&scope.status(), &cluster.inventory, cluster.stored.as_ref().map(|s| &s.provenance))
}

/// The facts of the run.
pub fn facts_of<'c>(scope: &Scope<'_>, caches: &'c Caches) -> ledger::LedgerFacts<'c> {
    let resumed = caches.rollout.progress.resumed(scope.release.generation);
    // The rollout continues also without the registry, if the spec still has the same rendering
    // options.
    let interrupted = resumed.filter(|r| scope.release.applied_key(r.digest.as_str()) == r.key);
    ledger::LedgerFacts {
        only_objects: scope.trigger == Trigger::Objects,
        restores: scope.policy.repeats,
        interrupted: interrupted.map(|revision| revision.key.as_str()),
    }
}
