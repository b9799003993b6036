//! The pipeline for one command of a person: the same plan, dry run, writes,
//! prune and inventory as the operator's, with the person's own rights.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::acquire::{Failure, failure};
use super::claims::Claims;
use super::context::{Context, Memory};
use super::preview::{Preview, preview};
use super::progress::{Change, Event, Progress, Silence};
use super::prune::{Order, Removed, await_gone, remove};
use super::run::{Ended, Revision, Run, Trigger};
use super::signals::{Signals, Turn};
use super::view::View;
use super::work;
use crate::api::reason::Reason;
use crate::api::status::ReleaseStatus;
use crate::cluster::inventory::{Hold, Stored};
use crate::cluster::session::Session;
use crate::cluster::store::Store;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::settle;
use crate::domain::outcome::Outcome;
use crate::domain::plan::Leaving;
use crate::domain::release::Release;
use crate::domain::stage::order;
use crate::domain::status::inventory_name;
use crate::observe::metrics::{Metrics, MetricsError};
use crate::oci::{Digest, Registry, RegistryOptions};

/// How often a command begins anew because somebody wrote the inventory under
/// it.
const ATTEMPTS: usize = 3;

/// What a command works with.
pub struct Local {
    context: Context,
    memory: Memory,
    signals: Arc<Signals>,
    places: Arc<Semaphore>,
    /// Carries what watches see to who waits for it.
    carrier: JoinHandle<()>,
}

