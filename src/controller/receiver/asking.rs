//! Releases are asked to run: the first time at once, then with growing rests
//! in between, however often they are pushed. The last push is never left out:
//! what comes during a rest is asked for at its end.

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
use crate::pipeline::acquire::chain;

/// The rest after the first time. It doubles while pushes go on, because each of
/// them ends the run that is under way.
const FIRST_REST: Duration = Duration::from_millis(250);
const LONGEST_REST: Duration = Duration::from_secs(16);
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
    /// The releases that were asked a short while ago, and whether they are to be
    /// asked again.
    resting: Mutex<HashMap<ReleaseId, bool>>,
    stopping: CancellationToken,
    tasks: TaskTracker,
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
    pub fn ask(self: &Arc<Self>, seen: Source) -> Option<oneshot::Receiver<Asked>> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(again) = resting.get_mut(&seen.id) {
            *again = true;
            return None;
        }
        resting.insert(seen.id.clone(), false);
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
                Ok(()) => false,
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
            {
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                let again = resting.get_mut(&id).is_some_and(std::mem::take);
                if !again && !failed {
                    resting.remove(&id);
                    return;
                }
            }
            rest = (rest * 2).min(LONGEST_REST);
            result = self.with_a_place(self.ask_as_it_is(&id)).await;
        }
    }

    async fn with_a_place(&self, ask: impl Future<Output = Result<(), ApiError>>) -> Result<(), ApiError> {
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        ask.await
    }

    /// Asks one that was just seen.
    async fn ask_as_seen(&self, seen: &Source) -> Result<(), ApiError> {
        match self.session.ask_for_run(seen, &token()).await {
            Err(error) if error.is_conflict() => self.ask_as_it_is(&seen.id).await,
            Err(error) if error.is_not_found() => Ok(()),
            asked => asked,
        }
    }

    /// Looks at it first: it may be suspended by now, and one that is suspended
    /// would run once.
    async fn ask_as_it_is(&self, id: &ReleaseId) -> Result<(), ApiError> {
        for _ in 0..LOOKS {
            let seen = match self.session.source(id, self.selector.as_ref()).await? {
                Some(seen) if !seen.rests => seen,
                _ => return Ok(()),
            };
            match self.session.ask_for_run(&seen, &token()).await {
                Err(error) if error.is_conflict() => {}
                Err(error) if error.is_not_found() => return Ok(()),
                asked => return asked,
            }
        }
        Err(ApiError::Restless(LOOKS))
    }
}

/// A value that was not there before, on whichever replica it is made.
fn token() -> String {
    format!("{}-webhook-{:08x}", Timestamp::now(), fastrand::u32(..))
}
