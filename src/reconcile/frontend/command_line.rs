//! The runs of the command line: the same plan, dry run, writes, prune and inventory as the
//! operator's, with the person's own rights.

mod of_release;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::api::step::StepStatus;
use crate::builder::{BuildOptions, Builder};
use crate::cluster::inventory::{FinalizerPolicy, Stored};
use crate::cluster::named::NamedObjects;
use crate::cluster::session::Session;
use crate::cluster::store::Store;
use crate::domain::allowed::Allowed;
use crate::domain::identity::ReleaseId;
use crate::domain::ledger::Ledger;
use crate::domain::outcome::Outcome;
use crate::domain::plan::changeset::{ChangeSet, PlanInputs, PlanKey, PlanToken};
use crate::domain::release::Release;
use crate::domain::remote::kubeconfig::{RemoteReach, RemoteSettings};
use crate::observe::metrics::{Metrics, MetricsError, PhaseTimer};
use crate::oci::{Digest, Registry, RegistryOptions};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::driver;
use crate::reconcile::env::clusters::Clusters;
use crate::reconcile::env::plan_keys::random;
use crate::reconcile::env::recovery::RegistryRecovery;
use crate::reconcile::env::target::TargetCluster;
use crate::reconcile::env::{Env, TrustSettings};
use crate::reconcile::error::{ReconcileError, chain};
use crate::reconcile::flow::retry::{InventoryRetry, written_by_other};
use crate::reconcile::frontend::workshop::Workshop;
use crate::reconcile::phase::inventory::{ensure_read, refuse_elsewhere, refuse_unusable};
use crate::reconcile::phase::obtain::Obtained;
use crate::reconcile::phase::obtain::render::render;
use crate::reconcile::preview::{Preview, change_set, preview};
use crate::reconcile::removal::uninstall::{UninstallReport, uninstall};
use crate::reconcile::scope::progress::{NoProgress, Progress};
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::{WorkerPool, WorkerSlot};
use crate::reconcile::scope::{ReportedStatus, RunPolicy, Scope, Trigger, Words};
use crate::reconcile::trust::admission::Admitted;

/// The policy for runs of the command line.
const POLICY: RunPolicy = RunPolicy {
    finalizer: FinalizerPolicy::Omit,
    repeats: false,
    interruptible: true,
    awaits_termination: true,
    records_each_apply: true,
    words: Words {
        timeout: "--timeout",
        force: "--force",
        content: "manifests",
        create_namespace: Some("--create-namespace"),
    },
};

/// What a command works with.
pub struct Local {
    /// Whether the inventory may belong to a release. If not, a leftover finalizer on it is
    /// removed: otherwise it would never be removed, and its namespace could not be deleted.
    pub of_release: bool,
    /// The most lines of what a preview shows of the fields that differ.
    lines: usize,
    env: Env,
    caches: Caches,
    party: Party,
    /// Forwards events of watches to the waiting run.
    carrier: JoinHandle<()>,
}

/// The parts of a run of a command.
struct Party {
    signals: Arc<Signals>,
    slot: WorkerSlot,
    /// There is no status to start from.
    reported: ReportedStatus,
    timer: PhaseTimer,
}

