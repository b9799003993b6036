//! What an entry of the catalogue says, and how an object is judged by it.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::super::fields::{Condition, Fields, unobserved};
use super::super::ladder;
use super::super::verdict::Health;

/// One kind, or several that report alike.
#[derive(Clone, Copy, Debug)]
pub struct CatalogueEntry {
    /// The API group; `*.example.com` is any group below it.
    pub group: &'static str,
    /// The kinds; none means all kinds of the group.
    pub kinds: &'static [&'static str],
    suspended: &'static [Check],
    failed: &'static [Check],
    waits: &'static [Check],
    needs: &'static [Check],
    rest: Rest,
    /// Whether the status may come late, or never.
    is_quiet: bool,
}

/// What is asked when an entry has said all it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// The ladder.
    Ladder,
    /// Nothing: it is current.
    Nothing,
    /// Nothing, and it is current without a status, too: nobody writes one.
    NoStatus,
}

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

/// An entry for these kinds that says nothing yet: the ladder judges, and a status has to
/// be there.
pub const fn of(group: &'static str, kinds: &'static [&'static str]) -> CatalogueEntry {
    // Of a whole group, some kinds may have no status.
    let is_quiet = kinds.is_empty();
    CatalogueEntry {
        group,
        kinds,
        suspended: &[],
        failed: &[],
        waits: &[],
        needs: &[],
        rest: Rest::Ladder,
        is_quiet,
    }
}

impl CatalogueEntry {
    /// Any of these means that it is suspended.
    pub const fn suspended(self, suspended: &'static [Check]) -> Self {
        Self { suspended, ..self }
    }

    /// Any of these means that it has failed, and does not recover by itself.
    pub const fn failed(self, failed: &'static [Check]) -> Self {
        Self { failed, ..self }
    }

    /// While any of these holds, it is in progress.
    pub const fn waits(self, waits: &'static [Check]) -> Self {
        Self { waits, ..self }
    }

    /// Unless all of these hold, it is in progress.
    pub const fn needs(self, needs: &'static [Check]) -> Self {
        Self { needs, ..self }
    }

    /// What the ladder would say does not count.
    pub const fn only(self) -> Self {
        Self { rest: Rest::Nothing, ..self }
    }

    /// Its status may come late, or never: without one, it is judged like a kind that is not
    /// in the catalogue.
    pub const fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    /// It has no status: it is current once it exists.
    pub const fn no_status(self) -> Self {
        Self { rest: Rest::NoStatus, ..self }
    }

    /// Whether the entry is about a kind.
    pub fn is_about(&self, group: &str, kind: &str) -> bool {
        let in_group = match self.group.strip_prefix('*') {
            Some(below) => group.ends_with(below),
            None => group == self.group,
        };
        in_group && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    /// Whether an object of the kind can be anything but current.
    pub fn can_be_unhealthy(&self) -> bool {
        self.rest != Rest::NoStatus
    }

    /// The words that the documentation has for it: what is failed, suspended, in progress,
    /// needed, and whether the ladder is asked too.
    pub fn sentences(&self) -> [String; 5] {
        let all = |checks: &[Check], between: &str| {
            checks.iter().map(Check::to_string).collect::<Vec<_>>().join(between)
        };
        let rest = match self.rest {
            Rest::Ladder => "yes",
            Rest::Nothing => "no",
            Rest::NoStatus => "no, it has no status",
        };
        [
            all(self.failed, " or "),
            all(self.suspended, " or "),
            all(self.waits, " or "),
            all(self.needs, " and "),
            rest.to_owned(),
        ]
    }

    pub(in super::super) fn judge(&self, fields: Fields<'_>, now: Timestamp) -> Health {
        let met = |checks: &[Check]| checks.iter().find_map(|check| check.met(fields));
        // A suspended controller does not write that it has seen the latest change either.
        if let Some(why) = met(self.suspended) {
            return Health::suspended(why);
        }
        if self.rest == Rest::NoStatus {
            return Health::current("exists");
        }
        let Some(status) = ladder::reported(fields) else {
            return match self.is_quiet {
                true => ladder::custom(fields, now),
                false => Health::in_progress("has no status yet"),
            };
        };
        if ladder::is_stale(fields) {
            return unobserved();
        }
        if let Some(why) = met(self.failed) {
            return Health::failed(why);
        }
        if let Some(why) = met(self.waits) {
            return Health::in_progress(why);
        }
        if let Some(why) = self.needs.iter().find_map(|check| check.unmet(fields)) {
            return Health::in_progress(why);
        }
        match self.rest {
            Rest::Ladder => ladder::climb(fields, status),
            Rest::Nothing | Rest::NoStatus => {
                Health::current(match self.needs.iter().find_map(|c| c.met(fields)) {
                    Some(why) => why,
                    None => "exists".to_owned(),
                })
            }
        }
    }
}

impl Check {
    /// What holds, as a message; `None` when it does not.
    fn met(&self, fields: Fields<'_>) -> Option<String> {
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
    fn unmet(&self, fields: Fields<'_>) -> Option<String> {
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
    pointer.trim_start_matches("/status").trim_start_matches('/').replace("~1", "/").replace('/', ".")
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
    let value = if field.is_empty() { Some(entry) } else { entry.pointer(field) };
    value.and_then(text).is_some_and(|text| words.contains(&text.as_str()))
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

    use super::super::super::{HealthState, HealthState::*, Reports};
    use super::*;

    const ENTRY: CatalogueEntry = of("example.com", &["Database"])
        .suspended(&[Check::Text("/spec/stopped", &["true"])])
        .failed(&[Check::Reason("Ready", &["Broken"])])
        .waits(&[
            Check::Some("/status/members", "/state", &["down"]),
            Check::Behind("/status/seen", "/metadata/generation"),
        ])
        .needs(&[
            Check::Is("Ready"),
            Check::Text("/status/phase", &["Up", "Idle"]),
            Check::Reaches("/status/ready", "/spec/replicas"),
        ]);

    fn check(entry: &CatalogueEntry, spec: Value, status: Value, state: HealthState, message: &str) {
        let object = json!({"metadata": {"generation": 3}, "spec": spec, "status": status});
        let health = entry.judge(Fields::of(&object, Reports::Unknown), Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
    }

    fn ready(status: &str, reason: &str) -> Value {
        json!([{"type": "Ready", "status": status, "reason": reason}])
    }

    #[test]
    fn an_entry_is_asked_in_order() {
        let spec = json!({"replicas": 2});
        let is = |status, state, message: &str| check(&ENTRY, spec.clone(), status, state, message);
        is(json!(null), InProgress, "has no status yet");
        is(
            json!({"observedGeneration": 2, "phase": "Up"}),
            InProgress,
            "its controller has not seen the latest change yet",
        );
        is(json!({"phase": "Up"}), InProgress, "has no condition Ready yet");
        is(json!({"conditions": ready("False", "Booting")}), InProgress, "is not ready, Booting");
        is(json!({"conditions": ready("False", "Broken")}), Failed, "Broken");
        is(
            json!({"conditions": ready("True", "Ok"), "members": [{"state": "up"}, {"state": "down"}]}),
            InProgress,
            "members.state is down",
        );
        is(json!({"conditions": ready("True", "Ok"), "seen": "2"}), InProgress, "seen is 2 of 3");
        is(json!({"conditions": ready("True", "Ok")}), InProgress, "has no phase yet");
        is(json!({"conditions": ready("True", "Ok"), "phase": "Starting"}), InProgress, "phase is Starting");
        is(
            json!({"conditions": ready("True", "Ok"), "phase": "Up", "ready": 1}),
            InProgress,
            "ready is 1 of 2",
        );
        is(json!({"conditions": ready("True", "Ok"), "phase": "Up", "ready": 2}), Current, "is ready");
        // The ladder has the last word.
        is(
            json!({"conditions": ready("True", "Ok"), "phase": "Up", "ready": 2, "health": "red"}),
            InProgress,
            "health is red",
        );
        check(&ENTRY, json!({"stopped": true}), json!(null), Suspended, "spec.stopped is true");
        let only = ENTRY.only();
        let status = json!({"conditions": ready("True", "Ok"), "phase": "Up", "ready": 2, "health": "red"});
        check(&only, spec, status, Current, "is ready");
        check(&of("example.com", &[]).no_status(), json!({}), json!(null), Current, "exists");
    }

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
