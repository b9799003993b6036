//! One run of a release: what it is about, and who takes part in it. Nothing of it
//! changes while the run goes on, but what is behind its handles.

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
use super::error::chain;
use super::source::reference::repository;
use crate::api::status::ReleaseStatus;
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
    /// What the run is for.
    pub trigger: Trigger,
    /// Whether a person asks for it.
    pub is_asked: bool,
    /// How its frontend wants it.
    pub policy: &'a RunPolicy,
    /// What reaches the release meanwhile.
    pub signals: &'a Signals,
    /// Its place among the runs that work.
    pub slot: &'a WorkerSlot,
    /// The status in the cluster.
    pub reported: &'a ReportedStatus,
    /// Who listens.
    pub progress: &'a dyn Progress,
    /// What it spends on its phases.
    pub timer: &'a PhaseTimer,
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Everything: the reference is resolved anew.
    Full,
    /// Only objects were seen to change: if a revision is applied, the registry
    /// is not asked.
    Objects,
    /// The applied revision is put back while a newer one is attempted: the status says nothing of
    /// it meanwhile.
    Restore,
}

/// What a frontend wants of its runs.
#[derive(Clone, Debug)]
pub struct RunPolicy {
    /// Whether an inventory gets our finalizer that does not have it yet.
    pub finalizer: FinalizerPolicy,
    /// Whether a resource stands behind the run: its status says what the run waits
    /// for, and another run follows by itself.
    pub repeats: bool,
    /// Whether the run ends between two writes when it is told to stop. One that
    /// repeats would only begin anew.
    pub interruptible: bool,
    /// Whether the run waits until what it deleted is gone.
    pub awaits_termination: bool,
    /// Whether the inventory records each apply, also one that changes nothing.
    pub records_each_apply: bool,
    /// How messages name what a person can change.
    pub words: Words,
}

/// How messages name what a person can change.
#[derive(Clone, Debug)]
pub struct Words {
    /// The longest time of a wait.
    pub timeout: &'static str,
    /// The permission to recreate objects.
    pub force: &'static str,
    /// Where the manifests come from.
    pub content: &'static str,
    /// What makes the namespace of an inventory, where something does.
    pub create_namespace: Option<&'static str>,
}

/// The status of a release as the cluster has it, as far as its runs know.
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

    /// Another was written.
    pub fn set(&self, status: ReleaseStatus) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(status);
    }
}

impl Scope<'_> {
    /// The status in the cluster.
    pub fn status(&self) -> Arc<ReleaseStatus> {
        self.reported.get()
    }

    /// What every gate knows of the run.
    pub fn facts(&self) -> Facts<'_> {
        Facts { is_asked: self.is_asked, ..Facts::of(self.release) }
    }

    /// Whether the run ends before its next write.
    pub fn is_interrupted(&self) -> bool {
        self.policy.interruptible && self.signals.is_stopping()
    }

    /// Has the release told when a registry is back that was just found to be away.
    pub fn wake_when_registry_is_back(&self, access: Option<&Arc<Access>>) {
        let Env { registry, wake, recovery, .. } = self.env;
        let (Ok(repository), Some(access)) = (repository(self.release), access) else { return };
        if self.policy.repeats {
            recovery.wait((registry, repository, access), &self.release.id, wake);
        }
    }

    /// Writes into the status what the run waits for, if it does not say so yet.
    /// `revision` is the one that it brings, once it is known. A status that cannot be
    /// written holds nothing up.
    pub async fn write_progress(&self, revision: Option<&str>, message: &str) {
        if !self.policy.repeats || self.trigger == Trigger::Restore {
            return;
        }
        let before = self.status();
        let waiting = status::waiting(&before, self.release, revision, message, Timestamp::now());
        if waiting == *before {
            return;
        }
        let written = self.env.session.write_status(&self.release.id, &self.release.uid, &waiting).await;
        match written {
            Ok(()) => {
                self.env.metrics.release_reported(&self.release.id, self.release.suspend, &waiting);
                self.reported.set(waiting);
            }
            Err(error) => tracing::debug!(error = chain(&error), "the status could not be written"),
        }
    }
}
