//! What a release changes in the objects of its artifact: patches and images, and
//! how objects are chosen.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Another name, tag or digest for the images of one name, as in a kustomization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.newName) || has(self.newTag) || has(self.digest)").message("an image needs newName, newTag or digest"))]
pub struct Image {
    /// The name that images have in the artifact, without tag and digest.
    #[schemars(length(min = 1, max = 512))]
    pub name: String,
    /// The name that they get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub new_name: Option<String>,
    /// The tag that they get, in place of tag and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_][A-Za-z0-9._-]*$')").message("newTag must be letters, digits, '_', '.' and '-', and must not begin with '.' or '-'"))]
    pub new_tag: Option<String>,
    /// The digest that they get, in place of tag and digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^sha256:[a-f0-9]{64}$')").message("digest must be sha256: and 64 hexadecimal digits in lower case"))]
    pub digest: Option<String>,
}

/// A patch, and the objects that it is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Patch {
    /// YAML or JSON: a strategic merge patch, which looks like the object with only what changes, or a list of JSON patch operations, which needs a target.
    #[schemars(length(min = 1, max = 65536))]
    pub patch: String,
    /// Which objects. Without it a strategic merge patch is for the object of its own apiVersion, kind, name and namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What the patch may change besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<PatchOptions>,
}

/// What a strategic merge patch with a target may change besides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchOptions {
    /// Objects get the name that the patch has.
    #[serde(default)]
    pub allow_name_change: bool,
    /// Objects get the kind that the patch has.
    #[serde(default)]
    pub allow_kind_change: bool,
}

/// Chooses objects, as in a Kustomize patch. Every value is a regular expression that has to match whole.
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
    /// A selector over labels, such as "app=web,tier in (front, back)".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub label_selector: Option<String>,
    /// The same over annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub annotation_selector: Option<String>,
}
