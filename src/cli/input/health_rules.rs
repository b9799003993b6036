//! Rules of health from a file: the list `healthCheckExprs`, alone or in a release.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::files;
use crate::api::health::HealthCheckExpr;
use crate::cli::CliError;
use crate::domain::configuration::{read_single, refuse_unknown};
use crate::domain::health::{ExpressionRules, RuleSet};

/// The fields of a rule.
const FIELDS: [&str; 6] = ["apiVersion", "kind", "current", "inProgress", "failed", "ignore"];

/// The largest file of rules, in bytes.
const MAX_FILE: usize = 1 << 20;

/// Reads the rules of a file.
///
/// # Errors
/// What is wrong with the file, or with a rule of it.
pub(in crate::cli) fn read(path: &Path) -> Result<RuleSet, CliError> {
    let (name, bytes) = files::read(&[path.to_owned()])?
        .into_iter()
        .next()
        .ok_or_else(|| CliError::Input(format!("{} is empty", path.display())))?;
    let wrong = |problem: String| CliError::Input(format!("{name}: {problem}"));
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not UTF-8".to_owned()))?;
    let value = read_single(text, MAX_FILE).map_err(|e| wrong(e.to_string()))?;
    rules(&value).map_err(wrong)
}

fn rules(value: &Value) -> Result<RuleSet, String> {
    let named = ["/spec/healthCheckExprs", "/healthCheckExprs"];
    let list = match value {
        Value::Array(_) => Some(value),
        other => named.iter().find_map(|pointer| other.pointer(pointer)),
    };
    let Some(Value::Array(list)) = list else {
        return Err("needs a list of rules, alone or as healthCheckExprs or spec.healthCheckExprs".to_owned());
    };
    let mut parsed: Vec<HealthCheckExpr> = Vec::with_capacity(list.len());
    for (n, rule) in list.iter().enumerate() {
        let place = format!("healthCheckExprs[{n}]");
        refuse_unknown(&place, rule, &FIELDS).map_err(|e| e.to_string())?;
        parsed.push(serde_json::from_value(rule.clone()).map_err(|e| format!("{place}: {e}"))?);
    }
    let rules = ExpressionRules::parse(&parsed).map_err(|(field, problem)| format!("{field}: {problem}"))?;
    Ok(RuleSet::with(Arc::new(rules)))
}
