//! The words that controllers write into a status: types of conditions and values such as
//! `phase: Running`.

/// What a condition of a type means when it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polarity {
    /// The object, or a part of it, is as it should be.
    Positive,
    /// A first step is done; more have to follow.
    Step,
    /// Something is wrong.
    Negative,
    /// The controller is working.
    Progress,
    /// Nothing is done until a person wants it.
    Suspended,
}

/// What a value such as a phase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It is as it should be.
    Healthy,
    /// It is not as it should be yet.
    Progress,
    /// Nothing is done until a person wants it.
    Suspended,
    /// Something is wrong, and may become right again.
    Bad,
    /// It has failed.
    Failed,
    /// Nobody knows.
    Unknown,
}

const POSITIVE: &[&str] = &[
    "accepted",
    "active",
    "admitted",
    "applied",
    "available",
    "bound",
    "complete",
    "completed",
    "compliant",
    "configured",
    "consistent",
    "deployed",
    "established",
    "healthy",
    "installed",
    "programmed",
    "provisioned",
    "ready",
    "reconciled",
    "running",
    "satisfied",
    "succeeded",
    "synced",
    "synchronized",
    "valid",
    "validated",
];
const STEPS: &[&str] = &["created", "initialized", "launched", "registered", "scheduled"];
const NEGATIVE: &[&str] = &[
    "blocked",
    "conflict",
    "conflicted",
    "conflicts",
    "crashed",
    "degraded",
    "denied",
    "error",
    "errored",
    "errors",
    "failed",
    "failing",
    "failure",
    "failures",
    "invalid",
    "lost",
    "misconfigured",
    "mismatch",
    "noncompliant",
    "rejected",
    "stalled",
    "timedout",
    "unavailable",
    "unhealthy",
    "unreachable",
    "unready",
    "unschedulable",
];
const PROGRESS: &[&str] = &[
    "creating",
    "deleting",
    "inprogress",
    "initializing",
    "pending",
    "progressing",
    "provisioning",
    "reconciling",
    "scaling",
    "terminating",
    "update",
    "updating",
    "upgrading",
];
/// What it means that a condition of this type is true; `None` when its name does not tell.
/// The last word of the name decides: `ClusterReady`, `HasErrors`, `ReplicaFailure`.
pub(super) fn polarity(kind: &str) -> Option<Polarity> {
    let words = split(kind);
    let (first, last) = (words.first()?.as_str(), words.last()?.as_str());
    if words.len() > 1 && matches!(first, "failed" | "failure" | "invalid" | "missing") {
        return Some(Polarity::Negative);
    }
    if words.len() > 1 && matches!(first, "no" | "not") {
        return match of_word(last)? {
            Polarity::Positive | Polarity::Step => Some(Polarity::Negative),
            Polarity::Negative => Some(Polarity::Positive),
            Polarity::Progress | Polarity::Suspended => None,
        };
    }
    // A version that is available is no state.
    if words.len() > 1 && matches!(first, "new" | "update" | "upgrade") {
        return None;
    }
    // `OnFailure…` is about a step that is taken only then.
    if words.len() > 2 && first == "on" {
        return None;
    }
    match kind {
        "ResolvedRefs" => Some(Polarity::Positive),
        "Hibernated" | "Paused" | "ReconciliationPaused" | "Suspended" => Some(Polarity::Suspended),
        _ => of_word(last),
    }
}

fn of_word(word: &str) -> Option<Polarity> {
    let lists = [
        (NEGATIVE, Polarity::Negative),
        (PROGRESS, Polarity::Progress),
        (POSITIVE, Polarity::Positive),
        (STEPS, Polarity::Step),
    ];
    lists.into_iter().find(|(list, _)| list.contains(&word)).map(|(_, polarity)| polarity)
}

const WELL: &[&str] = &[
    "accepted",
    "active",
    "admitted",
    "alive",
    "applied",
    "atlatestknown",
    "attached",
    "available",
    "bound",
    "complete",
    "completed",
    "compliant",
    "connected",
    "created",
    "current",
    "deployed",
    "done",
    "enabled",
    "established",
    "exists",
    "finished",
    "green",
    "healthy",
    "idle",
    "initialized",
    "inservice",
    "installed",
    "inuse",
    "issued",
    "joined",
    "normal",
    "ok",
    "online",
    "operational",
    "pass",
    "passed",
    "provisioned",
    "ready",
    "reconciled",
    "registered",
    "running",
    "stable",
    "started",
    "steady",
    "succeeded",
    "success",
    "successful",
    "successfully",
    "supported",
    "synced",
    "synchronized",
    "true",
    "up",
    "updated",
    "valid",
];
const ILL: &[&str] = &[
    "aborted",
    "broken",
    "canceled",
    "cancelled",
    "crashed",
    "crashloopbackoff",
    "degraded",
    "denied",
    "errored",
    "error",
    "errors",
    "fail",
    "inconclusive",
    "invalid",
    "lost",
    "noncompliant",
    "notready",
    "red",
    "rejected",
    "timedout",
    "timeout",
    "unavailable",
    "unhealthy",
    "unreachable",
    "warning",
    "yellow",
];
const UNFINISHED: &[&str] =
    &["inprogress", "new", "none", "queued", "submitted", "unknown", "pending", "progress"];
