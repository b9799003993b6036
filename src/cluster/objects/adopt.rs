//! The two writes by which an object changes its owner, and the creation of a
//! release.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::apply::record_of;
use crate::api::keys::{self, FIELD_MANAGER};
use crate::api::release::{GROUP, PLURAL, VERSION};
use crate::cluster::error::ApiError;
use crate::cluster::kinds::resource::Resource;
use crate::cluster::session::{ApiResponse, Call, JSON, Session};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::live::Record;
use crate::observe::labels::Verb;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// The field manager of releases that are created for a person: the operator's own
/// manager would conflict with what others apply to them.
const PERSON: &str = "supercargo-cli";

impl Session {
    /// Merges a patch into an object and returns the object.
    ///
    /// # Errors
    /// What the API server refuses; a conflict when the patch names another
    /// resource version than the object has.
    pub async fn merge_patch(
        &self,
        resource: &Resource,
        id: &ObjectId,
        patch: &Value,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        self.merge(resource, id, patch, dry_run).await?.json()
    }

    async fn merge(
        &self,
        resource: &Resource,
        id: &ObjectId,
        patch: &Value,
        dry_run: bool,
    ) -> Result<ApiResponse, ApiError> {
        let dry = if dry_run { "&dryRun=All" } else { "" };
        let uri = format!("{}?fieldManager={FIELD_MANAGER}{dry}", resource.object(&id.namespace, &id.name));
        let body = patch.to_string().into_bytes().into();
        let verb = if dry_run { Verb::DryRun } else { Verb::Patch };
        let call = Call { verb, ..Call::with_body(Method::PATCH, uri, MERGE_PATCH, body) };
        self.call(call).await
    }

    /// Sets the owner labels of an object that exists, and changes nothing else of it. With
    /// `seen`, it must not have changed since. Returns what it is then, and the whole object.
    ///
    /// # Errors
    /// What the API server refuses; [`ApiError::is_conflict`] when it has been changed.
    pub async fn set_owner(
        &self,
        resource: &Resource,
        id: &ObjectId,
        owner: &ReleaseId,
        seen: Option<&Record>,
        dry_run: bool,
    ) -> Result<(Record, Bytes), ApiError> {
        let labels = json!({keys::OWNER_NAME: owner.name, keys::OWNER_NAMESPACE: owner.namespace});
        let mut patch = json!({"metadata": {"labels": labels}});
        if let Some(seen) = seen {
            patch["metadata"]["uid"] = seen.uid.as_str().into();
        }
        // 0 is a version that is not a number.
        if let Some(seen) = seen.filter(|seen| seen.version != 0) {
            patch["metadata"]["resourceVersion"] = seen.version.to_string().into();
        }
        let answer = self.merge(resource, id, &patch, dry_run).await?;
        Ok((record_of(&answer, self.mark())?, answer.body))
    }

    /// Replaces the managedFields of an object that has not changed since it was read.
    ///
    /// # Errors
    /// What the API server refuses; [`ApiError::is_conflict`] when it has been
    /// changed.
    pub async fn replace_managed_fields(
        &self,
        resource: &Resource,
        id: &ObjectId,
        live: &Value,
        fields: &[Value],
    ) -> Result<(), ApiError> {
        let patch = json!([
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
        ]);
        let uri = format!("{}?fieldManager={FIELD_MANAGER}", resource.object(&id.namespace, &id.name));
        let body = patch.to_string().into_bytes().into();
        self.call(Call::with_body(Method::PATCH, uri, JSON_PATCH, body)).await.map(|_| ())
    }

    /// Gets a ConfigMap; `None` when it does not exist.
    ///
    /// # Errors
    /// When the identity cannot read it, or the API server does not answer.
    pub async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        match self.call(Call::get(format!("/api/v1/namespaces/{namespace}/configmaps/{name}"))).await {
            Ok(answer) => answer.json().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a release.
    ///
    /// # Errors
    /// What the API server refuses: the kind is not served, the spec is invalid, it
    /// exists already.
    pub async fn create_release(
        &self,
        id: &ReleaseId,
        release: &Value,
        dry_run: bool,
    ) -> Result<(), ApiError> {
        let dry = if dry_run { "&dryRun=All" } else { "" };
        let uri = format!(
            "/apis/{GROUP}/{VERSION}/namespaces/{}/{PLURAL}?fieldManager={PERSON}&fieldValidation=Strict{dry}",
            id.namespace
        );
        let body = release.to_string().into_bytes().into();
        self.call(Call::with_body(Method::POST, uri, JSON, body)).await.map(|_| ())
    }
}
