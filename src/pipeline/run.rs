//! One run of a release: resolve, look, decide, act, tell.

use std::sync::Arc;

use jiff::Timestamp;

use super::acquire::{self, Failure, chain, failure};
use super::context::{Context, Memory};
use super::local::refuse_another_tools;
use super::places::Turn;
use super::progress::Progress;
use super::returning::Returning;
use super::signals::Signals;
use super::trust::Admission;
use super::view::{View, drop_unused_watches, unwatched};
use super::work;
use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::status::{ArtifactStatus, ReleaseStatus};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::{Hold, StoreError, Stored};
use crate::cluster::session::Session;
use crate::domain::drift::{Disturbance, disturbance};
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Inventory;
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::plan::Live;
use crate::domain::release::{Origin, Release};
use crate::domain::status;
use crate::observe::metrics::Spent;
use crate::oci::Digest;

/// How often a run begins anew because somebody wrote the inventory under it.
const ATTEMPTS: usize = 3;

/// A run.
pub struct Run<'a> {
    /// What all releases share.
    pub context: &'a Context,
    /// The release.
    pub release: &'a Release,
    /// What it remembers.
    pub memory: &'a mut Memory,
    /// What reaches it meanwhile.
    pub signals: &'a Signals,
    /// Its place among the runs that work.
    pub turn: &'a mut Turn,
    /// The status in the cluster.
    pub status: ReleaseStatus,
    /// What it is for.
    pub trigger: Trigger,
    /// Who listens.
    pub progress: &'a dyn Progress,
    /// What it spends on its phases.
    pub spent: Spent,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Everything: the reference is resolved anew.
    Full,
    /// Only objects were seen to change: if a revision is applied, the registry
    /// is not asked.
    Objects,
}

/// The revision that a run is about.
#[derive(Clone, Debug)]
pub struct Revision {
    /// `tag@digest`, or the digest.
    pub name: String,
    /// The digest.
    pub digest: Digest,
    /// Names digest and rendering options.
    pub key: String,
    /// Why the registry was not asked, when it could not be.
    pub stale: Option<(Reason, String)>,
    /// Why it stays although the range has another newest tag.
    pub held: Option<String>,
}

/// What ends an attempt early.
pub enum Ended {
    /// With an outcome.
    Failed(Failure),
    /// The inventory was written by somebody else: read it and begin anew.
    Again,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Changed { .. } => Self::Again,
            other => Self::Failed(failure(other.reason(), chain(&other))),
        }
    }
}

impl From<ApiError> for Ended {
    fn from(error: ApiError) -> Self {
        Self::Failed(failure(error.reason(), chain(&error)))
    }
}

