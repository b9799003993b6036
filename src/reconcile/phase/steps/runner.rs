//! Runs steps: each action is decided from the record and the object, so that a run which was cut
//! off at any point goes on there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use super::ledger::StepLedger;
use crate::api::keys;
use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::api::step::{StepOutcome, StepPhase, StepStatus};
use crate::cluster::delete::Deleted;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::events::ReleaseEventNote;
use crate::domain::health::RuleSet;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate};
use crate::domain::message::List;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::Step;
use crate::domain::steps::{
    Hold, LiveStep, StepAction, StepCleanup, StepFacts, id_of, next, of_older, put, run_name,
};
use crate::observe::labels::StepResult;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::drift::DriftCache;
use crate::reconcile::error::{ReconcileError, chain, failure};
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::live::watched::is_watched;
use crate::reconcile::phase::inventory::finalizer_policy;
use crate::reconcile::phase::plan::ownership::check_taken;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::Update;

/// How often running objects are read without an event: with a watch, and without one.
const RECHECK: Duration = Duration::from_secs(30);
const BLIND: Duration = Duration::from_secs(2);
/// How often deletion of an object that is in the way is looked at.
const GOING: Duration = Duration::from_secs(1);
/// How many actions on a step follow one another without a pause.
const ACTIONS: usize = 16;

/// The result of steps.
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
    /// The delayed corrections of drift.
    pub drift: &'r DriftCache,
    /// The revision.
    pub update: &'r Update<'r>,
    /// The kinds that the cluster serves.
    pub discovery: &'r Arc<ApiDiscovery>,
    /// The records of the release.
    pub ledger: StepLedger<'r>,
    /// The applied objects, without steps, as their applies left them.
    pub entries: HashMap<ObjectId, Entry>,
    /// What has ended the run early; the steps go on in the next one.
    pub ended: Option<ReconcileError>,
}

