//! Which hooks of a chart run.

use crate::domain::manifest::chart::runs_for_revision;
use crate::domain::object::Object;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::scope::revision::Revision;

/// The objects without the hooks that do not run. On the way back, a Job that runs before the rest would
/// migrate for an older revision what a newer one may have migrated. It does not run later either, when
/// the release follows that revision again.
pub fn that_run(cache: &ClusterCache, revision: &Revision, objects: Vec<Object>) -> Vec<Object> {
    let is_back = revision.way_back().is_some();
    let is_settled = cache.is_settled(&revision.key);
    let inventory = &cache.inventory;
    let runs = |object: &Object| {
        let left = is_back || is_settled && !inventory.entries.contains_key(&object.id());
        !(left && runs_for_revision(object))
    };
    objects.into_iter().filter(runs).collect()
}