impl Run<'_> {
    /// Runs, and says what came of it. Every error is folded into the outcome.
    pub async fn reconcile(&mut self) -> Outcome {
        for _ in 0..ATTEMPTS {
            match Box::pin(self.attempt()).await {
                Ok(mut outcome) | Err(Ended::Failed(mut outcome)) => {
                    drop_unused_watches(self.memory);
                    if outcome.verdict != Verdict::Superseded {
                        outcome.notes.append(&mut self.memory.notes);
                    }
                    self.await_return(&outcome);
                    return *outcome;
                }
                Err(Ended::Again) => self.memory.stored = None,
            }
        }
        let name = status::inventory_name(&self.release.id.name);
        let message = format!("the inventory {name} is written by somebody else at the same time");
        Outcome::failed(Reason::ApiServerUnavailable, message)
    }

    /// A registry or an API server that was away for this run tells when it is back.
    fn await_return(&self, outcome: &Outcome) {
        if self.release.origin != Origin::Resource {
            return;
        }
        let Context { session, registry, wake, returning, .. } = self.context;
        let stale = self.memory.stale.as_ref().map(|(reason, _)| *reason);
        match outcome.reason().or(stale) {
            Some(Reason::ApiServerUnavailable) => Returning::wait_for_api(session, &self.release.id, wake),
            Some(Reason::RegistryUnavailable) => {
                let way = (acquire::repository(self.release), self.memory.access.as_ref());
                if let (Ok(repository), Some(access)) = way {
                    returning.wait((registry, repository, access), &self.release.id, wake);
                }
            }
            _ => {}
        }
    }

    /// How its inventory is written.
    pub(super) fn hold(&self) -> Hold {
        let held = self.memory.stored.as_ref().is_some_and(|s| s.operators);
        match self.release.origin {
            Origin::CommandLine if !held => Hold::Loose,
            Origin::CommandLine | Origin::Resource => Hold::Finalizer,
        }
    }

    /// Writes once, at most, what the run waits for.
    pub async fn accept(&mut self, message: &str) {
        if self.release.origin == Origin::CommandLine {
            return;
        }
        let waiting = status::waiting(&self.status, self.release, message, Timestamp::now());
        if waiting == self.status {
            return;
        }
        let written = self.context.session.write_status(&self.release.id, &self.release.uid, &waiting).await;
        match written {
            Ok(()) => {
                self.context.metrics.release_told(&self.release.id, self.release.suspend, &waiting);
                self.status = waiting;
            }
            Err(error) => tracing::debug!(error = chain(&error), "the status could not be written"),
        }
    }

    async fn attempt(&mut self) -> Result<Box<Outcome>, Ended> {
        if self.release.suspend && self.status.last_handled_reconcile_at == self.release.reconcile_at {
            return Ok(Box::new(Outcome { verdict: Verdict::Suspended, ..Outcome::default() }));
        }
        // What is applied of a registry that is not allowed any more stays as it is.
        acquire::check_registry(&self.context.allowed, self.release)?;
        let session = self.session()?;
        let asked = self.status.last_handled_reconcile_at != self.release.reconcile_at;
        if asked || self.status.observed_generation != Some(self.release.generation) {
            // A person may have written or restored its inventory.
            self.memory.stored = None;
        }
        self.load_inventory().await?;
        self.refuse_strange_inventory()?;
        let revision = self.resolve(&session).await?;
        tracing::Span::current().record("revision", revision.name.as_str());
        // Before anything of the artifact is looked at, and before drift is: what is
        // not trusted any more is not put back either.
        let admission = self.admission(&session, &revision).await?;
        let mut ended = self.bring_about(&session, &revision, &admission).await;
        if let Ok(outcome) | Err(Ended::Failed(outcome)) = &mut ended {
            let pinned = self.memory.pinned.as_ref().filter(|p| p.is_of(&revision, admission.images()));
            admission.tell(pinned, outcome);
        }
        ended
    }

    /// Does what is left to do for a revision that is trusted.
    async fn bring_about(
        &mut self,
        session: &Session,
        revision: &Revision,
        admission: &Admission,
    ) -> Result<Box<Outcome>, Ended> {
        let known = session.known().await?;
        let look = self.look(session, &known).await?;
        let memory = &mut *self.memory;
        memory.drifted.retain(|id| {
            look.drifted.iter().any(|(drifted, _)| drifted == id) || memory.contests.contains_key(id)
        });
        let settled = self.memory.inventory.applied.as_deref() == Some(revision.key.as_str());
        let healthy =
            !self.release.wait || self.status.last_healthy_revision.as_ref() == Some(&revision.name);
        let pinned = self.memory.pinned.as_ref().is_some_and(|p| p.is_of(revision, admission.images()));
        let imaged = pinned || admission.images().is_none();
        if settled && healthy && imaged && look.drifted.is_empty() && !look.leftovers {
            return Ok(Box::new(self.quiet(revision)));
        }
        acquire::check_account(self.context, session, self.release).await?;
        work::work(self, session, known, revision, admission).await
    }

    /// The API server as the release's identity. What was remembered of another
    /// identity is forgotten.
    fn session(&mut self) -> Result<Session, Ended> {
        let identity = self.context.identity(self.release);
        if self.memory.identity.as_ref() != Some(&identity) {
            self.memory.watches.clear();
            self.memory.secrets.clear();
            self.memory.account = None;
            self.memory.access = None;
            self.memory.identity = Some(identity.clone());
        }
        Ok(self.context.session.impersonate(identity)?.on_behalf_of(&self.release.id.namespace))
    }

    pub(super) async fn load_inventory(&mut self) -> Result<(), Ended> {
        if self.memory.stored.is_none() {
            self.read_inventory().await?;
        }
        Ok(())
    }

    /// Reads it, and adds what is remembered of what somebody has removed of it: that
    /// is not forgotten, and the next write makes it anew.
    pub(super) async fn read_inventory(&mut self) -> Result<(), Ended> {
        let mut stored = self.context.session.read_inventory(&self.release.id).await?;
        if !stored.is_whole() && !self.memory.inventory.entries.is_empty() {
            let mut known = Inventory { applied: None, ..Inventory::clone(&self.memory.inventory) };
            known.entries.extend(stored.inventory.entries.iter().map(|(id, e)| (id.clone(), e.clone())));
            stored.inventory = Arc::new(known);
        }
        self.memory.remember(self.context, &self.release.id, stored);
        Ok(())
    }

    /// Another tool's inventory of the same name is taken over only when a person
    /// says so, as on the command line.
    fn refuse_strange_inventory(&mut self) -> Result<(), Ended> {
        let Some(stored) = self.memory.stored.take_if(|s| s.exists() && !s.is_ours()) else { return Ok(()) };
        // What it names is not the release's either. It is read again by the next
        // run: the person may have said so by then.
        self.memory.remember(self.context, &self.release.id, Stored::default());
        self.memory.stored = None;
        Ok(refuse_another_tools(&self.release.id, &stored)?)
    }

    /// What is not as the last apply left it.
    async fn look(
        &mut self,
        session: &Session,
        known: &Arc<crate::cluster::discovery::Known>,
    ) -> Result<Look, Ended> {
        let inventory = Arc::clone(&self.memory.inventory);
        let view = View::of(self.context, session, self.memory, known, inventory.entries.keys()).await?;
        let mut look = Look::default();
        let now = Timestamp::now();
        for (id, entry) in &inventory.entries {
            let record = view.record(id);
            if entry.left {
                let opted_out = record.as_ref().is_some_and(|r| r.prune_disabled);
                let taken = record.as_ref().is_some_and(|r| r.owner.as_ref() != Some(&self.release.id));
                look.leftovers |= record.is_none() || taken || (self.release.prune && !opted_out);
                continue;
            }
            // A complete result knows every uid: somebody else wrote this one.
            look.leftovers |= entry.uid.is_none();
            let applied = self.memory.versions.get(id).copied().unwrap_or_default();
            if record.as_ref().is_some_and(|r| r.version >= applied) {
                self.memory.versions.remove(id);
            }
            let held_back = self.memory.contests.get(id).is_some_and(|c| c.paused_until(now).is_some());
            let drifts = self.release.drift != DriftMode::Off && view.known(id) && !held_back;
            if let Some(how) = disturbance(entry, record.as_ref(), applied).filter(|_| drifts) {
                look.drifted.push((id.clone(), how));
            }
        }
        Ok(look)
    }

    /// The outcome of a run that found everything as it should be.
    fn quiet(&self, revision: &Revision) -> Outcome {
        // While a fight is on, the condition that says so stays.
        let contested = self.memory.next_correction(Timestamp::now()).is_some();
        let drift = (self.release.drift != DriftMode::Off && !contested).then(|| self.in_sync());
        Outcome {
            verdict: self.verdict(revision, self.memory.inventory.claimed().count(), ""),
            artifact: Some(artifact_status(revision)),
            entries: Some(self.memory.inventory.entries.len()),
            drift,
            applied: true,
            ..Outcome::default()
        }
    }

    /// Nothing differs; says so, and how well that is known.
    pub fn in_sync(&self) -> Assessment {
        let message = match unwatched(self.memory).as_slice() {
            [] => "every object is as it was applied".to_owned(),
            kinds => {
                let names: Vec<&str> = kinds.iter().map(|(plural, _)| plural.as_str()).collect();
                format!(
                    "every object is as it was applied; looked at only at the interval, because {} may not list and watch {}",
                    self.memory.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
                    names.join(", "),
                )
            }
        };
        Assessment { status: Some(false), reason: Reason::InSync, message }
    }

    /// Ready, unless the registry refused us rather than being away.
    pub fn verdict(&self, revision: &Revision, entries: usize, rest: &str) -> Verdict {
        let objects = if entries == 1 { "1 object".to_owned() } else { format!("{entries} objects") };
        let mut message = format!("applied {objects} of revision {}{rest}", revision.name);
        if let Some(held) = &revision.held {
            message.push_str(&format!("; {held}"));
        }
        match &revision.stale {
            None => Verdict::Ready { message },
            Some((Reason::RegistryUnavailable, why)) => Verdict::Ready {
                message: format!("{message}; whether there is a newer one is not known: {why}"),
            },
            Some((reason, why)) => Verdict::Failed {
                reason: *reason,
                message: format!("{why}; revision {} stays applied", revision.name),
            },
        }
    }
}

/// What a look at the inventory's objects found.
#[derive(Default)]
struct Look {
    drifted: Vec<(ObjectId, Disturbance)>,
    /// Whether an object that was left may be deleted now, or is gone.
    leftovers: bool,
}

/// The artifact, as far as its revision tells.
pub fn artifact_status(revision: &Revision) -> ArtifactStatus {
    ArtifactStatus {
        revision: revision.name.clone(),
        digest: revision.digest.as_str().to_owned(),
        ..ArtifactStatus::default()
    }
}
