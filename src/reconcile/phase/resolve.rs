//! Resolves the wanted version of a release to a revision.

use std::time::Instant;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::rollback::QuarantineEntry;
use crate::api::status::condition;
use crate::cluster::session::Session;
use crate::domain::artifact::digest::shortened;
use crate::domain::gate::TagStep;
use crate::domain::gate::{Blocker, Decision, Facts, downgrade, quarantine};
use crate::domain::ledger::{Command, KnownRevision, Ledger};
use crate::domain::release::Release;
use crate::observe::labels::Phase;
use crate::oci::{Digest, Resolved, StrayTag, Tag};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::cache::notes::Notes;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::cache::rollout::Rollout;
use crate::reconcile::env::Env;
use crate::reconcile::error::{ReconcileError, RunFailure, failure, with_cure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::registry_wait::{RegistryWait, registry_wait};
use crate::reconcile::scope::revision::{Held, HeldCause, Revision};
use crate::reconcile::source::access::access;
use crate::reconcile::source::reference::{repository, wanted};

/// The caches for this phase.
pub struct Memory<'a> {
    /// The last answer of the registry.
    pub registry: &'a mut RegistryCache,
    /// The current or last rollout.
    pub rollout: &'a mut Rollout,
    /// The notes.
    pub notes: &'a mut Notes,
    /// What is known of drift.
    pub seen: Sightings<'a>,
}

impl<'a> From<&'a mut Caches> for Memory<'a> {
    fn from(caches: &'a mut Caches) -> Self {
        let seen = Sightings { cluster: &caches.cluster, drift: &caches.drift };
        Self {
            registry: &mut caches.registry,
            rollout: &mut caches.rollout.progress,
            notes: &mut caches.notes,
            seen,
        }
    }
}

/// The revision for a command, with at most one request. If the registry fails, the last applied
/// revision is kept; if it is slow, drift is corrected meanwhile.
///
/// # Errors
/// Why the registry has none, or that something is more urgent.
pub async fn resolve(
    scope: &Scope<'_>,
    session: &Session,
    mut memory: Memory<'_>,
    ledger: &Ledger,
    command: Command,
) -> Result<Revision, ReconcileError> {
    match command {
        Command::Restore(known) | Command::Keep(known) => {
            // A newer spec may want another.
            memory.registry.resolve_due |= !is_answered(scope.release, memory.registry);
            memory.registry.is_first = false;
            let revision = kept(scope.release, ledger, memory.registry, &known)?;
            memory.registry.held.clone_from(&revision.held);
            Ok(revision)
        }
        Command::Continue => {
            let resumed = memory.rollout.resumed(scope.release.generation).cloned();
            let resumed = resumed.ok_or(ReconcileError::SUPERSEDED)?;
            match resumed.way_back() {
                Some(_) => Ok(resumed),
                None => Ok(steer(scope.release, ledger, resumed)?),
            }
        }
        Command::Resolve { fallback, can_wait } => {
            let started = Instant::now();
            let asked = ask(scope, session, &mut memory, can_wait).await;
            scope.timer.add(Phase::Resolve, started.elapsed());
            let is_answered = matches!(asked, Ok(Some(_)));
            let revision = answered(scope, memory, ledger, fallback, asked)?;
            if is_answered {
                // Releases that depend on this one may go on, or see that it will change.
                let Env { dependencies, .. } = scope.env;
                scope.env.notify(dependencies.checked(&scope.release.id, started, &revision.name));
            }
            Ok(revision)
        }
    }
}