const STILL: &[&str] = &["halted", "hibernated", "manual", "paused", "sleeping", "stopped", "suspended"];
/// What goes on while all is well.
const GOING_WELL: &[&str] =
    &["listening", "operating", "passing", "running", "serving", "streaming", "working"];
/// What a thing that comes to an end is before its end.
const BEFORE_THE_END: &[&str] = &["active", "created", "running", "scheduled", "started"];

/// What a value of a status means. `ends` is whether an object of this kind comes to an end, as a
/// Job does: running is not the end of it.
pub(super) fn word(value: &str, ends: bool) -> Word {
    let words = split(value);
    let whole: String = words.concat();
    let is_any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let Some((first, last)) = words.first().zip(words.last()) else { return Word::Unknown };
    match whole.as_str() {
        whole if ends && BEFORE_THE_END.contains(&whole) => Word::Progress,
        "failed" | "failure" => Word::Failed,
        whole if ILL.contains(&whole) => Word::Bad,
        whole if STILL.contains(&whole) => Word::Suspended,
        whole if UNFINISHED.contains(&whole) => Word::Progress,
        whole if WELL.contains(&whole) => Word::Healthy,
        whole if is_any(ILL) || ["fail", "error", "unhealthy"].iter().any(|bad| whole.contains(bad)) => {
            Word::Bad
        }
        _ if first == "waiting" || words.iter().any(|word| word == "not") => Word::Progress,
        _ if words.iter().any(|word| word.ends_with("ing") && !GOING_WELL.contains(&word.as_str())) => {
            Word::Progress
        }
        _ if GOING_WELL.contains(&last.as_str()) => Word::Healthy,
        _ if is_any(UNFINISHED) => Word::Progress,
        _ if WELL.contains(&last.as_str()) => Word::Healthy,
        _ => Word::Unknown,
    }
}

/// Whether a reason says that something went wrong.
pub(super) fn is_bad_reason(reason: &str) -> bool {
    const BAD: &[&str] = &["error", "errors", "exceeded", "fail", "failed", "failure", "invalid"];
    split(reason).iter().any(|word| BAD.contains(&word.as_str()))
}

/// The words of a name in camel case, or with other characters between them, in lower case.
fn split(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_ascii_alphabetic() {
            let starts_word = !before.is_ascii_alphabetic()
                || c.is_ascii_uppercase()
                    && (before.is_ascii_lowercase() || rest.peek().is_some_and(char::is_ascii_lowercase));
            if starts_word {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        let check = |name: &str, expected: &str| assert_eq!(split(name).join(" "), expected, "{name}");
        check("", "");
        check("...", "");
        check("Ready", "ready");
        check("ACK.ResourceSynced", "ack resource synced");
        check("platform.example.com/resources-ready", "platform example com resources ready");
        check("EKSControlPlaneReady", "eks control plane ready");
        check("READY", "ready");
        check("Änderung", "nderung");
    }

    #[test]
    fn a_condition_is_good_or_bad_by_its_last_word() {
        use Polarity::*;
        let check = |kind: &str, expected: Option<Polarity>| assert_eq!(polarity(kind), expected, "{kind}");
        for good in ["Ready", "ClusterReady", "ResolvedRefs", "ACK.ResourceSynced", "statefulset-available"] {
            check(good, Some(Positive));
        }
        for bad in ["Failed", "ReplicaFailure", "NotReady", "FailedCreatePod", "HasErrors", "Stalled"] {
            check(bad, Some(Negative));
        }
        check("Launched", Some(Step));
        check("Reconciling", Some(Progress));
        check("RollingUpdate", Some(Progress));
        check("Paused", Some(Suspended));
        check("BackupsSuspended", None);
        check("NoErrors", Some(Positive));
        check("NotPaused", None);
        check("UpgradeAvailable", None);
        check("TLSEnabled", None);
        check("OnFailureHooksCompleted", None);
        check("ScalingLimited", None);
        check("", None);
    }

    #[test]
    fn values_are_understood() {
        let check = |values: &[&str], expected: Word| {
            for value in values {
                assert_eq!(word(value, false), expected, "{value}");
            }
        };
        check(&["Running", "ACTIVE", "green", "ClusterDeployed", "AtLatestKnown", "passing"], Word::Healthy);
        check(
            &["Pending", "Updating", "ApplyingChanges", "NotReconciled", "in-progress", "Waiting for it"],
            Word::Progress,
        );
        check(&["Stopped", "Paused"], Word::Suspended);
        check(&["Error", "UpdateFailed", "ERROR, it is not there", "yellow", "NonCompliant"], Word::Bad);
        check(&["Failed", "failure", "FAILED"], Word::Failed);
        check(&["", "3", "Blue", "Corrupted", "Uninitialized"], Word::Unknown);
        check(&["staging"], Word::Progress);
        assert_eq!(word("Running", true), Word::Progress);
        assert_eq!(word("Succeeded", true), Word::Healthy);
    }

    #[test]
    fn reasons_tell_of_errors() {
        let check = |reason: &str, expected: bool| assert_eq!(is_bad_reason(reason), expected, "{reason}");
        check("ReconcileError", true);
        check("ProgressDeadlineExceeded", true);
        check("AllCatalogSourcesHealthy", false);
        check("", false);
    }
}
