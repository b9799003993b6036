//! The caches of one release between its runs, one for each group of phases. They are not needed
//! for correctness: all of it can be read again.

pub mod approval;
pub mod cluster;
pub mod drift;
pub mod ended;
pub mod held;
pub mod inputs;
pub mod notes;
pub mod place;
pub mod registry;
pub mod rollout;
pub mod trust;

use std::collections::HashSet;

use jiff::Timestamp;

use self::cluster::ClusterCache;
use self::drift::{DriftCache, Sightings};
use self::held::HeldCache;
use self::inputs::InputCache;
use self::notes::Notes;
use self::place::PlaceCache;
use self::registry::RegistryCache;
use self::rollout::RolloutCache;
use self::trust::TrustCache;
use super::error::ReconcileError;
use super::phase::inventory::check_place;
use super::scope::Scope;
use crate::cluster::session::{Identity, Session};
use crate::domain::identity::ObjectId;

/// All caches of a release.
#[derive(Default)]
pub struct Caches {
    /// Access to the registry, and its last answer.
    pub registry: RegistryCache,
    /// The last verified and the last rejected revision.
    pub trust: TrustCache,
    /// The cluster of the objects.
    pub place: PlaceCache,
    /// The inventory, and what is known of its objects.
    pub cluster: ClusterCache,
    /// The objects that other writers keep changing.
    pub drift: DriftCache,
    /// The current or last rollout.
    pub rollout: RolloutCache,
    /// What a removal that waits for approval would lose.
    pub held: HeldCache,
    /// What decides what is rendered.
    pub inputs: InputCache,
    /// The notes to report.
    pub notes: Notes,
}

impl Caches {
    /// A session with the release's identity in the cluster of its objects. Entries of another
    /// identity or cluster are dropped.
    ///
    /// # Errors
    /// When the cluster cannot be reached, it is not the one of the inventory, or no connection can be
    /// made for the identity.
    pub fn session(&mut self, scope: &Scope<'_>) -> Result<Session, ReconcileError> {
        let reach = scope.env.target.reach()?;
        check_place(scope, &mut self.cluster)?;
        let identity = match scope.env.identity(scope.release) {
            account @ Identity::ServiceAccount { .. } => account,
            Identity::Controller | Identity::User | Identity::Kubeconfig => reach.session.identity().clone(),
        };
        let session = reach.session.impersonate(identity)?.on_behalf_of(&scope.release.id.namespace);
        if !self.cluster.session.as_ref().is_some_and(|before| before.is_same(&session)) {
            self.cluster.watches.clear();
            self.registry.forget_identity();
            self.rollout.checkup = None;
            self.cluster.session = Some(session.clone());
        }
        Ok(session)
    }

    /// The registry cache, and what is known of drift.
    pub fn registry_and_sightings(&mut self) -> (&mut RegistryCache, Sightings<'_>) {
        (&mut self.registry, Sightings { cluster: &self.cluster, drift: &self.drift })
    }

    /// What is known of drift.
    pub fn sightings(&self) -> Sightings<'_> {
        Sightings { cluster: &self.cluster, drift: &self.drift }
    }

    /// Whether one of the changed objects differs from our last apply, as far as its watch shows.
    pub fn is_drifted(&self, touched: &HashSet<ObjectId>, now: Timestamp) -> bool {
        self.sightings().is_drifted(touched.iter(), now)
    }
}
