//! Variables that are replaced in the objects of an artifact.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The names of variables.
fn has_names(field: &str) -> Rule {
    Rule::new("self.all(k, k.size() <= 128 && k.matches('^[_A-Za-z][_A-Za-z0-9]*$'))").message(
        format!("names in {field} must be letters, digits and '_', must not begin with a digit, and have at most 128 characters")
            .as_str(),
    )
}

/// Replaces variables in the objects, after patches and images, and before targetNamespace and commonMetadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostBuild {
    /// Variables and their values. They win over `substituteFrom`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = has_names("substitute"))]
    pub substitute: BTreeMap<String, VariableValue>,
    /// ConfigMaps and Secrets in the release's namespace whose keys are variables, read with the rights of the release. Later ones win over earlier ones. A change of one is applied at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub substitute_from: Vec<SubstituteReference>,
    /// Handling of the objects. Typed: in values that are text, `${NAME}` and `${NAME:=default}` of declared variables; everything else is kept. Flux: every form that Flux replaces, in the objects as YAML text, with the same results.
    #[serde(default)]
    pub mode: SubstitutionMode,
    /// Types of variables, in mode Typed: a value that is only `${NAME}` becomes a number or a boolean. Declares the variable, so that a default may give its value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = has_names("types"))]
    pub types: BTreeMap<String, VariableType>,
    /// Fails when an object uses a variable that is not declared and has no default. Default: false in mode Typed, true in mode Flux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Value of a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct VariableValue(#[schemars(length(max = 4096))] pub String);

/// ConfigMap or Secret with variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
pub struct SubstituteReference {
    /// ConfigMap or Secret. No value of a Secret is shown in a plan, diff, status, event or log.
    pub kind: InputKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("name must be the name of a ConfigMap or Secret"))]
    pub name: String,
    /// Continues without the object if it does not exist.
    #[serde(default)]
    pub optional: bool,
}

/// Kind of an object that the rendering reads.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum InputKind {
    /// ConfigMap.
    #[default]
    ConfigMap,
    /// Secret.
    Secret,
}

impl InputKind {
    /// The kind, as in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// Handling of variables in objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubstitutionMode {
    /// Declared variables in values that are text.
    #[default]
    Typed,
    /// As Flux does it.
    Flux,
}

/// Type of a variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VariableType {
    /// Text.
    #[default]
    String,
    /// Number, as in JSON.
    Number,
    /// true or false.
    Boolean,
}
