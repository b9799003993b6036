//! The write of one object: a new object is created only if no other client was first.

use bytes::Bytes;
use serde_json::Value;

use crate::cluster::apply::AppliedObject;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::Whose;
use crate::domain::live::Record;
use crate::domain::plan::{Existing, Standing, Step};
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
    if step.only_if_absent {
        return create_if_absent(session, me, step, ready).await;
    }
    if ready.live.is_some() {
        return again(session, step, ready).await;
    }
    let Some(body) = only_if_new(ready) else { return again(session, step, ready).await };
    match session.apply(&ready.resource, &step.id, body.clone(), false).await {
        Ok(applied) => return Done::Applied(applied, ready.recreate),
        Err(error) if !error.is_conflict() => return Done::Failed(error),
        Err(_) => {}
    }
    // Another process may have created it since: of two releases that create the same new object
    // one owns it, wherever they run. Or the answer to our own apply was lost.
    match session.get_record(&ready.resource, &step.id).await {
        Ok(Some(Record { owner: Some(owner), .. })) if owner != *me => Done::Taken,
        Ok(_) => again(session, step, ready).await,
        Err(error) => Done::Failed(error),
    }
}

/// Creates it if it does not exist. One that exists keeps its content; if its owner leaves it to
/// this release, it gets the owner labels of this release, since the former owner may delete it
/// otherwise.
async fn create_if_absent(session: &Session, me: &ReleaseId, step: &Step, ready: &Ready) -> Done {
    let Ready { resource, .. } = ready;
    let mut exists = ready.live.is_some();
    for _ in 0..ATTEMPTS {
        if !exists {
            let body = only_if_new(ready).unwrap_or_else(|| ready.body.clone());
            match session.apply(resource, &step.id, body, false).await {
                Ok(applied) => return Done::Applied(applied, false),
                // It exists since; or the answer to our own apply was lost.
                Err(error) if error.is_conflict() => exists = true,
                Err(error) => return Done::Failed(error),
            }
        }
        let record = match session.get_record(resource, &step.id).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                exists = false;
                continue;
            }
            Err(error) if error.is_forbidden() => return Done::LeftAlone(Whose::Unknown),
            Err(error) => return Done::Failed(error),
        };
        match Existing::standing(step.found.as_ref(), me, &record) {
            Standing::Ours => return Done::LeftAlone(Whose::Ours(record.uid)),
            Standing::Foreign => return Done::LeftAlone(Whose::Theirs),
            Standing::Taken => return Done::Taken,
            Standing::Left => {}
        }
        match session.set_owner(resource, &step.id, me, Some(&record), false).await {
            Ok(_) => return Done::TakenOver(record.uid),
            Err(error) if error.is_conflict() => {}
            Err(error) if error.is_not_found() => exists = false,
            Err(error) => return Done::Failed(error),
        }
    }
    Done::Failed(ApiError::ConflictRetriesExhausted(ATTEMPTS))
}

/// Applies an existing object, with the fields that are left to other managers as they are now.
async fn again(session: &Session, step: &Step, ready: &Ready) -> Done {
    let mut body = ready.body.clone();
    for _ in 0..ATTEMPTS {
        match session.apply(&ready.resource, &step.id, body.clone(), false).await {
            Ok(applied) => return Done::Applied(applied, ready.recreate),
            // Another client was faster, here or in a quota: that says nothing about the object. It may
            // own a field now.
            Err(error) if error.is_conflict() => {}
            Err(error) => return Done::Failed(error),
        }
        if ready.recreate {
            continue;
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
    let mut object: Value = serde_json::from_slice(&ready.body).ok()?;
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    metadata.insert("resourceVersion".to_owned(), NO_OBJECTS.into());
    serde_json::to_vec(&object).ok().map(Bytes::from)
}
