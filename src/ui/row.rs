//! What the page keeps of a release: a row of its tables, and how urgent it is.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::reason::Reason;
use crate::api::status::condition;
use crate::domain::artifact::digest::shortened;
use crate::domain::identity::ReleaseId;
use crate::domain::shown::fields::{condition_of, id, source, text};

/// The field manager of the operator, whose changes are no cause of what happens.
const OPERATOR: &str = crate::api::keys::FIELD_MANAGER;
/// The longest message that a row keeps, in characters; the page of the release has the whole one.
const MAX_MESSAGE: usize = 600;

/// The most revisions that a row keeps.
const MAX_ROLLOUTS: usize = 8;

/// How a release is, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReleaseState {
    /// It is not Ready, and a person must change something.
    Stalled,
    /// It is not Ready, and is retried.
    Failing,
    /// A plan waits for the approval of a person.
    Approval,
    /// It waits for something else: a dependency, a window, a promotion.
    Waiting,
    /// It is Ready, but it has drifted, or its registry gives no answer.
    Degraded,
    /// A run is in progress.
    Progressing,
    /// The operator has not written a status yet.
    New,
    /// A person has suspended it.
    Suspended,
    /// It is Ready.
    Ready,
}

impl ReleaseState {
    /// All of them, the most urgent first.
    pub const ALL: [Self; 9] = [
        Self::Stalled,
        Self::Failing,
        Self::Approval,
        Self::Waiting,
        Self::Degraded,
        Self::Progressing,
        Self::New,
        Self::Suspended,
        Self::Ready,
    ];

    /// The word in addresses and class names.
    pub fn key(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Failing => "failing",
            Self::Approval => "approval",
            Self::Waiting => "waiting",
            Self::Degraded => "degraded",
            Self::Progressing => "progressing",
            Self::New => "new",
            Self::Suspended => "suspended",
            Self::Ready => "ready",
        }
    }

    /// The words for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Stalled => "Stalled",
            Self::Failing => "Failing",
            Self::Approval => "Needs approval",
            Self::Waiting => "Waiting",
            Self::Degraded => "Degraded",
            Self::Progressing => "In progress",
            Self::New => "Not seen yet",
            Self::Suspended => "Suspended",
            Self::Ready => "Ready",
        }
    }

    /// What the word means.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Stalled => "not Ready; a person must change something",
            Self::Failing => "not Ready; retried automatically",
            Self::Approval => "a plan waits for a person",
            Self::Waiting => "a new revision waits for a dependency, a window or a promotion",
            Self::Degraded => "Ready, but drifted, or without an answer from the registry",
            Self::Progressing => "a run has started",
            Self::New => "the operator has written no status yet",
            Self::Suspended => "suspended by a person",
            Self::Ready => "applied, and healthy if that is awaited",
        }
    }

    /// Whether a person should look at it.
    pub fn is_wrong(self) -> bool {
        self <= Self::Degraded
    }

    /// The one with this key.
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.key() == key)
    }

    /// Of a release.
    pub fn of(release: &Value) -> Self {
        let status = |kind: &str| condition_of(release, kind).map_or("", |c| text(c, "/status"));
        let ready = condition_of(release, condition::READY);
        let reason = ready.and_then(|ready| Reason::named(text(ready, "/reason")));
        let awaits_plan = release.pointer("/status/plan").is_some_and(|plan| plan.get("approved").is_none());
        let is_suspended = release.pointer("/spec/suspend") == Some(&Value::Bool(true));
        let waits = reason.is_some_and(|r| r.is_of_arrival() || r == Reason::DependencyNotReady);
        match status(condition::READY) {
            "False" if status(condition::STALLED) == "True" => Self::Stalled,
            "False" if waits => Self::Waiting,
            "False" | "Unknown" if awaits_plan => Self::Approval,
            "False" => Self::Failing,
            _ if is_suspended => Self::Suspended,
            "True" if awaits_plan => Self::Approval,
            "True" if [condition::DRIFTED, condition::FETCH_FAILED].iter().any(|k| status(k) == "True") => {
                Self::Degraded
            }
            "True" if !text(release, "/status/pending/reason").is_empty() => Self::Waiting,
            "True" => Self::Ready,
            "Unknown" => Self::Progressing,
            _ => Self::New,
        }
    }
}

