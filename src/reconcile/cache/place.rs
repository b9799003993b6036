//! Where the objects of a release are, and what says so.

use std::sync::Arc;

use crate::cluster::accounts::{Account, SecretData};
use crate::cluster::by_name::WatchedObject;
use crate::cluster::session::Identity;
use crate::domain::release::inputs::InputData;
use crate::domain::remote::source::ClusterSource;
use crate::reconcile::env::clusters::Member;
use crate::reconcile::env::target::TargetCluster;

/// The cluster of a release, if it is not the operator's own.
#[derive(Default)]
pub struct PlaceCache {
    /// The connection.
    pub member: Option<Member>,
    /// The cluster when it last answered.
    pub target: Option<Arc<TargetCluster>>,
    /// The account of the release there, while it does not exist.
    pub account: Option<WatchedObject<Account>>,
    /// The Secret or ConfigMap, and as whom it is watched.
    pub watched: Option<Box<(Identity, ClusterSource, WatchedSource)>>,
}

/// The object with the connection.
pub enum WatchedSource {
    /// A kubeconfig.
    Secret(WatchedObject<SecretData>),
    /// A cluster that accepts our tokens.
    ConfigMap(WatchedObject<InputData>),
}
