//! How a Helm chart is rendered.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::post_build::InputKind;

/// Renders the artifact, which is a Helm chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmOptions {
    /// Name that the chart is rendered with (`.Release.Name`). Default: the name of the release. At most 53 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("releaseName must be a DNS subdomain: lower case letters, digits, '-' and '.'"))]
    pub release_name: Option<String>,
    /// Values of the chart, at most 256 KiB. They are merged over `valuesFrom` as Helm merges them; `null` removes a default of the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<HelmValues>,
    /// ConfigMaps and Secrets with values, in the release's namespace, read with the rights of the release. Later ones win over earlier ones. A change of one is applied at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub values_from: Vec<HelmValuesReference>,
    /// Handling of the definitions in the directory `crds` of the chart. Create: they are applied like every other object. Skip: they are left out.
    #[serde(default)]
    pub crds: CrdsMode,
    /// Leaves out the hooks of the chart.
    #[serde(default)]
    pub disable_hooks: bool,
}

/// Values of a chart: any mapping.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct HelmValues(#[schemars(schema_with = "any_mapping")] pub Map<String, Value>);

fn any_mapping(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// ConfigMap or Secret with values of a chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HelmValuesReference {
    /// ConfigMap or Secret. No value of a Secret is shown in a plan, diff, status, event or log.
    pub kind: InputKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("name must be the name of a ConfigMap or Secret"))]
    pub name: String,
    /// Key in the object. It has values in YAML, or with `targetPath` a single value.
    #[serde(default = "values_yaml")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("valuesKey must be a key of a ConfigMap or Secret"))]
    pub values_key: String,
    /// Field of the values that becomes the whole content of the key, as text: names separated by dots, `\.` for a dot in a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 250))]
    #[x_kube(validation = Rule::new("!self.startsWith('.') && !self.endsWith('.') && !self.contains('..') && !self.contains('[')").message("targetPath must be names separated by dots; items of lists cannot be set"))]
    pub target_path: Option<String>,
    /// Continues without the object if it does not exist.
    #[serde(default)]
    pub optional: bool,
}

fn values_yaml() -> String {
    "values.yaml".to_owned()
}

/// Handling of the definitions in the directory `crds` of a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CrdsMode {
    /// They are applied.
    #[default]
    Create,
    /// They are left out.
    Skip,
}
