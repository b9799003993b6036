//! Releases are asked to run: the first time at once, then with growing rests
//! in between, however often they are pushed. The last push is never left out:
//! what comes during a rest is asked for at its end. A registry may tell of a push
//! before it has moved the tag, so that the first run comes too early: it is asked
//! again until a run was about what was pushed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::cluster::sources::Source;
use crate::domain::identity::ReleaseId;
use crate::domain::patch::selector::Selector;
use crate::domain::webhook::push::Push;
use crate::pipeline::acquire::chain;

/// The rest after the first time. It doubles while pushes go on, because each of
/// them ends the run that is under way.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(16);
/// How often it is asked again for a push that no run has seen: with the rests,
/// for 16 s.
const ECHOES: u32 = 6;
/// The same where nothing tells whether one has: for 0.75 s.
const BLIND_ECHOES: u32 = 2;
/// How often it is tried while the API server is away, with the same rests.
const ATTEMPTS: u32 = 6;
/// How often a release that changes all the time is looked at again.
const LOOKS: usize = 5;
/// Releases asked at once: the runs need the API server too.
const PARALLEL: usize = 16;
/// How long what is still to be asked may take when the process ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Asks.
pub struct Asking {
    session: Session,
    selector: Option<Selector>,
    places: Semaphore,
    /// The releases that were asked a short while ago, and what is still to come.
    resting: Mutex<HashMap<ReleaseId, Due>>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// What a release is still to be asked for.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// How often at most.
    times: u32,
    /// The digest that makes it needless once a run was about it.
    until: Option<String>,
}

impl Due {
    /// After pushes that concern a release.
    pub fn after(pushes: &[&Push]) -> Self {
        match pushes {
            [push] if push.outcome().is_some() => {
                Self { times: ECHOES, until: push.outcome().map(str::to_owned) }
            }
            // Nothing tells whether a run has seen them. Who names no digest tells
            // of what has happened.
            _ if pushes.iter().any(|push| push.digest.is_some()) => Self { times: BLIND_ECHOES, until: None },
            _ => Self::default(),
        }
    }
}

/// Whether a release was asked.
pub type Asked = Result<(), ()>;

impl Asking {
    /// Of releases that this session may write, with these labels.
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

    /// Asks a release, as it was seen. Nothing comes back when it was asked a
    /// short while ago: it will be again, soon.
    pub fn ask(self: &Arc<Self>, seen: Source, due: Due) -> Option<oneshot::Receiver<Asked>> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = resting.get_mut(&seen.id) {
            *before = Due { times: due.times.max(1), ..due };
            return None;
        }
        resting.insert(seen.id.clone(), due);
        let (sender, receiver) = oneshot::channel();
        self.tasks.spawn(Arc::clone(self).look_after(seen, sender));
        Some(receiver)
    }

    /// Asks at once what is still to be asked.
    pub async fn finish(&self) {
        self.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(DRAIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("some releases could not be asked to run; they will at their next interval");
        }
    }

    async fn look_after(self: Arc<Self>, seen: Source, first: oneshot::Sender<Asked>) {
        let id = seen.id.clone();
        let mut rest = FIRST_REST;
        let mut failures = 0;
        let mut result = self.with_a_place(self.ask_as_seen(&seen)).await;
        // Who has gone away needs no answer.
        let _ = first.send(result.as_ref().map(|_| ()).map_err(|_| ()));
        loop {
            let failed = match &result {
                Ok(_) => false,
                Err(error) if error.is_transient() && failures < ATTEMPTS => true,
                Err(error) => {
                    let error = chain(error);
                    tracing::warn!(release = %id, error, "a release could not be asked to run");
                    false
                }
            };
            failures = if failed { failures + 1 } else { 0 };
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                () = self.stopping.cancelled() => failures = ATTEMPTS,
            }
            rest = (rest * 2).min(LONGEST_REST);
            let Some(until) = self.next(&id, failed) else { return };
            result = self.with_a_place(self.ask_as_it_is(&id, until.as_deref())).await;
            if matches!(result, Ok(false)) {
                self.settle(&id, &until);
            }
        }
    }

    /// Whether to ask once more, and until what was seen; ends the rest if not.
    fn next(&self, id: &ReleaseId, failed: bool) -> Option<Option<String>> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let due = resting.get_mut(id)?;
        if due.times == 0 && !failed {
            resting.remove(id);
            return None;
        }
        due.times = due.times.saturating_sub(1);
        Some(due.until.clone())
    }

    /// Nothing is left to ask for, unless there was another push meanwhile.
    fn settle(&self, id: &ReleaseId, until: &Option<String>) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(due) = resting.get_mut(id).filter(|due| due.until == *until) {
            due.times = 0;
        }
    }

    async fn with_a_place(
        &self,
        ask: impl Future<Output = Result<bool, ApiError>>,
    ) -> Result<bool, ApiError> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        ask.await
    }

    /// Asks one that was just seen; says whether it was asked.
    async fn ask_as_seen(&self, seen: &Source) -> Result<bool, ApiError> {
        match self.session.ask_for_run(seen, &token()).await {
            Err(error) if error.is_conflict() => self.ask_as_it_is(&seen.id, None).await,
            Err(error) if error.is_not_found() => Ok(false),
            asked => asked.map(|()| true),
        }
    }

    /// Looks at it first: it may be suspended by now, and one that is suspended
    /// would run once. Nothing is asked when its last run was about the digest.
    async fn ask_as_it_is(&self, id: &ReleaseId, until: Option<&str>) -> Result<bool, ApiError> {
        for _ in 0..LOOKS {
            let seen = match self.session.source(id, self.selector.as_ref()).await? {
                Some(seen) if !seen.rests => seen,
                _ => return Ok(false),
            };
            if until.is_some_and(|digest| seen.attempted.ends_with(digest)) {
                return Ok(false);
            }
            match self.session.ask_for_run(&seen, &token()).await {
                Err(error) if error.is_conflict() => {}
                Err(error) if error.is_not_found() => return Ok(false),
                asked => return asked.map(|()| true),
            }
        }
        Err(ApiError::Restless(LOOKS))
    }
}

/// A value that was not there before, on whichever replica it is made.
fn token() -> String {
    format!("{}-webhook-{:08x}", Timestamp::now(), fastrand::u32(..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::push::Place;

    #[test]
    fn what_may_be_told_too_early_is_asked_for_again() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let push = |tag: Option<&str>, digest: Option<&str>| {
            Push::new(Place::parse("ghcr.io/app").unwrap(), tag).of(digest)
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
}
