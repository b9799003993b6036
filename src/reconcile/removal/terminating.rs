//! Deleted objects that are not gone yet: the wait for them, and their finalizers.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::removed::Removed;
use crate::api::reason::Reason;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::Leaving;
use crate::domain::prune::Holder;
use crate::reconcile::flow::parallel::{ordered, unordered};
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::scope::progress::{Progress, ProgressEvent};
use crate::reconcile::scope::signals::Signals;

/// The first and the longest interval to check deleted objects.
const LOOKS: PollPace =
    PollPace { first: Duration::from_millis(50), longest: Duration::from_secs(2), timeout: Duration::MAX };

/// The parameters of a wait.
#[derive(Clone, Copy)]
pub struct Waiter<'a> {
    /// The timeout of each wait.
    pub timeout: Duration,
    /// What ends it early.
    pub signals: &'a Signals,
    /// The receiver of progress events.
    pub progress: &'a dyn Progress,
}

/// The holder, if the object blocks others.
///
/// # Errors
/// When it cannot be read.
pub async fn holder_of(
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    leaving: &Leaving,
) -> Result<Option<Holder>, ApiError> {
    let Some(resource) = resource_of(discovery, leaving) else { return Ok(None) };
    let deletion_hold = session.deletion_hold(&resource, &leaving.id).await?;
    Ok(deletion_hold.and_then(|deletion_hold| deletion_hold.holder(&leaving.id)))
}

/// Waits until all deleted objects of `which` are gone, up to the timeout. The others stay in the
/// list of terminating objects.
pub async fn await_gone(
    waiter: &Waiter<'_>,
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    leaving: &[Leaving],
    removed: &mut Removed,
    which: &[ObjectId],
) {
    let pace = PollPace { timeout: waiter.timeout, ..LOOKS };
    let mut poll = Poll::new(pace, Until::Stopped, waiter.signals, None);
    while removed.terminating.iter().any(|id| which.contains(id)) {
        let pending: Vec<_> = removed.terminating.iter().map(|id| (id, "terminating")).collect();
        waiter.progress.report(ProgressEvent::Pending(&pending));
        if poll.pause().await != Tick::Look {
            return;
        }
        let waited: Vec<&Leaving> = leaving.iter().filter(|l| removed.terminating.contains(&l.id)).collect();
        let looks = waited.iter().map(|l| async move { (&l.id, is_gone(session, discovery, l).await) });
        let mut looks = unordered(looks);
        while let Some((id, gone)) = looks.next().await {
            if gone {
                removed.terminating.retain(|t| t != id);
                removed.fates.insert(id.clone(), Fate::Gone);
            }
        }
    }
}

fn resource_of(discovery: &ApiDiscovery, leaving: &Leaving) -> Option<Arc<Resource>> {
    let kind = leaving.id.group_kind();
    discovery.served(&kind, &leaving.entry.version)
}

/// Whether the object is gone; one that cannot be read is not.
async fn is_gone(session: &Session, discovery: &Arc<ApiDiscovery>, leaving: &Leaving) -> bool {
    let Some(resource) = resource_of(discovery, leaving) else {
        return session.is_undefined(&leaving.id.group_kind()).await.is_ok();
    };
    match session.get_record(&resource, &leaving.id).await {
        Ok(record) => record.is_none_or(|r| leaving.entry.uid.as_ref().is_some_and(|uid| *uid != r.uid)),
        Err(_) => false,
    }
}

/// Lists the terminating objects, each with what blocks it if that is known, and the objects that
/// are deleted after them.
pub async fn held(
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    leaving: &[Leaving],
    removed: &Removed,
) -> Vec<ObjectFailure> {
    let waited = leaving.iter().filter(|l| removed.terminating.contains(&l.id));
    let looks = ordered(waited.map(|l| async move {
        let object: Option<Value> = match resource_of(discovery, l) {
            Some(resource) => session.get(&resource, &l.id).await.ok().and_then(|answer| answer.json().ok()),
            None => None,
        };
        let message = object.map_or_else(|| "still terminating".to_owned(), |object| holder(&object));
        ObjectFailure { id: l.id.clone(), reason: Reason::PruneFailed, message }
    }));
    let mut held: Vec<ObjectFailure> = looks.collect().await;
    held.extend(removed.waiting.iter().map(|id| ObjectFailure {
        id: id.clone(),
        reason: Reason::PruneFailed,
        message: "not deleted yet, waits for the terminating objects".to_owned(),
    }));
    held
}

/// A Namespace has the reason in its conditions.
fn holder(object: &Value) -> String {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let waits = conditions.into_iter().flatten().filter(|_| object["kind"] == "Namespace");
    let waits = waits.filter(|c| c["status"] == "True").filter_map(|c| c["message"].as_str());
    let waits: Vec<&str> = waits.collect();
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    let finalizers: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
    match (waits.as_slice(), finalizers.as_slice()) {
        ([], []) => "still terminating".to_owned(),
        ([], [one]) => format!("still terminating, waiting for finalizer {one}"),
        ([], several) => format!("still terminating, waiting for finalizers {}", several.join(", ")),
        (waits, _) => format!("still terminating: {}", waits.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_holds_an_object_is_read_off_it() {
        let check = |object: Value, expected: &str| assert_eq!(holder(&object), expected);
        check(json!({"kind": "Pod"}), "still terminating");
        let held = |names: &[&str]| json!({"kind": "Job", "metadata": {"finalizers": names}});
        check(held(&["a/b"]), "still terminating, waiting for finalizer a/b");
        check(held(&["a/b", "c/d"]), "still terminating, waiting for finalizers a/b, c/d");
        let condition =
            |status: &str| json!({"status": status, "message": "Some resources are remaining: pods."});
        let namespace =
            |status: &str| json!({"kind": "Namespace", "status": {"conditions": [condition(status)]}});
        check(namespace("True"), "still terminating: Some resources are remaining: pods.");
        check(namespace("False"), "still terminating");
        check(json!({"kind": "Job", "status": {"conditions": [condition("True")]}}), "still terminating");
    }
}
