//! The state behind the directory of dependencies: who follows what, and who is notified of a
//! change.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use super::promotions::Promotions;
use crate::cluster::named::{ObjectKey, ObjectWatch};
use crate::domain::health::RuleSet;
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::kept::KeptRelease;
use crate::domain::observed::ObservedRelease;
use crate::domain::release::dependency::{Dependency, WaitedFor};
use crate::domain::release::graph::DependencyGraph;
use crate::domain::release::id_of;
use crate::domain::release::readiness::{
    CheckedRevision, DependencyVerdict, MISSING, ReleaseFacts, by_expression, is_by_expression, of_object,
    of_release,
};
use crate::domain::schedule::Damper;

/// How many releases that are deleted first have to be left for a run to look at them.
const FEW: usize = 4;

/// Everything that is known.
#[derive(Default)]
pub(super) struct Inner {
    pub(super) releases: HashMap<ReleaseId, Arc<KeptRelease>>,
    /// When the deletion of a release was seen.
    pub(super) going: HashMap<ReleaseId, Instant>,
    pub(super) graph: DependencyGraph,
    pub(super) checks: HashMap<ReleaseId, RegistryCheck>,
    pub(super) followers: HashMap<ReleaseId, Follower>,
    pub(super) promotions: Promotions,
    pub(super) by_object: HashMap<ObjectKey, BTreeSet<ReleaseId>>,
    /// Releases that other processes work on: these ask the registries, and do not say so here.
    pub(super) elsewhere: HashSet<ReleaseId>,
    /// Releases that wait for dependencies whose expressions have to be evaluated again.
    pub(super) unevaluated: BTreeSet<ReleaseId>,
}

/// Whom a change concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notified {
    /// The releases to run at once.
    pub now: BTreeSet<ReleaseId>,
    /// The releases to run later: what they wait for changes often, and is not ready.
    pub later: Vec<(ReleaseId, Duration)>,
}

/// When the registry has answered to a release.
#[derive(Default)]
pub(super) struct RegistryCheck {
    /// When the last answered request began, and the revision that is wanted since.
    pub(super) answered: Option<(Instant, String)>,
    /// Whether another request has been asked for.
    pub(super) is_asked: bool,
}

/// A release with dependencies.
pub(super) struct Follower {
    /// The revision and its options.
    pub(super) key: String,
    /// When it found this revision.
    pub(super) since: Instant,
    /// Whether the revision waits for the dependencies.
    pub(super) waits: bool,
    /// How often a changed reason to wait is reported.
    pub(super) damper: Damper,
    /// Whether such a report is due later.
    pub(super) is_due: bool,
    pub(super) followed: Vec<Followed>,
}

/// A dependency of a release, as a run finds it.
pub struct Followed {
    pub(super) dependency: Arc<Dependency>,
    pub(super) source: DependencySource,
    /// The rules of the dependent.
    pub(super) rules: RuleSet,
    /// What the expression says of a state of the dependency.
    pub(super) answer: Option<(Snapshot, DependencyVerdict)>,
    /// The reason that the release has reported.
    words: Option<String>,
}

/// A state of a dependency.
#[derive(Clone)]
pub(super) enum Snapshot {
    Release(Arc<ObservedRelease>),
    Object(Arc<Value>),
}

/// How a dependency is known.
pub enum DependencySource {
    /// It is a release that this process watches.
    Release,
    /// It is watched with the rights of the dependent.
    Object(Arc<ObjectWatch>),
    /// It cannot be watched: what the last run found.
    Read(DependencyVerdict, Option<Arc<ObjectWatch>>),
}

/// What a run finds of its dependencies.
#[derive(Default)]
pub struct DependencyReport {
    /// Those that the release waits for or lacks.
    pub waited_for: Vec<WaitedFor>,
    /// Dependencies that have to ask their registries.
    pub unchecked: Vec<ReleaseId>,
    /// Whether nothing else is waited for.
    pub is_only_unchecked: bool,
    /// When a judgement changes only because time passes.
    pub changes_at: Option<Timestamp>,
}

impl DependencySource {
    /// Whether a dependency that could not be watched can be watched now, or the other way round.
    fn has_other_state(&self, waits: bool) -> bool {
        match self {
            Self::Release => false,
            Self::Read(..) => true,
            Self::Object(object) => waits && !object.is_synced(),
        }
    }

    pub(super) fn is_of(&self, key: &ObjectKey) -> bool {
        self.object().is_some_and(|object| object.key() == key)
    }

    fn object(&self) -> Option<&Arc<ObjectWatch>> {
        match self {
            Self::Release => None,
            Self::Object(object) => Some(object),
            Self::Read(_, object) => object.as_ref(),
        }
    }
}

