//! Triggers releases: the first time at once, then with growing pauses, for any number of pushes.
//! The last push is never lost: pushes during a pause are handled at its end. A registry may send
//! the notification before it has moved the tag, so that the first run is too early: the release is
//! triggered again until a run has the pushed digest. A trigger ends the current run, so a release
//! is not triggered again before the triggered run has ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::cluster::sources::ArtifactSource;
use crate::domain::identity::ReleaseId;
use crate::domain::patch::selector::Selector;
use crate::domain::webhook::push::Push;
use crate::reconcile::error::chain;

/// The pause after the first trigger. It doubles while pushes continue, up to a time that a person
/// still waits for after a push: the next trigger does not end a run, see [`Step::Look`], so that a
/// longer pause would save nothing.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How often a release is triggered again for a push that no run has seen: with the pauses, for 5 s
/// and as long as the runs take.
const ECHOES: u32 = 6;
/// The same if it is unknown whether one has: for 0.75 s.
const BLIND_ECHOES: u32 = 2;
/// How often to check whether the triggered run has ended: with the pauses, for half a minute. It
/// may pull, or wait for health; after that the release is triggered once more in any case.
const LOOKS_AT_A_RUN: u32 = 30;
/// Retries while the API server is unavailable: for half a minute, too.
const ATTEMPTS: u32 = 30;
/// Retries for a release that changes all the time.
const LOOKS: usize = 5;
/// Releases triggered at once: the runs need the API server too.
const PARALLEL: usize = 16;
/// How long pending triggers may take when the process ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Triggers releases.
pub struct Asking {
    session: Session,
    selector: Option<Selector>,
    places: Semaphore,
    /// The releases that were triggered recently, and their pending triggers.
    resting: Mutex<HashMap<ReleaseId, Due>>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// The pending triggers of a release.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// The maximum number.
    times: u32,
    /// The pushed digest; a run with it makes the trigger unnecessary.
    until: Option<String>,
    /// The number of pushes during the pause.
    later: u64,
}

