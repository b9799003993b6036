//! From what a release wants to a digest, and whether it goes there.

use crate::api::reason::Reason;
use crate::api::status::condition;
use crate::cluster::session::Session;
use crate::domain::outcome::{Assessment, Note, Outcome, Verdict};
use crate::domain::release::Origin;
use crate::observe::labels::Phase;
use crate::oci::{Digest, Resolved, Wanted};
use crate::reconcile::driver::{Ended, Revision, Run, Trigger};
use crate::reconcile::phase::work;
use crate::reconcile::scope::registry_wait::Waited;
use crate::reconcile::source::access::{self, Failure, chain, failure};

impl Run<'_> {
    /// The digest, by one request at most. A registry that cannot say is no
    /// reason to let go of what was applied last, and one that takes its time no
    /// reason to leave drift.
    pub async fn resolve(&mut self, session: &Session) -> Result<Revision, Ended> {
        let settled = self.settled();
        let complete = self.memory.inventory.applied.is_some();
        if let (Trigger::Objects, Some(revision), true) = (self.trigger, &settled, complete) {
            // A newer spec may want another.
            self.memory.resolve_due |= !self.is_answered();
            return Ok(revision.clone());
        }
        if let (Trigger::Objects, Some(revision)) = (self.trigger, self.resumed()) {
            return Ok(revision);
        }
        let started = std::time::Instant::now();
        // One that is not complete would be told as if the registry had answered.
        let can_wait = complete && settled.is_some() || self.applied_beside().is_some();
        let asked = self.ask(session, can_wait).await.transpose();
        self.spent.add(Phase::Resolve, started.elapsed());
        let Some(asked) = asked else {
            return match settled {
                Some(revision) if !self.signals.is_superseded() => {
                    self.memory.resolve_due = true;
                    Ok(revision)
                }
                _ => Err(work::superseded()),
            };
        };
        self.memory.resolve_due = false;
        self.memory.answered = Some((self.release.generation, self.release.reconcile_at.clone()));
        match asked {
            Ok(resolved) => {
                self.memory.stale = None;
                self.memory.held = None;
                let revision = self.follow(resolved);
                self.memory.rollout.wanted(Some(&revision.key));
                Ok(revision)
            }
            Err(failed) => {
                let Verdict::Failed { reason, message } = &failed.verdict else { return Err(failed.into()) };
                self.memory.stale = Some((*reason, message.clone()));
                if *reason == Reason::RegistryUnavailable {
                    // What is gone on with may take long.
                    self.await_registry();
                }
                let gone = matches!(
                    reason,
                    Reason::ArtifactNotFound | Reason::NoMatchingTag | Reason::DigestMismatch
                );
                if gone {
                    self.memory.rollout.wanted(None);
                }
                match settled {
                    Some(revision) if complete || !gone => {
                        Ok(Revision { stale: self.memory.stale.clone(), ..revision })
                    }
                    _ => Err(failed.into()),
                }
            }
        }
    }

    /// The revision that the inventory is the complete result of, or that is wanted and
    /// that the cluster holds the whole of, if it is the
    /// one that the status names and the spec still renders it so.
    fn settled(&self) -> Option<Revision> {
        let artifact = self.status.artifact.as_ref()?;
        let key = self.release.applied_key(&artifact.digest);
        let inventory = &self.memory.inventory;
        // What is not healthy yet is not waited for once another is wanted.
        let wanted = || self.is_wanted(&artifact.revision, &artifact.digest);
        let complete = inventory.applied.as_ref() == Some(&key);
        (complete || inventory.written.as_ref() == Some(&key) && wanted()).then_some(())?;
        let digest = Digest::parse(&artifact.digest).ok()?;
        let (stale, held) = (self.memory.stale.clone(), self.memory.held.clone());
        Some(Revision { name: artifact.revision.clone(), digest, key, stale, held })
    }

    /// The revision whose rollout was cut short, if the spec still renders it so: it
    /// goes on whether or not the registry is there.
    fn resumed(&self) -> Option<Revision> {
        let revision = self.memory.rollout.resumed(self.release.generation)?;
        (self.release.applied_key(revision.digest.as_str()) == revision.key).then(|| revision.clone())
    }

    /// Asks the registry; none when something more urgent came up: a newer spec,
    /// the end of the process, or, where a revision is applied and so the registry
    /// `can_wait`, drift.
    async fn ask(&mut self, session: &Session, can_wait: bool) -> Result<Option<Resolved>, Failure> {
        let repository = access::repository(self.release)?;
        let wanted = access::wanted(self.release)?;
        let access = access::access(self.context, session, self.release, self.memory).await?;
        let registry = self.context.registry.clone();
        let resolving = registry.resolve(&repository, &wanted, &access);
        match self.wait_for(resolving, can_wait).await {
            Waited::Done(Ok(resolved)) => Ok(Some(resolved)),
            Waited::Done(Err(error)) => Err(failure(error.reason(), chain(&error))),
            Waited::Urgent => Ok(None),
            Waited::Late => {
                let seconds = self.release.timeout.as_secs();
                let message = format!("{} did not answer within spec.timeout ({seconds}s)", self.release.url);
                Err(failure(Reason::RegistryUnavailable, message))
            }
        }
    }

    /// Goes along with what the registry says, and tells where that is no step
    /// ahead.
    fn follow(&mut self, resolved: Resolved) -> Revision {
        let tag = resolved.tag.as_ref().map(|tag| tag.as_str().to_owned());
        let told = self.status.last_attempted_revision.as_ref() == Some(&resolved.revision);
        let newest = resolved.digest.clone();
        let last = self.last_applied().map(|(name, digest)| (name.to_owned(), digest));
        let revision = self.destination(resolved);
        let Some((last_name, last_digest)) = last else { return revision };
        let (Some(tag), Some((last_tag, _))) = (tag, last_name.split_once('@')) else { return revision };
        if tag == last_tag && newest != last_digest {
            let message = format!("tag {tag} moved from {last_digest} to {newest}");
            self.note_once(Reason::TagMoved, message, told);
        }
        if let Some(held) = &revision.held {
            let mut before = self.status.conditions.iter().filter(|c| c.type_ == condition::READY);
            let told = before.any(|c| c.message.contains(held));
            self.note_once(Reason::DowngradeRefused, held.clone(), told);
            self.memory.held = Some(held.clone());
        } else if self.goes_back(last_tag, &tag) {
            let message = format!(
                "the newest tag went from {last_tag} to {tag}, and the release with it, as spec.ref.allowDowngrade says"
            );
            self.note_once(Reason::Downgraded, message, told);
        }
        revision
    }

    /// Where the release goes by what the registry says: it stays where that would be a
    /// step back that the spec does not allow.
    pub fn destination(&self, resolved: Resolved) -> Revision {
        let Resolved { digest, tag, revision: name } = resolved;
        let key = self.release.applied_key(digest.as_str());
        let revision = Revision { name, digest, key, stale: None, held: None };
        let Some((last_name, last_digest)) = self.last_applied() else { return revision };
        let (Some(tag), Some((last_tag, _))) = (tag, last_name.split_once('@')) else { return revision };
        if self.release.allow_downgrade || !self.goes_back(last_tag, tag.as_str()) {
            return revision;
        }
        let held = format!(
            "the newest tag went from {last_tag} to {tag}, and the release stays: to go back, set spec.ref.allowDowngrade"
        );
        Revision {
            name: last_name.to_owned(),
            key: self.release.applied_key(last_digest.as_str()),
            digest: last_digest,
            stale: None,
            held: Some(held),
        }
    }

    /// Tells something once, however often the run is repeated. What was `told`
    /// by a process before this one is not told again.
    pub fn note_once(&mut self, reason: Reason, message: String, told: bool) {
        let note = Note { reason, message };
        if !told && !self.memory.told.contains(&note) {
            self.memory.told.retain(|told| told.reason != reason);
            self.memory.told.push(note.clone());
            self.memory.notes.push(note);
        }
    }

    /// Name (`tag@digest`, or the digest) and digest of what was applied last from this
    /// repository, as the inventory says.
    pub fn last_applied(&self) -> Option<(&str, Digest)> {
        let from = &self.memory.stored.as_ref()?.provenance;
        (from.source == self.release.url.trim_start_matches("oci://")).then_some(())?;
        self.recorded()
    }

    /// The same, from whatever repository: another one may have the same content.
    pub fn recorded(&self) -> Option<(&str, Digest)> {
        let from = &self.memory.stored.as_ref()?.provenance;
        let digest = from.revision.rsplit('@').next()?;
        Some((&from.revision, Digest::parse(digest).ok()?))
    }

    /// A run that has put objects back, and not asked the registry, says nothing of a
    /// spec or a wish that nobody has answered yet: the next run does, which is at once.
    pub fn leave_open(&self, outcome: &mut Outcome) {
        let resource = self.release.origin == Origin::Resource;
        let well = matches!(outcome.verdict, Verdict::Ready { .. }) && !outcome.rollout;
        if resource && well && !self.is_answered() {
            let (notes, drift) = (std::mem::take(&mut outcome.notes), outcome.drift.take());
            *outcome = Outcome { verdict: Verdict::AsBefore, notes, drift, ..Outcome::default() };
        }
    }

    /// What keeps the registry from giving what the spec asks for, as far as this run
    /// and those before it have asked.
    pub fn fetch_failure(&self, outcome: &Outcome) -> Option<Assessment> {
        let failed = match &outcome.verdict {
            Verdict::Failed { reason, message } => Some((*reason, message)),
            _ => None,
        };
        let stale = self.memory.stale.as_ref().map(|(reason, message)| (*reason, message));
        let mut found = stale.into_iter().chain(failed).filter(|(reason, _)| reason.is_about_source());
        let (reason, message) = found.next()?;
        Some(Assessment { status: Some(true), reason, message: message.clone() })
    }

    /// Whether the registry was asked for what the spec wants now, and since a run was
    /// asked for last.
    fn is_answered(&self) -> bool {
        let answered = self.memory.answered.as_ref();
        answered
            .is_some_and(|(of, asked)| *of == self.release.generation && *asked == self.release.reconcile_at)
    }

    /// Whether the spec can mean the revision of this name and digest.
    pub fn is_wanted(&self, name: &str, digest: &str) -> bool {
        let tag = name.split_once('@').map(|(tag, _)| tag);
        match access::wanted(self.release) {
            Ok(Wanted::Tag(wanted)) => tag == Some(wanted.as_str()),
            Ok(Wanted::Digest(wanted)) => wanted.as_str() == digest,
            Ok(Wanted::Semver { range, filter }) => {
                tag.is_some_and(|tag| range.highest([tag], filter.as_ref()).is_some())
            }
            Err(_) => false,
        }
    }

    fn goes_back(&self, from: &str, to: &str) -> bool {
        match access::wanted(self.release) {
            Ok(Wanted::Semver { range, filter }) => range.goes_back(filter.as_ref(), from, to),
            _ => false,
        }
    }
}
