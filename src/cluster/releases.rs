//! Releases: the watch over them, their status and finalizer, and what the controller
//! reads around them.

use std::sync::Arc;

use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::collections::watch::{Event, ListSelection, State, run};
use super::error::ApiError;
use super::kinds::definitions::DEFINITIONS;
use super::kinds::resource::escape;
use super::session::{Call, Session};
use crate::api::keys;
use crate::api::release::{GROUP, PLURAL, VERSION};
use crate::api::status::{OwnerStatus, ReleaseStatus};
use crate::domain::identity::ReleaseId;
use crate::domain::kept::KeptRelease;
use crate::domain::patch::selector::Selector;

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// What the watch over releases reports.
#[derive(Debug)]
pub enum ReleaseEvent {
    /// The state of a release. One that does not fit the schema says so, and the others
    /// continue.
    Present(Arc<KeptRelease>),
    /// A release was deleted.
    Absent(ReleaseId),
    /// A list of a namespace, or of all, begins: a release that is not seen before
    /// `Listed` does not exist any more.
    Listing(Option<String>),
    /// Every release of the list has been seen.
    Listed(Option<String>),
    /// The watch of releases failed.
    Failed(String),
}

#[derive(Deserialize)]
struct Named {
    metadata: NamedMetadata,
}

#[derive(Deserialize)]
struct NamedMetadata {
    #[serde(default)]
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct OnlyMetadata {
    metadata: ObjectMeta,
}

#[derive(Default, Deserialize)]
struct OnlyOwner {
    #[serde(default)]
    metadata: OnlyUid,
    #[serde(default)]
    status: OwnerOfStatus,
}

#[derive(Default, Deserialize)]
struct OnlyUid {
    #[serde(default)]
    uid: String,
}

#[derive(Default, Deserialize)]
struct OwnerOfStatus {
    #[serde(default)]
    owner: Option<OwnerStatus>,
}

/// The patch that replaces the status of a release with this uid, in this version if one is given. It
/// fails if the release has another owner meanwhile: the status of an owner names it.
pub(super) fn status_patch(uid: &str, version: Option<&str>, status: &ReleaseStatus) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": uid})];
    if let Some(owner) = &status.owner {
        patch.push(json!({"op": "test", "path": "/status/owner", "value": owner}));
    }
    if let Some(version) = version {
        patch.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    }
    patch.push(json!({"op": "add", "path": "/status", "value": status}));
    Value::Array(patch)
}

pub(super) fn collection(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"),
        None => format!("/apis/{GROUP}/{VERSION}/{PLURAL}"),
    }
}

pub(super) fn path(release: &ReleaseId) -> String {
    format!("{}/{}", collection(Some(&release.namespace)), release.name)
}

impl Session {
    /// Watches releases, of one namespace or all, until the future is dropped. With a
    /// selector the other releases are treated as not existing, also one that loses its
    /// label.
    pub async fn watch_releases(
        self,
        namespace: Option<String>,
        selector: Option<Selector>,
        events: mpsc::UnboundedSender<ReleaseEvent>,
    ) {
        let query = selector.map(|selector| format!("labelSelector={}", escape(&selector.to_string())));
        let selection = ListSelection {
            path: collection(namespace.as_deref()),
            query: query.unwrap_or_default(),
            metadata_only: false,
        };
        run(self, selection, move |event| {
            // The receiver is gone while the process ends.
            if let Some(event) = translate(event, namespace.as_ref()) {
                let _ = events.send(event);
            }
        })
        .await;
    }

