//! Errors of calls to the API server.

use std::time::Duration;

use serde::Deserialize;

use super::kinds::resource::Resource;
use crate::api::reason::Reason;
use crate::domain::identity::GroupKind;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error("the API server does not answer")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("the API server did not answer within {}s", .0.as_secs())]
    Timeout(Duration),
    /// Another cluster gives no answer, or rejects its credentials.
    #[error(
        "the cluster {server} cannot be reached: {why}; nothing there is changed or judged until it answers: restore \
         it, or renew the kubeconfig of the release"
    )]
    Away {
        /// The URL of its API server.
        server: std::sync::Arc<str>,
        /// What is wrong.
        why: String,
    },
    /// The API server refused.
    #[error("{}", .0.message)]
    Status(Box<Status>),
    /// The answer is malformed.
    #[error("cannot read the API server's answer")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer exceeds the limit.
    #[error("the API server's answer is longer than {0} bytes")]
    TooLong(usize),
    /// The answer exceeds the bounds of a look at objects.
    #[error(
        "the API server's answer takes more of the memory of the operator than there is for it (the JSON of the object \
         has more than {} KiB, or very many fields); use supercargo diff release",
        .0 >> 10
    )]
    BeyondBounds(u64),
    /// The configuration is invalid.
    #[error("invalid cluster configuration")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The lease expired, so nothing was sent.
    #[error("the lease expired; another replica may be the leader")]
    LeaseOver,
    /// It was changed each time between read and write.
    #[error("it changed {0} times in a row between read and write")]
    ConflictRetriesExhausted(usize),
    /// It was deleted for its recreation, and still exists after the timeout.
    #[error("not deleted within {}s for its recreation, probably because of a finalizer", .0.as_secs())]
    Held(Duration),
    /// The kind is not served.
    #[error("no matches for kind {kind:?} in version {api_version:?}")]
    NoSuchKind {
        /// As requested.
        api_version: String,
        /// As requested.
        kind: String,
    },
    /// The existence of the object cannot be checked: no version of its kind answers.
    #[error("cannot check whether the object exists: the API server does not serve {kind} now")]
    NotServed {
        /// Its kind.
        kind: GroupKind,
    },
    /// The same, though there is a definition of the kind.
    #[error(
        "cannot check whether the object exists: the CustomResourceDefinition {definition} serves no version of \
         {kind}; serve one, or delete the definition"
    )]
    Unserved {
        /// The kind.
        kind: GroupKind,
        /// The name of its definition.
        definition: String,
    },
}

/// A refusal of the API server (meta/v1 Status).
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
    /// The name of what the refusal is about.
    pub name: String,
    /// Its resource, as in paths; some servers say its kind.
    pub kind: String,
    /// When to retry, in seconds.
    pub retry_after_seconds: u64,
}

impl Status {
    /// Whether a status 500 is not about the server: a webhook failed, or what was
    /// applied does not fit its schema.
    fn is_about_the_object(&self) -> bool {
        self.reason == "InternalError" || self.is_of_the_schema()
    }

    /// Whether what was applied does not fit its schema. Only the message says so: the
    /// API server returns a bare Go error then, which becomes a Status without a reason
    /// and details (k8s.io/apimachinery, managedfields/internal/structuredmerge.go).
    fn is_of_the_schema(&self) -> bool {
        ["failed to create typed patch object", "failed to convert new object"]
            .iter()
            .any(|start| self.message.starts_with(start))
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

    /// Whether the API server says that something does not exist, and names it. A 404
    /// that names nothing is about the path: a version that is not served any more, or a
    /// proxy without a route.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|s| s.code == 404 && s.reason == "NotFound" && !s.details.name.is_empty())
    }

    /// Whether the path itself does not exist.
    pub fn is_no_path(&self) -> bool {
        self.code() == 404 && !self.is_not_found()
    }

    /// Whether it says that this very object does not exist.
    pub(super) fn is_absence_of(&self, resource: &Resource, name: &str) -> bool {
        let names = |s: &Status| {
            s.details.name == name
                && [&resource.plural, &resource.kind].iter().any(|k| s.details.kind.eq_ignore_ascii_case(k))
        };
        self.is_not_found() && self.status().is_some_and(names)
    }

    /// Whether another client changed it meanwhile.
    pub fn is_conflict(&self) -> bool {
        self.code() == 409 && self.status().is_none_or(|s| s.reason != "AlreadyExists")
    }

