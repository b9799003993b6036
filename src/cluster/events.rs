//! Kubernetes Events, with closed reasons.
//!
//! The recorder of `kube::runtime` is not used. It counts an event as one of a series when
//! type, reason and object are the same, and drops the note of each later one: two
//! corrections of drift within six minutes would show only the objects of the first. It
//! cannot set annotations, which name the revision for tools that read events, and needs the
//! right to patch events. A series is not needed here: an event is sent only when the status
//! changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::Method;
use jiff::Timestamp;
use serde_json::json;

use super::error::ApiError;
use super::session::{Call, JSON, Session};
use crate::api::reason::Reason;
use crate::api::release::{GROUP, KIND, VERSION};
use crate::domain::identity::ReleaseId;
use crate::fair::Gate;

/// The longest message of an event, in bytes: the limit of events.k8s.io, by which others read it.
const MAX_NOTE: usize = 1024;
/// Events that are sent at a time; of one namespace half of it.
const AT_ONCE: u64 = 32;
/// Events that wait: about 1 KiB each.
const MOST_WAITING: usize = 10_000;

/// An event about a release.
#[derive(Clone, Debug)]
pub struct ReleaseEventNote<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// Its uid.
    pub uid: &'a str,
    /// Whether it is a warning.
    pub warning: bool,
    /// Why.
    pub reason: Reason,
    /// What happened.
    pub message: &'a str,
    /// The revision it is about, for tools that read events.
    pub revision: Option<&'a str>,
}

/// Whose turn it is to send an event. While the API server is slow, those of thousands of releases wait: a few of them
/// take the memory of a request.
pub(super) struct EventTurns {
    turns: Arc<Gate>,
    waiting: AtomicUsize,
    drops: AtomicBool,
}

impl Default for EventTurns {
    fn default() -> Self {
        Self { turns: Gate::new(AT_ONCE), waiting: AtomicUsize::new(0), drops: AtomicBool::new(false) }
    }
}

/// The place of an event that waits, or is being sent.
struct EventPlace<'a>(&'a EventTurns);

impl Drop for EventPlace<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.drops.store(false, Ordering::Relaxed);
        }
    }
}

impl EventTurns {
    /// A place, unless too many events wait. Says so once, until all have been sent.
    fn join(&self) -> Option<EventPlace<'_>> {
        let place = (self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then(|| EventPlace(self));
        if place.is_none() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            if !self.drops.swap(true, Ordering::Relaxed) {
                tracing::warn!(waiting = MOST_WAITING, "the API server is slow: events are left out");
            }
        }
        place
    }
}

impl Session {
    /// Publishes an event in its turn. It is left out while too many wait.
    ///
    /// # Errors
    /// When the API server refuses; a lost event is not a failure.
    pub async fn publish_in_turn(&self, note: ReleaseEventNote<'_>, now: Timestamp) -> Result<(), ApiError> {
        let Some(_place) = self.shared.event_turns.join() else { return Ok(()) };
        let _turn = self.shared.event_turns.turns.enter(&note.release.namespace, 1).await;
        // A box: what waits is small.
        Box::pin(self.publish(note, now)).await
    }

    /// Publishes an event.
    ///
    /// # Errors
    /// When the API server refuses; a lost event is not a failure.
    pub async fn publish(&self, note: ReleaseEventNote<'_>, now: Timestamp) -> Result<(), ApiError> {
        self.publish_as("supercargo.dev/controller", note, now).await
    }

    /// Publishes an event of a component.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn publish_as(
        &self,
        component: &str,
        note: ReleaseEventNote<'_>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let mut end = note.message.len().min(MAX_NOTE);
        while !note.message.is_char_boundary(end) {
            end -= 1;
        }
        let namespace = &note.release.namespace;
        // The prefix must be a valid name, except for a dash at its end.
        let prefix = format!("{}-", note.release.name);
        // By the older API, which takes the times of both: `kubectl events` goes by eventTime, and
        // `kubectl get events --sort-by=.lastTimestamp` by the other, which events.k8s.io does not take.
        let mut event = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": prefix, "namespace": namespace},
            "eventTime": format!("{now:.6}"),
            "firstTimestamp": format!("{now:.0}"),
            "lastTimestamp": format!("{now:.0}"),
            "count": 1,
            "type": if note.warning { "Warning" } else { "Normal" },
            "reason": note.reason.as_str(),
            "action": "Reconcile",
            "message": &note.message[..end],
            "source": {"component": component},
            "reportingComponent": component,
            "reportingInstance": instance(),
            "involvedObject": {
                "apiVersion": format!("{GROUP}/{VERSION}"),
                "kind": KIND,
                "name": note.release.name,
                "namespace": namespace,
                "uid": note.uid,
            },
        });
        if let Some(revision) = note.revision {
            event["metadata"]["annotations"] = json!({"supercargo.dev/revision": revision});
        }
        let uri = format!("/api/v1/namespaces/{namespace}/events");
        let body = event.to_string().into_bytes().into();
        self.call(Call::with_body(Method::POST, uri, JSON, body)).await.map(|_| ())
    }
}

/// The pod's name, or the host's.
pub fn instance() -> String {
    let name = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    if name.is_empty() { "supercargo".into() } else { name.chars().take(128).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_events_wait_and_others_are_left_out() {
        let turns = EventTurns::default();
        let mut places: Vec<_> = (0..MOST_WAITING).map(|_| turns.join().expect("there is room")).collect();
        assert!(turns.join().is_none() && turns.join().is_none());
        assert!(turns.drops.load(Ordering::Relaxed));
        places.pop();
        places.push(turns.join().expect("there is room again"));
        assert!(turns.join().is_none());
        drop(places);
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
        assert!(!turns.drops.load(Ordering::Relaxed), "it says so again the next time");
    }
}
