//! Helpers for JSON values while they are patched.

use serde_json::Value;

/// A scalar as it is written in YAML.
pub(super) fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "null".into(),
        other => other.to_string(),
    }
}

/// About how much memory a value uses, in bytes.
pub(super) fn size(value: &Value) -> u64 {
    const EACH: u64 = 64;
    match value {
        Value::String(text) => EACH + text.len() as u64,
        Value::Array(values) => EACH + values.iter().map(size).sum::<u64>(),
        Value::Object(fields) => {
            EACH + fields.iter().map(|(key, value)| EACH + key.len() as u64 + size(value)).sum::<u64>()
        }
        _ => EACH,
    }
}

/// Whether a value is nested deeper than so many levels. It does not recurse deeper
/// itself.
pub(super) fn is_deeper(value: &Value, levels: usize) -> bool {
    let within = |value: &Value| is_deeper(value, levels.saturating_sub(1));
    match value {
        Value::Array(values) => levels == 0 || values.iter().any(within),
        Value::Object(fields) => levels == 0 || fields.values().any(within),
        _ => false,
    }
}
