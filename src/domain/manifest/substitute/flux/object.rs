//! One object as Flux replaces its variables: written as YAML, replaced in the text, and read again.

use serde_json::Value;

use super::error::FluxFailure;
use super::evaluate::{Evaluated, evaluate};
use super::limits::FluxLimits;
use super::yaml;
use crate::domain::manifest::budget::Budget;
use crate::domain::manifest::substitute::variables::{Variable, VariableSet};
use crate::domain::manifest::yaml as read;

/// An object with its variables replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FluxObject {
    /// The object.
    pub value: Value,
    /// The paths of the fields that depend on the value of a Secret.
    pub secret: Vec<Vec<String>>,
    /// The paths of fields that may depend on one.
    pub doubtful: Vec<Vec<String>>,
    /// The Secrets that these values come from.
    pub from: Vec<String>,
}

/// Replaces the variables of an object.
///
/// # Errors
/// What Flux refuses as well, or that it costs too much.
pub fn substitute_object(
    original: &Value,
    variables: &VariableSet,
    strict: bool,
    budget: &mut Budget,
) -> Result<FluxObject, FluxFailure> {
    let text = yaml::write(original).ok_or(FluxFailure::Unwritable)?;
    if !text.windows(2).any(|two| two == b"${" || two == b"$$") {
        // What is read again is what was written.
        return again(&text, budget).map(|value| FluxObject { value, ..FluxObject::default() });
    }
    let mut limits = FluxLimits::new(budget.left());
    let replaced = evaluate(&text, variables, strict, &mut limits).map_err(FluxFailure::Text)?;
    let from = secrets(&replaced, variables);
    let value = again(&replaced.text, budget).map_err(|failure| match failure {
        // The problem may be a key, and that a secret value.
        FluxFailure::Yaml(line, _) if !from.is_empty() => {
            FluxFailure::Yaml(line, "not valid YAML".to_owned())
        }
        failure => failure,
    })?;
    if from.is_empty() {
        return Ok(FluxObject { value, from, ..FluxObject::default() });
    }
    // What is another value with other Secrets depends on them.
    let others = VariableSet(variables.0.iter().map(|(name, v)| (name.clone(), other(v))).collect());
    let compared = evaluate(&text, &others, strict, &mut limits).ok();
    let compared = compared.and_then(|compared| again(&compared.text, budget).ok());
    let (mut secret, mut doubtful) = (Vec::new(), Vec::new());
    match compared {
        Some(compared) => differences(&value, &compared, &mut Vec::new(), &mut secret),
        None => {
            // What must not have such a value is found by where the variables are.
            let mut uses = Uses { variables, strict, limits: &mut limits, found: &mut secret };
            uses.value(original, &mut Vec::new());
            doubtful = all(&value);
        }
    }
    Ok(FluxObject { value, secret, doubtful, from })
}

/// Finds the texts and keys of an object that use a Secret.
struct Uses<'a> {
    variables: &'a VariableSet,
    strict: bool,
    limits: &'a mut FluxLimits,
    found: &'a mut Vec<Vec<String>>,
}

impl Uses<'_> {
    fn value(&mut self, value: &Value, at: &mut Vec<String>) {
        match value {
            Value::String(text) if self.uses_secret(text) => self.found.push(at.clone()),
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    at.push(n.to_string());
                    self.value(item, at);
                    at.pop();
                }
            }
            Value::Object(fields) => {
                if fields.keys().any(|key| self.uses_secret(key)) {
                    self.found.push(at.clone());
                }
                for (key, field) in fields {
                    at.push(key.clone());
                    self.value(field, at);
                    at.pop();
                }
            }
            _ => {}
        }
    }

    /// A text that has no meaning of its own counts as one that does: it may be that of a variable
    /// which begins in one text and ends in another.
    fn uses_secret(&mut self, text: &str) -> bool {
        let has_variables = text.contains("${");
        has_variables
            && match evaluate(text.as_bytes(), self.variables, self.strict, self.limits) {
                Ok(replaced) => !secrets(&replaced, self.variables).is_empty(),
                Err(_) => true,
            }
    }
}

fn again(text: &[u8], budget: &mut Budget) -> Result<Value, FluxFailure> {
    let line = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count() + 1;
    let text = std::str::from_utf8(text).map_err(|error| {
        FluxFailure::Yaml(line(&text[..error.valid_up_to()]), "the text is not UTF-8".to_owned())
    })?;
    match read::parse(text, budget) {
        Ok(mut values) => Ok(if values.is_empty() { Value::Null } else { values.swap_remove(0) }),
        Err(problems) => {
            let first = problems.into_iter().next();
            let (line, message) = first.map_or((1, String::new()), |first| (first.line, first.message));
            Err(FluxFailure::Yaml(line, message))
        }
    }
}

fn secrets(replaced: &Evaluated, variables: &VariableSet) -> Vec<String> {
    let used = replaced.names.iter().filter_map(|name| variables.0.get(name));
    let mut from: Vec<String> =
        used.filter(|variable| !variable.value.is_empty()).filter_map(|v| v.secret.clone()).collect();
    from.sort();
    from.dedup();
    from
}

