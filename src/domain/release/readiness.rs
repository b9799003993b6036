//! Whether a dependency is ready for its current spec and the revision that it should have. A
//! verdict that may be about an earlier one does not count.

use jiff::Timestamp;
use serde_json::Value;

use super::dependency::Dependency;
use crate::api::keys;
use crate::api::reason::Reason;
use crate::api::release::OCIArtifactRelease;
use crate::api::status::{ReleaseStatus, condition};
use crate::domain::artifact::wanted::named_digest;
use crate::domain::health::{Health, HealthState, Reports, RuleSet};

/// The words for a dependency that does not exist.
pub const MISSING: &str = "does not exist";
/// The words for a dependency that is being deleted.
const DELETING: &str = "is being deleted";
/// The words for one that its controller still works on.
const NOT_YET: &str = "is not ready yet";

/// Whether a dependency is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DependencyVerdict {
    /// It is.
    Ready,
    /// It is not: a lowercase fragment that follows its name. It stays the same while the cause
    /// does.
    NotReady(String),
    /// It is, for the last revision that it knows: it has not asked its registry since the
    /// dependent has found its own revision.
    Unchecked,
    /// It is not, and time alone may change that.
    Until(String, Timestamp),
    /// It is, if its expression says so, which has not been evaluated for its present state.
    Unevaluated,
}

impl DependencyVerdict {
    fn not(words: impl Into<String>) -> Self {
        Self::NotReady(words.into())
    }

    /// Why it is not ready, if it is not.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Ready => None,
            Self::NotReady(words) | Self::Until(words, _) => Some(words),
            Self::Unchecked => Some("has not checked for a newer revision yet"),
            Self::Unevaluated => Some("has changed just now"),
        }
    }
}

/// The last answer of a registry to a release of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedRevision<'a> {
    /// The revision that it wants.
    pub revision: &'a str,
    /// Whether that was after the dependent has found its own revision.
    pub is_recent: bool,
}

/// What is known of a dependency that is a release.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseFacts<'a> {
    /// The resource.
    pub resource: &'a OCIArtifactRelease,
    /// The last answer of its registry. `None` while there was none since this process has
    /// started.
    pub checked: Option<CheckedRevision<'a>>,
    /// Whether this process reconciles it.
    pub is_ours: bool,
}

/// Whether a release is ready. `expression` is what the expression of the dependency says of it.
pub fn of_release(
    dependency: &Dependency,
    facts: Option<&ReleaseFacts<'_>>,
    expression: Option<&DependencyVerdict>,
) -> DependencyVerdict {
    let Some(ReleaseFacts { resource, checked, is_ours }) = facts else {
        return DependencyVerdict::not(MISSING);
    };
    let metadata = &resource.metadata;
    if metadata.deletion_timestamp.is_some() {
        return DependencyVerdict::not(DELETING);
    }
    let nothing = ReleaseStatus::default();
    let status = resource.status.as_ref().unwrap_or(&nothing);
    if status.observed_generation != metadata.generation {
        return DependencyVerdict::not("has not reconciled its current spec yet");
    }
    let asked = metadata.annotations.as_ref().and_then(|all| all.get(keys::RECONCILE_AT));
    if asked
        .is_some_and(|asked| !asked.is_empty() && Some(asked) != status.last_handled_reconcile_at.as_ref())
    {
        return DependencyVerdict::not("has not finished a requested run yet");
    }
    let attempted = status.last_attempted_revision.as_deref();
    if dependency.ready.is_some() {
        match expression {
            Some(DependencyVerdict::Ready) => {}
            Some(verdict) => return verdict.clone(),
            None => return DependencyVerdict::Unevaluated,
        }
    } else if let Some(words) = unready(resource, status) {
        return DependencyVerdict::not(words);
    }
    // A digest always means the same, and a suspended release does not follow its registry.
    if named_digest(&resource.spec.reference).is_some() || resource.spec.suspend || !is_ours {
        return DependencyVerdict::Ready;
    }
    match checked {
        Some(CheckedRevision { revision, .. }) if attempted != Some(revision) => {
            DependencyVerdict::not("has not applied its newest revision yet")
        }
        Some(CheckedRevision { is_recent: true, .. }) => DependencyVerdict::Ready,
        _ => DependencyVerdict::Unchecked,
    }
}