/// What explains a standing: the condition Ready, or what else is wrong while it is True.
struct Why<'r> {
    reason: &'r str,
    message: &'r str,
    since: Option<Timestamp>,
}

impl<'r> Why<'r> {
    fn of(release: &'r Value, standing: ReleaseState) -> Self {
        let ready = condition_of(release, condition::READY).unwrap_or(&Value::Null);
        let of_condition = |condition: &'r Value| Self {
            reason: text(condition, "/reason"),
            message: text(condition, "/message"),
            since: time(text(condition, "/lastTransitionTime")),
        };
        let is_ready = text(ready, "/status") == "True";
        match standing {
            ReleaseState::Approval => Self {
                reason: Reason::ApprovalRequired.as_str(),
                since: time(text(release, "/status/plan/since")),
                ..of_condition(ready)
            },
            ReleaseState::Waiting if is_ready => Self {
                reason: text(release, "/status/pending/reason"),
                since: time(text(release, "/status/pending/since")),
                ..of_condition(ready)
            },
            ReleaseState::Degraded => {
                let is_true = |kind: &&str| {
                    condition_of(release, kind).is_some_and(|condition| text(condition, "/status") == "True")
                };
                let kind =
                    [condition::FETCH_FAILED, condition::DRIFTED].into_iter().find(|kind| is_true(kind));
                of_condition(kind.and_then(|kind| condition_of(release, kind)).unwrap_or(ready))
            }
            _ => of_condition(ready),
        }
    }
}

/// What changed last before a condition became what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What changed.
    pub what: String,
    /// When.
    pub at: Timestamp,
}

impl Cause {
    /// The last change of a release that is not later than a time: an edit of the release, or a new revision.
    pub fn before(release: &Value, since: Timestamp) -> Option<Self> {
        let created = text(release, "/metadata/creationTimestamp");
        let managers = release.pointer("/metadata/managedFields").and_then(Value::as_array);
        let edits = managers.into_iter().flatten().filter_map(|entry| {
            let manager = text(entry, "/manager");
            let is_edit = manager != OPERATOR && text(entry, "/subresource").is_empty();
            let at = time(text(entry, "/time")).filter(|_| is_edit)?;
            let what = if text(entry, "/time") == created { "created" } else { "changed" };
            // The API server calls a client so that says nothing of itself.
            let what = match manager {
                "unknown" | "" => format!("the release was {what}"),
                manager => format!("{manager} {what} the release"),
            };
            Some(Self { what, at })
        });
        let history = release.pointer("/status/history").and_then(Value::as_array);
        // The newest is the first of the history, and the last of those of one second here.
        let revisions = history.into_iter().flatten().rev().filter_map(|entry| {
            let began = text(entry, "/startedAt");
            let at = time(if began.is_empty() { text(entry, "/appliedAt") } else { began })?;
            Some(Self { what: format!("revision {} came", shortened(text(entry, "/revision"))), at })
        });
        // Conditions have whole seconds.
        let limit = since.as_second() + 1;
        edits.chain(revisions).filter(|cause| cause.at.as_second() <= limit).max_by_key(|cause| cause.at)
    }
}

/// A revision that was rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastRollout {
    /// When it ended.
    pub at: Timestamp,
    /// The revision, in short.
    pub revision: String,
    /// Applied, Healthy or Failed.
    pub outcome: String,
    /// Why it has failed; empty otherwise.
    pub reason: String,
}

impl PastRollout {
    /// Whether the revision has failed.
    pub fn has_failed(&self) -> bool {
        self.outcome == "Failed"
    }

