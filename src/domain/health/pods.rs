//! What a pod says of itself: for pods of a release, and for those behind a workload.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::early::handling::FailureHandling;
use super::fields::Fields;
use super::rule::Rule;
use super::verdict::Health;
use crate::domain::verify::text::printable;

/// How often the containers of a pod may fail, unless an annotation says otherwise.
pub(super) const FAILURES_ALLOWED: u32 = 1;
/// The most bytes of what a pod says. Its status may be written by others than the kubelet.
const MAX_WORDS: usize = 300;
/// The longest name of a container.
const MAX_NAME: usize = 63;
/// A container that ran for so long before it crashed does not crash in a loop: the
/// kubelet resets its backoff then.
const STEADY: SignedDuration = SignedDuration::from_mins(10);

/// The rules of this family.
pub fn rule(group: &str, kind: &str) -> Option<Rule> {
    matches!((group, kind), ("", "Pod")).then_some(pod as Rule)
}

/// What keeps a pod from being ready; the worst is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Trouble {
    /// Nothing yet: it takes time.
    Slow,
    /// It has ended as a whole. Its controller replaces it.
    Ended,
    /// No node takes it. An autoscaler may add one.
    Unscheduled,
    /// A container cannot start. What it needs may appear.
    Waiting,
    /// A container has crashed.
    Crashed,
    /// A container can never start.
    Hopeless,
}

/// What a pod says while it is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Said {
    pub trouble: Trouble,
    /// Words that do not change while the cause is the same.
    pub words: String,
    /// The container that it is about.
    pub container: Option<String>,
    /// How often that container has failed, if it is down now.
    pub failures: u32,
}

impl Said {
    fn new(trouble: Trouble, words: &str) -> Self {
        Self { trouble, words: printable(words, MAX_WORDS), container: None, failures: 0 }
    }

    /// Whether it does not recover by itself.
    pub fn is_final(&self, allowed: u32) -> bool {
        match self.trouble {
            Trouble::Hopeless => true,
            Trouble::Crashed => self.failures > allowed,
            _ => false,
        }
    }

    /// The sentence for a person. The number is the bound that was passed, and not a count
    /// that grows.
    pub fn sentence(&self, allowed: u32) -> String {
        match (self.trouble, &self.container) {
            (Trouble::Crashed, Some(name)) if self.failures > allowed && allowed > 0 => {
                let least = u64::from(allowed) + 1;
                format!("container {name} keeps crashing: {}, at least {least} times", self.words)
            }
            (Trouble::Crashed, Some(name)) => format!("container {name} has crashed: {}", self.words),
            _ => self.words.clone(),
        }
    }
}

pub(super) fn pod(fields: Fields<'_>, _now: Timestamp) -> Health {
    match fields.text("/status/phase").unwrap_or_default() {
        "Succeeded" => Health::current("has completed"),
        // kstatus: current, since nothing more will happen.
        "Failed" => Health::failed(ended(fields).words),
        "Running" if fields.holds("Ready").is_some() => Health::current("is ready"),
        "Running" | "Pending" => {
            let said = troubled(fields);
            let allowed = FailureHandling::of(fields.whole()).failures_allowed.unwrap_or(FAILURES_ALLOWED);
            match said.is_final(allowed) {
                true => Health::failed(said.sentence(allowed)),
                false => Health::in_progress(said.sentence(allowed)),
            }
        }
        _ => Health::in_progress("has no phase yet"),
    }
}

/// What a pod says; `None` when it is ready, has completed or is being deleted.
pub(super) fn said(fields: Fields<'_>) -> Option<Said> {
    if fields.has("/metadata/deletionTimestamp") {
        return None;
    }
    match fields.text("/status/phase").unwrap_or_default() {
        "Succeeded" => None,
        "Failed" => Some(ended(fields)),
        "Running" if fields.holds("Ready").is_some() => None,
        _ => Some(troubled(fields)),
    }
}

