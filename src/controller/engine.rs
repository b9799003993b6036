//! From watches to releases: each release is an actor, and each event is sent to its actor.

mod handover;
mod life;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actor::SharedState;
use super::latest::Latest;
use super::options::Options;
use super::replicas::{Members, Membership, Moved, ReleaseTable};
use super::specs::Specs;
use crate::builder::Builder;
use crate::cluster::changes::WatchChange;
use crate::cluster::named::{NamedObjects, ObjectKey};
use crate::cluster::releases::ReleaseEvent;
use crate::cluster::session::Session;
use crate::cluster::store::Store;
use crate::domain::identity::ReleaseId;
use crate::domain::kept::KeptRelease;
use crate::domain::observed::ObservedRelease;
use crate::domain::patch::selector::Selector;
use crate::domain::status::awaited_objects;
use crate::domain::verify::trust_policy::TrustPolicy;
use crate::notify::Notifier;
use crate::observe::metrics::Metrics;
use crate::oci::{Registry, Repository};
use crate::reconcile::env::clusters::Clusters;
use crate::reconcile::env::dependencies::{Dependencies, DependencyScope};
use crate::reconcile::env::input_room::InputRoom;
use crate::reconcile::env::plan_keys::PlanKeys;
use crate::reconcile::env::recovery::RegistryRecovery;
use crate::reconcile::env::target::TargetCluster;
use crate::reconcile::env::{Env, TrustSettings};
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::scope::slot::WorkerPool;

/// How long runs may take to finish when the process is stopped.
const DRAIN: Duration = Duration::from_secs(20);

/// What tells a replica which releases are its own.
pub struct Coordination {
    /// What it is called as an owner; absent: it works only while it leads.
    pub holder: Option<String>,
    /// Whether it leads. It never stops doing so: then the process ends.
    pub leads: watch::Receiver<bool>,
    /// The replicas.
    pub membership: watch::Receiver<Option<Arc<Membership>>>,
    /// What is known of owners.
    pub members: Arc<Members>,
}

struct Handle {
    /// One number for each actor.
    number: u64,
    signals: Arc<Signals>,
    latest: Latest,
}

/// Evaluates the expressions of dependencies that have changed.
async fn evaluate(shared: Arc<SharedState>) {
    loop {
        let notified = shared.env.dependencies.evaluated().await;
        shared.env.notify(notified);
    }
}

/// The engine.
pub struct Engine {
    shared: Arc<SharedState>,
    /// All releases, of every replica.
    table: ReleaseTable,
    coordination: Coordination,
    moves: JoinSet<Moved>,
    /// The releases that this replica works on.
    handles: HashMap<ReleaseId, Handle>,
    actors: JoinSet<(ReleaseId, u64)>,
    numbers: u64,
    /// The actors that have not ended.
    running: HashSet<u64>,
    unseen: BTreeSet<ReleaseId>,
    /// The namespaces whose releases are not known yet; `None` is all.
    unlisted: BTreeSet<Option<String>>,
    scopes: Vec<Option<String>>,
    selector: Option<Selector>,
    /// The watches over releases.
    listing: JoinSet<()>,
    releases: mpsc::UnboundedReceiver<ReleaseEvent>,
    changes: mpsc::UnboundedReceiver<WatchChange>,
    /// Objects that releases depend on.
    objects: mpsc::UnboundedReceiver<ObjectKey>,
    wakes: mpsc::UnboundedReceiver<ReleaseId>,
    /// Dropped to end the watches over releases.
    watches: JoinSet<()>,
}

