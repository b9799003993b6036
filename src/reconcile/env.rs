//! The environment that all runs of the process share.

pub mod claims;
pub mod dependencies;
pub mod plan_keys;
pub mod recovery;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::claims::Claims;
use self::dependencies::{Dependencies, Notified};
use self::plan_keys::PlanKeys;
use self::recovery::RegistryRecovery;
use crate::builder::Builder;
use crate::cluster::accounts::Subscriber;
use crate::cluster::named::NamedObjects;
use crate::cluster::session::{Identity, Session};
use crate::cluster::store::Store;
use crate::domain::allowed::Allowed;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::trust_policy::TrustPolicy;
use crate::fair::Gate;
use crate::observe::metrics::Metrics;
use crate::oci::Registry;

/// How many watches of pods there are at most. A tenant has at most half of them.
const POD_WATCHES: u64 = 256;

/// The environment that all releases share.
pub struct Env {
    /// The session with the controller's identity.
    pub session: Session,
    /// The metadata watches.
    pub store: Store,
    /// The registries.
    pub registry: Registry,
    /// The builds of kustomizations.
    pub builder: Builder,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The watches over single objects that releases depend on.
    pub named: NamedObjects,
    /// Which release depends on what.
    pub dependencies: Dependencies,
    /// Which release owns which object.
    pub claims: Claims,
    /// The ServiceAccount of releases that name none.
    pub default_service_account: Option<String>,
    /// The administrator's requirements for artifacts.
    pub trust: TrustSettings,
    /// The registries that releases may use.
    pub allowed: Allowed,
    /// Notifies a release that something it refers to or waits for has changed.
    pub wake: mpsc::UnboundedSender<ReleaseId>,
    /// The unavailable registries.
    pub recovery: RegistryRecovery,
    /// The watches of pods that all waits share.
    pub pod_watches: Arc<Gate>,
    /// The secret key of the hashes of plans.
    pub plan_keys: PlanKeys,
}

/// The administrator's requirements for artifacts.
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
    /// The bound on the watches of pods.
    pub fn pod_watches() -> Arc<Gate> {
        Gate::new(POD_WATCHES)
    }

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

    /// The identity that handles a release's objects and Secrets.
    pub fn identity(&self, release: &Release) -> Identity {
        match release.service_account.as_ref().or(self.default_service_account.as_ref()) {
            Some(name) => {
                Identity::ServiceAccount { namespace: release.id.namespace.clone(), name: name.clone() }
            }
            None => self.session.identity().clone(),
        }
    }
}