    /// Whether it exists already.
    pub fn already_exists(&self) -> bool {
        self.code() == 409 && self.status().is_some_and(|s| s.reason == "AlreadyExists")
    }

    /// Whether the identity lacks the right.
    pub fn is_forbidden(&self) -> bool {
        self.code() == 403
    }

    /// Whether it is about one object, and says nothing of the others.
    pub fn is_of_the_object(&self) -> bool {
        self.is_forbidden() || matches!(self, Self::BeyondBounds(_))
    }

    /// Whether the API server could not answer, so that a retry is useful.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Away { .. }
            | Self::Timeout(_)
            | Self::Answer(_)
            | Self::Held(_)
            | Self::LeaseOver
            | Self::NotServed { .. }
            | Self::Unserved { .. }
            | Self::ConflictRetriesExhausted(_) => true,
            Self::Status(s) => {
                s.code == 429 || matches!(s.code, 502..=504) || (s.code == 500 && !s.is_about_the_object())
            }
            Self::TooLong(_) | Self::BeyondBounds(_) | Self::Configuration(_) | Self::NoSuchKind { .. } => {
                false
            }
        }
    }

    /// The reason for conditions.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Away { .. } => Reason::ClusterUnreachable,
            Self::Status(s) if s.code == 403 || s.code == 401 => Reason::AccessDenied,
            Self::BeyondBounds(_) => Reason::PreflightFailed,
            Self::Status(_) | Self::NoSuchKind { .. } if !self.is_transient() => Reason::PreflightFailed,
            _ => Reason::ApiServerUnavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_500_about_the_object_is_final() {
        let check = |reason: &str, message: &str, is_transient: bool| {
            let (reason, message) = (reason.to_owned(), message.to_owned());
            let error =
                ApiError::Status(Box::new(Status { code: 500, reason, message, ..Status::default() }));
            assert_eq!(error.is_transient(), is_transient, "{error}");
        };
        let typed = "failed to create typed patch object (apps/web; apps/v1, Kind=Deployment): \
                     .spec.replica: field not declared in schema";
        check("", typed, false);
        let converted = "failed to convert new object (apps/web; apps/v1, Kind=Deployment) to smd typed: \
                         .spec.template.spec.containers: element 0: associative list with keys has an element that \
                         omits key field \"name\"";
        check("", converted, false);
        let webhook = "Internal error occurred: failed calling webhook \"policy.example.com\": timeout";
        check("InternalError", webhook, false);
        check("", "etcdserver: leader changed", true);
        check("", "the server has failed to create typed patch object", true);
    }

    #[test]
    fn gone_is_only_what_the_api_server_names_as_gone() {
        let widgets = Resource {
            group: "example.com".into(),
            version: "v1".into(),
            kind: "Widget".into(),
            plural: "widgets".into(),
            namespaced: true,
            reports: crate::domain::health::Reports::Unknown,
        };
        let check = |text: &str, named: bool, of_it: bool| {
            let mut status: Status = serde_json::from_str(text).unwrap_or_default();
            status.code = 404;
            let error = ApiError::Status(Box::new(status));
            assert_eq!(error.is_not_found(), named, "{text}");
            assert_eq!(error.is_no_path(), !named, "{text}");
            assert_eq!(error.is_absence_of(&widgets, "a"), of_it, "{text}");
        };
        // What the API server says of an object, of a kind by its Kind, and of the
        // namespace of one.
        check(
            r#"{"reason":"NotFound","details":{"name":"a","group":"example.com","kind":"widgets"}}"#,
            true,
            true,
        );
        check(r#"{"reason":"NotFound","details":{"name":"a","kind":"Widget"}}"#, true, true);
        check(r#"{"reason":"NotFound","details":{"name":"b","kind":"widgets"}}"#, true, false);
        check(r#"{"reason":"NotFound","details":{"name":"a","kind":"namespaces"}}"#, true, false);
        // A path that is not served, and proxies.
        check("404 page not found", false, false);
        check("{}", false, false);
        check(
            r#"{"reason":"NotFound","message":"the server could not find the requested resource"}"#,
            false,
            false,
        );
        check(r#"{"reason":"NotFound","details":{"kind":"widgets"}}"#, false, false);
        check(r#"{"details":{"name":"a","kind":"widgets"}}"#, false, false);
    }
}
