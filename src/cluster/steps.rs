//! The records of steps in the status of a release. They are written only over what was read: a
//! process that has lost the lease does not overwrite those of its successor.

use http::Method;
use serde::Deserialize;

use super::error::ApiError;
use super::releases::{path, status_patch};
use super::session::{Call, Session};
use crate::api::keys;
use crate::api::status::ReleaseStatus;
use crate::api::step::StepStatus;
use crate::domain::identity::ReleaseId;

const JSON_PATCH: &str = "application/json-patch+json";

/// The records of a release, as they were read.
#[derive(Clone, Debug, Default)]
pub struct StepRecords {
    /// The uid of the release.
    pub uid: String,
    /// The records.
    pub steps: Vec<StepStatus>,
    /// The resource version of the release.
    version: String,
}

#[derive(Deserialize)]
struct Resource {
    metadata: ResourceMetadata,
    #[serde(default)]
    status: ResourceStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMetadata {
    uid: String,
    resource_version: String,
}

#[derive(Default, Deserialize)]
struct ResourceStatus {
    #[serde(default)]
    steps: Vec<StepStatus>,
}

impl Session {
    /// Reads the records of the steps of a release.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn step_records(&self, release: &ReleaseId) -> Result<StepRecords, ApiError> {
        let Resource { metadata, status } = self.call(Call::get(path(release))).await?.json()?;
        Ok(StepRecords { uid: metadata.uid, steps: status.steps, version: metadata.resource_version })
    }

    /// Replaces the status of a release, if nothing of it has changed since its records were read.
    /// Returns the records that the API server has kept.
    ///
    /// # Errors
    /// When the API server refuses; [`ApiError::is_conflict`] when it has been changed.
    pub async fn write_status_over(
        &self,
        release: &ReleaseId,
        seen: &StepRecords,
        status: &ReleaseStatus,
    ) -> Result<Vec<StepStatus>, ApiError> {
        let patch = status_patch(&seen.uid, Some(&seen.version), status);
        let uri = format!("{}/status?fieldManager={}", path(release), keys::FIELD_MANAGER);
        let body = patch.to_string().into_bytes().into();
        let answer = self.call(Call::with_body(Method::PATCH, uri, JSON_PATCH, body)).await?;
        Ok(answer.json::<Resource>()?.status.steps)
    }
}
