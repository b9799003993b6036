//! What an entry of the catalogue says, and how an object is judged by it.

use jiff::Timestamp;

use super::super::fields::{Fields, unobserved};
use super::super::ladder;
use super::super::verdict::Health;
use super::check::Check;

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
        let rest = match (self.rest, self.is_quiet) {
            (Rest::Ladder, false) => "yes",
            (Rest::Ladder, true) => "yes; its status may come late",
            (Rest::Nothing, false) => "no",
            (Rest::Nothing, true) => "no; its status may come late",
            (Rest::NoStatus, _) => "no, it has no status",
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
        if let Some(health) = ladder::suspended_by_spec(fields) {
            return health;
        }
        // A suspended controller does not write that it has seen the latest change.
        let by_spec = self.suspended.iter().filter(|check| check.is_of_the_spec());
        if let Some(why) = by_spec.filter_map(|check| check.met(fields)).next() {
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
        if let Some(why) = met(self.suspended) {
            return Health::suspended(why);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

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
        // The ladder has the last word; it does not ask further once Ready is True.
        let waits = of("example.com", &["Database"]).needs(&[Check::Text("/status/phase", &["Up"])]);
        check(&waits, json!({}), json!({"phase": "Up", "health": "red"}), InProgress, "health is red");
        check(&ENTRY, json!({"stopped": true}), json!(null), Suspended, "spec.stopped is true");
        let only = ENTRY.only();
        let status = json!({"conditions": ready("True", "Ok"), "phase": "Up", "ready": 2, "health": "red"});
        check(&only, spec, status, Current, "is ready");
        check(&of("example.com", &[]).no_status(), json!({}), json!(null), Current, "exists");
    }
}
