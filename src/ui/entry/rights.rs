//! Which releases a person may list, as the API server says: one set of reviews for all of their open pages.
//!
//! One review for all namespaces comes first. Without that right there is one for each namespace that has releases, in
//! the background, some at a time. A page shows what is known, and how much is not known yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::error::ApiError;
use crate::cluster::review::TokenUser;
use crate::cluster::session::Session;
use crate::domain::message::chain;
use crate::fair::Gate;

/// When a review is made again.
const RENEWED: Duration = Duration::from_secs(120);
/// How long an answer counts while the next one does not come.
const GRACE: Duration = Duration::from_secs(300);
/// Namespaces that are reviewed for one person who does not see all: each costs a review, and memory.
pub const MAX_NAMESPACES: usize = 1000;
/// Reviews at a time of all persons, and of one.
const AT_ONCE: u64 = 16;
const OF_ONE: usize = 8;
/// How long a request waits for reviews before it shows what is known.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long one round of reviews may take; the next one goes on.
const ROUND: Duration = Duration::from_secs(60);
/// The pause after a review without an answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Names of namespaces.
pub type Namespaces = Arc<BTreeSet<Arc<str>>>;

/// Which releases a person sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// All of them.
    All,
    /// Those of some namespaces.
    Some {
        /// The namespaces.
        namespaces: Namespaces,
        /// How many more are not reviewed yet.
        unchecked: usize,
        /// How many more are never reviewed, because there are too many.
        beyond: usize,
        /// Whether the last review had no answer.
        is_stuck: bool,
    },
}

/// Asks the API server, as the operator.
#[derive(Clone)]
pub struct Reviewer {
    operator: Session,
    turns: Arc<Gate>,
}

impl Reviewer {
    /// With the rights of the operator.
    pub fn new(operator: Session) -> Self {
        Self { operator, turns: Gate::new(AT_ONCE) }
    }

    async fn ask(&self, user: &TokenUser, namespace: Option<&str>) -> Result<bool, ApiError> {
        let _turn = self.turns.place(user.name()).await;
        self.operator.may_list_releases(user, namespace).await
    }
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    allowed: bool,
    at: Instant,
}

impl Answer {
    fn is_younger(self, age: Duration, now: Instant) -> bool {
        now.duration_since(self.at) < age
    }
}

/// What the API server has said.
#[derive(Debug, Default)]
struct Answers {
    all: Option<Answer>,
    of: BTreeMap<Arc<str>, Answer>,
    /// When a review had no answer, until one has.
    failed: Option<Instant>,
}

impl Answers {
    /// Whether the namespaces are reviewed one by one, as far as is known.
    fn is_partial(&self, age: Duration, now: Instant) -> bool {
        !self.all.is_some_and(|all| all.allowed && all.is_younger(age, now))
    }

    /// The namespaces that have to be reviewed now.
    fn due(&self, namespaces: &BTreeSet<Arc<str>>, now: Instant) -> Vec<Arc<str>> {
        let reviewed = namespaces.iter().take(MAX_NAMESPACES);
        let due =
            reviewed.filter(|name| !self.of.get(*name).is_some_and(|answer| answer.is_younger(RENEWED, now)));
        due.cloned().collect()
    }

    /// Whether anything has to be reviewed now.
    fn is_due(&self, namespaces: &BTreeSet<Arc<str>>, now: Instant) -> bool {
        if self.failed.is_some_and(|at| now.duration_since(at) < PAUSE) {
            return false;
        }
        match self.all.filter(|all| all.is_younger(RENEWED, now)) {
            None => true,
            Some(all) => !all.allowed && !self.due(namespaces, now).is_empty(),
        }
    }

    fn visible(&self, namespaces: &BTreeSet<Arc<str>>, now: Instant) -> Visibility {
        if !self.is_partial(GRACE, now) {
            return Visibility::All;
        }
        let (mut seen, mut unchecked) = (BTreeSet::new(), 0);
        for name in namespaces.iter().take(MAX_NAMESPACES) {
            match self.of.get(name).filter(|answer| answer.is_younger(GRACE, now)) {
                Some(Answer { allowed: true, .. }) => {
                    seen.insert(Arc::clone(name));
                }
                Some(_) => {}
                None => unchecked += 1,
            }
        }
        Visibility::Some {
            namespaces: Arc::new(seen),
            unchecked,
            beyond: namespaces.len().saturating_sub(MAX_NAMESPACES),
            is_stuck: self.failed.is_some(),
        }
    }
}