/// Handles the answer; `None` means that the wait was interrupted.
fn answered(
    scope: &Scope<'_>,
    memory: Memory<'_>,
    ledger: &Ledger,
    fallback: Option<KnownRevision>,
    answer: Result<Option<Resolved>, Box<RunFailure>>,
) -> Result<Revision, ReconcileError> {
    let Memory { registry, rollout, notes, .. } = memory;
    let release = scope.release;
    let keep = |registry: &RegistryCache| {
        fallback.as_ref().map(|known| kept(release, ledger, registry, known)).transpose()
    };
    let answer = match answer {
        Ok(None) => {
            let kept = keep(registry)?.filter(|_| !scope.signals.is_superseded());
            registry.resolve_due |= kept.is_some();
            registry.held = kept.as_ref().and_then(|revision| revision.held.clone());
            return kept.ok_or(ReconcileError::SUPERSEDED);
        }
        Ok(Some(resolved)) => Ok(resolved),
        Err(failed) => Err(failed),
    };
    (registry.resolve_due, registry.is_first) = (false, false);
    registry.answered = Some((release.generation, release.reconcile_at.clone()));
    let failed = match answer {
        Ok(resolved) => {
            (registry.stale, registry.held) = (None, None);
            let (name, offered) = (resolved.revision.clone(), resolved.digest.clone());
            let stray = resolved.stray.as_ref().zip(resolved.tag.as_ref());
            registry.stray = stray.map(|(stray, tag)| (name.clone(), said_of(stray, tag)));
            let revision = follow(scope, ledger, notes, resolved).map_err(|blocker| {
                let cause = HeldCause::WayBack(release.applied_key(offered.as_str()));
                registry.held =
                    Some(Box::new(Held { revision: name, message: blocker.message.clone(), cause }));
                Box::<RunFailure>::from(blocker)
            })?;
            let first = match scope.policy.repeats {
                true => finished_first(release, ledger, registry, &revision)?,
                false => None,
            };
            registry.is_first = first.is_some();
            let revision = first.unwrap_or(revision);
            registry.held.clone_from(&revision.held);
            rollout.wanted(Some(&revision.key));
            return Ok(revision);
        }
        Err(failed) => failed,
    };
    registry.stale = Some(Box::new((failed.reason, failed.message.clone())));
    if failed.reason == Reason::RegistryUnavailable {
        // The rest of the run may take long.
        scope.wake_when_registry_is_back(registry.access.as_ref());
    }
    let gone =
        matches!(failed.reason, Reason::ArtifactNotFound | Reason::NoMatchingTag | Reason::DigestMismatch);
    if gone {
        rollout.wanted(None);
    }
    let kept = keep(registry).inspect_err(|_| {
        // The release is frozen, which it stays until the registry offers another revision.
        let held = |known: &KnownRevision| Held {
            revision: known.name.clone(),
            message: String::new(),
            cause: HeldCause::WayBack(release.applied_key(&known.digest)),
        };
        registry.held = fallback.as_ref().map(held).map(Box::new);
    })?;
    match kept.filter(|_| ledger.complete.is_some() || !gone) {
        Some(kept) => {
            registry.held.clone_from(&kept.held);
            Ok(kept)
        }
        None => Err(failed.into()),
    }
}

/// Asks the registry; `None` when something is more urgent: a newer spec, the end of the process,
/// or drift, if a revision is applied and so the registry `can_wait`.
async fn ask(
    scope: &Scope<'_>,
    session: &Session,
    memory: &mut Memory<'_>,
    can_wait: bool,
) -> Result<Option<Resolved>, Box<RunFailure>> {
    let repository = repository(scope.release)?;
    let wanted = wanted(scope.release)?;
    let access = access(scope, session, memory.registry).await?;
    let registry = scope.env.registry.clone();
    let resolving = registry.resolve(&repository, &wanted, &access);
    match registry_wait(scope, Some(memory.seen).filter(|_| can_wait), resolving).await {
        RegistryWait::Done(Ok(resolved)) => Ok(Some(resolved)),
        RegistryWait::Done(Err(error)) => Err(failure(error.reason(), with_cure(&error))),
        RegistryWait::Preempted => Ok(None),
        RegistryWait::TimedOut => {
            let seconds = scope.release.timeout.as_secs();
            let message = format!("{} did not answer within spec.timeout ({seconds}s)", scope.release.url);
            Err(failure(Reason::RegistryUnavailable, message))
        }
    }
}

/// What the release says of a tag that does not name the digest that the spec has with it.
fn said_of(stray: &StrayTag, tag: &Tag) -> String {
    match stray {
        StrayTag::Other(digest) => {
            format!("tag {tag} names {digest}, and the release applies the digest in spec.ref.tag")
        }
        StrayTag::Gone => {
            format!("tag {tag} was not found, and the release applies the digest in spec.ref.tag")
        }
    }
}

