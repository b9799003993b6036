//! Whether a failed run says that its revision is bad, or only that something around it is.

use crate::api::reason::Reason;
use crate::domain::outcome::{ObjectFailure, Outcome, Verdict};

/// What a failure says about the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The run has not failed.
    None,
    /// Something around the revision: the API server, the registry, rights, a quota. It is retried.
    Environment,
    /// The revision was refused before anything of it was written.
    Refusal,
    /// The revision is bad: it was written, or a step of it has run.
    Bad,
}

/// What a reason says about the revision, before the objects are looked at.
pub fn class_of(reason: Reason) -> FailureClass {
    use FailureClass::{Bad, Environment, None, Refusal};
    match reason {
        Reason::ReconciliationSucceeded
        | Reason::Progressing
        | Reason::Suspended
        | Reason::Healthy
        | Reason::InSync
        | Reason::DriftCorrected
        | Reason::Verified
        | Reason::NotVerified
        | Reason::TagMoved
        | Reason::TagMismatch
        | Reason::Downgraded
        | Reason::InventoryAdopted
        | Reason::Deleting
        | Reason::StepStarted
        | Reason::StepSucceeded
        | Reason::Requested
        | Reason::NotificationFailed
        | Reason::RolledBack
        | Reason::Frozen
        | Reason::DowngradeRefused
        | Reason::DependencyNotReady
        | Reason::OutsideWindow
        | Reason::RevisionTooYoung
        | Reason::PruneNotApproved
        | Reason::ApprovalRequired
        | Reason::DeletionNotApproved
        | Reason::PromotionPending
        | Reason::DependentsDeleting
        | Reason::JobRunning
        | Reason::Unhealthy
        | Reason::HealthSuperseded
        | Reason::DriftDetected
        | Reason::Contested => None,
        Reason::SecretNotFound
        | Reason::SecretInvalid
        | Reason::ConfigMapNotFound
        | Reason::QuotaExceeded
        | Reason::ServiceAccountNotFound
        | Reason::AccessDenied
        | Reason::RegistryUnavailable
        | Reason::AuthenticationFailed
        | Reason::ArtifactNotFound
        | Reason::NoMatchingTag
        | Reason::DigestMismatch
        | Reason::BuildNotAllowed
        | Reason::BuildUnavailable
        | Reason::ApiServerUnavailable
        | Reason::ClusterUnreachable
        | Reason::InventoryInvalid
        | Reason::PruneFailed
        | Reason::TerminationPending => Environment,
        Reason::InvalidSpec
        | Reason::InvalidCELExpression
        | Reason::RegistryNotAllowed
        | Reason::ArtifactInvalid
        | Reason::ArtifactTooLarge
        | Reason::ArtifactEmpty
        | Reason::SignatureMissing
        | Reason::SignatureInvalid
        | Reason::SignerUntrusted
        | Reason::VerificationRequired
        | Reason::ImageNotVerified
        | Reason::ManifestInvalid
        | Reason::KustomizationRefused
        | Reason::BuildFailed
        | Reason::PatchFailed
        | Reason::SubstitutionFailed
        | Reason::DependencyNotAllowed
        | Reason::DependencyCycle
        | Reason::PreflightFailed
        | Reason::OwnershipConflict => Refusal,
        Reason::ApplyFailed | Reason::StepFailed | Reason::HealthCheckFailed | Reason::HealthTimeout => Bad,
    }
}

/// What the outcome of a run says about its revision.
pub fn classify(outcome: &Outcome) -> FailureClass {
    let Verdict::Failed { reason, .. } = &outcome.verdict else { return FailureClass::None };
    let objects = &outcome.failures;
    let is_around = !objects.is_empty() && objects.iter().all(|failure| is_environment(*reason, failure));
    match (class_of(*reason), is_around) {
        (FailureClass::Bad | FailureClass::Refusal, true) => FailureClass::Environment,
        // An object whose Namespace or definition is new is tried after these are applied.
        (FailureClass::Refusal, false) if *reason == Reason::PreflightFailed && outcome.changes.is_some() => {
            FailureClass::Bad
        }
        (class, _) => class,
    }
}

