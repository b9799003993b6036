//! The other clusters of the process. Releases of one namespace with the same connection share one,
//! as long as one of them uses it; releases of different namespaces share nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OnceCell, mpsc};

use super::claims::Claims;
use super::target::{ClusterReach, TargetCluster};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::cluster::store::Store;
use crate::domain::identity::ReleaseId;
use crate::domain::remote::kubeconfig::{RemoteAccess, RemoteSettings};
use crate::domain::remote::place::RemotePlace;
use crate::observe::metrics::Metrics;
use crate::reconcile::scope::slot::WorkerPool;

/// How many runs work at once in one other cluster.
const WORKERS: usize = 4;
/// How long a cluster is away before its releases are notified.
const MOMENT: Duration = Duration::from_millis(500);
/// The average time between two notifications, and the maximum for all of them.
const APART: Duration = Duration::from_millis(20);
const LONGEST_SPREAD: Duration = Duration::from_secs(10);

/// The other clusters.
pub struct Clusters {
    /// The administrator's settings.
    pub settings: RemoteSettings,
    metrics: Arc<Metrics>,
    /// The uid of the Namespace kube-system of the operator's own cluster.
    home: OnceCell<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// By namespace of the releases and fingerprint of the connection.
    clusters: HashMap<(String, String), Weak<RemoteCluster>>,
    /// By namespace of the releases and cluster: it may have several connections. A server may say
    /// that it is any cluster, so it gets no part in what other namespaces reserve.
    claims: HashMap<(String, String), Weak<Claims>>,
}

/// The connection to another cluster.
pub struct RemoteCluster {
    /// How it is reached.
    pub reach: Arc<ClusterReach>,
    place: RemotePlace,
    /// The namespace of its releases.
    namespace: String,
    /// Which cluster it is, once it has answered.
    identified: tokio::sync::Mutex<Option<Identified>>,
    members: Mutex<BTreeSet<ReleaseId>>,
    /// Whether the metrics count it as away.
    is_counted_away: AtomicBool,
    /// Whether it has a token that is renewed, where it needs one.
    pub token: OnceLock<tokio::sync::Mutex<bool>>,
    metrics: Arc<Metrics>,
}

/// Which cluster answers.
struct Identified {
    place: Arc<RemotePlace>,
    claims: Arc<Claims>,
    /// How often it had been away before.
    outages: u64,
}

/// A release that uses a cluster.
pub struct Member {
    /// The cluster.
    pub cluster: Arc<RemoteCluster>,
    release: ReleaseId,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.cluster.members().remove(&self.release);
    }
}

impl Drop for RemoteCluster {
    fn drop(&mut self) {
        self.metrics.remote_cluster_gone(self.is_counted_away.load(Ordering::Relaxed));
    }
}

impl Clusters {
    /// None yet.
    pub fn new(settings: RemoteSettings, metrics: &Arc<Metrics>) -> Arc<Self> {
        let (metrics, home, known) = (Arc::clone(metrics), OnceCell::new(), Mutex::default());
        Arc::new(Self { settings, metrics, home, known })
    }

