//! The rule for custom resources that the catalogue does not name: a ladder of what
//! controllers commonly write. kstatus, and so Flux, knows only the conditions `Ready`,
//! `Reconciling` and `Stalled`, and calls everything else current. Argo CD calls healthy
//! what it has no script for.
//!
//! The rungs, the first that applies decides:
//!
//! 1. suspended by its spec;
//! 2. no status yet;
//! 3. a status of an earlier generation;
//! 4. `Stalled` or `Failed`, or a deadline that has passed: failed; suspended by a condition;
//! 5. a condition that something is wrong, or that work goes on;
//! 6. `Ready` that is not true; without `Ready`, any good condition that is not true;
//! 7. `Ready` is true: current; otherwise words such as `phase: Pending`;
//! 8. signs in the parts of the status: flags, members, counts, errors;
//! 9. otherwise current, unless only first steps are done.
//!
//! `Failed` ends a wait, and may start a rollback. Only what does not recover by itself is
//! failed; `Ready=False` with an error is in progress, since the controller tries again.

mod nested;
mod words;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use self::words::{Polarity, Word, is_bad_reason, polarity, word};
use super::fields::{Condition, Fields, Reports, unobserved};
use super::verdict::Health;

/// How long the controller of a new object may take to write its first status, for a kind
/// that has a status, and for one that is not known to have one. kstatus calls an object
/// without a status current at once, so a wait ends before the controller has started.
/// Some kinds have a status that nobody writes; their first apply delays a release that
/// waits by this time.
const FIRST_STATUS: SignedDuration = SignedDuration::from_secs(30);
const PERHAPS_A_STATUS: SignedDuration = SignedDuration::from_secs(3);
/// The longest word, in bytes.
const MAX_WORD: usize = 64;
/// The most fields of one map that are searched for words.
const FIELDS: usize = 100;

/// Judges an object of a kind about which nothing is known.
pub(super) fn custom(fields: Fields<'_>, now: Timestamp) -> Health {
    match reported(fields) {
        Some(status) => climb(fields, status),
        None => suspended_by_spec(fields).unwrap_or_else(|| silent(fields, now)),
    }
}

/// A suspended controller does not write that it has seen the latest change, and perhaps no
/// status at all.
pub(super) fn suspended_by_spec(fields: Fields<'_>) -> Option<Health> {
    let field =
        ["suspend", "suspended", "paused"].iter().find(|field| fields.flag(&format!("/spec/{field}")))?;
    Some(Health::suspended(format!("spec.{field} is true")))
}

/// The status, if its controller has written anything into it.
pub(super) fn reported(fields: Fields<'_>) -> Option<&Map<String, Value>> {
    let is_empty = |(key, value): (&String, &Value)| match value {
        Value::Null => true,
        Value::Array(entries) => entries.is_empty(),
        Value::Object(inner) => inner.is_empty(),
        Value::String(text) => text.is_empty(),
        // Defaults of the definition.
        Value::Number(_) => key == "observedGeneration" || key == "revision",
        Value::Bool(_) => false,
    };
    let status = fields.value("/status")?.as_object()?;
    (!status.iter().all(is_empty)).then_some(status)
}

/// The answer for an object without a status. The age decides; without a creation time
/// it is not known to be old.
fn silent(fields: Fields<'_>, now: Timestamp) -> Health {
    if is_stale(fields) {
        return unobserved();
    }
    if fields.number("/status/observedGeneration").is_some() {
        return Health::current("its controller has seen it");
    }
    let grace = match fields.reports() {
        Reports::Yes => FIRST_STATUS,
        Reports::No | Reports::Unknown => PERHAPS_A_STATUS,
    };
    if fields.created().is_none() && fields.reports() == Reports::No {
        return Health::current("exists");
    }
    fields.unreported(grace, now)
}

/// `status.observedGeneration` decides if it is set. Otherwise the conditions may have
/// their own, which kstatus ignores.
pub(super) fn is_stale(fields: Fields<'_>) -> bool {
    let Some(generation) = fields.number("/metadata/generation") else { return false };
    // Some controllers write it as text; a hash is a large number.
    let as_text = || fields.text("/status/observedGeneration")?.parse::<i64>().ok();
    if as_text().is_some_and(|observed| observed < generation) {
        return true;
    }
    let of_ready = || fields.condition("Ready").and_then(Condition::observed_generation);
    match fields.number("/status/observedGeneration").map(|observed| observed != generation) {
        Some(is_stale) => is_stale,
        None if of_ready().is_some() => of_ready().is_some_and(|observed| observed < generation),
        None => fields
            .conditions()
            .filter(|c| polarity(c.kind()) == Some(Polarity::Positive))
            .filter_map(Condition::observed_generation)
            .any(|observed| observed < generation),
    }
}

