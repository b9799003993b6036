//! Which release depends on what, for all releases of the process: what is known of the
//! dependencies, and who is notified when one of them changes.
//!
//! A release that waits is notified only when one of its dependencies is ready, or when the reason
//! that its status shows has changed. One whose revision is applied is notified only when a
//! dependency disappears or returns.

mod evaluations;
mod kinds;
mod promotions;
mod state;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use self::kinds::MissingKinds;
use self::promotions::judged;
pub use self::state::{DependencyReport, DependencySource, Followed, Notified};
use self::state::{Follower, Inner, RegistryCheck, evaluated};
use crate::cluster::named::ObjectKey;
use crate::domain::gate::Unpromoted;
use crate::domain::identity::ReleaseId;
use crate::domain::kept::KeptRelease;
use crate::domain::observed::ObservedRelease;
use crate::domain::quota::Quota;
use crate::domain::release::PromotionRule;
use crate::domain::release::dependency::releases_named;
use crate::domain::schedule::Damper;
use crate::reconcile::env::quotas::Quotas;

/// How long a run waits until all releases are known, after a start.
const LISTING: Duration = Duration::from_secs(10);
/// How long a deleted release waits for dependents that may be deleted with it, by the same command.
/// The time of the deletion has whole seconds.
const DELETED_TOGETHER: Duration = Duration::from_secs(3);

/// Which releases the process watches, and what they may depend on.
#[derive(Clone, Debug, Default)]
pub struct DependencyScope {
    /// The watched namespaces; all when empty.
    pub namespaces: Vec<String>,
    /// Whether only releases with certain labels are watched.
    pub is_selective: bool,
    /// Whether dependencies may be in other namespaces than their dependents.
    pub across_namespaces: bool,
    /// What each namespace may have.
    pub quota: Quota,
}

/// The dependencies of all releases.
pub struct Dependencies {
    /// Which releases are watched.
    pub scope: DependencyScope,
    /// Kinds that are waited for.
    pub kinds: MissingKinds,
    /// What the namespaces have of what they may have.
    pub quotas: Quotas,
    inner: Mutex<Inner>,
    /// Expressions have to be evaluated.
    evaluations: Notify,
    listed: watch::Sender<bool>,
}

/// The releases that depend on one that is being deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// Those that are being deleted, too.
    pub going: Vec<ReleaseId>,
    /// Those that are not, and how much longer to wait for them to be deleted.
    pub staying: Option<(Vec<ReleaseId>, Duration)>,
}

impl Default for Dependencies {
    /// Of a process that watches no releases. It does not know what the administrator allows.
    fn default() -> Self {
        let none = Self::new(DependencyScope { across_namespaces: true, ..DependencyScope::default() });
        none.set_listed();
        none
    }
}

