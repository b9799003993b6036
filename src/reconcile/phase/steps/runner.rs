//! Runs steps: each action is decided from the record and the object, so that a run which was cut
//! off at any point goes on there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::ledger::StepLedger;
use super::object::{StepObjects, about};
use super::pause::{GOING, RECHECK, StepPause, patience};
use crate::api::keys;
use crate::api::reason::Reason;
use crate::api::step::StepOutcome;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate};
use crate::domain::message::List;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::steps::{StepAction, StepCleanup, StepFacts, next, run_name};
use crate::domain::plan::{Step, in_waves};
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::phase::inventory::finalizer_policy;
use crate::reconcile::phase::plan::ownership::check_taken;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::Update;

/// How many actions on a step follow one another without a pause.
const ACTIONS: usize = 16;

/// The result of steps.
#[derive(Default)]
pub struct Stepped {
    /// The fates of their objects.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// The steps that have failed.
    pub failures: Vec<ObjectFailure>,
}

/// How far a step is.
enum StepProgress {
    /// It is waited for, so long at most without a look.
    Pending(Duration),
    /// It is done.
    Done,
    /// It has failed.
    Failed(ObjectFailure),
}

/// Runs steps of one revision.
pub struct StepRunner<'r> {
    /// The run.
    pub scope: &'r Scope<'r>,
    /// The inventory, and what is known of its objects.
    pub cluster: &'r mut ClusterCache,
    /// The revision.
    pub update: &'r Update<'r>,
    /// The kinds that the cluster serves.
    pub discovery: &'r Arc<ApiDiscovery>,
    /// The records of the release.
    pub ledger: StepLedger<'r>,
    /// The objects of steps.
    pub objects: StepObjects<'r>,
    /// The wait for them.
    pub pause: StepPause<'r>,
    /// The steps whose object is deleted.
    pub gone: BTreeSet<ObjectId>,
    /// What has ended the run early; the steps go on in the next one.
    pub ended: Option<ReconcileError>,
}

