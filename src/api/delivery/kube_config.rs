//! Another cluster for the objects of a release.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::object_reference::LocalObjectReference;

/// Another cluster for the objects of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretRef) != has(self.configMapRef)").message("kubeConfig needs exactly one of secretRef and configMapRef"))]
pub struct KubeConfig {
    /// Secret with a kubeconfig, in the release's namespace. Only server, tls-server-name, certificate-authority-data, proxy-url, token, username, password, client-certificate-data and client-key-data may be set in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KubeConfigSecret>,
    /// ConfigMap with the address of a cluster that accepts tokens of a ServiceAccount of this cluster, or the tokens that a cloud gives for them, in the release's namespace. Keys: `provider` (generic, aws, azure or gcp), `cluster`, `address`, `ca.crt`, `audiences` and `serviceAccountName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalObjectReference>,
}

/// Key of a Secret with a kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KubeConfigSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key with the kubeconfig. Default: `value`, otherwise `value.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}