/// The ladder, for an object with a status.
pub(super) fn climb(fields: Fields<'_>, status: &Map<String, Value>) -> Health {
    if let Some(health) = suspended_by_spec(fields) {
        return health;
    }
    if is_stale(fields) {
        return unobserved();
    }
    let conditions = || fields.conditions();
    let of = |wanted: Polarity| conditions().filter(move |c| polarity(c.kind()) == Some(wanted));
    let has_passed = |c: &Condition<'_>| {
        c.is("True") && matches!(c.kind(), "Failed" | "Stalled")
            || c.kind() == "Progressing" && c.is("False") && c.reason() == "ProgressDeadlineExceeded"
    };
    if let Some(c) = conditions().find(has_passed) {
        return Health::failed(c.explain());
    }
    if let Some(c) = of(Polarity::Suspended).find(|c| c.is("True")) {
        return Health::suspended(c.explain());
    }
    let ready = fields.condition("Ready");
    let is_ready = ready.is_some_and(|c| c.is("True"));
    if let Some(c) = conditions().find(|c| is_wrong(*c, is_ready) || is_working(*c)) {
        return Health::in_progress(c.explain());
    }
    let lacks = match ready {
        Some(c) => Some(c).filter(|c| !c.is("True")),
        // What has come to its end does not run any more.
        None if of(Polarity::Positive).any(|c| c.is("True") && is_an_end(c.kind())) => None,
        None => conditions()
            .filter(|c| matches!(polarity(c.kind()), Some(Polarity::Positive | Polarity::Step)))
            .find(|c| !c.is("True")),
    };
    if let Some(c) = lacks {
        return Health::in_progress(match c.kind() {
            "Ready" => format!("is not ready, {}", c.explain()),
            _ => c.explain(),
        });
    }
    // Its controller says so; what the rest of the status means is known less well.
    if is_ready {
        return Health::current("is ready");
    }
    let said = said(fields, status);
    if let Some(health) = spoken(&said) {
        return health;
    }
    if let Some(message) = nested::trouble(fields) {
        return Health::in_progress(message);
    }
    if let Some(said) = said.iter().find(|said| said.word == Word::Healthy) {
        return Health::current(said.message());
    }
    if let Some(c) = of(Polarity::Positive).find(|c| c.is("True")) {
        return Health::current(format!("condition {} is True", c.kind()));
    }
    if let Some(said) = said.first() {
        return Health::in_progress(said.message());
    }
    match of(Polarity::Step).last() {
        Some(c) => {
            Health::in_progress(format!("condition {} is True, and none says that it is ready", c.kind()))
        }
        None if fields.has("/status/conditions") && conditions().next().is_none() => {
            Health::in_progress("has no conditions yet")
        }
        None => Health::current("exists"),
    }
}

/// A condition that says that something is wrong. Next to a true `Ready`, a part that is false
/// for a bad reason may be one that does not count.
fn is_wrong(c: Condition<'_>, is_ready: bool) -> bool {
    match polarity(c.kind()) {
        Some(Polarity::Negative) => c.is("True"),
        _ => !is_ready && c.is("False") && is_bad_reason(c.reason()),
    }
}

/// A condition that says that work goes on. A Deployment is "progressing" when it has
/// finished, and operators made of Ansible are "running" while they work.
fn is_working(c: Condition<'_>) -> bool {
    const FINISHED: &[&str] = &["NewReplicaSetAvailable", "NewReplicationControllerAvailable"];
    let by_ansible = c.kind() == "Running" && c.reason() == "Running" && c.has("ansibleResult");
    let is_unsure = c.kind() == "Progressing" && c.is("Unknown");
    is_unsure
        || c.is("True")
            && (by_ansible
                || polarity(c.kind()) == Some(Polarity::Progress) && !FINISHED.contains(&c.reason()))
}

/// A word of the status, at most one level deep: where, what, and what it means.
struct Said<'a> {
    key: &'a str,
    inner: Option<&'a str>,
    value: &'a str,
    word: Word,
}