impl Party {
    fn scope<'s>(&'s self, env: &'s Env, release: &'s Release, progress: &'s dyn Progress) -> Scope<'s> {
        let Self { signals, slot, reported, timer } = self;
        let (trigger, policy) = (Trigger::Full, &POLICY);
        let is_asked = release.is_asked(None);
        let unread = None;
        Scope { env, release, unread, trigger, is_asked, policy, signals, slot, reported, progress, timer }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Local {
    /// For one command.
    ///
    /// # Errors
    /// When requests cannot be counted.
    pub fn new(session: Session) -> Result<Self, MetricsError> {
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"))?);
        let (store, mut changes) = Store::new(&session);
        let (named, _) = NamedObjects::new(&session);
        // This process has no other runs.
        let (wake, _) = mpsc::unbounded_channel();
        let home = TargetCluster::home(&session, store);
        let env = Env {
            target: Arc::clone(&home),
            home,
            session,
            // A person may reach what the person's machine reaches.
            clusters: Clusters::new(
                RemoteSettings { enabled: true, reach: RemoteReach { local: true } },
                &metrics,
            ),
            named,
            dependencies: Arc::default(),
            registry: Registry::new(RegistryOptions::default()),
            builder: Builder::new(BuildOptions::default()),
            metrics: Arc::clone(&metrics),
            default_service_account: None,
            has_own_rights: false,
            trust: TrustSettings::default(),
            allowed: Allowed::default(),
            wake,
            recovery: RegistryRecovery::default(),
            inputs: Arc::default(),
            plan_keys: Arc::default(),
        };
        let signals = Arc::<Signals>::default();
        let mailbox = Arc::clone(&signals);
        let carrier = tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                // They come one by one in the own cluster.
                change.id.iter().for_each(|id| mailbox.touch(id.clone()));
            }
        });
        let slot = WorkerSlot::new(&WorkerPool::new(1, &metrics));
        let (reported, timer) = (ReportedStatus::default(), PhaseTimer::new(&metrics));
        let party = Party { signals, slot, reported, timer };
        Ok(Self { of_release: true, lines: usize::MAX, env, caches: Caches::default(), party, carrier })
    }

    /// With the records of the steps of the release: a preview runs none that is done.
    #[must_use]
    pub fn knowing(self, steps: Vec<StepStatus>) -> Self {
        self.party.reported.set(ReleaseStatus { steps, ..ReleaseStatus::default() });
        self
    }

    /// Looks at releases in the own cluster with the rights of the person, and not with those of their accounts.
    #[must_use]
    pub fn with_own_rights(mut self) -> Self {
        self.env.has_own_rights = true;
        self
    }

    /// Builds artifacts by these programs.
    #[must_use]
    pub fn building(mut self, builder: Builder) -> Self {
        self.env.builder = builder;
        self
    }

    /// Keeps so many lines of what differs, and counts the others.
    #[must_use]
    pub fn showing(mut self, lines: usize) -> Self {
        self.lines = lines;
        self
    }

    /// Works for a person on the page of the operator: by its rules, and in no other cluster.
    #[must_use]
    pub fn equipped(mut self, workshop: &Workshop) -> Self {
        let Workshop { registry, builder, trust, allowed, inputs, .. } = workshop.clone();
        let nowhere = RemoteSettings { enabled: false, reach: RemoteReach { local: false } };
        let env = &mut self.env;
        env.clusters = Clusters::new(nowhere, &env.metrics);
        (env.registry, env.builder, env.trust) = (registry, builder, trust);
        (env.allowed, env.inputs) = (allowed, inputs);
        self
    }

    /// The signals that stop the command.
    pub fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.party.signals)
    }

    /// Applies manifests.
    ///
    /// The outcome has the result; the inventory has everything that it wrote.
    pub async fn apply(&mut self, release: &Release, yaml: Vec<u8>, progress: &dyn Progress) -> Outcome {
        let (content, revision) = content(release, yaml);
        let scope = &self.party.scope(&self.env, release, progress);
        let (caches, mut retry) = (&mut self.caches, InventoryRetry::default());
        loop {
            let mut outcome = Outcome::default();
            let attempt = attempt(scope, caches, self.of_release, (&content, &revision), &mut outcome);
            let ended = Box::pin(attempt).await;
            if let Some(mut attempted) = retry.settle(scope, caches, ended, outcome) {
                attempted.outcome.redact(caches.inputs.redaction(), None);
                return attempted.outcome;
            }
        }
    }

    /// What an apply would do, without doing it.
    ///
    /// # Errors
    /// Why it would do nothing.
    pub async fn preview(&mut self, release: &Release, yaml: Vec<u8>) -> Result<Preview, Box<Outcome>> {
        let (content, revision) = content(release, yaml);
        let scope = &self.party.scope(&self.env, release, &NoProgress);
        let (caches, lines) = (&mut self.caches, self.lines);
        let looked = async {
            load(scope, &mut caches.cluster).await?;
            let (session, ledger) = (scope.env.session.clone(), Ledger::default());
            let update = Update { session: &session, ledger: &ledger, revision: &revision };
            let obtained = rendered(scope, caches, &update, content).await?;
            preview(scope, caches, &update, obtained, lines).await
        };
        Box::pin(looked).await.map_err(|error| failed_outcome(error, &release.id))
    }

    /// The plan of an apply, and the token that `supercargo apply --plan` takes.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn plan(
        &mut self,
        release: &Release,
        yaml: Vec<u8>,
    ) -> Result<(ChangeSet, PlanToken), Box<Outcome>> {
        let (content, revision) = content(release, yaml);
        let scope = &self.party.scope(&self.env, release, &NoProgress);
        let caches = &mut self.caches;
        let planned = async {
            let salt = hex::encode(random::<8>()?);
            load(scope, &mut caches.cluster).await?;
            let (session, ledger) = (scope.env.session.clone(), Ledger::default());
            let update = Update { session: &session, ledger: &ledger, revision: &revision };
            let obtained = rendered(scope, caches, &update, content).await?;
            let key = PlanKey::of_salt(&salt);
            let plan = change_set(scope, caches, &update, obtained, &key).await?;
            let hash = plan.hash(&key, &PlanInputs::of(release, revision.digest.as_str()));
            Ok((plan, PlanToken { salt, hash }))
        };
        Box::pin(planned).await.map_err(|error| failed_outcome(error, &release.id))
    }

    /// Deletes all objects of an inventory, then the inventory. `release` has the timeout of each
    /// wait, and whether to wait at all.
    ///
    /// # Errors
    /// What could not be deleted; it is still in the inventory.
    pub async fn delete(
        &mut self,
        release: &Release,
        progress: &dyn Progress,
    ) -> Result<UninstallReport, Box<Outcome>> {
        self.inventory(&release.id).await?;
        let scope = &self.party.scope(&self.env, release, progress);
        let cluster = &mut self.caches.cluster;
        let deleted = async {
            if let Some(stored) = &cluster.stored {
                refuse_unusable(scope, stored, false)?;
            }
            refuse_elsewhere(scope, cluster)?;
            uninstall(scope, cluster).await
        };
        Box::pin(deleted).await.map_err(|error| failed_outcome(error, &release.id))
    }

    /// Reads the inventory.
    ///
    /// # Errors
    /// When it cannot be read, or does not exist.
    pub async fn inventory(&mut self, id: &ReleaseId) -> Result<&Stored, Box<Outcome>> {
        let stored = self.env.session.read_inventory(id).await;
        let stored = stored.map_err(|e| Outcome::failed(e.reason(), chain(&e)))?;
        if !stored.exists() {
            return Err(Outcome::failed(Reason::InventoryInvalid, not_found(id)).into());
        }
        Ok(self.caches.cluster.stored.insert(stored))
    }
}

