//! The record of a step in the status of a release.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most steps of a revision.
pub const MAX_STEPS: usize = 32;

/// A step that was run for a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Object, `Kind/namespace/name`.
    pub step: String,
    /// API version of the object.
    pub api_version: String,
    /// Whether it runs before the other objects are written, or after they are healthy.
    pub phase: StepPhase,
    /// Revision that it runs for.
    pub revision: String,
    /// Hash of the artifact's digest and of the options of the spec that change its objects.
    pub key: String,
    /// Whether what it does outlives a way back to an earlier revision.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub side_effects: bool,
    /// Number of the run.
    pub attempt: i32,
    /// Number of automatic retries since a person asked for a run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retried: i32,
    /// Outcome of the run.
    pub outcome: StepOutcome,
    /// Time of the outcome, RFC 3339.
    pub at: String,
    /// Time when the run began, RFC 3339.
    pub started_at: String,
    /// Longest time of the run, in seconds.
    pub timeout_seconds: i64,
    /// uid of the object, once it is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Value of the annotation supercargo.dev/reconcile-at that the run answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<String>,
    /// Cause of the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// When a step runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepPhase {
    /// Before the first write of the other objects.
    #[default]
    Before,
    /// After the other objects are healthy.
    After,
}

/// Outcome of the run of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepOutcome {
    /// It was started, and the outcome is not recorded yet.
    #[default]
    Started,
    /// It has succeeded.
    Succeeded,
    /// It has failed.
    Failed,
    /// It took too long.
    TimedOut,
    /// Its object was deleted before the outcome was recorded.
    Unknown,
    /// A person has said that it counts as done.
    Skipped,
}

impl StepOutcome {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::TimedOut => "TimedOut",
            Self::Unknown => "Unknown",
            Self::Skipped => "Skipped",
        }
    }

    /// Whether the revision can go on.
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Skipped)
    }
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