/// Of a pod that has not ended and is not ready.
fn troubled(fields: Fields<'_>) -> Said {
    let containers = || {
        let init = fields.list("/status/initContainerStatuses");
        init.chain(fields.list("/status/containerStatuses"))
    };
    let worst = containers().filter_map(container).reduce(|one, other| {
        let rank = |said: &Said| (said.trouble, said.failures);
        if rank(&other) > rank(&one) { other } else { one }
    });
    let is_running = fields.text("/status/phase") == Some("Running");
    let held = worst.filter(|said| said.trouble > Trouble::Slow || is_running);
    if let Some(said) = held {
        return said;
    }
    // kstatus: failed after 15 s. A cluster autoscaler takes minutes, so only the
    // timeout of the release ends this wait; the message has the cause.
    match fields.condition("PodScheduled").filter(|c| c.is("False")) {
        Some(c) => {
            Said::new(Trouble::Unscheduled, &format!("is not scheduled: {}", first_sentence(&c.explain())))
        }
        None if is_running => Said::new(Trouble::Slow, "is not ready yet"),
        None => containers().find_map(container).unwrap_or_else(|| Said::new(Trouble::Slow, "is starting")),
    }
}

/// What the kubelet says of a container that is not up.
fn container(status: &Value) -> Option<Said> {
    let name = container_name(status)?;
    let of = |trouble, words: String, failures| {
        Some(Said { container: Some(name.clone()), failures, ..Said::new(trouble, &words) })
    };
    let restarts = status.get("restartCount").and_then(Value::as_u64).unwrap_or_default();
    let exits = u32::try_from(restarts.saturating_add(1)).unwrap_or(u32::MAX);
    let last = status.pointer("/lastState/terminated");
    if let Some(why) = status.pointer("/state/waiting/reason").and_then(Value::as_str) {
        let message = status.pointer("/state/waiting/message").and_then(Value::as_str).unwrap_or_default();
        let waits = |why: &str| format!("container {name} is waiting: {why}");
        let in_full = || match message.trim() {
            "" => waits(why),
            message => format!("{}: {}", waits(why), without_pod_name(message)),
        };
        return match why {
            // The kubelet says so from the second crash on.
            "CrashLoopBackOff" => {
                of(Trouble::Crashed, last.map_or("CrashLoopBackOff".into(), exit), exits.max(2))
            }
            "InvalidImageName" | "ErrImageNeverPull" => of(Trouble::Hopeless, in_full(), 0),
            // It names what is missing.
            "CreateContainerConfigError" => of(Trouble::Waiting, in_full(), 0),
            // The two take turns while the cause is the same.
            "ErrImagePull" => of(Trouble::Waiting, waits("ImagePullBackOff"), 0),
            "ContainerCreating" | "PodInitializing" => of(Trouble::Slow, waits(why), 0),
            _ => of(Trouble::Waiting, waits(why), 0),
        };
    }
    let failed = |ended: &&Value| code(ended) != Some(0);
    if let Some(ended) = status.pointer("/state/terminated").filter(failed) {
        let failures = if ran_for(ended).is_some_and(|time| time >= STEADY) { 1 } else { exits };
        return of(Trouble::Crashed, exit(ended), failures);
    }
    // It runs again after a crash, and is not known to be well.
    let is_ready = status.get("ready").and_then(Value::as_bool).unwrap_or_default();
    let ended = last.filter(failed).filter(|_| !is_ready && status.pointer("/state/running").is_some())?;
    of(Trouble::Crashed, exit(ended), 0)
}

fn container_name(status: &Value) -> Option<String> {
    Some(printable(status.get("name")?.as_str()?, MAX_NAME))
}

/// The kubelet may name the pod, `(pod: "web-7d9c-x8x2v_apps(uid)", container: web)`. Its replacement
/// has another name.
fn without_pod_name(message: &str) -> String {
    let Some((before, rest)) = message.split_once("pod: \"") else { return message.to_owned() };
    match rest.split_once("\", ") {
        Some((_, after)) => format!("{before}{after}"),
        None => message.to_owned(),
    }
}