impl Due {
    /// After pushes that concern a release.
    pub fn after(pushes: &[&Push]) -> Self {
        match pushes {
            [push] if push.outcome().is_some() => {
                Self { times: ECHOES, until: push.outcome().map(str::to_owned), later: 0 }
            }
            // It is unknown whether a run has seen them. A notification without a digest comes
            // after the push.
            _ if pushes.iter().any(|push| push.digest.is_some()) => {
                Self { times: BLIND_ECHOES, ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// Adds a push during a pause. A run with one of two digests says nothing about the other: the
    /// tag may have been there before.
    fn and(&self, later: &Self) -> Self {
        let same = self.until.is_some() && self.until == later.until;
        let until = later.until.clone().filter(|_| same);
        let most = if same { ECHOES } else { BLIND_ECHOES };
        let times = self.times.max(later.times).clamp(1, most);
        Self { times, until, later: self.later + 1 }
    }
}

/// The next step for a release with pending triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Trigger it now.
    Ask,
    /// Check again later: the last triggered run has not ended.
    Look,
    /// Nothing: no run is needed.
    Nothing,
}

impl Step {
    /// For the current state of a release. The digest of its last run counts only if that run has
    /// seen the last trigger; `patient` says whether to wait for such a run.
    fn of(seen: &ArtifactSource, until: Option<&str>, patient: bool) -> Self {
        let ended = seen.asked.is_some() && seen.asked == seen.handled;
        if seen.rests || ended && until.is_some_and(|digest| seen.attempted.ends_with(digest)) {
            Self::Nothing
        } else if patient && seen.asked.is_some() && !ended {
            Self::Look
        } else {
            Self::Ask
        }
    }
}

/// Whether a release was triggered.
pub type Asked = Result<(), ()>;

impl Asking {
    /// For releases that this session may write, with these labels.
    pub fn new(session: Session, selector: Option<Selector>) -> Arc<Self> {
        Arc::new(Self {
            session,
            selector,
            places: Semaphore::new(PARALLEL),
            resting: Mutex::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Triggers a release, as listed. `None` when it was triggered recently: it will be triggered
    /// again soon.
    pub fn ask(self: &Arc<Self>, seen: ArtifactSource, due: Due) -> Option<oneshot::Receiver<Asked>> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = resting.get_mut(&seen.id) {
            *before = before.and(&due);
            return None;
        }
        resting.insert(seen.id.clone(), due);
        let (sender, receiver) = oneshot::channel();
        self.tasks.spawn(Arc::clone(self).look_after(seen, sender));
        Some(receiver)
    }

    /// Sends all pending triggers at once.
    pub async fn finish(&self) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("cannot trigger some releases; they run at their next interval");
        }
    }

    async fn look_after(self: Arc<Self>, seen: ArtifactSource, first: oneshot::Sender<Asked>) {
        let id = seen.id.clone();
        let mut rest = FIRST_REST;
        let (mut failures, mut looks) = (0, 0);
        let mut result = self.with_a_place(self.ask_as_seen(&seen)).await;
        // The sender may be gone already.
        let _ = first.send(result.as_ref().map(|_| ()).map_err(|_| ()));
        loop {
            let failed = again(&id, &result, failures);
            failures = if failed { failures + 1 } else { 0 };
            let stopping = tokio::select! {
                () = tokio::time::sleep(rest) => false,
                () = self.stopping.cancelled() => true,
            };
            rest = (rest * 2).min(LONGEST_REST);
            let Some(due) = self.next(&id, failed) else { return };
            let patient = looks < LOOKS_AT_A_RUN && !stopping;
            result = self.with_a_place(self.ask_as_it_is(&id, due.until.as_deref(), patient)).await;
            if stopping {
                // The process ends; there are no further checks.
                again(&id, &result, ATTEMPTS);
                return;
            }
            match result {
                Ok(Step::Look) => self.put_back(&id),
                Ok(Step::Nothing) => self.settle(&id, &due),
                // A run that takes so long is ended only once.
                Ok(Step::Ask) if !patient => self.settle(&id, &due),
                _ => {}
            }
            looks = if matches!(result, Ok(Step::Look)) { looks + 1 } else { 0 };
        }
    }

    /// The next step, if there is one; otherwise ends the pause.
    fn next(&self, id: &ReleaseId, failed: bool) -> Option<Due> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let due = resting.get_mut(id)?;
        if due.times == 0 && !failed {
            resting.remove(id);
            return None;
        }
        due.times = due.times.saturating_sub(1);
        Some(due.clone())
    }

    /// It was not triggered: it is still due.
    fn put_back(&self, id: &ReleaseId) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = resting.get_mut(id) {
            due.times += 1;
        }
    }

    /// No trigger is left, unless there was another push meanwhile.
    fn settle(&self, id: &ReleaseId, seen: &Due) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = resting.get_mut(id).filter(|due| due.later == seen.later) {
            due.times = 0;
        }
    }

    async fn with_a_place(
        &self,
        ask: impl Future<Output = Result<Step, ApiError>>,
    ) -> Result<Step, ApiError> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        ask.await
    }

    /// Triggers a release that was just listed; returns what was done.
    async fn ask_as_seen(&self, seen: &ArtifactSource) -> Result<Step, ApiError> {
        match self.session.ask_for_run(seen, &token()).await {
            Err(error) if error.is_conflict() => self.ask_as_it_is(&seen.id, None, false).await,
            Err(error) if error.is_not_found() => Ok(Step::Nothing),
            asked => asked.map(|()| Step::Ask),
        }
    }

    /// Reads it first: it may be suspended now, and a suspended release would run once.
    async fn ask_as_it_is(
        &self,
        id: &ReleaseId,
        until: Option<&str>,
        patient: bool,
    ) -> Result<Step, ApiError> {
        for _ in 0..LOOKS {
            let Some(seen) = self.session.source(id, self.selector.as_ref()).await? else {
                return Ok(Step::Nothing);
            };
            let step = Step::of(&seen, until, patient);
            if step != Step::Ask {
                return Ok(step);
            }
            match self.session.ask_for_run(&seen, &token()).await {
                Err(error) if error.is_conflict() => {}
                Err(error) if error.is_not_found() => return Ok(Step::Nothing),
                asked => return asked.map(|()| Step::Ask),
            }
        }
        Err(ApiError::ConflictRetriesExhausted(LOOKS))
    }
}

