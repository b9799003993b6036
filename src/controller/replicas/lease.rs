//! The Lease of a replica: while it is valid, the replica may work on the releases that name its
//! holder. A holder that was removed from its Lease never comes back: the next one has another name. So
//! the replica that removes it knows for ever that its releases are free.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::cluster::lease::{Lease, LeaseSpec};
use crate::cluster::session::Session;
use crate::domain::replicas::{LeaseTimes, Replica};
use crate::reconcile::error::chain;

/// The longest name of a Lease.
const MAX_NAME: usize = 253;

/// The label of the Leases of the replicas that share the releases of one operator: those with the same
/// Lease for leader election.
pub fn label_of(leader: &str) -> (&'static str, String) {
    (keys::REPLICA_OF, short_hash(leader))
}

/// The name of the Lease of a pod.
pub(super) fn name_of(leader: &str, pod: &str) -> String {
    let name = format!("{leader}-{pod}");
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    match name.len() <= MAX_NAME && name.chars().all(is_name) {
        true => name,
        false => format!("{leader}-{}", short_hash(pod)),
    }
}

/// The pod of a holder.
pub(super) fn pod_of(holder: &str) -> Option<&str> {
    holder.rsplit_once('_').map(|(pod, _)| pod)
}

fn short_hash(text: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The Lease of this replica, which is valid.
pub struct ReplicaLease {
    session: Session,
    namespace: String,
    name: String,
    label: (&'static str, String),
    times: LeaseTimes,
    lease: Lease,
    holder: String,
    is_draining: bool,
}

impl ReplicaLease {
    /// Takes the Lease of a pod. What an earlier process of the same pod held is held again, if nobody
    /// else has ended that.
    pub async fn join(
        session: Session,
        (namespace, leader): (String, &str),
        pod: &str,
        times: LeaseTimes,
    ) -> Self {
        let mut own = Self {
            name: name_of(leader, pod),
            label: label_of(leader),
            lease: Lease::default(),
            holder: String::new(),
            is_draining: false,
            session,
            namespace,
            times,
        };
        loop {
            match own.try_join(pod).await {
                Ok(()) => return own,
                Err(error) if error.is_conflict() || error.already_exists() => {}
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(lease = own.title(), error, "cannot acquire the lease; retrying");
                }
            }
            tokio::time::sleep(times.retry.mul_f64(0.4 + 0.2 * fastrand::f64())).await;
        }
    }

    async fn try_join(&mut self, pod: &str) -> Result<(), ApiError> {
        self.lease = self.session.read_lease(&self.namespace, &self.name).await?;
        let spec = &self.lease.spec;
        let transitions = spec.transitions();
        let (holder, transitions) = match pod_of(spec.holder()) == Some(pod) {
            true => (spec.holder().to_owned(), transitions),
            false => (format!("{pod}_{:08x}", fastrand::u32(..)), transitions + 1),
        };
        self.holder.clone_from(&holder);
        self.write(LeaseSpec::held_by(holder, self.times.duration, transitions, Timestamp::now())).await
    }

    async fn write(&mut self, spec: LeaseSpec) -> Result<(), ApiError> {
        // Other replicas count from when they see the write, which is later.
        let asked = Instant::now();
        let mut wanted = Lease { spec, ..self.lease.clone() };
        wanted.labels.insert(self.label.0.to_owned(), self.label.1.clone());
        match self.is_draining {
            true => drop(wanted.labels.insert(keys::DRAINING.to_owned(), "true".to_owned())),
            false => drop(wanted.labels.remove(keys::DRAINING)),
        }
        self.lease = self.session.write_lease(&self.namespace, &self.name, &wanted).await?;
        self.session.write_until(&self.name, asked + self.times.duration);
        Ok(())
    }

    /// The Lease, for messages.
    pub fn title(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The replica.
    pub fn replica(&self) -> Replica {
        Replica { name: self.name.clone(), holder: self.holder.clone() }
    }

    /// Renews it until another replica has ended it. While the API server gives no answer, nothing is
    /// written, and what was held is held again afterwards unless it was ended. From `draining` on,
    /// this replica gets no more releases. `unanswered` is called when a renewal has no answer in time.
    pub async fn keep(&mut self, draining: &CancellationToken, unanswered: impl Fn()) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.times.retry) => {}
                () = draining.cancelled(), if !self.is_draining => self.is_draining = true,
            }
            let renewed = tokio::time::timeout(self.times.deadline, self.renew()).await;
            // A slow answer is one: an API server that is always slow must not keep the releases of the dead.
            if !matches!(renewed, Ok(Ok(_))) {
                unanswered();
            }
            match renewed {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    self.session.write_until(&self.name, Instant::now());
                    return;
                }
                Err(_) => {
                    tracing::warn!(lease = self.title(), "cannot renew the lease in time; retrying");
                }
                Ok(Err(error)) => {
                    let error = chain(&error);
                    tracing::warn!(lease = self.title(), error, "cannot renew the lease; retrying");
                }
            }
        }
    }

    /// Renews once; false when we do not hold it any more.
    async fn renew(&mut self) -> Result<bool, ApiError> {
        let spec = self.lease.spec.renewed(Timestamp::now());
        match self.write(spec.clone()).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            // A renewal may have succeeded whose answer was not awaited.
            Err(error) if error.is_conflict() => {
                let lease = self.session.read_lease(&self.namespace, &self.name).await?;
                // Another process with the name of this pod has joined at another time.
                let has_joined = lease.spec.acquire_time != self.lease.spec.acquire_time;
                if lease.spec.holder() != self.holder || has_joined {
                    return Ok(false);
                }
                self.lease = lease;
                self.write(spec).await.map(|()| true)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends it, after the last run: the other replicas take the releases at once.
    pub async fn leave(mut self) {
        let mut ended = self.end().await;
        if ended.as_ref().is_err_and(ApiError::is_conflict) {
            // A renewal may have succeeded whose answer was not awaited.
            ended = match self.session.read_lease(&self.namespace, &self.name).await {
                Ok(lease) if lease.spec.holder() == self.holder => {
                    self.lease = lease;
                    self.end().await
                }
                other => other.map(|_| ()),
            };
        }
        match ended {
            Ok(()) => tracing::info!(lease = self.title(), "released the lease"),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(lease = self.title(), error, "cannot release the lease; it will expire");
            }
        }
    }

    async fn end(&mut self) -> Result<(), ApiError> {
        self.write(self.lease.spec.ended()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_of_a_pod_is_found_by_its_holder() {
        let check = |pod: &str, expected: &str| {
            assert_eq!(name_of("supercargo", pod), expected);
            assert_eq!(pod_of(&format!("{pod}_0a1b2c3d")), Some(pod));
        };
        check("supercargo-7d9f4-x2x", "supercargo-supercargo-7d9f4-x2x");
        // A host may have a name that no Lease can have.
        check("My_Host", "supercargo-9c5b052fea8a81b4");
        assert_eq!(name_of("a", &"x".repeat(253)).len(), 18);
        assert_ne!(label_of("a"), label_of("b"));
    }
}
