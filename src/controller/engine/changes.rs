//! Which changes of a release need a run.

use crate::domain::observed::ObservedRelease;

/// Whether a change of the resource needs a run. Changes of the status are our own.
pub fn is_wanted(before: &ObservedRelease, after: &ObservedRelease) -> bool {
    let (b, a) = (&before.resource.metadata, &after.resource.metadata);
    b.generation != a.generation
        || b.deletion_timestamp != a.deletion_timestamp
        || b.annotations != a.annotations
        || b.labels != a.labels && has_expressions(after)
}

/// Whether a release has expressions that may name its own labels.
fn has_expressions(release: &ObservedRelease) -> bool {
    release.resource.spec.depends_on.iter().any(|dependency| dependency.ready.is_some())
}
