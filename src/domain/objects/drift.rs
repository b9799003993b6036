//! Drift: whether an object has changed since the last apply, which fields differ,
//! and when to back off from corrections that another client undoes.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::domain::inventory::Entry;
use crate::domain::objects::live::Record;

/// The most differing fields that are reported for one object.
pub const MAX_PATHS: usize = 10;

/// How an object differs from what was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriftKind {
    /// It does not exist any more, or does not have our labels.
    Missing,
    /// Another object of that name exists.
    Replaced,
    /// Fields that we set were changed or taken over by another manager.
    Changed,
}

/// Whether an object has drifted since the apply that the entry recorded.
/// `applied_version` is the resource version in the answer to the apply, as far as it
/// is known: an older record is ignored.
pub fn drift_kind(entry: &Entry, record: Option<&Record>, applied_version: u64) -> Option<DriftKind> {
    let Some(record) = record else { return (!entry.done).then_some(DriftKind::Missing) };
    if record.version != 0 && record.version < applied_version {
        return None;
    }
    // Written ahead only: a run is needed, but it is not drift.
    let uid = entry.uid.as_deref()?;
    if uid != record.uid {
        return Some(DriftKind::Replaced);
    }
    // Without fields, it is applied only while it does not exist.
    entry.fields.as_ref().is_some_and(|f| *f != record.fields).then_some(DriftKind::Changed)
}

/// The fields in which a live object differs from the result of a dry run, as JSON
/// pointers without values, at most [`MAX_PATHS`].
pub fn differing_paths(live: &Value, wanted: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare(live, wanted, &mut String::new(), &mut paths);
    paths
}

fn compare(live: &Value, wanted: &Value, path: &mut String, paths: &mut Vec<String>) {
    const SERVERS_OWN: [&str; 4] =
        ["/metadata/managedFields", "/metadata/resourceVersion", "/metadata/generation", "/status"];
    if paths.len() >= MAX_PATHS || live == wanted || SERVERS_OWN.contains(&path.as_str()) {
        return;
    }
    let mut enter = |key: &str, a: &Value, b: &Value, paths: &mut Vec<String>| {
        let length = path.len();
        path.push('/');
        path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        compare(a, b, path, paths);
        path.truncate(length);
    };
    match (live, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let only_b = b.keys().filter(|k| !a.contains_key(*k));
            for key in a.keys().chain(only_b) {
                let [a, b] = [a, b].map(|map| map.get(key).unwrap_or(&Value::Null));
                enter(key, a, b, paths);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                enter(&n.to_string(), a, b, paths);
            }
        }
        _ => paths.push(path.clone()),
    }
}

/// The corrections of one object, to detect a conflict with another client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrectionBackoff {
    recent: VecDeque<Timestamp>,
    level: u32,
    until: Option<Timestamp>,
}

impl CorrectionBackoff {
    /// How many corrections in a minute count as a conflict.
    pub const LIMIT: usize = 3;
    const WINDOW: SignedDuration = SignedDuration::from_secs(60);
    const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
    const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(600);
    /// How long a correction after a pause must last for the conflict to be over.
    const SETTLING: SignedDuration = SignedDuration::from_secs(10);

    /// Records that the object is corrected now.
    ///
    /// # Errors
    /// The time until which it has to wait, because the correction was undone
    /// [`CorrectionBackoff::LIMIT`] times in a minute. Each further conflict doubles
    /// the pause, from 30 seconds to 10 minutes.
    pub fn correct(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        if let Some(until) = self.until.filter(|u| *u > now) {
            return Err(until);
        }
        while self.recent.front().is_some_and(|t| now.duration_since(*t) > Self::WINDOW) {
            self.recent.pop_front();
        }
        if self.recent.len() >= Self::LIMIT {
            let pause = Self::FIRST_PAUSE * 2_i32.pow(self.level.min(5));
            let until = now.saturating_add(pause.min(Self::LONGEST_PAUSE)).unwrap_or(Timestamp::MAX);
            self.level += 1;
            self.until = Some(until);
            self.recent.clear();
            return Err(until);
        }
        if self.until.is_some_and(|u| now.duration_since(u) > Self::LONGEST_PAUSE) {
            *self = Self::default();
        }
        self.recent.push_back(now);
        Ok(())
    }

