//! The conditions of a release.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::bounds::{bounded, whole_seconds};
use crate::api::reason::{Disposition, Reason};
use crate::api::release::DriftMode;
use crate::api::status::{ReleaseStatus, condition};
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::release::Release;

/// All conditions after a run.
pub fn conditions(
    previous: &ReleaseStatus,
    release: &Release,
    outcome: &Outcome,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = Conditions::new(previous, release.generation, now);
    match &outcome.verdict {
        Verdict::Ready { message } => {
            conditions.set(condition::READY, Some(true), Reason::ReconciliationSucceeded, message);
        }
        Verdict::Failed { reason, message } | Verdict::Waiting { reason, message } => {
            conditions.set(condition::READY, Some(false), *reason, message);
            let extra = match reason.disposition() {
                Disposition::Stalled => condition::STALLED,
                Disposition::Retry | Disposition::Wait => condition::RECONCILING,
            };
            conditions.set(extra, Some(true), *reason, message);
        }
        Verdict::Suspended => {
            // An interrupted rollout is no longer in progress.
            let over = !conditions.is_progressing(condition::READY);
            if !(over && conditions.keep(condition::READY)) {
                let message = match previous.last_applied_revision {
                    None => "Suspended before anything was applied",
                    Some(_) => "Suspended before the revision was rolled out",
                };
                conditions.set(condition::READY, None, Reason::Suspended, message);
            }
        }
        Verdict::AsBefore | Verdict::Superseded => return previous.conditions.clone(),
    }
    let assessments = [
        (condition::VERIFIED, &outcome.verified, true),
        (condition::HEALTHY, &outcome.health, release.awaits_health()),
        (condition::DRIFTED, &outcome.drift, release.drift != DriftMode::Off),
    ];
    // The objects of a suspended release are not checked.
    let asleep = Assessment {
        status: None,
        reason: Reason::Suspended,
        message: "Not checked while spec.suspend is true".to_owned(),
    };
    for (name, assessment, applies) in assessments {
        let assessment = match release.suspend && applies && name != condition::VERIFIED {
            true => Some(&asleep),
            false => assessment.as_ref(),
        };
        match assessment {
            Some(Assessment { status, reason, message }) => {
                conditions.generation = about(release, outcome, name, conditions.before(name));
                conditions.set(name, *status, *reason, message);
                conditions.generation = release.generation;
            }
            // The wait that it describes has ended.
            None if applies && conditions.is_progressing(name) => match &outcome.verdict {
                Verdict::Failed { reason, message } | Verdict::Waiting { reason, message } => {
                    conditions.set(name, None, *reason, message);
                }
                _ => drop(conditions.keep(name)),
            },
            None if applies => {
                conditions.keep(name);
            }
            None => {}
        }
    }
    if let Some(Assessment { status, reason, message }) = &outcome.fetch_failed {
        conditions.set(condition::FETCH_FAILED, *status, *reason, message);
    }
    conditions.done
}

/// The generation that a condition is about. While a spec cannot be applied, the
/// objects are still those of an older one.
fn about(release: &Release, outcome: &Outcome, name: &str, before: Option<&Condition>) -> i64 {
    let of_applied =
        |r: Reason| matches!(r, Reason::Unhealthy | Reason::PruneFailed) || r.is_of_health_wait();
    let failed = outcome.reason().is_some_and(|reason| !of_applied(reason));
    match name {
        condition::HEALTHY | condition::DRIFTED if failed => {
            before.and_then(|c| c.observed_generation).unwrap_or(release.generation)
        }
        _ => release.generation,
    }
}

/// Conditions under construction: the time of the last transition is that of
/// the previous condition as long as the status is the same.
pub struct Conditions<'a> {
    previous: &'a ReleaseStatus,
    /// The generation that the next conditions are about.
    pub generation: i64,
    now: Timestamp,
    /// The conditions so far.
    pub done: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// None yet.
    pub fn new(previous: &'a ReleaseStatus, generation: i64, now: Timestamp) -> Self {
        Self { previous, generation, now: whole_seconds(now), done: Vec::new() }
    }

    /// The condition in the previous status.
    pub fn before(&self, name: &str) -> Option<&'a Condition> {
        self.previous.condition(name)
    }

    /// Whether the previous condition is about a wait.
    pub fn is_progressing(&self, name: &str) -> bool {
        self.before(name).is_some_and(|c| c.reason == Reason::Progressing.as_str())
    }

    /// Adds a condition.
    pub fn set(&mut self, name: &str, status: Option<bool>, reason: Reason, message: &str) {
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let since = self.before(name).filter(|c| c.status == status).map(|c| c.last_transition_time.0);
        self.done.push(Condition {
            type_: name.to_owned(),
            status: status.to_owned(),
            reason: reason.to_string(),
            message: bounded(message),
            observed_generation: Some(self.generation),
            last_transition_time: Time(since.unwrap_or(self.now)),
        });
    }

    /// Keeps a condition unchanged, including its generation; returns whether there was one.
    pub fn keep(&mut self, name: &str) -> bool {
        let before = self.before(name).cloned();
        let found = before.is_some();
        self.done.extend(before);
        found
    }
}
