//! The records of the steps of a release: read once in a run, and written before what they record
//! has an effect.

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::step::{StepOutcome, StepStatus};
use crate::domain::identity::ObjectId;
use crate::domain::status;
use crate::domain::steps::record_of;
use crate::reconcile::error::{ReconcileError, failure};
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
    /// Reads them from the API server: another process may have written them since.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn read(scope: &'r Scope<'r>, update: &'r Update<'r>) -> Result<Self, ReconcileError> {
        let seen = scope.env.session.step_records(&scope.release.id).await?;
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

    /// Changes the records in the cluster. The status names the revision as attempted, and what the
    /// run waits for.
    ///
    /// # Errors
    /// When another process has changed them, or the API server refuses.
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
            }
            status.steps.clone_from(&records);
            match session.write_status_over(&release.id, &seen, &status).await {
                Ok(()) => {
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