impl Engine {
    /// Starts the watches. Nothing else is read here: an object in one namespace that is too large
    /// or broken must not block the releases of another. Each release reads its own inventory, and
    /// that of another release when it finds its objects.
    pub fn start(
        session: Session,
        (registry, builder): (Registry, Builder),
        trust: TrustSettings,
        (specs, inputs, news): (Specs, InputRoom, Notifier),
        metrics: Arc<Metrics>,
        coordination: Coordination,
        options: &Options,
    ) -> Self {
        let scopes: Vec<Option<String>> = match options.watch_namespaces.as_slice() {
            [] => vec![None],
            namespaces => namespaces.iter().cloned().map(Some).collect(),
        };
        let selector = options.watch_label_selector.clone();
        let unlisted = scopes.iter().cloned().collect();
        let mut watches = JoinSet::new();
        let (store, changes) = Store::new(&session);
        let (wake, wakes) = mpsc::unbounded_channel();
        let (named, objects) = NamedObjects::new(&session);
        let dependencies = Dependencies::new(DependencyScope {
            namespaces: options.watch_namespaces.clone(),
            is_selective: options.watch_label_selector.is_some(),
            across_namespaces: options.cross_namespace_dependencies,
            quota: options.quota,
        });
        let own = options.leader_election_namespace.clone();
        let own = own.unwrap_or_else(|| session.default_namespace().to_owned());
        let plan_keys = PlanKeys::new(own, format!("{}-plan-key", options.leader_election_name));
        let home = TargetCluster::home(&session, store);
        let env = Env {
            target: Arc::clone(&home),
            home,
            session,
            clusters: Clusters::new(options.remote_clusters, &metrics),
            named,
            dependencies: Arc::new(dependencies),
            registry,
            builder,
            metrics: Arc::clone(&metrics),
            default_service_account: options.default_service_account.clone(),
            has_own_rights: false,
            trust,
            allowed: options.allowed_registries.clone(),
            wake,
            recovery: RegistryRecovery::default(),
            inputs: Arc::new(inputs),
            plan_keys: Arc::new(plan_keys),
        };
        let pool = WorkerPool::new(options.concurrency.max(1), &metrics);
        let shared = Arc::new(SharedState { env, pool, specs, news, start: Instant::now() });
        watches.spawn(evaluate(Arc::clone(&shared)));
        let mut engine = Self {
            table: ReleaseTable::new(coordination.holder.clone()),
            coordination,
            moves: JoinSet::new(),
            handles: HashMap::new(),
            actors: JoinSet::new(),
            numbers: 0,
            running: HashSet::new(),
            unseen: BTreeSet::new(),
            unlisted,
            scopes,
            selector,
            listing: JoinSet::new(),
            releases: mpsc::unbounded_channel().1,
            changes,
            objects,
            wakes,
            watches,
            shared,
        };
        if *engine.coordination.leads.borrow_and_update() {
            engine.table.lead();
        }
        if let Some(membership) = engine.coordination.membership.borrow_and_update().clone() {
            engine.shared.env.metrics.replicas(membership.replicas.len());
            engine.table.set_membership(membership);
        }
        engine.list();
        engine
    }

    /// Lists and watches the releases, from now.
    fn list(&mut self) {
        // Events of the watches before would be taken for newer ones.
        self.listing.abort_all();
        let (sender, releases) = mpsc::unbounded_channel();
        self.releases = releases;
        self.table.list_begins();
        for scope in self.scopes.clone() {
            let session = self.shared.env.session.clone();
            self.listing.spawn(session.watch_releases(scope, self.selector.clone(), sender.clone()));
        }
    }

