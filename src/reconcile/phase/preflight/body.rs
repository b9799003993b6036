//! The request body for an object.

use bytes::Bytes;
use serde_json::Value;

use crate::cluster::discovery::Resource;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::delegated::leave_to_others;
use crate::domain::plan::Step;

/// The request body: the object, without the fields that are left to other managers and that these
/// own now. While one of these fields is sent, the body has the resource version of the live
/// object, so that no concurrent change is undone.
///
/// # Errors
/// When the live object cannot be read.
pub async fn body(session: &Session, step: &Step, resource: &Resource) -> Result<Bytes, ApiError> {
    if step.delegated.is_empty() {
        return Ok(encode(step.object.value()));
    }
    let answer = match session.get(resource, &step.id).await {
        Ok(answer) => answer,
        Err(error) if error.is_not_found() => return Ok(encode(step.object.value())),
        Err(error) => return Err(error),
    };
    let live: Value = answer.json()?;
    let mut object = step.object.clone();
    if leave_to_others(object.value_mut(), &live, &step.delegated) {
        let version = live["metadata"]["resourceVersion"].clone();
        object.metadata_mut().insert("resourceVersion".into(), version);
    }
    Ok(encode(object.value()))
}

/// As JSON.
pub fn encode(value: &Value) -> Bytes {
    // A value always serializes.
    serde_json::to_vec(value).unwrap_or_default().into()
}
