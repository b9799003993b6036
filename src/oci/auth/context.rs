//! The context of a request to a registry.

use crate::oci::credentials::Access;
use crate::oci::error::{Denial, OciError};
use crate::oci::reference::Repository;

/// What a request will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::oci) enum TokenScope {
    /// Only read.
    Pull,
    /// Read and write.
    Push,
}

impl TokenScope {
    /// As the token specification names them.
    pub(super) fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// The repository, the access and the scope; the subject is for messages.
#[derive(Clone, Copy)]
pub(in crate::oci) struct RequestContext<'a> {
    pub repository: &'a Repository,
    pub access: &'a Access,
    pub scope: TokenScope,
    pub subject: &'a str,
}

impl RequestContext<'_> {
    /// The error that the registry, or a service before it, denies access.
    pub(super) fn denied(self, why: impl Into<Denial>) -> OciError {
        OciError::Denied { subject: self.subject.to_owned(), why: why.into() }
    }
}