/// Follows the answer of the registry, and notes moved tags and downgrades.
///
/// # Errors
/// That the release is frozen.
fn follow(
    scope: &Scope<'_>,
    ledger: &Ledger,
    notes: &mut Notes,
    resolved: Resolved,
) -> Result<Revision, Blocker> {
    let release = scope.release;
    let status = scope.status();
    let tag = resolved.tag.as_ref().map(|tag| tag.as_str().to_owned());
    let reported = status.last_attempted_revision.as_ref() == Some(&resolved.revision);
    let newest = resolved.digest.clone();
    let revision = destination(release, ledger, resolved)?;
    if let Some(stray) = &revision.stray {
        let ready = status.condition(condition::READY);
        let reported = ready.is_some_and(|ready| ready.message.contains(&shortened(stray)));
        notes.once(Reason::TagMismatch, stray.clone(), reported);
        return Ok(revision);
    }
    let Some(last) = ledger.last_applied(release).filter(|_| revision.way_back().is_none()) else {
        return Ok(revision);
    };
    let (Some(tag), Some(last_tag)) = (tag, last.tag()) else { return Ok(revision) };
    if tag == last_tag && newest.as_str() != last.digest {
        let message = format!("Tag {tag} moved from {} to {newest}", last.digest);
        notes.once(Reason::TagMoved, message, reported);
    }
    let step = TagStep { from: last_tag, to: &tag };
    if let Some(held) = &revision.held {
        let reported = status.held_revision.as_ref() == Some(&held.revision);
        notes.once(Reason::DowngradeRefused, held.message.clone(), reported);
    } else if step.is_back(&Facts::of(release)) {
        let message = format!(
            "Downgraded from {last_tag} to {tag}: the newest tag is older, and spec.ref.allowDowngrade is set"
        );
        notes.once(Reason::Downgraded, message, reported);
    }
    Ok(revision)
}

/// The target revision for an answer of the registry: the last healthy one, if the answer is
/// quarantined; the current one, if the answer would be a downgrade that the spec does not allow.
///
/// # Errors
/// That the release is frozen.
pub fn destination(release: &Release, ledger: &Ledger, resolved: Resolved) -> Result<Revision, Blocker> {
    let Resolved { digest, tag, revision, stray } = resolved;
    let stray = stray.zip(tag.as_ref()).map(|(stray, tag)| said_of(&stray, tag));
    // A person may have named the tag, too.
    let name = release.pin.as_ref().map_or(revision, |pin| pin.name.clone());
    let key = release.applied_key(digest.as_str());
    let revision = Revision { name, digest, key, stale: None, held: None, stray };
    let revision = steer(release, ledger, revision)?;
    if revision.held.is_some() {
        return Ok(revision);
    }
    let Some(last) = ledger.last_applied(release) else { return Ok(revision) };
    let (Some(tag), Some(from)) = (tag, last.tag()) else { return Ok(revision) };
    let step = Some(TagStep { from, to: tag.as_str() });
    match (downgrade::decide(&Facts { step, ..Facts::of(release) }), revision_of(release, last)) {
        (Decision::Wait(blocker, _), Ok(last)) => {
            let (message, cause) = (blocker.message, HeldCause::Downgrade);
            let held = Held { revision: revision.name, message, cause };
            steer(release, ledger, Revision { held: Some(Box::new(held)), ..last })
        }
        _ => Ok(revision),
    }
}

/// The revision to apply for one that is wanted: the last healthy one, if it is quarantined.
///
/// # Errors
/// That the release is frozen.
fn steer(release: &Release, ledger: &Ledger, revision: Revision) -> Result<Revision, Blocker> {
    let entry = ledger.quarantined(release, revision.digest.as_str());
    back_to(release, entry, &revision.name, None).map(|back| back.unwrap_or(revision))
}

