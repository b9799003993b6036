//! The last verified and the last rejected revision.

use std::sync::Arc;

use tokio::time::Instant;

use crate::reconcile::error::RunFailure;
use crate::reconcile::scope::revision::Revision;
use crate::reconcile::trust::admission::Admission;
use crate::reconcile::trust::pinned::{ImageDemand, Pinned};

/// The last verified and the last rejected revision.
#[derive(Default)]
pub struct TrustCache {
    /// The revision that was verified last.
    pub trusted: Option<Trusted>,
    /// The revision that was rejected last.
    pub refused: Option<CachedRejection>,
    /// The container images of the revision that was verified last.
    pub pinned: Option<Box<Pinned>>,
}

impl TrustCache {
    /// The container images of a revision, if they were verified with the current demands, and
    /// after the last verification of the artifact.
    pub fn pinned_of(&self, revision: &Revision, demand: Option<&ImageDemand>) -> Option<&Pinned> {
        self.pinned.as_deref().filter(|pinned| pinned.is_of(revision, demand))
    }

    /// Whether such images are known.
    pub fn is_pinned(&self, revision: &Revision, demand: Option<&ImageDemand>) -> bool {
        self.pinned_of(revision, demand).is_some()
    }
}

/// A verified revision, and how long that is valid.
pub struct Trusted {
    /// Repository, digest and policies.
    pub key: String,
    /// Its admission.
    pub admission: Arc<Admission>,
    /// When it is verified again.
    pub due: Instant,
}

/// A rejected revision, for the runs that do not ask the registry.
pub struct CachedRejection {
    /// Repository, digest and policies.
    pub key: String,
    /// Why.
    pub failed: Box<RunFailure>,
}