    /// The id of the operator's own cluster; `None` where it may not be read.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn home(&self, session: &Session) -> Result<Option<&str>, ApiError> {
        if let Some(known) = self.home.get() {
            return Ok(Some(known));
        }
        let Some(uid) = session.cluster_uid().await? else { return Ok(None) };
        Ok(Some(self.home.get_or_init(|| async { uid }).await))
    }

    /// The cluster of a connection, for releases of a namespace. `home` is the operator's own, and
    /// `mark` its id. Releases that use it are notified when it is away, and when it is back.
    ///
    /// # Errors
    /// When certificates or credentials cannot be used.
    pub fn of(
        &self,
        (namespace, fingerprint): (&str, &str),
        access: &RemoteAccess,
        (home, store, mark): (&Session, &Store, &str),
        wake: &mpsc::UnboundedSender<ReleaseId>,
    ) -> Result<Arc<RemoteCluster>, ApiError> {
        let key = (namespace.to_owned(), fingerprint.to_owned());
        let mut known = self.known();
        if let Some(cluster) = known.clusters.get(&key).and_then(Weak::upgrade) {
            return Ok(cluster);
        }
        let session = home.remote(access, self.settings.reach, mark)?;
        let store = store.over(&session, namespace);
        let place = RemotePlace {
            server: access.server.clone(),
            uid: None,
            fingerprint: access.server_fingerprint(),
        };
        let pool = WorkerPool::new(WORKERS, &self.metrics);
        let cluster = Arc::new(RemoteCluster {
            reach: Arc::new(ClusterReach { session, store, pool: Some(pool) }),
            place,
            namespace: namespace.to_owned(),
            identified: tokio::sync::Mutex::default(),
            members: Mutex::default(),
            is_counted_away: AtomicBool::new(false),
            token: OnceLock::new(),
            metrics: Arc::clone(&self.metrics),
        });
        self.metrics.remote_cluster_appeared();
        cluster.follow(wake);
        known.clusters.retain(|_, cluster| cluster.strong_count() > 0);
        known.claims.retain(|_, claims| claims.strong_count() > 0);
        known.clusters.insert(key, Arc::downgrade(&cluster));
        Ok(cluster)
    }

    /// The cluster as the target of runs: it is identified, and answers. It is identified `afresh` on
    /// request, and after each outage: its address may lead to another one then.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn target(&self, cluster: &RemoteCluster, afresh: bool) -> Result<TargetCluster, ApiError> {
        let session = &cluster.reach.session;
        session.check_reachable()?;
        let mut identified = cluster.identified.lock().await;
        let outages = session.outages();
        let known = identified.as_ref().filter(|known| !afresh && known.outages == outages);
        let (place, claims) = match known {
            Some(known) => (Arc::clone(&known.place), Arc::clone(&known.claims)),
            None => {
                let uid = session.cluster_uid().await?;
                let place = Arc::new(RemotePlace { uid, ..cluster.place.clone() });
                let claims = self.claims_of(&cluster.namespace, place.key());
                let (place_too, claims_too) = (Arc::clone(&place), Arc::clone(&claims));
                *identified = Some(Identified { place: place_too, claims: claims_too, outages });
                (place, claims)
            }
        };
        drop(identified);
        Ok(TargetCluster::remote(place, claims, Arc::clone(&cluster.reach)))
    }

    /// The directory of a cluster, for releases of a namespace.
    fn claims_of(&self, namespace: &str, key: &str) -> Arc<Claims> {
        let key = (namespace.to_owned(), key.to_owned());
        let mut known = self.known();
        if let Some(claims) = known.claims.get(&key).and_then(Weak::upgrade) {
            return claims;
        }
        let claims = Arc::<Claims>::default();
        known.claims.insert(key, Arc::downgrade(&claims));
        claims
    }

    /// The release is gone. Returns the releases that wait for its objects.
    pub fn forget(&self, release: &ReleaseId) -> BTreeSet<ReleaseId> {
        self.all_claims().iter().flat_map(|claims| claims.forget(release)).collect()
    }

    /// The release waits for no object any more. Returns the releases that keep some for it.
    pub fn want_nothing(&self, release: &ReleaseId) -> BTreeSet<ReleaseId> {
        self.all_claims().iter().flat_map(|claims| claims.want_nothing(release)).collect()
    }

    fn all_claims(&self) -> Vec<Arc<Claims>> {
        self.known().claims.values().filter_map(Weak::upgrade).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RemoteCluster {
    /// The release uses it as long as the value lasts.
    pub fn join(self: Arc<Self>, release: &ReleaseId) -> Member {
        self.members().insert(release.clone());
        Member { cluster: self, release: release.clone() }
    }

    /// Notifies its releases when it is away, and when it is back.
    fn follow(self: &Arc<Self>, wake: &mpsc::UnboundedSender<ReleaseId>) {
        let Some(mut changes) = self.reach.session.follow() else { return };
        let (this, wake) = (Arc::downgrade(self), wake.clone());
        tokio::spawn(async move {
            // It ends with the session.
            while changes.wait_for(|is_away| *is_away).await.is_ok() {
                // One request without an answer is no news: releases that are notified of that, and of
                // the next answer, would send the same request again at once.
                let back = changes.wait_for(|is_away| !*is_away);
                if tokio::time::timeout(MOMENT, back).await.is_ok() {
                    continue;
                }
                let members = |is_away: bool| {
                    let cluster = this.upgrade()?;
                    cluster.is_counted_away.store(is_away, Ordering::Relaxed);
                    cluster.metrics.remote_cluster_away(is_away);
                    Some(cluster.members().clone())
                };
                let Some(releases) = members(true) else { return };
                notify(releases, &wake).await;
                if changes.wait_for(|is_away| !*is_away).await.is_err() {
                    return;
                }
                let Some(releases) = members(false) else { return };
                notify(releases, &wake).await;
            }
        });
    }

    fn members(&self) -> MutexGuard<'_, BTreeSet<ReleaseId>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notifies them one after another: the cluster may have just recovered.
async fn notify(releases: BTreeSet<ReleaseId>, wake: &mpsc::UnboundedSender<ReleaseId>) {
    let count = u32::try_from(releases.len()).unwrap_or(u32::MAX).max(1);
    let apart = APART.min(LONGEST_SPREAD / count);
    for release in releases {
        // The receiver is gone while the process ends.
        let _ = wake.send(release);
        tokio::time::sleep(apart.mul_f64(2.0 * fastrand::f64())).await;
    }
}
