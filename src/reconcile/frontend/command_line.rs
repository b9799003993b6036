//! The pipeline for one command of a person: the same plan, dry run, writes,
//! prune and inventory as the operator's, with the person's own rights.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::cluster::inventory::Stored;
use crate::cluster::session::Session;
use crate::cluster::store::Store;
use crate::domain::allowed::Allowed;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::outcome::Outcome;
use crate::domain::release::Release;
use crate::domain::status::inventory_name;
use crate::observe::metrics::{Metrics, MetricsError, Spent};
use crate::oci::{Digest, Registry, RegistryOptions};
use crate::reconcile::driver::{Ended, Revision, Run, Trigger};
use crate::reconcile::env::claims::Claims;
use crate::reconcile::env::returning::Returning;
use crate::reconcile::env::worker::{Places, Turn};
use crate::reconcile::env::{Context, Memory, Trust};
use crate::reconcile::phase::admit::evidence::Admitted;
use crate::reconcile::phase::work;
use crate::reconcile::preview::{Preview, preview};
use crate::reconcile::scope::progress::{Progress, Silence};
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::source::access::{Failure, failure};

/// How often a command begins anew because somebody wrote the inventory under
/// it.
const ATTEMPTS: usize = 3;

/// What a command works with.
pub struct Local {
    /// Whether the inventory may be a release's. If not, a finalizer that one has
    /// left on it goes: nobody would ever take it off, and its namespace could not
    /// be deleted.
    pub of_release: bool,
    pub context: Context,
    pub memory: Memory,
    pub signals: Arc<Signals>,
    pub places: Places,
    /// Carries what watches see to who waits for it.
    carrier: JoinHandle<()>,
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
        // Nobody else runs in this process.
        let (wake, _) = mpsc::unbounded_channel();
        let context = Context {
            session,
            store,
            registry: Registry::new(RegistryOptions::default()),
            metrics: Arc::clone(&metrics),
            claims: Claims::default(),
            default_service_account: None,
            trust: Trust::default(),
            allowed: Allowed::default(),
            wake,
            returning: Returning::default(),
        };
        let signals = Arc::<Signals>::default();
        let mailbox = Arc::clone(&signals);
        let carrier = tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                mailbox.touch(change.id);
            }
        });
        let places = Places::new(1, &metrics);
        Ok(Self { of_release: true, context, memory: Memory::default(), signals, places, carrier })
    }

    /// Where the command is told to come to an end.
    pub fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    /// A run of the command: there is no status that it could begin from.
    pub fn run<'a>(
        &'a mut self,
        release: &'a Release,
        turn: &'a mut Turn,
        progress: &'a dyn Progress,
    ) -> Run<'a> {
        Run {
            context: &self.context,
            release,
            memory: &mut self.memory,
            signals: &self.signals,
            turn,
            status: ReleaseStatus::default(),
            trigger: Trigger::Full,
            progress,
            spent: Spent::new(&self.context.metrics),
        }
    }

    /// Applies manifests.
    ///
    /// The outcome says how it ended; the inventory names all that it wrote.
    pub async fn apply(&mut self, release: &Release, yaml: Vec<u8>, progress: &dyn Progress) -> Outcome {
        let (content, revision) = content(release, yaml);
        for _ in 0..ATTEMPTS {
            let mut outcome = Outcome::default();
            match self.attempt(release, &content, &revision, progress, &mut outcome).await {
                Ok(()) => return outcome,
                Err(Ended::Failed(failed)) => {
                    outcome.verdict = failed.verdict;
                    outcome.headline = failed.headline;
                    outcome.failures.extend(failed.failures);
                    return outcome;
                }
                Err(Ended::Again) => self.memory.stored = None,
            }
        }
        Outcome::failed(Reason::ApiServerUnavailable, contested(&release.id))
    }

    async fn attempt(
        &mut self,
        release: &Release,
        content: &Admitted,
        revision: &Revision,
        progress: &dyn Progress,
        outcome: &mut Outcome,
    ) -> Result<(), Ended> {
        let session = self.context.session.clone();
        let of_release = self.of_release;
        let mut turn = Turn::new(&self.places);
        let mut run = self.run(release, &mut turn, progress);
        run.load_inventory().await?;
        refuse_unusable(&release.id, run.memory.stored.as_ref())?;
        if let Some(stored) = run.memory.stored.as_mut().filter(|_| !of_release) {
            stored.operators = false;
        }
        let known = session.known().await?;
        Box::pin(work::act(&mut run, &session, known, revision, content, outcome)).await
    }

    /// What an apply would do, without doing it.
    ///
    /// # Errors
    /// Why it would do nothing.
    pub async fn preview(&mut self, release: &Release, yaml: Vec<u8>) -> Result<Preview, Failure> {
        let (content, revision) = content(release, yaml);
        let session = self.context.session.clone();
        let mut turn = Turn::new(&self.places);
        let mut run = self.run(release, &mut turn, &Silence);
        let looked = async {
            run.load_inventory().await?;
            refuse_unusable(&release.id, run.memory.stored.as_ref())?;
            preview(&mut run, &session, &content, &revision).await
        };
        foreseen(Box::pin(looked).await, &release.id)
    }

    /// Reads the inventory.
    ///
    /// # Errors
    /// When it cannot be read, or there is none.
    pub async fn inventory(&mut self, id: &ReleaseId) -> Result<&Stored, Failure> {
        let stored = self.context.session.read_inventory(id).await;
        let stored = stored.map_err(|e| failure(e.reason(), crate::reconcile::source::access::chain(&e)))?;
        if !stored.exists() {
            let message = format!(
                "there is no inventory {} in the namespace {}: `supercargo get inventories` lists all",
                id.name, id.namespace
            );
            return Err(failure(Reason::InventoryInvalid, message));
        }
        Ok(self.memory.stored.insert(stored))
    }
}

