//! What an entry asks of an object, and how it says what it has found.

use std::fmt;

use serde_json::Value;

use super::super::fields::{Condition, Fields};

/// A fact about an object.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// A condition is True.
    Is(&'static str),
    /// A condition has this status.
    Has(&'static str, &'static str),
    /// A condition has one of these reasons.
    Reason(&'static str, &'static [&'static str]),
    /// A field is one of these; numbers and flags count as their text.
    Text(&'static str, &'static [&'static str]),
    /// A field is there and not empty.
    Set(&'static str),
    /// A field is not there, or empty.
    Unset(&'static str),
    /// A number is not less than another; without the other, than 1.
    Reaches(&'static str, &'static str),
    /// A number is greater than 0.
    Positive(&'static str),
    /// A number, which may be written as text, is less than another.
    Behind(&'static str, &'static str),
    /// Two fields are the same.
    Same(&'static str, &'static str),
    /// In every entry of a list or map, a field is one of these.
    Every(&'static str, &'static str, &'static [&'static str]),
    /// In some entry of a list or map, a field is one of these.
    Some(&'static str, &'static str, &'static [&'static str]),
    /// In every entry of a list or map, two fields are the same.
    EachSame(&'static str, &'static str, &'static str),
    /// Both.
    Both(&'static Check, &'static Check),
}

impl Check {
    /// Whether it asks for nothing of the status.
    pub(super) fn is_of_the_spec(&self) -> bool {
        let is_spec = |pointer: &str| !pointer.starts_with("/status");
        match *self {
            Self::Is(_) | Self::Has(..) | Self::Reason(..) => false,
            Self::Text(pointer, _) | Self::Set(pointer) | Self::Unset(pointer) | Self::Positive(pointer) => {
                is_spec(pointer)
            }
            Self::Reaches(one, other) | Self::Behind(one, other) | Self::Same(one, other) => {
                is_spec(one) && is_spec(other)
            }
            Self::Every(list, ..) | Self::Some(list, ..) | Self::EachSame(list, ..) => is_spec(list),
            Self::Both(one, other) => one.is_of_the_spec() && other.is_of_the_spec(),
        }
    }

    /// What holds, as a message; `None` when it does not.
    pub(super) fn met(&self, fields: Fields<'_>) -> Option<String> {
        match *self {
            Self::Is(kind) => fields.condition(kind).filter(|c| c.is("True")).map(explained),
            Self::Has(kind, status) => fields.condition(kind).filter(|c| c.is(status)).map(explained),
            Self::Reason(kind, reasons) => {
                fields.condition(kind).filter(|c| reasons.contains(&c.reason())).map(explained)
            }
            Self::Text(pointer, words) => {
                let text = text(fields.value(pointer)?)?;
                words.contains(&text.as_str()).then(|| format!("{} is {text}", name(pointer)))
            }
            Self::Set(pointer) => is_set(fields, pointer).then(|| match fields.text(pointer) {
                Some(text) => format!("{}: {text}", name(pointer)),
                None => format!("has {}", name(pointer)),
            }),
            Self::Unset(pointer) => {
                (!is_set(fields, pointer)).then(|| format!("has no {} yet", name(pointer)))
            }
            Self::Reaches(have, want) => {
                let (count, wanted) = (fields.count(have), fields.number(want).unwrap_or(1));
                (count >= wanted).then(|| format!("{} is {count} of {wanted}", name(have)))
            }
            Self::Positive(pointer) => {
                let count = fields.count(pointer);
                (count > 0).then(|| format!("{} is {count}", name(pointer)))
            }
            Self::Behind(have, want) => {
                let number = |pointer: &str| text(fields.value(pointer)?)?.parse::<i64>().ok();
                let (have_number, want_number) = (number(have)?, number(want)?);
                (have_number < want_number)
                    .then(|| format!("{} is {have_number} of {want_number}", name(have)))
            }
            Self::Same(one, other) => {
                let (a, b) = (text(fields.value(one)?)?, text(fields.value(other)?)?);
                (a == b).then(|| format!("{} is {a}", name(one)))
            }
            Self::Every(list, field, words) => {
                let mut entries = entries(fields, list).peekable();
                entries.peek()?;
                let all = entries.all(|entry| is_one_of(entry, field, words));
                all.then(|| format!("every {} is {}", name(field), words.join(" or ")))
            }
            Self::Some(list, field, words) => entries(fields, list)
                .find(|entry| is_one_of(entry, field, words))
                .map(|entry| match entry.pointer(field).and_then(text) {
                    Some(text) => format!("{}.{} is {text}", name(list), name(field)),
                    None => format!("{} has no {}", name(list), name(field)),
                }),
            Self::EachSame(list, one, other) => {
                let mut all = entries(fields, list).peekable();
                all.peek()?;
                all.all(|entry| is_same(entry, one, other))
                    .then(|| format!("every {} is current", name(list)))
            }
            Self::Both(one, other) => {
                other.met(fields)?;
                one.met(fields)
            }
        }
    }

    /// What does not hold, as a message; `None` when it does.
    pub(super) fn unmet(&self, fields: Fields<'_>) -> Option<String> {
        if self.met(fields).is_some() {
            return None;
        }
        Some(match *self {
            Self::Is(kind) | Self::Has(kind, _) | Self::Reason(kind, _) => match fields.condition(kind) {
                Some(c) if kind == "Ready" => format!("is not ready, {}", c.explain()),
                Some(c) => c.explain(),
                None => format!("has no condition {kind} yet"),
            },
            Self::Text(pointer, _) => match fields.value(pointer).and_then(text) {
                Some(text) => format!("{} is {text}", name(pointer)),
                None => format!("has no {} yet", name(pointer)),
            },
            Self::Set(pointer) => format!("has no {} yet", name(pointer)),
            Self::Unset(pointer) => format!("has {}", name(pointer)),
            Self::Reaches(have, want) => {
                format!("{} is {} of {}", name(have), fields.count(have), fields.number(want).unwrap_or(1))
            }
            Self::Positive(pointer) => format!("{} is {}", name(pointer), fields.count(pointer)),
            Self::Behind(have, _) => format!("{} is not behind", name(have)),
            Self::Same(one, other) => {
                let shown =
                    |pointer| fields.value(pointer).and_then(text).unwrap_or_else(|| "not set".to_owned());
                format!("{} is {}, not {}", name(one), shown(one), shown(other))
            }
            Self::Every(list, field, words) => {
                match entries(fields, list).find(|entry| !is_one_of(entry, field, words)) {
                    Some(entry) => match entry.pointer(field).and_then(text) {
                        Some(text) => format!("{}.{} is {text}", name(list), name(field)),
                        None => format!("{} has no {} yet", name(list), name(field)),
                    },
                    None => format!("has no {} yet", name(list)),
                }
            }
            Self::Some(list, field, _) => format!("no {} has the wanted {}", name(list), name(field)),
            Self::EachSame(list, one, other) => {
                format!("{}: {} is not {} yet", name(list), name(one), name(other))
            }
            Self::Both(one, other) => return one.unmet(fields).or_else(|| other.unmet(fields)),
        })
    }
}

fn explained(c: Condition<'_>) -> String {
    if c.kind() == "Ready" && c.is("True") { "is ready".to_owned() } else { c.explain() }
}

/// A field as people write it: `status.phase` is `phase`, since all are of the status.
fn name(pointer: &str) -> String {
    pointer
        .strip_prefix("/status/")
        .unwrap_or(pointer)
        .trim_start_matches('/')
        .replace("~1", "/")
        .replace('/', ".")
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_set(fields: Fields<'_>, pointer: &str) -> bool {
    match fields.value(pointer) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(entries)) => !entries.is_empty(),
        Some(Value::Object(inner)) => !inner.is_empty(),
        Some(_) => true,
    }
}

/// The entries of a list, or the values of a map.
fn entries<'a>(fields: Fields<'a>, pointer: &str) -> Box<dyn Iterator<Item = &'a Value> + 'a> {
    match fields.value(pointer) {
        Some(Value::Array(entries)) => Box::new(entries.iter()),
        Some(Value::Object(inner)) => Box::new(inner.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn is_same(entry: &Value, one: &str, other: &str) -> bool {
    let value = |field: &str| entry.pointer(field).and_then(text);
    value(one).is_some() && value(one) == value(other)
}

fn is_one_of(entry: &Value, field: &str, words: &[&str]) -> bool {
    entry.pointer(field).and_then(text).is_some_and(|text| words.contains(&text.as_str()))
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Is(kind) => write!(f, "{kind}"),
            Self::Has(kind, status) => write!(f, "{kind}={status}"),
            Self::Reason(kind, reasons) => write!(f, "{kind} with reason {}", reasons.join("/")),
            Self::Text(pointer, words) => write!(f, "`{}`={}", path(pointer), words.join("/")),
            Self::Set(pointer) => write!(f, "`{}` is set", path(pointer)),
            Self::Unset(pointer) => write!(f, "`{}` is not set", path(pointer)),
            Self::Reaches(have, want) => write!(f, "`{}` ≥ `{}`", path(have), path(want)),
            Self::Positive(pointer) => write!(f, "`{}` > 0", path(pointer)),
            Self::Behind(have, want) => write!(f, "`{}` < `{}`", path(have), path(want)),
            Self::Same(one, other) => write!(f, "`{}` = `{}`", path(one), path(other)),
            Self::Every(list, field, words) => {
                write!(f, "`{}{}`={} in each", path(list), field.replace('/', "."), words.join("/"))
            }
            Self::Some(list, field, words) => {
                write!(f, "`{}{}`={} in one", path(list), field.replace('/', "."), words.join("/"))
            }
            Self::EachSame(list, one, other) => {
                write!(f, "`{}{}` = `{}` in each", path(list), one.replace('/', "."), path(other))
            }
            Self::Both(one, other) => write!(f, "({one} and {other})"),
        }
    }
}

fn path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::Reports;
    use super::*;

    #[test]
    fn checks_explain_themselves() {
        let check = |check: Check, status: Value, met: Option<&str>, unmet: Option<&str>| {
            let object = json!({"metadata": {"generation": 3}, "status": status});
            let fields = Fields::of(&object, Reports::Unknown);
            assert_eq!(
                (check.met(fields).as_deref(), check.unmet(fields).as_deref()),
                (met, unmet),
                "{check} {status}"
            );
        };
        check(Check::Set("/status/url"), json!({"url": "x"}), Some("url: x"), None);
        check(Check::Set("/status/url"), json!({"url": ""}), None, Some("has no url yet"));
        check(Check::Unset("/status/error"), json!({"error": {"a": 1}}), None, Some("has error"));
        check(Check::Positive("/status/n"), json!({"n": 2}), Some("n is 2"), None);
        check(Check::Same("/status/a", "/status/b"), json!({"a": 1, "b": 2}), None, Some("a is 1, not 2"));
        let every = Check::Every("/status/parts", "/ok", &["true"]);
        check(every, json!({"parts": [{"ok": true}, {"ok": false}]}), None, Some("parts.ok is false"));
        check(every, json!({"parts": {"a": {"ok": true}}}), Some("every ok is true"), None);
        check(every, json!({"parts": []}), None, Some("has no parts yet"));
        let same = Check::EachSame("/status/parts", "/have", "/want");
        check(same, json!({"parts": [{"have": 1, "want": 1}]}), Some("every parts is current"), None);
        check(same, json!({"parts": [{"have": 1, "want": 2}]}), None, Some("parts: have is not want yet"));
    }
}
