//! A spec that is invalid, and names that no object can have.

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

/// Checks the name of another object: it becomes part of paths, queries and user
/// names.
///
/// # Errors
/// When no object can have that name.
pub fn object_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(format!("{name:?} is not a valid name: use lower case letters, digits, '-' and '.'"));
    }
    Ok(name.to_owned())
}
