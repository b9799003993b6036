//! The status of a release.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of `status.failures`.
pub const MAX_FAILURES: usize = 20;
/// The most entries of `status.history`.
pub const MAX_HISTORY: usize = 5;
/// The longest message of a condition or failure, in bytes: the API's own limit
/// for condition messages is 32768.
pub const MAX_MESSAGE: usize = 4096;

/// Condition types.
pub mod condition {
    /// Whether the wanted revision is applied (and healthy, where asked for).
    pub const READY: &str = "Ready";
    /// Whether the artifact is signed by whom the spec and the administrator want.
    pub const VERIFIED: &str = "Verified";
    /// Whether every object is healthy; only where `wait` asks for it.
    pub const HEALTHY: &str = "Healthy";
    /// Whether objects differ from what was applied.
    pub const DRIFTED: &str = "Drifted";
    /// Present and true while the registry does not give what the spec asks for.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// Present and true while a run is under way and waits (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// Present and true while a person has to change something (kstatus).
    pub const STALLED: &str = "Stalled";
}

/// What became of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready; Verified, Healthy and Drifted where they apply; FetchFailed, Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// The artifact of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactStatus>,
    /// The revision of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The last revision of which every object was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// That revision with the first digits of its digest, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_revision: Option<String>,
    /// The last revision that was seen healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_healthy_revision: Option<String>,
    /// The last value of the annotation supercargo.dev/reconcile-at that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Where the inventory is, and how many objects it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryStatus>,
    /// What the last run that changed something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// The first failed objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failures: Vec<Failure>,
    /// How many failed objects are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_failures: Option<i32>,
    /// The last revisions, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub history: Vec<HistoryEntry>,
}

/// The artifact of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactStatus {
    /// `tag@digest`, or the digest.
    pub revision: String,
    /// The digest of the manifest.
    pub digest: String,
    /// When it was made, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Where its content is kept, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The revision of that source, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_revision: Option<String>,
    /// Whose signatures it has, as far as they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub verified_by: Vec<VerifiedBy>,
    /// The container images that were verified, with the digests that were applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub images: Vec<VerifiedImage>,
}

/// A signature that counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBy {
    /// The authority that it counted for, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// The key: its name in the Secret, and the SHA-256 of its DER form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The issuer of the identity of a keyless signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The subject of a keyless signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it is written: `simplesigning` or `bundle`.
    pub format: String,
    /// When it was made, where a log or a timestamp proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
    /// The repository that it says it is for; not proof of anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A container image that was verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedImage {
    /// As the artifact names it.
    pub name: String,
    /// As it was applied, `repository:tag@sha256:…`.
    pub pinned: String,
    /// Who signed it: a key or an identity.
    pub signer: String,
}

/// Where the inventory is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryStatus {
    /// Name of the ConfigMap, in the release's namespace.
    pub name: String,
    /// How many objects it names.
    pub entries: i32,
}

impl ReleaseStatus {
    /// The condition of a type.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == name)
    }
}

/// How many objects a run changed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Objects that did not exist.
    pub created: i32,
    /// Objects that were changed.
    pub configured: i32,
    /// Objects that were as they should be.
    pub unchanged: i32,
    /// Objects that were deleted because they left the artifact.
    pub pruned: i32,
    /// Objects that could not be applied or deleted.
    pub failed: i32,
}

impl Changes {
    /// Whether anything was written.
    pub fn wrote(&self) -> bool {
        self.created + self.configured + self.pruned > 0
    }

    /// These and what was written before them, of one revision.
    #[must_use]
    pub fn after(&self, before: &Self) -> Self {
        Self {
            created: self.created.saturating_add(before.created),
            configured: self.configured.saturating_add(before.configured),
            pruned: self.pruned.saturating_add(before.pruned),
            ..self.clone()
        }
    }
}

/// An object that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `Kind/namespace/name` or `Kind/name`.
    pub object: String,
    /// A reason of the closed set.
    pub reason: String,
    /// What happened, and what to do.
    pub message: String,
}

/// A revision that was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The revision.
    pub revision: String,
    /// Its digest.
    pub digest: String,
    /// When it was applied, RFC 3339.
    pub applied_at: String,
    /// How it ended: Applied, Healthy, Failed.
    pub outcome: String,
    /// What the run changed.
    pub changes: Changes,
}
