//! What a release's status says to people who are not looking at it.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::status::{ReleaseStatus, condition};

/// How long a signature may be on its way: many push first and sign then.
const SIGNING: Duration = Duration::from_secs(600);

/// What has become of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NewsKind {
    /// A revision is applied, and healthy if `wait` is set.
    Succeeded,
    /// What was reported before is over.
    Recovered,
    /// A person has to decide.
    ApprovalRequired,
    /// Objects differ from what was applied, and stay so.
    Drifted,
    /// Objects of an applied revision are no longer healthy.
    Unhealthy,
    /// The release failed.
    Failed,
    /// A revision has failed, and the last healthy one is applied again.
    RolledBack,
}

/// How much a notification matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing has to be done.
    Info,
    /// A person should look at it.
    Warning,
    /// Something is broken.
    Error,
}

impl Severity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// The word of the configuration and of the bodies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl NewsKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::Recovered,
        Self::ApprovalRequired,
        Self::Drifted,
        Self::Unhealthy,
        Self::Failed,
        Self::RolledBack,
    ];

    /// The word of the configuration, the status and the bodies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Recovered => "Recovered",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::Drifted => "Drifted",
            Self::Unhealthy => "Unhealthy",
            Self::Failed => "Failed",
            Self::RolledBack => "RolledBack",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::Succeeded | Self::Recovered => Severity::Info,
            Self::ApprovalRequired | Self::Drifted => Severity::Warning,
            Self::Unhealthy | Self::Failed | Self::RolledBack => Severity::Error,
        }
    }

    /// Whether all is well.
    pub fn is_good(self) -> bool {
        self.severity() == Severity::Info
    }

    /// For people: `web in apps …`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Succeeded => "is applied",
            Self::Recovered => "has recovered",
            Self::ApprovalRequired => "waits for approval",
            Self::Drifted => "has drifted",
            Self::Unhealthy => "is not healthy any more",
            Self::Failed => "has failed",
            Self::RolledBack => "was rolled back",
        }
    }
}

/// What the status says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// What has become of it; `Succeeded` when all is well.
    pub kind: NewsKind,
    /// The reason of the condition.
    pub reason: String,
    /// The message of the condition.
    pub message: String,
    /// The digest that it is about, if one is known.
    pub digest: Option<String>,
    /// The revision that it is about.
    pub revision: Option<String>,
    /// Since when; for a failure that follows another one, since the first.
    pub since: Option<Timestamp>,
}

impl Situation {
    /// How long it has to stand before it is news.
    pub fn settles_in(&self, now: Timestamp) -> Duration {
        if self.reason != Reason::SignatureMissing.as_str() {
            return Duration::ZERO;
        }
        let stands = self.since.and_then(|since| Duration::try_from(now.duration_since(since)).ok());
        SIGNING.saturating_sub(stands.unwrap_or_default())
    }
}

/// What the status says; `None` while nothing is decided: a rollout is in progress, a revision waits for
/// another release or for a time, or the release is suspended before it was applied.
pub fn situation(status: &ReleaseStatus) -> Option<Situation> {
    let said = |name: &str| {
        let condition = status.condition(name)?;
        let (reason, message) = (condition.reason.as_str(), condition.message.as_str());
        Some((condition.status.as_str(), Said { reason, message, since: condition.last_transition_time.0 }))
    };
    let (word, ready) = said(condition::READY)?;
    let drifted = said(condition::DRIFTED).filter(|(word, drifted)| *word == "True" && stays(drifted.reason));
    match word {
        "True" => Some(match drifted {
            Some((_, drifted)) => of(NewsKind::Drifted, drifted, status.last_applied_revision.as_deref()),
            None => applied(status, ready),
        }),
        "False" => {
            let kind = kind_of(Reason::named(ready.reason)?)?;
            let back = status.quarantine.first().filter(|_| kind == NewsKind::RolledBack);
            let revision = back.map(|entry| &entry.revision).or(status.last_attempted_revision.as_ref());
            Some(of(kind, ready, revision.map(String::as_str)))
        }
        _ => None,
    }
}

/// What a condition says.
#[derive(Clone, Copy)]
struct Said<'a> {
    reason: &'a str,
    message: &'a str,
    since: Timestamp,
}

/// Whether the drift remains until a person does something.
fn stays(reason: &str) -> bool {
    [Reason::DriftDetected, Reason::Contested].iter().any(|known| known.as_str() == reason)
}

fn of(kind: NewsKind, said: Said<'_>, revision: Option<&str>) -> Situation {
    Situation {
        kind,
        reason: said.reason.to_owned(),
        message: said.message.to_owned(),
        digest: revision.map(|revision| digest_of(revision).to_owned()),
        revision: revision.map(str::to_owned),
        since: Some(said.since),
    }
}

/// The condition is True from one revision to the next: the history says when each was applied.
fn applied(status: &ReleaseStatus, ready: Said<'_>) -> Situation {
    let revision = status.last_applied_revision.as_deref();
    let rollout = status.history.first().filter(|entry| Some(entry.revision.as_str()) == revision);
    let ended = rollout.and_then(|entry| entry.ended_at.as_ref().unwrap_or(&entry.applied_at).parse().ok());
    let since = ended.into_iter().chain([ready.since]).max();
    Situation { since, ..of(NewsKind::Succeeded, ready, revision) }
}

