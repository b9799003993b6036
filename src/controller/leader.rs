//! Leadership by a Lease, by the rules of client-go: a lease that was not seen
//! to be renewed for its duration, by our own clock, is free.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::cluster::error::ApiError;
use crate::cluster::lease::{Lease, LeaseSpec, micro_time};
use crate::cluster::session::Session;

/// How long a lease lasts without renewal.
const DURATION: Duration = Duration::from_secs(15);
/// How long the leader tries to renew before it gives up: shorter than the
/// lease, so that it has stopped before another begins.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);

/// How a lease was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Another replica holds it.
    Taken,
    /// It could not be renewed in time, so that another replica may hold it.
    NotRenewed,
}

/// A candidate for leadership.
pub struct LeaseCandidate {
    session: Session,
    namespace: String,
    name: String,
    me: String,
    lease: Lease,
    observed: Instant,
}

impl LeaseCandidate {
    /// A candidate for a lease of a namespace. `me` is unique among the replicas, and the same
    /// after a restart of the container: then it continues without waiting.
    pub fn new(session: Session, (namespace, name): (String, String), me: String) -> Self {
        Self { session, namespace, name, me, lease: Lease::default(), observed: Instant::now() }
    }

    /// The lease, for messages.
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Waits until we lead.
    pub async fn acquire(&mut self, mut seen: impl FnMut()) {
        loop {
            match self.try_acquire().await {
                Ok(true) => return,
                Ok(false) => seen(),
                Err(error) if error.is_conflict() || error.already_exists() => {}
                Err(error) => {
                    let error = crate::reconcile::error::chain(&error);
                    tracing::warn!(lease = self.name(), error, "cannot acquire the lease; retrying");
                }
            }
            tokio::time::sleep(RETRY.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
        }
    }

    async fn try_acquire(&mut self) -> Result<bool, ApiError> {
        let lease = self.session.read_lease(&self.namespace, &self.name).await?;
        if lease.spec != self.lease.spec || lease.version != self.lease.version {
            self.observed = Instant::now();
        }
        self.lease = lease;
        let spec = &self.lease.spec;
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let duration = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or_default();
        let free = holder.is_empty() || holder == self.me;
        if !free && self.observed.elapsed() < Duration::from_secs(duration) {
            return Ok(false);
        }
        let transitions = spec.lease_transitions.unwrap_or_default();
        let now = micro_time(Timestamp::now());
        let mine = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some(DURATION.as_secs().cast_signed()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions + i64::from(holder != self.me)),
        };
        self.write(mine).await.map(|()| true)
    }

    async fn write(&mut self, spec: LeaseSpec) -> Result<(), ApiError> {
        // Other replicas count from when they see the write, which is later.
        let asked = Instant::now();
        let Self { namespace, name, .. } = &*self;
        self.lease = self.session.write_lease(namespace, name, &self.lease.version, &spec).await?;
        self.observed = Instant::now();
        self.session.write_until(asked + DURATION);
        Ok(())
    }

    /// Renews until it fails for too long, or another replica has taken over: then this one must
    /// stop. Returns which.
    pub async fn hold(&mut self) -> Loss {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(RETRY).await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            if left.is_zero() {
                return Loss::NotRenewed;
            }
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => {
                    self.session.write_until(Instant::now());
                    return Loss::Taken;
                }
                Err(_) => return Loss::NotRenewed,
                Ok(Err(error)) => {
                    let error = crate::reconcile::error::chain(&error);
                    tracing::warn!(lease = self.name(), error, "cannot renew the lease; retrying");
                }
            }
        }
    }

    /// Renews once; false when another replica holds it now.
    async fn renew(&mut self) -> Result<bool, ApiError> {
        let spec = LeaseSpec { renew_time: Some(micro_time(Timestamp::now())), ..self.lease.spec.clone() };
        match self.write(spec).await {
            Ok(()) => Ok(true),
            // It was changed: read who holds it.
            Err(error) if error.is_conflict() || error.is_not_found() => self.try_acquire().await,
            Err(error) => Err(error),
        }
    }

    /// Releases the lease, so that another replica does not have to wait.
    pub async fn release(mut self) {
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            renew_time: Some(micro_time(Timestamp::now())),
            ..self.lease.spec.clone()
        };
        let written = match self.write(spec.clone()).await {
            // A renewal may have succeeded whose answer was not awaited.
            Err(error) if error.is_conflict() => match self.try_acquire().await {
                Ok(true) => {
                    self.write(LeaseSpec { acquire_time: self.lease.spec.acquire_time.clone(), ..spec }).await
                }
                Ok(false) => Err(error),
                Err(error) => Err(error),
            },
            written => written,
        };
        match written {
            Ok(()) => tracing::info!(lease = self.name(), "released the lease"),
            Err(error) => {
                let error = crate::reconcile::error::chain(&error);
                tracing::warn!(lease = self.name(), error, "cannot release the lease; it will expire");
            }
        }
    }
}
