//! The health of several objects together: a conjunction. The judgement of each is
//! from one read of it, and may be out of date.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use litemap::LiteMap;
use serde_json::Value;

use super::early::handling::{FailMode, FailureHandling};
use super::early::merge::{Known, merged};
use super::early::owned::Workload;
use super::early::progress::{ProgressTimer, mark_of, mark_of_status};
use super::early::report::PodsVerdict;
use super::fields::Reports;
use super::rules::RuleSet;
use super::storage::{ClassAnswer, ClassQuestion};
use super::verdict::{Health, HealthState, failures_of};
use crate::api::reason::Reason;
use crate::domain::message::List;
use crate::domain::objects::identity::ObjectId;
use crate::domain::outcome::{Assessment, ObjectFailure};
use crate::domain::schedule::denied;

/// How many objects a message names.
const NAMED: usize = 3;
/// How long an object that was just read may be missing from its watch, which may
/// lag.
const LAG: SignedDuration = SignedDuration::from_secs(2);
/// How old the judgement of an object without a watch may be.
const FRESH: SignedDuration = SignedDuration::from_secs(1);
/// How soon an object that could not be read is read again.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// What is known about an object between two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Its watch is synced and has it in this version, or does not have it.
    Watched(Option<u64>),
    /// No watch covers it.
    Unwatched,
}

/// The result of one read.
#[derive(Clone, Debug)]
struct Judged {
    /// What counts: its own status, and what else is known.
    health: Health,
    /// By its own status alone.
    own: Health,
    handling: FailureHandling,
    /// Its pods, while it is not healthy.
    workload: Option<Workload>,
    /// Which class decides about its volume.
    class: Option<ClassQuestion>,
    /// The resource version that was read; 0 when there was none.
    version: u64,
    at: Timestamp,
    /// Whether it did not exist.
    gone: bool,
    /// Whether a later read failed, so that this may be out of date.
    unsure: bool,
    /// How many reads in a row were forbidden.
    refusals: u32,
}

/// The objects.
#[derive(Clone, Debug, Default)]
pub struct Board {
    rules: RuleSet,
    objects: LiteMap<ObjectId, Option<Box<Judged>>>,
    /// What the pods of workloads say, while they are watched.
    pods: BTreeMap<ObjectId, PodsVerdict>,
    /// Why the volume of a claim never comes.
    classes: BTreeMap<ObjectId, String>,
    /// What happened to the objects since the wait for them began; absent outside of a wait.
    progress: Option<BTreeMap<ObjectId, ProgressTimer>>,
}

impl Judged {
    fn new(health: Health, version: u64, at: Timestamp) -> Self {
        let (own, handling) = (health.clone(), FailureHandling::default());
        let (gone, unsure, refusals) = (false, false, 0);
        Self { health, own, handling, workload: None, class: None, version, at, gone, unsure, refusals }
    }

    fn is_ignored(&self) -> bool {
        self.handling.mode == FailMode::Ignore
    }

    /// Whether it has failed, and that is ignored.
    fn is_let_go(&self) -> bool {
        self.is_ignored() && self.health.state == HealthState::Failed
    }
}

impl Board {
    /// Judges by these rules.
    pub fn new(rules: RuleSet) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether it judges by these rules.
    pub fn judges_by(&self, rules: &RuleSet) -> bool {
        self.rules == *rules
    }

    /// Adds an object that is to be judged.
    pub fn add(&mut self, id: ObjectId) {
        self.objects.entry(id).or_default();
    }

    /// Keeps the objects that are still wanted.
    pub fn retain(&mut self, wanted: impl Fn(&ObjectId) -> bool) {
        self.objects.retain(|id, _| wanted(id));
    }

    /// A wait begins: what happens to the objects counts from now on.
    pub fn follow_progress(&mut self) {
        self.progress = Some(BTreeMap::new());
    }

    /// The wait is over: what else was known of the objects is not kept up to date.
    pub fn end_wait(&mut self) {
        self.progress = None;
        self.pods.clear();
    }

