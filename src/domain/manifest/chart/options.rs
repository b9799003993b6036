//! What a spec says about a chart.

use std::collections::BTreeMap;

use crate::api::helm::{CrdsMode, HelmOptions, HelmValuesReference};
use crate::domain::release::inputs::InputReference;

/// The longest name of a release of Helm, in bytes.
pub const MAX_RELEASE_NAME: usize = 53;
/// The most bytes of the values of a spec.
const MAX_VALUES_BYTES: usize = 256 << 10;
/// The deepest field that a single value can be set to.
const MAX_TARGET_DEPTH: usize = 32;

/// How a chart is rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartOptions {
    /// The name that it is rendered with, if it is not the one of the release.
    pub release_name: Option<String>,
    /// The values of the spec, in JSON.
    pub values: Option<String>,
    /// The objects with values, in their order.
    pub from: Vec<InputReference>,
    /// What of each object is a value, in the same order.
    pub(super) parts: Vec<ValuesPart>,
    /// Whether the definitions in `crds` are left out.
    pub skips_crds: bool,
    /// Whether hooks are left out.
    pub skips_hooks: bool,
}

/// Which key of an object has values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ValuesPart {
    /// The key.
    pub key: String,
    /// The field that its text is the value of; empty where it has values in YAML.
    pub target: Vec<String>,
}

impl ChartOptions {
    /// Reads the field `helm`.
    ///
    /// # Errors
    /// The field below it, and what is wrong there.
    pub fn parse(spec: &HelmOptions) -> Result<Self, (String, String)> {
        let HelmOptions { release_name, values, values_from, crds, disable_hooks } = spec;
        if let Some(name) = release_name {
            release_name_of(name).map_err(|problem| ("releaseName".to_owned(), problem))?;
        }
        let values = values.as_ref().map(|values| serde_json::to_string(&values.0));
        // A tree of JSON always serializes.
        let values = values.and_then(Result::ok);
        if values.as_ref().is_some_and(|values| values.len() > MAX_VALUES_BYTES) {
            let problem = format!(
                "the values have more than {} KiB; put them into a ConfigMap and name it in valuesFrom",
                MAX_VALUES_BYTES >> 10
            );
            return Err(("values".to_owned(), problem));
        }
        let mut found = Self {
            release_name: release_name.clone(),
            values,
            skips_crds: *crds == CrdsMode::Skip,
            skips_hooks: *disable_hooks,
            ..Self::default()
        };
        for (n, reference) in values_from.iter().enumerate() {
            let HelmValuesReference { kind, name, values_key, target_path, optional } = reference;
            let field = format!("spec.helm.valuesFrom[{n}]");
            let target = target_path.as_deref().map(target).transpose();
            let target = target
                .map_err(|problem| (format!("valuesFrom[{n}].targetPath"), problem))?
                .unwrap_or_default();
            found.from.push(InputReference { kind: *kind, name: name.clone(), optional: *optional, field });
            found.parts.push(ValuesPart { key: values_key.clone(), target });
        }
        Ok(found)
    }
}

/// Checks the name of a release of Helm.
///
/// # Errors
/// Why Helm would refuse it.
pub fn release_name_of(name: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().last()];
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        label.bytes().all(|byte| plain(byte) || byte == b'-')
            && ends.into_iter().all(|end| end.is_some_and(plain))
    };
    if name.len() > MAX_RELEASE_NAME {
        return Err(format!("Helm allows at most {MAX_RELEASE_NAME} characters"));
    }
    match name.split('.').all(is_label) {
        true => Ok(()),
        false => Err("must be a DNS subdomain: lower case letters, digits, '-' and '.'".to_owned()),
    }
}

/// The names of a path. A backslash keeps a dot from ending a name.
fn target(path: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        let last = names.last_mut();
        match (character, last) {
            ('.', _) => names.push(String::new()),
            ('[', _) => return Err("items of lists cannot be set; set the list in a values file".to_owned()),
            ('\\', Some(last)) => last.extend(characters.next()),
            (other, Some(last)) => last.push(other),
            (_, None) => {}
        }
    }
    if names.iter().any(String::is_empty) {
        return Err("must be names separated by dots".to_owned());
    }
    if names.len() > MAX_TARGET_DEPTH {
        return Err(format!("must have at most {MAX_TARGET_DEPTH} names"));
    }
    Ok(names)
}

impl ValuesPart {
    /// A file of values that has the text at the field.
    pub fn file(&self, text: &str) -> Option<String> {
        let value = serde_json::Value::from(text);
        let nested = self.target.iter().rev().fold(value, |value, name| {
            let field: BTreeMap<&str, serde_json::Value> = BTreeMap::from([(name.as_str(), value)]);
            serde_json::json!(field)
        });
        serde_json::to_string(&nested).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(spec: Value) -> Result<ChartOptions, (String, String)> {
        ChartOptions::parse(&serde_json::from_value(spec).unwrap())
    }

    #[test]
    fn what_helm_would_refuse_is_named() {
        let check = |spec: Value, field: &str, problem: &str| {
            let (found, why) = parse(spec).unwrap_err();
            assert!(found == field && why.contains(problem), "{found}: {why}");
        };
        check(json!({"releaseName": "a".repeat(54)}), "releaseName", "at most 53 characters");
        for name in ["", "A", "a_b", "-a", "a-", "a..b", "../a"] {
            check(json!({"releaseName": name}), "releaseName", "must be a DNS subdomain");
        }
        let target =
            |path: &str| json!({"valuesFrom": [{"kind": "Secret", "name": "a", "targetPath": path}]});
        let field = "valuesFrom[0].targetPath";
        check(target("a[0]"), field, "items of lists");
        check(target(""), field, "names separated by dots");
        check(target("a..b"), field, "names separated by dots");
        check(target(&["a"; 33].join(".")), field, "at most 32 names");
        check(json!({"values": {"a": "b".repeat(300_000)}}), "values", "more than 256 KiB");
        assert!(parse(json!({"releaseName": "a.b-1"})).is_ok());
    }

    #[test]
    fn a_single_value_is_text_at_its_field() {
        let file =
            |path: &str, text: &str| ValuesPart { key: "k".into(), target: target(path).unwrap() }.file(text);
        assert_eq!(file("a.b", "true").as_deref(), Some(r#"{"a":{"b":"true"}}"#));
        assert_eq!(file(r"a\.b.c\\", "x\ny").as_deref(), Some(r#"{"a.b":{"c\\":"x\ny"}}"#));
    }
}