/// A variable with another value of the same sort, if its value is secret.
fn other(variable: &Variable) -> Variable {
    if variable.secret.is_none() {
        return variable.clone();
    }
    let turned = variable.value.iter().map(|byte| match byte {
        b'z' => b'a',
        b'Z' => b'A',
        b'9' => b'1',
        byte if byte.is_ascii_alphanumeric() => byte + 1,
        byte => *byte,
    });
    let mut value: Vec<u8> = turned.collect();
    // Its length is another one, too. Quotes and braces stay at the end, so that it is YAML as before.
    match value.iter().rposition(u8::is_ascii_alphanumeric) {
        Some(at) => value.insert(at, value[at]),
        None => value.push(b'x'),
    }
    Variable { value, secret: variable.secret.clone() }
}

fn differences(value: &Value, other: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match (value, other) {
        (Value::Object(fields), Value::Object(others)) if fields.keys().eq(others.keys()) => {
            for ((key, field), other) in fields.iter().zip(others.values()) {
                at.push(key.clone());
                differences(field, other, at, found);
                at.pop();
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (n, (item, other)) in items.iter().zip(others).enumerate() {
                at.push(n.to_string());
                differences(item, other, at, found);
                at.pop();
            }
        }
        (value, other) if value == other => {}
        _ => found.push(at.clone()),
    }
}

/// Everything but what tells which object it is.
fn all(value: &Value) -> Vec<Vec<String>> {
    let fields = value.as_object().into_iter().flat_map(|fields| fields.iter());
    let mut found: Vec<Vec<String>> = Vec::new();
    for (key, field) in fields {
        match (key.as_str(), field) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Value::Object(metadata)) => {
                let keys = metadata.keys().filter(|key| !matches!(key.as_str(), "name" | "namespace"));
                found.extend(keys.map(|below| vec![key.clone(), below.clone()]));
            }
            _ => found.push(vec![key.clone()]),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::domain::manifest::substitute::sensitive::hide;
    use crate::domain::objects::object::Object;

    /// The fields that the annotation names afterwards, or the one that must not have a Secret.
    fn hidden(object: &Value, variables: &[(&str, &str, bool)]) -> Result<String, String> {
        let variables = variables.iter().map(|(name, value, is_secret)| {
            let secret = is_secret.then(|| "tokens".to_owned());
            ((*name).to_owned(), Variable { value: value.as_bytes().to_vec(), secret })
        });
        let variables = VariableSet(variables.collect::<BTreeMap<_, _>>());
        let done = substitute_object(object, &variables, false, &mut Budget::default());
        let FluxObject { value, secret, doubtful, .. } = done.map_err(|failure| format!("{failure:?}"))?;
        let mut object = Object::new(value).map_err(|error| error.to_string())?;
        hide(&mut object, &secret, &doubtful).map_err(|shown| format!("refused: {}", shown.0))?;
        let paths = object.annotation(crate::api::keys::SENSITIVE_PATHS);
        Ok(paths.unwrap_or_default().to_owned())
    }

    #[test]
    fn what_everyone_sees_is_refused_also_where_no_other_value_can_be_compared() {
        let check = |name: &str, image: &str, more: &str, expected: Result<&str, &str>| {
            let object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {"template": {"spec": {"containers": [{"image": image, "name": "a"}]}}, "more": more},
            });
            // With another value of ODD it is no YAML any more: an anchor that an alias names.
            let variables = [
                ("TOKEN", "hunter2", true),
                ("OPEN", "open", false),
                ("ODD", "[&a x, *a]", true),
                ("POD", "{containers: [{image: hunter2}]}", true),
            ];
            let found = hidden(&object, &variables);
            let (found, expected) = (found.as_deref().map_err(String::as_str), expected);
            assert_eq!(found, expected, "{name} {image} {more}");
        };
        let (name, image) = ("refused: metadata.name", "refused: spec.template.spec.containers.0.image");
        check("a", "b", "${TOKEN}", Ok("/spec/more"));
        check("${TOKEN}", "b", "c", Err(name));
        check("a", "${TOKEN}", "c", Err(image));
        // Nothing can be compared.
        check("a", "b", "${ODD}", Ok("/spec, /spec/more"));
        check("${OPEN}", "${OPEN}", "${ODD}", Ok("/spec, /spec/more"));
        check("${TOKEN}", "b", "${ODD}", Err(name));
        check("x-${TOKEN}", "b", "${ODD}", Err(name));
        check("a", "x:${TOKEN}", "${ODD}", Err(image));
        check("a", "x:${OPEN}", "${ODD}", Ok("/spec, /spec/more"));
        // The value has an image in it.
        check("a", "b", "${POD}", Err("refused: spec.more"));
        check("${TOKEN:=x}", "b", "${ODD}", Err(name));
        check("a", "${OTHER:=${TOKEN}}", "${ODD}", Err(image));
    }
}
