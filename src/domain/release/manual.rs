//! A release that is requested at the command line, without a custom resource.

use std::time::Duration;

use super::spec::Release;
use crate::api::release::DeletionPolicy;
use crate::domain::inventory::Provenance;
use crate::domain::objects::identity::ReleaseId;

/// What a person requests at the command line, without a custom resource.
#[derive(Clone, Debug)]
pub struct ManualRelease {
    /// The inventory's namespace and name.
    pub id: ReleaseId,
    /// The namespace of namespaced objects that name none.
    pub default_namespace: String,
    /// Whether removed objects are deleted.
    pub prune: bool,
    /// Whether to wait for health.
    pub wait: bool,
    /// Whether immutable changes recreate.
    pub force: bool,
    /// The longest time of each wait.
    pub timeout: Duration,
    /// Where the objects come from.
    pub provenance: Provenance,
}

impl Release {
    /// The release for a request.
    pub fn manual(wish: ManualRelease) -> Self {
        let ManualRelease { id, default_namespace, prune, wait, force, timeout, provenance } = wish;
        let day = Duration::from_secs(24 * 3600);
        Self {
            id,
            default_namespace,
            prune,
            wait,
            force,
            timeout,
            provenance: Some(provenance),
            interval: day,
            retry_interval: day,
            allow_downgrade: true,
            deletion_policy: DeletionPolicy::Delete,
            ..Self::default()
        }
    }
}
