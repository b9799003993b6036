//! Kubernetes Events, with closed reasons.
//!
//! The recorder of `kube::runtime` is not used. It counts an event as one of a series when
//! type, reason and object are the same, and drops the note of each later one: two
//! corrections of drift within six minutes would show only the objects of the first. It
//! cannot set annotations, which name the revision for tools that read events, and needs the
//! right to patch events. A series is not needed here: an event is sent only when the status
//! changes.

use http::Method;
use jiff::Timestamp;
use serde_json::json;

use super::error::ApiError;
use super::session::{Call, JSON, Session};
use crate::api::reason::Reason;
use crate::api::release::{GROUP, KIND, VERSION};
use crate::domain::identity::ReleaseId;

/// The longest message of an event, in bytes: the limit of events.k8s.io, by which others read it.
const MAX_NOTE: usize = 1024;

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

impl Session {
    /// Publishes an event in its turn. It is left out while too many wait.
    ///
    /// # Errors
    /// When the API server refuses; a lost event is not a failure.
    pub async fn publish_in_turn(&self, note: ReleaseEventNote<'_>, now: Timestamp) -> Result<(), ApiError> {
        let Some(place) = self.shared.event_turns.join() else { return Ok(()) };
        let _turn = place.turn(&note.release.namespace).await;
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
