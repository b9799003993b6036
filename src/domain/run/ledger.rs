//! What is known of a release from before a run, typed: which revision was attempted,
//! which one the cluster holds, which one was healthy. It is read from the status and
//! the inventory, so it outlives the process. [`next`] is the one place that decides
//! what a run does next.

use crate::api::reason::Reason;
use crate::api::release::{DriftMode, RollbackMode};
use crate::api::rollback::QuarantineEntry;
use crate::api::status::{HistoryEntry, ReleaseStatus, condition};
use crate::domain::artifact::digest::is_digest;
use crate::domain::artifact::wanted::WantedVersion;
use crate::domain::inventory::{BegunRollout, Inventory, Provenance};
use crate::domain::release::Release;
use crate::domain::release::approval::ApprovalPolicy;
use crate::domain::status::FAILED;
use crate::domain::verdict::{FailureClass, class_of};
use crate::domain::version::{Range, TagFilter};

/// A revision by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRevision {
    /// `tag@digest`, or the digest.
    pub name: String,
    /// An algorithm and hexadecimal digits.
    pub digest: String,
}

impl KnownRevision {
    /// None when it is not a digest: another program may have written it.
    fn new(name: &str, digest: &str) -> Option<Self> {
        is_digest(digest).then(|| Self { name: name.to_owned(), digest: digest.to_owned() })
    }

    /// One by its name alone, `tag@digest` or the digest.
    pub fn named(name: &str) -> Option<Self> {
        Self::new(name, name.rsplit('@').next()?)
    }

    /// The tag that it was found under, if any.
    pub fn tag(&self) -> Option<&str> {
        self.name.split_once('@').map(|(tag, _)| tag)
    }
}

/// What is known of a release from before a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The revision of the last attempt.
    pub attempted: Option<KnownRevision>,
    /// The revision that was healthy last, by its name.
    pub healthy: Option<String>,
    /// The revision that was applied last, and the repository that it came from, without
    /// `oci://`.
    pub applied: Option<(KnownRevision, String)>,
    /// Digest and inputs of the revision whose complete result the inventory is.
    pub complete: Option<String>,
    /// Digest and inputs of the revision of which every object was applied.
    pub written: Option<String>,
    /// The rollout that has begun and is not complete.
    pub begun: Option<BegunRollout>,
    /// The digest of the revision that the status has last, and its key if it was recorded.
    pub latest: Option<(String, Option<String>)>,
    /// Digest and inputs of the revision whose plan was approved.
    pub approved: Option<String>,
    /// Digest and inputs of the revisions of the history that were bad the last time.
    pub bad: Vec<String>,
    /// Why the release was not ready, or that it was.
    pub ready: Option<Reason>,
    /// Whether the revision of the last attempt is not trusted.
    pub is_rejected: bool,
    /// The revision that the registry offers and the release does not follow, by its name.
    pub held: Option<String>,
    /// The revisions that have failed and are not applied any more.
    pub quarantine: Vec<QuarantineEntry>,
    /// The last request to try one of them once more that was handled.
    pub retried: Option<String>,
}

/// What a run knows in addition to the ledger when it decides what to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct LedgerFacts<'a> {
    /// Whether only objects were seen to change.
    pub only_objects: bool,
    /// Whether drift of the applied revision is corrected while another one is wanted.
    pub restores: bool,
    /// Digest and inputs of a revision whose interrupted rollout is resumed.
    pub interrupted: Option<&'a str>,
}

/// What a run does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Restores the applied revision before checking for a newer one. The verdict of the
    /// last run remains valid.
    Restore(KnownRevision),
    /// Maintains the revision that the inventory is the complete result of, without a
    /// request to the registry.
    Keep(KnownRevision),
    /// Resumes the interrupted rollout of a revision.
    Continue,
    /// Resolves the wanted revision in the registry.
    Resolve {
        /// The revision to keep when the registry does not answer.
        fallback: Option<KnownRevision>,
        /// Whether drift is more urgent than the answer of the registry.
        can_wait: bool,
    },
}

