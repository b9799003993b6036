//! The plan of a release in a ConfigMap next to its inventory, and the secret key of the hashes of
//! plans.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};

use super::config_map::{CREATED_BY, NAME, WRITER, path};
use crate::api::keys;
use crate::api::release::{GROUP, KIND, VERSION};
use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, JSON, Session};
use crate::domain::identity::ReleaseId;

const APPLY_PATCH: &str = "application/apply-patch+yaml";
/// The key of the ConfigMap with the changes, as JSON.
const CHANGES: &str = "changes";
/// The key of the ConfigMap with the hash of the plan.
const HASH: &str = "hash";
/// The key of the ConfigMap with the number of changes that are cut.
const MORE: &str = "moreChanges";
/// The label with what a ConfigMap is, and our value of it.
const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "plan");
/// The key of the Secret with the secret key.
const SECRET_KEY: &str = "key";
/// Bytes of a new secret key.
pub const SECRET_BYTES: usize = 32;

/// All changes of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPlan {
    /// The hash of the plan.
    pub hash: String,
    /// The changes: a JSON list.
    pub changes: String,
    /// How many changes are not in it, because it would be too large.
    pub more: usize,
}

/// The name of the ConfigMap with the plan of a release.
pub fn plan_name(release: &str) -> String {
    format!("plan-{release}")
}

impl Session {
    /// Writes the plan of a release, which owns it. Returns false if there is another ConfigMap of that
    /// name, which stays as it is.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn write_plan(
        &self,
        release: &ReleaseId,
        uid: &str,
        plan: &StoredPlan,
    ) -> Result<bool, ApiError> {
        let name = plan_name(&release.name);
        let found = self.config_map(&release.namespace, &name).await?;
        let label = |map: &Value, key: &str| map["metadata"]["labels"][key].as_str().map(str::to_owned);
        let is_ours = |map: &Value| {
            label(map, COMPONENT.0).as_deref() == Some(COMPONENT.1)
                && label(map, CREATED_BY).as_deref() == Some(WRITER)
        };
        if found.is_some_and(|map| !is_ours(&map)) {
            return Ok(false);
        }
        let map = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": release.namespace,
                "labels": {
                    NAME: release.name,
                    (COMPONENT.0): COMPONENT.1,
                    CREATED_BY: WRITER,
                },
                "ownerReferences": [{
                    "apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND,
                    "name": release.name, "uid": uid,
                }],
            },
            "data": {HASH: plan.hash, CHANGES: plan.changes, MORE: plan.more.to_string()},
        });
        let uri =
            format!("{}?fieldManager={}&force=true", path(&release.namespace, &name), keys::FIELD_MANAGER);
        let body = map.to_string().into_bytes().into();
        drop(map);
        self.call(Call::with_body(Method::PATCH, uri, APPLY_PATCH, body)).await.map(|_| true)
    }

    /// Reads the plan of a release; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_plan(&self, release: &ReleaseId) -> Result<Option<StoredPlan>, ApiError> {
        let map = self.config_map(&release.namespace, &plan_name(&release.name)).await?;
        Ok(map.map(|map| {
            let text = |key: &str| map["data"][key].as_str().unwrap_or_default().to_owned();
            StoredPlan {
                hash: text(HASH),
                changes: text(CHANGES),
                more: text(MORE).parse().unwrap_or_default(),
            }
        }))
    }

    /// The secret key of the hashes of plans; if there is none, `new` is stored. Empty when another
    /// client has put something else there.
    ///
    /// # Errors
    /// When the Secret can be neither read nor created.
    pub async fn plan_secret(
        &self,
        namespace: &str,
        name: &str,
        new: &[u8; SECRET_BYTES],
    ) -> Result<Vec<u8>, ApiError> {
        let found = async || {
            let secret = self.secret(namespace, name).await?;
            Ok::<_, ApiError>(secret.map(|secret| secret.0.get(SECRET_KEY).cloned().unwrap_or_default()))
        };
        if let Some(key) = found().await? {
            return Ok(key);
        }
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": {CREATED_BY: WRITER}},
            "type": "Opaque",
            "data": {SECRET_KEY: STANDARD.encode(new)},
        });
        let uri = format!("/api/v1/namespaces/{namespace}/secrets?fieldManager={}", keys::FIELD_MANAGER);
        let body = secret.to_string().into_bytes().into();
        match self.call(Call::with_body(Method::POST, uri, JSON, body)).await {
            Ok(_) => Ok(new.to_vec()),
            // Another replica was first.
            Err(error) if error.already_exists() => Ok(found().await?.unwrap_or_default()),
            Err(error) => Err(error),
        }
    }

    /// The name of this user, as the API server knows it; `None` when it does not say.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn user_name(&self) -> Result<Option<String>, ApiError> {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let body = review.to_string().into_bytes().into();
        let uri = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let answer: Value = self.call(Call::with_body(Method::POST, uri, JSON, body)).await?.json()?;
        Ok(answer.pointer("/status/userInfo/username").and_then(Value::as_str).map(str::to_owned))
    }
}
