//! What can go wrong between a reference and verified bytes.
//!
//! Messages are read by the person who must act: they name the registry and
//! the repository, never a credential, and nothing that changes from one try
//! to the next.

use crate::api::reason::Reason;

/// Why bytes could not be had from a registry, or put there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// The reference, the path or the access settings cannot be used.
    #[error("{0}")]
    Spec(String),
    /// Credentials or certificates are not of the form they should have.
    #[error("{0}")]
    Secret(String),
    /// No answer, or one that says "not now".
    #[error("{}", .why.of(.host))]
    Unavailable {
        /// The host that was asked.
        host: String,
        /// What happened.
        why: Outage,
    },
    /// The registry or its token service wants other credentials.
    #[error("{subject}: access denied: {why}")]
    Denied {
        /// What was asked for.
        subject: String,
        /// What happened, and what to check.
        why: Denial,
    },
    /// The registry does not know the repository, tag or digest.
    #[error("{subject} was not found")]
    NotFound {
        /// What was asked for.
        subject: String,
    },
    /// No tag is in the range.
    #[error("{repository} has no tag that matches {wanted}; it has {seen} tags")]
    NoMatchingTag {
        /// The repository.
        repository: String,
        /// The range, and the filter if there is one.
        wanted: String,
        /// How many tags were looked at.
        seen: usize,
    },
    /// The artifact is encrypted, and nobody gave a key.
    #[error("{subject} is encrypted with age, and there is no private key to decrypt it with")]
    Encrypted {
        /// What was read.
        subject: String,
    },
    /// A push ended before its tag was written.
    #[error("{subject} was not published, the tag is as it was")]
    NotPublished {
        /// The repository and tag.
        subject: String,
        /// What happened.
        #[source]
        source: Box<OciError>,
    },
    /// A push ended while its tag was written.
    #[error("whether {subject} was published is not known; push it again, which is safe")]
    PerhapsPublished {
        /// The repository and tag.
        subject: String,
        /// What happened.
        #[source]
        source: Box<OciError>,
    },
    /// The bytes are not those that were asked for.
    #[error("{subject}: the registry sent other bytes than the digest names")]
    Mismatch {
        /// What was asked for.
        subject: String,
    },
    /// The bytes are not a configuration artifact.
    #[error("{subject} is not a usable configuration artifact: {why}")]
    Invalid {
        /// What was read.
        subject: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A limit was reached.
    #[error("{subject} is too large: {why}")]
    TooLarge {
        /// What was read.
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
            Self::PlainHttp => "The registry speaks plain HTTP".to_owned(),
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

    /// The same finding about a named subject; unpacking does not know whose
    /// bytes it reads.
    pub(super) fn about(self, name: &str) -> Self {
        match self {
            Self::Invalid { why, .. } => Self::Invalid { subject: name.to_owned(), why },
            Self::TooLarge { why, .. } => Self::TooLarge { subject: name.to_owned(), why },
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