impl Inner {
    /// Sets the releases that a release depends on. Returns those to notify: the members of new
    /// and broken cycles, and deleted ones that waited for this one to be deleted first.
    pub(super) fn depend(&mut self, id: &ReleaseId, named: BTreeSet<ReleaseId>) -> BTreeSet<ReleaseId> {
        let before: Vec<ReleaseId> =
            self.graph.dependencies_of(id).filter(|before| !named.contains(before)).cloned().collect();
        let mut notified = self.graph.set(id, named);
        // The last ones are worth a run; of many others, the retries tell.
        let is_last = |id: &ReleaseId| {
            let others = self.graph.dependents_of(id).filter(|other| self.going.contains_key(*other));
            others.take(FEW).count() < FEW
        };
        notified.extend(before.into_iter().filter(|id| self.going.contains_key(id) && is_last(id)));
        // It runs because of its own change.
        notified.remove(id);
        notified
    }

    /// A release has changed, or what is known of it.
    pub(super) fn changed(&mut self, id: &ReleaseId) -> Notified {
        let dependents: Vec<ReleaseId> = self.graph.dependents_of(id).cloned().collect();
        self.notified(dependents, |followed| {
            matches!(followed.source, DependencySource::Release)
                && followed.dependency.release().as_ref() == Some(id)
        })
    }

    /// Those of the dependents whose view of a dependency has changed, and the dependency itself if
    /// it has to ask its registry.
    pub(super) fn notified(
        &mut self,
        dependents: Vec<ReleaseId>,
        is_changed: impl Fn(&Followed) -> bool,
    ) -> Notified {
        let now = Timestamp::now();
        let mut notified = Notified::default();
        for id in dependents {
            let Some(mut follower) = self.followers.remove(&id) else { continue };
            let (since, waits) = (follower.since, follower.waits);
            for followed in follower.followed.iter_mut().filter(|followed| is_changed(followed)) {
                if followed.source.has_other_state(waits) {
                    notified.now.insert(id.clone());
                    continue;
                }
                let readiness = self.readiness(since, followed, now);
                match readiness {
                    DependencyVerdict::Unchecked if waits => {
                        notified.now.extend(self.ask(followed));
                        continue;
                    }
                    // Not here: that takes longer than a look.
                    DependencyVerdict::Unevaluated if waits => {
                        self.unevaluated.insert(id.clone());
                        continue;
                    }
                    _ => {}
                }
                let words = shown(&readiness, waits);
                if words == followed.words {
                    continue;
                }
                match follower.damper.next().filter(|at| *at > now) {
                    Some(at) if words.is_some() || !waits => {
                        if !std::mem::replace(&mut follower.is_due, true) {
                            let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                            notified.later.push((id.clone(), left));
                        }
                    }
                    _ => {
                        follower.damper.reported(now);
                        followed.words = words;
                        notified.now.insert(id.clone());
                    }
                }
            }
            self.followers.insert(id, follower);
        }
        notified
    }

    pub(super) fn report(
        &mut self,
        id: &ReleaseId,
        follower: &mut Follower,
        now: Timestamp,
    ) -> DependencyReport {
        let (mut report, mut all_unchecked) = (DependencyReport::default(), true);
        for followed in &mut follower.followed {
            let readiness = self.readiness(follower.since, followed, now);
            let before = match (&readiness, &followed.answer) {
                // Where the dependency changes all the time, the last answer says more.
                (DependencyVerdict::Unevaluated, Some((_, before))) => shown(before, follower.waits),
                _ => None,
            };
            all_unchecked &= before.is_none()
                && matches!(
                    readiness,
                    DependencyVerdict::Ready | DependencyVerdict::Unchecked | DependencyVerdict::Unevaluated
                );
            followed.words = before.or_else(|| shown(&readiness, follower.waits));
            match readiness {
                DependencyVerdict::Unchecked if follower.waits => report.unchecked.extend(self.ask(followed)),
                DependencyVerdict::Unevaluated if follower.waits => {
                    self.unevaluated.insert(id.clone());
                }
                DependencyVerdict::Until(_, at) => {
                    report.changes_at = Some(report.changes_at.map_or(at, |known: Timestamp| known.min(at)));
                }
                _ => {}
            }
            if let Some(words) = followed.words.clone() {
                let api_version = followed.dependency.api_version();
                report.waited_for.push(WaitedFor { id: followed.shown_id(), api_version, words });
            }
        }
        report.is_only_unchecked = all_unchecked && !report.waited_for.is_empty();
        // Nothing is waited for any more.
        if follower.waits && report.waited_for.is_empty() {
            follower.waits = false;
        }
        report
    }