/// Why a release is not ready for its generation and the revision that it has attempted.
fn unready(resource: &OCIArtifactRelease, status: &ReleaseStatus) -> Option<String> {
    let suspended = resource.spec.suspend;
    let Some(ready) = status.condition(condition::READY) else { return Some(NOT_YET.to_owned()) };
    if ready.status != "True" {
        return Some(match (ready.status.as_str(), Reason::named(&ready.reason)) {
            _ if suspended => "is suspended and not ready".to_owned(),
            ("False", Some(reason)) => format!("is not ready: {reason}"),
            _ => NOT_YET.to_owned(),
        });
    }
    // While a release is suspended, Ready is about the spec of its last run.
    let names_other = || {
        let tag =
            status.last_applied_revision.as_deref().and_then(|name| name.split_once('@')).map(|(tag, _)| tag);
        let reference = &resource.spec.reference;
        let digest = named_digest(reference);
        let pinned = reference.semver.is_none() && digest.is_none();
        let digest = digest.filter(|digest| {
            !status.last_applied_revision.as_deref().is_some_and(|name| name.ends_with(digest))
        });
        digest.is_some() || pinned && tag != reference.tag.as_deref()
    };
    match suspended {
        true if names_other() => return Some("is suspended before it applied its current spec".to_owned()),
        false if ready.observed_generation != resource.metadata.generation => {
            return Some(NOT_YET.to_owned());
        }
        _ => {}
    }
    if status.last_attempted_revision != status.last_applied_revision {
        return Some("has not applied its newest revision yet".to_owned());
    }
    let failed = status.condition(condition::FETCH_FAILED).filter(|c| c.status == "True" && !suspended);
    failed.map(|failed| {
        let reason = Reason::named(&failed.reason).map_or("unknown", Reason::as_str);
        format!("cannot check for a newer revision: {reason}")
    })
}

/// Whether an object of any other kind is ready; `None` when it does not exist. `rules` are those of
/// the dependent. `expression` is what [`by_expression`] says of it.
pub fn of_object(
    dependency: &Dependency,
    rules: &RuleSet,
    reports: Reports,
    object: Option<&Value>,
    expression: Option<&DependencyVerdict>,
    now: Timestamp,
) -> DependencyVerdict {
    let Some(object) = object else { return DependencyVerdict::not(MISSING) };
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return DependencyVerdict::not(DELETING);
    }
    if dependency.release().is_some() {
        // Another process reconciles it.
        return match serde_json::from_value::<OCIArtifactRelease>(object.clone()) {
            Ok(resource) => {
                let facts = ReleaseFacts { resource: &resource, checked: None, is_ours: false };
                of_release(dependency, Some(&facts), expression)
            }
            Err(error) => DependencyVerdict::not(format!("cannot be read: {error}")),
        };
    }
    if is_by_expression(dependency, rules) {
        let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
        let (observed, current) = (number("/status/observedGeneration"), number("/metadata/generation"));
        if observed.zip(current).is_some_and(|(observed, current)| observed < current) {
            return DependencyVerdict::not("is not observed in its current generation yet");
        }
        return expression.cloned().unwrap_or(DependencyVerdict::Unevaluated);
    }
    let health = rules.assess_of(reports, object, now);
    match health.state {
        state if state.is_healthy() => DependencyVerdict::Ready,
        HealthState::Failed => failed(&health),
        _ => match health.changes_at {
            Some(at) => DependencyVerdict::Until(NOT_YET.to_owned(), at),
            None => DependencyVerdict::not(NOT_YET),
        },
    }
}