/// What a run does next.
pub fn next(ledger: &Ledger, release: &Release, facts: &LedgerFacts<'_>) -> Command {
    let sent_back = ledger.sent_back(release);
    if let Some((entry, failed)) = &sent_back {
        let begins = entry.frozen.is_none() && ledger.attempted.as_ref() == Some(failed);
        // The way back does not need the registry, and a frozen release asks it on time only.
        if begins || entry.frozen.is_some() && facts.only_objects {
            return Command::Keep(failed.clone());
        }
    }
    let first = ledger.restorable_first(release, facts);
    let held = ledger.ready.is_some_and(|reason| ledger.is_held(reason));
    let settled = ledger.settled(release);
    let complete = ledger.complete.is_some();
    match (facts.only_objects, &first, &settled) {
        (true, Some(applied), _) if !held => return Command::Restore(applied.clone()),
        (true, _, Some(settled)) if complete => return Command::Keep(settled.clone()),
        (true, _, _) if facts.interrupted.is_some() => return Command::Continue,
        _ => {}
    }
    // An incomplete one would be reported as if the registry had answered.
    let can_wait = complete && settled.is_some() || first.is_some();
    // A way back that was cut off goes on, whatever the registry says.
    let fallback = sent_back.map(|(_, failed)| failed).or(settled);
    Command::Resolve { fallback, can_wait }
}

impl Ledger {
    /// From the status and the inventory.
    pub fn of(status: &ReleaseStatus, inventory: &Inventory, provenance: Option<&Provenance>) -> Self {
        let attempted = status.artifact.as_ref();
        let attempted = attempted.and_then(|a| KnownRevision::new(&a.revision, &a.digest));
        let applied = provenance.and_then(|from| {
            let digest = from.revision.rsplit('@').next()?;
            Some((KnownRevision::new(&from.revision, digest)?, from.source.clone()))
        });
        Self {
            attempted,
            healthy: status.last_healthy_revision.clone(),
            applied,
            complete: inventory.applied.clone(),
            written: inventory.written.clone(),
            begun: inventory.begun.clone(),
            approved: status.plan.as_ref().and_then(|plan| Some(plan.approved.as_ref()?.key.clone())),
            latest: latest(status),
            bad: bad_keys(&status.history),
            ready: status.condition(condition::READY).and_then(|c| Reason::named(&c.reason)),
            held: status.held_revision.clone(),
            quarantine: status.quarantine.clone(),
            retried: status.last_handled_retry.clone(),
            is_rejected: status.condition(condition::VERIFIED).is_some_and(|c| c.status == "False"),
        }
    }

    /// Whether the cluster has every object of a revision with these inputs. Tenants can edit the inventory,
    /// so the status has to know it, too.
    pub fn has_all_of(&self, digest: &str, key: &str) -> bool {
        let is_latest = self.latest.as_ref().is_some_and(|(of, recorded)| match recorded {
            Some(recorded) => recorded == key,
            None => of == digest,
        });
        self.whole() == Some(key) && (is_latest || self.approved.as_deref() == Some(key))
    }

    /// The revision whose rollout, or way back, is finished before a newer one that has to wait. None
    /// where it is complete or bad, or where a person would have to approve it again.
    pub fn unfinished(&self, release: &Release) -> Option<KnownRevision> {
        let sent_back = self.sent_back(release).map(|(_, failed)| failed);
        if let Some(failed) = sent_back.or_else(|| self.left(release)) {
            let entry = self.quarantined(release, &failed.digest)?;
            let back = KnownRevision::named(entry.back_to.as_deref()?)?;
            let is_back = self.complete.as_deref() == Some(&release.applied_key(&back.digest));
            return Some(failed).filter(|_| entry.frozen.is_none() && !is_back);
        }
        let BegunRollout { source, revision, key } = self.begun.as_ref()?;
        let known = KnownRevision::named(revision)?;
        let is_same = source == release.repository() && release.applied_key(&known.digest) == *key;
        let is_allowed = match release.approval {
            ApprovalPolicy::Manual { .. } => [self.whole(), self.approved.as_deref()].contains(&Some(key)),
            ApprovalPolicy::Automatic | ApprovalPolicy::Exactly(_) => true,
        };
        let is_bad = match release.rollback {
            RollbackMode::Off => self.bad.contains(key),
            RollbackMode::OnFailure | RollbackMode::Freeze => {
                self.quarantine.iter().any(|entry| entry.key == *key)
            }
        };
        (self.complete.is_none() && is_same && is_allowed && !is_bad).then_some(known)
    }