impl StepRunner<'_> {
    /// Runs steps wave by wave, until one of a wave has failed. `when` says when they run.
    ///
    /// # Errors
    /// When the API server or another client prevents it.
    pub async fn run(&mut self, steps: &[&Step], when: &str) -> Result<Stepped, ReconcileError> {
        let mut all = Stepped::default();
        for wave in in_waves(steps) {
            let Stepped { fates, failures } = self.run_together(&wave, when).await?;
            all.fates.extend(fates);
            all.failures.extend(failures);
            if !all.failures.is_empty() || self.ended.is_some() {
                break;
            }
        }
        Ok(all)
    }

    /// Runs the steps of one wave together, and waits until each has an outcome.
    async fn run_together(&mut self, steps: &[&Step], when: &str) -> Result<Stepped, ReconcileError> {
        let mut failures = BTreeMap::new();
        let mut open: Vec<&Step> = steps.to_vec();
        while !open.is_empty() {
            let mut pause = RECHECK;
            for step in std::mem::take(&mut open) {
                match self.advance(step).await? {
                    StepProgress::Done => {}
                    StepProgress::Failed(failure) => drop(failures.insert(step.id.clone(), failure)),
                    StepProgress::Pending(most) => {
                        pause = pause.min(most);
                        open.push(step);
                    }
                }
            }
            if open.is_empty() {
                break;
            }
            let name = &self.update.revision.name;
            let waits = format!("Waiting for steps {when}: {} (revision {name})", names(&open));
            self.scope.write_progress(Some(name), &waits).await;
            let ids: BTreeSet<ObjectId> = open.iter().map(|s| s.id.clone()).collect();
            if !self.pause.wait(self.cluster, &ids, pause).await {
                self.ended = Some(ReconcileError::SUPERSEDED);
                break;
            }
        }
        let fates = steps.iter().filter_map(|step| Some((step.id.clone(), self.fate(step)?))).collect();
        Ok(Stepped { fates, failures: failures.into_values().collect() })
    }

    /// Takes all actions on a step that can be taken now.
    async fn advance(&mut self, step: &Step) -> Result<StepProgress, ReconcileError> {
        let Some((policy, hold)) = &step.once else { return Ok(StepProgress::Done) };
        let Some(resource) = self.discovery.resource(&step.id.group_kind(), &step.version) else {
            let (api_version, kind) = (step.object.api_version().to_owned(), step.id.kind.clone());
            return Err(ApiError::NoSuchKind { api_version, kind }.into());
        };
        let (objects, release, key) = (self.objects, self.scope.release, &self.update.revision.key);
        for _ in 0..ACTIONS {
            let (live, object) = objects.look(&resource, &step.id, key).await?;
            let completed = self.cluster.ended(&step.id);
            let record = self.ledger.of(&step.id).cloned();
            let facts = StepFacts {
                record: record.as_ref(),
                live: &live,
                completed: completed.as_deref(),
                holds: hold.holds(),
                retries: policy.retries,
                timeout: policy.timeout.unwrap_or(release.timeout),
                requested: release.reconcile_at.as_deref(),
                counts_as_done: release.steps_done.as_deref() == Some(self.update.revision.digest.as_str()),
                now: Timestamp::now(),
            };
            match next(&facts) {
                StepAction::Start { attempt, retried } => {
                    self.name(step).await?;
                    let started = self.ledger.started(step, attempt, retried);
                    self.ledger.begin(started).await?;
                    self.create(step, &resource, attempt).await?;
                }
                StepAction::Create => {
                    let attempt = record.map_or(1, |record| record.attempt);
                    self.name(step).await?;
                    self.create(step, &resource, attempt).await?;
                }
                StepAction::Confirm { uid, attempt } => {
                    let mut known = record.unwrap_or_else(|| self.ledger.started(step, attempt, 0));
                    if live.is_held() {
                        // It has waited for this process until now: its time begins here.
                        known.started_at = self.ledger.started(step, attempt, 0).started_at;
                    }
                    self.name(step).await?;
                    self.ledger.confirm(known, uid).await?;
                }
                StepAction::Release { uid } => match hold.release(&uid) {
                    Some(patch) => objects.patch(&resource, &step.id, &patch).await?,
                    // Its manifest holds it: a queue or a person releases it.
                    None => {
                        return Ok(StepProgress::Pending(patience(self.cluster, &step.id, record.as_ref())));
                    }
                },
                StepAction::Remove { uid } => {
                    if !objects.delete(&resource, &step.id, &uid).await? {
                        return Ok(StepProgress::Pending(GOING));
                    }
                }
                StepAction::Await(_) => {
                    return Ok(StepProgress::Pending(patience(self.cluster, &step.id, record.as_ref())));
                }
                StepAction::Record(outcome, message) => {
                    let known = record.unwrap_or_else(|| self.ledger.started(step, 0, 0));
                    self.ledger.settle(known, outcome, message).await?;
                }
                StepAction::Done => {
                    let succeeded = record.is_some_and(|r| r.outcome == StepOutcome::Succeeded);
                    let goes = match policy.cleanup {
                        StepCleanup::Never => false,
                        StepCleanup::OnSuccess => succeeded,
                        StepCleanup::Always => true,
                    };
                    if objects.finish(&resource, &step.id, (&live, object.as_ref()), (hold, goes)).await? {
                        self.gone.insert(step.id.clone());
                    }
                    return Ok(StepProgress::Done);
                }
                StepAction::Fail(outcome, why) => {
                    // What takes too long must not go on behind everyone's back.
                    let goes = outcome == StepOutcome::TimedOut || policy.cleanup == StepCleanup::Always;
                    if objects.finish(&resource, &step.id, (&live, object.as_ref()), (hold, goes)).await? {
                        self.gone.insert(step.id.clone());
                    }
                    return Ok(StepProgress::Failed(self.failed(step, outcome, &why)));
                }
                StepAction::Refuse => {
                    let message = "an object of that name exists and does not belong to the release: delete or \
                                   rename one of the two";
                    let (id, reason) = (step.id.clone(), Reason::OwnershipConflict);
                    return Ok(StepProgress::Failed(ObjectFailure {
                        id,
                        reason,
                        message: message.to_owned(),
                    }));
                }
            }
        }
        Ok(StepProgress::Pending(GOING))
    }

    /// Names the object in the inventory, before it is created.
    async fn name(&mut self, step: &Step) -> Result<(), ReconcileError> {
        let Scope { env, release, .. } = *self.scope;
        let taken = env.target.claims.reserve(&release.id, [&step.id].into_iter());
        check_taken(self.scope, self.update.session, &taken).await?;
        let finalizer = finalizer_policy(self.scope, self.cluster);
        let Some(mut stored) = self.cluster.stored.take() else {
            return Err(ReconcileError::InventoryConflict);
        };
        let expected = [(&step.id, step.version.as_str(), true)];
        if let Some(ahead) = stored.inventory.with_expected(expected.into_iter(), true) {
            env.session.write_inventory(&release.id, &mut stored, ahead, finalizer).await?;
        }
        self.cluster.remember(env, &release.id, stored);
        Ok(())
    }

    /// Creates the object. A refusal takes the record back where nothing else shows that it has not
    /// run.
    async fn create(&mut self, step: &Step, resource: &Resource, attempt: i32) -> Result<(), ReconcileError> {
        let run = run_name(&self.update.revision.key, attempt);
        let Err(error) = self.objects.create(resource, &step.id, step.object.clone(), &run).await else {
            return Ok(());
        };
        let is_held = step.once.as_ref().is_some_and(|(_, hold)| hold.holds());
        if error.status().is_some() && !error.is_transient() && !is_held {
            self.ledger.withdraw(&step.id).await?;
        }
        Err(about(&step.id, &error))
    }

    /// The entry of a step that is over.
    fn fate(&self, step: &Step) -> Option<Fate> {
        let record = self.ledger.of(&step.id)?;
        if record.outcome == StepOutcome::Started {
            return None;
        }
        let uid = record.uid.clone().filter(|_| !self.gone.contains(&step.id));
        let Some(uid) = uid else { return Some(Fate::Gone) };
        Some(Fate::Applied(Entry {
            version: step.version.clone(),
            uid: Some(uid),
            hash: Some(step.hash.clone()),
            fields: None,
            retained: false,
            done: true,
        }))
    }

    fn failed(&self, step: &Step, outcome: StepOutcome, why: &str) -> ObjectFailure {
        let release = &self.scope.release.id;
        let (name, namespace) = (&release.name, &release.namespace);
        let again = format!("`supercargo reconcile release {name} -n {namespace}`");
        let message = match outcome {
            StepOutcome::Unknown => format!(
                "{why}, it may have run; run it again with {again}, or count it as done: `kubectl -n {namespace} \
                 annotate --overwrite oar {name} {}={}`",
                keys::STEPS_DONE,
                self.update.revision.digest
            ),
            _ => format!("{why}; publish another revision, or run it again with {again}"),
        };
        ObjectFailure { id: step.id.clone(), reason: Reason::StepFailed, message }
    }
}

fn names(steps: &[&Step]) -> String {
    List::Names.few(steps.iter().map(|s| &s.id).collect::<Vec<_>>(), 3)
}
