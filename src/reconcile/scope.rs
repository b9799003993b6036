//! One run of a release: its inputs and handles. It does not change during the run, except behind
//! its handles.

pub mod progress;
pub mod registry_wait;
pub mod revision;
pub mod signals;
pub mod slot;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use self::progress::Progress;
use self::signals::Signals;
use self::slot::WorkerSlot;
use super::env::Env;
use super::error::{ReconcileError, chain};
use super::source::reference::repository;
use crate::api::status::ReleaseStatus;
use crate::cluster::error::ApiError;
use crate::cluster::inventory::FinalizerPolicy;
use crate::domain::gate::Facts;
use crate::domain::release::Release;
use crate::domain::status;
use crate::observe::metrics::PhaseTimer;
use crate::oci::Access;

/// A run.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What the process shares.
    pub env: &'a Env,
    /// The release.
    pub release: &'a Release,
    /// Why the inputs of its rendering could not be read.
    pub unread: Option<&'a ReconcileError>,
    /// The trigger of the run.
    pub trigger: Trigger,
    /// Whether a person requested it.
    pub is_asked: bool,
    /// The policy of its frontend.
    pub policy: &'a RunPolicy,
    /// The signals to the release.
    pub signals: &'a Signals,
    /// Its slot in the worker pool.
    pub slot: &'a WorkerSlot,
    /// The status in the cluster.
    pub reported: &'a ReportedStatus,
    /// The receiver of progress events.
    pub progress: &'a dyn Progress,
    /// The timer of its phases.
    pub timer: &'a PhaseTimer,
}

/// The trigger of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Everything: the reference is resolved again.
    Full,
    /// Only objects have changed: if a revision is applied, the registry is not asked.
    Objects,
    /// Drift of the applied revision is corrected while a newer one is attempted: the status does
    /// not report it.
    Restore,
}

/// The policy of a frontend for its runs.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// Whether our finalizer is added to an inventory without it.
    pub finalizer: FinalizerPolicy,
    /// Whether the run belongs to a resource: its status reports what the run waits for, and other
    /// runs follow.
    pub repeats: bool,
    /// Whether a stop ends the run between two writes. A run that repeats would only restart.
    pub interruptible: bool,
    /// Whether the run waits until what it deleted is gone.
    pub awaits_termination: bool,
    /// Whether the inventory records each apply, even without a change.
    pub records_each_apply: bool,
    /// The names that messages use for settings.
    pub words: Words,
}

/// The names that messages use for settings.
#[derive(Clone, Debug)]
pub struct Words {
    /// The timeout of a wait.
    pub timeout: &'static str,
    /// The setting that allows recreating objects.
    pub force: &'static str,
    /// The source of the manifests.
    pub content: &'static str,
    /// The flag that creates the namespace of an inventory, if there is one.
    pub create_namespace: Option<&'static str>,
}

/// The status of a release in the cluster, as far as its runs know.
#[derive(Debug, Default)]
pub struct ReportedStatus(Mutex<Arc<ReleaseStatus>>);

impl ReportedStatus {
    /// One that was read.
    pub fn shared(status: Arc<ReleaseStatus>) -> Self {
        Self(Mutex::new(status))
    }

    /// The last one that was read or written.
    pub fn get(&self) -> Arc<ReleaseStatus> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the status that was written.
    pub fn set(&self, status: ReleaseStatus) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(status);
    }
}

impl Scope<'_> {
    /// The status in the cluster.
    pub fn status(&self) -> Arc<ReleaseStatus> {
        self.reported.get()
    }

    /// The facts for every gate.
    pub fn facts(&self) -> Facts<'_> {
        Facts { is_asked: self.is_asked, ..Facts::of(self.release) }
    }

    /// Whether the run ends before its next write.
    pub fn is_interrupted(&self) -> bool {
        self.policy.interruptible && self.signals.is_stopping()
    }

    /// Notifies the release when a registry that was just found unavailable is available again.
    pub fn wake_when_registry_is_back(&self, access: Option<&Arc<Access>>) {
        let Env { registry, wake, recovery, .. } = self.env;
        let (Ok(repository), Some(access)) = (repository(self.release), access) else { return };
        if self.policy.repeats {
            recovery.wait((registry, repository, access), &self.release.id, wake);
        }
    }

    /// Writes into the status what the run waits for, unless it is there already. `revision` is the
    /// one that is rolled out, once it is known. A failed write does not delay the run.
    pub async fn write_progress(&self, revision: Option<&str>, message: &str) {
        if !self.policy.repeats || self.trigger == Trigger::Restore {
            return;
        }
        let mut message = message.to_owned();
        self.release.redaction.redact(&mut message);
        let before = self.status();
        let waiting = status::waiting(&before, self.release, revision, &message, Timestamp::now());
        if waiting == *before {
            return;
        }
        if let Err(error) = self.write_status(waiting).await {
            tracing::debug!(error = chain(&error), "cannot write the status");
        }
    }

    /// Replaces the status, and remembers it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn write_status(&self, status: ReleaseStatus) -> Result<(), ApiError> {
        let Self { env, release, .. } = self;
        env.session.write_status(&release.id, &release.uid, &status).await?;
        env.metrics.release_reported(&release.id, release.suspend, &status);
        self.reported.set(status);
        Ok(())
    }

    /// Records in the status that a person has approved a removal, before the first object goes.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn record_approved_removal(&self, record: String) -> Result<(), ApiError> {
        let status = ReleaseStatus { approved_removal: Some(record), ..ReleaseStatus::clone(&self.status()) };
        self.write_status(status).await
    }
}
