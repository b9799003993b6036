//! Of what a receiver has been notified, and of what next. The record is a part of the status: after a
//! restart, or on another replica, nothing is sent again, and what no receiver has accepted yet is sent.
//!
//! A notification is about a release, a digest, an outcome and its reason. It is sent once, until another
//! one was sent.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::situation::{NewsKind, Situation};
use crate::api::notified::{MAX_NOTIFIED, NotificationFailure, NotifiedEntry};

/// What went well longer ago is no news for a receiver that has heard nothing of the release yet, and was not
/// offered anything of it: it may be new itself.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// What still stands is news for longer, and so is what went well for a receiver that knows the release.
pub const STALE: SignedDuration = SignedDuration::from_hours(24);
/// How many notifications about one digest come at once. A release that goes back and forth is then reported
/// after pauses.
const AT_ONCE: i32 = 4;
/// The first of these pauses; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_secs(300);
/// The longest of these pauses.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// What a receiver hears next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What has become of the release.
    pub kind: NewsKind,
    /// The how manieth notification about the digest it is.
    pub count: i32,
    /// How long to wait first.
    pub pause: Duration,
    /// The notification that it follows.
    pub follows: Option<String>,
}

impl Announcement {
    /// The first one.
    pub fn first(kind: NewsKind) -> Self {
        Self { kind, count: 1, pause: Duration::ZERO, follows: None }
    }
}

/// What a receiver hears next, if anything. `waits` says that something of the release waits for it already.
pub fn announcement(
    now: &Situation,
    notified: Option<&NotifiedEntry>,
    waits: bool,
    at: Timestamp,
) -> Option<Announcement> {
    let since = now.since.unwrap_or(at);
    let age = at.duration_since(since);
    let Some(notified) = notified else {
        let most = if now.kind.is_good() && !waits { FRESH } else { STALE };
        let first = Announcement { pause: now.settles_in(at), ..Announcement::first(now.kind) };
        return (age <= most).then_some(first);
    };
    let before = NewsKind::named(&notified.outcome);
    let same_digest = notified.digest == now.digest;
    let notified_at: Option<Timestamp> = notified.at.parse().ok();
    let kind = if now.kind.is_good() {
        let newer = notified_at.is_none_or(|notified_at| since >= notified_at);
        let was_good = before.is_some_and(NewsKind::is_good);
        let kind = match (before, same_digest) {
            (_, true) if was_good => return None,
            (Some(NewsKind::ApprovalRequired), _) | (_, false) if newer => NewsKind::Succeeded,
            // The plan was withdrawn, or the release is back at a revision that is known to be applied.
            (Some(NewsKind::ApprovalRequired), _) => return None,
            (_, false) if was_good => return None,
            _ => NewsKind::Recovered,
        };
        if age > STALE {
            return None;
        }
        kind
    } else {
        if same_digest && before == Some(now.kind) && notified.reason == now.reason {
            return None;
        }
        now.kind
    };
    let recent = notified_at.is_some_and(|notified_at| at.duration_since(notified_at) < STALE);
    let count = match same_digest && recent {
        true => notified.count.unwrap_or(1).max(1).saturating_add(1),
        false => 1,
    };
    let doubled = u32::try_from(count - AT_ONCE - 1).ok().map(|n| PAUSE * 2u32.pow(n.min(8)));
    let waited = notified_at.and_then(|notified_at| Duration::try_from(at.duration_since(notified_at)).ok());
    let pause = doubled.unwrap_or_default().min(MAX_PAUSE).saturating_sub(waited.unwrap_or_default());
    let pause = pause.max(now.settles_in(at));
    let digest = notified.digest.as_deref().unwrap_or_default();
    let follows = Some([&notified.at, &notified.outcome, digest].join(" "));
    Some(Announcement { kind, count, pause, follows })
}

/// Records what a receiver has accepted.
pub fn remember(notified: &mut Vec<NotifiedEntry>, entry: NotifiedEntry) {
    if let Some(known) = notified.iter_mut().find(|known| known.receiver == entry.receiver) {
        *known = entry;
        return;
    }
    // There are fewer receivers than places, unless their names have changed.
    if notified.len() >= MAX_NOTIFIED {
        notified.remove(0);
    }
    notified.push(entry);
}

