//! The move of a release to another owner: one write, over the version that was seen.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;

use super::members::Members;
use crate::api::status::OwnerStatus;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::reconcile::error::chain;

/// A move.
#[derive(Clone, Debug)]
pub struct Move {
    /// The release.
    pub id: ReleaseId,
    /// Its uid.
    pub uid: String,
    /// The version in which it was seen.
    pub version: String,
    /// The owner that has to be gone; absent: it is ours.
    pub from: Option<String>,
    /// The owner afterwards.
    pub to: OwnerStatus,
}

/// What became of a move.
#[derive(Debug)]
pub struct Moved {
    /// The release.
    pub id: ReleaseId,
    /// Its uid.
    pub uid: String,
    /// What is known afterwards.
    pub result: MoveResult,
}

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveResult {
    /// The release has this owner now.
    Done(OwnerStatus),
    /// The API server does not keep owners.
    NotKept,
    /// Not now: its owner is there, or the release has changed. It does not have the new owner.
    Later,
}

/// Moves a release. If that is not possible now, pauses before it says so.
pub async fn carry_out(session: Session, members: Arc<Members>, asked: Move) -> Moved {
    let session = session.on_behalf_of(&asked.id.namespace);
    let (through, all, wanted) = (&session, &*members, &asked);
    let pause = move || tokio::time::sleep(all.pause());
    let result = certain(&asked.id, move || attempt(through, all, wanted), pause).await;
    if let MoveResult::Later = result {
        pause().await;
    }
    Moved { id: asked.id, uid: asked.uid, result }
}

/// Attempts it until it is known what became of it. After an answer that did not arrive, the release may
/// have its new owner, or get it in a moment; an error may follow such an answer. An attempt that crashes
/// leaves the same doubt.
///
/// All attempts are writes over one version: at most one of them succeeds, and none does after any other
/// change. So a success or a conflict of the last one says what became of all.
async fn certain<A, P>(id: &ReleaseId, attempt: impl Fn() -> A, pause: impl Fn() -> P) -> MoveResult
where
    A: Future<Output = Result<MoveResult, ApiError>>,
    P: Future<Output = ()>,
{
    let (mut is_reported, mut is_in_doubt) = (false, false);
    loop {
        match AssertUnwindSafe(attempt()).catch_unwind().await {
            Ok(Ok(result)) => return result,
            // A refusal, of an admission webhook for example: nothing was written, and nothing is under way.
            Ok(Err(error)) if !is_in_doubt && is_refusal(&error) => {
                tracing::warn!(release = %id, error = chain(&error), "the owner cannot be changed");
                return MoveResult::Later;
            }
            Ok(Err(error)) if !std::mem::replace(&mut is_reported, true) => {
                tracing::warn!(release = %id, error = chain(&error), "cannot change the owner; retrying");
            }
            Ok(Err(error)) => {
                tracing::debug!(release = %id, error = chain(&error), "cannot change the owner; retrying");
            }
            Err(_) => tracing::error!(release = %id, "a change of the owner crashed; retrying"),
        }
        is_in_doubt = true;
        pause().await;
    }
}

/// Whether the API server has answered that it does not do it.
fn is_refusal(error: &ApiError) -> bool {
    error.status().is_some_and(|status| (400..500).contains(&status.code))
}

async fn attempt(session: &Session, members: &Members, asked: &Move) -> Result<MoveResult, ApiError> {
    let Move { id, uid, version, from, to } = asked;
    if let Some(from) = from
        && !members.is_gone(from).await?
    {
        return Ok(MoveResult::Later);
    }
    match session.write_owner(id, uid, version, to).await {
        Ok(kept) => Ok(kept.map_or(MoveResult::NotKept, MoveResult::Done)),
        // An earlier attempt may have been the change.
        Err(error) if error.is_conflict() => {
            let owner = session.read_owner(id, uid).await?;
            Ok(owner.filter(|owner| owner == to).map_or(MoveResult::Later, MoveResult::Done))
        }
        Err(error) if error.is_not_found() => Ok(MoveResult::Later),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_move_is_attempted_until_its_result_is_known() {
        let owner = || MoveResult::Done(OwnerStatus { holder: "b_1".into(), term: 3 });
        let id = ReleaseId { namespace: "apps".into(), name: "web".into() };
        let check = async |attempts: Vec<fn() -> Result<MoveResult, ApiError>>, expected: MoveResult| {
            let (count, pauses) = (Cell::new(0), Cell::new(0));
            let attempt = || async {
                count.set(count.get() + 1);
                attempts[count.get() - 1]()
            };
            let result = certain(&id, attempt, || async { pauses.set(pauses.get() + 1) }).await;
            assert_eq!(result, expected);
            assert_eq!((count.get(), pauses.get()), (attempts.len(), attempts.len() - 1));
        };
        let lost = || Err(ApiError::Timeout(std::time::Duration::ZERO));
        let crash = || panic!("a move crashes");
        check(vec![|| Ok(MoveResult::Later)], MoveResult::Later).await;
        check(vec![lost, || Ok(MoveResult::NotKept)], MoveResult::NotKept).await;
        check(vec![lost, || Err(ApiError::LeaseOver), || Ok(MoveResult::Later)], MoveResult::Later).await;
        check(vec![crash, || Ok(MoveResult::Later)], MoveResult::Later).await;
        check(vec![lost, || Ok(MoveResult::Done(OwnerStatus { holder: "b_1".into(), term: 3 }))], owner())
            .await;
    }
}
