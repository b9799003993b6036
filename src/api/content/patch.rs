//! Changes of a release to the objects of its artifact: patches and images, and
//! the selection of objects.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Image replaces name, tag or digest of a container image, as in a kustomization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.newName) || has(self.newTag) || has(self.digest)").message("an image needs newName, newTag or digest"))]
pub struct Image {
    /// Name of the image in the artifact, without tag and digest.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// New name of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub new_name: Option<String>,
    /// New tag, replacing tag and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$')").message("newTag must be letters, digits, '_', '.' and '-', and must not begin with '.' or '-'"))]
    pub new_tag: Option<String>,
    /// New digest, replacing tag and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^sha256:[a-f0-9]{64}$')").message("digest must be sha256: and 64 hexadecimal digits in lower case"))]
    pub digest: Option<String>,
}

/// A patch and its target objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Patch {
    /// Patch in YAML or JSON: a strategic merge patch, which is an object with only the changed fields, or a list of JSON patch operations, which needs a target.
    #[schemars(length(min = 1, max = 65536))]
    pub patch: String,
    /// Objects to patch. Default for a strategic merge patch: the object with the patch's apiVersion, kind, name and namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Options of the patch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<PatchOptions>,
}

/// Options of a strategic merge patch with a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchOptions {
    /// Allows the patch to change the name of objects.
    #[serde(default)]
    pub allow_name_change: bool,
    /// Allows the patch to change the kind of objects.
    #[serde(default)]
    pub allow_kind_change: bool,
}

/// Selects objects, as in a Kustomize patch. Every value is a regular expression that must match the whole value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// API group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// API version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub kind: Option<String>,
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Label selector, such as "app=web,tier in (front, back)".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub label_selector: Option<String>,
    /// Selector for annotations, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub annotation_selector: Option<String>,
}