/// The manifests as the one file of an artifact, and what names them.
fn content(release: &Release, yaml: Vec<u8>) -> (Admitted, Revision) {
    let digest = Digest::of(&yaml);
    let told = release.provenance.as_ref().map(|p| p.revision.clone()).filter(|r| !r.is_empty());
    let revision = Revision {
        name: told.unwrap_or_else(|| digest.as_str().to_owned()),
        // It goes into the inventory. One that follows from the content would let
        // whoever reads that check guesses of a Secret's values, where no registry
        // knows the digest. So it names this apply and nothing else, and Secrets
        // are applied each time.
        key: format!("by-hand-{}", Timestamp::now().as_nanosecond()),
        digest,
        stale: None,
        held: None,
    };
    (Admitted::by_hand(vec![("all.yaml".to_owned(), yaml.into())]), revision)
}

/// What came of a look ahead: nobody begins it anew.
pub fn foreseen(looked: Result<Preview, Ended>, id: &ReleaseId) -> Result<Preview, Failure> {
    looked.map_err(|ended| match ended {
        Ended::Failed(failed) => failed,
        Ended::Again => failure(Reason::ApiServerUnavailable, contested(id)),
    })
}

pub fn contested(id: &ReleaseId) -> String {
    let name = inventory_name(&id.name);
    format!("the inventory {}/{name} is written by somebody else at the same time: try again", id.namespace)
}

/// Refuses an inventory that is on its way out, or another tool's.
fn refuse_unusable(id: &ReleaseId, stored: Option<&Stored>) -> Result<(), Ended> {
    if let Some(stored) = stored.filter(|s| s.exists()) {
        refuse_another_tools(id, stored)?;
    }
    if !stored.is_some_and(|s| s.deleting) {
        return Ok(());
    }
    let message = format!(
        "the inventory {}/{} is being deleted: finish that first with `supercargo delete -i {} --inventory-namespace {}`",
        id.namespace,
        inventory_name(&id.name),
        id.name,
        id.namespace,
    );
    Err(failure(Reason::InventoryInvalid, message).into())
}

/// What another tool recorded is not marked as ours: it would be left behind.
pub fn refuse_another_tools(id: &ReleaseId, stored: &Stored) -> Result<(), Failure> {
    if !stored.provenance.adopting.is_empty() {
        let message = format!(
            "the inventory {}/{} is being taken over from another tool, and that was cut off: finish it with the \
             `supercargo adopt` that began it",
            id.namespace,
            inventory_name(&id.name)
        );
        return Err(failure(Reason::InventoryInvalid, message));
    }
    if stored.is_ours() {
        return Ok(());
    }
    let message = format!(
        "the inventory {}/{} was written by {}: `supercargo adopt inventory {} --inventory-namespace {}` takes over \
         what it names, without a change to what runs",
        id.namespace,
        inventory_name(&id.name),
        stored.writer,
        id.name,
        id.namespace,
    );
    Err(failure(Reason::InventoryInvalid, message))
}

/// The ConfigMap of an inventory, as an object among others.
pub fn inventory_object(id: &ReleaseId) -> ObjectId {
    ObjectId {
        namespace: id.namespace.clone(),
        name: inventory_name(&id.name),
        group: String::new(),
        kind: "ConfigMap".to_owned(),
    }
}