impl StepRunner<'_> {
    /// Runs steps together, and waits until each has an outcome. `when` says when they run.
    ///
    /// # Errors
    /// When the API server or another client prevents it.
    pub async fn run(&mut self, steps: &[&Step], when: &str) -> Result<Stepped, ReconcileError> {
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
            if !self.pause(&ids, pause).await {
                self.ended = Some(ReconcileError::SUPERSEDED);
                break;
            }
        }
        let fates = steps.iter().filter_map(|step| Some((step.id.clone(), self.fate(step)?))).collect();
        Ok(Stepped { fates, failures: failures.into_values().collect() })
    }

    /// Waits until the steps of earlier revisions have an outcome.
    ///
    /// # Errors
    /// As [`StepRunner::run`]; also when something is more urgent.
    pub async fn end_older(&mut self) -> Result<(), ReconcileError> {
        loop {
            let (mut waits, mut pause) = (BTreeSet::new(), RECHECK);
            for record in self.ledger.older() {
                if let Some(most) = self.end(record.clone()).await? {
                    pause = pause.min(most);
                    waits.extend(id_of(&record));
                }
            }
            if waits.is_empty() {
                return Ok(());
            }
            let name = &self.update.revision.name;
            let ids: Vec<&ObjectId> = waits.iter().collect();
            let message =
                format!("Waiting for steps of an earlier revision: {} (revision {name})", List::Names.few(ids, 3));
            self.scope.write_progress(Some(name), &message).await;
            if !self.pause(&waits, pause).await {
                return Err(ReconcileError::SUPERSEDED);
            }
        }
    }

    /// Ends a step of an earlier revision; returns how long it is waited for at most.
    async fn end(&mut self, record: StepStatus) -> Result<Option<Duration>, ReconcileError> {
        let resource = id_of(&record).and_then(|id| {
            let version = record.api_version.rsplit('/').next().unwrap_or_default();
            Some((self.discovery.served(&id.group_kind(), version)?, id))
        });
        let Some((resource, id)) = resource else {
            // Its kind is gone, and so is it.
            self.settle(record, StepOutcome::Unknown, String::new()).await?;
            return Ok(None);
        };
        for _ in 0..ACTIONS {
            let (live, _) = self.look(&resource, &id, &record.key).await?;
            let completed = self.cluster.ended(&id);
            let facts = StepFacts {
                record: Some(&record),
                live: &live,
                completed: completed.as_deref(),
                holds: true,
                retries: 0,
                timeout: self.scope.release.timeout,
                requested: None,
                counts_as_done: false,
                now: Timestamp::now(),
            };
            match of_older(&facts, &record) {
                StepAction::Confirm { uid, .. } => {
                    let confirmed = StepStatus { uid: Some(uid), ..record.clone() };
                    self.ledger.write(|records| put(records, confirmed), None).await?;
                    return Ok(Some(Duration::ZERO));
                }
                StepAction::Record(outcome, message) => {
                    let (is_late, uid) = (outcome == StepOutcome::TimedOut, uid_of(&live));
                    let is_held = matches!(live, LiveStep::Current { held: true, .. });
                    self.settle(record, outcome, message).await?;
                    if let Some(uid) = uid.filter(|_| is_late || is_held) {
                        self.update.session.delete(&resource, &id, &uid, 0).await?;
                    }
                    return Ok(None);
                }
                StepAction::Await(_) => return Ok(Some(self.patience(&id, Some(&record)))),
                _ => {}
            }
        }
        Ok(Some(GOING))
    }

    /// Takes all actions on a step that can be taken now.
    async fn advance(&mut self, step: &Step) -> Result<StepProgress, ReconcileError> {
        let Some((policy, hold)) = &step.once else { return Ok(StepProgress::Done) };
        let Some(resource) = self.discovery.resource(&step.id.group_kind(), &step.version) else {
            let (api_version, kind) = (step.object.api_version().to_owned(), step.id.kind.clone());
            return Err(ApiError::NoSuchKind { api_version, kind }.into());
        };
        let (session, release, key) =
            (self.update.session, self.scope.release, self.update.revision.key.clone());
        for _ in 0..ACTIONS {
            let (live, object) = self.look(&resource, &step.id, &key).await?;
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
                    let started = self.started(step, attempt, retried);
                    self.begin(started).await?;
                    self.create(step, &resource, attempt).await?;
                }
                StepAction::Create => {
                    let attempt = record.map_or(1, |record| record.attempt);
                    self.name(step).await?;
                    self.create(step, &resource, attempt).await?;
                }
                StepAction::Confirm { uid, attempt } => {
                    let known = record.unwrap_or_else(|| self.started(step, attempt, 0));
                    self.name(step).await?;
                    self.write(StepStatus { uid: Some(uid), ..known }).await?;
                }
                StepAction::Release { uid } => {
                    if let Some(patch) = hold.release(&uid) {
                        self.patch(&resource, &step.id, &patch).await?;
                    }
                }
                StepAction::Remove { uid } => {
                    if session.delete(&resource, &step.id, &uid, 0).await? == Deleted::Terminating {
                        return Ok(StepProgress::Pending(GOING));
                    }
                }
                StepAction::Await(_) => {
                    return Ok(StepProgress::Pending(self.patience(&step.id, record.as_ref())));
                }
                StepAction::Record(outcome, message) => {
                    let known = record.unwrap_or_else(|| self.started(step, 0, 0));
                    self.settle(known, outcome, message).await?;
                }
                StepAction::Done => {
                    self.tidy(step, (policy.cleanup, hold), &resource, &live, object.as_ref()).await?;
                    return Ok(StepProgress::Done);
                }
                StepAction::Fail(outcome, why) => {
                    let cleanup = match outcome {
                        // What takes too long must not go on behind everyone's back.
                        StepOutcome::TimedOut => StepCleanup::Always,
                        _ => policy.cleanup,
                    };
                    self.tidy(step, (cleanup, hold), &resource, &live, object.as_ref()).await?;
                    return Ok(StepProgress::Failed(self.failed(step, outcome, &why)));
                }
                StepAction::Refuse => {
                    let message = "an object of that name exists and does not belong to the release: delete or \
                                   rename one of the two";
                    let (id, reason) = (step.id.clone(), Reason::OwnershipConflict);
                    return Ok(StepProgress::Failed(ObjectFailure { id, reason, message: message.to_owned() }));
                }
            }
        }
        Ok(StepProgress::Pending(GOING))
    }

    /// Reads the object of a step.
    async fn look(
        &self,
        resource: &Resource,
        id: &ObjectId,
        key: &str,
    ) -> Result<(LiveStep, Option<Value>), ReconcileError> {
        let (release, rules) = (self.scope.release, RuleSet::of(self.scope.release));
        match self.update.session.get(resource, id).await {
            Ok(answer) => {
                let object: Value = answer.json()?;
                let judge = (rules, resource.reports);
                let live = LiveStep::of(&object, judge, &release.id, key, Timestamp::now());
                Ok((live, Some(object)))
            }
            Err(error) if error.is_not_found() => Ok((LiveStep::Absent, None)),
            Err(error) => Err(about(id, &error)),
        }
    }

    /// Names the object in the inventory, before it is created.
    async fn name(&mut self, step: &Step) -> Result<(), ReconcileError> {
        let Scope { env, release, .. } = *self.scope;
        let taken = env.claims.reserve(&release.id, [&step.id].into_iter());
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

    /// Creates the object, unless one of that name exists. A refusal takes the record back: nothing
    /// has run.
    async fn create(
        &mut self,
        step: &Step,
        resource: &Resource,
        attempt: i32,
    ) -> Result<(), ReconcileError> {
        let key = self.update.revision.key.clone();
        let body = body(step, &run_name(&key, attempt));
        match self.update.session.apply(resource, &step.id, body, false).await {
            Ok(_) => Ok(()),
            // Another process has created it, or the answer to our own request was lost.
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => {
                if error.status().is_some() && !error.is_transient() {
                    let is_it = |r: &StepStatus| r.key == key && id_of(r).as_ref() == Some(&step.id);
                    self.ledger.write(|records| records.retain(|r| !is_it(r)), None).await?;
                }
                Err(about(&step.id, &error))
            }
        }
    }

    /// The record of a run that begins.
    fn started(&self, step: &Step, attempt: i32, retried: i32) -> StepStatus {
        let (release, revision) = (self.scope.release, self.update.revision);
        let policy = step.once.as_ref().map(|(policy, _)| policy);
        let timeout = policy.and_then(|p| p.timeout).unwrap_or(release.timeout);
        StepStatus {
            step: step.id.to_string(),
            api_version: step.object.api_version().to_owned(),
            phase: policy.map_or(StepPhase::Before, |p| p.phase),
            revision: revision.name.clone(),
            key: revision.key.clone(),
            attempt,
            retried,
            outcome: StepOutcome::Started,
            at: now(),
            started_at: now(),
            timeout_seconds: i64::try_from(timeout.as_secs().max(1)).unwrap_or(i64::MAX),
            uid: None,
            requested_at: release.reconcile_at.clone(),
            message: None,
        }
    }

    async fn begin(&mut self, record: StepStatus) -> Result<(), ReconcileError> {
        let message = format!("Started step {} (run {})", record.step, record.attempt);
        self.scope.env.metrics.step(StepResult::Started);
        self.write(record).await?;
        self.publish(Reason::StepStarted, &message).await;
        Ok(())
    }

    /// Records the outcome of a run.
    async fn settle(
        &mut self,
        record: StepStatus,
        outcome: StepOutcome,
        message: String,
    ) -> Result<(), ReconcileError> {
        let step = record.step.clone();
        let requested_at = self.scope.release.reconcile_at.clone();
        let message = Some(message).filter(|m| !m.is_empty()).or(record.message.clone());
        let message = message.filter(|_| !outcome.is_done());
        self.write(StepStatus { outcome, at: now(), requested_at, message, ..record }).await?;
        self.scope.env.metrics.step(counted(outcome));
        if outcome == StepOutcome::Succeeded {
            self.publish(Reason::StepSucceeded, &format!("Step {step} has succeeded")).await;
        }
        Ok(())
    }

    async fn write(&mut self, record: StepStatus) -> Result<(), ReconcileError> {
        let name = &self.update.revision.name;
        let waits = format!("Running step {} (revision {name})", record.step);
        self.ledger.write(|records| put(records, record), Some(&waits)).await
    }

    /// Gives a finished object its lifetime again, or deletes it.
    async fn tidy(
        &self,
        step: &Step,
        (cleanup, hold): (StepCleanup, &Hold),
        resource: &Resource,
        live: &LiveStep,
        object: Option<&Value>,
    ) -> Result<(), ReconcileError> {
        let (LiveStep::Current { uid, deleting: None, .. }, Some(object)) = (live, object) else { return Ok(()) };
        let succeeded = self.ledger.of(&step.id).is_some_and(|r| r.outcome == StepOutcome::Succeeded);
        let goes = match cleanup {
            StepCleanup::Never => false,
            StepCleanup::OnSuccess => succeeded,
            StepCleanup::Always => true,
        };
        if goes {
            return match self.update.session.delete(resource, &step.id, uid, 0).await {
                Ok(_) => Ok(()),
                Err(error) => Err(about(&step.id, &error)),
            };
        }
        match hold.expire(uid).filter(|_| hold.lacks_lifetime(object)) {
            Some(patch) => self.patch(resource, &step.id, &patch).await,
            None => Ok(()),
        }
    }

    /// Patches an object; one that is gone, or is another one now, is left to the next look.
    async fn patch(&self, resource: &Resource, id: &ObjectId, patch: &Value) -> Result<(), ReconcileError> {
        match self.update.session.merge_patch(resource, id, patch, false).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(about(id, &error)),
        }
    }

    /// The entry of a step that is over.
    fn fate(&self, step: &Step) -> Option<Fate> {
        let record = self.ledger.of(&step.id)?;
        if record.outcome == StepOutcome::Started {
            return None;
        }
        let Some(uid) = record.uid.clone() else { return Some(Fate::Gone) };
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

    /// How long an object is waited for without a look.
    fn patience(&self, id: &ObjectId, record: Option<&StepStatus>) -> Duration {
        let recheck = if is_watched(&self.cluster.watches, id) { RECHECK } else { BLIND };
        let Some(record) = record else { return GOING };
        let since = record.started_at.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let over = since.saturating_add(SignedDuration::from_secs(record.timeout_seconds));
        let left = over.map_or(SignedDuration::ZERO, |over| over.duration_since(Timestamp::now()));
        recheck.min(Duration::try_from(left).unwrap_or_default().max(Duration::from_millis(50)))
    }

    /// Waits until one of the objects changes, or the time is over. Returns false when the run has
    /// to end: something newer is wanted, or drift is more urgent.
    async fn pause(&self, ids: &BTreeSet<ObjectId>, most: Duration) -> bool {
        let Scope { signals, slot, .. } = *self.scope;
        let wake = Instant::now() + most;
        loop {
            if signals.is_superseded() || self.is_drifted() {
                return false;
            }
            let touched = signals.take_touched_of(|id| ids.contains(id));
            let left = wake.saturating_duration_since(Instant::now());
            if !touched.is_empty() || left.is_zero() {
                return true;
            }
            let pace = PollPace { first: left, longest: left, timeout: left + GOING };
            if Poll::new(pace, Until::Changed, signals, Some(slot)).pause().await == Tick::Ended {
                return false;
            }
        }
    }

    /// Whether an applied object has drifted. Another run corrects it.
    fn is_drifted(&self) -> bool {
        let Scope { release, signals, .. } = *self.scope;
        let differs =
            |id: &ObjectId| self.entries.get(id).is_some_and(|entry| self.cluster.differs(id, entry));
        let now = Timestamp::now();
        let is_due = |id: &ObjectId| self.drift.correctable(std::iter::once(id), now).next().is_some();
        release.drift == DriftMode::Correct && signals.is_touched(|id| is_due(id) && differs(id))
    }

    async fn publish(&self, reason: Reason, message: &str) {
        let (release, revision) = (self.scope.release, Some(self.update.revision.name.as_str()));
        let (uid, warning) = (release.uid.as_str(), false);
        let note = ReleaseEventNote { release: &release.id, uid, warning, reason, message, revision };
        if let Err(error) = self.scope.env.session.publish(note, Timestamp::now()).await {
            tracing::debug!(error = chain(&error), "cannot publish an event");
        }
    }
}

