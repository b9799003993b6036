//! Objects to wait for, and expressions that judge them. The fields are those of a Flux
//! Kustomization (RFC 9 of Flux), and `ignore`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An object that the release waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// API group and version, such as apps/v1. Default: v1.
    #[serde(default = "core")]
    #[schemars(length(min = 1, max = 320))]
    pub api_version: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; not used for a kind without namespaces. Default: the release's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("healthChecks.namespace must be the name of a namespace, or not set"))]
    pub namespace: Option<String>,
}

/// How the objects of a kind are judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.current) != (has(self.ignore) && self.ignore)").message("a health check needs exactly one of current and ignore: true"))]
#[x_kube(validation = Rule::new("has(self.current) || !(has(self.failed) || has(self.inProgress))").message("failed and inProgress need current"))]
pub struct HealthCheckExpr {
    /// API group and version, such as example.com/v1. Only the group counts: the rule is for all of its versions.
    #[schemars(length(min = 1, max = 320))]
    pub api_version: String,
    /// Kind. Default: all kinds of the group that have no rule of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// CEL expression that is true when an object is healthy. The variables are the fields of the object, such as status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub current: Option<String>,
    /// CEL expression that is true while its controller works on it. Evaluated before the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub in_progress: Option<String>,
    /// CEL expression that is true when an object has failed and does not recover by itself. Evaluated before current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub failed: Option<String>,
    /// Never waits for objects of the kind, and never reports them as unhealthy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore: bool,
}

fn core() -> String {
    "v1".to_owned()
}