    fn readiness(&self, since: Instant, followed: &Followed, now: Timestamp) -> DependencyVerdict {
        let Followed { dependency, source, answer, rules, .. } = followed;
        let state = self.snapshot(followed);
        let expression = answer.as_ref().filter(|(of, _)| state.as_ref().is_some_and(|state| state.is(of)));
        let expression = expression.map(|(_, verdict)| verdict);
        match source {
            DependencySource::Read(readiness, _) => readiness.clone(),
            DependencySource::Object(object) => {
                of_object(dependency, rules, object.reports, object.value().as_deref(), expression, now)
            }
            DependencySource::Release => {
                let known = dependency
                    .release()
                    .and_then(|id| Some((self.releases.get(&id)?.opened()?, self.checks.get(&id))));
                let facts = known.map(|(seen, check)| ReleaseFacts {
                    resource: &seen.resource,
                    checked: check
                        .and_then(|check| check.answered.as_ref())
                        .map(|(at, revision)| CheckedRevision { revision, is_recent: *at >= since }),
                    is_ours: !self.elsewhere.contains(&id_of(&seen.resource)),
                });
                of_release(dependency, facts.as_ref(), expression)
            }
        }
    }

    /// The present state of a dependency.
    pub(super) fn snapshot(&self, followed: &Followed) -> Option<Snapshot> {
        match &followed.source {
            DependencySource::Release => {
                let kept = self.releases.get(&followed.dependency.release()?)?;
                kept.opened().cloned().map(Snapshot::Release)
            }
            DependencySource::Object(object) => object.value().map(Snapshot::Object),
            DependencySource::Read(..) => None,
        }
    }

    /// The release that has to ask its registry, unless it will do so anyway.
    fn ask(&mut self, followed: &Followed) -> Option<ReleaseId> {
        let release = followed.dependency.release()?;
        let check = self.checks.entry(release.clone()).or_default();
        (!std::mem::replace(&mut check.is_asked, true)).then_some(release)
    }

    pub(super) fn insert(&mut self, id: &ReleaseId, follower: Follower) {
        for object in follower.followed.iter().filter_map(|followed| followed.source.object()) {
            self.by_object.entry(object.key().clone()).or_default().insert(id.clone());
        }
        self.followers.insert(id.clone(), follower);
    }

    pub(super) fn unfollow(&mut self, id: &ReleaseId) -> Option<Follower> {
        let before = self.followers.remove(id)?;
        for object in before.followed.iter().filter_map(|followed| followed.source.object()) {
            if let Some(followers) = self.by_object.get_mut(object.key()) {
                followers.remove(id);
                if followers.is_empty() {
                    self.by_object.remove(object.key());
                }
            }
        }
        Some(before)
    }
}

impl Snapshot {
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Release(this), Self::Release(other)) => Arc::ptr_eq(this, other),
            (Self::Object(this), Self::Object(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
}

/// What expressions say of a state of a dependency. It takes up to some milliseconds.
pub(super) fn evaluated(
    dependency: &Dependency,
    rules: &RuleSet,
    state: &Snapshot,
    dependent: &Value,
) -> Option<DependencyVerdict> {
    match state {
        Snapshot::Object(object) => by_expression(dependency, rules, object, dependent),
        Snapshot::Release(seen) => {
            let object = serde_json::to_value(&seen.resource).ok()?;
            by_expression(dependency, rules, &object, dependent)
        }
    }
}

impl Followed {
    /// A dependency whose expression is not evaluated yet. `rules` are those of the dependent.
    pub fn new(dependency: Dependency, source: DependencySource, rules: RuleSet) -> Self {
        Self { dependency: Arc::new(dependency), source, rules, answer: None, words: None }
    }

    /// The kind that is not served, if that is what is wrong.
    pub fn missing_kind(&self) -> Option<(GroupKind, String)> {
        let Dependency { id, version, .. } = &*self.dependency;
        matches!(self.source, DependencySource::Read(_, None)).then(|| (id.group_kind(), version.clone()))
    }

    /// Whether expressions decide about it.
    pub fn has_expression(&self) -> bool {
        is_by_expression(&self.dependency, &self.rules)
    }

    /// The object, without a namespace where its kind has none.
    fn shown_id(&self) -> ObjectId {
        match self.source.object() {
            Some(object) => object.key().id.clone(),
            None => self.dependency.id.clone(),
        }
    }
}

/// What a status says: why a new revision waits, and, once it is applied, only that the
/// dependency is missing.
fn shown(readiness: &DependencyVerdict, waits: bool) -> Option<String> {
    readiness.words().filter(|words| waits || *words == MISSING).map(str::to_owned)
}