impl Dependencies {
    /// Without releases.
    pub fn new(scope: DependencyScope) -> Self {
        Self {
            quotas: Quotas::new(scope.quota),
            scope,
            kinds: MissingKinds::default(),
            inner: Mutex::default(),
            evaluations: Notify::new(),
            listed: watch::channel(false).0,
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same for a change that may need evaluations.
    fn notice<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let (result, is_unevaluated) = self.with(|inner| (change(inner), !inner.unevaluated.is_empty()));
        if is_unevaluated {
            self.evaluations.notify_one();
        }
        result
    }

    /// All releases are known now.
    pub fn set_listed(&self) {
        self.listed.send_replace(true);
    }

    /// Waits until all releases are known: before that, one that is not known may exist.
    pub async fn listed(&self) {
        let mut listed = self.listed.subscribe();
        // If a watch fails, what is known has to be enough.
        if tokio::time::timeout(LISTING, listed.wait_for(|listed| *listed)).await.is_err() {
            self.set_listed();
        }
    }

    /// Whether this process would know a release of a namespace.
    pub fn covers(&self, release: &ReleaseId) -> bool {
        let DependencyScope { namespaces, is_selective, .. } = &self.scope;
        let is_watched = namespaces.is_empty() || namespaces.contains(&release.namespace);
        is_watched && !is_selective || self.with(|inner| inner.releases.contains_key(release))
    }

    /// A release is there, or has changed.
    pub fn present(&self, kept: &Arc<KeptRelease>, seen: &ObservedRelease) -> Notified {
        let id = kept.id.clone();
        let mut named = releases_named(&seen.resource);
        // A dependency that is refused holds nobody, also not the deletion of the other release.
        named.retain(|other| self.scope.across_namespaces || other.namespace == id.namespace);
        let of_quota = self.quotas.present(seen);
        self.notice(|inner| {
            inner.releases.insert(id.clone(), Arc::clone(kept));
            if seen.resource.metadata.deletion_timestamp.is_some() {
                inner.going.entry(id.clone()).or_insert_with(Instant::now);
            }
            let concerned = inner.depend(&id, named);
            let mut notified = inner.changed(&id);
            notified.now.extend(concerned);
            notified.now.extend(inner.promotions.changed(&id, Some(&seen.resource), Timestamp::now()));
            notified.now.extend(of_quota);
            notified
        })
    }

    /// A release is gone.
    pub fn absent(&self, id: &ReleaseId) -> Notified {
        self.kinds.forget(id);
        let of_quota = self.quotas.absent(id);
        self.notice(|inner| {
            inner.releases.remove(id);
            inner.checks.remove(id);
            inner.going.remove(id);
            inner.elsewhere.remove(id);
            inner.unfollow(id);
            inner.promotions.forget(id);
            let concerned = inner.depend(id, BTreeSet::new());
            let mut notified = inner.changed(id);
            notified.now.extend(concerned);
            notified.now.extend(inner.promotions.changed(id, None, Timestamp::now()));
            notified.now.extend(of_quota);
            notified
        })
    }

    /// Another process works on a release from now on: it is notified there, and its status has to be enough.
    pub fn step_back(&self, id: &ReleaseId) {
        self.kinds.forget(id);
        self.with(|inner| {
            if inner.releases.contains_key(id) {
                inner.elsewhere.insert(id.clone());
            }
            inner.unfollow(id);
            inner.promotions.forget(id);
            inner.checks.remove(id);
        });
    }

    /// Whether another process works on a release. Then this one does not learn when it asks its
    /// registry, and its status has to be enough.
    pub fn set_elsewhere(&self, id: &ReleaseId, is_elsewhere: bool) {
        self.with(|inner| match is_elsewhere {
            true => inner.elsewhere.insert(id.clone()),
            false => inner.elsewhere.remove(id),
        });
    }

    /// The registry has answered to a release; the request began at that time.
    pub fn checked(&self, id: &ReleaseId, began: Instant, revision: &str) -> Notified {
        self.notice(|inner| {
            let answered = Some((began, revision.to_owned()));
            inner.checks.insert(id.clone(), RegistryCheck { answered, is_asked: false });
            inner.changed(id)
        })
    }

    /// A watched object has changed, or the state of its watch.
    pub fn object_changed(&self, key: &ObjectKey) -> Notified {
        self.notice(|inner| {
            let followers: Vec<ReleaseId> = inner.by_object.get(key).into_iter().flatten().cloned().collect();
            inner.notified(followers, |followed| followed.source.is_of(key))
        })
    }

    /// The cycle that a release is part of; it begins with the release.
    pub fn cycle_of(&self, id: &ReleaseId) -> Option<Vec<ReleaseId>> {
        self.with(|inner| inner.graph.cycle_of(id))
    }

    /// A release as JSON, as expressions see it; null when it is not known.
    pub fn json_of(&self, id: &ReleaseId) -> Value {
        let seen = self.with(|inner| inner.releases.get(id).cloned());
        seen.and_then(|seen| serde_json::to_value(seen.open().ok()?.resource).ok()).unwrap_or_default()
    }

    /// Evaluates the expression of a dependency. An expression may take some milliseconds.
    pub fn evaluate(&self, followed: &mut Followed, dependent: &Value) {
        let state = self.with(|inner| inner.snapshot(followed));
        followed.answer = state.and_then(|state| {
            let verdict = evaluated(&followed.dependency, &followed.rules, &state, dependent)?;
            Some((state, verdict))
        });
    }

    /// A release has found a revision, which is applied already, or waits for the dependencies. It
    /// is notified from now on.
    pub fn follow(
        &self,
        id: &ReleaseId,
        key: &str,
        is_applied: bool,
        followed: Vec<Followed>,
    ) -> DependencyReport {
        let now = Timestamp::now();
        self.notice(|inner| {
            let before = inner.unfollow(id).filter(|before| before.key == key);
            let (since, damper) = before
                .map_or_else(|| (Instant::now(), Damper::default()), |before| (before.since, before.damper));
            let (key, waits) = (key.to_owned(), !is_applied);
            let mut follower = Follower { key, since, waits, damper, is_due: false, followed };
            let report = inner.report(id, &mut follower, now);
            inner.insert(id, follower);
            report
        })
    }

    /// The releases that have not had a digest for as long as the rules of a release require. It is
    /// notified when that changes.
    pub fn unpromoted(
        &self,
        id: &ReleaseId,
        digest: &str,
        rules: &Arc<[PromotionRule]>,
        now: Timestamp,
    ) -> Vec<Unpromoted> {
        let unwatched = |rule: &PromotionRule| Unpromoted {
            id: rule.id.clone(),
            words: "is not watched by this operator (--watch-namespaces, --watch-label-selector)".to_owned(),
            until: None,
        };
        let covered: Vec<bool> = rules.iter().map(|rule| self.covers(&rule.id)).collect();
        self.with(|inner| {
            let found = rules.iter().zip(covered).filter_map(|(rule, is_covered)| {
                let resource = inner.releases.get(&rule.id).and_then(|seen| Some(&seen.opened()?.resource));
                match is_covered {
                    true => judged(rule, digest, resource, now),
                    false => Some(unwatched(rule)),
                }
            });
            let found: Vec<Unpromoted> = found.collect();
            match found.is_empty() {
                true => inner.promotions.forget(id),
                false => inner.promotions.wait(id, digest, rules, &found),
            }
            found
        })
    }

    /// A release waits for no promotion.
    pub fn is_promoted(&self, id: &ReleaseId) {
        self.with(|inner| inner.promotions.forget(id));
    }

    /// A release has no dependencies.
    pub fn unfollow(&self, id: &ReleaseId) {
        self.with(|inner| drop(inner.unfollow(id)));
    }

    /// The releases that a deleted release may have to wait for. Those that it depends on itself,
    /// in a cycle, are not among them.
    pub fn dependents_of(&self, id: &ReleaseId, now: Timestamp) -> Dependents {
        self.with(|inner| {
            let deleted = |id: &ReleaseId| inner.releases.get(id)?.deleted_at;
            let mut dependents: Vec<&ReleaseId> = inner.graph.dependents_of(id).collect();
            if !dependents.is_empty() {
                let first = inner.graph.reachable_from(id);
                dependents.retain(|dependent| *dependent != id && !first.contains(dependent));
            }
            let exists = |id: &ReleaseId| inner.releases.get(id).is_some_and(|seen| seen.has_begun);
            let (going, staying): (Vec<_>, Vec<_>) =
                dependents.into_iter().filter(|id| exists(id)).cloned().partition(|id| deleted(id).is_some());
            // The clock of the API server may be another one.
            let elapsed = deleted(id).and_then(|at| Duration::try_from(now.duration_since(at)).ok());
            let since_seen = inner.going.get(id).map(Instant::elapsed);
            let elapsed = elapsed.max(since_seen).unwrap_or_default();
            let left = DELETED_TOGETHER.saturating_sub(elapsed);
            let staying = Some((staying, left)).filter(|(ids, left)| !ids.is_empty() && !left.is_zero());
            Dependents { going, staying }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::health::RuleSet;
    use crate::domain::release::Release;

    const KEY: &str = "revision";

    fn all(across_namespaces: bool) -> Dependencies {
        Dependencies::new(DependencyScope { across_namespaces, ..DependencyScope::default() })
    }

    fn id(place: &str) -> ReleaseId {
        let (namespace, name) = place.split_once('/').unwrap();
        ReleaseId { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn ids(places: &[&str]) -> BTreeSet<ReleaseId> {
        places.iter().map(|place| id(place)).collect()
    }

    /// A release with dependencies, each as `namespace/name`, and other fields.
    impl Dependencies {
        fn present_kept(&self, kept: &Arc<KeptRelease>) -> Notified {
            self.present(kept, &kept.open().unwrap())
        }
    }

    fn seen(place: &str, on: &[&str], fields: Value) -> Arc<KeptRelease> {
        let on: Vec<Value> = on
            .iter()
            .map(|on| id(on))
            .map(|on| json!({"name": on.name, "namespace": on.namespace}))
            .collect();
        let id = id(place);
        let mut resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": id.name, "namespace": id.namespace, "generation": 1,
                         "finalizers": ["supercargo.dev/finalizer"]},
            "spec": {"url": "oci://r.io/app", "ref": {"digest": "sha256:a"}, "prune": true, "dependsOn": on},
        });
        for (pointer, value) in fields.as_object().into_iter().flatten() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            resource.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        Arc::new(KeptRelease::read(&resource.to_string()).unwrap())
    }

    fn status(reason: &str) -> Value {
        let ready = if reason == "ReconciliationSucceeded" { "True" } else { "False" };
        json!({"/status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready,
            "reason": reason, "message": "m", "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]}})
    }

    #[test]
    fn a_deletion_waits_for_dependents_that_go_and_a_moment_for_others() {
        let directory = all(false);
        let deleted = |at: &str| json!({"/metadata/deletionTimestamp": at});
        let check = |now: &str, going: &[&str], staying: Option<u64>| {
            let found = directory.dependents_of(&id("team/db"), now.parse().unwrap());
            assert_eq!(found.going, going.iter().map(|place| id(place)).collect::<Vec<_>>());
            let left = found.staying.map(|(ids, left)| {
                assert_eq!(ids, [id("team/app")]);
                left.as_millis().div_ceil(1000)
            });
            assert_eq!(left, staying.map(u128::from), "{now}");
        };
        directory.present_kept(&seen("team/app", &["team/db"], json!({})));
        // It cannot name this one: the administrator does not allow that.
        directory.present_kept(&seen("other/app", &["team/db"], deleted("2026-01-01T00:00:00Z")));
        directory.present_kept(&seen("team/db", &[], deleted("2026-01-01T00:00:10Z")));
        check("2026-01-01T00:00:11Z", &[], Some(2));
        check("2026-01-01T00:00:13Z", &[], None);
        // A clock that is behind does not make it longer.
        check("2026-01-01T00:00:00Z", &[], Some(3));
        directory.with(|inner| {
            let long_ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
            inner.going.insert(id("team/db"), long_ago);
        });
        check("2026-01-01T00:00:00Z", &[], None);
        directory.present_kept(&seen("team/app", &["team/db"], deleted("2026-01-01T00:00:12Z")));
        check("2026-01-01T00:00:13Z", &["team/app"], None);
        assert_eq!(directory.absent(&id("team/app")).now, ids(&["team/db"]));
        check("2026-01-01T00:00:13Z", &[], None);
    }

    #[test]
    fn a_release_that_was_given_away_is_judged_by_its_status_at_once() {
        let directory = all(false);
        let db = id("team/db");
        let is_elsewhere = || directory.with(|inner| inner.elsewhere.contains(&db));
        directory.present_kept(&seen("team/db", &[], json!({})));
        assert!(!is_elsewhere());
        directory.step_back(&db);
        assert!(is_elsewhere());
        directory.set_elsewhere(&db, false);
        assert!(!is_elsewhere());
        // Nothing is remembered of one that is gone.
        directory.absent(&db);
        directory.step_back(&db);
        assert!(!is_elsewhere());
    }

    #[test]
    fn of_many_dependents_that_go_only_the_last_ones_notify() {
        let directory = all(false);
        let deleted = || json!({"/metadata/deletionTimestamp": "2026-01-01T00:00:00Z"});
        directory.present_kept(&seen("team/db", &[], deleted()));
        let names: Vec<String> = (0..9).map(|n| format!("team/app{n}")).collect();
        for name in &names {
            directory.present_kept(&seen(name, &["team/db"], deleted()));
        }
        let notified: Vec<usize> = names.iter().map(|name| directory.absent(&id(name)).now.len()).collect();
        assert_eq!(notified, [0, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn a_release_that_waits_is_notified_at_once_when_it_may_continue_and_seldom_otherwise() {
        let directory = all(false);
        let app = seen("team/app", &["team/db"], json!({}));
        let release = Release::parse(&app.open().unwrap().resource).unwrap();
        directory.present_kept(&app);
        let follow = |is_applied: bool| {
            let dependencies = release.depends_on.iter().cloned();
            let followed =
                dependencies.map(|on| Followed::new(on, DependencySource::Release, RuleSet::default()));
            let report = directory.follow(&id("team/app"), KEY, is_applied, followed.collect());
            report.waited_for.into_iter().map(|waited| waited.words).collect::<Vec<_>>().join(", ")
        };
        let sees = |reason: &str| directory.present_kept(&seen("team/db", &[], status(reason)));
        assert_eq!(follow(false), "does not exist");
        let first = sees("HealthTimeout");
        assert_eq!((first.now, first.later.len()), (ids(&["team/app"]), 0));
        assert_eq!(follow(false), "is not ready: HealthTimeout");
        // The same is no news; another reason is, but not at once, and not twice.
        assert_eq!(sees("HealthTimeout"), Notified::default());
        let second = sees("PruneFailed");
        assert_eq!((second.now.len(), second.later.len()), (0, 1));
        assert_eq!(sees("ApplyFailed"), Notified::default());
        assert_eq!(sees("ReconciliationSucceeded").now, ids(&["team/app"]));
        assert_eq!(follow(false), "");
        // Once it is applied, only the loss of a dependency is news.
        assert_eq!(follow(true), "");
        assert_eq!(sees("HealthTimeout"), Notified::default());
        let lost = directory.absent(&id("team/db"));
        assert_eq!(lost.now.len() + lost.later.len(), 1);
        assert_eq!(follow(true), "does not exist");
    }
}
