//! A release that no resource asks for, but a person at the command line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::spec::{Release, WantedVersion};
use crate::api::release::{DeletionPolicy, DriftMode, RegistryProvider};
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
            uid: String::new(),
            generation: 0,
            url: String::new(),
            wanted: WantedVersion::Tag(String::new()),
            interval: day,
            retry_interval: day,
            timeout,
            suspend: false,
            pull_secret: None,
            cert_secret: None,
            proxy_secret: None,
            provider: RegistryProvider::Generic,
            insecure: false,
            verify: None,
            identity_secret: None,
            allow_downgrade: true,
            media_type: None,
            path: String::new(),
            target_namespace: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            service_account: None,
            prune,
            wait,
            force,
            drift: DriftMode::Correct,
            ignore: Arc::default(),
            deletion_policy: DeletionPolicy::Delete,
            reconcile_at: None,
            approve: None,
            default_namespace,
            patches: Arc::default(),
            images: Arc::default(),
            patched_by: Arc::default(),
            ignored_by: Arc::default(),
            provenance: Some(provenance),
        }
    }
}
