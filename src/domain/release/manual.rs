//! A release that no resource asks for, but a person at the command line.

use std::time::Duration;

use super::spec::Release;
use crate::api::release::DeletionPolicy;
use crate::domain::inventory::Provenance;
use crate::domain::objects::identity::ReleaseId;

/// What a person asks for at the command line, where there is no resource.
#[derive(Clone, Debug)]
pub struct ManualRelease {
    /// The inventory's namespace and name.
    pub id: ReleaseId,
    /// The namespace of namespaced objects that name none.
    pub default_namespace: String,
    /// Whether objects that left are deleted.
    pub prune: bool,
    /// Whether health is waited for.
    pub wait: bool,
    /// Whether immutable changes recreate.
    pub force: bool,
    /// The longest time of each wait.
    pub timeout: Duration,
    /// Where the objects come from.
    pub provenance: Provenance,
}

impl Release {
    /// What a person asks for.
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