    /// Computes what counts for an object, after something of it is new.
    fn settle(&mut self, id: &ObjectId, mark: Option<u64>, now: Timestamp) {
        let Some(Some(judged)) = self.objects.get_mut(id) else { return };
        let limit = judged.handling.no_progress;
        let stalls = match (&mut self.progress, limit) {
            (Some(all), Some(limit)) => {
                let progress = all.entry(id.clone()).or_insert_with(|| ProgressTimer::since(now));
                if let Some(mark) = mark {
                    progress.note(mark, now);
                }
                progress.ends_at(limit).map(|at| (at, limit))
            }
            _ => None,
        };
        let class = judged.class.as_ref().and_then(|_| self.classes.get(id)).map(String::as_str);
        let known = Known { pods: self.pods.get(id), class, stalls };
        judged.health = merged(&judged.own, judged.handling, known, now);
    }

    /// Notes what the pods of a workload say now. Returns whether that is new.
    pub fn pods_say(&mut self, id: &ObjectId, verdict: Option<PodsVerdict>, now: Timestamp) -> bool {
        if self.pods.get(id) == verdict.as_ref() {
            return false;
        }
        let mark = verdict.as_ref().map(|verdict| verdict.mark);
        match verdict {
            Some(verdict) => drop(self.pods.insert(id.clone(), verdict)),
            None => drop(self.pods.remove(id)),
        }
        self.settle(id, mark, now);
        true
    }

    /// What the pods of a workload say.
    pub fn pods_of(&self, id: &ObjectId) -> Option<&PodsVerdict> {
        self.pods.get(id)
    }

    /// The workloads that are not healthy, whose pods may say why.
    pub fn workloads(&self) -> impl Iterator<Item = (&ObjectId, &Workload)> {
        let judged = self.objects.iter().filter_map(|(id, judged)| Some((id, judged.as_deref()?)));
        judged.filter_map(|(id, judged)| Some((id, judged.workload.as_ref()?)))
    }

    /// Whether a verdict about the object quotes the log of its pod.
    pub fn shows_log(&self, id: &ObjectId) -> bool {
        self.objects.get(id).and_then(Option::as_deref).is_some_and(|judged| judged.handling.shows_log)
    }

    /// The claims whose class decides, and which class that is.
    pub fn class_questions(&self) -> Vec<(ObjectId, ClassQuestion)> {
        let asks = |(id, judged): (&ObjectId, &Option<Box<Judged>>)| {
            Some((id.clone(), judged.as_ref()?.class.clone()?))
        };
        self.objects.iter().filter_map(asks).collect()
    }

    /// Notes whether the class of a claim exists.
    pub fn class_is(&mut self, id: &ObjectId, answer: ClassAnswer, now: Timestamp) {
        let Some(Some(judged)) = self.objects.get_mut(id) else { return };
        let why = judged.class.as_ref().and_then(|question| question.judged(answer));
        match why {
            Some(why) => drop(self.classes.insert(id.clone(), why)),
            None => drop(self.classes.remove(id)),
        }
        self.settle(id, None, now);
    }

    /// Judges an object by what was read now; `None` when it does not exist.
    pub fn judge(&mut self, id: &ObjectId, reports: Reports, object: Option<&Value>, now: Timestamp) {
        let health = match object {
            Some(object) => self.rules.assess_of(reports, object, now),
            None => Health::in_progress("not found"),
        };
        let version = object.and_then(|o| o.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok());
        let version = version.unwrap_or_default();
        let mut judged = Judged { gone: object.is_none(), ..Judged::new(health, version, now) };
        let mut mark = mark_of([&judged.own.message].into_iter());
        if let Some(object) = object {
            judged.handling = FailureHandling::of(object);
            judged.class = ClassQuestion::of(object, &judged.own);
            if !judged.own.state.is_healthy() {
                judged.workload = Workload::of(object);
            }
            if judged.handling.no_progress.is_some() && self.progress.is_some() {
                mark ^= mark_of_status(object);
            }
        }
        self.objects.insert(id.clone(), Some(Box::new(judged)));
        self.settle(id, Some(mark), now);
    }

