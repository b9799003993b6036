//! The objects that a release waits for by name.

use std::sync::Arc;

use crate::api::reason::Reason;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::domain::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;
use crate::domain::release::{Awaited, Release};

/// An object, and how it is read.
pub type NamedObject = (ObjectId, Arc<Resource>);

/// The objects of `spec.healthChecks`, and those whose kind the API server does not serve.
pub fn named(release: &Release, discovery: &ApiDiscovery) -> (Vec<NamedObject>, Vec<ObjectFailure>) {
    let (mut found, mut unserved) = (Vec::new(), Vec::new());
    for Awaited { id, version } in release.health_checks.iter() {
        match discovery.served(&id.group_kind(), version) {
            Some(resource) if resource.namespaced => found.push((id.clone(), resource)),
            Some(resource) => found.push((ObjectId { namespace: String::new(), ..id.clone() }, resource)),
            None => unserved.push(ObjectFailure {
                id: id.clone(),
                reason: Reason::HealthCheckFailed,
                message: format!("the API server does not serve this kind in version {version}"),
            }),
        }
    }
    (found, unserved)
}