impl Drop for Local {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

/// What became of a deletion.
#[derive(Debug, Default)]
pub struct Departed {
    /// How many objects were deleted by it.
    pub deleted: usize,
    /// What is still terminating; the inventory still names it.
    pub terminating: Vec<ObjectId>,
    /// What a person should know.
    pub notes: Vec<String>,
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
            metrics,
            claims: Claims::default(),
            default_service_account: None,
            wake,
        };
        let signals = Arc::<Signals>::default();
        let mailbox = Arc::clone(&signals);
        let carrier = tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                mailbox.touch(change.id);
            }
        });
        let places = Arc::new(Semaphore::new(1));
        Ok(Self { context, memory: Memory::default(), signals, places, carrier })
    }

    /// Where the command is told to come to an end.
    pub fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    /// Applies manifests.
    ///
    /// The outcome says how it ended; the inventory names all that it wrote.
    pub async fn apply(&mut self, release: &Release, yaml: Vec<u8>, progress: &dyn Progress) -> Outcome {
        let (files, revision) = content(release, yaml);
        for _ in 0..ATTEMPTS {
            let mut outcome = Outcome::default();
            match self.attempt(release, &files, &revision, progress, &mut outcome).await {
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
        files: &[(String, Bytes)],
        revision: &Revision,
        progress: &dyn Progress,
        outcome: &mut Outcome,
    ) -> Result<(), Ended> {
        let session = self.context.session.clone();
        let mut turn = Turn::new(&self.places);
        let mut run = Run {
            context: &self.context,
            release,
            memory: &mut self.memory,
            signals: &self.signals,
            turn: &mut turn,
            status: ReleaseStatus::default(),
            trigger: Trigger::Full,
            progress,
        };
        run.load_inventory().await?;
        refuse_unusable(&release.id, run.memory.stored.as_ref())?;
        let known = session.known().await?;
        Box::pin(work::act(&mut run, &session, known, revision, files, outcome)).await
    }

    /// What an apply would do, without doing it.
    ///
    /// # Errors
    /// Why it would do nothing.
    pub async fn preview(&mut self, release: &Release, yaml: Vec<u8>) -> Result<Preview, Failure> {
        let (files, revision) = content(release, yaml);
        let session = self.context.session.clone();
        let mut turn = Turn::new(&self.places);
        let mut run = Run {
            context: &self.context,
            release,
            memory: &mut self.memory,
            signals: &self.signals,
            turn: &mut turn,
            status: ReleaseStatus::default(),
            trigger: Trigger::Full,
            progress: &Silence,
        };
        let looked = async {
            run.load_inventory().await?;
            refuse_unusable(&release.id, run.memory.stored.as_ref())?;
            preview(&mut run, &session, &files, &revision).await
        };
        match Box::pin(looked).await {
            Ok(preview) => Ok(preview),
            Err(Ended::Failed(failed)) => Err(failed),
            Err(Ended::Again) => Err(failure(Reason::ApiServerUnavailable, contested(&release.id))),
        }
    }

    /// Reads the inventory.
    ///
    /// # Errors
    /// When it cannot be read, or there is none.
    pub async fn inventory(&mut self, id: &ReleaseId) -> Result<&Stored, Failure> {
        let stored = self.context.session.read_inventory(id).await;
        let stored = stored.map_err(|e| failure(e.reason(), super::acquire::chain(&e)))?;
        if !stored.exists() {
            let message = format!(
                "there is no inventory {} in the namespace {}: `supercargo get inventories` lists all",
                id.name, id.namespace
            );
            return Err(failure(Reason::InventoryInvalid, message));
        }
        Ok(self.memory.stored.insert(stored))
    }

    /// Deletes everything that an inventory names, then the inventory. `release`
    /// says how long each wait may take, and whether to wait at all.
    ///
    /// # Errors
    /// What could not be deleted; the inventory still names it.
    pub async fn delete(&mut self, release: &Release, progress: &dyn Progress) -> Result<Departed, Failure> {
        let stored = self.inventory(&release.id).await?;
        refuse_another_tools(&release.id, stored)?;
        match Box::pin(self.depart(release, progress)).await {
            Ok(departed) => Ok(departed),
            Err(Ended::Failed(failed)) => Err(failed),
            Err(Ended::Again) => Err(failure(Reason::ApiServerUnavailable, contested(&release.id))),
        }
    }

    async fn depart(&mut self, release: &Release, progress: &dyn Progress) -> Result<Departed, Ended> {
        let session = self.context.session.clone();
        let Some(mut stored) = self.memory.stored.take() else { return Err(Ended::Again) };
        let inventory = Arc::clone(&stored.inventory);
        let known = session.known_of(inventory.entries.keys().map(ObjectId::group_kind)).await?;
        let context = &self.context;
        let view = View::of(context, &session, &mut self.memory, &known, inventory.entries.keys()).await?;
        let mut leaving: Vec<Leaving> = inventory
            .entries
            .iter()
            .map(|(id, entry)| Leaving { id: id.clone(), entry: entry.clone() })
            .collect();
        leaving.sort_by(|a, b| order(&b.id).cmp(&order(&a.id)));
        let everything = Order { release: &release.id, prune: true, dry_run: false, progress };
        let mut removed = remove(context, &session, everything, &leaving, &known, &view).await;
        self.settle(release, &mut stored, &removed, release.wait).await?;
        refuse_remaining(&removed)?;

        let map = inventory_object(&release.id);
        if removed.terminating.is_empty() || release.wait {
            if !removed.terminating.is_empty() {
                // It is deleted like the rest and goes last: until then it says
                // what is still there.
                session.condemn_inventory(&release.id, &mut stored).await?;
            } else {
                session.remove_inventory(&release.id, &stored).await?;
            }
            progress.tell(Event::Object(&map, Change::Deleted));
        }
        if release.wait {
            progress.tell(Event::AwaitsTermination);
            self.follow(release, &leaving, &mut removed, &mut stored, progress).await?;
        }
        Ok(Departed {
            deleted: removed.deleted,
            terminating: removed.terminating,
            notes: removed.notes.into_iter().map(|n| n.message).collect(),
        })
    }

    /// Waits for what is terminating. The inventory goes when all but its own
    /// namespace is gone: that waits for it.
    async fn follow(
        &mut self,
        release: &Release,
        leaving: &[Leaving],
        removed: &mut Removed,
        stored: &mut Stored,
        progress: &dyn Progress,
    ) -> Result<(), Ended> {
        if removed.terminating.is_empty() {
            return Ok(());
        }
        let session = self.context.session.clone();
        let known = session.known_of(leaving.iter().map(|l| l.id.group_kind())).await?;
        let is_home = |id: &ObjectId| id.is("", "Namespace") && id.name == release.id.namespace;
        let (home, mut others): (Vec<ObjectId>, Vec<ObjectId>) =
            std::mem::take(&mut removed.terminating).into_iter().partition(is_home);
        std::mem::swap(&mut removed.terminating, &mut others);
        let mut turn = Turn::new(&self.places);
        let run = Run {
            context: &self.context,
            release,
            memory: &mut self.memory,
            signals: &self.signals,
            turn: &mut turn,
            status: ReleaseStatus::default(),
            trigger: Trigger::Full,
            progress,
        };
        await_gone(&run, &session, &known, leaving, removed).await;
        if !removed.terminating.is_empty() {
            removed.terminating.extend(home);
            return Ok(());
        }
        session.remove_inventory(&release.id, stored).await?;
        removed.terminating = home;
        await_gone(&run, &session, &known, leaving, removed).await;
        // Nothing keeps it any more, and nothing names it.
        removed.terminating.clear();
        Ok(())
    }

    /// Writes what is left into the inventory, held by our finalizer while it is
    /// waited for.
    async fn settle(
        &self,
        release: &Release,
        stored: &mut Stored,
        removed: &Removed,
        waits: bool,
    ) -> Result<(), Ended> {
        let settled = settle(&stored.inventory, &removed.fates, None);
        let holds =
            stored.operators || (waits && !removed.terminating.is_empty() && removed.failures.is_empty());
        let hold = if holds { Hold::Finalizer } else { Hold::Loose };
        if settled.entries.is_empty() && removed.failures.is_empty() {
            return Ok(());
        }
        if stored.deleting {
            // It has the finalizer already, and no other change is worth it.
            return Ok(());
        }
        Ok(self.context.session.write_inventory(&release.id, stored, settled, hold).await?)
    }
}

/// The manifests as the one file of an artifact, and what names them.
fn content(release: &Release, yaml: Vec<u8>) -> (Vec<(String, Bytes)>, Revision) {
    let digest = Digest::of(&yaml);
    let told = release.provenance.as_ref().map(|p| p.revision.clone()).filter(|r| !r.is_empty());
    let revision = Revision {
        name: told.unwrap_or_else(|| digest.as_str().to_owned()),
        key: release.applied_key(digest.as_str()),
        digest,
        stale: None,
    };
    (vec![("all.yaml".to_owned(), yaml.into())], revision)
}

fn contested(id: &ReleaseId) -> String {
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
fn refuse_another_tools(id: &ReleaseId, stored: &Stored) -> Result<(), Failure> {
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

fn refuse_remaining(removed: &Removed) -> Result<(), Ended> {
    if removed.failures.is_empty() {
        return Ok(());
    }
    Err(work::together(
        Reason::PruneFailed,
        "the inventory still names what could not be deleted,",
        removed.failures.clone(),
    ))
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