    /// Remembers that reading an object is forbidden, and why. A change of the object does
    /// not make it readable, so it is read again after a delay.
    pub fn refused(&mut self, id: &ObjectId, why: &str, now: Timestamp) {
        let mut health = Health::in_progress(format!("cannot read its status: {why}"));
        let before = self.objects.get(id).and_then(Option::as_deref).map_or(0, |judged| judged.refusals);
        let refusals = before.saturating_add(1);
        health.changes_at = now.checked_add(denied(refusals)).ok();
        let judged = Judged { refusals, ..Judged::new(health, u64::MAX, now) };
        self.objects.insert(id.clone(), Some(Box::new(judged)));
    }

    /// Remembers that a read of an object was not answered: the last judgement remains,
    /// and it is read again soon.
    pub fn unanswered(&mut self, id: &ObjectId, why: &str, now: Timestamp) {
        let slot = self.objects.entry(id.clone()).or_default();
        let judged = slot.get_or_insert_with(|| {
            let health = Health::in_progress(format!("cannot read its status: {why}"));
            Box::new(Judged { unsure: true, ..Judged::new(health, 0, now) })
        });
        judged.unsure = true;
        judged.gone = false;
        let again = now.checked_add(AGAIN).ok();
        // What counts may be computed once more before that.
        (judged.own.changes_at, judged.health.changes_at) = (again, again);
    }

    /// Whether the last read of an object was not answered.
    pub fn is_unsure(&self, id: &ObjectId) -> bool {
        self.objects.get(id).and_then(Option::as_deref).is_some_and(|judged| judged.unsure)
    }

    /// The objects whose judgement is missing, or out of date according to `sight`.
    pub fn outdated(&self, sight: impl Fn(&ObjectId) -> Sight, now: Timestamp) -> Vec<ObjectId> {
        let is_outdated = |id: &ObjectId, judged: &Option<Box<Judged>>| {
            let Some(judged) = judged else { return true };
            if judged.health.changes_at.is_some_and(|at| at <= now) {
                return true;
            }
            match sight(id) {
                Sight::Watched(Some(version)) => version > judged.version,
                Sight::Watched(None) => judged.version != 0 && now.duration_since(judged.at) > LAG,
                Sight::Unwatched => now.duration_since(judged.at) >= FRESH,
            }
        };
        let outdated = self.objects.iter().filter(|(id, judged)| is_outdated(id, judged));
        outdated.map(|(id, _)| id.clone()).collect()
    }

    /// Whether the judgement of an object may have changed only because time passed.
    pub fn is_due(&self, id: &ObjectId, now: Timestamp) -> bool {
        let judged = self.objects.get(id).and_then(Option::as_deref);
        judged.and_then(|judged| judged.health.changes_at).is_some_and(|at| at <= now)
    }

    /// The objects that have not been read yet.
    pub fn unjudged(&self) -> Vec<ObjectId> {
        self.objects.iter().filter(|(_, judged)| judged.is_none()).map(|(id, _)| id.clone()).collect()
    }

    /// The state of an object for those that wait for it, according to the last read; `None` if
    /// it is not known for sure. A failure that is ignored holds nobody.
    pub fn state(&self, id: &ObjectId) -> Option<HealthState> {
        let judged = self.objects.get(id)?.as_ref()?;
        let state = if judged.is_let_go() { HealthState::Current } else { judged.health.state };
        (!judged.unsure).then_some(state)
    }

    /// Why an object is not healthy, according to the last read.
    pub fn health(&self, id: &ObjectId) -> Option<&Health> {
        self.objects.get(id)?.as_ref().map(|judged| &judged.health)
    }

    /// Whether all objects are healthy, or have failed and are ignored, according to the last
    /// reads.
    pub fn is_healthy(&self) -> bool {
        let is_well =
            |judged: &Judged| (judged.health.state.is_healthy() || judged.is_let_go()) && !judged.unsure;
        self.objects.values().all(|judged| judged.as_deref().is_some_and(is_well))
    }

    fn in_state(&self, which: impl Fn(&Judged) -> bool) -> impl Iterator<Item = (&ObjectId, &Health)> {
        let judged = self.objects.iter().filter_map(|(id, judged)| Some((id, judged.as_deref()?)));
        judged.filter(move |(_, judged)| which(judged)).map(|(id, judged)| (id, &judged.health))
    }