    /// The last ones of a release, newest first.
    fn all(release: &Value) -> Vec<Self> {
        let history = release.pointer("/status/history").and_then(Value::as_array);
        let rollouts = history.into_iter().flatten().filter_map(|entry| {
            let ended = text(entry, "/endedAt");
            Some(Self {
                at: time(if ended.is_empty() { text(entry, "/appliedAt") } else { ended })?,
                revision: shortened(text(entry, "/revision")),
                outcome: text(entry, "/outcome").to_owned(),
                reason: text(entry, "/reason").to_owned(),
            })
        });
        rollouts.take(MAX_ROLLOUTS).collect()
    }
}

/// A release in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub id: ReleaseId,
    /// The version of the object: another one means that anything of it may have changed.
    pub version: String,
    /// How it is.
    pub standing: ReleaseState,
    /// Why it stands so, one of the documented reasons; empty without one.
    pub reason: String,
    /// The message about that, cut.
    pub message: String,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// When the release was created.
    pub created: Option<Timestamp>,
    /// The applied revision, in short; empty before the first.
    pub revision: String,
    /// The revision of the last attempt, in short, if it is another one.
    pub attempted: Option<String>,
    /// The artifact, as it would be pulled.
    pub source: String,
    /// The API server of its objects, if that is another one.
    pub cluster: String,
    /// What else is special about it.
    pub tags: Vec<&'static str>,
    /// What changed before.
    pub cause: Option<Cause>,
    /// The last revisions, newest first.
    pub rollouts: Vec<PastRollout>,
    /// Whether there may have been more before them: no more are kept, here or in the history.
    pub has_more_rollouts: bool,
}

impl Row {
    /// Of a release.
    pub fn of(release: &Value) -> Self {
        let standing = ReleaseState::of(release);
        let rollouts = PastRollout::all(release);
        let kept = release.pointer("/spec/historyLimit").and_then(Value::as_u64);
        let kept = kept.and_then(|kept| usize::try_from(kept).ok()).map_or(MAX_ROLLOUTS, |kept| kept.max(2));
        let Why { reason, message, since } = Why::of(release, standing);
        let applied = text(release, "/status/lastAppliedRevision");
        let attempted = Some(text(release, "/status/lastAttemptedRevision"))
            .filter(|attempted| !attempted.is_empty() && *attempted != applied);
        Self {
            id: id(release),
            version: text(release, "/metadata/resourceVersion").to_owned(),
            standing,
            reason: reason.to_owned(),
            message: cut(message),
            since,
            created: time(text(release, "/metadata/creationTimestamp")),
            revision: shortened(applied),
            attempted: attempted.map(shortened),
            source: source(release),
            cluster: text(release, "/status/cluster").to_owned(),
            tags: tags(release),
            has_more_rollouts: rollouts.len() >= MAX_ROLLOUTS.min(kept),
            rollouts,
            cause: since.filter(|_| standing.is_wrong()).and_then(|since| Cause::before(release, since)),
        }
    }

    /// The order of the first view: the most urgent first, and of these what became so last.
    pub fn by_urgency(&self, other: &Self) -> Ordering {
        let by_time = other.since.cmp(&self.since);
        self.standing.cmp(&other.standing).then(by_time).then_with(|| self.id.cmp(&other.id))
    }
}

fn tags(release: &Value) -> Vec<&'static str> {
    let status = |kind: &str| condition_of(release, kind).map_or("", |c| text(c, "/status"));
    let tags = [
        (!text(release, "/metadata/deletionTimestamp").is_empty(), "being deleted"),
        (release.pointer("/spec/suspend") == Some(&Value::Bool(true)), "suspended"),
        (!text(release, "/metadata/annotations/supercargo.dev~1pin").is_empty(), "pinned"),
        (status(condition::DRIFTED) == "True", "drifted"),
        (status(condition::FETCH_FAILED) == "True", "cannot fetch"),
        (!text(release, "/status/pending/reason").is_empty(), "new revision waits"),
    ];
    tags.into_iter().filter_map(|(has, tag)| has.then_some(tag)).collect()
}

