//! A run's view of the cluster: records from the watches, and fetched records of objects that no
//! watch covers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;

use crate::cluster::State;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::StoreError;
use crate::cluster::session::{Identity, Session};
use crate::cluster::store::{WatchScope, Watched};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Inventory;
use crate::domain::live::Record;
use crate::domain::plan::{Leaving, Live};
use crate::domain::prune::deleted;
use crate::domain::remote::place::may_continue;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::env::Env;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::flow::parallel::unordered;

/// How long a run waits for the first list of a watch.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// The view.
pub struct View<'a> {
    env: &'a Env,
    watches: Vec<Arc<Watched>>,
    fetched: HashMap<ObjectId, Option<Record>>,
    /// Inventories of owners outside this process.
    foreign: HashMap<ReleaseId, Foreign>,
}

/// What an owner outside this process has.
#[derive(Default)]
struct Foreign {
    claimed: BTreeSet<ObjectId>,
    retained: BTreeSet<ObjectId>,
}

impl<'a> View<'a> {
    /// Reads objects: makes sure that their kinds are watched, waits for the watches, and fetches
    /// what they do not cover.
    ///
    /// # Errors
    /// When an object can neither be watched nor read.
    pub async fn of(
        env: &'a Env,
        session: &Session,
        cluster: &mut ClusterCache,
        discovery: &ApiDiscovery,
        ids: impl Iterator<Item = &ObjectId>,
    ) -> Result<Self, ReconcileError> {
        let store = &env.target.reach()?.store;
        let mut unserved = Vec::new();
        let mut covered = Vec::new();
        for id in ids {
            let Some(resource) = discovery.preferred(&id.group_kind()) else {
                unserved.push(id.clone());
                continue;
            };
            // A bounded look is over soon, and the list of a watch has no bound.
            if !session.is_bounded() && !cluster.watches.iter().any(|w| w.covers(id)) {
                cluster.watches.push(store.watch(scope(session, &resource, id))?);
            }
            covered.push((id, resource));
        }
        // A watch whose first list fails must not block the run: its objects are fetched by name,
        // and that shows the error.
        let settled = futures::future::join_all(cluster.watches.iter().map(|w| w.settled()));
        let _ = tokio::time::timeout(SYNC_TIMEOUT, settled).await;
        let (synced, blind): (Vec<_>, Vec<_>) =
            cluster.watches.iter().cloned().partition(|w| w.state() == State::Synced);
        cluster.blind = blind;
        let hidden = |id: &ObjectId, watch: &Watched| {
            let entry = cluster.inventory.entries.get(id);
            entry.is_some_and(|e| cluster.may_be_unlabelled(id, e)) && watch.record(id).is_none()
        };
        let missing: Vec<_> = covered
            .into_iter()
            .filter(|(id, _)| synced.iter().find(|w| w.covers(id)).is_none_or(|w| hidden(id, w)))
            .collect();
        let mut fetched: HashMap<ObjectId, Option<Record>> =
            unserved.into_iter().map(|id| (id, None)).collect();
        let mut answers = unordered(
            missing
                .into_iter()
                .map(|(id, resource)| async move { (id, session.get_record(&resource, id).await) }),
        );
        let mut unread = BTreeSet::new();
        while let Some((id, record)) = answers.next().await {
            match record {
                Ok(record) => {
                    // The missing right may have been granted meanwhile.
                    let denied = cluster.blind.iter().filter(|w| w.covers(id));
                    denied.for_each(|w| w.ask_again());
                    cluster.note_end(id, record.as_ref());
                    fetched.insert(id.clone(), record);
                }
                // The apply gets the same error, and reports it.
                Err(error) if error.is_forbidden() && synced.iter().any(|w| w.covers(id)) => {}
                Err(error) if error.is_of_the_object() => drop(unread.insert(id.clone())),
                Err(error) => return Err(error.into()),
            }
        }
        drop(answers);
        cluster.unread = unread;
        Ok(Self { env, watches: synced, fetched, foreign: HashMap::new() })
    }

