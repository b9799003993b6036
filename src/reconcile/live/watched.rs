//! What the watches show of an object.

use std::sync::Arc;

use crate::cluster::State;
use crate::cluster::store::Watched;
use crate::domain::health::Sight;
use crate::domain::identity::ObjectId;

/// The watch that shows the current state of an object.
pub fn synced<'w>(watches: &'w [Arc<Watched>], id: &ObjectId) -> Option<&'w Arc<Watched>> {
    watches.iter().find(|w| w.covers(id) && w.state() == State::Synced)
}

/// What the watches show of an object.
pub fn sight(watches: &[Arc<Watched>], id: &ObjectId) -> Sight {
    match synced(watches, id) {
        Some(watch) => Sight::Watched(watch.record(id).map(|record| record.version)),
        None => Sight::Unwatched,
    }
}

/// Whether a watch shows the object now.
pub fn is_watched(watches: &[Arc<Watched>], id: &ObjectId) -> bool {
    sight(watches, id) != Sight::Unwatched
}
