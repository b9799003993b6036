//! A person's request to the operator, with the person's own rights, and the event that names the person.

use jiff::Timestamp;
use serde_json::Value;

use super::published::published;
use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::cluster::events::ReleaseEventNote;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::message::chain;
use crate::domain::shown::fields::text;
use crate::domain::shown::verbs::{PersonRequest, approvable};

/// The component of the events.
const COMPONENT: &str = "supercargo.dev/page";

/// Why a request was not made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The release does not exist.
    #[error("there is no release {0}")]
    Absent(ReleaseId),
    /// It does not fit the release as it is now.
    #[error("{0}")]
    Outdated(String),
    /// The API server refuses it, or gives no answer.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// What a request has done.
#[derive(Debug)]
pub struct Carried {
    /// Why there is no event about it.
    pub unreported: Option<String>,
}

/// Changes the release as a person requests, and reports who it was.
///
/// # Errors
/// Why nothing was changed.
pub async fn carry_out(
    session: &Session,
    id: &ReleaseId,
    verb: &PersonRequest,
) -> Result<Carried, RequestError> {
    let absent = || RequestError::Absent(id.clone());
    let user = session.user_name().await?;
    if let PersonRequest::Approve { hash } = verb {
        let release = session.find_release(id).await?.ok_or_else(absent)?;
        let plan = published(&release).map_err(RequestError::Outdated)?;
        approvable(id, plan, Some(hash)).map_err(RequestError::Outdated)?;
    }
    let now = Timestamp::now();
    let changed = session.change_release(id, &verb.patch(now, user.as_deref())).await?.ok_or_else(absent)?;
    let reported = report(session, id, verb, &changed, user.as_deref()).await;
    Ok(Carried { unreported: reported.err().map(|error| chain(&error)) })
}

async fn report(
    session: &Session,
    id: &ReleaseId,
    verb: &PersonRequest,
    release: &Value,
    user: Option<&str>,
) -> Result<(), ApiError> {
    let message = format!("{} {}", user.unwrap_or("a person"), verb.done());
    let note = ReleaseEventNote {
        release: id,
        uid: text(release, "/metadata/uid"),
        warning: false,
        reason: Reason::Requested,
        message: &message,
        revision: None,
    };
    session.publish_as(COMPONENT, note, Timestamp::now()).await
}