impl Said<'_> {
    fn message(&self) -> String {
        match self.inner {
            Some(inner) => format!("{}.{inner} is {}", self.key, self.value),
            None => format!("{} is {}", self.key, self.value),
        }
    }

    /// Only what is said of the whole object, in the usual place, is final.
    fn is_final(&self) -> bool {
        self.inner.is_none() && matches!(self.key, "phase" | "state" | "status")
    }
}

fn said<'a>(fields: Fields<'a>, status: &'a Map<String, Value>) -> Vec<Said<'a>> {
    let ends = comes_to_an_end(fields.text("/kind").unwrap_or_default());
    let of = |key: &'a str, inner: Option<&'a str>, value: &'a Value| {
        // A longer text is not a word, and perhaps not for everybody.
        let value = value.as_str().map(str::trim).filter(|text| (1..=MAX_WORD).contains(&text.len()))?;
        Some(Said { key, inner, value, word: word(value, ends) })
    };
    let mut said = Vec::new();
    for (key, value) in status.iter().filter(|(key, _)| !nested::is_of_the_past(key)).take(FIELDS) {
        match value {
            Value::String(_) if names_a_state(key) => said.extend(of(key, None, value)),
            Value::Object(inner) => {
                let inner = inner.iter().take(FIELDS).filter(|(name, _)| names_a_state(name));
                said.extend(inner.filter_map(|(name, value)| of(key, Some(name), value)));
            }
            _ => {}
        }
    }
    said
}