    /// The quarantined revision that the cluster has objects of, or is on its way back from, although
    /// the spec does not want it any more.
    fn left(&self, release: &Release) -> Option<KnownRevision> {
        let held = [self.begun.as_ref().map(|begun| begun.key.as_str()), self.whole()];
        let begun = self.begun.as_ref().and_then(|begun| KnownRevision::named(&begun.revision));
        let goes_to = |entry: &QuarantineEntry| {
            let back_to = entry.back_to.as_deref().and_then(KnownRevision::named);
            back_to.zip(begun.as_ref()).is_some_and(|(back_to, begun)| back_to.digest == begun.digest)
        };
        let is_left = |entry: &&QuarantineEntry| held.contains(&Some(&entry.key)) || goes_to(entry);
        let mut left = self.quarantine.iter().filter(is_left);
        let left = left.find_map(|entry| KnownRevision::new(&entry.revision, &entry.digest));
        left.filter(|failed| self.quarantined(release, &failed.digest).is_some())
    }

    /// The revision that the cluster holds every object of, by digest and inputs.
    pub fn whole(&self) -> Option<&str> {
        self.complete.as_deref().or(self.written.as_deref())
    }

    /// The revision that was applied last from the repository of the release.
    pub fn last_applied(&self, release: &Release) -> Option<&KnownRevision> {
        let (known, source) = self.applied.as_ref()?;
        (source == release.repository()).then_some(known)
    }

    /// The revision that the inventory is the complete result of, or the wanted revision if
    /// the cluster has every object of it. Only if the status names it and the spec still
    /// renders it the same way.
    pub fn settled(&self, release: &Release) -> Option<KnownRevision> {
        let known = self.attempted.as_ref()?;
        let key = release.applied_key(&known.digest);
        // Once another revision is wanted, the health of this one is not awaited.
        let complete = self.complete.as_deref() == Some(&key);
        (complete || self.written.as_deref() == Some(&key) && is_wanted(release, known))
            .then(|| known.clone())
    }

    /// What is known of a revision that has failed with the present spec, unless a person asks to
    /// try it once more.
    pub fn quarantined(&self, release: &Release, digest: &str) -> Option<&QuarantineEntry> {
        if release.rollback == RollbackMode::Off || release.retries(digest, self.retried.as_deref()) {
            return None;
        }
        let key = release.applied_key(digest);
        self.quarantine.iter().find(|entry| entry.key == key)
    }

    /// The quarantined revision that the spec wanted last, as far as is known without the registry.
    pub fn sent_back(&self, release: &Release) -> Option<(&QuarantineEntry, KnownRevision)> {
        let held = self.held.as_deref().and_then(KnownRevision::named);
        // By what the spec calls it now, which may be another tag than the one that it failed under.
        let last = self.attempted.clone().into_iter().chain(held);
        let mut wanted = last.filter(|known| is_wanted(release, known));
        wanted.find_map(|known| Some((self.quarantined(release, &known.digest)?, known)))
    }

    /// The quarantined revision that a revision is kept for.
    pub fn stands_in_for(
        &self,
        release: &Release,
        digest: &str,
    ) -> Option<(&QuarantineEntry, KnownRevision)> {
        let (entry, failed) = self.sent_back(release)?;
        let is_it = |name: &String| name.rsplit('@').next() == Some(digest);
        (entry.back_to.as_ref().is_some_and(is_it) && entry.frozen.is_none()).then_some((entry, failed))
    }

    /// The revision that the cluster has every object of, if the spec still renders it the
    /// same way and drift is corrected.
    pub fn restorable(&self, release: &Release, facts: &LedgerFacts<'_>) -> Option<KnownRevision> {
        let (known, _) = self.applied.as_ref()?;
        let rendered_so = self.whole() == Some(release.applied_key(&known.digest).as_str())
            && self.quarantined(release, &known.digest).is_none();
        let is_frozen = self.sent_back(release).is_some_and(|(entry, _)| entry.frozen.is_some());
        let corrects = facts.restores && release.drift == DriftMode::Correct && !is_frozen;
        (corrects && rendered_so).then(|| known.clone())
    }

    /// The same, where another revision is to be rolled out.
    pub fn restorable_first(&self, release: &Release, facts: &LedgerFacts<'_>) -> Option<KnownRevision> {
        let applied = self.restorable(release, facts)?;
        // The health of a revision that is no longer wanted is not awaited.
        let unwanted = self.complete.is_none() && !is_wanted(release, &applied);
        let other = self.attempted.as_ref().is_none_or(|known| known.digest != applied.digest) || unwanted;
        // An interrupted rollout is resumed.
        let goes_on = facts.interrupted == Some(release.applied_key(&applied.digest).as_str());
        (other && !goes_on).then_some(applied)
    }

