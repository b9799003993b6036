//! The hash of a plan.

use super::change::ChangeSet;
use super::seal::{Mac, PlanKey};
use crate::domain::release::Release;

/// Raised when the hash of the same plan becomes another one.
const VERSION: &str = "1";
/// Bytes of a hash: enough that no second plan with it can be made.
const HASH_BYTES: usize = 16;

/// What decides about a plan apart from its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanInputs {
    /// The digest of the artifact.
    pub digest: String,
    /// Identifies the artifact and the options that it is rendered with.
    pub key: String,
    /// Whether removed objects are deleted.
    pub prune: bool,
    /// Whether objects may be recreated.
    pub force: bool,
}

impl PlanInputs {
    /// Those of a release and a digest.
    pub fn of(release: &Release, digest: &str) -> Self {
        let key = release.applied_key(digest);
        Self { digest: digest.to_owned(), key, prune: release.prune, force: release.force }
    }
}

impl ChangeSet {
    /// The hash of the plan: 32 hexadecimal digits.
    pub fn hash(&self, key: &PlanKey, inputs: &PlanInputs) -> String {
        let PlanInputs { digest, key: inputs, prune, force } = inputs;
        let mut changes: Vec<(String, &Mac)> =
            self.changes.iter().map(|change| (change.id.to_string(), &change.mac)).collect();
        changes.sort();
        let flags = [u8::from(*prune), u8::from(*force)];
        let mut parts: Vec<&[u8]> = vec![VERSION.as_bytes(), digest.as_bytes(), inputs.as_bytes(), &flags];
        for (id, mac) in &changes {
            parts.push(id.as_bytes());
            parts.push(&mac[..]);
        }
        hex::encode(&key.mac(&parts)[..HASH_BYTES])
    }
}
