//! A call of the API server, and its answer.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method};

use crate::cluster::error::ApiError;
use crate::observe::labels::Verb;

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 << 20;

/// A call.
pub(in crate::cluster) struct Call {
    pub method: Method,
    /// Path and query.
    pub uri: String,
    pub accept: &'static str,
    pub content_type: &'static str,
    pub body: Bytes,
    /// For the metrics.
    pub verb: Verb,
    /// The longest answer that is read, in bytes.
    pub most: usize,
    /// Whether it is about a Lease of the process itself: it waits for nothing.
    pub own_lease: bool,
}

/// Plain JSON.
pub(in crate::cluster) const JSON: &str = "application/json";
/// The metadata of an object alone.
pub(in crate::cluster) const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

impl Call {
    pub fn get(uri: impl Into<String>) -> Self {
        let (accept, content_type) = (JSON, JSON);
        let (method, verb, body) = (Method::GET, Verb::Get, Bytes::new());
        Self { method, uri: uri.into(), accept, content_type, body, verb, most: MAX_ANSWER, own_lease: false }
    }

    pub fn with_body(
        method: Method,
        uri: impl Into<String>,
        content_type: &'static str,
        body: Bytes,
    ) -> Self {
        let verb = match method {
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH => Verb::Patch,
            Method::DELETE => Verb::Delete,
            _ => Verb::Other,
        };
        Self {
            method,
            uri: uri.into(),
            accept: JSON,
            content_type,
            body,
            verb,
            most: MAX_ANSWER,
            own_lease: false,
        }
    }

    /// Path and query, with the time that the API server may take from when it has received the request.
    pub(super) fn uri_within(&self, longest: Option<Duration>) -> Cow<'_, str> {
        let Some(longest) = longest else { return Cow::Borrowed(&self.uri) };
        let separator = if self.uri.contains('?') { '&' } else { '?' };
        Cow::Owned(format!("{}{separator}timeout={}s", self.uri, longest.as_secs().max(1)))
    }

    /// About a Lease of the process itself.
    #[must_use]
    pub fn of_own_lease(self) -> Self {
        Self { own_lease: true, ..self }
    }

    pub(super) fn is_of_lease(&self) -> bool {
        self.own_lease
    }

    /// The namespace of the request; empty for all.
    pub(super) fn namespace(&self) -> &str {
        let path = self.uri.split('?').next().unwrap_or_default();
        let below = path.split_once("/namespaces/").map_or("", |(_, below)| below);
        below.split('/').next().unwrap_or_default()
    }
}

/// How the process names itself: in a pod with its name, so that the audit log of the API server says
/// which replica it was.
pub(super) fn agent() -> HeaderValue {
    let plain = concat!("supercargo/", env!("CARGO_PKG_VERSION"));
    let pod = std::env::var("POD_NAME").ok().filter(|pod| !pod.is_empty());
    let named = pod.and_then(|pod| HeaderValue::try_from(format!("{plain} ({pod})")).ok());
    named.unwrap_or(HeaderValue::from_static(plain))
}

/// A successful answer.
pub struct ApiResponse {
    /// HTTP status.
    pub code: u16,
    /// The body.
    pub body: Bytes,
}

impl ApiResponse {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// When it is not JSON of that form.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(ApiError::answer)
    }
}
