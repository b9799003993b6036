//! What the parts of a status say: conditions of parents and members, flags, counts, errors.

use serde_json::{Map, Value};

use super::super::fields::{Condition, Fields};
use super::words::{Polarity, Word, polarity, word};

/// How deep a status is searched, how many entries of a list or map, and how many fields in
/// all: a status may have a megabyte, and its writer may be hostile.
const DEPTH: usize = 4;
const ENTRIES: usize = 50;
const FIELDS: usize = 5_000;

/// The first sign in a status that something is not as it should be, as a message.
pub(super) fn trouble(fields: Fields<'_>) -> Option<String> {
    let status = fields.value("/status")?.as_object()?;
    let wanted = fields.value("/spec").and_then(Value::as_object);
    let mut search = Search { generation: fields.number("/metadata/generation"), left: FIELDS };
    errors(status)
        .or_else(|| search.object(status, None))
        .or_else(|| short(status, wanted))
        .or_else(|| unreported(status))
}

/// Where a field is. It becomes text only when something is found there.
#[derive(Clone, Copy)]
struct Place<'a> {
    above: Option<&'a Place<'a>>,
    key: &'a str,
    depth: usize,
}

impl Place<'_> {
    fn path(&self) -> String {
        match self.above {
            Some(above) => format!("{}.{}", above.path(), self.key),
            None => self.key.to_owned(),
        }
    }
}

struct Search {
    generation: Option<i64>,
    /// How many fields may still be looked at.
    left: usize,
}

impl Search {
    fn object(&mut self, object: &Map<String, Value>, place: Option<&Place<'_>>) -> Option<String> {
        let depth = place.map_or(0, |place| place.depth);
        let under = |key: &str| match place {
            Some(place) => format!("{}.{key}", place.path()),
            None => key.to_owned(),
        };
        self.left = self.left.checked_sub(object.len())?;
        for (key, value) in object {
            if value == &Value::Bool(false) && is_flag(key, depth) {
                return Some(format!("{} is false", under(key)));
            }
            if depth == 0 && value == &Value::Bool(true) && is_bad_flag(key) {
                return Some(format!("{key} is true"));
            }
            let said = value.as_str().filter(|said| depth > 0 && is_word(key) && is_trouble(key, said));
            if let Some(said) = said {
                return Some(format!("{} is {said}", under(key)));
            }
        }
        if let (Some(place), Some(message)) = (place, place.and_then(|_| short(object, None))) {
            return Some(format!("{}: {message}", place.path()));
        }
        if depth >= DEPTH {
            return None;
        }
        let parts = object.iter().filter(|(key, _)| !is_of_the_past(key)).take(ENTRIES);
        parts.into_iter().find_map(|(key, value)| {
            let inner = Place { above: place, key, depth: depth + 1 };
            match value {
                // Those of the object itself are judged by the ladder.
                Value::Array(entries) if key == "conditions" => self.conditions(entries, place?),
                Value::Array(entries) => entries
                    .iter()
                    .take(ENTRIES)
                    .find_map(|entry| self.object(entry.as_object()?, Some(&inner))),
                Value::Object(object) => self.object(object, Some(&inner)),
                _ => None,
            }
        })
    }

    fn conditions(&self, entries: &[Value], place: &Place<'_>) -> Option<String> {
        // Those of the Gateway API are about this object; others may be copies of another's.
        let is_ours = matches!(place.key, "parents" | "ancestors");
        entries.iter().take(ENTRIES).map(Condition::of).find_map(|c| {
            let is_wrong = match polarity(c.kind())? {
                Polarity::Positive => !c.is("True"),
                Polarity::Negative => c.is("True"),
                _ => false,
            };
            let is_old =
                || c.observed_generation().zip(self.generation).is_some_and(|(seen, now)| seen < now);
            if is_wrong {
                return Some(format!("{}: {}", place.path(), c.explain()));
            }
            let message = || format!("{}: condition {} is of an earlier generation", place.path(), c.kind());
            (is_ours && is_old()).then(message)
        })
    }
}

/// What was, or what is wanted: not what is.
pub(super) fn is_of_the_past(key: &str) -> bool {
    ["desired", "expected", "history", "last", "old", "previous", "target"].iter().any(|start| {
        let rest = key.strip_prefix(start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
    })
}

fn is_bad_flag(key: &str) -> bool {
    ["abort", "aborted", "degraded", "failed"].contains(&key)
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
    ]) || ends(&["Established", "Healthy", "Ready", "Synced"])
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

/// Counts of members that lag behind what is wanted: `readyReplicas: 1` of `replicas: 3`.
fn short(object: &Map<String, Value>, wanted: Option<&Map<String, Value>>) -> Option<String> {
    const HAVE: &[&str] = &["ready", "available", "healthy", "updated"];
    const MEMBERS: &[&str] = &[
        "Brokers",
        "Instances",
        "Machines",
        "Members",
        "Nodes",
        "Pods",
        "Replicas",
        "Scheduled",
        "Servers",
        "Shards",
        "Workers",
    ];
    let number = |map: &Map<String, Value>, key: &str| map.get(key).and_then(Value::as_i64);
    object.iter().take(FIELDS).find_map(|(key, value)| {
        let have = value.as_i64()?;
        let want = if key == "numberReady" {
            number(object, "desiredNumberScheduled")?
        } else {
            let what = HAVE.iter().find_map(|prefix| key.strip_prefix(prefix))?;
            if !MEMBERS.iter().any(|member| what.ends_with(member)) {
                return None;
            }
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
    // Not for a field that has its own counterpart, such as `currentHealthy`.
    if status.len() > ENTRIES || status.keys().any(|key| key.starts_with("current")) {
        return None;
    }
    let keys: Vec<String> = status.keys().map(|key| key.to_ascii_lowercase()).collect();
    status.iter().find_map(|(key, value)| {
        let what = ["expected", "desired"].iter().find_map(|prefix| key.strip_prefix(prefix))?;
        let want = value.as_i64().filter(|want| *want > 0)?;
        if !what.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        let what = what.to_ascii_lowercase();
        let is_counted = keys.iter().filter(|other| other.ends_with(&what)).count() > 1;
        (!is_counted).then(|| format!("{key} is {want}, and none is reported yet"))
    })
}

/// `Replicas` as `replicas`; `None` for what does not begin in upper case.
fn lower_first(name: &str) -> Option<String> {
    let mut chars = name.chars();
    let first = chars.next().filter(char::is_ascii_uppercase)?;
    Some(first.to_ascii_lowercase().to_string() + chars.as_str())
}