    /// Whether the reason that a run ended with forbids to write applied objects. A wanted
    /// revision that is not trusted keeps forbidding it until the registry answers with
    /// another one.
    pub fn is_held(&self, reason: Reason) -> bool {
        let unanswered = matches!(
            reason,
            Reason::Progressing | Reason::RegistryUnavailable | Reason::AuthenticationFailed
        );
        !leaves_applied(reason) || unanswered && self.is_rejected
    }
}

/// The revision that the status has last: one that has failed before its first write does not count.
fn latest(status: &ReleaseStatus) -> Option<(String, Option<String>)> {
    let is_written = |entry: &&HistoryEntry| entry.outcome != FAILED || entry.changes.wrote();
    match status.history.iter().find(is_written) {
        Some(entry) => Some((entry.digest.clone(), entry.key.clone())),
        None => {
            let known = KnownRevision::named(status.last_applied_revision.as_deref()?)?;
            Some((known.digest, None))
        }
    }
}

/// The revisions that a history shows as bad, each by its last entry.
fn bad_keys(history: &[HistoryEntry]) -> Vec<String> {
    let is_last =
        |at: usize, entry: &HistoryEntry| !history.iter().take(at).any(|newer| newer.key == entry.key);
    let is_bad = |entry: &HistoryEntry| {
        let reason = entry.reason.as_deref().and_then(Reason::named);
        reason.is_some_and(|reason| class_of(reason) == FailureClass::Bad)
    };
    let entries = history.iter().enumerate().filter(|(at, entry)| is_last(*at, entry) && is_bad(entry));
    entries.filter_map(|(_, entry)| entry.key.clone()).collect()
}

/// Whether the reason that ended a run does not concern the applied revision: it is still
/// trusted and allowed, and objects can be written.
fn leaves_applied(reason: Reason) -> bool {
    !reason.is_distrust()
        && !matches!(
            reason,
            Reason::RegistryNotAllowed
                | Reason::ServiceAccountNotFound
                | Reason::ApiServerUnavailable
                | Reason::ClusterUnreachable
                | Reason::Frozen
        )
}

/// Whether a revision matches the spec.
pub fn is_wanted(release: &Release, known: &KnownRevision) -> bool {
    match &release.wanted {
        WantedVersion::Tag(wanted) => known.tag() == Some(wanted.as_str()),
        WantedVersion::Digest(wanted) | WantedVersion::Pinned { digest: wanted, .. } => {
            *wanted == known.digest
        }
        WantedVersion::Semver { range, filter } => {
            let Some((range, filter)) = semver(range, filter.as_deref()) else { return false };
            known.tag().is_some_and(|tag| range.highest([tag], filter.as_ref()).is_some())
        }
    }
}

/// Whether the step from one tag to another is a downgrade within the range.
pub fn goes_back(release: &Release, from: &str, to: &str) -> bool {
    match &release.wanted {
        WantedVersion::Semver { range, filter } => semver(range, filter.as_deref())
            .is_some_and(|(range, filter)| range.goes_back(filter.as_ref(), from, to)),
        WantedVersion::Tag(_) | WantedVersion::Pinned { .. } | WantedVersion::Digest(_) => false,
    }
}

