//! The records of the steps of a release: read once in a run, and written before what they record
//! has an effect.

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::step::{StepOutcome, StepPhase, StepStatus};
use crate::cluster::events::ReleaseEventNote;
use crate::domain::identity::ObjectId;
use crate::domain::plan::Step;
use crate::domain::plan::steps::{id_of, put, record_of};
use crate::domain::status;
use crate::observe::labels::StepResult;
use crate::reconcile::error::{ReconcileError, chain, failure};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::Update;

/// How often a write is tried again after another write to the release.
const ATTEMPTS: usize = 5;

/// The records.
pub struct StepLedger<'r> {
    scope: &'r Scope<'r>,
    update: &'r Update<'r>,
    records: Vec<StepStatus>,
}

impl<'r> StepLedger<'r> {
    /// Reads them from the API server: another process may have written them since. What this run
    /// reports from now on keeps them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn read(scope: &'r Scope<'r>, update: &'r Update<'r>) -> Result<Self, ReconcileError> {
        let seen = scope.env.session.step_records(&scope.release.id).await?;
        let mut status = (*scope.status()).clone();
        if seen.uid == scope.release.uid && status.steps != seen.steps {
            status.steps.clone_from(&seen.steps);
            scope.reported.set(status);
        }
        Ok(Self { scope, update, records: seen.steps })
    }

    /// The record of an object for the revision of the run.
    pub fn of(&self, id: &ObjectId) -> Option<&StepStatus> {
        record_of(&self.records, id, &self.update.revision.key)
    }

    /// The steps of other revisions without an outcome.
    pub fn older(&self) -> Vec<StepStatus> {
        let key = &self.update.revision.key;
        let open = |r: &&StepStatus| r.key != *key && r.outcome == StepOutcome::Started;
        self.records.iter().filter(open).cloned().collect()
    }

    /// The record of a run that begins.
    pub fn started(&self, step: &Step, attempt: i32, retried: i32) -> StepStatus {
        let (release, revision) = (self.scope.release, self.update.revision);
        let policy = step.once.as_ref().map(|(policy, _)| policy);
        let timeout = policy.and_then(|p| p.timeout).unwrap_or(release.timeout);
        StepStatus {
            step: step.id.to_string(),
            api_version: step.object.api_version().to_owned(),
            phase: policy.map_or(StepPhase::Before, |p| p.phase),
            revision: revision.name.clone(),
            key: revision.key.clone(),
            side_effects: policy.is_some_and(|p| p.side_effects),
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

    /// Records that a run begins.
    ///
    /// # Errors
    /// As [`StepLedger::write`].
    pub async fn begin(&mut self, record: StepStatus) -> Result<(), ReconcileError> {
        let message = format!("Started step {} (run {})", record.step, record.attempt);
        self.put(record).await?;
        self.scope.env.metrics.step(StepResult::Started);
        self.publish(Reason::StepStarted, &message).await;
        Ok(())
    }

    /// Records the object of a run.
    ///
    /// # Errors
    /// As [`StepLedger::write`].
    pub async fn confirm(&mut self, record: StepStatus, uid: String) -> Result<(), ReconcileError> {
        self.put(StepStatus { uid: Some(uid), ..record }).await
    }

    /// Records the outcome of a run.
    ///
    /// # Errors
    /// As [`StepLedger::write`].
    pub async fn settle(
        &mut self,
        record: StepStatus,
        outcome: StepOutcome,
        mut message: String,
    ) -> Result<(), ReconcileError> {
        // Pods and workflows quote their arguments.
        self.scope.release.redaction.redact(&mut message);
        let step = record.step.clone();
        let requested_at = self.scope.release.reconcile_at.clone();
        let message = Some(status::bounded(&message)).filter(|m| !m.is_empty()).or(record.message.clone());
        let message = message.filter(|_| !outcome.is_done());
        self.put(StepStatus { outcome, at: now(), requested_at, message, ..record }).await?;
        self.scope.env.metrics.step(counted(outcome));
        if outcome == StepOutcome::Succeeded {
            self.publish(Reason::StepSucceeded, &format!("Step {step} has succeeded")).await;
        }
        Ok(())
    }

    /// Takes the record of a run back, whose object was refused: nothing has run.
    ///
    /// # Errors
    /// As [`StepLedger::write`].
    pub async fn withdraw(&mut self, id: &ObjectId) -> Result<(), ReconcileError> {
        let key = self.update.revision.key.clone();
        let is_it = |r: &StepStatus| r.key == key && id_of(r).as_ref() == Some(id);
        self.write(|records| records.retain(|r| !is_it(r)), None).await
    }

    async fn put(&mut self, record: StepStatus) -> Result<(), ReconcileError> {
        let name = &self.update.revision.name;
        let waits = format!("Running step {} (revision {name})", record.step);
        self.write(|records| put(records, record), Some(&waits)).await
    }

    async fn publish(&self, reason: Reason, message: &str) {
        let (release, revision) = (self.scope.release, Some(self.update.revision.name.as_str()));
        let (uid, warning) = (release.uid.as_str(), false);
        let note = ReleaseEventNote { release: &release.id, uid, warning, reason, message, revision };
        if let Err(error) = self.scope.env.session.publish(note, Timestamp::now()).await {
            tracing::debug!(error = chain(&error), "cannot publish an event");
        }
    }

    /// Changes the records in the cluster. The status names the revision as attempted, and what the
    /// run waits for.
    ///
    /// # Errors
    /// When another process has changed them, the API server refuses, or it does not keep them.
    pub async fn write(
        &mut self,
        change: impl FnOnce(&mut Vec<StepStatus>),
        waits: Option<&str>,
    ) -> Result<(), ReconcileError> {
        let Self { scope, update, .. } = *self;
        let (release, session) = (scope.release, &scope.env.session);
        let mut records = self.records.clone();
        change(&mut records);
        for _ in 0..ATTEMPTS {
            let seen = session.step_records(&release.id).await?;
            if seen.uid != release.uid || seen.steps != self.records {
                return Err(contested());
            }
            let mut status = (*scope.status()).clone();
            if let Some(message) = waits {
                let name = &update.revision.name;
                status = status::waiting(&status, release, Some(name), message, Timestamp::now());
                let artifact = update.revision.artifact();
                if status.artifact.as_ref().is_none_or(|known| known.digest != artifact.digest) {
                    status.artifact = Some(artifact);
                }
                status.last_attempted_revision = Some(name.clone());
                status.held_revision = update.revision.held.as_ref().map(|held| held.revision.clone());
            }
            status.steps.clone_from(&records);
            match session.write_status_over(&release.id, &seen, &status).await {
                // What runs without a record would run again.
                Ok(kept) if kept != records => return Err(lost()),
                Ok(_) => {
                    scope.env.metrics.release_reported(&release.id, release.suspend, &status);
                    scope.reported.set(status);
                    self.records = records;
                    return Ok(());
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(contested())
    }
}

/// Another client writes the records.
fn contested() -> ReconcileError {
    let message = "another client changes the steps in the status of the release at the same time";
    failure(Reason::ApiServerUnavailable, message).into()
}

/// The API server has dropped the records, as it does with fields that a definition lacks.
fn lost() -> ReconcileError {
    let message = "the CustomResourceDefinition of releases is older than the operator and does not keep \
                   status.steps: apply the one of this version, and it goes on";
    failure(Reason::ApiServerUnavailable, message).into()
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
