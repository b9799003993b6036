//! The revision that a run is about.

use crate::api::reason::Reason;
use crate::api::status::ArtifactStatus;
use crate::cluster::session::Session;
use crate::domain::ledger::Ledger;
use crate::oci::{Artifact, Digest};

/// The revision that a run is about.
#[derive(Clone, Debug)]
pub struct Revision {
    /// `tag@digest`, or the digest.
    pub name: String,
    /// The digest.
    pub digest: Digest,
    /// Identifies digest and rendering options.
    pub key: String,
    /// Why the registry could not be asked, if it failed.
    pub stale: Option<(Reason, String)>,
    /// What the registry offers and the release does not follow, or not yet.
    pub held: Option<Box<Held>>,
    /// That the tag does not name the digest that the spec has with it.
    pub stray: Option<String>,
}

/// A revision that the registry offers and the release does not follow, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name, `tag@digest`.
    pub revision: String,
    /// Why the release does not follow it.
    pub message: String,
    /// The kind of that.
    pub cause: HeldCause,
}

/// Why a release does not follow a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldCause {
    /// It would be a downgrade.
    Downgrade,
    /// It has failed, and the run goes back from it. This is its key.
    WayBack(String),
    /// It would have to wait, and the rollout that has begun is finished first.
    Later,
}

/// A revision that is applied to the cluster.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    /// The session with the release's identity.
    pub session: &'a Session,
    /// The ledger of the release.
    pub ledger: &'a Ledger,
    /// The revision.
    pub revision: &'a Revision,
}

impl Revision {
    /// The key of the quarantined revision that is gone back from, and that revision.
    pub fn way_back(&self) -> Option<(&str, &Held)> {
        let held = self.held.as_ref()?;
        match &held.cause {
            HeldCause::WayBack(key) => Some((key, held)),
            HeldCause::Downgrade | HeldCause::Later => None,
        }
    }

    /// The revision that follows when the rollout of this one has ended, by its name.
    pub fn later(&self) -> Option<&str> {
        let held = self.held.as_ref().filter(|held| held.cause == HeldCause::Later)?;
        Some(&held.revision)
    }

    /// The artifact, as far as its revision is known.
    pub fn artifact(&self) -> ArtifactStatus {
        ArtifactStatus {
            revision: self.name.clone(),
            digest: self.digest.as_str().to_owned(),
            ..ArtifactStatus::default()
        }
    }

    /// The artifact, as fetched.
    pub fn fetched(&self, artifact: &Artifact) -> ArtifactStatus {
        ArtifactStatus {
            created_at: artifact.created.clone(),
            source: artifact.source.clone(),
            source_revision: artifact.revision.clone(),
            ..self.artifact()
        }
    }
}
