//! Errors between a reference and verified bytes.
//!
//! Messages are for the person who must act: they name the registry and the repository,
//! never a credential, and nothing that changes from one retry to the next.

use crate::api::reason::Reason;

/// Why a read from or a write to a registry failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// The reference, the path or the access settings are invalid.
    #[error("{0}")]
    Spec(String),
    /// Credentials or certificates are malformed.
    #[error("{0}")]
    Secret(String),
    /// No answer, or a temporary refusal.
    #[error("{}", .why.of(.host))]
    Unavailable {
        /// The host.
        host: String,
        /// The cause.
        why: Outage,
    },
    /// The registry or its token service rejects the credentials.
    #[error("{subject}: access denied: {why}")]
    Denied {
        /// The requested artifact.
        subject: String,
        /// The cause, and what to check.
        why: Denial,
    },
    /// The registry does not know the repository, tag or digest.
    #[error("{subject} was not found")]
    NotFound {
        /// The requested artifact.
        subject: String,
    },
    /// No tag is in the range.
    #[error("{repository} has no tag that matches {wanted}")]
    NoMatchingTag {
        /// The repository.
        repository: String,
        /// The range, and the filter if there is one.
        wanted: String,
    },
    /// The artifact is encrypted, and no key is configured.
    #[error("{subject} is encrypted with age, and no private key is configured")]
    Encrypted {
        /// The artifact.
        subject: String,
    },
    /// A push ended before its tag was written.
    #[error("{subject} was not published; the tag is unchanged")]
    NotPublished {
        /// The repository and tag.
        subject: String,
        /// The cause.
        #[source]
        source: Box<OciError>,
    },
    /// A push ended while its tag was written.
    #[error("cannot tell whether {subject} was published; push it again, which is safe")]
    PerhapsPublished {
        /// The repository and tag.
        subject: String,
        /// The cause.
        #[source]
        source: Box<OciError>,
    },
    /// The bytes do not match the requested digest.
    #[error("{subject}: the registry sent content that does not match the digest")]
    Mismatch {
        /// The requested artifact.
        subject: String,
    },
    /// The bytes are not a configuration artifact.
    #[error("{subject} is not a usable configuration artifact: {why}")]
    Invalid {
        /// The artifact.
        subject: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A limit was reached.
    #[error("{subject} is too large: {why}")]
    TooLarge {
        /// The artifact.
        subject: String,
        /// Which limit.
        why: String,
    },
}

/// Why a registry is unavailable. The causes that a setting cures have a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The registry that the user named answers HTTPS with plain HTTP.
    PlainHttp,
    /// Its certificate is not signed by a trusted authority.
    UnknownAuthority,
    /// Another cause, as text.
    Other(String),
}

/// Why a registry denies access. The causes that a setting cures have a variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It asks for credentials, and none are configured for it.
    #[error("the registry requires credentials, and none are configured for it")]
    NoCredentials,
    /// Another cause, as text.
    #[error("{0}")]
    Other(String),
}

impl Outage {
    /// The message about a host.
    fn of(&self, host: &str) -> String {
        match self {
            Self::PlainHttp => format!("registry {host} speaks plain HTTP"),
            Self::UnknownAuthority => {
                format!(
                    "registry {host} is unavailable: cannot connect: certificate signed by unknown authority"
                )
            }
            Self::Other(why) => format!("registry {host} is unavailable: {why}"),
        }
    }
}

impl From<String> for Outage {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl From<&str> for Outage {
    fn from(why: &str) -> Self {
        Self::Other(why.to_owned())
    }
}

impl From<String> for Denial {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

impl From<&str> for Denial {
    fn from(why: &str) -> Self {
        Self::Other(why.to_owned())
    }
}

impl OciError {
    /// The reason for the condition, the event and the metric.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Spec(_) => Reason::InvalidSpec,
            Self::Secret(_) => Reason::SecretInvalid,
            Self::Unavailable { .. } => Reason::RegistryUnavailable,
            Self::Denied { .. } => Reason::AuthenticationFailed,
            Self::NotFound { .. } => Reason::ArtifactNotFound,
            Self::NoMatchingTag { .. } => Reason::NoMatchingTag,
            Self::Mismatch { .. } => Reason::DigestMismatch,
            Self::Invalid { .. } | Self::Encrypted { .. } => Reason::ArtifactInvalid,
            Self::NotPublished { source, .. } | Self::PerhapsPublished { source, .. } => source.reason(),
            Self::TooLarge { .. } => Reason::ArtifactTooLarge,
        }
    }

    /// The error itself, or the cause of a push that failed.
    pub fn root(&self) -> &Self {
        match self {
            Self::NotPublished { source, .. } | Self::PerhapsPublished { source, .. } => source.root(),
            _ => self,
        }
    }

    /// The same error with a subject; unpacking does not know the artifact.
    pub(super) fn about(self, name: &str) -> Self {
        match self {
            Self::Invalid { why, .. } => Self::Invalid { subject: name.to_owned(), why },
            Self::TooLarge { why, .. } => Self::TooLarge { subject: name.to_owned(), why },
            other => other,
        }
    }

    /// The same error of a part of an artifact.
    pub(super) fn within(self, part: &str) -> Self {
        match self {
            Self::Invalid { subject, why } => Self::Invalid { subject, why: format!("{part}: {why}") },
            Self::TooLarge { subject, why } => Self::TooLarge { subject, why: format!("{part}: {why}") },
            other => other,
        }
    }

    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid { subject: String::new(), why: why.into() }
    }

    pub(super) fn too_large(why: impl Into<String>) -> Self {
        Self::TooLarge { subject: String::new(), why: why.into() }
    }
}
