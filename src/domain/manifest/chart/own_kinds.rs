//! The kinds that a chart brings itself.

use serde_json::Value;

use super::capabilities::ClusterCapabilities;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::decode::decode_within;

/// How the names of files with manifests end, for Helm.
const MANIFESTS: &[&str] = &[".yaml", ".yml", ".json"];

/// The most bytes that one file takes when it is read.
const FILE_BYTES: u64 = 64 << 20;

impl ClusterCapabilities {
    /// Together with the kinds that are defined in `crds/` of the chart in that directory: they are in the
    /// cluster before its other objects. What cannot be read there is reported when it is rendered.
    #[must_use]
    pub fn with_defined_in<'f>(
        &self,
        directory: &str,
        files: impl IntoIterator<Item = (&'f str, &'f [u8])>,
    ) -> Self {
        let below = format!("{directory}/crds/");
        let files = files
            .into_iter()
            .filter(|(name, _)| name.starts_with(&below) && MANIFESTS.iter().any(|end| name.ends_with(end)));
        let decoded = files
            .filter_map(|(name, bytes)| decode_within(name, bytes, &mut Budget::new(FILE_BYTES)).ok())
            .flatten();
        let mut all = self.clone();
        decoded.for_each(|decoded| all.api_versions.extend(defined(decoded.object.value())));
        all.api_versions.sort_unstable();
        all.api_versions.dedup();
        all
    }
}

/// The versions and kinds that a definition brings.
fn defined(object: &Value) -> Vec<String> {
    let spec = &object["spec"];
    let names = (spec["group"].as_str(), spec["names"]["kind"].as_str());
    let (Some(group), Some(kind)) = names else { return Vec::new() };
    if object["kind"] != "CustomResourceDefinition" {
        return Vec::new();
    }
    let served = spec["versions"].as_array().into_iter().flatten();
    let served = served.filter(|version| version["served"] == true);
    let versions = served.filter_map(|version| version["name"].as_str());
    versions.flat_map(|version| [format!("{group}/{version}"), format!("{group}/{version}/{kind}")]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_chart_defines_itself_is_there() {
        let definition = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata: {name: widgets.example.com}\nspec:\n  group: example.com\n  names: {kind: Widget, plural: widgets}\n  \
             versions:\n  - {name: v1, served: true}\n  - {name: v1alpha1, served: false}\n";
        let twice = format!("---\n{definition}---\n{}", definition.replace("Widget", "Gadget"));
        let check = |name: &str, text: &str, expected: &[&str]| {
            let before = ClusterCapabilities { api_versions: vec!["v1".into()], ..Default::default() };
            let all = before.with_defined_in("web", [(name, text.as_bytes())]);
            assert_eq!(all.api_versions, expected, "{name}");
        };
        check("web/crds/a.yaml", definition, &["example.com/v1", "example.com/v1/Widget", "v1"]);
        let both = &["example.com/v1", "example.com/v1/Gadget", "example.com/v1/Widget", "v1"];
        check("web/crds/deep/a.yaml", &twice, both);
        check("web/crds/README.md", definition, &["v1"]);
        check("web/templates/a.yaml", definition, &["v1"]);
        check("web/charts/other/crds/a.yaml", definition, &["v1"]);
        check("web/crds/a.yaml", "{{ if }}", &["v1"]);
        check(
            "web/crds/a.yaml",
            "apiVersion: v1\nkind: A\nmetadata: {name: a}\nspec: {group: g, names: {kind: B}}",
            &["v1"],
        );
    }
}
