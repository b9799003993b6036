//! One notification.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::record::Announcement;
use super::situation::{NewsKind, Situation};
use crate::api::notified::NotifiedEntry;
use crate::api::status::ReleaseStatus;
use crate::domain::artifact::digest::shortened;
use crate::domain::objects::identity::ReleaseId;
use crate::domain::status::whole_seconds;

/// The longest message of a notification, in bytes.
pub const MAX_NEWS_BYTES: usize = 1024;

/// What one receiver hears of one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Names the notification: the same after a restart, so that a receiver can tell a repetition.
    pub id: String,
    /// What has become of the release.
    pub kind: NewsKind,
    /// The reason of the condition.
    pub reason: String,
    /// The message of the condition, shortened.
    pub message: String,
    /// The release.
    pub release: ReleaseId,
    /// Its uid.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The digest that it is about.
    pub digest: Option<String>,
    /// The revision that it is about.
    pub revision: Option<String>,
    /// The repository of the release, without `oci://`.
    pub repository: String,
    /// The cluster, by the name that the administrator gives it.
    pub cluster: Option<String>,
    /// The source of the artifact, from its annotations, if it is the artifact of that digest.
    pub source: Option<String>,
    /// The revision of the source, likewise.
    pub source_revision: Option<String>,
    /// When it came about.
    pub at: Timestamp,
    /// Since when; for a failure that follows another one, since the first.
    pub since: Option<Timestamp>,
    /// The how manieth notification about the digest it is.
    pub count: i32,
}

/// Of which release.
#[derive(Clone, Copy, Debug)]
pub struct NewsSubject<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// Its uid.
    pub uid: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its repository, as a URL or without `oci://`.
    pub repository: &'a str,
    /// The cluster, by the name that the administrator gives it.
    pub cluster: Option<&'a str>,
}

impl News {
    /// What there is to say of a situation.
    pub fn new(
        subject: NewsSubject<'_>,
        situation: &Situation,
        announcement: &Announcement,
        status: &ReleaseStatus,
        now: Timestamp,
    ) -> Self {
        // A failure that follows another one began later than the condition says.
        let at = if announcement.kind.is_good() { situation.since.unwrap_or(now) } else { now };
        let artifact =
            status.artifact.as_ref().filter(|known| Some(&known.digest) == situation.digest.as_ref());
        Self {
            id: id_of(subject.uid, situation, announcement),
            kind: announcement.kind,
            reason: situation.reason.clone(),
            message: cut(&shortened(&situation.message), MAX_NEWS_BYTES),
            release: subject.release.clone(),
            uid: subject.uid.to_owned(),
            labels: subject.labels.clone(),
            digest: situation.digest.clone(),
            revision: situation.revision.clone(),
            repository: subject.repository.trim_start_matches("oci://").to_owned(),
            cluster: subject.cluster.map(str::to_owned),
            source: artifact.and_then(|known| known.source.clone()),
            source_revision: artifact.and_then(|known| known.source_revision.clone()),
            at,
            since: situation.since,
            count: announcement.count,
        }
    }

    /// What stands at an Alertmanager, and after how long.
    pub fn standing(
        subject: NewsSubject<'_>,
        situation: &Situation,
        status: &ReleaseStatus,
        now: Timestamp,
    ) -> (Self, Duration) {
        let first = Announcement::first(situation.kind);
        (Self::new(subject, situation, &first, status, now), situation.settles_in(now))
    }

    /// For the status, once the receiver has it.
    pub fn entry(&self, receiver: &str) -> NotifiedEntry {
        NotifiedEntry {
            receiver: receiver.to_owned(),
            outcome: self.kind.as_str().to_owned(),
            reason: self.reason.clone(),
            digest: self.digest.clone(),
            at: whole_seconds(self.at).to_string(),
            count: (self.count > 1).then_some(self.count),
        }
    }

    /// `web in apps has failed`.
    pub fn headline(&self) -> String {
        format!("{} in {} {}", self.release.name, self.release.namespace, self.kind.words())
    }
}

/// An outcome may return with the same digest, after one of another digest: then it began at another time, or
/// follows another notification.
fn id_of(uid: &str, situation: &Situation, announcement: &Announcement) -> String {
    let Situation { digest, reason, since, .. } = situation;
    let Announcement { kind, count, follows, .. } = announcement;
    let text = [
        uid,
        digest.as_deref().unwrap_or_default(),
        kind.as_str(),
        reason,
        &count.to_string(),
        &since.map(|since| since.to_string()).unwrap_or_default(),
        follows.as_deref().unwrap_or_default(),
    ];
    let text = text.join("\0");
    let mut id = hex::encode(Sha256::digest(text.as_bytes()));
    id.truncate(32);
    id
}

/// The text, cut to at most so many bytes.
pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub(4);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &text[..end])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn news() -> News {
        News {
            id: "0123456789abcdef0123456789abcdef".into(),
            kind: NewsKind::Failed,
            reason: "ApplyFailed".into(),
            message: "Deployment/apps/web: refused".into(),
            release: ReleaseId { namespace: "apps".into(), name: "web".into() },
            uid: "u-1".into(),
            labels: BTreeMap::new(),
            digest: Some("sha256:a".into()),
            revision: Some("1.0@sha256:a".into()),
            repository: "registry.example/app".into(),
            cluster: Some("prod".into()),
            source: Some("https://git.example/acme/app".into()),
            source_revision: Some("main@sha1:0123".into()),
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            since: Some("2025-12-31T00:00:00Z".parse().unwrap()),
            count: 1,
        }
    }

    #[test]
    fn the_name_of_a_notification_follows_from_what_it_says_alone() {
        let situation = |digest: Option<&str>, reason: &str, since: i64| Situation {
            kind: NewsKind::Failed,
            reason: reason.into(),
            message: "m".into(),
            digest: digest.map(str::to_owned),
            revision: None,
            since: Some(Timestamp::from_second(since).unwrap()),
        };
        let first = || Announcement::first(NewsKind::Failed);
        let one = situation(Some("a"), "x", 1);
        let base = id_of("u", &one, &first());
        assert_eq!((base.len(), base.clone()), (32, id_of("u", &one, &first())));
        for other in [
            id_of("v", &one, &first()),
            id_of("u", &situation(Some("b"), "x", 1), &first()),
            id_of("u", &situation(None, "x", 1), &first()),
            id_of("u", &situation(Some("a"), "y", 1), &first()),
            id_of("u", &situation(Some("a"), "x", 2), &first()),
            id_of("u", &one, &Announcement::first(NewsKind::Unhealthy)),
            id_of("u", &one, &Announcement { count: 2, ..first() }),
            id_of("u", &one, &Announcement { follows: Some("t Succeeded b".into()), ..first() }),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(cut("éé", 4), "éé");
        assert_eq!(cut("ééé", 5), " ...");
        assert_eq!(cut(&"é".repeat(10), 10), "ééé ...");
    }
}