    /// The objects that are not healthy yet and may become so.
    pub fn waiting(&self) -> impl Iterator<Item = (&ObjectId, &Health)> {
        self.in_state(|judged| match judged.health.state {
            HealthState::Current | HealthState::Suspended => judged.unsure,
            HealthState::InProgress | HealthState::Terminating => true,
            HealthState::Failed => false,
        })
    }

    /// The objects that have failed, without those whose failure is ignored.
    pub fn failed(&self) -> impl Iterator<Item = (&ObjectId, &Health)> {
        self.in_state(|judged| judged.health.state == HealthState::Failed && !judged.is_ignored())
    }

    /// The objects that are waited for and fail the release when they are too late.
    pub fn needed(&self) -> impl Iterator<Item = (&ObjectId, &Health)> {
        let waiting: Vec<_> = self.waiting().collect();
        waiting.into_iter().filter(move |(id, _)| !self.ignores(id))
    }

    /// Whether the failure of an object is ignored, as its annotation says.
    pub fn ignores(&self, id: &ObjectId) -> bool {
        self.objects.get(id).and_then(Option::as_deref).is_some_and(Judged::is_ignored)
    }

    /// An object that did not exist when it was last read.
    pub fn missing(&self) -> Option<&ObjectId> {
        self.objects
            .iter()
            .find(|(_, judged)| judged.as_ref().is_some_and(|judged| judged.gone))
            .map(|(id, _)| id)
    }

    /// The earliest time at which a judgement may change only because time passed.
    pub fn changes_at(&self) -> Option<Timestamp> {
        self.objects.values().flatten().filter_map(|judged| judged.health.changes_at).min()
    }

    /// The objects of an applied revision that are not healthy, the failed ones
    /// first. One that could not be read keeps its last judgement.
    pub fn unhealthy(&self) -> Vec<ObjectFailure> {
        let others = self.in_state(|judged| {
            matches!(judged.health.state, HealthState::InProgress | HealthState::Terminating)
                && !judged.is_ignored()
        });
        failures_of(Reason::Unhealthy, self.failed().chain(others))
    }

    /// Whether the objects of an applied revision are healthy now.
    pub fn assessment(&self) -> Assessment {
        let unhealthy = self.unhealthy();
        if unhealthy.is_empty() {
            let suspended: Vec<&ObjectId> = self
                .in_state(|judged| judged.health.state == HealthState::Suspended)
                .map(|(id, _)| id)
                .collect();
            let ignored: Vec<&ObjectId> = self
                .in_state(|judged| judged.is_ignored() && !judged.health.state.is_healthy())
                .map(|(id, _)| id)
                .collect();
            let mut message = match suspended.is_empty() {
                true => "All objects are healthy".to_owned(),
                false => {
                    format!("All objects are healthy or suspended: {}", List::Names.few(suspended, NAMED))
                }
            };
            if !ignored.is_empty() {
                let ignored = List::Names.few(ignored, NAMED);
                message = format!("{message}; not healthy and ignored: {ignored}");
            }
            return Assessment { status: Some(true), reason: Reason::Healthy, message };
        }
        let headline = match unhealthy.len() {
            1 => "1 object is unhealthy".to_owned(),
            n => format!("{n} objects are unhealthy"),
        };
        let named = unhealthy.iter().map(|f| (&f.id, f.message.as_str()));
        let message = listed(&headline, named);
        Assessment { status: Some(false), reason: Reason::Unhealthy, message }
    }
}

