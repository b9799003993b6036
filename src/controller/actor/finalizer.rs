//! The finalizer of a release: set before anything else, and removed once its objects are gone.

use super::Actor;
use crate::api::keys;
use crate::api::release::OCIArtifactRelease;
use crate::cluster::error::ApiError;
use crate::domain::release::has_begun;

impl Actor {
    pub(super) async fn add_finalizer(&mut self, resource: &OCIArtifactRelease) -> Result<(), ApiError> {
        if has_begun(resource) {
            return Ok(());
        }
        let mut finalizers = resource.metadata.finalizers.clone().unwrap_or_default();
        finalizers.push(keys::FINALIZER.to_owned());
        let version = resource.metadata.resource_version.as_deref().unwrap_or_default();
        self.shared.env.session.write_finalizers(&self.id, version, &finalizers).await
    }

    pub(super) async fn remove_finalizer(&mut self) -> Result<(), ApiError> {
        let session = &self.shared.env.session;
        // Read it again: our view may be older than its last change.
        let Some(metadata) = session.release_metadata(&self.id).await? else { return Ok(()) };
        // A new release of the same name has its own actor.
        if metadata.deletion_timestamp.is_none() {
            return Ok(());
        }
        let mut finalizers = metadata.finalizers.unwrap_or_default();
        finalizers.retain(|f| f != keys::FINALIZER);
        let version = metadata.resource_version.unwrap_or_default();
        match session.write_finalizers(&self.id, &version, &finalizers).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}
