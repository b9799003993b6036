//! What a signature must be for, what it claims, and why it does not count.

/// What has to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `host/path`, without tag and digest.
    pub repository: &'a str,
    /// `sha256:…` of the manifest.
    pub digest: &'a str,
}

/// What a signature claims to be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The digest of the manifest.
    pub digest: String,
    /// The repository, if it names one.
    pub reference: Option<String>,
}

/// Why a signature does not count; a fragment that follows its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Flaw {
    /// It is not a signature, but something else.
    #[error("{0}")]
    Other(String),
    /// It is damaged, forged or for another artifact.
    #[error("{0}")]
    Invalid(String),
    /// It is for another repository, or does not name one.
    #[error("{0}")]
    Elsewhere(String),
    /// It may be valid, but no required signer has made it.
    #[error("{0}")]
    Untrusted(String),
}

impl Flaw {
    pub(in crate::domain::verify) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    pub(in crate::domain::verify) fn untrusted(text: impl Into<String>) -> Self {
        Self::Untrusted(text.into())
    }
}
