//! The definitions in `crds/` of a chart, which Helm creates once and never deletes.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::keys;
use crate::domain::manifest::decode::Decoded;
use crate::domain::manifest::encoding::utf8;
use crate::domain::manifest::split::split;
use crate::domain::objects::identity::ObjectId;
use crate::domain::objects::object::Object;

/// Where Helm says which file of the chart a document is from.
const SOURCE: &str = "# Source: ";

/// Keeps the definitions in `crds/` from being deleted, unless they say something else: with them, all
/// objects of their kinds would be deleted, in all namespaces. Of equal ones, which two aliases of one
/// dependency bring, the first is taken. `output` is what Helm has written, and what was decoded.
pub fn arrange_definitions(objects: Vec<Decoded>, output: &[u8]) -> Vec<Decoded> {
    let documents = documents(output);
    let mut first: BTreeMap<ObjectId, Object> = BTreeMap::new();
    let mut arranged = Vec::with_capacity(objects.len());
    for mut decoded in objects {
        let object = &mut decoded.object;
        if object.is("apiextensions.k8s.io", "CustomResourceDefinition")
            && documents.contains(&decoded.origin.document)
        {
            if object.annotation(keys::PRUNE).is_none() {
                object.set_annotation(keys::PRUNE, keys::DISABLED);
            }
            if first.get(&object.id()) == Some(&*object) {
                continue;
            }
            first.entry(object.id()).or_insert_with(|| object.clone());
        }
        arranged.push(decoded);
    }
    arranged
}

/// The documents of files in `crds/`, by their numbers. Only the first document of such a file has a
/// comment that names it, and each document of a template has one.
fn documents(output: &[u8]) -> BTreeSet<usize> {
    let mut is_within = false;
    let mut documents = BTreeSet::new();
    for chunk in split(&utf8(output)) {
        let text = chunk.text().unwrap_or_default();
        let mut lines = text.lines().filter(|line| !line.starts_with("---"));
        if let Some(file) = lines.next().and_then(|line| line.strip_prefix(SOURCE)) {
            is_within = is_definition(file.trim());
        }
        if is_within {
            documents.insert(chunk.ordinal);
        }
    }
    documents
}

/// Whether a file, `web/charts/redis/crds/a.yaml`, is in `crds/` of a chart or a dependency.
fn is_definition(file: &str) -> bool {
    let below = |path: &str| path.split_once('/').map(|(_, rest)| rest.to_owned());
    let mut rest = below(file);
    while let Some(inner) = rest.as_deref().and_then(|rest| rest.strip_prefix("charts/")) {
        rest = below(inner);
    }
    rest.is_some_and(|rest| rest.starts_with("crds/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::manifest::decode::decode;

    fn definition(name: &str, more: &str) -> String {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {name}{more}}}\n"
        )
    }

    /// `name prune` of each object.
    fn check(output: &str, expected: &[&str]) {
        let objects = arrange_definitions(decode("chart", output.as_bytes()).unwrap(), output.as_bytes());
        let shown: Vec<String> = objects
            .iter()
            .map(|Decoded { object, .. }| {
                format!("{} {}", object.name(), object.annotation(keys::PRUNE).unwrap_or("-"))
            })
            .collect();
        assert_eq!(shown, expected, "{output}");
    }

    fn from(file: &str, documents: &str) -> String {
        format!("---\n# Source: {file}\n{documents}")
    }

    #[test]
    fn definitions_of_the_directory_are_not_deleted() {
        let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n";
        // A file with two documents, the first after a separator of its own.
        let two = format!("---\n# ours\n{}---\n{}---\n{plain}", definition("a.x", ""), definition("b.x", ""));
        let after = format!("{}---\n", definition("t.x", ""));
        let output = from("web/crds/a.yaml", &two) + &from("web/templates/crds/t.yaml", &after);
        check(&output, &["a.x disabled", "b.x disabled", "plain -", "t.x -"]);
        check(&from("web/charts/one/charts/two/crds/deep/a.yaml", &definition("a.x", "")), &["a.x disabled"]);
        for file in ["web/templates/crds/a.yaml", "crds/a.yaml", "web/charts/crds/templates/a.yaml"] {
            check(&from(file, &definition("a.x", "")), &["a.x -"]);
        }
        let decided = definition("a.x", ", annotations: {supercargo.dev/prune: enabled}");
        check(&from("web/crds/a.yaml", &decided), &["a.x enabled"]);
    }

    #[test]
    fn of_equal_definitions_the_first_is_taken() {
        let one = |more: &str| from("web/charts/one/crds/a.yaml", &definition("a.x", more));
        let two = |more: &str| from("web/charts/two/crds/a.yaml", &definition("a.x", more));
        check(&(one("") + &two("")), &["a.x disabled"]);
        // Nobody can say which of the two is meant.
        check(&(one("") + &two(", labels: {a: b}")), &["a.x disabled", "a.x disabled"]);
        let template = from("web/templates/a.yaml", &definition("a.x", ""));
        check(&(one("") + &template), &["a.x disabled", "a.x -"]);
    }
}
