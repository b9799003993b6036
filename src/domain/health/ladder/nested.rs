//! What the parts of a status say: conditions of parents and members, flags, counts, errors.

use serde_json::{Map, Value};

use super::super::fields::{Condition, Fields};
use super::words::{Polarity, Word, polarity, word};

/// How deep a status is searched, and how many entries of a list.
const DEPTH: usize = 4;
const ENTRIES: usize = 50;

/// The first sign in a status that something is not as it should be, as a message.
pub(super) fn trouble(fields: Fields<'_>) -> Option<String> {
    let status = fields.value("/status")?.as_object()?;
    let generation = fields.number("/metadata/generation");
    let wanted = fields.value("/spec").and_then(Value::as_object);
    errors(status)
        .or_else(|| search(status, "", 0, generation))
        .or_else(|| short(status, wanted))
        .or_else(|| unreported(status))
}

fn search(object: &Map<String, Value>, path: &str, depth: usize, generation: Option<i64>) -> Option<String> {
    let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, value) in object {
        if value == &Value::Bool(false) && is_flag(key, depth) {
            return Some(format!("{} is false", under(key)));
        }
        if depth == 0
            && value == &Value::Bool(true)
            && ["abort", "aborted", "degraded", "failed"].contains(&key.as_str())
        {
            return Some(format!("{key} is true"));
        }
        let said = value.as_str().filter(|_| depth > 0 && is_word(key));
        if let Some(said) = said.filter(|said| is_trouble(key, said)) {
            return Some(format!("{} is {said}", under(key)));
        }
    }
    if let Some(message) = short(object, None).filter(|_| depth > 0) {
        return Some(format!("{path}: {message}"));
    }
    if depth >= DEPTH {
        return None;
    }
    object.iter().find_map(|(key, value)| match value {
        // Those of the object itself are judged by the ladder.
        Value::Array(entries) if key == "conditions" => {
            if depth == 0 {
                None
            } else {
                condition(entries, path, generation)
            }
        }
        Value::Array(entries) => entries
            .iter()
            .take(ENTRIES)
            .find_map(|entry| search(entry.as_object()?, &under(key), depth + 1, generation)),
        Value::Object(inner) => search(inner, &under(key), depth + 1, generation),
        _ => None,
    })
}

fn condition(entries: &[Value], path: &str, generation: Option<i64>) -> Option<String> {
    entries.iter().take(ENTRIES).map(Condition::of).find_map(|c| {
        let is_wrong = match polarity(c.kind())? {
            Polarity::Positive => !c.is("True"),
            Polarity::Negative => c.is("True"),
            _ => false,
        };
        let is_old = c.observed_generation().zip(generation).is_some_and(|(seen, now)| seen < now);
        match (is_wrong, is_old) {
            (true, _) => Some(format!("{path}: {}", c.explain())),
            (false, true) => Some(format!("{path}: condition {} is of an earlier generation", c.kind())),
            (false, false) => None,
        }
    })
}

/// Flags that are true when all is well. Deeper down only the plainest: a member may be
/// inactive for a good reason.
fn is_flag(key: &str, depth: usize) -> bool {
    let is = |names: &[&str]| names.iter().any(|name| key.eq_ignore_ascii_case(name));
    let ends = |ends: &[&str]| ends.iter().any(|end| key.ends_with(end));
    if depth > 0 {
        return is(&["applied", "healthy", "ready"]);
    }
    is(&[
        "active",
        "applied",
        "available",
        "established",
        "healthy",
        "initialized",
        "pass",
        "passed",
        "ready",
        "readyToUse",
        "succeeded",
        "success",
        "synced",
        "valid",
    ]) || ends(&["Applied", "Available", "Established", "Healthy", "Initialized", "Ready", "Synced"])
}

fn is_word(key: &str) -> bool {
    ["health", "phase", "state", "status"].contains(&key)
}

fn is_trouble(key: &str, said: &str) -> bool {
    matches!(word(said, false), Word::Bad | Word::Failed) || key == "health" && said == "Unknown"
}

/// A text about an error at the top of the status.
fn errors(status: &Map<String, Value>) -> Option<String> {
    const NAMES: &[&str] = &[
        "err",
        "errMsg",
        "error",
        "errorDescription",
        "errorMessage",
        "errorReason",
        "errors",
        "failureMessage",
        "failureReason",
        "lastError",
        "lastFailure",
    ];
    NAMES.iter().find_map(|name| match status.get(*name)? {
        // A default of some kinds.
        Value::String(text) if text.eq_ignore_ascii_case("none") => None,
        Value::String(text) if !text.trim().is_empty() => Some(format!("{name}: {}", text.trim())),
        Value::Object(error) if !error.is_empty() => match error.get("message").and_then(Value::as_str) {
            Some(text) => Some(format!("{name}: {text}")),
            None => Some(format!("has {name}")),
        },
        Value::Array(errors) if !errors.is_empty() => Some(format!("has {name}")),
        _ => None,
    })
}

/// Counts that lag behind what is wanted: `readyReplicas: 1` of `replicas: 3`.
fn short(object: &Map<String, Value>, wanted: Option<&Map<String, Value>>) -> Option<String> {
    const HAVE: &[&str] = &["ready", "available", "healthy", "updated"];
    let number = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_i64);
    object.iter().find_map(|(key, value)| {
        let have = value.as_i64()?;
        let want = if key == "numberReady" {
            number(object, "desiredNumberScheduled")?
        } else {
            let what = HAVE.iter().find_map(|prefix| key.strip_prefix(prefix))?;
            let plain = lower_first(what)?;
            let names =
                [format!("expected{what}"), format!("desired{what}"), format!("total{what}"), plain.clone()];
            wanted
                .and_then(|wanted| number(wanted, &plain))
                .or_else(|| names.iter().find_map(|name| number(object, name)))?
        };
        (have < want).then(|| format!("{key} is {have} of {want}"))
    })
}

/// A number that is expected, while nothing says how many there are.
fn unreported(status: &Map<String, Value>) -> Option<String> {
    status.iter().find_map(|(key, value)| {
        let what = ["expected", "desired"].iter().find_map(|prefix| key.strip_prefix(prefix))?;
        let want = value.as_i64().filter(|want| *want > 0)?;
        if !what.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        // Not for a field that has its own counterpart, such as `currentHealthy`.
        let ends = |other: &str| other.to_ascii_lowercase().ends_with(&what.to_ascii_lowercase());
        let is_counted = status.keys().any(|other| other != key && ends(other))
            || status.keys().any(|other| other.starts_with("current"));
        (!is_counted).then(|| format!("{key} is {want}, and none is reported yet"))
    })
}

/// `Replicas` as `replicas`; `None` for what does not begin in upper case.
fn lower_first(name: &str) -> Option<String> {
    let mut chars = name.chars();
    let first = chars.next().filter(char::is_ascii_uppercase)?;
    Some(first.to_ascii_lowercase().to_string() + chars.as_str())
}