fn semver(range: &str, filter: Option<&str>) -> Option<(Range, Option<TagFilter>)> {
    let range = Range::parse(range).ok()?;
    let filter = filter.map(TagFilter::parse).transpose().ok()?;
    Some((range, filter))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::status::{ArtifactStatus, Changes};

    const DIGESTS: [&str; 2] = [
        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
    ];

    fn release(reference: serde_json::Value) -> Release {
        let resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "app", "namespace": "team", "generation": 1},
            "spec": {"url": "oci://r.io/app", "ref": reference, "prune": true},
        });
        Release::parse(&serde_json::from_value(resource).unwrap()).unwrap()
    }

    fn known(tag: &str, digest: usize) -> KnownRevision {
        KnownRevision { name: format!("{tag}@{}", DIGESTS[digest]), digest: DIGESTS[digest].to_owned() }
    }

    /// A release with the given revisions as its last attempt and its last apply; the applied
    /// one is complete, written, or neither.
    fn ledger(release: &Release, attempted: usize, applied: usize, complete: bool, written: bool) -> Ledger {
        let key = release.applied_key(DIGESTS[applied]);
        Ledger {
            attempted: Some(known("1.0.0", attempted)),
            applied: Some((known("1.0.0", applied), "r.io/app".to_owned())),
            complete: complete.then(|| key.clone()),
            written: written.then_some(key),
            ..Ledger::default()
        }
    }

    /// The second revision has failed, and the first is gone back to.
    fn failed(release: &Release, frozen: Option<&str>) -> QuarantineEntry {
        QuarantineEntry {
            revision: known("1.0.0", 1).name,
            digest: DIGESTS[1].to_owned(),
            key: release.applied_key(DIGESTS[1]),
            back_to: Some(known("1.0.0", 0).name),
            frozen: frozen.map(str::to_owned),
            ..QuarantineEntry::default()
        }
    }

    const OBJECTS: LedgerFacts<'static> =
        LedgerFacts { only_objects: true, restores: true, interrupted: None };
    const FULL: LedgerFacts<'static> = LedgerFacts { only_objects: false, restores: true, interrupted: None };

    #[test]
    fn what_a_run_does_next() {
        let tag = || release(json!({"tag": "1.0.0"}));
        let check = |ledger: Ledger, release: &Release, facts: LedgerFacts<'_>, expected: Command| {
            assert_eq!(next(&ledger, release, &facts), expected, "{ledger:?}");
        };
        let resolve = |fallback: Option<KnownRevision>, can_wait| Command::Resolve { fallback, can_wait };
        let (same, other) = (known("1.0.0", 0), known("1.0.0", 0));
        let release = tag();

        // One revision, complete: its objects are maintained, and the registry is polled when
        // that is due.
        check(ledger(&release, 0, 0, true, false), &release, OBJECTS, Command::Keep(same.clone()));
        check(ledger(&release, 0, 0, true, false), &release, FULL, resolve(Some(same.clone()), true));
        // Nothing is known.
        check(Ledger::default(), &release, OBJECTS, resolve(None, false));
        // Every object is written, and not all are healthy: it is what is wanted.
        check(ledger(&release, 0, 0, false, true), &release, OBJECTS, resolve(Some(same.clone()), false));
        // It is not complete, and there is nothing to resume.
        check(ledger(&release, 0, 0, false, false), &release, OBJECTS, resolve(None, false));

        // Another revision was attempted: the applied one is restored first.
        check(ledger(&release, 1, 0, true, false), &release, OBJECTS, Command::Restore(other.clone()));
        check(ledger(&release, 1, 0, false, true), &release, OBJECTS, Command::Restore(other));
        check(ledger(&release, 1, 0, true, false), &release, FULL, resolve(None, true));
        // But not where the reason of the last run forbids writes.
        for (ready, is_rejected) in [
            (Reason::SignatureMissing, false),
            (Reason::RegistryNotAllowed, false),
            (Reason::RegistryUnavailable, true),
            (Reason::Progressing, true),
        ] {
            let held = Ledger { ready: Some(ready), is_rejected, ..ledger(&release, 1, 0, true, false) };
            check(held, &release, OBJECTS, resolve(None, true));
        }
        let away = Some(Reason::RegistryUnavailable);
        let away = Ledger { ready: away, ..ledger(&release, 1, 0, true, false) };
        check(away, &release, OBJECTS, Command::Restore(known("1.0.0", 0)));

        // An interrupted rollout is resumed, and its revision is not restored first.
        let key = release.applied_key(DIGESTS[0]);
        let interrupted = LedgerFacts { interrupted: Some(&key), ..OBJECTS };
        check(ledger(&release, 1, 0, false, true), &release, interrupted, Command::Continue);
        check(ledger(&release, 0, 0, false, false), &release, interrupted, Command::Continue);
        check(ledger(&release, 0, 0, true, false), &release, interrupted, Command::Keep(same));

        // A revision that the spec no longer wants is not awaited.
        let newer = self::release(json!({"tag": "2.0.0"}));
        check(ledger(&newer, 0, 0, false, true), &newer, OBJECTS, Command::Restore(known("1.0.0", 0)));
        // Drift is not corrected where it is only reported.
        let mut reporting = tag();
        reporting.drift = DriftMode::Report;
        check(ledger(&reporting, 1, 0, true, false), &reporting, OBJECTS, resolve(None, false));
    }

    #[test]
    fn a_revision_that_has_failed_is_gone_back_from() {
        let mut release = release(json!({"tag": "1.0.0"}));
        release.rollback = RollbackMode::OnFailure;
        let entry = |frozen: Option<&str>| failed(&release, frozen);
        let check = |ledger: &Ledger, release: &Release, facts: LedgerFacts<'_>, expected: Command| {
            assert_eq!(next(ledger, release, &facts), expected, "{ledger:?}");
        };
        let resolve = |fallback: Option<KnownRevision>, can_wait| Command::Resolve { fallback, can_wait };
        let (good, bad) = (known("1.0.0", 0), known("1.0.0", 1));
        let with = |base: Ledger, frozen: Option<&str>| Ledger { quarantine: vec![entry(frozen)], ..base };

        // It was attempted last: the way back begins without the registry.
        let failed = with(ledger(&release, 1, 1, false, true), None);
        check(&failed, &release, FULL, Command::Keep(bad.clone()));
        check(&failed, &release, OBJECTS, Command::Keep(bad.clone()));
        assert_eq!(failed.restorable(&release, &FULL), None, "its drift is not corrected");
        // Nothing of it was written.
        check(
            &with(ledger(&release, 1, 0, true, false), None),
            &release,
            OBJECTS,
            Command::Keep(bad.clone()),
        );
        // The way back was cut off: it goes on, and a newer revision is looked for.
        let held = |ledger: Ledger| Ledger { held: Some(bad.name.clone()), ..ledger };
        let going = held(with(ledger(&release, 0, 1, false, false), None));
        check(&going, &release, FULL, resolve(Some(bad.clone()), false));
        // It is done: the earlier one is the wanted one.
        let done = held(with(ledger(&release, 0, 0, true, false), None));
        check(&done, &release, OBJECTS, Command::Keep(good.clone()));
        check(&done, &release, FULL, resolve(Some(bad.clone()), true));
        let stands_in = |ledger: &Ledger, release: &Release| {
            ledger.stands_in_for(release, DIGESTS[0]).map(|(_, failed)| failed.name)
        };
        assert_eq!(stands_in(&done, &release), Some(known("1.0.0", 1).name));
        // The spec names the same digest by another tag.
        let mut renamed = self::release(json!({"tag": "2.0.0"}));
        renamed.rollback = RollbackMode::OnFailure;
        let by_tag = Ledger { held: Some(known("2.0.0", 1).name), ..done.clone() };
        assert_eq!(stands_in(&by_tag, &renamed), Some(known("2.0.0", 1).name));
        assert_eq!(stands_in(&done, &renamed), None, "another revision is wanted");
        // Nothing is written: only the registry is asked, on time.
        let frozen = with(ledger(&release, 1, 1, false, true), Some("why"));
        check(&frozen, &release, OBJECTS, Command::Keep(bad.clone()));
        check(&frozen, &release, FULL, resolve(Some(bad.clone()), false));
        check(&held(with(going.clone(), Some("why"))), &release, OBJECTS, Command::Keep(bad.clone()));
        assert!(frozen.is_held(Reason::Frozen), "nothing is written, drift included");
        // Also where the way back has written everything, and the registry does not answer.
        let back = held(with(ledger(&release, 0, 0, false, true), Some("why")));
        check(&back, &release, FULL, resolve(Some(bad.clone()), false));
        assert_eq!(back.restorable(&release, &FULL), None);

        // What releases it: another spec, a request, or that failures are retried again.
        let free = |ledger: &Ledger, release: &Release| {
            assert!(ledger.quarantined(release, DIGESTS[1]).is_none() && ledger.sent_back(release).is_none());
        };
        let mut asked = release.clone();
        asked.retry = Some(format!("{}@1", DIGESTS[1]));
        free(&failed, &asked);
        let handled = Ledger { retried: asked.retry.clone(), ..failed.clone() };
        assert!(handled.quarantined(&asked, DIGESTS[1]).is_some());
        asked.retry = Some(DIGESTS[0].to_owned());
        assert!(failed.quarantined(&asked, DIGESTS[1]).is_some(), "the request is about another one");
        let mut changed = release.clone();
        changed.path = "other".to_owned();
        free(&failed, &changed);
        let mut off = release.clone();
        off.rollback = RollbackMode::Off;
        free(&failed, &off);
        // A spec that names another tag does not forget it.
        let mut newer = release.clone();
        newer.wanted = WantedVersion::Tag("2.0.0".to_owned());
        assert!(failed.sent_back(&newer).is_none() && failed.quarantined(&newer, DIGESTS[1]).is_some());
    }

    #[test]
    fn a_revision_is_wanted_by_tag_digest_or_range() {
        let check = |reference: serde_json::Value, tag: &str, expected: bool| {
            assert_eq!(is_wanted(&release(reference.clone()), &known(tag, 0)), expected, "{reference}");
        };
        check(json!({"tag": "1.0.0"}), "1.0.0", true);
        check(json!({"tag": "1.0.0"}), "1.0.1", false);
        check(json!({"digest": DIGESTS[0]}), "1.0.1", true);
        check(json!({"digest": DIGESTS[1]}), "1.0.1", false);
        check(json!({"semver": ">=1.0.0"}), "1.0.1", true);
        check(json!({"semver": ">=2.0.0"}), "1.0.1", false);
        check(json!({"semver": ">=1.0.0", "semverFilter": "-rc"}), "1.0.1", false);
    }

    #[test]
    fn what_is_known_is_read_from_the_status_and_the_inventory() {
        let artifact = |digest: &str| ArtifactStatus {
            revision: format!("1.0.0@{digest}"),
            digest: digest.to_owned(),
            ..ArtifactStatus::default()
        };
        let from = |revision: &str| Provenance {
            source: "r.io/app".to_owned(),
            revision: revision.to_owned(),
            ..Provenance::default()
        };
        let check = |digest: &str, revision: &str, attempted: bool, applied: bool| {
            let status = ReleaseStatus { artifact: Some(artifact(digest)), ..ReleaseStatus::default() };
            let ledger = Ledger::of(&status, &Inventory::default(), Some(&from(revision)));
            assert_eq!((ledger.attempted.is_some(), ledger.applied.is_some()), (attempted, applied));
        };
        check(DIGESTS[0], &format!("1.0.0@{}", DIGESTS[0]), true, true);
        check(DIGESTS[0], DIGESTS[1], true, true);
        // Another program may have written them.
        check("sha256:abc", "", false, false);
        check("", "1.0.0@sha256:ABC", false, false);
    }

    #[test]
    fn another_repository_may_have_the_same_content() {
        let release = release(json!({"tag": "1.0.0"}));
        let mut known = ledger(&release, 0, 0, true, false);
        assert_eq!(known.last_applied(&release), Some(&self::known("1.0.0", 0)));
        if let Some((_, source)) = &mut known.applied {
            "r.io/other".clone_into(source);
        }
        assert_eq!(known.last_applied(&release), None);
    }

    #[test]
    fn what_has_begun_is_finished_before_a_revision_that_waits() {
        let release = release(json!({"tag": "1.0.0"}));
        let begun = |of: usize| BegunRollout {
            source: "r.io/app".into(),
            revision: known("1.0.0", of).name,
            key: release.applied_key(DIGESTS[of]),
        };
        let check = |release: &Release, ledger: &Ledger, expected: Option<usize>| {
            let found = ledger.unfinished(release);
            assert_eq!(found, expected.map(|of| known("1.0.0", of)), "{ledger:?}");
        };
        // The cluster has every object of it, or some of them.
        let written = Ledger { begun: Some(begun(1)), ..ledger(&release, 0, 1, false, true) };
        let partial = Ledger { begun: Some(begun(1)), ..ledger(&release, 0, 0, false, false) };
        check(&release, &written, Some(1));
        check(&release, &partial, Some(1));
        check(&release, &ledger(&release, 0, 1, true, false), None);
        check(&release, &Ledger::default(), None);
        // Another repository, and other inputs.
        let other = BegunRollout { source: "r.io/other".into(), ..begun(1) };
        check(&release, &Ledger { begun: Some(other), ..written.clone() }, None);
        let other = BegunRollout { key: "other".into(), ..begun(1) };
        check(&release, &Ledger { begun: Some(other), ..written.clone() }, None);
        // It has failed.
        check(&release, &Ledger { bad: vec![begun(1).key], ..written.clone() }, None);
        let mut going_back = release.clone();
        going_back.rollback = RollbackMode::OnFailure;
        check(&going_back, &Ledger { bad: vec![begun(1).key], ..written.clone() }, Some(1));
        // What a person has to approve is finished as far as it was approved.
        let mut manual = release.clone();
        manual.approval = ApprovalPolicy::Manual { timeout: None };
        check(&manual, &written, Some(1));
        check(&manual, &partial, None);
        check(&manual, &Ledger { approved: Some(begun(1).key), ..partial.clone() }, Some(1));

        // A way back that is not complete, and one that is.
        let entry = |frozen: Option<&str>| failed(&release, frozen);
        let back = |base: &Ledger, frozen: Option<&str>| Ledger {
            quarantine: vec![entry(frozen)],
            held: Some(known("1.0.0", 1).name),
            ..base.clone()
        };
        let going = Ledger { begun: Some(begun(0)), ..ledger(&release, 0, 1, false, false) };
        check(&going_back, &back(&going, None), Some(1));
        check(&going_back, &back(&ledger(&release, 0, 0, true, false), None), None);
        check(&going_back, &back(&going, Some("a step has run")), None);
        // The spec names another tag meanwhile.
        let mut newer = self::release(json!({"tag": "2.0.0"}));
        newer.rollback = RollbackMode::OnFailure;
        check(&newer, &back(&going, None), Some(1));
        check(&newer, &back(&going, Some("a step has run")), None);
        check(&newer, &Ledger { quarantine: vec![entry(None)], ..written }, Some(1));
        check(&newer, &back(&ledger(&release, 0, 0, true, false), None), None);
    }

    #[test]
    fn what_the_inventory_alone_says_needs_approval() {
        let release = release(json!({"tag": "1.0.0"}));
        let key = release.applied_key(DIGESTS[0]);
        let check = |ledger: Ledger, expected: bool| {
            assert_eq!(ledger.has_all_of(DIGESTS[0], &key), expected, "{ledger:?}");
        };
        let of =
            |digest: usize, key: Option<&str>| Some((DIGESTS[digest].to_owned(), key.map(str::to_owned)));
        let (latest, approved) = (of(0, Some(&key)), Some(key.clone()));
        check(ledger(&release, 0, 0, true, false), false);
        check(Ledger { latest: latest.clone(), ..ledger(&release, 0, 0, true, false) }, true);
        check(Ledger { latest: latest.clone(), ..ledger(&release, 0, 0, false, true) }, true);
        check(Ledger { approved, ..ledger(&release, 0, 0, false, true) }, true);
        check(Ledger { latest, ..ledger(&release, 0, 0, false, false) }, false);
        check(Ledger { latest: of(0, Some("other")), ..ledger(&release, 0, 0, true, false) }, false);
        // An earlier version has recorded no inputs.
        check(Ledger { latest: of(0, None), ..ledger(&release, 0, 0, true, false) }, true);
        check(Ledger { latest: of(1, None), ..ledger(&release, 0, 0, true, false) }, false);
    }

    #[test]
    fn the_latest_revision_is_one_that_was_written() {
        let entry = |digest: usize, outcome: &str, created: i32| HistoryEntry {
            digest: DIGESTS[digest].into(),
            outcome: outcome.into(),
            changes: Changes { created, ..Changes::default() },
            ..HistoryEntry::default()
        };
        let check = |history: Vec<HistoryEntry>, expected: Option<usize>| {
            let last_applied_revision = Some(known("1.0.0", 1).name);
            let status = ReleaseStatus { history, last_applied_revision, ..ReleaseStatus::default() };
            assert_eq!(latest(&status).map(|(digest, _)| digest).as_deref(), expected.map(|of| DIGESTS[of]));
        };
        check(vec![entry(1, "Failed", 0), entry(0, "Healthy", 1)], Some(0));
        check(vec![entry(1, "Failed", 1), entry(0, "Healthy", 1)], Some(1));
        check(vec![entry(0, "Applied", 0)], Some(0));
        check(vec![], Some(1));
    }

    #[test]
    fn a_revision_is_bad_by_its_last_entry() {
        let entry = |key: &str, reason: Option<Reason>| HistoryEntry {
            key: Some(key.into()),
            reason: reason.map(|reason| reason.to_string()),
            ..HistoryEntry::default()
        };
        let history = [
            entry("a", Some(Reason::ApiServerUnavailable)),
            entry("b", Some(Reason::HealthTimeout)),
            entry("a", Some(Reason::ApplyFailed)),
            entry("b", None),
        ];
        assert_eq!(bad_keys(&history), ["b"]);
    }
}
