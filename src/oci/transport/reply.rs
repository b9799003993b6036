//! The answer to a request: its head, its body up to a limit, and what it means
//! when it is a refusal.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use reqwest::Url;

use super::failure::{silent, unavailable};
use super::observer::Advance;
use super::pace::Place;
use crate::oci::error::OciError;
use crate::oci::limits::MAX_ERROR_BYTES;
use crate::oci::reference::{Zone, authority};

/// The head of an answer; the body is still to be read. Holds its slot among the host's
/// requests until it is dropped.
pub(in crate::oci) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub url: Url,
    /// The zone of the server.
    pub zone: Zone,
    /// How long the body may go without progress.
    idle: Duration,
    response: reqwest::Response,
    _place: Place,
}

/// How far a body was read.
pub(in crate::oci) enum Part {
    /// To its end.
    Whole,
    /// To the limit, and there is more.
    TooLong,
    /// The connection broke.
    Broken(OciError),
}

impl Reply {
    pub(super) fn new(
        response: reqwest::Response,
        url: Url,
        zone: Zone,
        idle: Duration,
        place: Place,
    ) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, url, zone, idle, response, _place: place }
    }

    /// How long the server asks to wait, if it does (RFC 9110 §10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        let busy = matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let value = self.headers.get(RETRY_AFTER).filter(|_| busy)?.to_str().ok()?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        Duration::try_from(until.duration_since(jiff::Timestamp::now())).ok()
    }

    /// The body, if it is no longer than the limit.
    pub async fn body(mut self, limit: u64) -> Result<Body, OciError> {
        let mut body = BytesMut::new();
        match self.append(&mut body, limit, None).await? {
            Part::Whole => Ok(Body::Whole(body.freeze())),
            Part::TooLong => Ok(Body::TooLong),
            Part::Broken(error) => Err(error),
        }
    }

    /// Appends the body, with a limit for the whole, and reports its progress.
    ///
    /// # Errors
    /// When nothing arrives for too long.
    pub async fn append(
        &mut self,
        body: &mut BytesMut,
        limit: u64,
        advance: Option<&Advance>,
    ) -> Result<Part, OciError> {
        // The limit applies to the announced length too.
        let announced = self.response.content_length().unwrap_or_default();
        if announced.saturating_add(body.len() as u64) > limit {
            return Ok(Part::TooLong);
        }
        body.reserve(usize::try_from(announced).unwrap_or_default());
        loop {
            let Ok(chunk) = tokio::time::timeout(self.idle, self.response.chunk()).await else {
                return Err(silent(&authority(&self.url)));
            };
            if let (Some(advance), Ok(Some(chunk))) = (advance, &chunk) {
                advance(chunk.len() as u64);
            }
            match chunk {
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > limit => return Ok(Part::TooLong),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Part::Whole),
                Err(e) => return Ok(Part::Broken(unavailable(&authority(&self.url), &e))),
            }
        }
    }

    /// Turns an answer that is not a success into an error about `subject`.
    pub async fn error(self, subject: &str) -> OciError {
        let (status, host) = (self.status, authority(&self.url));
        let code = match self.body(MAX_ERROR_BYTES).await {
            Ok(Body::Whole(body)) => error_code(&body),
            _ => None,
        };
        let answer = match code {
            Some(code) => format!("answered {} ({code})", status.as_u16()),
            None => format!("answered {}", status.as_u16()),
        };
        let subject = subject.to_owned();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let why = format!("{host} {answer}; check the credentials and that the repository exists");
                OciError::Denied { subject, why: why.into() }
            }
            StatusCode::NOT_FOUND => OciError::NotFound { subject },
            _ => OciError::Unavailable { host, why: format!("it {answer} for {subject}").into() },
        }
    }
}

/// The code of the first error in a registry's answer. The messages next to it may
/// contain request ids, which would make the message of every retry different.
fn error_code(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let code = value.pointer("/errors/0/code")?.as_str()?;
    let plain =
        !code.is_empty() && code.len() <= 40 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    plain.then(|| code.to_owned())
}

/// A body within its limit, or not.
pub(in crate::oci) enum Body {
    Whole(Bytes),
    TooLong,
}