/// The revision that is applied instead of a quarantined one, which the spec calls `name`; `last` is
/// given if it is known.
///
/// # Errors
/// That the release is frozen.
fn back_to(
    release: &Release,
    quarantined: Option<&QuarantineEntry>,
    name: &str,
    last: Option<&KnownRevision>,
) -> Result<Option<Revision>, Blocker> {
    let decision = quarantine::decide(&Facts { quarantined, ..Facts::of(release) });
    let (blocker, entry) = match (decision, quarantined) {
        (Decision::Pass, _) | (_, None) => return Ok(None),
        (Decision::Refuse(blocker), _) => return Err(blocker),
        (Decision::Wait(blocker, _), Some(entry)) => (blocker, entry),
    };
    let known = last.cloned().or_else(|| KnownRevision::named(entry.back_to.as_deref()?));
    let revision = known.and_then(|known| revision_of(release, &known).ok());
    let cause = HeldCause::WayBack(entry.key.clone());
    let held = Some(Held { revision: name.to_owned(), message: blocker.message, cause });
    Ok(revision.map(|revision| Revision { held: held.map(Box::new), ..revision }))
}

/// The revision whose rollout is finished before the newest one, which would have to wait.
///
/// # Errors
/// As for [`kept`].
fn finished_first(
    release: &Release,
    ledger: &Ledger,
    registry: &mut RegistryCache,
    newest: &Revision,
) -> Result<Option<Revision>, ReconcileError> {
    // A person who pins a revision wants it instead of what has begun.
    let is_new = newest.held.is_none() && release.pin.is_none();
    let waits = is_new && release.holds_back(newest.digest.as_str(), Timestamp::now());
    let Some(known) =
        ledger.unfinished(release).filter(|known| waits && known.digest != newest.digest.as_str())
    else {
        return Ok(None);
    };
    let first = kept(release, ledger, registry, &known)?;
    if registry.has_given_up(release, &first.key) {
        return Ok(None);
    }
    if first.held.is_some() {
        return Ok(Some(first));
    }
    let message = format!("revision {} follows when this rollout has ended", newest.name);
    let held = Held { revision: newest.name.clone(), message, cause: HeldCause::Later };
    Ok(Some(Revision { held: Some(Box::new(held)), ..first }))
}

/// A revision that is kept without an answer of the registry.
///
/// # Errors
/// That the release is frozen.
fn kept(
    release: &Release,
    ledger: &Ledger,
    registry: &RegistryCache,
    known: &KnownRevision,
) -> Result<Revision, ReconcileError> {
    let revision = Revision { stale: registry.stale.as_deref().cloned(), ..revision_of(release, known)? };
    let back = match ledger.quarantined(release, &known.digest) {
        Some(entry) => back_to(release, Some(entry), &known.name, None),
        // The process that went back may have ended.
        None => match ledger.stands_in_for(release, &known.digest) {
            Some((entry, failed)) => back_to(release, Some(entry), &failed.name, Some(known)),
            None => Ok(None),
        },
    };
    match back? {
        Some(back) => Ok(Revision { stale: revision.stale, ..back }),
        None => {
            let held = registry.held.clone().filter(|held| held.cause == HeldCause::Downgrade);
            let stray = registry.stray.clone().filter(|(name, _)| *name == revision.name);
            Ok(Revision { held, stray: stray.map(|(_, said)| said), ..revision })
        }
    }
}

/// A revision by its names.
///
/// # Errors
/// When it has no digest; the ledger has only revisions with digests.
pub fn revision_of(release: &Release, known: &KnownRevision) -> Result<Revision, Box<RunFailure>> {
    let digest = Digest::parse(&known.digest).map_err(|e| failure(e.reason(), e.to_string()))?;
    let (name, key) = (known.name.clone(), release.applied_key(&known.digest));
    Ok(Revision { name, digest, key, stale: None, held: None, stray: None })
}

/// Whether the registry has answered for the current spec and for the last requested run.
pub fn is_answered(release: &Release, registry: &RegistryCache) -> bool {
    let answered = registry.answered.as_ref();
    answered.is_some_and(|(of, asked)| *of == release.generation && *asked == release.reconcile_at)
}
