//! The repositories that releases follow, and requests to run one now. Any replica can do
//! this, also one that is not the leader: only an annotation is written.

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::collections::watch::{Event, ListSelection, list};
use super::error::ApiError;
use super::kinds::resource::escape;
use super::releases::{collection, path};
use super::session::{Call, Session};
use crate::api::keys;
use crate::api::release::Reference;
use crate::domain::identity::ReleaseId;
use crate::domain::patch::selector::Selector;

const MERGE_PATCH: &str = "application/merge-patch+json";

/// The part of a release that says what it follows.
#[derive(Clone, Debug)]
pub struct ArtifactSource {
    /// Its name.
    pub id: ReleaseId,
    /// Its resource version.
    pub resource_version: String,
    /// `spec.url`.
    pub url: String,
    /// `spec.ref`.
    pub reference: Reference,
    /// Whether it is suspended, or being deleted.
    pub rests: bool,
    /// The revision of its last run.
    pub attempted: String,
    /// The token of the last requested run, if any.
    pub asked: Option<String>,
    /// The token of the last finished run.
    pub handled: Option<String>,
}

#[derive(Deserialize)]
struct Release {
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    last_attempted_revision: Option<String>,
    last_handled_reconcile_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    name: String,
    resource_version: String,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Spec {
    url: String,
    #[serde(default, rename = "ref")]
    reference: Reference,
    #[serde(default)]
    suspend: bool,
}

impl From<Release> for ArtifactSource {
    fn from(Release { mut metadata, spec, status }: Release) -> Self {
        Self {
            asked: metadata.annotations.remove(keys::RECONCILE_AT),
            handled: status.last_handled_reconcile_at,
            id: ReleaseId { namespace: metadata.namespace, name: metadata.name },
            resource_version: metadata.resource_version,
            url: spec.url,
            reference: spec.reference,
            rests: spec.suspend || metadata.deletion_timestamp.is_some(),
            attempted: status.last_attempted_revision.unwrap_or_default(),
        }
    }
}

impl Session {
    /// What the releases of a namespace, or all, follow; page by page. One that does not
    /// fit the schema follows nothing.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn list_sources(
        &self,
        namespace: Option<&str>,
        selector: Option<&Selector>,
    ) -> Result<Vec<ArtifactSource>, ApiError> {
        self.sources(namespace, selecting(selector)).await
    }

    /// What a release follows; `None` when it is deleted, or not among those.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn source(
        &self,
        release: &ReleaseId,
        selector: Option<&Selector>,
    ) -> Result<Option<ArtifactSource>, ApiError> {
        let query =
            format!("fieldSelector=metadata.name%3D{}&{}", escape(&release.name), selecting(selector));
        Ok(self.sources(Some(&release.namespace), query).await?.pop())
    }

    async fn sources(&self, namespace: Option<&str>, query: String) -> Result<Vec<ArtifactSource>, ApiError> {
        let selection = ListSelection { path: collection(namespace), query, metadata_only: false };
        let mut sources = Vec::new();
        let mut observe = |event: Event<'_>| {
            if let Event::Present(text) = event
                && let Ok(release) = serde_json::from_str::<Release>(text)
            {
                sources.push(release.into());
            }
        };
        list(self, &selection, &mut observe).await?;
        Ok(sources)
    }

    /// Requests a run of a release, if it is still as seen. `token` is a new value.
    ///
    /// # Errors
    /// When another client changed it meanwhile, or the API server refuses.
    pub async fn ask_for_run(&self, seen: &ArtifactSource, token: &str) -> Result<(), ApiError> {
        let patch = json!({"metadata": {
            "resourceVersion": seen.resource_version,
            "annotations": {(keys::RECONCILE_AT): token},
        }});
        let uri = format!("{}?fieldManager={}", path(&seen.id), keys::FIELD_MANAGER);
        let body = patch.to_string().into_bytes().into();
        self.call(Call::with_body(Method::PATCH, uri, MERGE_PATCH, body)).await.map(|_| ())
    }
}

fn selecting(selector: Option<&Selector>) -> String {
    selector.map(|selector| format!("labelSelector={}", escape(&selector.to_string()))).unwrap_or_default()
}
