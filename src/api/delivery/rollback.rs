//! What happens when a new revision fails, and what is remembered of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of `status.quarantine`.
pub const MAX_QUARANTINE: usize = 10;

/// Handling of a new revision that fails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rollback {
    /// Off: it is retried. OnFailure: the last healthy revision is applied again. Freeze: nothing more is written. A revision fails when an object of it fails or is refused, when its objects are not healthy within `timeout`, or when a step of it fails.
    #[serde(default)]
    pub mode: RollbackMode,
}

/// Handling of a new revision that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RollbackMode {
    /// It is retried.
    #[default]
    Off,
    /// The last healthy revision is applied again.
    OnFailure,
    /// Nothing more is written.
    Freeze,
}

/// A revision that has failed and is not applied any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantineEntry {
    /// Revision.
    pub revision: String,
    /// Digest of the revision.
    pub digest: String,
    /// Hash of the digest and of the options of the spec that change its objects.
    pub key: String,
    /// Reason of the failure.
    pub reason: String,
    /// Cause of the failure.
    pub message: String,
    /// Time of the failure, RFC 3339.
    pub since: String,
    /// Revision that is applied instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<String>,
    /// Why no revision is applied instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<String>,
}
