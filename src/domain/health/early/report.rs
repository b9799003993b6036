//! What the pods of a workload say together.

use std::collections::BTreeMap;

use serde_json::Value;

use super::owned::{FailureBudget, PodSelection, is_controlled_by};
use crate::domain::health::fields::{Fields, Reports};
use crate::domain::health::pods::{Said, Trouble, said};
use crate::domain::verify::text::printable;

/// How many pods of a workload are remembered, those in most trouble. A workload that fails
/// does so in most of its pods.
const MAX_PODS: usize = 200;
/// The most bytes of a log line that a message quotes.
const MAX_LOG_LINE: usize = 200;

/// The verdict of the pods of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodsVerdict {
    /// Whether the workload does not become healthy without a change.
    pub failed: bool,
    /// What the worst of them says, without its name.
    pub message: String,
    /// The pod and its container that crashed or has ended, for its log.
    pub crashed: Option<(String, String)>,
    /// Changes when any of them says something else.
    pub mark: u64,
}

/// The pods of a workload, as last seen.
#[derive(Clone, Debug, Default)]
pub struct PodReports {
    /// By name. One that is well has nothing to say, and is not remembered.
    pods: BTreeMap<String, Said>,
}

impl PodReports {
    /// Notes a pod, if it is one of the selection. Returns whether it says something new.
    pub fn note(&mut self, selection: &PodSelection, pod: &Value) -> bool {
        let Some(name) = pod.pointer("/metadata/name").and_then(Value::as_str) else { return false };
        if !is_controlled_by(pod, &selection.owner) {
            return false;
        }
        let Some(said) = said(Fields::of(pod, Reports::Unknown)) else { return self.forget(name) };
        match self.pods.get_mut(name) {
            Some(before) if *before == said => return false,
            Some(before) => *before = said,
            None => {
                if self.pods.len() >= MAX_PODS && !self.makes_room_for(&said) {
                    return false;
                }
                self.pods.insert(name.to_owned(), said);
            }
        }
        true
    }

    /// Forgets a pod that is in less trouble. Returns whether there was one.
    fn makes_room_for(&mut self, said: &Said) -> bool {
        let trouble = |said: &Said| (said.trouble, said.failures);
        let least = self.pods.iter().min_by_key(|(_, other)| trouble(other));
        let least = least.filter(|(_, other)| trouble(other) < trouble(said)).map(|(name, _)| name.clone());
        least.is_some_and(|name| self.forget(&name))
    }

    /// Forgets a pod that is gone. Returns whether it was known.
    pub fn forget(&mut self, name: &str) -> bool {
        self.pods.remove(name).is_some()
    }

    /// The names of the known pods.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.pods.keys()
    }

    /// What they say together; `None` when all are well, or there is none.
    pub fn verdict(&self, budget: FailureBudget) -> Option<PodsVerdict> {
        let said = || self.pods.iter();
        let allowed = match budget {
            FailureBudget::PerPod(allowed) => allowed,
            FailureBudget::Together(_) | FailureBudget::Unlimited => u32::MAX,
        };
        // The words decide between pods of equal trouble: names differ with each attempt.
        let rank = |said: &Said| (said.is_final(allowed), said.trouble, said.failures.min(2));
        let (name, worst) = said().reduce(|(n, one), (m, other)| {
            let is_worse = (rank(other), &one.words) > (rank(one), &other.words);
            if is_worse { (m, other) } else { (n, one) }
        })?;
        let together = said().fold(0_u32, |sum, (_, said)| sum.saturating_add(said.failures));
        let (failed, sentence) = match budget {
            FailureBudget::Together(allowed) if together > allowed => {
                let least = u64::from(allowed) + 1;
                let times = if least == 1 { "once".to_owned() } else { format!("{least} times") };
                (true, format!("{}; its pods have failed at least {times}", worst.sentence(u32::MAX)))
            }
            _ => (worst.is_final(allowed), worst.sentence(allowed)),
        };
        let has_run = matches!(worst.trouble, Trouble::Crashed | Trouble::Ended);
        let crashed = worst.container.clone().filter(|_| has_run);
        Some(PodsVerdict {
            failed,
            message: sentence,
            crashed: crashed.map(|container| (name.clone(), container)),
            mark: super::progress::mark_of(said().map(|(_, said)| (said.trouble, &said.words))),
        })
    }
}

