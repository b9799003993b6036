//! Deletion of exactly the object that was checked.

use bytes::Bytes;
use http::Method;
use serde_json::json;

use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::Resource;
use crate::cluster::session::{Call, JSON, Session};
use crate::domain::identity::ObjectId;

/// The result of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// It is deleted, or was already.
    Gone,
    /// It is being deleted: finalizers or its dependents hold it.
    Terminating,
    /// It is no longer the object that was checked.
    Changed,
}

impl Session {
    /// Deletes an object if it still has the uid and, where it is not 0, the resource
    /// version that was checked. Dependents are deleted in the background.
    ///
    /// # Errors
    /// What the API server refuses, and why.
    pub async fn delete(
        &self,
        resource: &Resource,
        id: &ObjectId,
        uid: &str,
        version: u64,
    ) -> Result<Deleted, ApiError> {
        self.delete_with(resource, id, (uid, version), "Background").await
    }

    /// The same for an object that goes after its dependents.
    ///
    /// # Errors
    /// What the API server refuses, and why.
    pub async fn delete_after_dependents(
        &self,
        resource: &Resource,
        id: &ObjectId,
        uid: &str,
    ) -> Result<Deleted, ApiError> {
        self.delete_with(resource, id, (uid, 0), "Foreground").await
    }

    async fn delete_with(
        &self,
        resource: &Resource,
        id: &ObjectId,
        (uid, version): (&str, u64),
        propagation: &str,
    ) -> Result<Deleted, ApiError> {
        let mut preconditions = json!({ "uid": uid });
        if version != 0 {
            preconditions["resourceVersion"] = version.to_string().into();
        }
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
            "preconditions": preconditions,
        });
        let body = Bytes::from(options.to_string());
        let call = |path| Call::with_body(Method::DELETE, path, JSON, body.clone());
        match self.about(resource, id, call).await {
            // A Status means that it is deleted; an object, that it is terminating.
            Ok(answer) => {
                let answered: serde_json::Value = answer.json()?;
                let gone = answered["kind"] == "Status" && answered["apiVersion"] == "v1";
                let held = answered.pointer("/metadata/deletionTimestamp").is_some();
                Ok(if gone || !held { Deleted::Gone } else { Deleted::Terminating })
            }
            Err(error) if error.is_not_found() => Ok(Deleted::Gone),
            Err(error) if error.is_conflict() => Ok(Deleted::Changed),
            Err(error) => Err(error),
        }
    }
}