/// Whether to retry after this many failures; logs it if not.
fn again(id: &ReleaseId, result: &Result<Step, ApiError>, failures: u32) -> bool {
    match result {
        Ok(_) => false,
        Err(error) if error.is_transient() && failures < ATTEMPTS => true,
        Err(error) => {
            let error = chain(error);
            tracing::warn!(release = %id, error, "cannot trigger a release");
            false
        }
    }
}

/// A unique value, on every replica.
fn token() -> String {
    format!("{}-webhook-{:08x}", Timestamp::now(), fastrand::u32(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::push::PushedRepository;

    #[test]
    fn what_may_be_announced_too_early_is_asked_for_again() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let push = |tag: Option<&str>, digest: Option<&str>| {
            Push::new(PushedRepository::parse("ghcr.io/app").unwrap(), tag).of(digest)
        };
        let check = |pushes: &[Push], times: u32, until: Option<&str>| {
            let due = Due::after(&pushes.iter().collect::<Vec<_>>());
            assert_eq!((due.times, due.until.as_deref()), (times, until), "{pushes:?}");
        };
        let attached = digest.replace(':', "-");
        check(&[push(Some("v1"), Some(&digest))], ECHOES, Some(&digest));
        check(&[push(Some(&attached), Some(&digest))], BLIND_ECHOES, None);
        check(&[push(None, Some(&digest))], BLIND_ECHOES, None);
        check(&[push(Some("v1"), Some(&digest)), push(Some("v2"), Some(&digest))], BLIND_ECHOES, None);
        check(&[push(Some("v1"), None)], 0, None);
    }

    #[test]
    fn of_two_pushes_the_later_is_not_believed_to_be_over_by_a_run_before() {
        let due = |times, until: Option<&str>| Due { times, until: until.map(str::to_owned), later: 0 };
        let check = |before: &Due, later: &Due, times: u32, until: Option<&str>| {
            let both = before.and(later);
            assert_eq!(
                (both.times, both.until.as_deref(), both.later),
                (times, until, 1),
                "{before:?} {later:?}"
            );
        };
        check(&due(3, Some("x")), &due(6, Some("x")), 6, Some("x"));
        check(&due(0, Some("x")), &due(6, Some("x")), 6, Some("x"));
        check(&due(4, Some("y")), &due(6, Some("x")), 2, None);
        check(&due(2, None), &due(6, Some("x")), 2, None);
        check(&due(6, Some("x")), &due(2, None), 2, None);
        check(&due(0, None), &due(0, None), 1, None);
    }

    #[test]
    fn a_release_is_asked_again_when_the_run_has_ended_that_it_was_asked_for() {
        let check = |asked: Option<&str>, handled: Option<&str>, until: Option<&str>, expected: [Step; 2]| {
            let seen = ArtifactSource {
                id: ReleaseId { namespace: "a".into(), name: "b".into() },
                resource_version: String::new(),
                url: String::new(),
                reference: serde_json::from_str("{}").unwrap(),
                rests: false,
                attempted: "1@x".into(),
                asked: asked.map(str::to_owned),
                handled: handled.map(str::to_owned),
            };
            let steps = [true, false].map(|patient| Step::of(&seen, until, patient));
            assert_eq!(steps, expected, "{asked:?} {handled:?} {until:?}");
            let suspended = ArtifactSource { rests: true, ..seen };
            assert_eq!(Step::of(&suspended, until, true), Step::Nothing);
        };
        let (one, two) = (Some("one"), Some("two"));
        check(two, two, Some("x"), [Step::Nothing; 2]);
        check(two, two, Some("y"), [Step::Ask; 2]);
        check(two, two, None, [Step::Ask; 2]);
        for until in [Some("x"), Some("y"), None] {
            check(two, one, until, [Step::Look, Step::Ask]);
            check(one, None, until, [Step::Look, Step::Ask]);
            check(None, None, until, [Step::Ask; 2]);
        }
    }
}
