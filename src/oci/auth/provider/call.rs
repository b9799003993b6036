//! One call of a cloud's HTTP API, and where this process finds its identity.
//!
//! Calls go out with the system's certificates and the environment's proxy, whatever the
//! settings of a release: its CA or proxy would see the pod's identity.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use reqwest::Url;
use serde::de::DeserializeOwned;

use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_IDENTITY_FILE_BYTES, MAX_TOKEN_BYTES};
use crate::oci::reference::{Zone, authority};
use crate::oci::transport::{Body, Reach, Request, Transport};

/// The environment variables of the process, by name; an empty one counts as unset.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The transport and the environment of a call.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub transport: &'a Transport,
    pub variables: &'a Variables,
    /// The requested artifact, for messages.
    pub subject: &'a str,
    /// Whose identity is shown, for messages.
    pub whose: &'static str,
}

/// That of this process.
pub(super) const POD: &str = "the pod's identity";

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

impl Caller<'_> {
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    /// # Errors
    /// Names the variable.
    pub fn required(&self, name: &str, of: &str) -> Result<String, OciError> {
        self.variable(name)
            .ok_or_else(|| self.denied(&format!("{name} is not set: {of} is not set up for the pod")))
    }

    pub fn denied(&self, why: &str) -> OciError {
        OciError::Denied { subject: self.subject.to_owned(), why: why.into() }
    }

    /// The content of a file of the pod, without the white space around it.
    ///
    /// # Errors
    /// When it cannot be read or is too long for a token.
    pub async fn file(&self, path: &str) -> Result<String, OciError> {
        use tokio::io::AsyncReadExt as _;
        let cannot = |e: std::io::Error| self.denied(&format!("cannot read {path}: {e}"));
        let file = tokio::fs::File::open(path).await.map_err(cannot)?;
        let mut text = String::new();
        let read = file.take(MAX_IDENTITY_FILE_BYTES + 1).read_to_string(&mut text).await.map_err(cannot)?;
        if read as u64 > MAX_IDENTITY_FILE_BYTES {
            return Err(self.denied(&format!("{path} has more than {MAX_IDENTITY_FILE_BYTES} bytes")));
        }
        Ok(text.trim().to_owned())
    }

    /// A URL that may receive an identity: HTTPS, or an address of the node.
    ///
    /// # Errors
    /// When it is not such a URL.
    pub fn url(&self, text: &str) -> Result<Url, OciError> {
        let url = Url::parse(text).ok().filter(|url| url.host_str().is_some());
        let near = |url: &Url| {
            let zone = url.host_str().and_then(Zone::of_host);
            url.scheme() == "http" && matches!(zone, Some(Zone::Loopback | Zone::Forbidden))
        };
        url.filter(|url| url.scheme() == "https" || near(url)).ok_or_else(|| {
            let shown: String = text.chars().take(200).collect();
            self.denied(&format!(
                "{shown:?} cannot receive {}: it is neither HTTPS nor an address of the node",
                self.whose
            ))
        })
    }

    /// The answer to a request of the cloud's API, of bounded length.
    ///
    /// # Errors
    /// When there is no answer, or it is a refusal; with the code of the refusal.
    pub async fn send(&self, request: Request, access: &Access) -> Result<Bytes, OciError> {
        let host = authority(&request.url);
        let origin = request.url.origin();
        let request = Request { reach: Reach::Own, ..request };
        let reply = self.transport.send(access, &request).await?;
        let status = reply.status;
        if reply.url.origin() != origin {
            return Err(self.denied(&format!("{host} redirects to another host")));
        }
        let Body::Whole(body) = reply.body(MAX_TOKEN_BYTES).await? else {
            return Err(self.denied(&format!("{host} returned more than {MAX_TOKEN_BYTES} bytes")));
        };
        if status.is_success() {
            return Ok(body);
        }
        let code = code(&body).map(|code| format!(" ({code})")).unwrap_or_default();
        let answer = format!("answered {}{code}", status.as_u16());
        match status.as_u16() {
            429 | 500..=599 => Err(OciError::Unavailable { host, why: format!("it {answer}").into() }),
            _ => Err(self.denied(&format!("{} was refused: {host} {answer}", self.whose))),
        }
    }

    /// The same, read as JSON.
    ///
    /// # Errors
    /// Also when it does not have that form; nothing of it is quoted.
    pub async fn json<T: DeserializeOwned>(&self, request: Request, access: &Access) -> Result<T, OciError> {
        let host = authority(&request.url);
        let body = self.send(request, access).await?;
        serde_json::from_slice(&body).map_err(|_| self.denied(&format!("{host} returned no token")))
    }

    /// A secret as a header value.
    ///
    /// # Errors
    /// When it is not valid in a header.
    pub fn header(&self, value: &str) -> Result<HeaderValue, OciError> {
        let mut header = HeaderValue::from_str(value).map_err(|_| {
            self.denied("the identity contains characters that are not valid in an HTTP header")
        })?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// A POST of a form.
pub(super) fn form(url: Url, fields: &[(&str, &str)]) -> Request {
    let mut request = Request::new(Method::POST, url);
    request.headers = vec![(http::header::ACCEPT, HeaderValue::from_static("*/*"))];
    request.body = Some((FORM.to_owned(), Bytes::from(encode(fields))));
    request
}

/// A header that is not secret.
pub(super) fn plain(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

/// A URL's query is the encoding that a form has.
fn encode(fields: &[(&str, &str)]) -> String {
    let Ok(mut form) = Url::parse("form:x") else { return String::new() };
    form.query_pairs_mut().extend_pairs(fields);
    form.query().unwrap_or_default().to_owned()
}

/// How long to keep something that is valid for so many seconds.
pub(super) fn seconds(given: Option<u64>, otherwise: Duration) -> Duration {
    given.map_or(otherwise, Duration::from_secs)
}

/// The code of a refusal: OAuth2's `error`, AWS's `__type` or `<Code>`. Only text of the
/// form of a code is returned.
fn code(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let named = |key: &str| json.as_ref()?.get(key)?.as_str().map(str::to_owned);
    let found = named("error").or_else(|| named("__type")).or_else(|| element(text, "Code"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '#' | '.');
    (!found.is_empty() && found.len() <= 80 && found.chars().all(plain)).then_some(found)
}

/// The text of an element of an XML document without attributes there. What is
/// read this way are base64 and codes, which hold no entities.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    (!text.contains(['<', '&'])).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_or_none() {
        let check =
            |body: &str, expected: Option<&str>| assert_eq!(code(body.as_bytes()).as_deref(), expected);
        check(
            r#"{"error":"invalid_client","error_description":"AADSTS70021 s3cret"}"#,
            Some("invalid_client"),
        );
        check(r#"{"__type":"AccessDeniedException","message":"x"}"#, Some("AccessDeniedException"));
        check(
            "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>",
            Some("InvalidIdentityToken"),
        );
        check(r#"{"error":"a sentence with a s3cret"}"#, None);
        check(r#"{"error":{"code":403}}"#, None);
        check("<Code><b>x</b></Code>", None);
        check("<html>", None);
    }
}
