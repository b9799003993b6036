//! The values of a chart, as files for Helm, which merges them itself.

use serde_json::Value;

use super::options::{ChartOptions, release_name_of};
use crate::api::post_build::InputKind;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::yaml;
use crate::domain::release::inputs::RenderInputs;

/// The shortest text of a Secret that is looked for in the objects, in bytes: shorter ones are in many
/// objects by chance.
const TELLING_BYTES: usize = 4;

/// What a chart is rendered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartInputs {
    /// The name of the release for Helm.
    pub release_name: String,
    /// Files of values. Later ones win.
    pub values: Vec<Vec<u8>>,
    /// Whether values of Secrets are among them: Helm quotes them in its messages.
    pub has_secrets: bool,
    /// Whether the definitions in `crds` are left out.
    pub skips_crds: bool,
    /// Whether hooks are left out.
    pub skips_hooks: bool,
}

/// What a chart of the release of that name is rendered with.
///
/// # Errors
/// Which value is missing, or why there is no name.
pub fn chart_inputs(
    name: &str,
    options: Option<&ChartOptions>,
    inputs: &RenderInputs,
) -> Result<ChartInputs, String> {
    let release_name = options.and_then(|options| options.release_name.as_deref()).unwrap_or(name);
    release_name_of(release_name).map_err(|problem| {
        format!("{release_name:?} cannot be the name of a Helm release: {problem}; set spec.helm.releaseName")
    })?;
    let mut found = ChartInputs { release_name: release_name.to_owned(), ..ChartInputs::default() };
    let Some(options) = options else { return Ok(found) };
    (found.skips_crds, found.skips_hooks) = (options.skips_crds, options.skips_hooks);
    for (reference, part) in options.from.iter().zip(&options.parts) {
        // Those that must exist were missed when they were read.
        let Some(data) = inputs.get(reference.kind, &reference.name) else { continue };
        let (kind, object, key) = (reference.kind.as_str(), &reference.name, &part.key);
        let value = data.0.get(key).ok_or_else(|| {
            format!("{kind} {object} has no key {key:?}, named by {}.valuesKey", reference.field)
        })?;
        found.has_secrets |= reference.kind == InputKind::Secret;
        if part.target.is_empty() {
            // What is not known here cannot be hidden in the objects.
            if reference.kind == InputKind::Secret && values_of(value).is_none() {
                let why = "is not a single YAML document, or has a key twice: its values cannot be hidden";
                return Err(format!("{kind} {object}: key {key:?} {why}"));
            }
            found.values.push(value.clone());
            continue;
        }
        let text = std::str::from_utf8(value).ok().and_then(|text| part.file(text));
        let text = text.ok_or_else(|| format!("{kind} {object}: key {key:?} is not UTF-8 text"))?;
        found.values.push(text.into_bytes());
    }
    found.values.extend(options.values.clone().map(String::into_bytes));
    Ok(found)
}

/// The texts of Secrets that values of a chart come from: each is a single value.
pub fn secret_texts(options: &ChartOptions, inputs: &RenderInputs) -> Vec<String> {
    let mut texts = Vec::new();
    for (reference, part) in options.from.iter().zip(&options.parts) {
        if reference.kind != InputKind::Secret {
            continue;
        }
        let data = inputs.get(reference.kind, &reference.name);
        let Some(value) = data.and_then(|data| data.0.get(&part.key)) else { continue };
        match part.target.is_empty() {
            // Nothing is rendered with those that cannot be read.
            true => values_of(value).iter().for_each(|value| leaves(value, &mut texts)),
            false => texts.extend(std::str::from_utf8(value).map(str::to_owned)),
        }
    }
    texts.retain(|text| text.len() >= TELLING_BYTES);
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// The values of a file; `None` if it is not exactly one document.
fn values_of(file: &[u8]) -> Option<Value> {
    let values = yaml::parse(std::str::from_utf8(file).ok()?, &mut Budget::default()).ok()?;
    let [value] = <[Value; 1]>::try_from(values).ok()?;
    Some(value)
}

fn leaves(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Number(number) => texts.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| leaves(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| leaves(field, texts)),
        Value::Bool(_) | Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::domain::release::inputs::InputData;

    fn options() -> ChartOptions {
        let spec = json!({
            "values": {"c": 3},
            "valuesFrom": [
                {"kind": "ConfigMap", "name": "common"},
                {"kind": "Secret", "name": "keys", "valuesKey": "all"},
                {"kind": "Secret", "name": "keys", "valuesKey": "token", "targetPath": "auth.token"},
                {"kind": "Secret", "name": "none", "optional": true},
            ],
        });
        ChartOptions::parse(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    fn inputs(keys: &[(&str, &str)]) -> RenderInputs {
        let data = |pairs: &[(&str, &str)]| {
            InputData(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect())
        };
        RenderInputs::new(BTreeMap::from([
            ((InputKind::ConfigMap, "common".to_owned()), data(&[("values.yaml", "a: 1")])),
            ((InputKind::Secret, "keys".to_owned()), data(keys)),
        ]))
    }

    #[test]
    fn values_are_files_in_their_order_and_the_spec_is_last() {
        let inputs = inputs(&[("all", "b: 2"), ("token", "hunter2")]);
        let found = chart_inputs("web", Some(&options()), &inputs).unwrap();
        let files: Vec<&str> = found.values.iter().map(|file| std::str::from_utf8(file).unwrap()).collect();
        assert_eq!(files, ["a: 1", "b: 2", r#"{"auth":{"token":"hunter2"}}"#, r#"{"c":3}"#]);
        assert!(found.has_secrets && found.release_name == "web");
        let plain = chart_inputs("web", None, &RenderInputs::default()).unwrap();
        assert_eq!(plain, ChartInputs { release_name: "web".into(), ..ChartInputs::default() });
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = chart_inputs("web", Some(&options()), &inputs(&[("all", "")])).unwrap_err();
        assert_eq!(missing, "Secret keys has no key \"token\", named by spec.helm.valuesFrom[2].valuesKey");
        let long = chart_inputs(&"a".repeat(60), None, &RenderInputs::default()).unwrap_err();
        assert!(long.ends_with("Helm allows at most 53 characters; set spec.helm.releaseName"), "{long}");
    }

    #[test]
    fn every_text_of_a_secret_is_known() {
        let inputs = inputs(&[("all", "a: {b: [swordfish, on]}\nc: 123456"), ("token", "hunter2")]);
        assert_eq!(secret_texts(&options(), &inputs), ["123456", "hunter2", "swordfish"]);
    }

    #[test]
    fn values_that_cannot_be_hidden_are_refused() {
        let check = |file: &str, is_taken: bool| {
            let inputs = inputs(&[("all", file), ("token", "hunter2")]);
            let found = chart_inputs("web", Some(&options()), &inputs);
            let refused = "Secret keys: key \"all\" is not a single YAML document, or has a key twice: its \
                           values cannot be hidden";
            assert_eq!(found.err().as_deref(), (!is_taken).then_some(refused), "{file}");
        };
        check("", true);
        check("# values\n---\na: swordfish\n", true);
        check("{\"a\": \"swordfish\"}\n", true);
        check("a: swordfish\na: hunter2", false);
        check("a: swordfish\n---\nb: hunter2", false);
        check("{\"a\": 1}\n{\"b\": 2}", false);
        check("a: [swordfish", false);
    }
}