/// The worst of the words, if it is not that all is well.
fn spoken(said: &[Said<'_>]) -> Option<Health> {
    [Word::Failed, Word::Bad, Word::Progress, Word::Suspended].into_iter().find_map(|wanted| {
        let said = said.iter().find(|said| said.word == wanted)?;
        Some(match wanted {
            Word::Failed if said.is_final() => Health::failed(said.message()),
            Word::Suspended => Health::suspended(said.message()),
            _ => Health::in_progress(said.message()),
        })
    })
}

fn names_a_state(key: &str) -> bool {
    const NAMES: &[&str] = &["compliant", "health", "phase", "stage", "state", "status"];
    // What was, and what is wanted, is not what is.
    if key.len() > MAX_WORD || nested::is_of_the_past(key) {
        return false;
    }
    let lower = key.to_ascii_lowercase();
    NAMES.iter().any(|name| {
        let before = lower.strip_suffix(name).map(str::len).and_then(|length| key.as_bytes().get(length));
        lower == *name || before.is_some_and(u8::is_ascii_uppercase)
    })
}

fn is_an_end(kind: &str) -> bool {
    matches!(kind, "Complete" | "Completed" | "Succeeded")
}

/// Kinds whose objects do something once and are done then.
fn comes_to_an_end(kind: &str) -> bool {
    const ENDS: &[&str] = &[
        "Analysis",
        "Backup",
        "Build",
        "Evaluation",
        "Experiment",
        "Job",
        "Migration",
        "Restore",
        "Run",
        "Snapshot",
        "Task",
        "Test",
        "Workflow",
    ];
    ENDS.iter().any(|end| kind.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, Reports, RuleSet};
    use serde_json::{Value, json};

    fn check(status: Value, state: HealthState, message: &str) {
        of("Widget", json!({}), status, state, message);
    }

    fn of(kind: &str, spec: Value, status: Value, state: HealthState, message: &str) {
        let object = json!({"apiVersion": "example.com/v1", "kind": kind,
            "metadata": {"name": "a", "generation": 2}, "spec": spec, "status": status});
        let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({"type": kind, "status": status, "reason": "R", "message": "m"})
    }

    const UNSEEN: &str = "its controller has not seen the latest change yet";

    #[test]
    fn without_a_status_it_is_not_known() {
        for status in
            [json!(null), json!({}), json!({"conditions": []}), json!({"revision": 0, "parents": []})]
        {
            check(status, InProgress, "has no status yet");
        }
        check(json!({"observedGeneration": 1}), InProgress, UNSEEN);
        check(json!({"conditions": [], "url": "x"}), InProgress, "has no conditions yet");
        check(json!({"url": "x"}), Current, "exists");
    }

    #[test]
    fn the_conventional_conditions() {
        check(json!({"conditions": [condition("Ready", "True")]}), Current, "is ready");
        check(json!({"conditions": [condition("Ready", "False")]}), InProgress, "is not ready, R: m");
        check(json!({"conditions": [condition("Ready", "Unknown")]}), InProgress, "is not ready, R: m");
        check(
            json!({"conditions": [condition("Ready", "False"), condition("Stalled", "True")]}),
            Failed,
            "R: m",
        );
        check(
            json!({"conditions": [condition("Ready", "True"), condition("Reconciling", "True")]}),
            InProgress,
            "R: m",
        );
        check(
            json!({"conditions": [condition("Reconciling", "False"), condition("Stalled", "False")]}),
            Current,
            "exists",
        );
        check(
            json!({"observedGeneration": 1, "conditions": [condition("Ready", "True"), condition("Stalled", "True")]}),
            InProgress,
            UNSEEN,
        );
        // Some controllers write a boolean.
        check(json!({"conditions": [{"type": "Ready", "status": true}]}), Current, "is ready");
        check(
            json!({"conditions": [{"type": "Ready", "status": "maybe"}]}),
            InProgress,
            "is not ready, condition Ready is maybe",
        );
    }

    #[test]
    fn other_conditions_count_by_their_names() {
        let with = |conditions: &[(&str, &str)]| {
            let conditions: Vec<Value> =
                conditions.iter().map(|(kind, status)| condition(kind, status)).collect();
            json!({"conditions": conditions})
        };
        check(with(&[("Accepted", "True"), ("Programmed", "True")]), Current, "condition Accepted is True");
        check(with(&[("Accepted", "True"), ("Programmed", "False")]), InProgress, "R: m");
        check(with(&[("Available", "True"), ("Degraded", "True")]), InProgress, "R: m");
        check(with(&[("Available", "True"), ("Degraded", "False")]), Current, "condition Available is True");
        // With Ready, the others are its parts.
        check(with(&[("Ready", "True"), ("Active", "False")]), Current, "is ready");
        check(with(&[("Ready", "True"), ("ReplicaFailure", "True")]), InProgress, "R: m");
        check(with(&[("Failed", "True"), ("Ready", "False")]), Failed, "R: m");
        check(with(&[("Paused", "True"), ("Ready", "False")]), Suspended, "R: m");
        check(
            with(&[("Launched", "True"), ("Registered", "True")]),
            InProgress,
            "condition Registered is True, and none says that it is ready",
        );
        check(with(&[("RemediationAllowed", "True")]), Current, "exists");
        let late = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
        check(json!({"conditions": [condition("Ready", "True"), late]}), Failed, "ProgressDeadlineExceeded");
        let part = json!({"type": "TestSuccess", "status": "False", "reason": "TestFailed"});
        check(json!({"conditions": [part.clone()]}), InProgress, "TestFailed");
        check(json!({"conditions": [condition("Ready", "True"), part]}), Current, "is ready");
        check(with(&[("Running", "False"), ("Succeeded", "True")]), Current, "condition Succeeded is True");
    }

    #[test]
    fn words_count() {
        check(json!({"phase": "Running"}), Current, "phase is Running");
        of("NightlyBackup", json!({}), json!({"phase": "Running"}), InProgress, "phase is Running");
        of("NightlyBackup", json!({}), json!({"phase": "Completed"}), Current, "phase is Completed");
        check(json!({"phase": "Pending"}), InProgress, "phase is Pending");
        check(json!({"phase": "Failed"}), Failed, "phase is Failed");
        check(json!({"deployment": {"state": "Failed"}}), InProgress, "deployment.state is Failed");
        check(json!({"clusterState": "UpdateFailed"}), InProgress, "clusterState is UpdateFailed");
        check(json!({"phase": "Ready", "health": "red"}), InProgress, "health is red");
        check(json!({"phase": "Paused"}), Suspended, "phase is Paused");
        check(json!({"phase": "Blue"}), InProgress, "phase is Blue");
        // Its controller knows better.
        check(
            json!({"phase": "Pending", "lastBackupStatus": "Failed", "conditions": [condition("Ready", "True")]}),
            Current,
            "is ready",
        );
        check(json!({"lastState": "Failed", "phase": "Running"}), Current, "phase is Running");
        check(json!({"clusterState": "Failed"}), InProgress, "clusterState is Failed");
        check(json!({"state": "x".repeat(100)}), Current, "exists");
    }

    #[test]
    fn parts_count() {
        let parents = |kind: &str, status: &str| json!({"parents": [{"conditions": [condition("Accepted", "True"), condition(kind, status)]}]});
        check(parents("ResolvedRefs", "True"), Current, "exists");
        check(parents("ResolvedRefs", "False"), InProgress, "parents: R: m");
        check(json!({"healthy": false}), InProgress, "healthy is false");
        check(json!({"members": [{"ready": true}, {"ready": false}]}), InProgress, "members.ready is false");
        check(
            json!({"racks": {"a": {"members": 3, "readyMembers": 1}}}),
            InProgress,
            "racks.a: readyMembers is 1 of 3",
        );
        of(
            "Widget",
            json!({"replicas": 3}),
            json!({"readyReplicas": 2}),
            InProgress,
            "readyReplicas is 2 of 3",
        );
        of("Widget", json!({"replicas": 3}), json!({"readyReplicas": 3}), Current, "exists");
        check(json!({"expectedNodes": 3}), InProgress, "expectedNodes is 3, and none is reported yet");
        check(json!({"history": [{"phase": "Failed"}], "url": "x"}), Current, "exists");
        check(json!({"availableIPs": 200, "totalIPs": 256}), Current, "exists");
        check(json!({"error": {"message": "no such volume"}}), InProgress, "error: no such volume");
        check(json!({"error": "", "url": "x"}), Current, "exists");
    }

    /// As much as an object may have, in shapes that cost the most: with quadratic work, this
    /// takes minutes or gigabytes.
    #[test]
    fn a_huge_status_costs_little() {
        let many = |key: fn(usize) -> String, value: fn(usize) -> Value| -> Value {
            (0..20_000).map(|n| (key(n), value(n))).collect::<serde_json::Map<_, _>>().into()
        };
        let long = "k".repeat(500_000);
        let shapes = [
            many(|n| format!("expected{n}A"), |_| json!(1)),
            many(|n| format!("readyReplicas{n}"), |_| json!(1)),
            json!({long.as_str(): many(|n| format!("a{n}State"), |_| json!("ok"))}),
            json!({"conditions": (0..20_000).map(|n| condition(&format!("C{n}"), "True")).collect::<Vec<_>>()}),
            json!({long.as_str(): [[[many(|n| format!("k{n}"), |_| json!({"a": {"b": 1}}))]]]}),
        ];
        for status in shapes {
            let object = json!({"apiVersion": "example.com/v1", "kind": "Widget", "status": status});
            let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
            assert!(health.message.len() <= 512);
        }
    }

    #[test]
    fn suspended_by_its_spec() {
        for field in ["suspend", "suspended", "paused"] {
            let status = json!({"observedGeneration": 1, "conditions": [condition("Ready", "False")]});
            of("Widget", json!({field: true}), status, Suspended, &format!("spec.{field} is true"));
        }
    }

    #[test]
    fn a_condition_may_carry_its_own_generation() {
        let ready = |generation: i64| {
            let mut c = condition("Ready", "True");
            c["observedGeneration"] = generation.into();
            c
        };
        check(json!({"conditions": [ready(1)]}), InProgress, UNSEEN);
        check(json!({"conditions": [ready(2)]}), Current, "is ready");
        check(json!({"observedGeneration": 2, "conditions": [ready(1)]}), Current, "is ready");
        check(json!({"observedGeneration": "1", "conditions": [ready(2)]}), InProgress, UNSEEN);
    }

    #[test]
    fn a_new_object_gets_time_for_its_first_status() {
        let check =
            |reports: Reports, created: Option<&str>, state: HealthState, changes_at: Option<&str>| {
                let object = json!({"apiVersion": "example.com/v1", "kind": "Widget",
                "metadata": {"creationTimestamp": created}});
                let now = "2026-01-01T00:00:10Z".parse().unwrap();
                let health = RuleSet::default().assess_of(reports, &object, now);
                assert_eq!(health.state, state, "{reports:?} {object}");
                assert_eq!(health.changes_at, changes_at.map(|t| t.parse().unwrap()), "{reports:?} {object}");
            };
        let (young, old) = (Some("2026-01-01T00:00:09Z"), Some("2026-01-01T00:00:05Z"));
        check(Reports::No, young, InProgress, Some("2026-01-01T00:00:12Z"));
        check(Reports::No, old, Current, None);
        check(Reports::No, None, Current, None);
        check(Reports::Yes, young, InProgress, Some("2026-01-01T00:00:39Z"));
        check(Reports::Yes, old, InProgress, Some("2026-01-01T00:00:35Z"));
        check(Reports::Yes, Some("2025-12-31T23:59:00Z"), Current, None);
        check(Reports::Unknown, young, InProgress, Some("2026-01-01T00:00:12Z"));
        check(Reports::Unknown, old, Current, None);
        check(Reports::Unknown, None, InProgress, None);
    }
}
