//! What is asked of a signature, what it says, and why it does not count.

/// What was signed, if anything was.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `host/path`, without tag and digest.
    pub repository: &'a str,
    /// `sha256:…` of the manifest.
    pub digest: &'a str,
}

/// What a signature says that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The digest of the manifest.
    pub digest: String,
    /// The repository, where it names one.
    pub reference: Option<String>,
}

/// Why something is not a signature that counts; a fragment that follows its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Flaw {
    /// It is something else, and says so.
    #[error("{0}")]
    Other(String),
    /// It is damaged, forged or for something else.
    #[error("{0}")]
    Invalid(String),
    /// It is for another repository than asked for, or does not say for which.
    #[error("{0}")]
    Elsewhere(String),
    /// It may be good, and nobody who is asked for has made it.
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
