//! Who a person is, and what an identity is allowed to do, by reviews of the API server.

use http::Method;
use serde_json::{Value, json};

use super::error::ApiError;
use super::session::{Call, JSON, Session};
use crate::api::release::{GROUP, PLURAL};
use crate::domain::identity::ReleaseId;
use crate::domain::shown::fields::text;
use crate::domain::status::inventory_name;

const SELF_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Whom a token belongs to, as the API server knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUser(Value);

impl TokenUser {
    /// Their name.
    pub fn name(&self) -> &str {
        text(&self.0, "/username")
    }

    /// All that the API server says of them: two of the same have the same rights.
    pub fn identity(&self) -> String {
        self.0.to_string()
    }
}

impl Session {
    /// Whom a token belongs to; `None` for one that the API server does not accept. The token has to be for the API
    /// server itself, since it is used there: one that was issued for another audience is not accepted.
    ///
    /// # Errors
    /// When the API server gives no answer, or does not let this identity ask.
    pub async fn user_of_token(&self, token: &str) -> Result<Option<TokenUser>, ApiError> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        let answer = self.review(TOKEN_REVIEWS, &review).await?;
        let is_known = answer.pointer("/status/authenticated") == Some(&Value::Bool(true));
        let user = answer.pointer("/status/user").filter(|user| !text(user, "/username").is_empty());
        Ok(user.filter(|_| is_known).cloned().map(TokenUser))
    }

    /// Whether a person may list the releases of a namespace, or of all.
    ///
    /// # Errors
    /// As [`Session::user_of_token`].
    pub async fn may_list_releases(
        &self,
        TokenUser(user): &TokenUser,
        namespace: Option<&str>,
    ) -> Result<bool, ApiError> {
        let mut spec = json!({"resourceAttributes": {
            "verb": "list", "group": GROUP, "resource": PLURAL, "namespace": namespace.unwrap_or_default(),
        }});
        for (from, to) in [("username", "user"), ("uid", "uid"), ("groups", "groups"), ("extra", "extra")] {
            if let Some(value) = user.get(from) {
                spec[to] = value.clone();
            }
        }
        let review =
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        Ok(is_allowed(&self.review(ACCESS_REVIEWS, &review).await?))
    }

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
        Ok(is_allowed(&self.review(SELF_REVIEWS, &review).await?))
    }

    async fn review(&self, uri: &str, review: &Value) -> Result<Value, ApiError> {
        let body = review.to_string().into_bytes().into();
        self.call(Call::with_body(Method::POST, uri, JSON, body)).await?.json()
    }
}

fn is_allowed(review: &Value) -> bool {
    review.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false)
}