    /// The end of the pause, if there is one.
    pub fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|u| *u > now)
    }

    /// When to check again during a conflict: at the end of the pause, to correct the
    /// object, and a little later, to see that the correction lasts.
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        let until = self.until?;
        let settled = until.saturating_add(Self::SETTLING).unwrap_or(Timestamp::MAX);
        [until, settled].into_iter().find(|at| *at > now)
    }

    /// Whether it can be forgotten.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let old = |t: &Timestamp| now.duration_since(*t) > Self::LONGEST_PAUSE;
        self.recent.back().is_none_or(old) && self.until.as_ref().is_none_or(old)
    }

    /// Whether a conflict was detected and is not over for long.
    pub fn is_backing_off(&self) -> bool {
        self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::live::JobRun;
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_last_apply_wrote_is_not_drift() {
        let entry = Entry {
            version: "v1".into(),
            uid: Some("u".into()),
            hash: Some("h".into()),
            fields: Some("f".into()),
            ..Entry::default()
        };
        let record = Record {
            uid: "u".into(),
            version: 10,
            fields: "f".into(),
            owner: None,
            elsewhere: None,
            prune_disabled: false,
            deleting: false,
            run: JobRun::default(),
            placement: None,
        };
        let check = |record: Option<Record>, applied: u64, expected: Option<DriftKind>| {
            assert_eq!(drift_kind(&entry, record.as_ref(), applied), expected);
        };
        check(Some(record.clone()), 0, None);
        check(None, 0, Some(DriftKind::Missing));
        let done = Entry { done: true, ..entry.clone() };
        assert_eq!(drift_kind(&done, None, 0), None, "it has finished");
        let replaced = Record { uid: "v".into(), ..record.clone() };
        assert_eq!(drift_kind(&done, Some(&replaced), 0), Some(DriftKind::Replaced));
        check(Some(Record { uid: "v".into(), ..record.clone() }), 0, Some(DriftKind::Replaced));
        let changed = Record { fields: "g".into(), ..record };
        check(Some(changed.clone()), 10, Some(DriftKind::Changed));
        check(Some(changed.clone()), 11, None);
        let once = Entry { fields: None, ..entry.clone() };
        assert_eq!(drift_kind(&once, Some(&changed), 0), None);
        assert_eq!(drift_kind(&once, None, 0), Some(DriftKind::Missing));
    }

    #[test]
    fn differing_fields_are_named_without_their_values() {
        let live = json!({"metadata": {"resourceVersion": "1", "labels": {"a/b": "x"}},
            "spec": {"replicas": 3, "list": [{"name": "a", "image": "x:1"}]}, "status": {"ready": 1}});
        let wanted = json!({"metadata": {"resourceVersion": "2", "labels": {}},
            "spec": {"replicas": 2, "list": [{"name": "a", "image": "x:2"}], "paused": true}});
        assert_eq!(
            differing_paths(&live, &wanted),
            ["/metadata/labels/a~1b", "/spec/list/0/image", "/spec/replicas", "/spec/paused"]
        );
        assert!(differing_paths(&live, &live).is_empty());
    }

    #[test]
    fn the_fourth_correction_in_a_minute_waits_and_each_conflict_waits_longer() {
        let at = |s: i64| Timestamp::from_second(1_000_000 + s).unwrap();
        let mut backoff = CorrectionBackoff::default();
        for s in 0..3 {
            assert_eq!(backoff.correct(at(s)), Ok(()));
        }
        assert!(!backoff.is_backing_off());
        assert_eq!(backoff.correct(at(3)), Err(at(33)));
        assert_eq!(backoff.correct(at(20)), Err(at(33)));
        // The conflict is over when the correction has lasted for ten seconds.
        let looks = [(20, Some(33)), (33, Some(43)), (42, Some(43)), (43, None)];
        assert_eq!(looks.map(|(s, _)| backoff.next_look(at(s))), looks.map(|(_, next)| next.map(at)));
        assert!(backoff.is_backing_off());
        for s in 33..36 {
            assert_eq!(backoff.correct(at(s)), Ok(()));
        }
        assert_eq!(backoff.correct(at(36)), Err(at(96)));
        assert_eq!(backoff.correct(at(2000)), Ok(()));
        assert!(!backoff.is_backing_off());
        assert!(!backoff.is_over(at(2001)));
        assert!(backoff.is_over(at(3000)));
    }
}
