//! What one release remembers between its runs, each part for the phases that need it.
//! Nothing of it is needed for correctness: all of it can be read again.

pub mod cluster;
pub mod drift;
pub mod ended;
pub mod notes;
pub mod registry;
pub mod rollout;
pub mod trust;

use std::collections::HashSet;

use jiff::Timestamp;

use self::cluster::ClusterCache;
use self::drift::{DriftCache, Sightings};
use self::notes::Notes;
use self::registry::RegistryCache;
use self::rollout::RolloutCache;
use self::trust::TrustCache;
use super::error::ReconcileError;
use super::scope::Scope;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;

/// All of it.
#[derive(Default)]
pub struct Caches {
    /// How the registry is reached, and what it said last.
    pub registry: RegistryCache,
    /// What was verified, and what was refused.
    pub trust: TrustCache,
    /// The inventory, and what is seen of its objects.
    pub cluster: ClusterCache,
    /// What others keep changing.
    pub drift: DriftCache,
    /// The revision that is brought, or was last.
    pub rollout: RolloutCache,
    /// What is to be told.
    pub notes: Notes,
}

impl Caches {
    /// The API server as the release's identity. What was remembered of another identity
    /// is forgotten.
    ///
    /// # Errors
    /// When no connection can be made for it.
    pub fn session(&mut self, scope: &Scope<'_>) -> Result<Session, ReconcileError> {
        let identity = scope.env.identity(scope.release);
        if self.cluster.identity.as_ref() != Some(&identity) {
            self.cluster.watches.clear();
            self.registry.forget_identity();
            self.rollout.checkup = None;
            self.cluster.identity = Some(identity.clone());
        }
        let session = scope.env.session.impersonate(identity)?;
        Ok(session.on_behalf_of(&scope.release.id.namespace))
    }

    /// How the registry is reached, and what is seen of drift.
    pub fn registry_and_sightings(&mut self) -> (&mut RegistryCache, Sightings<'_>) {
        (&mut self.registry, Sightings { cluster: &self.cluster, drift: &self.drift })
    }

    /// What is seen of drift.
    pub fn sightings(&self) -> Sightings<'_> {
        Sightings { cluster: &self.cluster, drift: &self.drift }
    }

    /// Whether one of the objects that were seen to change is not as our last apply left
    /// it, as far as its watch knows.
    pub fn is_drifted(&self, touched: &HashSet<ObjectId>, now: Timestamp) -> bool {
        self.sightings().is_drifted(touched.iter(), now)
    }
}