/// Without what the scheduler adds about preemption and the kubelet about amounts, which change
/// from one attempt to the next.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

fn code(terminated: &Value) -> Option<i64> {
    terminated.get("exitCode")?.as_i64()
}

/// How a container ended, such as `OOMKilled` or `exit code 1`.
fn exit(terminated: &Value) -> String {
    let reason = terminated.get("reason").and_then(Value::as_str).unwrap_or_default();
    match (reason, code(terminated)) {
        ("" | "Error" | "Completed", Some(code)) => format!("exit code {code}"),
        ("", None) => "it has ended".to_owned(),
        (reason, _) => reason.to_owned(),
    }
}

fn ran_for(terminated: &Value) -> Option<SignedDuration> {
    let time = |key: &str| terminated.get(key)?.as_str()?.parse::<Timestamp>().ok();
    Some(time("finishedAt")?.duration_since(time("startedAt")?))
}

/// Of a pod that has failed as a whole.
fn ended(fields: Fields<'_>) -> Said {
    let said = |words: &str, container| Said { container, failures: 1, ..Said::new(Trouble::Ended, words) };
    match (fields.text("/status/reason"), fields.text("/status/message")) {
        (Some(reason), Some(message)) => {
            said(&format!("has failed, {reason}: {}", first_sentence(message)), None)
        }
        (Some(reason), None) => said(&format!("has failed, {reason}"), None),
        _ => {
            let exited = |container: &Value| {
                let code = code(container.pointer("/state/terminated")?).filter(|code| *code != 0)?;
                let name = container_name(container)?;
                Some(said(&format!("has failed, container {name} exited with code {code}"), Some(name)))
            };
            let init = fields.list("/status/initContainerStatuses");
            let all = init.chain(fields.list("/status/containerStatuses"));
            all.into_iter().find_map(exited).unwrap_or_else(|| said("has failed", None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use super::*;
    use serde_json::json;

    fn check(status: Value, state: HealthState, message: &str) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": status});
        let health = RuleSet::default().assess(&pod, Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{pod}");
    }

    #[test]
    fn pods() {
        check(json!(null), InProgress, "has no phase yet");
        check(json!({"phase": "Succeeded"}), Current, "has completed");
        check(json!({"phase": "Failed"}), Failed, "has failed");
        check(
            json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
            Failed,
            "has failed, Evicted: low on memory",
        );
        check(
            json!({"phase": "Failed", "reason": "Evicted",
                "message": "The node was low on resource: memory. Threshold quantity: 100Mi, available: 5Ki. "}),
            Failed,
            "has failed, Evicted: The node was low on resource: memory",
        );
        check(
            json!({"phase": "Failed", "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 1}}}],
                "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "PodInitializing"}}}]}),
            Failed,
            "has failed, container i exited with code 1",
        );
        check(
            json!({"phase": "Failed", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 0}}},
                {"name": "b", "state": {"terminated": {"exitCode": 3}}}]}),
            Failed,
            "has failed, container b exited with code 3",
        );
        check(
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}),
            Current,
            "is ready",
        );
        check(
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}),
            InProgress,
            "is not ready yet",
        );
        check(json!({"phase": "Pending"}), InProgress, "is starting");
        check(
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient cpu. preemption: none."}]}),
            InProgress,
            "is not scheduled: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu",
        );
    }

    /// The table of docs/health.md: what a container says, whether that is a failure.
    #[test]
    fn containers() {
        let running = |list: &str, container: Value| {
            let mut status = json!({"phase": "Running", list: [container]});
            if list == "initContainerStatuses" {
                status["phase"] = "Pending".into();
            }
            status
        };
        let waits = |why: &str, message: &str| {
            let waiting = match message {
                "" => json!({"reason": why}),
                message => json!({"reason": why, "message": message}),
            };
            json!({"name": "a", "restartCount": 4, "state": {"waiting": waiting},
                   "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}})
        };
        let main = |container: Value, state, message: &str| {
            check(running("containerStatuses", container), state, message);
        };
        main(
            waits("CrashLoopBackOff", "back-off 5m0s restarting"),
            Failed,
            "container a keeps crashing: OOMKilled, at least 2 times",
        );
        check(
            running("initContainerStatuses", waits("CrashLoopBackOff", "")),
            Failed,
            "container a keeps crashing: OOMKilled, at least 2 times",
        );
        main(
            json!({"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}),
            Failed,
            "container a keeps crashing: CrashLoopBackOff, at least 2 times",
        );
        main(
            waits("ImagePullBackOff", "Back-off pulling"),
            InProgress,
            "container a is waiting: ImagePullBackOff",
        );
        main(waits("ErrImagePull", "not found"), InProgress, "container a is waiting: ImagePullBackOff");
        main(
            waits("InvalidImageName", "couldn't parse \"A\""),
            Failed,
            "container a is waiting: InvalidImageName: couldn't parse \"A\"",
        );
        main(waits("ErrImageNeverPull", ""), Failed, "container a is waiting: ErrImageNeverPull");
        main(
            waits("CreateContainerConfigError", "secret \"db\" not found"),
            InProgress,
            "container a is waiting: CreateContainerConfigError: secret \"db\" not found",
        );
        main(
            waits(
                "CreateContainerConfigError",
                "container has runAsNonRoot and image will run as root (pod: \"web-7d9c-x8x2v_apps(1f)\", container: a)",
            ),
            InProgress,
            "container a is waiting: CreateContainerConfigError: container has runAsNonRoot and image will run as \
             root (container: a)",
        );
        main(
            waits("CreateContainerError", "id 1"),
            InProgress,
            "container a is waiting: CreateContainerError",
        );
        main(waits("ContainerCreating", ""), InProgress, "container a is waiting: ContainerCreating");
        let ended = |restarts: u32, code: i64, reason: &str, end: &str| {
            json!({"name": "a", "restartCount": restarts, "state": {"terminated": {"exitCode": code, "reason": reason,
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": end}}})
        };
        let soon = "2026-01-01T00:09:59Z";
        main(ended(0, 1, "Error", soon), InProgress, "container a has crashed: exit code 1");
        main(ended(1, 1, "Error", soon), Failed, "container a keeps crashing: exit code 1, at least 2 times");
        main(
            ended(7, 128, "StartError", soon),
            Failed,
            "container a keeps crashing: StartError, at least 2 times",
        );
        main(
            ended(57, 1, "Error", "2026-01-01T00:10:00Z"),
            InProgress,
            "container a has crashed: exit code 1",
        );
        main(ended(3, 0, "Completed", soon), InProgress, "is not ready yet");
        main(
            json!({"name": "a", "restartCount": 9, "ready": false, "state": {"running": {}},
                   "lastState": {"terminated": {"exitCode": 2}}}),
            InProgress,
            "container a has crashed: exit code 2",
        );
    }

    #[test]
    fn an_annotation_allows_more_failures_or_none() {
        let check = |allowed: &str, restarts: u32, state: HealthState, message: &str| {
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"annotations": {"supercargo.dev/failures-allowed": allowed}},
                "status": {"phase": "Running", "containerStatuses": [{"name": "a", "restartCount": restarts,
                    "state": {"terminated": {"exitCode": 1}}}]}});
            let health = RuleSet::default().assess(&pod, Timestamp::UNIX_EPOCH);
            assert_eq!((health.state, health.message.as_str()), (state, message), "{allowed} {restarts}");
        };
        check("0", 0, Failed, "container a has crashed: exit code 1");
        check("0", 9, Failed, "container a has crashed: exit code 1");
        check("3", 2, InProgress, "container a has crashed: exit code 1");
        check("3", 3, Failed, "container a keeps crashing: exit code 1, at least 4 times");
        check("3", 9, Failed, "container a keeps crashing: exit code 1, at least 4 times");
    }
}
