//! Dependencies of a release: what must be ready before a new revision is applied.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Object that must be ready before a new revision is applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.kind) || !has(self.apiVersion) || self.apiVersion.startsWith('supercargo.dev/')").message("dependsOn: apiVersion needs kind"))]
#[x_kube(validation = Rule::new("has(self.apiVersion) || !has(self.kind) || self.kind == 'OCIArtifactRelease'").message("dependsOn: kind needs apiVersion"))]
#[x_kube(validation = Rule::new("!has(self.namespace) || !has(self.kind) || !(self.kind in ['APIService', 'ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition', 'IngressClass', 'Namespace', 'Node', 'PersistentVolume', 'PriorityClass', 'StorageClass'])").message("dependsOn: objects of this kind have no namespace"))]
pub struct DependencyReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([-A-Za-z0-9.:_]*[A-Za-z0-9])?$')").message("dependsOn: name must be the name of an object"))]
    pub name: String,
    /// Namespace of the object (default: that of the release). Another namespace needs the controller's flag --allow-cross-namespace-dependencies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("dependsOn: namespace must be the name of a namespace, or not set"))]
    pub namespace: Option<String>,
    /// API version of the object, such as apps/v1 (default: supercargo.dev/v1alpha1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9]*[a-z0-9])?$')").message("dependsOn: apiVersion must be VERSION or GROUP/VERSION"))]
    pub api_version: Option<String>,
    /// Kind of the object (default: OCIArtifactRelease). Other kinds are read with the rights of the release's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]+$')").message("dependsOn: kind must be letters and digits"))]
    pub kind: Option<String>,
    /// CEL expression that decides whether the object is ready, instead of the rules for its kind. Variables: `dep`, the object, and `self`, the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub ready: Option<String>,
}

/// A dependency that is not ready, or does not exist any more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyStatus {
    /// API version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace; not set for a kind without namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// Since when it is waited for, or missing, RFC 3339.
    pub since: String,
    /// Why it is not ready.
    pub message: String,
}
