//! Whether anything happens to an object that is waited for.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How many states of an object are remembered.
const REMEMBERED: usize = 64;

/// The states of an object that a wait has seen. An object that goes back and forth between
/// two of them, as one that crashes and starts again, makes no progress.
#[derive(Clone, Debug)]
pub struct ProgressTimer {
    seen: VecDeque<u64>,
    since: Timestamp,
}

impl ProgressTimer {
    /// Nothing is seen yet.
    pub fn since(now: Timestamp) -> Self {
        Self { seen: VecDeque::new(), since: now }
    }

    /// Notes a state. One that is new is progress.
    pub fn note(&mut self, mark: u64, now: Timestamp) {
        if self.seen.contains(&mark) {
            return;
        }
        self.since = now;
        self.seen.push_back(mark);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
    }

    /// When there has been no progress for so long.
    pub fn ends_at(&self, limit: Duration) -> Option<Timestamp> {
        self.since.checked_add(SignedDuration::try_from(limit).ok()?).ok()
    }
}

/// Identifies what a value says.
pub fn mark_of<T: Hash>(parts: impl Iterator<Item = T>) -> u64 {
    let mut marks: Vec<u64> = parts
        .map(|part| {
            let mut hasher = DefaultHasher::new();
            part.hash(&mut hasher);
            hasher.finish()
        })
        .collect();
    // Without the order, and without how many say the same.
    marks.sort_unstable();
    marks.dedup();
    let mut hasher = DefaultHasher::new();
    marks.hash(&mut hasher);
    hasher.finish()
}

/// Identifies what the status of an object says, without its times: a controller may write
/// those although nothing happens.
pub fn mark_of_status(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(status) = object.get("status") {
        feed(status, &mut hasher);
    }
    hasher.finish()
}

fn feed(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(value) => (2_u8, value.to_string()).hash(hasher),
        Value::String(value) if value.parse::<Timestamp>().is_ok() => 3_u8.hash(hasher),
        Value::String(value) => (4_u8, value).hash(hasher),
        Value::Array(values) => {
            (5_u8, values.len()).hash(hasher);
            values.iter().for_each(|value| feed(value, hasher));
        }
        Value::Object(fields) => {
            (6_u8, fields.len()).hash(hasher);
            for (key, value) in fields {
                key.hash(hasher);
                feed(value, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn only_what_was_not_seen_before_is_progress() {
        let mut progress = ProgressTimer::since(at(0));
        let mut check = |mark: u64, now: i64, ends: i64| {
            progress.note(mark, at(now));
            assert_eq!(progress.ends_at(Duration::from_secs(10)), Some(at(ends)), "{mark} at {now}");
        };
        check(1, 1, 11);
        check(1, 5, 11);
        check(2, 6, 16);
        check(1, 7, 16);
        check(2, 8, 16);
        check(3, 9, 19);
        for mark in 100..200 {
            check(mark, 20, 30);
        }
        assert!(progress.seen.len() <= REMEMBERED);
        assert_eq!(progress.ends_at(Duration::MAX), None);
    }

    #[test]
    fn the_times_of_a_status_are_no_progress() {
        let mark =
            |status: Value| mark_of_status(&json!({"metadata": {"resourceVersion": "x"}, "status": status}));
        let check = |one: Value, other: Value, same: bool| {
            assert_eq!(mark(one.clone()) == mark(other.clone()), same, "{one} {other}");
        };
        check(json!({"at": "2026-01-01T00:00:00Z"}), json!({"at": "2026-01-01T00:00:01Z"}), true);
        check(json!({"replicas": 1}), json!({"replicas": 2}), false);
        check(json!({"a": "x"}), json!({"b": "x"}), false);
        check(json!(["a", "b"]), json!(["b", "a"]), false);
        check(json!(null), json!({}), false);
        assert_eq!(mark_of(["a", "b", "a"].iter()), mark_of(["b", "a"].iter()));
    }
}
