//! What can be wrong with a patch, before and while it is applied.

use crate::api::reason::Reason;

/// Why a patch, an image change or a patch file is invalid, whatever the objects are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidPatch {
    /// The field, such as `patches[0].patch`.
    pub field: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}

impl InvalidPatch {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Why a patch does not apply to the objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{patch}: {problem}")]
pub struct PatchError {
    /// The field that holds the patch, such as `patches[0]`.
    pub patch: String,
    /// Which object and which place in it, and what is wrong there. Contains no value
    /// of the object.
    pub problem: String,
}

impl PatchError {
    pub(super) fn new(patch: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { patch: patch.into(), problem: problem.into() }
    }

    /// The reason for conditions, events and metrics.
    pub fn reason(&self) -> Reason {
        Reason::PatchFailed
    }
}
