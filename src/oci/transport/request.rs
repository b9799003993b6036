//! A request, before anybody sends it.

use bytes::Bytes;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use reqwest::Url;

use super::observer::Advance;
use super::reach::Reach;

/// A request, whatever its credentials.
#[derive(Clone)]
pub(in crate::oci) struct Request {
    pub method: Method,
    pub url: Url,
    /// Who has named the URL.
    pub reach: Reach,
    /// Whether the client certificate is shown.
    pub identified: bool,
    pub accept: Option<&'static str>,
    pub authorization: Option<HeaderValue>,
    /// Headers of an API that is no registry's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The first byte that is asked for; all when absent.
    pub from: Option<u64>,
    pub body: Option<(String, Bytes)>,
    /// Who watches the body leave.
    pub advance: Option<Advance>,
}

impl Request {
    /// A request to a URL that the release or its operator has named.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            reach: Reach::Own,
            identified: true,
            accept: None,
            authorization: None,
            headers: Vec::new(),
            from: None,
            body: None,
            advance: None,
        }
    }

    /// Whether it may be sent twice.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }
}