/// The digest of `tag@digest`, or of a digest alone.
fn digest_of(revision: &str) -> &str {
    revision.rsplit_once('@').map_or(revision, |(_, digest)| digest)
}

/// What it means that a release is not ready for that reason.
fn kind_of(reason: Reason) -> Option<NewsKind> {
    match reason {
        Reason::ApprovalRequired | Reason::PruneNotApproved | Reason::DeletionNotApproved => {
            Some(NewsKind::ApprovalRequired)
        }
        Reason::Unhealthy => Some(NewsKind::Unhealthy),
        Reason::RolledBack => Some(NewsKind::RolledBack),
        // It goes on by itself.
        Reason::Progressing
        | Reason::Suspended
        | Reason::Deleting
        | Reason::DependencyNotReady
        | Reason::DependentsDeleting
        | Reason::JobRunning
        | Reason::HealthSuperseded
        | Reason::TerminationPending => None,
        reason if reason.is_of_arrival() => None,
        _ => Some(NewsKind::Failed),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(ready: (&str, &str), drifted: Option<&str>) -> ReleaseStatus {
        let mut conditions = vec![json!({"type": "Ready", "status": ready.0, "reason": ready.1,
            "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"})];
        conditions.extend(drifted.map(|reason| {
            json!({"type": "Drifted", "status": "True", "reason": reason,
                "message": "d", "lastTransitionTime": "2026-01-02T00:00:00Z"})
        }));
        serde_json::from_value(json!({
            "conditions": conditions,
            "lastAppliedRevision": "1@sha256:a", "lastAttemptedRevision": "2@sha256:b",
            "history": [{"revision": "1@sha256:a", "digest": "sha256:a", "appliedAt": "2026-01-03T00:00:00Z",
                "outcome": "Healthy", "changes": {"created": 0, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}}],
            "quarantine": [{"revision": "3@sha256:c", "digest": "sha256:c", "key": "k", "reason": "r",
                "message": "m", "since": "2026-01-01T00:00:00Z"}],
        }))
        .unwrap()
    }

    #[test]
    fn a_status_is_news_when_something_is_decided() {
        let check = |ready: (&str, &str), drifted: Option<&str>, expected: Option<(NewsKind, &str, &str)>| {
            let found = situation(&status(ready, drifted));
            let found = found.map(|s| (s.kind, s.digest.unwrap(), s.since.unwrap().to_string()));
            let expected = expected.map(|(kind, digest, since)| (kind, digest.to_owned(), since.to_owned()));
            assert_eq!(found, expected, "{ready:?} {drifted:?}");
        };
        let (first, second, third) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
        let ready = ("True", "ReconciliationSucceeded");
        check(ready, None, Some((NewsKind::Succeeded, "sha256:a", third)));
        check(ready, Some("DriftCorrected"), Some((NewsKind::Succeeded, "sha256:a", third)));
        check(ready, Some("DriftDetected"), Some((NewsKind::Drifted, "sha256:a", second)));
        check(ready, Some("Contested"), Some((NewsKind::Drifted, "sha256:a", second)));
        check(("False", "ApplyFailed"), Some("Contested"), Some((NewsKind::Failed, "sha256:b", first)));
        check(("False", "Unhealthy"), None, Some((NewsKind::Unhealthy, "sha256:b", first)));
        check(("False", "RolledBack"), None, Some((NewsKind::RolledBack, "sha256:c", first)));
        check(("False", "Frozen"), None, Some((NewsKind::Failed, "sha256:b", first)));
        check(("False", "ApprovalRequired"), None, Some((NewsKind::ApprovalRequired, "sha256:b", first)));
        check(("False", "DeletionNotApproved"), None, Some((NewsKind::ApprovalRequired, "sha256:b", first)));
        check(("False", "OutsideWindow"), None, None);
        check(("False", "DependencyNotReady"), None, None);
        check(("False", "SomethingNewer"), None, None);
        check(("Unknown", "Progressing"), None, None);
        check(("Unknown", "Suspended"), Some("Contested"), None);
        assert_eq!(situation(&ReleaseStatus::default()), None);
    }

    #[test]
    fn a_signature_may_come_after_the_push() {
        let check = |reason: &str, now: &str, expected: u64| {
            let found = situation(&status(("False", reason), None)).unwrap();
            assert_eq!(
                found.settles_in(now.parse().unwrap()),
                Duration::from_secs(expected),
                "{reason} {now}"
            );
        };
        check("SignatureMissing", "2026-01-01T00:00:00Z", 600);
        check("SignatureMissing", "2026-01-01T00:09:59Z", 1);
        check("SignatureMissing", "2026-01-01T00:11:00Z", 0);
        // A clock that is behind.
        check("SignatureMissing", "2025-12-31T00:00:00Z", 600);
        check("SignatureInvalid", "2026-01-01T00:00:00Z", 0);
    }

    #[test]
    fn every_kind_has_one_name() {
        for kind in NewsKind::ALL {
            assert_eq!(NewsKind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(NewsKind::named("failed"), None);
    }
}
