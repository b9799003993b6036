//! Leadership by a Lease, by the rules of client-go: a lease that was not seen
//! to be renewed for its duration, by our own clock, is free.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cluster::error::ApiError;
use crate::cluster::lease::{Lease, LeaseSpec};
use crate::cluster::session::Session;
use crate::domain::replicas::LeaseTimes;
use crate::reconcile::error::chain;

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
    /// More labels of the lease.
    labels: Vec<(&'static str, String)>,
    me: String,
    times: LeaseTimes,
    lease: Lease,
    /// The longest time that its holder has said it lasts. A person may have shortened it since.
    said: Duration,
    observed: Instant,
    /// Until when the holder of a Lease that was deleted may not have noticed that.
    deleted: Option<Instant>,
}

impl LeaseCandidate {
    /// A candidate for a lease of a namespace. `me` is unique among the replicas, and the same
    /// after a restart of the container: then it continues without waiting.
    pub fn new(session: Session, (namespace, name): (String, String), me: String, times: LeaseTimes) -> Self {
        let (labels, lease, observed) = (Vec::new(), Lease::default(), Instant::now());
        let (said, deleted) = (Duration::ZERO, None);
        Self { session, namespace, name, labels, me, times, lease, said, observed, deleted }
    }

    /// The lease gets this label.
    #[must_use]
    pub fn labelled(mut self, label: (&'static str, String)) -> Self {
        self.labels.push(label);
        self
    }

    /// The lease, for messages.
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Waits until we lead. `changed` may tell earlier than the next look that the lease has changed.
    pub async fn acquire(&mut self, mut changed: watch::Receiver<()>, mut seen: impl FnMut()) {
        loop {
            match self.try_acquire().await {
                Ok(true) => return,
                Ok(false) => seen(),
                Err(error) if error.is_conflict() || error.already_exists() => {}
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(lease = self.name(), error, "cannot acquire the lease; retrying");
                }
            }
            let pause = self.times.retry.mul_f64(0.8 + 0.4 * fastrand::f64());
            let expiry = self.expires().saturating_duration_since(Instant::now());
            tokio::select! {
                () = tokio::time::sleep(if expiry.is_zero() { pause } else { pause.min(expiry) }) => {}
                Ok(()) = changed.changed() => {}
            }
        }
    }

    /// When the lease that was read last is free, if it is not renewed.
    fn expires(&self) -> Instant {
        self.observed + self.times.trusted(self.said)
    }

    async fn try_acquire(&mut self) -> Result<bool, ApiError> {
        let lease = self.session.read_lease(&self.namespace, &self.name).await?;
        if lease.spec != self.lease.spec || lease.version != self.lease.version {
            self.observed = Instant::now();
        }
        let is_others = |lease: &Lease| !["", self.me.as_str()].contains(&lease.spec.holder());
        match lease.version.is_empty() {
            true if is_others(&self.lease) => self.deleted = Some(self.expires()),
            true => {}
            false => self.deleted = None,
        }
        let is_held = is_others(&lease);
        let is_the_same = lease.spec.holder() == self.lease.spec.holder();
        self.said = lease.spec.duration().max(if is_the_same { self.said } else { Duration::ZERO });
        self.lease = lease;
        let free = self.deleted.or_else(|| is_held.then(|| self.expires()));
        if free.is_some_and(|free| Instant::now() < free) {
            return Ok(false);
        }
        let spec = &self.lease.spec;
        let holder = spec.holder();
        let transitions = spec.transitions() + i64::from(holder != self.me);
        let mine = LeaseSpec::held_by(self.me.clone(), self.times.duration, transitions, Timestamp::now());
        self.write(mine).await.map(|()| true)
    }

    async fn write(&mut self, spec: LeaseSpec) -> Result<(), ApiError> {
        // Other replicas count from when they see the write, which is later.
        let asked = Instant::now();
        let Self { namespace, name, labels, .. } = &*self;
        let mut wanted = Lease { spec, ..self.lease.clone() };
        wanted.labels.extend(labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.lease = self.session.write_lease(namespace, name, &wanted).await?;
        self.observed = Instant::now();
        self.session.write_until(&self.name, asked + self.times.duration);
        Ok(())
    }

    /// Renews until it fails for too long, or another replica has taken over: then this one must
    /// stop. Returns which.
    pub async fn hold(&mut self) -> Loss {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.times.retry).await;
            let left = self.times.deadline.saturating_sub(renewed.elapsed());
            if left.is_zero() {
                return Loss::NotRenewed;
            }
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => {
                    self.session.write_until(&self.name, Instant::now());
                    return Loss::Taken;
                }
                Err(_) => return Loss::NotRenewed,
                Ok(Err(error)) => {
                    let error = chain(&error);
                    tracing::warn!(lease = self.name(), error, "cannot renew the lease; retrying");
                }
            }
        }
    }

    /// Renews once; false when another replica holds it now.
    async fn renew(&mut self) -> Result<bool, ApiError> {
        let spec = self.lease.spec.renewed(Timestamp::now());
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
            ..self.lease.spec.renewed(Timestamp::now())
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
                let error = chain(&error);
                tracing::warn!(lease = self.name(), error, "cannot release the lease; it will expire");
            }
        }
    }
}