    /// Whether a release is suspended; `None` when it does not exist.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn release_is_suspended(&self, release: &ReleaseId) -> Result<Option<bool>, ApiError> {
        match self.call(Call::get(path(release))).await {
            Ok(answer) => {
                let resource: Value = answer.json()?;
                Ok(Some(resource.pointer("/spec/suspend") == Some(&Value::Bool(true))))
            }
            Err(error) if error.is_not_found() => Ok(None),
            // In a cluster without the definition of releases the path itself is not found.
            Err(error) if error.is_no_path() => match self.definition_is_terminating().await {
                Ok(false) => Err(error),
                Err(other) if !other.is_forbidden() => Err(other),
                Ok(true) | Err(_) => Ok(None),
            },
            Err(error) => Err(error),
        }
    }

    /// Creates a namespace if it does not exist.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn ensure_namespace(&self, name: &str) -> Result<(), ApiError> {
        let labels = json!({"app.kubernetes.io/created-by": "supercargo"});
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let uri = format!("/api/v1/namespaces?fieldManager={}", keys::FIELD_MANAGER);
        let body = namespace.to_string().into_bytes().into();
        match self.call(Call::with_body(Method::POST, uri, "application/json", body)).await {
            Ok(_) => Ok(()),
            Err(error) if error.already_exists() => Ok(()),
            // An identity that cannot create one can still use one.
            Err(error) if error.is_forbidden() && matches!(self.get_namespace(name).await, Ok(true)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether a namespace exists. True for an identity that cannot read it: the first
    /// write fails otherwise.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn namespace_exists(&self, name: &str) -> Result<bool, ApiError> {
        match self.get_namespace(name).await {
            Err(error) if error.is_forbidden() => Ok(true),
            answer => answer,
        }
    }

    async fn get_namespace(&self, name: &str) -> Result<bool, ApiError> {
        match self.call(Call::get(format!("/api/v1/namespaces/{name}"))).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the status of a release, if it still has that uid.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn write_status(
        &self,
        release: &ReleaseId,
        uid: &str,
        status: &ReleaseStatus,
    ) -> Result<(), ApiError> {
        let body = status_patch(uid, None, status).to_string().into_bytes().into();
        let uri = format!("{}/status?fieldManager={}", path(release), keys::FIELD_MANAGER);
        self.call(Call::with_body(Method::PATCH, uri, JSON_PATCH, body)).await.map(|_| ())
    }

    /// Gives a release another owner, if nothing of it has changed since it was read in this version.
    /// Returns the owner that the API server has kept: none if its definition of releases is too old.
    ///
    /// # Errors
    /// When the API server refuses; [`ApiError::is_conflict`] when the release has been changed.
    pub async fn write_owner(
        &self,
        release: &ReleaseId,
        uid: &str,
        version: &str,
        owner: &OwnerStatus,
    ) -> Result<Option<OwnerStatus>, ApiError> {
        let patch = json!({
            "metadata": {"uid": uid, "resourceVersion": version},
            "status": {"owner": owner},
        });
        let uri = format!("{}/status?fieldManager={}", path(release), keys::FIELD_MANAGER);
        let body = patch.to_string().into_bytes().into();
        let answer = self.call(Call::with_body(Method::PATCH, uri, MERGE_PATCH, body)).await?;
        Ok(answer.json::<OnlyOwner>()?.status.owner)
    }

    /// Reads the owner of a release; none if it is another release, or has none.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn read_owner(&self, release: &ReleaseId, uid: &str) -> Result<Option<OwnerStatus>, ApiError> {
        match self.call(Call::get(path(release))).await {
            Ok(answer) => {
                let read = answer.json::<OnlyOwner>()?;
                Ok(read.status.owner.filter(|_| read.metadata.uid == uid))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the finalizers of a release.
    ///
    /// # Errors
    /// When the release was changed meanwhile, or the API server refuses.
    pub async fn write_finalizers(
        &self,
        release: &ReleaseId,
        resource_version: &str,
        finalizers: &[String],
    ) -> Result<(), ApiError> {
        let patch = json!({"metadata": {"resourceVersion": resource_version, "finalizers": finalizers}});
        let uri = format!("{}?fieldManager={}", path(release), keys::FIELD_MANAGER);
        let body = patch.to_string().into_bytes().into();
        self.call(Call::with_body(Method::PATCH, uri, MERGE_PATCH, body)).await.map(|_| ())
    }

    /// Reads the metadata of a release, which also exists where the rest does not fit the
    /// schema; `None` when it is deleted.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn release_metadata(&self, release: &ReleaseId) -> Result<Option<ObjectMeta>, ApiError> {
        match self.call(Call::get(path(release))).await {
            Ok(answer) => answer.json::<OnlyMetadata>().map(|read| Some(read.metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the definition of releases itself is being deleted. Deleted counts too.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn definition_is_terminating(&self) -> Result<bool, ApiError> {
        self.is_terminating(format!("{DEFINITIONS}/{PLURAL}.{GROUP}")).await
    }

    /// Whether a namespace is being deleted, or is deleted.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn namespace_is_terminating(&self, namespace: &str) -> Result<bool, ApiError> {
        self.is_terminating(format!("/api/v1/namespaces/{namespace}")).await
    }

    async fn is_terminating(&self, uri: String) -> Result<bool, ApiError> {
        match self.call(Call::get(uri)).await {
            Ok(answer) => {
                let object: serde_json::Value = answer.json()?;
                Ok(object.pointer("/metadata/deletionTimestamp").is_some())
            }
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn translate(event: Event<'_>, namespace: Option<&String>) -> Option<ReleaseEvent> {
    let id = |text: &str| {
        let named: Named = serde_json::from_str(text).ok()?;
        Some(ReleaseId { namespace: named.metadata.namespace, name: named.metadata.name })
    };
    Some(match event {
        Event::Listing => ReleaseEvent::Listing(namespace.cloned()),
        Event::Listed => ReleaseEvent::Listed(namespace.cloned()),
        // Without metadata there is nothing to report.
        Event::Present(text) => ReleaseEvent::Present(Arc::new(KeptRelease::read(text).ok()?)),
        Event::Absent(text) => ReleaseEvent::Absent(id(text)?),
        Event::Following => return None,
        Event::Failed(State::Denied(message)) => ReleaseEvent::Failed(message),
        Event::Failed(_) => ReleaseEvent::Failed(
            "the API server does not serve OCIArtifactReleases: install config/crd".into(),
        ),
    })
}
