//! The messages for refusals of a dry run.

use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::cluster::session::{Identity, Session};
use crate::domain::gate::{Blocker, WakeOn};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::Step;
use crate::domain::preflight::DryRunRefusal;
use crate::domain::stage::Stage;
use crate::reconcile::error::{ReconcileError, chain, masked_in, unreachable};
use crate::reconcile::scope::Scope;

/// The refusal in an answer; `None` if there was no answer.
pub fn refusal_of(error: &ApiError) -> Option<DryRunRefusal> {
    if let ApiError::NoSuchKind { api_version, kind } = error {
        return Some(DryRunRefusal::no_such_kind(api_version, kind));
    }
    let status = error.status().filter(|_| !error.is_transient())?;
    Some(DryRunRefusal {
        code: status.code,
        reason: status.reason.clone(),
        message: status.message.clone(),
        subject: (status.details.kind.clone(), status.details.name.clone()),
    })
}

/// The failure for a refusal.
pub fn failure_of(
    step: &Step,
    refusal: &DryRunRefusal,
    session: &Session,
    scope: &Scope<'_>,
) -> ObjectFailure {
    let words = &scope.policy.words;
    let (reason, message) = match refusal.code {
        _ if refusal.lacks_rights() => (Reason::AccessDenied, denied(session.identity(), &refusal.message)),
        0 => (
            Reason::PreflightFailed,
            format!(
                "{}: install its CustomResourceDefinition first, or add it to the {}",
                refusal.message, words.content
            ),
        ),
        404 if step.stage == Stage::Bindings && !refusal.is_about_a_namespace() => {
            let role = &step.object.value()["roleRef"];
            let text = |field: &str| role[field].as_str().unwrap_or_default().to_owned();
            (
                Reason::PreflightFailed,
                format!("the {} {} of its roleRef does not exist", text("kind"), text("name")),
            )
        }
        404 if refusal.lacks_namespace(&scope.release.id.namespace)
            && let Some(flag) = words.create_namespace =>
        {
            (Reason::PreflightFailed, format!("{} ({flag} creates it)", refusal.message))
        }
        _ => (Reason::PreflightFailed, masked_in(&step.object, &refusal.message)),
    };
    ObjectFailure { id: step.id.clone(), reason, message }
}

fn denied(identity: &Identity, message: &str) -> String {
    let hint = match identity {
        Identity::Controller => ": set spec.serviceAccountName to an account with the rights",
        Identity::ServiceAccount { .. } | Identity::User | Identity::Kubeconfig => "",
    };
    format!("{identity} cannot apply it: {message}{hint}")
}

/// A step that could not be tried.
pub fn failed(step: &Step, error: &ApiError) -> ObjectFailure {
    let message = match error.status() {
        Some(status) => masked_in(&step.object, &status.message),
        None => chain(error),
    };
    ObjectFailure { id: step.id.clone(), reason: error.reason(), message }
}

/// The failures of a dry run: missing rights and an unavailable API server have their own reasons.
pub fn refused(failures: &[ObjectFailure]) -> ReconcileError {
    let all = |reason: Reason| failures.iter().all(|f| f.reason == reason);
    let away = failures.iter().map(|f| f.reason).find(|reason| reason.is_without_answer());
    let reason = match away {
        _ if all(Reason::AccessDenied) => Reason::AccessDenied,
        _ if all(Reason::JobRunning) => Reason::JobRunning,
        Some(away) => away,
        None => Reason::PreflightFailed,
    };
    if let Some(failed) = unreachable(failures) {
        return failed;
    }
    let blocker = Blocker::about(reason, "nothing applied, dry run failed for", failures.to_vec());
    match reason {
        Reason::JobRunning => ReconcileError::Waiting(blocker, WakeOn::Objects),
        _ => ReconcileError::Failed(blocker.into()),
    }
}
