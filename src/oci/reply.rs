//! The answer to a request: its head, its body up to a limit, and what it means
//! when it is a refusal.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use tokio::sync::OwnedSemaphorePermit;

use super::OciError;
use super::limits::MAX_ERROR_BYTES;
use super::transport::{Advance, authority, silent, unavailable};

/// The head of an answer; the body is still to be read. Holds its place among
/// the host's requests until it is dropped.
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub url: Url,
    /// How long the body may go without progress.
    pub(super) idle: Duration,
    pub(super) response: reqwest::Response,
    /// Its place among the requests to the host; given back when dropped.
    pub(super) _place: Option<OwnedSemaphorePermit>,
}

impl Reply {
    /// The body, if it is no longer than the limit.
    pub async fn body(self, limit: u64) -> Result<Body, OciError> {
        self.watched_body(limit, None).await
    }

    /// The same, and somebody watches it arrive.
    pub async fn watched_body(mut self, limit: u64, advance: Option<Advance>) -> Result<Body, OciError> {
        if self.response.content_length().is_some_and(|length| length > limit) {
            return Ok(Body::TooLong);
        }
        // The limit holds for what is announced, too.
        let announced = self.response.content_length().unwrap_or_default();
        let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or_default());
        loop {
            let Ok(chunk) = tokio::time::timeout(self.idle, self.response.chunk()).await else {
                return Err(silent(&authority(&self.url)));
            };
            if let (Some(advance), Ok(Some(chunk))) = (&advance, &chunk) {
                advance(chunk.len() as u64);
            }
            match chunk {
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > limit => return Ok(Body::TooLong),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(Body::Whole(body.freeze())),
                Err(e) => return Err(unavailable(&authority(&self.url), &e)),
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
            Some(code) => format!("{host} answered {} ({code})", status.as_u16()),
            None => format!("{host} answered {}", status.as_u16()),
        };
        let subject = subject.to_owned();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let why = format!("{answer}; check the credentials and that the repository exists");
                OciError::Denied { subject, why }
            }
            StatusCode::NOT_FOUND => OciError::NotFound { subject },
            _ => OciError::Unavailable {
                host,
                why: format!("it answered {} for {subject}", answer_tail(&answer)),
            },
        }
    }
}

fn answer_tail(answer: &str) -> &str {
    answer.split_once(" answered ").map_or(answer, |(_, tail)| tail)
}

/// The code of the first error in a registry's answer. The messages beside it
/// may hold request ids, which would make every retry another message.
fn error_code(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let code = value.pointer("/errors/0/code")?.as_str()?;
    let plain =
        !code.is_empty() && code.len() <= 40 && code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    plain.then(|| code.to_owned())
}

/// A body that was read, or not.
pub(super) enum Body {
    Whole(Bytes),
    TooLong,
}
