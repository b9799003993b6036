//! What was verified, and what was refused.

use std::sync::Arc;

use tokio::time::Instant;

use crate::reconcile::error::RunFailure;
use crate::reconcile::scope::revision::Revision;
use crate::reconcile::trust::admission::Admission;
use crate::reconcile::trust::pinned::{ImageDemand, Pinned};

/// What was verified, and what was refused.
#[derive(Default)]
pub struct TrustCache {
    /// The revision that was verified last.
    pub trusted: Option<Trusted>,
    /// The revision that was refused last.
    pub refused: Option<CachedRejection>,
    /// The container images of the revision that was verified last.
    pub pinned: Option<Pinned>,
}

impl TrustCache {
    /// The container images of a revision, if they were verified as is demanded now, and
    /// since the artifact was verified last.
    pub fn pinned_of(&self, revision: &Revision, demand: Option<&ImageDemand>) -> Option<&Pinned> {
        self.pinned.as_ref().filter(|pinned| pinned.is_of(revision, demand))
    }

    /// Whether there are such.
    pub fn is_pinned(&self, revision: &Revision, demand: Option<&ImageDemand>) -> bool {
        self.pinned_of(revision, demand).is_some()
    }
}

/// A revision that was verified, and until when that is taken for granted.
pub struct Trusted {
    /// Repository, digest and policies.
    pub key: String,
    /// That it may be acted on.
    pub admission: Arc<Admission>,
    /// When it is verified again.
    pub due: Instant,
}

/// A revision that was refused: for the runs that do not ask the registry.
pub struct CachedRejection {
    /// Repository, digest and policies.
    pub key: String,
    /// Why.
    pub failed: Box<RunFailure>,
}
