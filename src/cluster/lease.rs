//! A Lease, as client-go's leader election uses it: times are only ever
//! compared with our own clock, so that skew between hosts does not matter.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::collections::watch::{Event, ListSelection, State, run};
use super::error::ApiError;
use super::kinds::resource::escape;
use super::session::{Call, JSON, Session};
use crate::domain::replicas::LeaseTimes;

/// The holder of a lease, and its renewals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// The holder; empty when it was released.
    pub holder_identity: Option<String>,
    /// How long it is valid after a renewal.
    pub lease_duration_seconds: Option<i64>,
    /// When it was acquired.
    pub acquire_time: Option<String>,
    /// When it was renewed.
    pub renew_time: Option<String>,
    /// How often it changed hands.
    pub lease_transitions: Option<i64>,
}

impl LeaseSpec {
    /// Held from now on by this holder, for so long without a renewal.
    pub fn held_by(holder: String, duration: Duration, transitions: i64, now: Timestamp) -> Self {
        let now = micro_time(now);
        Self {
            holder_identity: Some(holder),
            lease_duration_seconds: Some(duration.as_secs().cast_signed()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
        }
    }

    /// The same, renewed now.
    #[must_use]
    pub fn renewed(&self, now: Timestamp) -> Self {
        Self { renew_time: Some(micro_time(now)), ..self.clone() }
    }

    /// The same without a holder.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self {
            holder_identity: Some(String::new()),
            lease_transitions: Some(self.transitions() + 1),
            ..self.clone()
        }
    }

    /// How often it changed hands.
    pub fn transitions(&self) -> i64 {
        self.lease_transitions.unwrap_or_default()
    }

    /// The holder; empty when nobody holds it.
    pub fn holder(&self) -> &str {
        self.holder_identity.as_deref().unwrap_or_default()
    }

    /// How long it is valid after a renewal.
    pub fn duration(&self) -> Duration {
        let seconds = self.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Duration::from_secs(seconds.unwrap_or_default())
    }
}

/// A lease as read.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// Its content.
    pub spec: LeaseSpec,
    /// Its uid: another Lease of the same name is not overwritten.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// For the next write; empty when it does not exist yet.
    pub version: String,
}

/// What the watch over the leases of an operator reports.
#[derive(Debug)]
pub enum LeaseEvent {
    /// A lease, by its name.
    Present(String, Lease),
    /// A lease was deleted.
    Absent(String),
    /// A list begins: a lease that is not seen before `Listed` does not exist any more.
    Listing,
    /// Every lease of the list has been seen.
    Listed,
    /// They cannot be watched.
    Denied(String),
}

#[derive(Deserialize)]
struct Raw {
    metadata: RawMetadata,
    #[serde(default)]
    spec: LeaseSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    name: String,
    resource_version: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl From<Raw> for Lease {
    fn from(Raw { metadata, spec }: Raw) -> Self {
        let RawMetadata { labels, uid, resource_version, .. } = metadata;
        Self { spec, uid, labels, version: resource_version }
    }
}

fn collection(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

/// The form of a MicroTime.
fn micro_time(now: Timestamp) -> String {
    format!("{now:.6}")
}

impl Session {
    /// From now on nothing is written after the given time, until another time is set for this lease:
    /// the holder of a lease can write as long as no other process can hold it. Leases
    /// themselves are exempt.
    pub fn write_until(&self, lease: &str, time: Instant) {
        self.shared.fence.set(lease, time);
    }

    /// From now on a write begins only if the leases are held for as long as it may take: another process
    /// may hold them afterwards. The API server and the connection end it, too.
    pub fn limit_writes(&self, times: LeaseTimes) {
        self.shared.fence.limit_writes(times);
        self.shared.transport.limit_transit(times.sending);
    }

    /// Watches the leases with a label, of a namespace, until the future is dropped.
    pub async fn watch_leases(
        self,
        namespace: String,
        label: (&'static str, String),
        events: mpsc::UnboundedSender<LeaseEvent>,
    ) {
        let query = format!("labelSelector={}", escape(&format!("{}={}", label.0, label.1)));
        let selection = ListSelection { path: collection(&namespace), query, metadata_only: false };
        run(self, selection, move |event| {
            let read = |object: &str| serde_json::from_str::<Raw>(object).ok();
            let event = match event {
                Event::Listing => Some(LeaseEvent::Listing),
                Event::Present(object) => read(object).map(|raw| {
                    let name = raw.metadata.name.clone();
                    LeaseEvent::Present(name, raw.into())
                }),
                Event::Absent(object) => read(object).map(|raw| LeaseEvent::Absent(raw.metadata.name)),
                Event::Listed => Some(LeaseEvent::Listed),
                Event::Failed(State::Denied(why)) => Some(LeaseEvent::Denied(why)),
                Event::Following | Event::Failed(_) => None,
            };
            // The receiver is gone while the process ends.
            if let Some(event) = event {
                let _ = events.send(event);
            }
        })
        .await;
    }

    /// Deletes a lease that was not changed since it was read.
    ///
    /// # Errors
    /// A conflict when it was changed.
    pub async fn delete_lease(&self, namespace: &str, name: &str, version: &str) -> Result<(), ApiError> {
        let body = json!({"preconditions": {"resourceVersion": version}}).to_string().into_bytes().into();
        let uri = format!("{}/{name}", collection(namespace));
        match self.call(Call::with_body(Method::DELETE, uri, JSON, body).of_own_lease()).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Reads a lease; an empty one when it does not exist.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn read_lease(&self, namespace: &str, name: &str) -> Result<Lease, ApiError> {
        let uri = format!("{}/{name}", collection(namespace));
        match self.call(Call::get(uri).of_own_lease()).await {
            Ok(answer) => answer.json::<Raw>().map(Lease::from),
            Err(error) if error.is_not_found() => Ok(Lease::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes a lease over the one that was read.
    ///
    /// # Errors
    /// A conflict when another client wrote it first.
    pub async fn write_lease(&self, namespace: &str, name: &str, lease: &Lease) -> Result<Lease, ApiError> {
        let Lease { spec, uid, labels, version } = lease;
        let root = collection(namespace);
        let mut body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": spec,
        });
        let (method, uri) = if version.is_empty() {
            (Method::POST, root)
        } else {
            body["metadata"]["resourceVersion"] = version.as_str().into();
            // Without it, the API server would create a Lease that was deleted.
            body["metadata"]["uid"] = uid.as_str().into();
            (Method::PUT, format!("{root}/{name}"))
        };
        let body = body.to_string().into_bytes().into();
        self.call(Call::with_body(method, uri, JSON, body).of_own_lease())
            .await?
            .json::<Raw>()
            .map(Lease::from)
    }
}
