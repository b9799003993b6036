//! From a digest to proof of who has signed it: evidence from the registry,
//! judged by policies.

use super::acquire::{Failure, chain, failure};
use crate::domain::verify::judge::{Subject, judge};
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Proof;
use crate::oci::{Access, Digest, Registry, Repository};

/// What is to be verified.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Where it is.
    pub repository: &'a Repository,
    /// What it is.
    pub digest: &'a Digest,
    /// How the registry is reached.
    pub access: &'a Access,
}

/// Proof for each of the policies, in their order.
///
/// # Errors
/// When the registry cannot be asked, or the first policy that is not satisfied.
pub async fn verify(
    registry: &Registry,
    target: Target<'_>,
    policies: &[Policy],
) -> Result<Vec<Proof>, Failure> {
    let Target { repository, digest, access } = target;
    let evidence = registry.evidence(repository, digest, access).await;
    let evidence = evidence.map_err(|e| failure(e.reason(), chain(&e)))?;
    let name = repository.to_string();
    let subject = Subject { repository: &name, digest: digest.as_str() };
    let judged = policies.iter().map(|policy| judge(policy, subject, &evidence));
    judged.collect::<Result<_, _>>().map_err(|refusal| failure(refusal.reason, refusal.message))
}
