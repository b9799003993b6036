//! The status of a release.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dependency::DependencyStatus;
use super::guards::PendingRevision;
use super::notified::{NotificationFailure, NotifiedEntry};
use super::plan::PlanStatus;
use super::rollback::QuarantineEntry;
use super::step::StepStatus;

/// The most entries of `status.failures`.
pub const MAX_FAILURES: usize = 20;
/// The most entries of `status.history`.
pub const MAX_HISTORY: usize = 20;
/// The longest message of a condition or failure, in bytes: the API's own limit
/// for condition messages is 32768.
pub const MAX_MESSAGE: usize = 4096;

/// Condition types.
pub mod condition {
    /// Whether the wanted revision is applied (and healthy, if `wait` is set).
    pub const READY: &str = "Ready";
    /// Whether the artifact has the signatures required by the spec and the administrator.
    pub const VERIFIED: &str = "Verified";
    /// Whether all objects are healthy; only if `wait` is set.
    pub const HEALTHY: &str = "Healthy";
    /// Whether objects differ from what was applied.
    pub const DRIFTED: &str = "Drifted";
    /// Present and true while the artifact cannot be fetched from the registry.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// Present and true while a run is in progress and waits (kstatus).
    pub const RECONCILING: &str = "Reconciling";
    /// Present and true while a person must change something (kstatus).
    pub const STALLED: &str = "Stalled";
}

/// Status of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// Generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Replica of the operator that works on the release; absent: the one that leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerStatus>,
    /// Conditions: Ready; Verified, Healthy and Drifted where they apply; FetchFailed, Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Artifact of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactStatus>,
    /// Revision of the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// Last revision that was applied completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// Last applied revision with the first digits of its digest, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_revision: Option<String>,
    /// Revision that the registry offers and the release does not follow: it is quarantined, older than the applied one while `ref.allowDowngrade` is not set, or it would have to wait while the rollout of another one is finished first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_revision: Option<String>,
    /// New revision that waits to be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingRevision>,
    /// Approved removal of objects: its token, and the revision with its inputs, or the uid of the deleted release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_removal: Option<String>,
    /// URL of the API server of the cluster that has the objects, if it is not this one (`spec.kubeConfig`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Last revision that was healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_healthy_revision: Option<String>,
    /// Last value of the annotation supercargo.dev/reconcile-at that was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Last value of the annotation supercargo.dev/retry that was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_retry: Option<String>,
    /// Name of the inventory and number of its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryStatus>,
    /// Changes of the last run that changed objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// Dependencies that are waited for, and those that do not exist any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub dependencies: Vec<DependencyStatus>,
    /// Plan that waits for approval, or is approved and not applied completely yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// First failed objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub failures: Vec<Failure>,
    /// Number of failed objects that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_failures: Option<i32>,
    /// Last revisions, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub history: Vec<HistoryEntry>,
    /// Revisions that have failed and are not applied any more, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub quarantine: Vec<QuarantineEntry>,
    /// Steps of the revision: objects that run once for it. A step is recorded before it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub steps: Vec<StepStatus>,
    /// Last notification that each receiver has accepted (`--notify-config`, and as `spec/NAME` those of `spec.notify`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub notified: Vec<NotifiedEntry>,
    /// Receivers of `spec.notify` that cannot be notified, and why; only while that is so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub notification_failures: Vec<NotificationFailure>,
}

/// Replica of the operator that works on a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OwnerStatus {
    /// Its name, and a word that no other process has; empty: the replica that leads.
    #[serde(default)]
    #[schemars(length(max = 320))]
    pub holder: String,
    /// How often the release has changed its owner.
    #[serde(default)]
    pub term: i64,
}

/// Artifact of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactStatus {
    /// `tag@digest`, or the digest.
    pub revision: String,
    /// Digest of the manifest.
    pub digest: String,
    /// Creation time, from the artifact's annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// Source of the content, from the artifact's annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Revision of the source, from the artifact's annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_revision: Option<String>,
    /// Verified signatures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub verified_by: Vec<VerifiedBy>,
    /// Verified container images, with the applied digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub images: Vec<VerifiedImage>,
}

/// A verified signature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedBy {
    /// Authority of the signature, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Key: its name in the Secret, and the SHA-256 of its DER form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Issuer of the identity of a keyless signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Subject of a keyless signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Format of the signature: `simplesigning` or `bundle`.
    pub format: String,
    /// Signing time, if a log or a timestamp proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
    /// Repository named in the signature; not a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A verified container image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedImage {
    /// Name in the artifact.
    pub name: String,
    /// Applied name, `repository:tag@sha256:…`.
    pub pinned: String,
    /// Signer: a key or an identity.
    pub signer: String,
}

/// The inventory of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InventoryStatus {
    /// Name of the ConfigMap, in the release's namespace.
    pub name: String,
    /// Number of objects in the inventory.
    pub entries: i32,
}

impl ReleaseStatus {
    /// The condition of a type.
    pub fn condition(&self, name: &str) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == name)
    }
}

/// Numbers of objects that a run changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// Created objects.
    pub created: i32,
    /// Changed objects.
    pub configured: i32,
    /// Unchanged objects.
    pub unchanged: i32,
    /// Objects deleted because they are no longer in the artifact.
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
    /// One of the documented reasons.
    pub reason: String,
    /// Cause and cure.
    pub message: String,
}

/// A revision that was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Revision.
    pub revision: String,
    /// Digest of the revision.
    pub digest: String,
    /// Time of the apply, RFC 3339.
    pub applied_at: String,
    /// Result: Applied, Healthy or Failed.
    pub outcome: String,
    /// Changes of the run.
    pub changes: Changes,
    /// Reason of the failure, of a revision that has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Signers of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// Who approved its plan, by the annotation supercargo.dev/approved-by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Time when its first run began, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Time of the result, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Repository, without `oci://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Hash of the digest and of the options of the spec that change its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
