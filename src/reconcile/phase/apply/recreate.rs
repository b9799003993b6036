//! The deletion of objects that have to be recreated.

use std::time::Duration;

use futures::StreamExt;

use crate::cluster::delete::Deleted;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::plan::Step;
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::phase::preflight::dry_run::{ATTEMPTS, Ready};
use crate::reconcile::scope::Scope;

/// Deletes objects that have to be recreated, and waits until they are gone; returns what could not
/// be deleted, and whether Ctrl-C ended it. It holds no worker: a finalizer may take long.
pub async fn delete_for_recreate<'p>(
    scope: &Scope<'_>,
    session: &Session,
    doomed: Vec<(&'p Step, &'p Ready)>,
) -> (Vec<(&'p Step, ApiError)>, bool) {
    if doomed.is_empty() {
        return (Vec::new(), false);
    }
    scope.slot.release();
    let mut removing = unordered(
        doomed
            .into_iter()
            .map(|(step, ready)| async move { (step, remove(scope, session, step, ready).await) }),
    );
    let (mut failed, mut is_ended) = (Vec::new(), false);
    while let Some((step, removed)) = removing.next().await {
        match removed {
            Ok(is_gone) => is_ended |= !is_gone,
            Err(error) => failed.push((step, error)),
        }
    }
    drop(removing);
    scope.slot.take().await;
    (failed, is_ended)
}

/// Deletes an object that has to be recreated, and waits until it is gone; `false` when Ctrl-C
/// ended the wait.
async fn remove(scope: &Scope<'_>, session: &Session, step: &Step, ready: &Ready) -> Result<bool, ApiError> {
    let Some((uid, version)) = &ready.live else { return Ok(true) };
    if scope.is_interrupted() {
        return Ok(false);
    }
    let timeout = scope.release.timeout;
    let pace = PollPace { first: Duration::from_millis(20), longest: Duration::from_secs(2), timeout };
    let until = if scope.policy.interruptible { Until::Stopped } else { Until::Never };
    let mut poll = Poll::new(pace, until, scope.signals, None);
    // Its controller may write its status at any time: only its uid has to be the same.
    let (mut version, mut attempt) = (*version, 1);
    while session.delete(&ready.resource, &step.id, uid, version).await? == Deleted::Changed {
        match session.get_record(&ready.resource, &step.id).await? {
            Some(record) if record.uid == *uid && attempt < ATTEMPTS => version = record.version,
            Some(_) => return Err(ApiError::ConflictRetriesExhausted(attempt)),
            None => return Ok(true),
        }
        attempt += 1;
    }
    loop {
        match session.get_record(&ready.resource, &step.id).await? {
            Some(record) if record.uid == *uid => {}
            Some(_) | None => return Ok(true),
        }
        match poll.pause().await {
            Tick::Look => {}
            Tick::TimedOut => return Err(ApiError::Held(timeout)),
            // It may be gone already.
            Tick::Ended => {
                let left = session.get_record(&ready.resource, &step.id).await?;
                return Ok(left.is_none_or(|record| record.uid != *uid));
            }
        }
    }
}