/// What to say of an inventory that does not exist.
pub fn not_found(id: &ReleaseId) -> String {
    format!(
        "inventory {} not found in namespace {}; list all with `supercargo get inventories`",
        id.name, id.namespace
    )
}

async fn attempt(
    scope: &Scope<'_>,
    caches: &mut Caches,
    of_release: bool,
    (content, revision): (&Admitted, &Revision),
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    load(scope, &mut caches.cluster).await?;
    if let Some(stored) = caches.cluster.stored.as_mut().filter(|_| !of_release) {
        stored.operators = false;
    }
    let (session, ledger) = (scope.env.session.clone(), Ledger::default());
    let update = Update { session: &session, ledger: &ledger, revision };
    let obtained = rendered(scope, caches, &update, content.clone()).await?;
    driver::bring(scope, caches, &update, obtained, outcome).await
}

/// Reads the inventory, and refuses one that is being deleted or belongs to another tool.
async fn load(scope: &Scope<'_>, cluster: &mut ClusterCache) -> Result<(), ReconcileError> {
    ensure_read(scope, cluster).await?;
    refuse_elsewhere(scope, cluster)?;
    match cluster.stored.as_ref().filter(|stored| stored.exists()) {
        Some(stored) => refuse_unusable(scope, stored, true),
        None => Ok(()),
    }
}

/// The objects of manifests.
async fn rendered(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    content: Admitted,
) -> Result<Obtained, ReconcileError> {
    let session = update.session;
    let rendered = render(scope, session, session.discovery().await?, &content, &update.revision.key).await?;
    Ok(Obtained::from_command_line(caches, update.revision, content, rendered))
}

/// The manifests as the only file of an artifact, and their revision.
fn content(release: &Release, yaml: Vec<u8>) -> (Admitted, Revision) {
    let digest = Digest::of(&yaml);
    let named = release.provenance.as_ref().map(|p| p.revision.clone()).filter(|r| !r.is_empty());
    let revision = Revision {
        name: named.unwrap_or_else(|| digest.as_str().to_owned()),
        // The key is stored in the inventory. With a key derived from the content, anyone who reads
        // the inventory could check guesses of a Secret's values. So the key identifies only this
        // apply, and Secrets are applied each time.
        key: format!("by-hand-{}", Timestamp::now().as_nanosecond()),
        digest,
        stale: None,
        stray: None,
        held: None,
    };
    (Admitted::from_command_line(vec![("all.yaml".to_owned(), yaml.into())]), revision)
}

/// The outcome of an error, for a person. There is no retry.
fn failed_outcome(error: ReconcileError, id: &ReleaseId) -> Box<Outcome> {
    let mut outcome = Outcome::default();
    if error.fold_into(&mut outcome).is_err() {
        let message = format!("{}; try again", written_by_other(id));
        outcome = Outcome::failed(Reason::ApiServerUnavailable, message);
    }
    Box::new(outcome)
}
