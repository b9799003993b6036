//! Plans in the status of a release: what a new revision would change, and who has approved it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most entries of `status.plan.changes`.
pub const MAX_PLANNED: usize = 100;
/// The most entries of `status.plan.changedSince.differences`.
pub const MAX_DIFFERENCES: usize = 20;

/// Whether a person has to approve the plan of a new revision before it is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalMode {
    /// A new revision is applied without approval.
    #[default]
    Automatic,
    /// A new revision waits until the annotation supercargo.dev/approve has the hash of its plan.
    Manual,
}

/// The plan of a revision that waits for approval, or that is approved and not applied completely yet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Revision.
    pub revision: String,
    /// Hash of the plan: it covers the artifact, the inputs, each change with its values, and what is deleted.
    pub hash: String,
    /// Time at which the plan was made, RFC 3339.
    pub since: String,
    /// Numbers of changes.
    pub counts: PlanCounts,
    /// First changes. All of them are in the ConfigMap.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub changes: Vec<PlanEntry>,
    /// Number of changes that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_changes: Option<i32>,
    /// ConfigMap with all changes, in the release's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<String>,
    /// SHA-256 of the changes in the ConfigMap, which users may edit. Changes with another one do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_digest: Option<String>,
    /// What differs from a plan that was approved before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_since: Option<OutdatedApproval>,
    /// Approval, once the plan is being applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<PlanApproval>,
}

/// Numbers of changes of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanCounts {
    /// Objects that are created.
    pub created: i32,
    /// Objects that are changed.
    pub configured: i32,
    /// Objects that are deleted and created again.
    pub recreated: i32,
    /// Objects that are deleted.
    pub pruned: i32,
    /// Objects that another release leaves to this one.
    pub handed_over: i32,
    /// Steps that are run.
    pub run: i32,
    /// Objects whose change is unknown.
    pub unknown: i32,
}

/// The change of an object in a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanEntry {
    /// `Kind/namespace/name` or `Kind/name`.
    pub object: String,
    /// Change: created, configured, recreated, pruned, handedOver, run or unknown.
    pub action: String,
    /// Digest of the change with its values, by a secret key.
    pub digest: String,
    /// Why the change is unknown, which release leaves the object, or what is lost with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// First fields that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<PlanField>,
    /// Number of changed fields that are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more_fields: Option<i32>,
}

/// A field that changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanField {
    /// JSON pointer.
    pub path: String,
    /// Value before; missing if there is none. Sensitive values are masked, and long ones are cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Value after; missing if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether two dry runs give different values. Such a value is not part of the hash.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unstable: bool,
}

/// An approval that does not fit the current plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutdatedApproval {
    /// Hash of the plan that was approved.
    pub hash: String,
    /// First differences between that plan and the current one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub differences: Vec<String>,
}

/// The approval of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanApproval {
    /// Time at which the approved plan began to be applied, RFC 3339.
    pub at: String,
    /// Who approved it, by the annotation supercargo.dev/approved-by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Identifies the revision and its inputs.
    pub key: String,
}

fn is_false(value: &bool) -> bool {
    !value
}
