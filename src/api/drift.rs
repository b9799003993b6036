//! What happens to objects that differ from what was applied.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patch::Target;

/// Handling of drift: objects that differ from what was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Correct: drift is corrected at once. Report: the condition Drifted reports it. Off: objects are not checked.
    #[serde(default)]
    pub mode: DriftMode,
    /// Fields that other writers can own after the object was created.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ignore: Vec<IgnoreRule>,
}

/// Handling of drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftMode {
    /// Correct it.
    #[default]
    Correct,
    /// Report it.
    Report,
    /// Do not check.
    Off,
}

/// Fields ignored by drift detection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IgnoreRule {
    /// Selects objects (default: all). The values are regular expressions that must match the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// JSON pointers (RFC 6901), such as /spec/replicas.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.all(p, p.startsWith('/') && p != '/')").message("paths must be JSON pointers such as /spec/replicas"))]
    #[x_kube(validation = Rule::new("self.all(p, !(p in ['/apiVersion', '/kind', '/metadata', '/metadata/name', '/metadata/namespace', '/metadata/labels']))").message("apiVersion, kind, name and namespace cannot be ignored, nor metadata and metadata.labels as a whole"))]
    #[x_kube(validation = Rule::new("self.all(p, !p.startsWith('/metadata/labels/supercargo.dev~1'))").message("labels of supercargo.dev/ cannot be ignored, they define the owner of an object"))]
    #[x_kube(validation = Rule::new("self.all(p, !p.matches('~([^01]|$)'))").message("paths must be JSON pointers: within a key, write ~ as ~0 and / as ~1"))]
    pub paths: Vec<PointerPath>,
}

/// A JSON pointer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PointerPath(#[schemars(length(max = 512))] pub String);