fn cut(message: &str) -> String {
    let message = shortened(message);
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release(conditions: &[(&str, &str, &str)], more: Value) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(kind, status, reason)| {
                json!({"type": kind, "status": status, "reason": reason, "message": "why",
                    "lastTransitionTime": "2026-01-01T00:10:00Z"})
            })
            .collect();
        let mut release = json!({"metadata": {"namespace": "apps", "name": "web"},
            "spec": {"url": "oci://r/web"}, "status": {"conditions": conditions}});
        for (pointer, value) in more.as_object().into_iter().flatten() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            release.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        release
    }

    #[test]
    fn a_standing_says_who_has_to_act() {
        let check = |conditions: &[(&str, &str, &str)], more: Value, expected: ReleaseState| {
            assert_eq!(
                ReleaseState::of(&release(conditions, more.clone())),
                expected,
                "{conditions:?} {more}"
            );
        };
        let none = || json!({});
        check(&[], none(), ReleaseState::New);
        check(&[], json!({"/spec/suspend": true}), ReleaseState::Suspended);
        check(&[("Ready", "True", "ReconciliationSucceeded")], none(), ReleaseState::Ready);
        check(&[("Ready", "True", "Suspended")], json!({"/spec/suspend": true}), ReleaseState::Suspended);
        check(&[("Ready", "Unknown", "Progressing")], none(), ReleaseState::Progressing);
        check(&[("Ready", "False", "HealthTimeout")], none(), ReleaseState::Failing);
        // A suspended release that is not Ready is still wrong.
        check(&[("Ready", "False", "HealthTimeout")], json!({"/spec/suspend": true}), ReleaseState::Failing);
        check(
            &[("Ready", "False", "InvalidSpec"), ("Stalled", "True", "InvalidSpec")],
            none(),
            ReleaseState::Stalled,
        );
        check(&[("Ready", "False", "DependencyNotReady")], none(), ReleaseState::Waiting);
        check(
            &[("Ready", "True", "X"), ("Drifted", "True", "DriftDetected")],
            none(),
            ReleaseState::Degraded,
        );
        check(&[("Ready", "True", "X"), ("FetchFailed", "True", "X")], none(), ReleaseState::Degraded);
        check(&[("Ready", "True", "X")], json!({"/status/plan": {"hash": "a"}}), ReleaseState::Approval);
        check(&[("Ready", "Unknown", "X")], json!({"/status/plan": {"hash": "a"}}), ReleaseState::Approval);
        let approved = json!({"/status/plan": {"hash": "a", "approved": {}}});
        check(&[("Ready", "Unknown", "X")], approved, ReleaseState::Progressing);
        let pending = json!({"/status/pending": {"reason": "OutsideWindow"}});
        check(&[("Ready", "True", "X")], pending, ReleaseState::Waiting);
    }

    #[test]
    fn every_standing_has_a_key_of_its_own() {
        for standing in ReleaseState::ALL {
            assert_eq!(ReleaseState::named(standing.key()), Some(standing));
        }
        assert_eq!(ReleaseState::named("x"), None);
        assert!(ReleaseState::ALL.is_sorted());
    }

    #[test]
    fn the_cause_is_the_last_change_before() {
        let edit =
            |manager: &str, at: &str, sub: &str| json!({"manager": manager, "time": at, "subresource": sub});
        let came = |tag: &str, at: &str| json!({"revision": format!("{tag}@sha256:{}", "a".repeat(64)), "startedAt": at});
        let check = |edits: Vec<Value>, history: Vec<Value>, expected: Option<&str>| {
            let more = json!({"/metadata/managedFields": edits, "/status/history": history});
            let row = Row::of(&release(&[("Ready", "False", "HealthTimeout")], more));
            assert_eq!(row.cause.map(|cause| cause.what).as_deref(), expected);
        };
        check(vec![], vec![], None);
        let before = || edit("kubectl-edit", "2026-01-01T00:05:00Z", "");
        check(vec![before()], vec![], Some("kubectl-edit changed the release"));
        check(
            vec![before()],
            vec![came("2", "2026-01-01T00:06:00Z")],
            Some("revision 2@sha256:aaaaaaaaaaaa came"),
        );
        check(
            vec![before()],
            vec![came("2", "2026-01-01T00:04:00Z")],
            Some("kubectl-edit changed the release"),
        );
        let of_one_second = vec![came("2", "2026-01-01T00:06:00Z"), came("1", "2026-01-01T00:06:00Z")];
        check(vec![before()], of_one_second, Some("revision 2@sha256:aaaaaaaaaaaa came"));
        let unknown = vec![edit("unknown", "2026-01-01T00:05:00Z", "")];
        check(unknown, vec![], Some("the release was changed"));
        // What comes later is no cause, nor are the operator's own writes.
        check(vec![edit("kubectl", "2026-01-01T01:00:00Z", "")], vec![], None);
        check(vec![edit("supercargo", "2026-01-01T00:01:00Z", "")], vec![], None);
        check(vec![edit("other", "2026-01-01T00:01:00Z", "status")], vec![], None);
    }

    #[test]
    fn the_reason_is_that_of_what_is_wrong() {
        let check = |conditions: &[(&str, &str, &str)], more: Value, reason: &str, since: &str| {
            let row = Row::of(&release(conditions, more));
            assert_eq!((row.reason.as_str(), row.since), (reason, since.parse().ok()));
        };
        let usual = "2026-01-01T00:10:00Z";
        check(&[("Ready", "False", "HealthTimeout")], json!({}), "HealthTimeout", usual);
        check(
            &[("Ready", "True", "X"), ("Drifted", "True", "DriftDetected")],
            json!({}),
            "DriftDetected",
            usual,
        );
        check(
            &[("Ready", "True", "X"), ("FetchFailed", "True", "Y"), ("Drifted", "True", "Z")],
            json!({}),
            "Y",
            usual,
        );
        let plan = json!({"/status/plan": {"since": "2026-01-02T00:00:00Z"}});
        check(&[("Ready", "True", "X")], plan, "ApprovalRequired", "2026-01-02T00:00:00Z");
        let pending =
            json!({"/status/pending": {"reason": "OutsideWindow", "since": "2026-01-03T00:00:00Z"}});
        check(&[("Ready", "True", "X")], pending, "OutsideWindow", "2026-01-03T00:00:00Z");
        check(&[], json!({}), "", "");
    }

    #[test]
    fn a_row_is_small_whatever_the_release_says() {
        let mut all = release(&[("Ready", "False", "X")], json!({}));
        all["status"]["conditions"][0]["message"] = "ä".repeat(5000).into();
        let row = Row::of(&all);
        assert_eq!(row.message.chars().count(), MAX_MESSAGE + 1);
        assert_eq!(Row::of(&json!({})).standing, ReleaseState::New);
    }

    #[test]
    fn the_most_urgent_is_first_and_of_these_the_newest() {
        let row = |name: &str, ready: &str, at: &str| {
            let mut release = release(&[("Ready", ready, "X")], json!({}));
            release["metadata"]["name"] = name.into();
            release["status"]["conditions"][0]["lastTransitionTime"] = at.into();
            Row::of(&release)
        };
        let mut rows = [
            row("ready", "True", "2026-01-01T00:03:00Z"),
            row("old", "False", "2026-01-01T00:01:00Z"),
            row("new", "False", "2026-01-01T00:02:00Z"),
        ];
        rows.sort_by(Row::by_urgency);
        assert_eq!(rows.map(|row| row.id.name), ["new", "old", "ready"]);
    }
}