/// The last line of a log as a message may quote it: on one line, without control characters.
pub fn log_line(log: &str) -> Option<String> {
    let line = log.lines().rev().find(|line| !line.trim().is_empty())?.trim();
    Some(printable(line, MAX_LOG_LINE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, owner: &str, status: Value) -> Value {
        json!({"metadata": {"name": name, "ownerReferences": [{"uid": owner, "controller": true}]}, "status": status})
    }

    fn crashing(restarts: u32, code: i64) -> Value {
        json!({"phase": "Running", "containerStatuses": [{"name": "web", "restartCount": restarts,
            "state": {"terminated": {"exitCode": code}}}]})
    }

    fn reports(statuses: &[Value]) -> PodReports {
        let selection = PodSelection { owner: "u".into(), selector: String::new() };
        let mut all = PodReports::default();
        for (n, status) in statuses.iter().enumerate() {
            all.note(&selection, &pod(&format!("web-{n}"), "u", status.clone()));
        }
        all
    }

    #[test]
    fn the_worst_pod_speaks_for_all() {
        let check = |statuses: &[Value], budget: FailureBudget, expected: Option<(bool, &str)>| {
            let verdict = reports(statuses).verdict(budget);
            let verdict = verdict.as_ref().map(|v| (v.failed, v.message.as_str()));
            assert_eq!(verdict, expected, "{statuses:?} {budget:?}");
        };
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let pulls = json!({"phase": "Pending", "containerStatuses": [
            {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
        let exits = json!({"phase": "Failed", "containerStatuses": [
            {"name": "web", "state": {"terminated": {"exitCode": 3}}}]});
        let per_pod = FailureBudget::PerPod(1);
        check(&[], per_pod, None);
        check(&[ready.clone(), json!({"phase": "Succeeded"})], per_pod, None);
        check(
            &[ready.clone(), pulls.clone(), json!({"phase": "Pending"})],
            per_pod,
            Some((false, "container web is waiting: ImagePullBackOff")),
        );
        check(
            &[pulls.clone(), crashing(0, 1)],
            per_pod,
            Some((false, "container web has crashed: exit code 1")),
        );
        check(
            &[pulls, crashing(1, 1), crashing(0, 1)],
            per_pod,
            Some((true, "container web keeps crashing: exit code 1, at least 2 times")),
        );
        check(
            &[crashing(1, 1)],
            FailureBudget::PerPod(2),
            Some((false, "container web has crashed: exit code 1")),
        );
        // One that was evicted is replaced; a Job counts itself, unless an annotation says how often.
        check(
            &[exits.clone(), exits.clone()],
            per_pod,
            Some((false, "has failed, container web exited with code 3")),
        );
        check(
            &[crashing(9, 1)],
            FailureBudget::Unlimited,
            Some((false, "container web has crashed: exit code 1")),
        );
        let twice = [exits.clone(), exits.clone()];
        check(
            &twice,
            FailureBudget::Together(2),
            Some((false, "has failed, container web exited with code 3")),
        );
        check(
            &twice,
            FailureBudget::Together(1),
            Some((
                true,
                "has failed, container web exited with code 3; its pods have failed at least 2 times",
            )),
        );
        check(
            &[exits],
            FailureBudget::Together(0),
            Some((true, "has failed, container web exited with code 3; its pods have failed at least once")),
        );
    }

    #[test]
    fn the_order_of_generated_names_does_not_matter() {
        let budget = FailureBudget::PerPod(1);
        let one = reports(&[crashing(3, 1), crashing(4, 2)]).verdict(budget).unwrap();
        let other = reports(&[crashing(8, 2), crashing(9, 1)]).verdict(budget).unwrap();
        assert_eq!((one.message, one.mark), (other.message, other.mark));
        assert_eq!(one.crashed, Some(("web-0".to_owned(), "web".to_owned())));
        assert_eq!(other.crashed, Some(("web-1".to_owned(), "web".to_owned())));
    }

    #[test]
    fn a_log_line_is_one_short_line_of_text() {
        let check =
            |log: &str, expected: Option<&str>| assert_eq!(log_line(log).as_deref(), expected, "{log:?}");
        check("", None);
        check("\n \n", None);
        check("first\npanic: no database\n\n", Some("panic: no database"));
        check("\u{1b}[31mred\u{202e}\r\n", Some("?[31mred?"));
        let long = format!("{}…", "x".repeat(MAX_LOG_LINE));
        check(&"x".repeat(5000), Some(&long));
    }

    #[test]
    fn pods_of_another_owner_do_not_count() {
        let selection = PodSelection { owner: "u".into(), selector: String::new() };
        let mut all = PodReports::default();
        assert!(!all.note(&selection, &pod("old-1", "other", crashing(9, 1))));
        assert!(all.note(&selection, &pod("new-1", "u", crashing(9, 1))));
        assert!(!all.note(&selection, &pod("new-1", "u", crashing(9, 1))), "it says the same");
        assert!(all.note(&selection, &pod("new-1", "u", crashing(9, 2))));
        let mut going = pod("new-1", "u", crashing(9, 2));
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(all.note(&selection, &going));
        assert_eq!(all.verdict(FailureBudget::PerPod(1)), None);
        assert!(!all.forget("new-1"), "nothing is remembered of it");
    }

    #[test]
    fn one_of_a_thousand_pods_is_heard() {
        let selection = PodSelection { owner: "u".into(), selector: String::new() };
        let check = |others: Value, expected: usize| {
            let mut all = PodReports::default();
            for n in 0..1000 {
                all.note(&selection, &pod(&format!("p{n}"), "u", others.clone()));
            }
            assert_eq!(all.names().count(), expected);
            assert!(all.note(&selection, &pod("z", "u", crashing(1, 1))));
            let verdict = all.verdict(FailureBudget::PerPod(1)).unwrap();
            assert_eq!(verdict.message, "container web keeps crashing: exit code 1, at least 2 times");
            assert!(all.names().count() <= MAX_PODS);
            assert!(!all.note(
                &selection,
                &pod(
                    "y",
                    "u",
                    json!({"phase": "Running", "conditions": [
                {"type": "Ready", "status": "True"}]})
                )
            ));
        };
        check(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}), 0);
        check(json!({"phase": "Pending"}), MAX_PODS);
        check(crashing(0, 1), MAX_PODS);
    }

    #[test]
    fn what_a_pod_says_is_bounded_and_on_one_line() {
        let hostile = "x\n\u{1b}[2J\u{202e}".repeat(2_000);
        let list: Vec<Value> = (0..1000)
            .map(|n| {
                json!({"name": format!("{n}{hostile}"), "state": {"waiting": {
                "reason": "InvalidImageName", "message": hostile}}})
            })
            .collect();
        let check = |status: Value| {
            let verdict = reports(&[status]).verdict(FailureBudget::PerPod(1)).unwrap();
            assert!(verdict.message.len() < 600, "{}", verdict.message.len());
            assert!(!verdict.message.contains(char::is_control), "{}", verdict.message);
        };
        check(json!({"phase": "Pending", "containerStatuses": list}));
        check(json!({"phase": "Failed", "reason": hostile, "message": hostile}));
        check(json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": hostile}]}));
        check(json!({"phase": "Running", "containerStatuses": [{"name": hostile, "restartCount": u64::MAX,
            "state": {"terminated": {"exitCode": 1, "reason": hostile}}}]}));
        // None of these is what its type says.
        check(
            json!({"phase": 7, "containerStatuses": {"a": 1}, "initContainerStatuses": [null, 1, {"name": 2}]}),
        );
    }
}