fn failed(health: &Health) -> DependencyVerdict {
    DependencyVerdict::not(format!("has failed: {}", health.message))
}

/// Whether expressions decide about a dependency: its own, or those of the dependent for its kind.
pub fn is_by_expression(dependency: &Dependency, rules: &RuleSet) -> bool {
    dependency.ready.is_some()
        || dependency.release().is_none() && rules.own(&dependency.id.group_kind()).is_some()
}

/// What expressions say of a dependency; `None` when they do not decide about it.
pub fn by_expression(
    dependency: &Dependency,
    rules: &RuleSet,
    object: &Value,
    dependent: &Value,
) -> Option<DependencyVerdict> {
    if !is_by_expression(dependency, rules) {
        return None;
    }
    let Some(ready) = &dependency.ready else {
        // An expression of the dependent does not depend on the time.
        let health = rules.assess(object, Timestamp::UNIX_EPOCH);
        return Some(match health.state {
            state if state.is_healthy() => DependencyVerdict::Ready,
            HealthState::Failed => failed(&health),
            _ => DependencyVerdict::not(format!("is not ready: {}", health.message)),
        });
    };
    Some(match ready.holds(object, dependent) {
        Ok(true) => DependencyVerdict::Ready,
        Ok(false) => DependencyVerdict::not("is not ready: its expression is false"),
        Err(problem) => {
            DependencyVerdict::not(format!("is not ready: its expression has no answer: {problem}"))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::dependency::DependencyReference;
    use crate::domain::release::Release;

    fn dependency(reference: Value) -> Dependency {
        let reference: DependencyReference = serde_json::from_value(reference).unwrap();
        Dependency::parse_all(&[reference], "team").unwrap().remove(0)
    }

    /// A release that is ready at the revision `1@a`, with changes laid over it.
    fn release(changes: Value) -> OCIArtifactRelease {
        let mut resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "db", "namespace": "team", "generation": 2},
            "spec": {"url": "oci://r.io/team/db", "ref": {"tag": "1"}, "prune": true},
            "status": {"observedGeneration": 2, "lastAttemptedRevision": "1@a", "lastAppliedRevision": "1@a",
                "conditions": [ready("True", "ReconciliationSucceeded", 2)]},
        });
        for (pointer, value) in changes.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            resource.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        serde_json::from_value(resource).unwrap()
    }

    fn ready(status: &str, reason: &str, generation: i64) -> Value {
        json!({"type": "Ready", "status": status, "reason": reason, "message": "m", "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    const NEW: Option<CheckedRevision<'static>> = Some(CheckedRevision { revision: "1@a", is_recent: true });

    #[test]
    fn a_release_is_ready_for_its_spec_and_the_revision_that_it_should_have() {
        let check = |changes: Value, checked: Option<CheckedRevision<'_>>, expected: &str| {
            let resource = release(changes.clone());
            let facts = ReleaseFacts { resource: &resource, checked, is_ours: true };
            let found = of_release(&dependency(json!({"name": "db"})), Some(&facts), None);
            assert_eq!(found.words().unwrap_or_default(), expected, "{changes}");
        };
        check(json!({}), NEW, "");
        check(json!({"/metadata/generation": 3}), NEW, "has not reconciled its current spec yet");
        check(json!({"/status/observedGeneration": null}), NEW, "has not reconciled its current spec yet");
        check(
            json!({"/metadata/annotations": {"supercargo.dev/reconcile-at": "now"}}),
            NEW,
            "has not finished a requested run yet",
        );
        check(
            json!({"/metadata/annotations": {"supercargo.dev/reconcile-at": "now"},
                "/status/lastHandledReconcileAt": "now"}),
            NEW,
            "",
        );
        check(json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"}), NEW, "is being deleted");
        check(json!({"/status/conditions": []}), NEW, "is not ready yet");
        check(json!({"/status/conditions": [ready("Unknown", "Progressing", 2)]}), NEW, "is not ready yet");
        check(
            json!({"/status/conditions": [ready("False", "HealthTimeout", 2)]}),
            NEW,
            "is not ready: HealthTimeout",
        );
        // A verdict about an earlier spec.
        check(
            json!({"/status/conditions": [ready("True", "ReconciliationSucceeded", 1)]}),
            NEW,
            "is not ready yet",
        );
        check(
            json!({"/status/lastAttemptedRevision": "2@b"}),
            NEW,
            "has not applied its newest revision yet",
        );
        // A newer revision that is not in its status yet.
        let newer = Some(CheckedRevision { revision: "1@b", is_recent: true });
        check(json!({}), newer, "has not applied its newest revision yet");
        let old = Some(CheckedRevision { revision: "1@a", is_recent: false });
        check(json!({}), old, "has not checked for a newer revision yet");
        check(json!({}), None, "has not checked for a newer revision yet");
        let failed = json!({"type": "FetchFailed", "status": "True", "reason": "RegistryUnavailable", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        check(
            json!({"/status/conditions": [ready("True", "ReconciliationSucceeded", 2), failed]}),
            NEW,
            "cannot check for a newer revision: RegistryUnavailable",
        );
        // Neither a digest nor a suspended release follows the registry.
        check(json!({"/spec/ref": {"digest": "sha256:a"}}), None, "");
        let before = || ready("True", "ReconciliationSucceeded", 1);
        check(json!({"/spec/suspend": true, "/status/conditions": [before()]}), None, "");
        check(
            json!({"/spec/suspend": true, "/spec/ref": {"tag": "2"}, "/status/conditions": [before()]}),
            None,
            "is suspended before it applied its current spec",
        );
        check(
            json!({"/spec/suspend": true, "/status/conditions": [ready("Unknown", "Suspended", 2)]}),
            None,
            "is suspended and not ready",
        );
    }

    /// Nothing is known of when its registry was asked, but a status about something earlier never counts.
    #[test]
    fn a_release_of_another_replica_is_judged_by_its_status_for_its_current_spec_and_revision() {
        let check = |changes: Value, expected: &str| {
            let resource = release(changes.clone());
            let facts = ReleaseFacts { resource: &resource, checked: None, is_ours: false };
            let found = of_release(&dependency(json!({"name": "db"})), Some(&facts), None);
            assert_eq!(found.words().unwrap_or_default(), expected, "{changes}");
        };
        check(json!({}), "");
        check(json!({"/metadata/generation": 3}), "has not reconciled its current spec yet");
        check(
            json!({"/metadata/annotations": {"supercargo.dev/reconcile-at": "now"}}),
            "has not finished a requested run yet",
        );
        check(
            json!({"/status/conditions": [ready("True", "ReconciliationSucceeded", 1)]}),
            "is not ready yet",
        );
        check(json!({"/status/lastAttemptedRevision": "2@b"}), "has not applied its newest revision yet");
    }

    #[test]
    fn what_does_not_exist_is_not_ready() {
        let db = dependency(json!({"name": "db"}));
        assert_eq!(of_release(&db, None, None).words(), Some(MISSING));
    }

    #[test]
    fn an_object_is_judged_by_the_rules_of_its_kind() {
        let check = |kind: (&str, &str), object: Value, expected: &str| {
            let dependency = dependency(json!({"name": "x", "apiVersion": kind.0, "kind": kind.1}));
            let mut whole =
                json!({"apiVersion": kind.0, "kind": kind.1, "metadata": {"name": "x", "generation": 2}});
            for (key, value) in object.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            let found = of_object(
                &dependency,
                &RuleSet::default(),
                Reports::Unknown,
                Some(&whole).filter(|_| !object.is_null()),
                None,
                Timestamp::UNIX_EPOCH,
            );
            assert_eq!(found.words().unwrap_or_default(), expected, "{object}");
        };
        check(("v1", "ConfigMap"), json!({}), "");
        check(("v1", "ConfigMap"), Value::Null, "does not exist");
        check(("apps/v1", "Deployment"), json!({"status": {"observedGeneration": 1}}), "is not ready yet");
        let complete =
            json!({"status": {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}});
        check(("batch/v1", "Job"), complete, "");
        check(
            ("batch/v1", "Job"),
            json!({"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            "is being deleted",
        );
        // A release of another process has no answer of a registry here.
        let other = serde_json::to_value(release(json!({}))).unwrap();
        check(("supercargo.dev/v1alpha1", "OCIArtifactRelease"), other, "");
        let other = serde_json::to_value(release(json!({"/metadata/generation": 3}))).unwrap();
        let words = "has not reconciled its current spec yet";
        check(("supercargo.dev/v1alpha1", "OCIArtifactRelease"), other, words);
    }

    fn own_rules() -> RuleSet {
        let release = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "app", "namespace": "team"},
            "spec": {"url": "oci://r.io/team/app", "prune": true, "healthCheckExprs": [
                {"apiVersion": "example.com/v1", "kind": "Widget",
                 "failed": "status.phase == 'Down'", "current": "status.phase == 'Up'"},
                {"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease", "current": "false"},
            ]},
        });
        RuleSet::of(&Release::parse(&serde_json::from_value(release).unwrap()).unwrap())
    }

    #[test]
    fn an_expression_replaces_the_rules_and_not_the_generation() {
        let check = |kind: Value, object: Value, expected: &str| {
            let dependency = dependency(kind);
            let rules = own_rules();
            let said = by_expression(&dependency, &rules, &object, &json!({}));
            let judge = |said: Option<&DependencyVerdict>| {
                of_object(&dependency, &rules, Reports::Unknown, Some(&object), said, Timestamp::UNIX_EPOCH)
            };
            assert_eq!(judge(said.as_ref()).words().unwrap_or_default(), expected, "{object}");
            if expected.is_empty() {
                assert_eq!(judge(None), DependencyVerdict::Unevaluated);
            }
        };
        let up =
            || json!({"name": "x", "apiVersion": "example.com/v1", "kind": "X", "ready": "dep.status.up"});
        let object = |generation: i64, status: Value| json!({"metadata": {"generation": generation}, "status": status});
        check(up(), object(1, json!({"up": true})), "");
        check(up(), object(1, json!({"up": false})), "is not ready: its expression is false");
        check(
            up(),
            object(1, json!({})),
            "is not ready: its expression has no answer: there is no dep.status.up",
        );
        let stale = object(2, json!({"up": true, "observedGeneration": 1}));
        check(up(), stale, "is not observed in its current generation yet");
        // The expressions of the dependent for a kind, and not for releases.
        let own = || json!({"name": "w", "apiVersion": "example.com/v1", "kind": "Widget"});
        let widget = |status: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"generation": 2}, "status": status});
        check(own(), widget(json!({"phase": "Up"})), "");
        check(own(), widget(json!({"phase": "Down"})), "has failed: failed is true: status.phase == 'Down'");
        let words = "is not ready: current is not true: status.phase == 'Up'";
        check(own(), widget(json!({"phase": "Odd"})), words);
        let words = "is not ready: failed has no answer, there is no status.phase: status.phase == 'Down'";
        check(own(), widget(json!({})), words);
        let stale = widget(json!({"phase": "Up", "observedGeneration": 1}));
        check(own(), stale, "is not observed in its current generation yet");
        let release = |changes: Value| serde_json::to_value(release(changes)).unwrap();
        let db = || json!({"name": "db", "ready": "dep.status.lastAppliedRevision == '1@a'"});
        check(db(), release(json!({"/status/conditions": []})), "");
        check(db(), release(json!({"/metadata/generation": 3})), "has not reconciled its current spec yet");
    }
}