/// What people hear of receivers that cannot be notified: once for an outcome of a digest, however often the operator
/// tries, and whatever it is that fails in between.
pub fn newly_failed(before: &[NotificationFailure], after: &[NotificationFailure]) -> Vec<String> {
    let is_about = |one: &NotificationFailure, other: &NotificationFailure| {
        one.receiver == other.receiver && one.outcome == other.outcome && one.digest == other.digest
    };
    let new = after.iter().filter(|one| !before.iter().any(|other| is_about(one, other)));
    new.map(|NotificationFailure { receiver, message, outcome, .. }| match outcome {
        Some(outcome) => format!("Cannot notify receiver {receiver} of {outcome}: {message}"),
        None => format!("Cannot notify receiver {receiver}: {message}"),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn now(kind: NewsKind, reason: &str, digest: &str, since: i64) -> Situation {
        Situation {
            kind,
            reason: reason.into(),
            message: "m".into(),
            digest: Some(digest.into()),
            revision: None,
            since: Some(at(since)),
        }
    }

    fn notified(kind: NewsKind, reason: &str, digest: &str, minute: i64, count: i32) -> NotifiedEntry {
        NotifiedEntry {
            receiver: "r".into(),
            outcome: kind.as_str().into(),
            reason: reason.into(),
            digest: Some(digest.into()),
            at: at(minute).to_string(),
            count: Some(count),
        }
    }

    #[test]
    fn a_receiver_that_has_heard_nothing_hears_of_what_is_new() {
        let check = |kind: NewsKind, minutes: i64, expected: bool| {
            let found = announcement(&now(kind, "x", "a", -minutes), None, false, at(0));
            assert_eq!(found, expected.then_some(Announcement::first(kind)), "{kind:?} {minutes}");
        };
        check(NewsKind::Succeeded, 0, true);
        check(NewsKind::Succeeded, 60, true);
        check(NewsKind::Succeeded, 61, false);
        check(NewsKind::Failed, 61, true);
        check(NewsKind::Failed, 24 * 60 + 1, false);
        // A clock that is behind.
        check(NewsKind::Succeeded, -5, true);
    }

    #[test]
    fn what_went_well_waits_for_a_receiver_that_is_away_for_a_day() {
        let check = |minutes: i64, expected: bool| {
            let found = announcement(&now(NewsKind::Succeeded, "x", "a", -minutes), None, true, at(0));
            assert_eq!(found.is_some(), expected, "{minutes}");
        };
        check(61, true);
        check(24 * 60, true);
        check(24 * 60 + 1, false);
    }

    #[test]
    fn what_returns_follows_another_notification() {
        let failed = |minute: i64| now(NewsKind::Failed, "x", "a", minute);
        let follows = |notified: &NotifiedEntry, now: &Situation| {
            announcement(now, Some(notified), false, at(200)).unwrap().follows
        };
        let good = |minute: i64| notified(NewsKind::Succeeded, "y", "b", minute, 1);
        let first = follows(&good(10), &failed(20));
        assert_eq!(first, follows(&good(10), &failed(20)));
        assert_ne!(first, follows(&good(30), &failed(20)));
    }

    #[test]
    fn what_was_reported_is_not_reported_again_and_what_follows_is() {
        use NewsKind::{ApprovalRequired, Drifted, Failed, Recovered, RolledBack, Succeeded, Unhealthy};
        let check = |notified: NotifiedEntry, now: Situation, expected: Option<NewsKind>| {
            let found = announcement(&now, Some(&notified), false, at(100));
            assert_eq!(found.map(|t| t.kind), expected, "{notified:?} {now:?}");
        };
        let success = |digest: &str, since: i64| now(Succeeded, "ReconciliationSucceeded", digest, since);
        let ok = |kind: NewsKind, digest: &str, minute: i64| {
            notified(kind, "ReconciliationSucceeded", digest, minute, 1)
        };
        // Once, however often the release is reconciled, its pods are replaced or its drift is corrected.
        check(ok(Succeeded, "a", 10), success("a", 10), None);
        check(ok(Succeeded, "a", 10), success("a", 90), None);
        check(ok(Recovered, "a", 10), success("a", 10), None);
        check(ok(Succeeded, "a", 10), success("b", 50), Some(Succeeded));
        // Both were applied before the first one was sent.
        check(ok(Succeeded, "a", 10), success("b", 10), Some(Succeeded));
        check(ok(Succeeded, "a", 10), success("b", 9), None);
        let failed = |reason: &str, digest: &str| now(Failed, reason, digest, 20);
        let fail = |digest: &str| notified(Failed, "ApplyFailed", digest, 20, 1);
        check(ok(Succeeded, "a", 10), failed("ApplyFailed", "b"), Some(Failed));
        check(fail("b"), failed("ApplyFailed", "b"), None);
        check(fail("b"), failed("HealthTimeout", "b"), Some(Failed));
        check(fail("b"), failed("ApplyFailed", "c"), Some(Failed));
        check(fail("b"), now(RolledBack, "RolledBack", "b", 20), Some(RolledBack));
        check(fail("b"), success("b", 30), Some(Recovered));
        check(fail("b"), success("c", 30), Some(Succeeded));
        // The tag was moved back to the revision that is applied.
        check(fail("b"), success("a", 5), Some(Recovered));
        check(notified(Unhealthy, "Unhealthy", "a", 20, 1), success("a", 30), Some(Recovered));
        check(notified(Drifted, "Contested", "a", 20, 1), success("a", 10), Some(Recovered));
        let waits = || notified(ApprovalRequired, "ApprovalRequired", "b", 20, 1);
        check(waits(), success("b", 30), Some(Succeeded));
        check(waits(), success("a", 10), None);
        check(waits(), failed("ApplyFailed", "b"), Some(Failed));
        // What went well long ago, after the receiver wanted nothing of it for a while.
        check(ok(Succeeded, "a", -9000), success("b", -8000), None);
        check(ok(Succeeded, "a", -9000), now(Failed, "ApplyFailed", "b", -8000), Some(Failed));
        // A record of another version.
        let unknown = NotifiedEntry { outcome: "Exploded".into(), at: "?".into(), ..fail("a") };
        check(unknown, success("a", 30), Some(Recovered));
    }

    #[test]
    fn a_release_that_goes_back_and_forth_is_reported_ever_less_often() {
        let check = |count: i32, minutes_ago: i64, expected: (i32, u64)| {
            let notified = notified(NewsKind::Failed, "x", "a", 1000 - minutes_ago, count);
            let found =
                announcement(&now(NewsKind::Succeeded, "y", "a", 1000), Some(&notified), false, at(1000))
                    .unwrap();
            assert_eq!((found.count, found.pause.as_secs()), expected, "{count} {minutes_ago}");
        };
        check(1, 0, (2, 0));
        check(3, 0, (4, 0));
        check(4, 0, (5, 300));
        check(4, 2, (5, 180));
        check(4, 6, (5, 0));
        check(5, 0, (6, 600));
        check(9, 0, (10, 3600));
        check(i32::MAX, 0, (i32::MAX, 3600));
        check(9, 24 * 60, (1, 0));
    }

    #[test]
    fn a_receiver_that_cannot_be_notified_is_reported_once_for_an_outcome() {
        let failure = |receiver: &str, outcome: &str, digest: &str, message: &str| NotificationFailure {
            receiver: receiver.into(),
            message: message.into(),
            outcome: Some(outcome.to_owned()).filter(|outcome| !outcome.is_empty()),
            digest: Some(digest.to_owned()),
        };
        let check = |before: &[NotificationFailure], after: &[NotificationFailure], expected: &[&str]| {
            assert_eq!(newly_failed(before, after), expected, "{before:?} {after:?}");
        };
        let failed = failure("spec/team", "Failed", "a", "the answer is 503");
        let said = "Cannot notify receiver spec/team of Failed: the answer is 503";
        check(&[], std::slice::from_ref(&failed), &[said]);
        check(std::slice::from_ref(&failed), std::slice::from_ref(&failed), &[]);
        check(
            &[failure("spec/team", "Failed", "a", "the receiver cannot be reached")],
            std::slice::from_ref(&failed),
            &[],
        );
        check(std::slice::from_ref(&failed), &[], &[]);
        for other in [
            failure("spec/team", "Failed", "b", "m"),
            failure("spec/team", "Succeeded", "a", "m"),
            failure("spec/other", "Failed", "a", "m"),
        ] {
            check(std::slice::from_ref(&other), &[other.clone(), failed.clone()], &[said]);
        }
        check(&[failed], &[failure("spec/team", "", "a", "m")], &["Cannot notify receiver spec/team: m"]);
    }

    #[test]
    fn one_entry_a_receiver_is_kept_and_not_too_many() {
        let mut notified = Vec::new();
        for n in 0..MAX_NOTIFIED + 5 {
            let entry = NotifiedEntry { receiver: format!("r{n}"), ..NotifiedEntry::default() };
            remember(&mut notified, entry.clone());
            remember(&mut notified, NotifiedEntry { outcome: "Failed".into(), ..entry });
        }
        assert_eq!((notified.len(), notified[0].receiver.as_str()), (MAX_NOTIFIED, "r5"));
        assert!(notified.iter().all(|entry| entry.outcome == "Failed"));
    }
}
