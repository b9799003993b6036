//! The answers to senders. An unauthenticated sender gets no details.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::domain::webhook::formats::Malformed;
use crate::observe::labels::WebhookResult;

/// The maximum number of releases in an answer; the others are counted.
const MAX_NAMED: usize = 100;

/// The result of a request.
#[derive(Debug)]
pub enum HookAnswer {
    /// It was accepted.
    Taken {
        /// The triggered releases.
        triggered: Vec<String>,
        /// What was ignored, and why.
        ignored: Vec<String>,
        /// Whether it is a duplicate delivery.
        again: bool,
    },
    /// Its path is not below `/hook/`.
    NotFound,
    /// It is not a POST.
    NotPost,
    /// Unknown receiver, or invalid credentials.
    Stranger,
    /// The body is too long.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// The body does not have the sender's format.
    Malformed(Malformed),
    /// Too many requests of this sender.
    TooOften(Duration),
    /// Too many concurrent requests.
    Busy,
    /// The API server does not answer in time.
    Unavailable,
}

impl HookAnswer {
    /// Its name in the log.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "taken",
            Self::NotFound => "not found",
            Self::NotPost => "not a POST",
            Self::Stranger => "unauthorized",
            Self::TooLarge => "too large",
            Self::TooSlow => "too slow",
            Self::Malformed(_) => "malformed",
            Self::TooOften(_) => "too often",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }

    /// Its metric label; a request that is not a webhook is not counted.
    pub fn result(&self) -> Option<WebhookResult> {
        Some(match self {
            Self::Taken { again: true, .. } => WebhookResult::Replayed,
            Self::Taken { triggered, .. } if triggered.is_empty() => WebhookResult::Ignored,
            Self::Taken { .. } => WebhookResult::Accepted,
            Self::NotFound | Self::NotPost => return None,
            Self::Stranger => WebhookResult::Unauthorized,
            Self::TooLarge => WebhookResult::TooLarge,
            Self::TooSlow | Self::Malformed(_) => WebhookResult::Malformed,
            Self::TooOften(_) | Self::Busy => WebhookResult::Throttled,
            Self::Unavailable => WebhookResult::Failed,
        })
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Taken { .. } => StatusCode::OK,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotPost => StatusCode::METHOD_NOT_ALLOWED,
            Self::Stranger => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn body(&self) -> Value {
        let problem = match self {
            Self::Taken { triggered, ignored, again: _ } => {
                let mut body = json!({
                    "triggered": triggered.get(..MAX_NAMED).unwrap_or(triggered),
                    "ignored": ignored,
                });
                if triggered.len() > MAX_NAMED {
                    body["more"] = json!(triggered.len() - MAX_NAMED);
                }
                return body;
            }
            Self::NotFound => "not found: webhook paths begin with /hook/".to_owned(),
            Self::NotPost => "method not allowed: use POST".to_owned(),
            Self::Stranger => "unknown receiver or invalid credentials".to_owned(),
            Self::TooLarge => "the body is too large".to_owned(),
            Self::TooSlow => "timed out reading the body".to_owned(),
            Self::Malformed(why) => why.to_string(),
            Self::TooOften(_) => "too many requests to this receiver: retry later".to_owned(),
            Self::Busy => "too many concurrent requests: retry later".to_owned(),
            Self::Unavailable => "the API server does not answer in time: retry later".to_owned(),
        };
        json!({"error": problem})
    }

    /// As HTTP.
    pub fn response(&self) -> Response<Full<Bytes>> {
        let mut text = self.body().to_string();
        text.push('\n');
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self {
            Self::NotPost => drop(headers.insert(header::ALLOW, HeaderValue::from_static("POST"))),
            Self::Stranger => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooOften(wait) => {
                let seconds = wait.as_secs_f64().ceil().max(1.0);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds as u32));
            }
            Self::Busy | Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(5_u32));
            }
            _ => {}
        }
        if matches!(self, Self::TooLarge | Self::TooSlow | Self::Stranger) {
            // The rest of the body is not read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_as_what_they_say() {
        let taken = |triggered: &[&str], again| HookAnswer::Taken {
            triggered: triggered.iter().map(|&name| name.to_owned()).collect(),
            ignored: Vec::new(),
            again,
        };
        let check = |answer: &HookAnswer, expected: Option<WebhookResult>| {
            assert_eq!(answer.result(), expected, "{}", answer.name());
        };
        check(&taken(&["shop/web"], false), Some(WebhookResult::Accepted));
        check(&taken(&[], false), Some(WebhookResult::Ignored));
        check(&taken(&[], true), Some(WebhookResult::Replayed));
        check(&HookAnswer::NotFound, None);
        check(&HookAnswer::NotPost, None);
        check(&HookAnswer::Stranger, Some(WebhookResult::Unauthorized));
        check(&HookAnswer::TooLarge, Some(WebhookResult::TooLarge));
        check(&HookAnswer::TooSlow, Some(WebhookResult::Malformed));
        check(&HookAnswer::TooOften(Duration::ZERO), Some(WebhookResult::Throttled));
        check(&HookAnswer::Busy, Some(WebhookResult::Throttled));
        check(&HookAnswer::Unavailable, Some(WebhookResult::Failed));
    }
}
