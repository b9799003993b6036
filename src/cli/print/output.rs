//! Data for programs: JSON, YAML, and what a template takes out of it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::args::OutputFormat;
use crate::cli::{CliError, Printer};
use crate::domain::manifest::canonical::value_to_yaml;

/// Prints one thing, or several as a list in the format.
///
/// # Errors
/// When it cannot be written.
pub(in crate::cli) fn data(
    printer: &mut Printer<'_>,
    format: &OutputFormat,
    value: &impl Serialize,
) -> Result<(), CliError> {
    let fail = |e: &dyn std::error::Error| CliError::Input(format!("cannot write the output: {e}"));
    let text = match format {
        OutputFormat::Json => serde_json::to_string_pretty(value).map_err(|e| fail(&e))? + "\n",
        OutputFormat::Yaml => {
            value_to_yaml(&serde_json::to_value(value).map_err(|e| fail(&e))?).map_err(|e| fail(&e))?
        }
        OutputFormat::JsonPath(template) => {
            let value = serde_json::to_value(value).map_err(|e| fail(&e))?;
            template.of(&value).map_err(|why| CliError::Input(format!("cannot write the output: {why}")))?
        }
    };
    printer.data(text.as_bytes())
}

/// Prints Kubernetes objects in kubectl's format: a single object when one
/// was requested by name, else a `List`. Without `managedFields`, which an apply
/// refuses and kubectl does not show either.
///
/// # Errors
/// When they cannot be written.
pub(in crate::cli) fn objects(
    printer: &mut Printer<'_>,
    format: &OutputFormat,
    mut items: Vec<Value>,
    one: bool,
) -> Result<(), CliError> {
    for item in &mut items {
        if let Some(metadata) = item.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    match (one, items.len()) {
        (true, 1) => data(printer, format, &items.remove(0)),
        _ => {
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items});
            data(printer, format, &list)
        }
    }
}

/// Prints the names of Kubernetes objects as kubectl does, `kind.group/name`.
///
/// # Errors
/// When they cannot be written.
pub(in crate::cli) fn names(printer: &mut Printer<'_>, items: &[Value]) -> Result<(), CliError> {
    let part = |item: &Value, pointer: &str| {
        item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    items.iter().try_for_each(|item| {
        let (api_version, kind) = (part(item, "/apiVersion"), part(item, "/kind").to_lowercase());
        let group = api_version.rsplit_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
        printer.line(format!("{kind}{group}/{}", part(item, "/metadata/name")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubectl() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let item = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
        let items = [item("v1", "ConfigMap"), item("apps/v1", "Deployment")];
        names(&mut Printer::new(&mut out, &mut err), &items).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "configmap/a\ndeployment.apps/a\n");
    }

    #[test]
    fn one_object_is_itself_and_several_are_a_list() {
        let check = |format: OutputFormat, items: Vec<Value>, one: bool, expected: &str| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            objects(&mut Printer::new(&mut out, &mut err), &format, items, one).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(OutputFormat::Json, vec![json!({"kind": "A"})], true, "{\n  \"kind\": \"A\"\n}\n");
        check(
            OutputFormat::Yaml,
            vec![json!({"kind": "A", "on": "yes", "n": "1.0"})],
            false,
            "apiVersion: v1\nitems:\n- kind: A\n  \"n\": \"1.0\"\n  \"on\": \"yes\"\nkind: List\nmetadata:\n  resourceVersion: \"\"\n",
        );
    }
}
