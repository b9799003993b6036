//! Which objects a patch selects: regular expressions for their identity, and
//! selectors for their labels and annotations, as in a Kustomize patch.

use serde_json::{Map, Value};

use super::selector::Selector;
use crate::api::patch;
use crate::domain::manifest::patch::allowance::{Allowance, Expression};
use crate::domain::manifest::patch::name::Name;

/// Selects objects. An empty field selects all.
#[derive(Clone, Debug, Default)]
pub struct PatchTarget {
    group: Option<Expression>,
    version: Option<Expression>,
    kind: Option<Expression>,
    name: Option<Expression>,
    namespace: Option<Expression>,
    labels: Selector,
    annotations: Selector,
}

/// The identity of an object.
#[derive(Clone, Copy, Debug)]
pub struct Called<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// API version without its group.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Namespace.
    pub namespace: &'a str,
}

impl PatchTarget {
    /// Reads a target. Its expressions are subtracted from the allowance.
    ///
    /// # Errors
    /// The field that is not an expression or a selector, and why.
    pub fn parse(target: &patch::Target, allowance: &mut Allowance) -> Result<Self, String> {
        let mut whole = |field: &str, text: &Option<String>| {
            let Some(text) = text.as_ref().filter(|t| !t.is_empty()) else { return Ok(None) };
            allowance.anchored(text).map(Some).map_err(|why| format!("{field}: {why}"))
        };
        let selector = |field: &str, text: &Option<String>| {
            Selector::parse(text.as_deref().unwrap_or_default()).map_err(|why| format!("{field}: {why}"))
        };
        Ok(Self {
            group: whole("group", &target.group)?,
            version: whole("version", &target.version)?,
            kind: whole("kind", &target.kind)?,
            name: whole("name", &target.name)?,
            namespace: whole("namespace", &target.namespace)?,
            labels: selector("labelSelector", &target.label_selector)?,
            annotations: selector("annotationSelector", &target.annotation_selector)?,
        })
    }

    /// Whether the identity of an object matches.
    pub fn fits_name(&self, called: Called<'_>) -> bool {
        fits(&self.group, called.group)
            && fits(&self.version, called.version)
            && fits(&self.kind, called.kind)
            && fits(&self.name, called.name)
            && fits(&self.namespace, called.namespace)
    }

    /// Whether it has a name.
    pub(in crate::domain::manifest::patch) fn has_name(&self) -> bool {
        self.name.is_some()
    }

    /// Whether the kind of an object matches.
    pub(in crate::domain::manifest::patch) fn fits_kind(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> bool {
        fits(&self.group, group) && fits(&self.version, version) && fits(&self.kind, kind)
    }

    /// The most steps that it takes to see whether an object matches.
    pub(in crate::domain::manifest::patch) fn steps(
        &self,
        current: &Name,
        namespaces: &[&str],
        names: &[&str],
    ) -> u64 {
        let of = |pattern: &Option<Expression>, texts: &[&str]| -> u64 {
            pattern.iter().flat_map(|pattern| texts.iter().map(|text| pattern.steps(text))).sum()
        };
        of(&self.group, &[&current.group])
            + of(&self.version, &[&current.version])
            + of(&self.kind, &[&current.kind])
            + of(&self.namespace, namespaces)
            + of(&self.name, names)
    }

    pub(in crate::domain::manifest::patch) fn fits_one_name<'a>(
        &self,
        mut names: impl Iterator<Item = &'a str>,
    ) -> bool {
        names.any(|name| fits(&self.name, name))
    }

    pub(in crate::domain::manifest::patch) fn fits_one_namespace<'a>(
        &self,
        mut namespaces: impl Iterator<Item = &'a str>,
    ) -> bool {
        namespaces.any(|namespace| fits(&self.namespace, namespace))
    }

    /// Whether the labels and annotations of an object match.
    pub fn fits_metadata(&self, object: &Value) -> bool {
        let map =
            |field: &str| -> Option<&Map<String, Value>> { object.get("metadata")?.get(field)?.as_object() };
        self.labels.matches(map("labels")) && self.annotations.matches(map("annotations"))
    }
}

fn fits(pattern: &Option<Expression>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(value: Value) -> Result<PatchTarget, String> {
        PatchTarget::parse(&serde_json::from_value(value).unwrap(), &mut Allowance::default())
    }

    #[test]
    fn targets_match_whole_names() {
        let check = |value: Value, expected: bool| {
            let target = target(value.clone()).unwrap();
            let called =
                Called { group: "apps", version: "v1", kind: "Deployment", name: "web-1", namespace: "a" };
            let object = json!({"metadata": {"labels": {"app": "web"}, "annotations": {"x": "y"}}});
            assert_eq!(target.fits_name(called) && target.fits_metadata(&object), expected, "{value}");
        };
        check(json!({}), true);
        check(json!({"kind": "Deploy"}), false);
        check(json!({"kind": "Deploy.*|Service"}), true);
        check(json!({"kind": "Service|Deploy"}), false);
        check(json!({"group": "apps", "version": "v[12]", "name": "web-\\d", "namespace": ""}), true);
        check(json!({"namespace": "ab?c"}), false);
        check(json!({"labelSelector": "app=web", "annotationSelector": "x"}), true);
        check(json!({"labelSelector": "app=db"}), false);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let check = |value: Value, expected: &str| assert_eq!(target(value).unwrap_err(), expected);
        check(json!({"kind": "("}), "kind: \"(\" is not a valid regular expression, or is too large");
        check(
            json!({"name": "(a{1000}){1000}"}),
            "name: \"(a{1000}){1000}\" is not a valid regular expression, or is too large",
        );
        check(json!({"name": "a".repeat(254)}), "name: the expression is longer than 253 bytes");
        check(json!({"labelSelector": "="}), "labelSelector: \"=\" is not a valid label key");
    }
}
