//! The steps of a revision in its plan.

use crate::api::reason::Reason;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Once, Plan, Step, set_apart};
use crate::reconcile::error::{ReconcileError, aggregate};
use crate::reconcile::scope::revision::Revision;
use crate::reconcile::scope::{Scope, Trigger};

/// Sets the steps of a plan apart from what is applied.
///
/// # Errors
/// When the plan is that of a command: there is no status that records steps.
pub fn plan_steps(
    scope: &Scope<'_>,
    revision: &Revision,
    was_complete: bool,
    plan: &mut Plan,
) -> Result<(), ReconcileError> {
    let status = scope.status();
    let once = Once {
        records: &status.steps,
        key: &revision.key,
        is_over: was_complete || scope.trigger == Trigger::Restore,
        prunes_others: scope.trigger == Trigger::Full || !was_complete && scope.trigger == Trigger::Objects,
    };
    set_apart(plan, once);
    let steps: Vec<&Step> = plan.steps.iter().filter(|s| s.once.is_some()).collect();
    if scope.policy.repeats || scope.release.provenance.is_none() || steps.is_empty() {
        return Ok(());
    }
    let failures = steps.iter().map(|step| ObjectFailure {
        id: step.id.clone(),
        reason: Reason::ManifestInvalid,
        message:
            "only a release runs steps, its status records them: create an OCIArtifactRelease, or remove the \
                  annotation supercargo.dev/step"
                .to_owned(),
    });
    Err(aggregate(Reason::ManifestInvalid, "nothing applied, cannot run", failures.collect()))
}

/// Whether a rollout has left steps of another revision, which this one ends and deletes.
pub fn has_strays(scope: &Scope<'_>, revision: &Revision) -> bool {
    scope.trigger == Trigger::Full && scope.status().steps.iter().any(|record| record.key != revision.key)
}
