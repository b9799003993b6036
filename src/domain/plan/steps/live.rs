//! What is known of the object of a step in the cluster.

use jiff::Timestamp;
use serde_json::Value;

use super::hold::is_braked;
use crate::api::keys;
use crate::domain::health::{HealthState, Reports, RuleSet};
use crate::domain::objects::identity::ReleaseId;

/// The object of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveStep {
    /// It does not exist.
    Absent,
    /// An object of that name does not belong to the release.
    Foreign,
    /// An object of the release that was not created for this revision.
    Other {
        /// Its uid.
        uid: String,
        /// Since when it runs, if it does.
        running: Option<Timestamp>,
        /// When its deletion began.
        deleting: Option<Timestamp>,
    },
    /// An object that was created for this revision.
    Current {
        /// Its uid.
        uid: String,
        /// The number of its run.
        attempt: i32,
        /// Whether it has not been released yet.
        held: bool,
        /// How far it is.
        state: LiveState,
        /// When its deletion began.
        deleting: Option<Timestamp>,
    },
}

/// How far an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveState {
    /// It runs or waits; and what it says.
    Running(String),
    /// It has succeeded.
    Succeeded,
    /// It has failed; and why.
    Failed(String),
}

/// The name of a run, on its object.
pub fn run_name(key: &str, attempt: i32) -> String {
    format!("{key}.{attempt}")
}

impl LiveStep {
    /// Whether it was created for this revision, and has not been released yet.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Current { held: true, .. })
    }

    /// The object as it was read, for a revision with that key.
    pub fn of(
        live: &Value,
        (rules, reports): (RuleSet, Reports),
        (release, mark): (&ReleaseId, Option<&str>),
        key: &str,
        now: Timestamp,
    ) -> Self {
        let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
        let label = |key: &str| live["metadata"]["labels"][key].as_str();
        let owner = (label(keys::OWNER_NAMESPACE), label(keys::OWNER_NAME));
        let is_named = owner == (Some(release.namespace.as_str()), Some(release.name.as_str()));
        if !is_named || label(keys::OWNER_CLUSTER) != mark {
            return Self::Foreign;
        }
        let uid = text("/metadata/uid").unwrap_or_default().to_owned();
        // A time that cannot be parsed counts as long ago, so that the wait for it ends.
        let time = |pointer: &str| text(pointer).map(|t| t.parse().unwrap_or(Timestamp::UNIX_EPOCH));
        let deleting = time("/metadata/deletionTimestamp");
        let state = state(live, rules, reports, now);
        let held = is_braked(live);
        let run = live["metadata"]["annotations"][keys::STEP_RUN].as_str();
        let attempt = run.and_then(|run| {
            let (of, attempt) = run.rsplit_once('.')?;
            attempt.parse().ok().filter(|_| of == key)
        });
        match attempt {
            Some(attempt) => Self::Current { uid, attempt, held, state, deleting },
            None => {
                let created = time("/metadata/creationTimestamp").unwrap_or(Timestamp::UNIX_EPOCH);
                let running = (matches!(state, LiveState::Running(_)) && !held).then_some(created);
                Self::Other { uid, running, deleting }
            }
        }
    }
}

fn state(live: &Value, rules: RuleSet, reports: Reports, now: Timestamp) -> LiveState {
    let health = rules.assess_of(reports, live, now);
    // A pod that is ready is healthy, and has not ended.
    if live["kind"] == "Pod" && live["apiVersion"] == "v1" {
        return match live.pointer("/status/phase").and_then(Value::as_str) {
            Some("Succeeded") => LiveState::Succeeded,
            Some("Failed") => LiveState::Failed(health.message),
            _ => LiveState::Running(health.message),
        };
    }
    match health.state {
        HealthState::Current => LiveState::Succeeded,
        HealthState::Failed => LiveState::Failed(health.message),
        HealthState::InProgress | HealthState::Suspended => LiveState::Running(health.message),
        // Its end is in its status all the same.
        HealthState::Terminating => match live.pointer("/metadata/deletionTimestamp") {
            Some(_) => state(&without_deletion(live), rules, reports, now),
            None => LiveState::Running(health.message),
        },
    }
}

