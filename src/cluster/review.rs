//! What an identity is allowed to do, by a review of the API server.

use http::Method;
use serde_json::{Value, json};

use super::error::ApiError;
use super::session::{Call, JSON, Session};
use crate::api::release::{GROUP, PLURAL};
use crate::domain::identity::ReleaseId;
use crate::domain::status::inventory_name;

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

impl Session {
    /// Whether this identity may read a release.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn may_read_release(&self, release: &ReleaseId) -> Result<bool, ApiError> {
        self.may_get(GROUP, PLURAL, &release.namespace, &release.name).await
    }

    /// Whether this identity may read an inventory.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn may_read_inventory(&self, inventory: &ReleaseId) -> Result<bool, ApiError> {
        self.may_get("", "configmaps", &inventory.namespace, &inventory_name(&inventory.name)).await
    }

    async fn may_get(
        &self,
        group: &str,
        resource: &str,
        namespace: &str,
        name: &str,
    ) -> Result<bool, ApiError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": "get", "group": group, "resource": resource, "namespace": namespace, "name": name,
            }},
        });
        let body = review.to_string().into_bytes().into();
        let answer = self.call(Call::with_body(Method::POST, REVIEWS, JSON, body)).await?;
        let answer: Value = answer.json()?;
        Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
    }
}
