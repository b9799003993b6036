//! What all runs of the process share.

pub mod claims;
pub mod recovery;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::claims::Claims;
use self::recovery::RegistryRecovery;
use crate::cluster::accounts::Subscriber;
use crate::cluster::session::{Identity, Session};
use crate::cluster::store::Store;
use crate::domain::allowed::Allowed;
use crate::domain::identity::ReleaseId;
use crate::domain::release::Release;
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::trust_policy::TrustPolicy;
use crate::observe::metrics::Metrics;
use crate::oci::Registry;

/// What all releases share.
pub struct Env {
    /// The API server, as the controller.
    pub session: Session,
    /// The metadata watches.
    pub store: Store,
    /// The registries.
    pub registry: Registry,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Which release has which object.
    pub claims: Claims,
    /// The ServiceAccount of releases that name none.
    pub default_service_account: Option<String>,
    /// What the administrator demands of artifacts.
    pub trust: TrustSettings,
    /// Which registries releases may name.
    pub allowed: Allowed,
    /// Where a release is told that something it names or waits for changed.
    pub wake: mpsc::UnboundedSender<ReleaseId>,
    /// The registries that are away.
    pub recovery: RegistryRecovery,
}

/// What the administrator demands of artifacts.
pub struct TrustSettings {
    /// By their repository; the file that it comes from may change.
    pub policy: watch::Receiver<Arc<TrustPolicy>>,
    /// By whose word keyless signatures are believed where nothing else is said.
    pub root: Arc<TrustRoot>,
    /// Whether every artifact has to be verified.
    pub required: bool,
    /// How often what was verified is verified again.
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
    /// Who is told when something that a release names changes.
    pub fn told(&self, release: &ReleaseId) -> Subscriber {
        Subscriber { release: release.clone(), sender: self.wake.clone() }
    }

    /// Tells releases to look again.
    pub fn wake(&self, releases: impl IntoIterator<Item = ReleaseId>) {
        for release in releases {
            // Nobody listens any more while the process ends.
            let _ = self.wake.send(release);
        }
    }

    /// With whose rights a release's objects and Secrets are handled.
    pub fn identity(&self, release: &Release) -> Identity {
        match release.service_account.as_ref().or(self.default_service_account.as_ref()) {
            Some(name) => {
                Identity::ServiceAccount { namespace: release.id.namespace.clone(), name: name.clone() }
            }
            None => self.session.identity().clone(),
        }
    }
}