fn without_deletion(live: &Value) -> Value {
    let mut live = live.clone();
    if let Some(metadata) = live.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("deletionTimestamp");
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_kind_has_succeeded_before_its_controller_says_so() {
        let me = ReleaseId { namespace: "n".into(), name: "app".into() };
        let check = |group: &str, kind: &str, status: Value| {
            let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
            let live = json!({"apiVersion": version, "kind": kind, "spec": {}, "status": status,
                "metadata": {"name": "a", "uid": "u", "generation": 1, "creationTimestamp": "1970-01-01T00:00:00Z",
                    "annotations": {"supercargo.dev/step-run": "k.1"},
                    "labels": {"supercargo.dev/name": "app", "supercargo.dev/namespace": "n"}}});
            // Long after its creation, and whether or not the kind has a status.
            for reports in [Reports::Unknown, Reports::Yes, Reports::No] {
                let now = Timestamp::from_second(86_400).unwrap();
                let found = LiveStep::of(&live, (RuleSet::default(), reports), (&me, None), "k", now);
                let runs = matches!(found, LiveStep::Current { state: LiveState::Running(_), .. });
                assert!(runs, "{live}: {found:?}");
            }
        };
        for (group, kinds) in super::super::policy::KINDS {
            for kind in *kinds {
                check(group, kind, json!(null));
                check(group, kind, json!({}));
            }
        }
    }

    #[test]
    fn what_an_object_says_of_its_step() {
        let me = ReleaseId { namespace: "n".into(), name: "app".into() };
        let check = |kind: &str, metadata: Value, spec: Value, status: Value, expected: LiveStep| {
            let version = if kind == "Pod" { "v1" } else { "batch/v1" };
            let mut live = json!({"apiVersion": version, "kind": kind, "spec": spec, "status": status,
                "metadata": {"name": "a", "uid": "u", "creationTimestamp": "1970-01-01T00:00:05Z",
                    "labels": {"supercargo.dev/name": "app", "supercargo.dev/namespace": "n"}}});
            for (key, value) in metadata.as_object().unwrap() {
                live["metadata"][key] = value.clone();
            }
            let rules = (RuleSet::default(), Reports::Unknown);
            assert_eq!(
                LiveStep::of(&live, rules, (&me, None), "k", Timestamp::UNIX_EPOCH),
                expected,
                "{live}"
            );
        };
        let run = |name: &str| json!({"annotations": {"supercargo.dev/step-run": name}});
        let current = |attempt, held, state| LiveStep::Current {
            uid: "u".into(),
            attempt,
            held,
            state,
            deleting: None,
        };
        let running = |message: &str| LiveState::Running(message.to_owned());
        let complete = json!({"startTime": "x", "conditions": [{"type": "Complete", "status": "True"}]});
        check("Job", run("k.2"), json!({}), json!({}), current(2, false, running("has not started yet")));
        check(
            "Job",
            run("k.1"),
            json!({"suspend": true}),
            json!({}),
            current(1, true, running("has not started yet")),
        );
        check("Job", run("k.1"), json!({}), complete.clone(), current(1, false, LiveState::Succeeded));
        let failed =
            json!({"conditions": [{"type": "Failed", "status": "True", "reason": "R", "message": "m"}]});
        check(
            "Job",
            run("k.1"),
            json!({}),
            failed,
            current(1, false, LiveState::Failed("has failed, R: m".into())),
        );
        // A pod that is ready runs.
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        check("Pod", run("k.1"), json!({}), ready, current(1, false, running("is ready")));
        check(
            "Pod",
            run("k.1"),
            json!({}),
            json!({"phase": "Succeeded"}),
            current(1, false, LiveState::Succeeded),
        );
        // One of another revision, or of none.
        let created = "1970-01-01T00:00:05Z".parse().unwrap();
        let other = |running| LiveStep::Other { uid: "u".into(), running, deleting: None };
        check("Job", run("j.1"), json!({}), json!({}), other(Some(created)));
        check("Job", json!({}), json!({}), complete.clone(), other(None));
        check("Job", run("j.1"), json!({"suspend": true}), json!({}), other(None));
        let going = json!({"deletionTimestamp": "1970-01-01T00:00:05Z", "annotations": {"supercargo.dev/step-run": "k.1"}});
        check(
            "Job",
            going,
            json!({}),
            complete,
            LiveStep::Current {
                uid: "u".into(),
                attempt: 1,
                held: false,
                state: LiveState::Succeeded,
                deleting: Some(created),
            },
        );
        check("Job", json!({"labels": {}}), json!({}), json!({}), LiveStep::Foreign);
    }
}
