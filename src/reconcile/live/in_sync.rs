//! The drift condition without drift, and how reliable it is.

use std::collections::BTreeSet;

use super::view::unwatched;
use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::domain::message::List;
use crate::domain::outcome::Assessment;
use crate::domain::release::Release;
use crate::reconcile::cache::cluster::ClusterCache;

/// The drift condition without drift, and how reliable it is.
pub fn in_sync(release: &Release, cluster: &ClusterCache) -> Assessment {
    let identity =
        || cluster.session.as_ref().map(|session| session.identity().to_string()).unwrap_or_default();
    // Where drift is corrected, those were just applied.
    if release.drift == DriftMode::Report && !cluster.unread.is_empty() {
        let unread = List::Names.few(&cluster.unread, 1);
        let message = format!("Cannot check for drift: {} cannot get {unread}", identity());
        return Assessment { status: None, reason: Reason::AccessDenied, message };
    }
    let (denied, behind) = unwatched(cluster);
    let list = |kinds: BTreeSet<&str>| kinds.into_iter().collect::<Vec<_>>().join(", ");
    let mut why = Vec::new();
    if !denied.is_empty() {
        why.push(format!("{} cannot list and watch {}", identity(), list(denied)));
    }
    if !behind.is_empty() {
        why.push(format!("the API server does not answer the watch of {}", list(behind)));
    }
    let message = match why.is_empty() {
        true => "No drift".to_owned(),
        false => format!("No drift; checked only every spec.interval, because {}", why.join(", and ")),
    };
    Assessment { status: Some(false), reason: Reason::InSync, message }
}
