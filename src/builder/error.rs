//! Why there is no output of a build.

use crate::api::reason::Reason;
use crate::domain::manifest::kustomization::KustomizationRefusal;

/// Why there is no output of a build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// It uses what is not built.
    #[error("{0}")]
    Refused(KustomizationRefusal),
    /// The program has said that it cannot be built.
    #[error("{0}")]
    Failed(String),
    /// It needs more than a limit.
    #[error("{0}")]
    TooLarge(String),
    /// The administrator does not allow builds, or not here.
    #[error("{0}")]
    NotAllowed(String),
    /// The build could not be run to its end.
    #[error("{0}")]
    Unavailable(String),
}

impl BuildError {
    /// The reason for conditions, events and metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Refused(_) => Reason::KustomizationRefused,
            Self::Failed(_) => Reason::BuildFailed,
            Self::TooLarge(_) => Reason::ArtifactTooLarge,
            Self::NotAllowed(_) => Reason::BuildNotAllowed,
            Self::Unavailable(_) => Reason::BuildUnavailable,
        }
    }
}
