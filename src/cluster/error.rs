//! What can go wrong between us and the API server.

use std::time::Duration;

use serde::Deserialize;

use crate::api::reason::Reason;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There was no answer.
    #[error("the API server does not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There was no answer in time.
    #[error("the API server did not answer within {}s", .0.as_secs())]
    Timeout(Duration),
    /// It refused.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// The answer is not what it should be.
    #[error("the API server's answer cannot be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer is longer than is allowed.
    #[error("the API server's answer is longer than {0} bytes")]
    TooLong(usize),
    /// The configuration cannot be used.
    #[error("the cluster configuration cannot be used")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The lease has run out, so nothing was sent.
    #[error("the lease has run out, another replica may lead now")]
    LeaseOver,
    /// It was changed each time between a look at it and the call.
    #[error("it was changed {0} times in a row between a look at it and the call")]
    Restless(usize),
    /// It was deleted to be made anew, and is not gone in time.
    #[error("it is being recreated, and was not gone within {}s: something holds it, often a finalizer", .0.as_secs())]
    Held(Duration),
    /// The kind is not served.
    #[error("no matches for kind {kind:?} in version {api_version:?}")]
    NoSuchKind {
        /// As asked for.
        api_version: String,
        /// As asked for.
        kind: String,
    },
}

/// A refusal, as the API server puts it (meta/v1 Status).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// HTTP status.
    pub code: u16,
    /// A CamelCase reason of the API server's own.
    pub reason: String,
    /// For a person.
    pub message: String,
    /// More for some reasons.
    pub details: StatusDetails,
}

/// More about a refusal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusDetails {
    /// When to come back, in seconds.
    pub retry_after_seconds: u64,
}

impl Status {
    /// Whether a status 500 is not about the server: a webhook failed, or what
    /// was applied does not fit its schema. The API server has no code of its
    /// own for the latter (k8s.io/apimachinery, managedfields/internal/structuredmerge.go).
    fn is_about_the_object(&self) -> bool {
        self.reason == "InternalError"
            || self.message.starts_with("failed to create typed patch object")
            || self.message.starts_with("failed to convert new object")
    }
}

impl ApiError {
    pub(super) fn unreachable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreachable(source.into())
    }

    pub(super) fn configuration(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Configuration(source.into())
    }

    pub(super) fn answer(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Answer(source.into())
    }

    /// The refusal, if it is one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// The HTTP status, 0 when there was none.
    pub fn code(&self) -> u16 {
        self.status().map_or(0, |s| s.code)
    }

    /// Whether the thing asked for is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == 404
    }

    /// Whether it was changed meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409 && self.status().is_none_or(|s| s.reason != "AlreadyExists")
    }

    /// Whether it exists already.
    pub fn already_exists(&self) -> bool {
        self.code() == 409 && self.status().is_some_and(|s| s.reason == "AlreadyExists")
    }

    /// Whether the identity may not do it.
    pub fn is_forbidden(&self) -> bool {
        self.code() == 403
    }

    /// Whether the API server could not say, so that trying again makes sense.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::Answer(_)
            | Self::Held(_)
            | Self::LeaseOver
            | Self::Restless(_) => true,
            Self::Status(s) => {
                s.code == 429 || matches!(s.code, 502..=504) || (s.code == 500 && !s.is_about_the_object())
            }
            Self::TooLong(_) | Self::Configuration(_) | Self::NoSuchKind { .. } => false,
        }
    }

    /// The reason for conditions.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Status(s) if s.code == 403 || s.code == 401 => Reason::AccessDenied,
            Self::Status(_) | Self::NoSuchKind { .. } if !self.is_transient() => Reason::PreflightFailed,
            _ => Reason::ApiServerUnavailable,
        }
    }
}
