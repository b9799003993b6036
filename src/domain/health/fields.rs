//! Reading a status. A field that is missing or of another type counts as absent: a
//! rule never fails, it uses what absence means for its kind.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::verdict::{Health, young_until};
use crate::api::keys;

/// The most conditions of an object that are read. No controller writes as many; more of
/// them would only keep the operator busy.
const MAX_CONDITIONS: usize = 200;

/// Whether objects of a kind have a status: whether the API server serves the subresource
/// `status` of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reports {
    /// It is served.
    Yes,
    /// It is not. A controller may write a field `status` all the same.
    No,
    /// Nobody has asked a cluster.
    #[default]
    Unknown,
}

/// One read of an object.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    object: &'a Value,
    reports: Reports,
}

/// An entry of `status.conditions`.
#[derive(Clone, Copy)]
pub(super) struct Condition<'a>(&'a Value);

impl<'a> Fields<'a> {
    pub(super) fn of(object: &'a Value, reports: Reports) -> Self {
        Self { object, reports }
    }

    pub(super) fn reports(self) -> Reports {
        self.reports
    }

    pub(super) fn whole(self) -> &'a Value {
        self.object
    }

    pub(super) fn value(self, pointer: &str) -> Option<&'a Value> {
        self.object.pointer(pointer)
    }

    pub(super) fn text(self, pointer: &str) -> Option<&'a str> {
        self.object.pointer(pointer)?.as_str().filter(|s| !s.is_empty())
    }

    pub(super) fn number(self, pointer: &str) -> Option<i64> {
        self.object.pointer(pointer)?.as_i64()
    }

    /// A number of the status; the API leaves zeros out.
    pub(super) fn count(self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    pub(super) fn flag(self, pointer: &str) -> bool {
        self.object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
    }

    pub(super) fn list(self, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
    }

    pub(super) fn has(self, pointer: &str) -> bool {
        self.object.pointer(pointer).is_some_and(|v| !v.is_null())
    }

    pub(super) fn created(self) -> Option<Timestamp> {
        self.text("/metadata/creationTimestamp")?.parse().ok()
    }

    /// The conditions that have a type.
    pub(super) fn conditions(self) -> impl Iterator<Item = Condition<'a>> {
        self.list("/status/conditions").take(MAX_CONDITIONS).map(Condition).filter(|c| !c.kind().is_empty())
    }

    /// The condition of this type.
    pub(super) fn condition(self, kind: &str) -> Option<Condition<'a>> {
        self.conditions().find(|c| c.kind() == kind)
    }

    /// The condition of this type, if its status is True.
    pub(super) fn holds(self, kind: &str) -> Option<Condition<'a>> {
        self.condition(kind).filter(|c| c.is("True"))
    }

    /// The answer while its controller has written nothing: it may take `grace` for that. An
    /// object without a creation time is not known to be old.
    /// Whether a condition is from before the last change that we have applied. The controller of
    /// Deployments keeps `ProgressDeadlineExceeded` of another ReplicaSet until the pods of the
    /// present one make progress, although it has observed the new generation. Times have whole
    /// seconds, and no rollout exceeds its deadline in the second in which it begins.
    pub(super) fn predates_apply(self, condition: Condition<'_>) -> bool {
        let time = |text: Option<&str>| text?.parse::<Timestamp>().ok();
        let is_ours = |entry: &&Value| {
            entry["manager"] == keys::FIELD_MANAGER
                && entry["operation"] == "Apply"
                && entry["subresource"].as_str().unwrap_or_default().is_empty()
        };
        let ours = self.list("/metadata/managedFields").find(is_ours);
        let applied = ours.and_then(|entry| time(entry["time"].as_str()));
        let said = time(condition.0["lastUpdateTime"].as_str());
        said.zip(applied).is_some_and(|(said, applied)| said <= applied)
    }

    pub(super) fn unreported(self, grace: SignedDuration, now: Timestamp) -> Health {
        let health = Health::in_progress("has no status yet");
        match (self.created(), young_until(self.created(), grace, now)) {
            (_, Some(end)) => health.until(end),
            (None, None) => health,
            (Some(_), None) => Health::current("exists"),
        }
    }

    /// The controllers of these kinds always set `status.observedGeneration`: if it is
    /// missing or old, the rest of the status is not valid. kstatus requires this of
    /// DaemonSets only, and calls a Deployment of 0 replicas current before its
    /// controller has seen it.
    pub(super) fn unobserved(self) -> Option<Health> {
        let generation = self.number("/metadata/generation");
        let unseen = generation.is_some() && self.number("/status/observedGeneration") != generation;
        (unseen || !self.has("/status/observedGeneration")).then(unobserved)
    }
}

/// The answer for a spec that its controller has not seen.
pub(super) fn unobserved() -> Health {
    Health::in_progress("its controller has not seen the latest change yet")
}

impl<'a> Condition<'a> {
    fn text(self, key: &str) -> &'a str {
        self.0.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn of(entry: &'a Value) -> Self {
        Self(entry)
    }

    pub(super) fn kind(self) -> &'a str {
        self.text("type")
    }

    /// `True`, `False` or `Unknown`; some controllers write a boolean.
    pub(super) fn status(self) -> &'a str {
        match self.0.get("status") {
            Some(Value::Bool(true)) => "True",
            Some(Value::Bool(false)) => "False",
            _ => self.text("status"),
        }
    }

    pub(super) fn is(self, status: &str) -> bool {
        self.status() == status
    }

    pub(super) fn has(self, key: &str) -> bool {
        self.0.get(key).is_some()
    }

    pub(super) fn reason(self) -> &'a str {
        self.text("reason")
    }

    pub(super) fn observed_generation(self) -> Option<i64> {
        self.0.get("observedGeneration")?.as_i64()
    }

    /// `Reason: message`, without what the condition does not have.
    pub(super) fn explain(self) -> String {
        let message = without_generated_name(self.text("message").trim());
        match (self.reason(), message.as_str()) {
            ("", "") => format!("condition {} is {}", self.kind(), self.status()),
            ("", message) => message.to_owned(),
            (reason, "") => reason.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

/// A refused pod is quoted with the name that was generated for this attempt,
/// `pods "web-7d9c-x8x2v" is forbidden: …`. The next attempt has another one,
/// and a message must not change from one retry to the next.
fn without_generated_name(message: &str) -> String {
    let Some((before, rest)) = message.split_once("pods \"") else { return message.to_owned() };
    match rest.split_once('"') {
        Some((_, after)) => format!("{before}pods{after}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_explain_themselves() {
        let check = |condition: Value, expected: &str| {
            assert_eq!(Condition(&condition).explain(), expected);
        };
        check(json!({"type": "Ready", "status": "False"}), "condition Ready is False");
        check(json!({"reason": "A", "message": ""}), "A");
        check(json!({"message": " b\n"}), "b");
        check(json!({"reason": "A", "message": "b"}), "A: b");
        check(
            json!({"reason": "FailedCreate", "message": "pods \"web-7d9c-x8x2v\" is forbidden: exceeded quota"}),
            "FailedCreate: pods is forbidden: exceeded quota",
        );
        check(json!({"message": "pods \"unterminated"}), "pods \"unterminated");
    }
}
