//! The life of the actor of a release, and what follows a crash.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;

use crate::cluster::inventory::Stored;
use crate::controller::actor::{Actor, SharedState};
use crate::controller::latest::Latest;
use crate::domain::identity::ReleaseId;
use crate::reconcile::cache::Caches;
use crate::reconcile::scope::signals::Signals;

/// The pause of a release after one of its runs has crashed.
const AFTER_CRASH: Duration = Duration::from_secs(30);

/// A new actor. Not in a future: that would keep the place for its parts as long as the release exists.
fn begin(shared: &Arc<SharedState>, id: &ReleaseId, latest: &Latest, signals: &Arc<Signals>) -> Box<Actor> {
    let mut caches = Caches::default();
    // A new release is assumed to have no inventory; the first write finds out. One that has
    // run before reads it first.
    if !latest.get().has_begun {
        caches.cluster.remember(&shared.env, id, Stored::default());
    }
    Box::new(Actor::new(Arc::clone(shared), latest.clone(), Arc::clone(signals), caches))
}

/// The life of an actor.
async fn live(shared: &Arc<SharedState>, id: &ReleaseId, latest: &Latest, signals: &Arc<Signals>) {
    begin(shared, id, latest, signals).live().await;
}

/// Waits for the end of a task; returns the words of its crash, if that is how it ends.
async fn crash_of(life: impl Future<Output = ()>) -> Option<String> {
    let crash = AssertUnwindSafe(life).catch_unwind().await.err()?;
    let words = crash.downcast_ref::<String>().cloned();
    words
        .or_else(|| crash.downcast_ref::<&str>().map(|words| (*words).to_owned()))
        .or_else(|| Some(String::new()))
}

/// Runs an actor, and restarts it after a pause if it crashes: one release must not stop the
/// others. It ends as the actor does, so that a release never waits for one that is not there any more.
pub(super) async fn supervise(
    shared: Arc<SharedState>,
    id: ReleaseId,
    latest: Latest,
    signals: Arc<Signals>,
) {
    loop {
        // A box, which has gone when the next actor begins.
        let Some(crash) = Box::pin(crash_of(live(&shared, &id, &latest, &signals))).await else { return };
        if signals.is_stopping() {
            return;
        }
        tracing::error!(release = %id, crash, "a run crashed; restarts after {}s", AFTER_CRASH.as_secs());
        tokio::select! {
            () = tokio::time::sleep(AFTER_CRASH) => {}
            () = signals.stopped() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// See `a_release_at_rest_is_small` of the actor.
    #[test]
    fn a_life_is_small() {
        fn of_life<'a, F: Future>(
            _: impl FnOnce(&'a Arc<SharedState>, &'a ReleaseId, &'a Latest, &'a Arc<Signals>) -> F,
        ) -> usize {
            size_of::<F>()
        }
        assert!(of_life(live) <= 1024, "{} bytes", of_life(live));
    }

    #[tokio::test]
    async fn a_crash_is_caught_with_its_words() {
        let check = async |life: fn(), expected: Option<&str>| {
            assert_eq!(crash_of(async { life() }).await.as_deref(), expected);
        };
        check(|| {}, None).await;
        check(|| panic!("a run crashes"), Some("a run crashes")).await;
        check(|| panic!("run {} crashes", 7), Some("run 7 crashes")).await;
        check(|| std::panic::panic_any(7), Some("")).await;
    }
}
