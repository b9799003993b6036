//! A Lease, as client-go's leader election uses it: times are only ever
//! compared with our own clock, so that skew between hosts does not matter.

use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use super::error::ApiError;
use super::session::{Call, JSON, Session};

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

/// A lease as read.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// Its content.
    pub spec: LeaseSpec,
    /// For the next write; empty when it does not exist yet.
    pub version: String,
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
    resource_version: String,
}

/// The form of a MicroTime.
pub fn micro_time(now: Timestamp) -> String {
    format!("{now:.6}")
}

impl Session {
    /// From now on nothing is written after the given time, until another time is set:
    /// the holder of a lease can write as long as no other process can hold it. Leases
    /// themselves are exempt.
    pub fn write_until(&self, time: Instant) {
        self.shared.fence.set(time);
    }

    /// Reads a lease; an empty one when it does not exist.
    ///
    /// # Errors
    /// When the API server does not return it.
    pub async fn read_lease(&self, namespace: &str, name: &str) -> Result<Lease, ApiError> {
        let uri = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}");
        match self.call(Call::get(uri)).await {
            Ok(answer) => {
                let raw: Raw = answer.json()?;
                Ok(Lease { spec: raw.spec, version: raw.metadata.resource_version })
            }
            Err(error) if error.is_not_found() => Ok(Lease::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes a lease over the one that was read.
    ///
    /// # Errors
    /// A conflict when another client wrote it first.
    pub async fn write_lease(
        &self,
        namespace: &str,
        name: &str,
        version: &str,
        spec: &LeaseSpec,
    ) -> Result<Lease, ApiError> {
        let root = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        let mut lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        });
        let (method, uri) = if version.is_empty() {
            (Method::POST, root)
        } else {
            lease["metadata"]["resourceVersion"] = version.into();
            (Method::PUT, format!("{root}/{name}"))
        };
        let body = lease.to_string().into_bytes().into();
        let raw: Raw = self.call(Call::with_body(method, uri, JSON, body)).await?.json()?;
        Ok(Lease { spec: raw.spec, version: raw.metadata.resource_version })
    }
}
