//! What the receivers of notifications have accepted about a release.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of `status.notified`.
pub const MAX_NOTIFIED: usize = 20;

/// The last notification about the release that a receiver has accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotifiedEntry {
    /// Name of the receiver.
    #[schemars(length(max = 63))]
    pub receiver: String,
    /// Outcome, such as Failed or Succeeded.
    #[schemars(length(max = 63))]
    pub outcome: String,
    /// Reason of the condition Ready or Drifted.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// Digest of the artifact, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub digest: Option<String>,
    /// Time of the outcome, RFC 3339.
    #[schemars(length(max = 63))]
    pub at: String,
    /// How many notifications there were about this digest, if there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
}

/// Receiver of the release that cannot be notified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationFailure {
    /// Name of the receiver.
    #[schemars(length(max = 63))]
    pub receiver: String,
    /// Why it cannot be notified.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Outcome of which it was to be notified, such as Failed or Succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub outcome: Option<String>,
    /// Digest of the artifact, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub digest: Option<String>,
}
