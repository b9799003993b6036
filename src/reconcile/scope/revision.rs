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
    /// Names digest and rendering options.
    pub key: String,
    /// Why the registry was not asked, when it could not be.
    pub stale: Option<(Reason, String)>,
    /// Why it stays although the range has another newest tag.
    pub held: Option<String>,
}

/// A revision that is brought to the cluster.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    /// The API server as the release's identity.
    pub session: &'a Session,
    /// What was known of the release before.
    pub ledger: &'a Ledger,
    /// The revision.
    pub revision: &'a Revision,
}

impl Revision {
    /// The artifact, as far as its revision tells.
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