    /// Runs until the future is done, then waits for the runs to finish. `listed` is called when
    /// the first releases are known. Returns whether all runs have ended.
    pub async fn run(mut self, stop: impl Future<Output = ()>, mut listed: impl FnMut()) -> bool {
        let mut stop = std::pin::pin!(stop);
        let mut trust_policy = self.shared.env.trust.policy.clone();
        let mut in_force = Arc::clone(&trust_policy.borrow_and_update());
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(event) = self.releases.recv() => self.release(event, &mut listed),
                Some(change) = self.changes.recv() => {
                    if let Some(handle) = self.handles.get(&change.owner) {
                        match &change.id {
                            Some(id) => handle.signals.touch(id.clone()),
                            None => handle.signals.supersede(),
                        }
                    }
                }
                Some(key) = self.objects.recv() => {
                    let env = &self.shared.env;
                    env.notify(env.dependencies.object_changed(&key));
                }
                Some(id) = self.wakes.recv() => {
                    if let Some(handle) = self.handles.get(&id) {
                        handle.signals.supersede();
                    }
                }
                // It never changes where there is no file.
                Ok(()) = trust_policy.changed() => {
                    let before = std::mem::replace(&mut in_force, Arc::clone(&trust_policy.borrow_and_update()));
                    self.demand(&before, &in_force);
                }
                Some(ended) = self.actors.join_next() => {
                    if let Ok((id, number)) = ended {
                        self.ended(&id, number);
                    }
                }
                Some(moved) = self.moves.join_next() => {
                    if let Ok(moved) = moved {
                        self.moved(moved);
                    }
                }
                Ok(()) = self.coordination.leads.changed() => {
                    if *self.coordination.leads.borrow_and_update() {
                        self.table.lead();
                        self.list();
                    }
                }
                Ok(()) = self.coordination.membership.changed() => {
                    let membership = self.coordination.membership.borrow_and_update().clone();
                    if let Some(membership) = membership {
                        self.shared.env.metrics.replicas(membership.replicas.len());
                        self.table.set_membership(membership);
                        self.decide_all();
                    }
                }
            }
        }
        self.listing.abort_all();
        self.watches.abort_all();
        for handle in self.handles.values() {
            handle.signals.stop();
        }
        let drained = async { while self.actors.join_next().await.is_some() {} };
        let is_drained = tokio::time::timeout(DRAIN, drained).await.is_ok();
        // A move whose result is not known holds up nobody. Whatever becomes of its write: it is one over a version that
        // the next owner replaces as well, so only one of the two is carried out, and nobody works on the release here.
        self.moves.abort_all();
        if !is_drained {
            tracing::warn!("some runs did not finish; they continue at the next start");
            // They must not write after another replica has the releases.
            self.shared.env.session.write_until("drained", Instant::now());
        }
        is_drained
    }

    fn release(&mut self, event: ReleaseEvent, listed: &mut impl FnMut()) {
        match event {
            ReleaseEvent::Listing(namespace) => {
                let listed = |id: &&ReleaseId| namespace.as_ref().is_none_or(|n| *n == id.namespace);
                self.unseen.extend(self.table.ids().filter(listed).cloned());
            }
            ReleaseEvent::Present(resource) => self.present(resource),
            ReleaseEvent::Absent(id) => self.absent(&id),
            ReleaseEvent::Listed(namespace) => {
                // The list of another namespace may be in progress.
                let of_it = |id: &ReleaseId| namespace.as_ref().is_none_or(|n| *n == id.namespace);
                let gone: Vec<ReleaseId> = self.unseen.iter().filter(|id| of_it(id)).cloned().collect();
                for id in gone {
                    self.absent(&id);
                }
                self.unlisted.remove(&namespace);
                if self.unlisted.is_empty() {
                    self.shared.env.dependencies.set_listed();
                }
                listed();
            }
            ReleaseEvent::Failed(error) => tracing::error!(error, "cannot watch releases; retrying"),
        }
    }

    fn present(&mut self, seen: Arc<KeptRelease>) {
        let id = seen.id.clone();
        let open = match seen.open() {
            Ok(open) => open,
            Err(error) => return tracing::error!(release = %id, %error, "cannot read a release"),
        };
        self.unseen.remove(&id);
        if self.table.is_another(&id, seen.uid.as_deref()) {
            self.absent(&id);
        }
        let env = &self.shared.env;
        env.notify(env.dependencies.present(&seen, &open));
        self.table.present(&id, Arc::clone(&seen));
        match self.handles.get(&id) {
            Some(handle) => {
                if seen.wants_run_after(&handle.latest.replace(Arc::clone(&seen))) {
                    handle.signals.supersede();
                }
            }
            None => env.wake(env.target.claims.wanted_before(&id, awaited_here(&open))),
        }
        self.decide(&id);
        if !self.handles.contains_key(&id) {
            self.shared.env.dependencies.set_elsewhere(&id, true);
        }
    }

    /// The trust policy has changed: releases with changed requirements are requeued.
    fn demand(&self, before: &TrustPolicy, after: &TrustPolicy) {
        for handle in self.handles.values() {
            let url = handle.latest.get().open().map(|open| open.resource.spec.url).unwrap_or_default();
            let Ok(repository) = Repository::parse(&url) else { continue };
            let of = |trust_policy: &TrustPolicy| {
                trust_policy.demand(repository.registry(), repository.path()).fingerprint()
            };
            if of(before) != of(after) {
                handle.signals.supersede();
            }
        }
    }
}

/// The objects that a release waits for in this cluster. In another one, the names are those of other objects.
fn awaited_here(release: &ObservedRelease) -> Vec<String> {
    let resource = &release.resource;
    let status = resource.status.as_ref().filter(|_| resource.spec.kube_config.is_none());
    status.map(awaited_objects).unwrap_or_default()
}