/// A headline and the first of the objects that it is about.
pub fn listed<'a>(headline: &str, objects: impl Iterator<Item = (&'a ObjectId, &'a str)>) -> String {
    let objects = List::Clauses.few_as(objects, NAMED, |(id, why)| format!("{id}: {why}"));
    if objects.is_empty() { headline.to_owned() } else { format!("{headline}; {objects}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(name: &str) -> ObjectId {
        ObjectId::from_inventory_id(&format!("a_{name}__Pod")).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pod(version: &str, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "resourceVersion": version},
               "status": {"phase": phase}})
    }

    fn board(pods: &[(&str, &str)]) -> Board {
        let mut board = Board::default();
        for (name, phase) in pods {
            board.judge(&id(name), Reports::Unknown, Some(&pod("5", phase)), at(10));
        }
        board
    }

    fn names<'a>(objects: impl Iterator<Item = (&'a ObjectId, &'a Health)>) -> Vec<String> {
        objects.map(|(id, _)| id.name.clone()).collect()
    }

    #[test]
    fn all_are_healthy_only_together_and_only_while_each_is() {
        let mut all = board(&[("x", "Succeeded"), ("y", "Succeeded")]);
        assert!(all.is_healthy());
        all.judge(&id("x"), Reports::Unknown, Some(&pod("6", "Pending")), at(11));
        assert!(!all.is_healthy());
        assert_eq!(names(all.waiting()), ["x"]);
        all.judge(&id("x"), Reports::Unknown, Some(&pod("7", "Failed")), at(12));
        assert_eq!((names(all.waiting()), names(all.failed())), (vec![], vec!["x".to_owned()]));
        all.judge(&id("x"), Reports::Unknown, Some(&pod("8", "Succeeded")), at(13));
        assert!(all.is_healthy());
        all.add(id("z"));
        assert!(!all.is_healthy(), "one that nobody has read is not healthy");
        all.retain(|id| id.name != "z");
        assert!(all.is_healthy());
        all.judge(&id("y"), Reports::Unknown, None, at(14));
        assert!(!all.is_healthy(), "nor is one that is gone");
    }

    #[test]
    fn an_answer_that_did_not_come_ends_no_wait_and_changes_no_verdict() {
        let mut all = board(&[("x", "Succeeded")]);
        all.unanswered(&id("x"), "away", at(11));
        assert!(!all.is_healthy());
        assert_eq!(names(all.waiting()), ["x"]);
        assert_eq!(all.assessment().status, Some(true));
        assert_eq!(all.changes_at(), Some(at(13)));
        all.unanswered(&id("new"), "away", at(11));
        assert_eq!(all.assessment().status, Some(false));
        all.refused(&id("x"), "forbidden", at(12));
        let message = all.assessment().message;
        assert!(message.contains("Pod/a/x: cannot read its status: forbidden"), "{message}");
    }

    #[test]
    fn what_is_out_of_date_is_read_again_and_nothing_else() {
        let all = board(&[("x", "Succeeded")]);
        let check = |sight: Sight, now: i64, expected: bool| {
            assert_eq!(!all.outdated(|_| sight, at(now)).is_empty(), expected, "{sight:?} {now}");
        };
        check(Sight::Watched(Some(5)), 99, false);
        check(Sight::Watched(Some(4)), 99, false);
        check(Sight::Watched(Some(6)), 10, true);
        // A watch may lag behind the last apply.
        check(Sight::Watched(None), 11, false);
        check(Sight::Watched(None), 13, true);
        check(Sight::Unwatched, 10, false);
        check(Sight::Unwatched, 11, true);
        let mut never = Board::default();
        never.add(id("x"));
        assert_eq!(never.outdated(|_| Sight::Watched(Some(1)), at(1)), [id("x")]);
        never.unanswered(&id("x"), "away", at(1));
        assert!(never.outdated(|_| Sight::Watched(None), at(2)).is_empty());
        assert_eq!(never.outdated(|_| Sight::Watched(None), at(3)), [id("x")]);
    }

    #[test]
    fn the_message_names_the_failed_first_and_few() {
        let check = |pods: &[(&str, &str)], expected: &str| {
            assert_eq!(board(pods).assessment().message, expected);
        };
        check(&[("x", "Succeeded")], "All objects are healthy");
        check(&[("x", "Pending")], "1 object is unhealthy; Pod/a/x: is starting");
        check(
            &[("a", "Pending"), ("b", "Pending"), ("c", "Pending"), ("d", "Failed")],
            "4 objects are unhealthy; Pod/a/d: has failed; Pod/a/a: is starting; Pod/a/b: is starting; \
             and 1 more",
        );
    }
}
