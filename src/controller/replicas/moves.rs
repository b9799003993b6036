//! The move of a release to another owner: one write, over the version that was seen.

use std::sync::Arc;

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
#[derive(Debug)]
pub enum MoveResult {
    /// The release has this owner now.
    Done(OwnerStatus),
    /// The API server does not keep owners.
    NotKept,
    /// Not now: its owner is there, the release has changed, or the API server has not answered.
    Later,
}

/// Moves a release. If that is not possible now, pauses before it says so.
pub async fn carry_out(session: Session, members: Arc<Members>, asked: Move) -> Moved {
    let result = match attempt(&session, &members, &asked).await {
        Ok(result) => result,
        // It is gone, or a newer version arrives by the watch.
        Err(error) if error.is_conflict() || error.is_not_found() => MoveResult::Later,
        Err(error) => {
            tracing::warn!(release = %asked.id, error = chain(&error), "cannot change the owner; retrying");
            MoveResult::Later
        }
    };
    if let MoveResult::Later = result {
        tokio::time::sleep(members.pause()).await;
    }
    Moved { id: asked.id, uid: asked.uid, result }
}

async fn attempt(session: &Session, members: &Members, asked: &Move) -> Result<MoveResult, ApiError> {
    if let Some(from) = &asked.from
        && !members.is_gone(from).await?
    {
        return Ok(MoveResult::Later);
    }
    let session = session.clone().on_behalf_of(&asked.id.namespace);
    let kept = session.write_owner(&asked.id, &asked.uid, &asked.version, &asked.to).await?;
    Ok(kept.map_or(MoveResult::NotKept, MoveResult::Done))
}
