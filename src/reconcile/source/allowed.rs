//! Whether a release may use its registry.

use super::reference::repository;
use crate::domain::allowed::Allowed;
use crate::domain::gate::RegistryFacts;
use crate::domain::gate::{self, Decision, Facts};
use crate::domain::release::Release;
use crate::reconcile::error::RunFailure;

/// Whether the release may use its registry. Nothing is sent before this check.
///
/// # Errors
/// When its registry or its proxy is not allowed.
pub fn check_registry(allowed: &Allowed, release: &Release) -> Result<(), Box<RunFailure>> {
    if !allowed.is_limited() {
        return Ok(());
    }
    let repository = repository(release)?;
    let registry = RegistryFacts { allowed, host: repository.registry(), path: repository.path() };
    match gate::registry::decide(&Facts { registry: Some(registry), ..Facts::of(release) }) {
        Decision::Pass => Ok(()),
        Decision::Wait(blocker, _) | Decision::Refuse(blocker) => Err(blocker.into()),
    }
}