    /// The objects that would be deleted of those that leave a release, with their uids.
    pub fn deleted<'l>(
        &self,
        release: &ReleaseId,
        prune: bool,
        leaving: &'l [Leaving],
    ) -> Vec<(&'l Leaving, String)> {
        let pending_owner = |id: &ObjectId| self.env.target.claims.pending_owner(id);
        deleted(release, prune, leaving, pending_owner, |id| self.record(id))
    }

    /// Whether the objects of an inventory are in this cluster.
    fn is_here(&self, inventory: &Inventory) -> bool {
        may_continue(inventory.place.as_deref(), 1, self.env.target.place.as_deref())
    }

    /// Reads the inventories of owners that are not releases of this process. Without the right to
    /// read one, the labels count.
    ///
    /// # Errors
    /// When the API server does not give them. One that is broken claims
    /// nothing.
    pub async fn load_foreign_inventories(
        &mut self,
        me: &ReleaseId,
        ids: &[ObjectId],
    ) -> Result<(), ApiError> {
        let owners: BTreeSet<ReleaseId> = ids
            .iter()
            .filter_map(|id| {
                let owner = self.record(id)?.owner?;
                (owner != *me && self.env.target.claims.names(&owner, id).is_none()).then_some(owner)
            })
            .collect();
        for owner in owners {
            let named = match self.env.session.read_inventory(&owner).await {
                // The same name in another cluster is another object.
                Ok(stored) if !self.is_here(&stored.inventory) => Foreign::default(),
                Ok(stored) => {
                    let which = |has: fn(&Inventory, &ObjectId) -> bool| {
                        ids.iter().filter(|id| has(&stored.inventory, id)).cloned().collect()
                    };
                    Foreign { claimed: which(Inventory::claims), retained: which(Inventory::retains) }
                }
                Err(StoreError::Api { source, .. }) if source.is_forbidden() => {
                    let labelled =
                        |id: &&ObjectId| self.record(id).is_some_and(|r| r.owner.as_ref() == Some(&owner));
                    Foreign { claimed: ids.iter().filter(labelled).cloned().collect(), ..Foreign::default() }
                }
                Err(StoreError::Api { source, .. }) => return Err(source),
                Err(_) => Foreign::default(),
            };
            self.foreign.insert(owner, named);
        }
        Ok(())
    }
}

impl Live for View<'_> {
    fn record(&self, id: &ObjectId) -> Option<Record> {
        match self.fetched.get(id) {
            Some(record) => record.clone(),
            None => self.watches.iter().find(|w| w.covers(id))?.record(id),
        }
    }

    fn is_observed(&self, id: &ObjectId) -> bool {
        self.fetched.contains_key(id) || self.watches.iter().any(|w| w.covers(id))
    }

    fn ended(&self, id: &ObjectId) -> Option<String> {
        match id.is("batch", "Job") {
            true => self.watches.iter().find(|w| w.covers(id))?.completed(id),
            false => None,
        }
    }

    fn claims(&self, owner: &ReleaseId, id: &ObjectId) -> bool {
        match self.env.target.claims.names(owner, id) {
            Some(named) => named,
            None => self.foreign.get(owner).is_some_and(|named| named.claimed.contains(id)),
        }
    }

    fn retains(&self, owner: &ReleaseId, id: &ObjectId) -> bool {
        match self.env.target.claims.retains(owner, id) {
            Some(retained) => retained,
            None => self.foreign.get(owner).is_some_and(|named| named.retained.contains(id)),
        }
    }

    fn reserved(&self, id: &ObjectId) -> Option<ReleaseId> {
        self.env.target.claims.reserved(id)
    }
}

/// The watch for an object. The controller's own covers all namespaces; a ServiceAccount or a
/// person often has rights in one namespace only.
fn scope(session: &Session, resource: &Arc<Resource>, id: &ObjectId) -> WatchScope {
    let identity = session.identity().clone();
    let namespace = match identity {
        Identity::Controller => None,
        Identity::ServiceAccount { .. } | Identity::User | Identity::Kubeconfig => {
            Some(id.namespace.clone()).filter(|n| !n.is_empty())
        }
    };
    WatchScope { identity, resource: Arc::clone(resource), namespace }
}

/// The kinds whose objects must be fetched one by one: those that the identity cannot watch, and
/// those whose watch is not synced now.
pub fn unwatched(cluster: &ClusterCache) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut denied, mut behind) = (BTreeSet::new(), BTreeSet::new());
    for watch in &cluster.watches {
        let plural = watch.scope().resource.plural.as_str();
        match watch.state() {
            State::Denied(_) => drop(denied.insert(plural)),
            State::Syncing => drop(behind.insert(plural)),
            State::Synced | State::NotServed => {}
        }
    }
    (denied, behind)
}