fn uid_of(live: &LiveStep) -> Option<String> {
    match live {
        LiveStep::Current { uid, .. } | LiveStep::Other { uid, .. } => Some(uid.clone()),
        LiveStep::Absent | LiveStep::Foreign => None,
    }
}

fn names(steps: &[&Step]) -> String {
    List::Names.few(steps.iter().map(|s| &s.id).collect::<Vec<_>>(), 3)
}

/// What is sent to create the object of a run, and refused when one exists: no object has this
/// resource version.
fn body(step: &Step, run: &str) -> Bytes {
    let mut object = step.object.clone();
    object.set_annotation(keys::STEP_RUN, run);
    let mut value = object.into_value();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), "1".into());
    }
    Bytes::from(value.to_string())
}

fn about(id: &ObjectId, error: &ApiError) -> ReconcileError {
    failure(error.reason(), format!("cannot run step {id}: {}", chain(error))).into()
}

/// Now, in whole seconds.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn counted(outcome: StepOutcome) -> StepResult {
    match outcome {
        StepOutcome::Started => StepResult::Started,
        StepOutcome::Succeeded => StepResult::Succeeded,
        StepOutcome::Failed => StepResult::Failed,
        StepOutcome::TimedOut => StepResult::TimedOut,
        StepOutcome::Unknown => StepResult::Unknown,
        StepOutcome::Skipped => StepResult::Skipped,
    }
}
