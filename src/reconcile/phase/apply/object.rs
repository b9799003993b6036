//! The write of one object: a new object is created only if no other client was first.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::api::keys;
use crate::cluster::apply::AppliedObject;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Whose;
use crate::domain::live::Record;
use crate::domain::plan::Step;
use crate::reconcile::phase::preflight::body;
use crate::reconcile::phase::preflight::dry_run::{ATTEMPTS, Ready};

/// The result of one step.
pub enum Done {
    /// Applied; and whether its object was deleted first.
    Applied(AppliedObject, bool),
    /// It exists, and its annotation says not to apply it then.
    LeftAlone(Whose),
    /// The same, and its labels name this release now: the object with this uid.
    TakenOver(String),
    /// Another release has created it since the dry run.
    Taken,
    /// The API server rejects it.
    Failed(ApiError),
}

/// Applies it.
pub async fn apply_object(session: &Session, me: &ReleaseId, step: &Step, ready: &Ready) -> Done {
    if step.only_if_absent && ready.live.is_some() {
        return match &step.left_by {
            Some(former) => take_over(session, me, former, step, ready).await,
            None => left_alone(session, me, step, ready).await,
        };
    }
    let Some(body) = only_if_new(ready) else { return again(session, step, ready).await };
    match session.apply(&ready.resource, &step.id, body, false).await {
        Ok(applied) => return Done::Applied(applied, ready.recreate),
        Err(error) if !error.is_conflict() => return Done::Failed(error),
        Err(_) => {}
    }
    // Another process may have created it since: of two releases that create the same new object
    // one owns it, wherever they run. Or the answer to our own apply was lost.
    match session.get_record(&ready.resource, &step.id).await {
        Ok(Some(Record { owner: Some(owner), .. })) if owner != *me => Done::Taken,
        Ok(record) if step.only_if_absent => whose(me, record),
        Ok(_) => again(session, step, ready).await,
        Err(error) if step.only_if_absent && error.is_forbidden() => Done::LeftAlone(Whose::Unknown),
        Err(error) => Done::Failed(error),
    }
}

async fn left_alone(session: &Session, me: &ReleaseId, step: &Step, ready: &Ready) -> Done {
    match session.get_record(&ready.resource, &step.id).await {
        Ok(record) => whose(me, record),
        Err(error) if error.is_forbidden() => Done::LeftAlone(Whose::Unknown),
        Err(error) => Done::Failed(error),
    }
}

fn whose(me: &ReleaseId, record: Option<Record>) -> Done {
    Done::LeftAlone(match record {
        Some(record) if record.is_of(me) => Whose::Ours(record.uid),
        Some(_) => Whose::Theirs,
        None => Whose::Unknown,
    })
}

/// Takes an object over from a release that leaves it to this one: by its labels alone, its content
/// stays. Without them the former owner deletes the object once this release no longer waits for it.
async fn take_over(
    session: &Session,
    me: &ReleaseId,
    former: &ReleaseId,
    step: &Step,
    ready: &Ready,
) -> Done {
    for _ in 0..ATTEMPTS {
        let record = match session.get_record(&ready.resource, &step.id).await {
            Ok(Some(record)) if record.owner.as_ref() == Some(former) => record,
            Ok(record) => return whose(me, record),
            Err(error) => return Done::Failed(error),
        };
        let mut patch = json!({"metadata": {
            "uid": record.uid,
            "labels": {keys::OWNER_NAME: me.name, keys::OWNER_NAMESPACE: me.namespace},
        }});
        if record.version != 0 {
            patch["metadata"]["resourceVersion"] = record.version.to_string().into();
        }
        match session.merge_patch(&ready.resource, &step.id, &patch, false).await {
            Ok(_) => return Done::TakenOver(record.uid),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Done::Failed(error),
        }
    }
    Done::Failed(ApiError::ConflictRetriesExhausted(ATTEMPTS))
}

/// Applies an existing object, with the fields that are left to other managers as they are now.
async fn again(session: &Session, step: &Step, ready: &Ready) -> Done {
    let mut body = ready.body.clone();
    for _ in 0..ATTEMPTS {
        match session.apply(&ready.resource, &step.id, body, false).await {
            Ok(applied) => return Done::Applied(applied, ready.recreate),
            // Another client has changed it since the dry run, and may own a field now.
            Err(error) if error.is_conflict() && !step.delegated.is_empty() && !ready.recreate => {}
            Err(error) => return Done::Failed(error),
        }
        body = match body::body(session, step, &ready.resource).await {
            Ok(body) => body,
            Err(error) => return Done::Failed(error),
        };
    }
    Done::Failed(ApiError::ConflictRetriesExhausted(ATTEMPTS))
}

/// The body that creates an object that did not exist, and fails if it exists now: no object has
/// this resource version.
fn only_if_new(ready: &Ready) -> Option<Bytes> {
    const NO_OBJECTS: &str = "1";
    if ready.live.is_some() {
        return None;
    }
    let mut object: Value = serde_json::from_slice(&ready.body).ok()?;
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    metadata.insert("resourceVersion".to_owned(), NO_OBJECTS.into());
    serde_json::to_vec(&object).ok().map(Bytes::from)
}
