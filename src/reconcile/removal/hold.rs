//! Finalizers that block the rest of a removal.

use std::sync::Arc;

use futures::StreamExt;

use super::removed::{Removed, removal_reason};
use super::terminating::holder_of;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::inventory::Fate;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::Leaving;
use crate::domain::stage::{Stage, stage};
use crate::reconcile::error::chain;
use crate::reconcile::flow::parallel::ordered;

/// Checks whether objects of the stages before have finalizers, and lets the stage and those after
/// it wait for them. The first `looked_at` terminating objects were checked before: an object that
/// is being deleted gets no new finalizer.
pub async fn hold_up(
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    leaving: &[Leaving],
    stage_now: Stage,
    looked_at: usize,
    removed: &mut Removed,
) {
    let new = removed.terminating.get(looked_at..).unwrap_or_default();
    let looks = leaving.iter().filter(|l| new.contains(&l.id));
    let looks = looks.map(|l| async move { (l.id.clone(), holder_of(session, discovery, l).await) });
    let looks: Vec<_> = ordered(looks).collect().await;
    let mut is_unknown = false;
    for (id, look) in looks {
        match look {
            Ok(holder) => removed.holders.extend(holder),
            // Without the right to read it, the removal cannot wait for it.
            Err(error) if error.is_forbidden() => {}
            Err(error) => {
                is_unknown = true;
                let message = format!("cannot check its finalizers: {}", chain(&error));
                let reason = removal_reason(&error);
                removed.failures.push(ObjectFailure { id, reason, message });
            }
        }
    }
    if is_unknown || !removed.holders.is_empty() {
        let rest = leaving.iter().filter(|l| stage(&l.id.group_kind()) <= stage_now);
        removed.waiting = rest.map(|l| l.id.clone()).collect();
        removed.fates.extend(removed.waiting.iter().map(|id| (id.clone(), Fate::Remains)));
    }
}