/// The rights of a person.
pub struct PersonRights {
    user: TokenUser,
    answers: Mutex<Answers>,
    /// Whether a round of reviews is running.
    running: watch::Sender<bool>,
    changed: watch::Sender<u64>,
}

impl PersonRights {
    /// Of whom nothing is known yet.
    pub fn of(user: TokenUser) -> Arc<Self> {
        let (running, changed) = (watch::Sender::new(false), watch::Sender::new(0));
        Arc::new(Self { user, answers: Mutex::default(), running, changed })
    }

    /// A signal of changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// What the person sees of the releases of these namespaces. What has to be reviewed is, and a request waits a short
    /// time for that.
    pub async fn visible(self: &Arc<Self>, reviewer: &Reviewer, namespaces: &Namespaces) -> Visibility {
        if self.answers().is_due(namespaces, Instant::now()) {
            self.begin(reviewer, namespaces);
            let mut running = self.running.subscribe();
            let waiting = running.wait_for(|running| !running);
            // What is not known by then comes later.
            let _ = tokio::time::timeout(PATIENCE, waiting).await;
        }
        self.answers().visible(namespaces, Instant::now())
    }

    /// Begins a round of reviews if none is running. It goes on when the request has ended.
    fn begin(self: &Arc<Self>, reviewer: &Reviewer, namespaces: &Namespaces) {
        if self.running.send_if_modified(|running| !std::mem::replace(running, true)) {
            let (rights, reviewer, namespaces) = (Arc::clone(self), reviewer.clone(), Arc::clone(namespaces));
            tokio::spawn(async move {
                let round = Round(&rights);
                // A part of it is done then, and the next one goes on from there.
                let _ = tokio::time::timeout(ROUND, rights.review(&reviewer, &namespaces)).await;
                drop(round);
            });
        }
    }

    async fn review(&self, reviewer: &Reviewer, namespaces: &BTreeSet<Arc<str>>) {
        let all = self.answers().all.filter(|all| all.is_younger(RENEWED, Instant::now()));
        let sees_all = match all {
            Some(all) => all.allowed,
            None => match self.noted(reviewer.ask(&self.user, None).await) {
                Some(all) => {
                    self.answers().all = Some(all);
                    self.change();
                    all.allowed
                }
                None => return,
            },
        };
        if sees_all {
            self.answers().of.clear();
            return;
        }
        let due = self.answers().due(namespaces, Instant::now());
        let asked = due.into_iter().map(|name| async move {
            let answer = reviewer.ask(&self.user, Some(&name)).await;
            (name, answer)
        });
        let mut asked = std::pin::pin!(stream::iter(asked).buffer_unordered(OF_ONE));
        while let Some((name, answer)) = asked.next().await {
            let Some(answer) = self.noted(answer) else { return };
            self.answers().of.insert(name, answer);
            self.change();
        }
        self.answers().of.retain(|name, _| namespaces.contains(name));
    }

    /// An answer of now; none where the API server gives none: then the others would not have one, either.
    fn noted(&self, answer: Result<bool, ApiError>) -> Option<Answer> {
        let now = Instant::now();
        let failed = answer.is_err().then_some(now);
        let before = std::mem::replace(&mut self.answers().failed, failed);
        match answer {
            Ok(allowed) => Some(Answer { allowed, at: now }),
            Err(error) => {
                if before.is_none() {
                    tracing::warn!(error = chain(&error), "cannot review what a person may list on the page");
                }
                self.change();
                None
            }
        }
    }

