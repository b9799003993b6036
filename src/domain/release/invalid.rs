//! A spec that is invalid.

use crate::api::reason::Reason;
use crate::domain::manifest::patch::InvalidPatch;

/// Why a spec is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.{field}: {problem}")]
pub struct InvalidSpec {
    /// The field.
    pub field: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

impl InvalidSpec {
    /// The reason for the condition.
    pub fn reason(&self) -> Reason {
        Reason::InvalidSpec
    }
}

impl From<InvalidPatch> for InvalidSpec {
    fn from(InvalidPatch { field, problem }: InvalidPatch) -> Self {
        Self { field, problem }
    }
}

/// What is wrong with a field below `spec`.
pub(super) fn invalid(field: &str, problem: impl Into<String>) -> InvalidSpec {
    InvalidSpec { field: field.to_owned(), problem: problem.into() }
}
