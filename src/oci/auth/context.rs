//! Who asks a registry for what.

use crate::oci::credentials::Access;
use crate::oci::error::{Denial, OciError};
use crate::oci::reference::Repository;

/// What a request is going to do.
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

/// Who asks for what; the subject is for messages.
#[derive(Clone, Copy)]
pub(in crate::oci) struct RequestContext<'a> {
    pub repository: &'a Repository,
    pub access: &'a Access,
    pub scope: TokenScope,
    pub subject: &'a str,
}

impl RequestContext<'_> {
    /// The registry, or who stands between, does not let it in.
    pub(super) fn denied(self, why: impl Into<Denial>) -> OciError {
        OciError::Denied { subject: self.subject.to_owned(), why: why.into() }
    }
}