/// Whether an object has failed for a reason that another revision would meet, too.
fn is_environment(reason: Reason, failure: &ObjectFailure) -> bool {
    let says = |text: &str| failure.message.contains(text);
    let full = says("is not scheduled: ") && (says("Insufficient ") || says("Too many pods"));
    match reason {
        Reason::HealthCheckFailed | Reason::HealthTimeout => {
            full || says("exceeded quota") || failure.message.starts_with("cannot read its status: ")
        }
        Reason::ApplyFailed | Reason::PreflightFailed => {
            // A webhook that is down, a quota that is not computed in time.
            says("Internal error occurred: ")
                || says("failed calling webhook")
                || class_of(failure.reason) == FailureClass::Environment
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::Changes;
    use crate::domain::identity::ObjectId;

    #[test]
    fn only_what_the_revision_itself_does_is_a_verdict() {
        let check = |reason: Reason, wrote: bool, failures: &[(Reason, &str)], expected: FailureClass| {
            let failures = failures.iter().map(|(reason, message)| ObjectFailure {
                id: ObjectId::from_inventory_id("team_web_apps_Deployment").unwrap(),
                reason: *reason,
                message: (*message).to_owned(),
            });
            let failures: Vec<ObjectFailure> = failures.collect();
            let outcome =
                Outcome { failures, changes: wrote.then(Changes::default), ..Outcome::failed(reason, "m") };
            assert_eq!(classify(&outcome), expected, "{reason} {outcome:?}");
        };
        use FailureClass::{Bad, Environment, Refusal};
        use Reason::{AccessDenied, ApplyFailed, HealthCheckFailed, HealthTimeout, PreflightFailed};
        check(HealthCheckFailed, true, &[(HealthCheckFailed, "0 of 1 replicas ready")], Bad);
        check(HealthTimeout, true, &[], Bad);
        check(Reason::StepFailed, false, &[(Reason::StepFailed, "exit code 1")], Bad);
        check(ApplyFailed, true, &[(ApplyFailed, "spec.replicas: Invalid value")], Bad);
        check(ApplyFailed, true, &[(AccessDenied, "forbidden"), (ApplyFailed, "Invalid value")], Bad);
        // What nobody can place, or may not write, or what no webhook answers for.
        let full = "0 of 1 replicas ready; one of its pods: is not scheduled: Unschedulable: 0/1 nodes are available: \
                    1 Insufficient cpu";
        let nowhere = "one of its pods: is not scheduled: Unschedulable: 0/1 nodes are available: 1 node(s) didn't \
                       match Pod's node affinity/selector";
        check(HealthTimeout, true, &[(HealthTimeout, full)], Environment);
        check(HealthTimeout, true, &[(HealthTimeout, full), (HealthTimeout, "0 of 1 replicas ready")], Bad);
        check(HealthTimeout, true, &[(HealthTimeout, nowhere)], Bad);
        let unread = "cannot read its status: deployments.apps is forbidden";
        check(HealthTimeout, true, &[(HealthTimeout, unread)], Environment);
        check(HealthTimeout, true, &[(HealthTimeout, unread), (HealthTimeout, "0 of 1 replicas ready")], Bad);
        check(
            HealthTimeout,
            true,
            &[(HealthTimeout, "cannot create pods: FailedCreate: pods is forbidden: exceeded quota: q")],
            Environment,
        );
        check(ApplyFailed, true, &[(AccessDenied, "forbidden")], Environment);
        let webhook = "Internal error occurred: failed calling webhook \"x\": connection refused";
        check(ApplyFailed, true, &[(ApplyFailed, webhook)], Environment);
        check(PreflightFailed, false, &[(PreflightFailed, webhook)], Environment);
        let quota = "Internal error occurred: resource quota evaluation timed out";
        check(ApplyFailed, true, &[(ApplyFailed, quota)], Environment);
        check(PreflightFailed, false, &[(PreflightFailed, "Invalid value")], Refusal);
        check(PreflightFailed, true, &[(PreflightFailed, "Invalid value")], Bad);
        check(AccessDenied, true, &[(AccessDenied, "forbidden")], Environment);
        for reason in [Reason::RegistryUnavailable, Reason::ApiServerUnavailable, Reason::PruneFailed] {
            check(reason, true, &[], Environment);
        }
        for reason in [Reason::ManifestInvalid, Reason::SignerUntrusted, Reason::OwnershipConflict] {
            check(reason, false, &[], Refusal);
        }
        check(Reason::RolledBack, true, &[], FailureClass::None);
        assert_eq!(classify(&Outcome::default()), FailureClass::None);
    }
}
