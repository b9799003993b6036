//! When a new revision may come, and what it may remove.

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::duration::lasts;

/// A time in which new revisions may be applied, or may not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleWindow {
    /// Start of the window, in the five fields of cron: minute, hour, day of the month, month, day of the week.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.startsWith('@') || self.matches('^ *[^ ]+( +[^ ]+){4} *$')").message("cron must have five fields: minute, hour, day of the month, month and day of the week"))]
    pub cron: String,
    /// Time zone of `cron`, a name of the IANA database such as Europe/Berlin.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_+/-]+$')").message("timeZone must be a name of the IANA database such as Europe/Berlin"))]
    pub time_zone: String,
    /// Length of the window, 1m to 744h.
    #[schemars(length(max = 32))]
    #[x_kube(validation = lasts("duration", "1m", "744h"))]
    pub duration: String,
    /// No new revision is applied in this window, also where another window allows it.
    #[serde(default)]
    pub deny: bool,
}

fn utc() -> String {
    "UTC".into()
}

/// Releases that must have a revision first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// A new revision is applied only after each of these releases has had the same digest, healthy, for some time.
    #[schemars(length(min = 1, max = 8))]
    pub after: Vec<PromotionSource>,
}

/// A release that must have a revision first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionSource {
    /// Name of the release.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its namespace. Default: that of this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// How long the digest must have been healthy there, 0s to 744h.
    #[serde(default = "at_once")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = lasts("healthyFor", "0s", "744h"))]
    pub healthy_for: String,
}

fn at_once() -> String {
    "0s".into()
}

/// The rule of `spec.minimumAge`.
pub fn is_age() -> Rule {
    lasts("minimumAge", "0s", "744h")
}

/// What a new revision may remove without approval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.maxPercent) || has(self.maxCount) || has(self.protectKinds)").message("pruneGuard needs maxPercent, maxCount or protectKinds"))]
pub struct PruneGuard {
    /// The largest part of the applied objects, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_percent: Option<u8>,
    /// The largest number of objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub max_count: Option<u32>,
    /// Kinds that are never removed without approval: `Kind`, or `Kind.group` for one group only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Z][A-Za-z0-9]*([.][a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$'))").message("protectKinds must have entries such as Secret or Deployment.apps"))]
    pub protect_kinds: Vec<ProtectedKind>,
}

/// A kind: `Kind`, or `Kind.group`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProtectedKind(#[schemars(length(min = 1, max = 317))] pub String);

/// A new revision that waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingRevision {
    /// `tag@digest`, or the digest.
    pub revision: String,
    /// Digest of the revision.
    pub digest: String,
    /// Time at which this release saw the digest first, RFC 3339.
    pub since: String,
    /// What it waits for: one of the documented reasons. Empty when it does not wait.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Time at which it may be applied, RFC 3339, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<String>,
}
