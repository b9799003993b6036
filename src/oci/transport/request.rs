//! A request before it is sent.

use bytes::Bytes;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use reqwest::Url;

use super::observer::Advance;
use super::reach::Reach;

/// A request, without its credentials.
#[derive(Clone)]
pub(in crate::oci) struct Request {
    pub method: Method,
    pub url: Url,
    /// The origin of the URL.
    pub reach: Reach,
    /// Whether the client certificate is shown.
    pub identified: bool,
    pub accept: Option<&'static str>,
    pub authorization: Option<HeaderValue>,
    /// Headers of an API other than a registry's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The first requested byte; all when absent.
    pub from: Option<u64>,
    pub body: Option<(String, Bytes)>,
    /// Receives the progress of the body.
    pub advance: Option<Advance>,
}

impl Request {
    /// A request to a URL from the release or the configuration, but not to the metadata
    /// service of a cloud.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            reach: Reach::NAMED_BY_RELEASE,
            identified: true,
            accept: None,
            authorization: None,
            headers: Vec::new(),
            from: None,
            body: None,
            advance: None,
        }
    }

    /// Whether it can be retried.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}
