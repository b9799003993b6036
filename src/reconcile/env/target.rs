//! The cluster of the objects of a run: the operator's own, or another one that the release names.

use std::sync::Arc;

use super::claims::Claims;
use crate::cluster::session::Session;
use crate::cluster::store::Store;
use crate::domain::remote::place::RemotePlace;
use crate::reconcile::error::RunFailure;
use crate::reconcile::scope::slot::WorkerPool;

/// The cluster of the objects of a run. What belongs to the release itself (its status, its
/// inventory, the Secrets of its spec) is in the operator's own cluster in any case.
pub struct TargetCluster {
    /// Which cluster it is, if it is not the operator's own.
    pub place: Option<Arc<RemotePlace>>,
    /// Which release owns which object there.
    pub claims: Arc<Claims>,
    reach: Result<Arc<ClusterReach>, Box<RunFailure>>,
}

/// How a cluster is reached, and what is known of its objects.
pub struct ClusterReach {
    /// The session as the process, or as the user of the kubeconfig.
    pub session: Session,
    /// The metadata watches.
    pub store: Store,
    /// The workers for runs there, if they are not those of all runs.
    pub pool: Option<WorkerPool>,
}

impl TargetCluster {
    /// The operator's own cluster, or that of the command line.
    pub fn home(session: &Session, store: Store) -> Arc<Self> {
        let reach = Ok(Arc::new(ClusterReach { session: session.clone(), store, pool: None }));
        Arc::new(Self { place: None, claims: Arc::default(), reach })
    }

    /// Another cluster.
    pub fn remote(place: Arc<RemotePlace>, claims: Arc<Claims>, reach: Arc<ClusterReach>) -> Self {
        Self { place: Some(place), claims, reach: Ok(reach) }
    }

    /// A cluster that cannot be reached now. `known` is how it was known before.
    pub fn away(known: Option<&Self>, why: Box<RunFailure>) -> Self {
        let claims = known.map(|known| Arc::clone(&known.claims)).unwrap_or_default();
        Self { place: known.and_then(|known| known.place.clone()), claims, reach: Err(why) }
    }

    /// The workers for runs there, if it has its own.
    pub fn pool(&self) -> Option<&WorkerPool> {
        self.reach.as_ref().ok()?.pool.as_ref()
    }

    /// How it is reached.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn reach(&self) -> Result<&Arc<ClusterReach>, Box<RunFailure>> {
        self.reach.as_ref().map_err(Clone::clone)
    }
}
