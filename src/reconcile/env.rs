//! The environment that all runs of the process share.

pub mod claims;
pub mod clusters;
pub mod dependencies;
pub mod input_room;
pub mod plan_keys;
pub mod quotas;
pub mod recovery;
pub mod target;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::clusters::Clusters;
use self::dependencies::{Dependencies, Notified};
use self::input_room::InputRoom;
use self::plan_keys::PlanKeys;
use self::recovery::RegistryRecovery;
use self::target::TargetCluster;
use crate::builder::Builder;
use crate::cluster::by_name::Subscriber;
use crate::cluster::error::ApiError;
use crate::cluster::named::NamedObjects;
use crate::cluster::session::{Identity, Session};
use crate::domain::allowed::Allowed;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::trust_policy::TrustPolicy;
use crate::observe::metrics::Metrics;
use crate::oci::Registry;

/// The environment that all releases share; clones share it, too.
#[derive(Clone)]
pub struct Env {
    /// The session in the operator's own cluster with the controller's identity. What belongs to a
    /// release itself is there: its status, its inventory, its events, and what its spec names.
    pub session: Session,
    /// The cluster of the objects of a run: the operator's own, unless the release names another.
    pub target: Arc<TargetCluster>,
    /// The operator's own cluster as a target.
    pub home: Arc<TargetCluster>,
    /// The other clusters.
    pub clusters: Arc<Clusters>,
    /// The registries.
    pub registry: Registry,
    /// The builds of kustomizations.
    pub builder: Builder,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The watches over single objects that releases depend on.
    pub named: NamedObjects,
    /// Which release depends on what.
    pub dependencies: Arc<Dependencies>,
    /// The ServiceAccount of releases that name none.
    pub default_service_account: Option<String>,
    /// Whether releases with objects in the own cluster are read with the rights of this process, also those with an account:
    /// a person looks at them. The account is a part of what is applied all the same.
    pub has_own_rights: bool,
    /// The administrator's requirements for artifacts.
    pub trust: TrustSettings,
    /// The registries that releases may use.
    pub allowed: Allowed,
    /// Notifies a release that something it refers to or waits for has changed.
    pub wake: mpsc::UnboundedSender<ReleaseId>,
    /// The unavailable registries.
    pub recovery: RegistryRecovery,
    /// The memory of what decides what is rendered.
    pub inputs: Arc<InputRoom>,
    /// The secret key of the hashes of plans.
    pub plan_keys: Arc<PlanKeys>,
}

/// The administrator's requirements for artifacts.
#[derive(Clone)]
pub struct TrustSettings {
    /// The policy by repository; it is updated when its file changes.
    pub policy: watch::Receiver<Arc<TrustPolicy>>,
    /// The default trusted root for keyless signatures.
    pub root: Arc<TrustRoot>,
    /// Whether every artifact has to be verified.
    pub required: bool,
    /// The interval after which artifacts are verified again.
    pub interval: Duration,
}

impl Default for TrustSettings {
    fn default() -> Self {
        let (_, policy) = watch::channel(Arc::default());
        Self {
            policy,
            root: Arc::new(TrustRoot::public_good()),
            required: false,
            interval: Duration::from_secs(3600),
        }
    }
}

impl Env {
    /// Notifies a release when something that it refers to changes.
    pub fn notifier(&self, release: &ReleaseId) -> Subscriber {
        Subscriber { release: release.clone(), sender: self.wake.clone() }
    }

    /// Requeues releases.
    pub fn wake(&self, releases: impl IntoIterator<Item = ReleaseId>) {
        for release in releases {
            // The receiver is gone while the process ends.
            let _ = self.wake.send(release);
        }
    }

    /// Requeues the releases that a change concerns.
    pub fn notify(&self, notified: Notified) {
        self.wake(notified.now);
        for (release, delay) in notified.later {
            self.wake_after(&release, delay);
        }
    }

    /// Requeues a release after that time.
    pub fn wake_after(&self, release: &ReleaseId, delay: Duration) {
        let (release, wake) = (release.clone(), self.wake.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The receiver is gone while the process ends.
            let _ = wake.send(release);
        });
    }

    /// A session in the operator's own cluster with the release's identity: for what its spec names.
    ///
    /// # Errors
    /// When the identity cannot be impersonated.
    pub fn home_session(&self, release: &Release) -> Result<Session, ApiError> {
        Ok(self.session.impersonate(self.identity(release))?.on_behalf_of(&release.id.namespace))
    }

    /// The same identity in the operator's own cluster.
    ///
    /// # Errors
    /// When it cannot be impersonated.
    pub fn at_home(&self, session: &Session) -> Result<Session, ApiError> {
        match session.identity() {
            account @ Identity::ServiceAccount { .. } => self.session.impersonate(account.clone()),
            Identity::Controller | Identity::User | Identity::Kubeconfig => Ok(self.session.clone()),
        }
    }

    /// The identity that handles a release's objects and Secrets. In another cluster, a release
    /// without an account is the kubeconfig's user.
    pub fn identity(&self, release: &Release) -> Identity {
        if self.has_own_rights && release.kube_config.is_none() {
            return self.session.identity().clone();
        }
        match release.service_account.as_ref().or(self.default_service_account.as_ref()) {
            Some(name) => {
                Identity::ServiceAccount { namespace: release.id.namespace.clone(), name: name.clone() }
            }
            None => self.session.identity().clone(),
        }
    }
}
