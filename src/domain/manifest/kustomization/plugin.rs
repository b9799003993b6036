//! Generators, transformers and validators: only those that are part of kustomize run.

use super::document::Node;
use super::refusal::{KustomizationRefusal, Place};

/// Annotations that make a resource a function, in a container or as a program.
const FUNCTIONS: [&str; 2] = ["config.kubernetes.io/function", "config.k8s.io/function"];

/// The kinds that are part of kustomize, without the one that runs Helm.
const BUILT_IN: [&str; 18] = [
    "AnnotationsTransformer",
    "ConfigMapGenerator",
    "HashTransformer",
    "IAMPolicyGenerator",
    "ImageTagTransformer",
    "LabelTransformer",
    "NamespaceTransformer",
    "PatchJson6902Transformer",
    "PatchStrategicMergeTransformer",
    "PatchTransformer",
    "PrefixTransformer",
    "PrefixSuffixTransformer",
    "ReplacementTransformer",
    "ReplicaCountTransformer",
    "SecretGenerator",
    "SortOrderTransformer",
    "SuffixTransformer",
    "ValueAddTransformer",
];

/// Refuses the configuration of a plugin.
pub(super) fn check(document: &Node, place: Place<'_>) -> Result<(), KustomizationRefusal> {
    let text = |name: &str| document.field(name).and_then(Node::text).unwrap_or_default();
    let metadata = document.field("metadata");
    let annotations = metadata.and_then(|metadata| metadata.field("annotations"));
    for (name, node) in annotations.map(Node::fields).unwrap_or_default() {
        if FUNCTIONS.contains(&name.as_str()) {
            return Err(place.at(node.line).refuse(
                "functions (containers and programs) are not run; build it in CI and push the manifests",
            ));
        }
    }
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind == "HelmChartInflationGenerator" {
        return Err(place.refuse(HELM));
    }
    if version == "builtin" && BUILT_IN.contains(&kind) {
        return Ok(());
    }
    let shown = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(60).collect() };
    Err(place.refuse(format!(
        "the plugin {}/{} is not run, only those with apiVersion: builtin; build it in CI and push the manifests",
        shown(version),
        shown(kind)
    )))
}

/// The message about charts in a kustomization.
pub(super) const HELM: &str =
    "Helm charts are not rendered in a kustomization; render them in CI and push the manifests";
