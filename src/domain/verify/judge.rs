//! Whether the evidence for a digest satisfies a policy.

use super::evidence::Evidence;
use super::policy::Policy;
use super::proof::{Proof, Refusal};
use crate::api::reason::Reason;

/// What was signed, if anything was.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// `host/path`, without tag and digest.
    pub repository: &'a str,
    /// `sha256:…` of the manifest.
    pub digest: &'a str,
}

/// The signatures that satisfy the policy.
///
/// # Errors
/// Why they do not.
pub fn judge(_policy: &Policy, subject: Subject<'_>, _evidence: &Evidence) -> Result<Proof, Refusal> {
    let message = format!("{}@{} has no signature", subject.repository, subject.digest);
    Err(Refusal { reason: Reason::SignatureMissing, message })
}
