//! The objects of steps in the cluster: how they are read, created, released and deleted.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::api::keys;
use crate::cluster::delete::Deleted;
use crate::cluster::discovery::Resource;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::health::RuleSet;
use crate::domain::identity::ObjectId;
use crate::domain::object::Object;
use crate::domain::plan::steps::{Hold, LiveState, LiveStep};
use crate::domain::release::Release;
use crate::reconcile::error::{ReconcileError, chain, failure};

/// The objects of the steps of a release.
#[derive(Clone, Copy)]
pub struct StepObjects<'r> {
    /// The release.
    pub release: &'r Release,
    /// The session with its identity.
    pub session: &'r Session,
}

impl StepObjects<'_> {
    /// Reads the object of a step, as one of the revision with that key.
    ///
    /// # Errors
    /// When the API server does not answer, or refuses.
    pub async fn look(
        &self,
        resource: &Resource,
        id: &ObjectId,
        key: &str,
    ) -> Result<(LiveStep, Option<Value>), ReconcileError> {
        match self.session.get(resource, id).await {
            Ok(answer) => {
                let object: Value = answer.json()?;
                // Expressions of the release say what is healthy, and not what has run to its end.
                let judge = (RuleSet::default(), resource.reports);
                let me = (&self.release.id, self.session.mark());
                let live = LiveStep::of(&object, judge, me, key, Timestamp::now());
                Ok((live, Some(object)))
            }
            Err(error) if error.is_not_found() => Ok((LiveStep::Absent, None)),
            Err(error) => Err(about(id, &error)),
        }
    }

    /// Creates the object of a run. One of that name that exists is left as it is: another process
    /// has created it, or the answer to an earlier request was lost.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn create(
        &self,
        resource: &Resource,
        id: &ObjectId,
        object: Object,
        run: &str,
    ) -> Result<(), ApiError> {
        match self.session.apply(resource, id, body(object, run), false).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Patches an object; one that is gone, or is another one now, is left to the next look.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn patch(
        &self,
        resource: &Resource,
        id: &ObjectId,
        patch: &Value,
    ) -> Result<(), ReconcileError> {
        match self.session.merge_patch(resource, id, patch, false).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(about(id, &error)),
        }
    }

    /// Deletes an object after its pods, so that nothing of a run goes on during the next one.
    /// Returns whether it is gone.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn delete(
        &self,
        resource: &Resource,
        id: &ObjectId,
        uid: &str,
    ) -> Result<bool, ReconcileError> {
        match self.session.delete_after_dependents(resource, id, uid).await {
            Ok(deleted) => Ok(deleted != Deleted::Terminating),
            Err(error) => Err(about(id, &error)),
        }
    }

    /// Gives a finished object its lifetime again, or deletes it. Returns whether there is none any
    /// more.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn finish(
        &self,
        resource: &Resource,
        id: &ObjectId,
        seen: (&LiveStep, Option<&Value>),
        (hold, goes): (&Hold, bool),
    ) -> Result<bool, ReconcileError> {
        let (live, object) = seen;
        let (LiveStep::Current { uid, state, deleting: None, .. }, Some(object)) = (live, object) else {
            return Ok(*live == LiveStep::Absent);
        };
        if goes {
            // Pods of one that has ended do no harm.
            let LiveState::Running(_) = state else {
                let deleted = self.session.delete(resource, id, uid, 0).await;
                return deleted.map(|deleted| deleted == Deleted::Gone).map_err(|error| about(id, &error));
            };
            return self.delete(resource, id, uid).await;
        }
        if let Some(patch) = hold.expire(uid).filter(|_| hold.lacks_lifetime(object)) {
            self.patch(resource, id, &patch).await?;
        }
        Ok(false)
    }
}

/// What is sent to create the object of a run, and refused when one exists: no object has this
/// resource version.
fn body(mut object: Object, run: &str) -> Bytes {
    object.set_annotation(keys::STEP_RUN, run);
    let mut value = object.into_value();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), "1".into());
    }
    Bytes::from(value.to_string())
}

/// A failed request for the object of a step.
pub fn about(id: &ObjectId, error: &ApiError) -> ReconcileError {
    failure(error.reason(), format!("cannot run step {id}: {}", chain(error))).into()
}