    fn change(&self) {
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A round of reviews, until it is dropped.
struct Round<'r>(&'r PersonRights);

impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.0.running.send_replace(false);
        self.0.change();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|&name| name.into()).collect()
    }

    fn answers(all: Option<(bool, u64)>, of: &[(&str, bool, u64)], begin: Instant) -> Answers {
        let answer = |allowed: bool, at: u64| Answer { allowed, at: begin + Duration::from_secs(at) };
        Answers {
            all: all.map(|(allowed, at)| answer(allowed, at)),
            of: of.iter().map(|&(name, allowed, at)| (name.into(), answer(allowed, at))).collect(),
            failed: None,
        }
    }

    #[test]
    fn one_review_of_all_namespaces_answers_for_each() {
        let (begin, namespaces) = (Instant::now(), names(&["a", "b"]));
        let check = |all: Option<(bool, u64)>, of: &[(&str, bool, u64)], now: u64, expected: &[&str]| {
            let (answers, now) = (answers(all, of, begin), begin + Duration::from_secs(now));
            let found =
                if answers.is_due(&namespaces, now) { answers.due(&namespaces, now) } else { Vec::new() };
            assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), expected, "{all:?} {of:?}");
        };
        check(Some((true, 0)), &[], 0, &[]);
        check(None, &[], 0, &["a", "b"]);
        check(Some((false, 0)), &[], 0, &["a", "b"]);
        check(Some((false, 0)), &[("a", false, 0)], 0, &["b"]);
        check(Some((false, 0)), &[("a", true, 0), ("b", true, 0)], 119, &[]);
        check(Some((false, 100)), &[("a", true, 0), ("b", true, 50)], 120, &["a"]);
        // All namespaces are reviewed again, too.
        assert!(answers(Some((true, 0)), &[], begin).is_due(&namespaces, begin + RENEWED));
    }

    #[test]
    fn what_is_not_reviewed_yet_is_counted_and_not_seen() {
        let (begin, namespaces) = (Instant::now(), names(&["a", "b", "c"]));
        let check =
            |all: Option<(bool, u64)>, of: &[(&str, bool, u64)], now: u64, seen: &[&str], left: usize| {
                let visible = answers(all, of, begin).visible(&namespaces, begin + Duration::from_secs(now));
                let namespaces = Arc::new(names(seen));
                let expected = Visibility::Some { namespaces, unchecked: left, beyond: 0, is_stuck: false };
                assert_eq!(visible, expected, "{all:?} {of:?}");
            };
        check(None, &[], 0, &[], 3);
        check(Some((false, 0)), &[("a", true, 0), ("b", false, 0)], 0, &["a"], 1);
        check(Some((false, 0)), &[("a", true, 0), ("b", true, 200), ("c", false, 0)], 299, &["a", "b"], 0);
        // No answer counts for ever.
        check(Some((false, 0)), &[("a", true, 0), ("b", true, 200), ("c", false, 0)], 300, &["b"], 2);
        check(Some((true, 0)), &[], 300, &[], 3);
        let all = answers(Some((true, 0)), &[("a", false, 0)], begin);
        assert_eq!(all.visible(&namespaces, begin + Duration::from_secs(299)), Visibility::All);
    }

    #[test]
    fn namespaces_beyond_the_bound_are_counted() {
        let namespaces: BTreeSet<Arc<str>> =
            (0..MAX_NAMESPACES + 7).map(|n| format!("team-{n:05}").into()).collect();
        let answers = Answers::default();
        assert_eq!(answers.due(&namespaces, Instant::now()).len(), MAX_NAMESPACES);
        let visible = answers.visible(&namespaces, Instant::now());
        let Visibility::Some { unchecked, beyond, .. } = visible else { panic!("{visible:?}") };
        assert_eq!((unchecked, beyond), (MAX_NAMESPACES, 7));
    }

    #[test]
    fn after_a_review_without_an_answer_there_is_a_pause() {
        let (begin, namespaces) = (Instant::now(), names(&["a"]));
        let failed = Answers { failed: Some(begin), ..Answers::default() };
        assert!(!failed.is_due(&namespaces, begin) && failed.is_due(&namespaces, begin + PAUSE));
        let visible = failed.visible(&namespaces, begin);
        assert!(matches!(visible, Visibility::Some { is_stuck: true, unchecked: 1, .. }), "{visible:?}");
    }
}
