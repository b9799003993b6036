//! One run of a release: resolve, look, decide, act, tell.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::status::{ArtifactStatus, ReleaseStatus};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::{Hold, StoreError, Stored};
use crate::cluster::session::Session;
use crate::domain::inventory::Inventory;
use crate::domain::outcome::{Assessment, Outcome, Verdict};
use crate::domain::release::{Origin, Release};
use crate::domain::status;
use crate::observe::metrics::Spent;
use crate::oci::Digest;
use crate::reconcile::env::returning::Returning;
use crate::reconcile::env::worker::Turn;
use crate::reconcile::env::{Context, Memory};
use crate::reconcile::frontend::command_line::refuse_another_tools;
use crate::reconcile::live::view::{drop_unused_watches, unwatched};
use crate::reconcile::phase::admit::evidence::Admission;
use crate::reconcile::phase::work;
use crate::reconcile::scope::progress::Progress;
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::source::access::{self, Failure, chain, failure};

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
    /// What is applied is put back beside a newer revision: nothing is told of the
    /// release meanwhile.
    Restore,
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
                    self.restore_after(&mut outcome).await;
                    self.leave_open(&mut outcome);
                    drop_unused_watches(self.memory);
                    self.let_go(&outcome);
                    outcome.fetch_failed = self.fetch_failure(&outcome);
                    if !outcome.verdict.is_silent() {
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

    /// Waits no longer for objects of others unless it was just found that it has to:
    /// who keeps one for it would wait in vain.
    fn let_go(&self, outcome: &Outcome) {
        if !outcome.verdict.is_silent() && outcome.reason() != Some(Reason::OwnershipConflict) {
            self.context.wake(self.context.claims.want_nothing(&self.release.id));
        }
    }

    /// A registry or an API server that was away for this run tells when it is back.
    fn await_return(&self, outcome: &Outcome) {
        if self.release.origin != Origin::Resource {
            return;
        }
        match outcome.reason() {
            Some(Reason::ApiServerUnavailable) => {
                Returning::wait_for_api(&self.context.session, &self.release.id, &self.context.wake);
            }
            Some(Reason::RegistryUnavailable) => self.await_registry(),
            _ => {}
        }
    }

    /// Is told when the registry is back that was just found to be away.
    pub fn await_registry(&self) {
        let Context { registry, wake, returning, .. } = self.context;
        let way = (access::repository(self.release), self.memory.access.as_ref());
        if let (Origin::Resource, (Ok(repository), Some(access))) = (self.release.origin, way) {
            returning.wait((registry, repository, access), &self.release.id, wake);
        }
    }

    /// How its inventory is written.
    pub fn hold(&self) -> Hold {
        let held = self.memory.stored.as_ref().is_some_and(|s| s.operators);
        match self.release.origin {
            Origin::CommandLine if !held => Hold::Loose,
            Origin::CommandLine | Origin::Resource => Hold::Finalizer,
        }
    }

    /// Writes once, at most, what the run waits for; `revision` is the one that it
    /// brings, once it is known.
    pub async fn accept(&mut self, revision: Option<&str>, message: &str) {
        if self.release.origin == Origin::CommandLine || self.trigger == Trigger::Restore {
            return;
        }
        let waiting = status::waiting(&self.status, self.release, revision, message, Timestamp::now());
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
        if self.trigger == Trigger::Full {
            self.memory.rollout.wait_anew();
        }
        let asked = self.is_asked();
        if self.release.suspend && !asked {
            return Ok(Box::new(Outcome { verdict: Verdict::Suspended, ..Outcome::default() }));
        }
        // What is applied of a registry that is not allowed any more stays as it is.
        access::check_registry(&self.context.allowed, self.release)?;
        let session = self.session()?;
        if asked || self.status.observed_generation != Some(self.release.generation) {
            // A person may have written or restored its inventory.
            self.memory.stored = None;
        }
        self.load_inventory().await?;
        self.refuse_strange_inventory()?;
        self.remember_ended().await?;
        if let Some(outcome) = self.restore_first().await? {
            return Ok(outcome);
        }
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
        self.memory.ask_pods(session, &known, &look.pods).await;
        self.remember_ended().await?;
        let memory = &mut *self.memory;
        memory.drifted.retain(|id| {
            look.drifted.iter().any(|(drifted, _)| drifted == id) || memory.contests.contains_key(id)
        });
        let settled = self.memory.inventory.applied.as_deref() == Some(revision.key.as_str());
        let healthy =
            !self.release.wait || self.status.last_healthy_revision.as_ref() == Some(&revision.name);
        let pinned = self.memory.pinned.as_ref().is_some_and(|p| p.is_of(revision, admission.images()));
        let imaged = pinned || admission.images().is_none();
        let whole = look.drifted.is_empty() && !(look.missing && self.is_asked());
        // The same digest under another tag: which one it was decides what a step back is.
        let named = self.last_applied().is_none_or(|(name, _)| name == revision.name);
        if settled && healthy && imaged && whole && named && !look.leftovers && !look.unmade && !look.unseen {
            self.check_health(session, &known, revision).await;
            return Ok(Box::new(self.quiet(revision)));
        }
        access::check_account(self.context, session, self.release).await?;
        work::work(self, session, known, revision, admission).await
    }

    /// Whether a person asks for this run.
    pub fn is_asked(&self) -> bool {
        self.release.is_asked(self.status.last_handled_reconcile_at.as_deref())
    }

    /// The API server as the release's identity. What was remembered of another
    /// identity is forgotten.
    pub fn session(&mut self) -> Result<Session, Ended> {
        let identity = self.context.identity(self.release);
        if self.memory.identity.as_ref() != Some(&identity) {
            self.memory.watches.clear();
            self.memory.secrets.clear();
            self.memory.account = None;
            self.memory.access = None;
            self.memory.checkup = None;
            self.memory.identity = Some(identity.clone());
        }
        Ok(self.context.session.impersonate(identity)?.on_behalf_of(&self.release.id.namespace))
    }

    pub async fn load_inventory(&mut self) -> Result<(), Ended> {
        if self.memory.stored.is_none() {
            self.read_inventory().await?;
        }
        Ok(())
    }

    /// Reads it, and adds what is remembered of what somebody has removed of it: that
    /// is not forgotten, and the next write makes it anew.
    pub async fn read_inventory(&mut self) -> Result<(), Ended> {
        let mut stored = self.context.session.read_inventory(&self.release.id).await?;
        if !stored.is_whole() && !self.memory.inventory.entries.is_empty() {
            let mut known = Inventory::clone(&self.memory.inventory).unattributed();
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

    /// The outcome of a run that found everything as it should be.
    fn quiet(&mut self, revision: &Revision) -> Outcome {
        // While a fight is on, the condition that says so stays.
        let contested = self.memory.next_correction(Timestamp::now()).is_some();
        let drift = (self.release.drift != DriftMode::Off && !contested).then(|| self.in_sync());
        let mut outcome = Outcome {
            verdict: self.verdict(revision, self.memory.inventory.claimed().count(), ""),
            artifact: Some(artifact_status(revision)),
            entries: Some(self.memory.inventory.entries.len()),
            drift,
            applied: true,
            ..Outcome::default()
        };
        if let Some(checkup) = &mut self.memory.checkup {
            checkup.tell(&mut outcome);
        }
        outcome
    }

    /// Nothing differs; says so, and how well that is known.
    pub fn in_sync(&self) -> Assessment {
        let identity = || self.memory.identity.as_ref().map(ToString::to_string).unwrap_or_default();
        // Where drift is corrected, those were just applied.
        if let (DriftMode::Report, Some(first)) = (self.release.drift, self.memory.unread.first()) {
            let more = match self.memory.unread.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message =
                format!("{} may not get {first}{more}: whether they were changed is not known", identity());
            return Assessment { status: None, reason: Reason::AccessDenied, message };
        }
        let (denied, behind) = unwatched(self.memory);
        let list = |kinds: BTreeSet<&str>| kinds.into_iter().collect::<Vec<_>>().join(", ");
        let mut why = Vec::new();
        if !denied.is_empty() {
            why.push(format!("{} may not list and watch {}", identity(), list(denied)));
        }
        if !behind.is_empty() {
            why.push(format!("the API server does not answer the watch of {}", list(behind)));
        }
        let message = match why.is_empty() {
            true => "every object is as it was applied".to_owned(),
            false => format!(
                "every object is as it was applied; looked at only at the interval, because {}",
                why.join(", and ")
            ),
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
            Some((Reason::RegistryUnavailable, why))
                if self.is_wanted(&revision.name, revision.digest.as_str()) =>
            {
                Verdict::Ready {
                    message: format!("{message}; whether there is a newer one is not known: {why}"),
                }
            }
            Some((reason, why)) => Verdict::Failed {
                reason: *reason,
                message: format!("{why}; revision {} stays applied", revision.name),
            },
        }
    }
}

/// The artifact, as far as its revision tells.
pub fn artifact_status(revision: &Revision) -> ArtifactStatus {
    ArtifactStatus {
        revision: revision.name.clone(),
        digest: revision.digest.as_str().to_owned(),
        ..ArtifactStatus::default()
    }
}
