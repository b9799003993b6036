//! The stage that decides whether a revision may be acted on: who has to have
//! signed it, whether they have, and for how long that is known.

pub mod evidence;
pub mod images;
pub mod pin;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::outcome::{Assessment, Verdict};
use crate::domain::schedule::jitter;
use crate::domain::verify::declared::Secrets;
use crate::domain::verify::floor::Demand;
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Refusal;
use crate::observe::labels::{Phase, Verification};
use crate::oci::Repository;
use crate::reconcile::driver::{Ended, Revision, Run, Trigger, artifact_status};
use crate::reconcile::phase::admit::evidence::{Admission, Target};
use crate::reconcile::phase::admit::pin::ImageDemand;
use crate::reconcile::phase::work;
use crate::reconcile::scope::registry_wait::Waited;
use crate::reconcile::source::access::{self, Failure, failure};

/// How soon evidence that could not be had is asked for again, where the
/// revision was verified before.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// A revision that was verified, and until when that is taken for granted.
pub struct Trusted {
    /// Repository, digest and policies.
    key: String,
    admission: Arc<Admission>,
    due: Instant,
}

/// A revision that was refused: for the runs that do not ask the registry.
pub struct Distrusted {
    key: String,
    failed: Failure,
}

impl Trusted {
    /// When it is verified again.
    pub fn due(&self) -> Instant {
        self.due
    }
}

/// Who has to have signed.
enum Demanded {
    /// Nobody, and why.
    Nothing(&'static str),
    /// All of these; and some the container images.
    Policies(Vec<Policy>, Option<Arc<ImageDemand>>),
}

/// A revision with what is demanded of it.
struct Case<'a> {
    session: &'a Session,
    revision: &'a Revision,
    repository: &'a Repository,
    policies: Vec<Policy>,
    images: Option<Arc<ImageDemand>>,
    key: String,
}

impl Run<'_> {
    /// Whether the revision may be acted on.
    ///
    /// # Errors
    /// Why not; the outcome says so in the condition `Verified` too.
    pub async fn admission(
        &mut self,
        session: &Session,
        revision: &Revision,
    ) -> Result<Arc<Admission>, Ended> {
        let repository = access::repository(self.release)?;
        let (policies, images) = match self.demanded(session, &repository).await {
            Ok(Demanded::Policies(policies, images)) => (policies, images),
            Ok(Demanded::Nothing(why)) => {
                self.memory.trusted = None;
                return Ok(Arc::new(Admission::unasked(&revision.digest, why)));
            }
            Err(failed) => {
                self.count(&failed);
                return Err(self.refused(revision, failed).into());
            }
        };
        let mut key = repository.at(&revision.digest);
        policies.iter().for_each(|policy| key.push_str(&policy.fingerprint()));
        if let Some(images) = &images {
            key.push_str(&images.name());
        }
        let known = self.memory.trusted.as_ref().filter(|t| t.key == key);
        let known = known.map(|t| (Arc::clone(&t.admission), t.due));
        match (&known, self.trigger, &self.memory.distrusted) {
            (Some((admission, due)), trigger, _) if trigger != Trigger::Full || *due > Instant::now() => {
                return Ok(Arc::clone(admission));
            }
            // However often objects change, the registry is asked when it is due.
            (None, Trigger::Objects, Some(refused)) if refused.key == key => {
                return Err(refused.failed.clone().into());
            }
            _ => {}
        }
        let case = Case { session, revision, repository: &repository, policies, images, key };
        self.earn(case, known.map(|(admission, _)| admission)).await
    }

    async fn demanded(&mut self, session: &Session, repository: &Repository) -> Result<Demanded, Failure> {
        let trust = &self.context.trust;
        let floor = trust.floor.borrow().demand(repository.registry(), repository.path());
        let (mut policies, mut images) = (Vec::new(), None);
        if let Demand::Signed(policy) = &floor {
            policies.push(Policy::clone(policy));
        }
        if let Some(declared) = &self.release.verify {
            let mut secrets = Secrets::new();
            for (name, field) in declared.secrets() {
                let data = access::read(self.context, session, self.release, self.memory, name).await?;
                let data = data.ok_or_else(|| access::missing(self.release, name, &field))?;
                secrets.insert(name.to_owned(), data.0.clone());
            }
            let refused = |e: Refusal| failure(e.reason, e.message);
            let policy = declared.policy(&secrets, &trust.root).map_err(refused)?;
            if let Some(rules) = &declared.images {
                let policies = rules.policies(&secrets, &policy, &trust.root).map_err(refused)?;
                images = Some(Arc::new(ImageDemand { mode: rules.mode, policies }));
            }
            policies.push(policy);
        }
        match (policies.is_empty(), floor) {
            (false, _) => Ok(Demanded::Policies(policies, images)),
            (true, Demand::Exempt) => {
                Ok(Demanded::Nothing("the trust policy exempts the repository, and spec.verify is not set"))
            }
            (true, _) if trust.required => {
                let message = format!(
                    "nothing says who has to have signed {}: the controller verifies every artifact \
                     (--require-verification), so set spec.verify",
                    self.release.url
                );
                Err(failure(Reason::VerificationRequired, message))
            }
            (true, _) => Ok(Demanded::Nothing("nobody asks for a signature: spec.verify is not set")),
        }
    }

    /// Verifies. What was verified before under the same policies stays so while
    /// the evidence cannot be had; that it is not enough any more is another
    /// matter.
    async fn earn(&mut self, case: Case<'_>, known: Option<Arc<Admission>>) -> Result<Arc<Admission>, Ended> {
        let started = std::time::Instant::now();
        let interval = jitter(self.context.trust.interval, fastrand::f64());
        let earned = self.ask_for_evidence(&case, known.is_some()).await;
        self.spent.add(Phase::Verify, started.elapsed());
        let Some(earned) = earned.transpose() else {
            return match known {
                Some(admission) if !self.signals.is_superseded() => {
                    self.memory.resolve_due = true;
                    Ok(admission)
                }
                _ => Err(work::superseded()),
            };
        };
        let metrics = &self.context.metrics;
        let (admission, due) = match earned {
            Ok(admission) => {
                metrics.verified(Verification::Verified, Reason::Verified);
                // The images are looked at again, too.
                self.memory.pinned.iter_mut().for_each(|pinned| pinned.fresh = false);
                (Arc::new(admission), Instant::now() + interval)
            }
            Err(failed) => {
                let reason = self.count(&failed);
                let Some(admission) = known.filter(|_| !reason.is_distrust()) else {
                    let failed = self.refused(case.revision, failed);
                    self.memory.trusted = None;
                    self.memory.distrusted = Some(Distrusted { key: case.key, failed: failed.clone() });
                    return Err(failed.into());
                };
                tracing::debug!(
                    reason = reason.as_str(),
                    "verified before, and the evidence cannot be had now"
                );
                (admission, Instant::now() + AGAIN.min(interval))
            }
        };
        self.memory.distrusted = None;
        self.memory.trusted = Some(Trusted { key: case.key, admission: Arc::clone(&admission), due });
        Ok(admission)
    }

    /// Counts a verification that came to nothing; says why it did.
    fn count(&self, failed: &Failure) -> Reason {
        let reason = failed.reason().unwrap_or(Reason::RegistryUnavailable);
        let result = if reason.is_distrust() { Verification::Refused } else { Verification::Unknown };
        self.context.metrics.verified(result, reason);
        reason
    }

    async fn ask_for_evidence(
        &mut self,
        case: &Case<'_>,
        can_wait: bool,
    ) -> Result<Option<Admission>, Failure> {
        let access = access::access(self.context, case.session, self.release, self.memory).await?;
        let registry = self.context.registry.clone();
        let target = Target { repository: case.repository, digest: &case.revision.digest, access: &access };
        match self
            .wait_for(Admission::earn(&registry, target, &case.policies, case.images.clone()), can_wait)
            .await
        {
            Waited::Done(earned) => earned.map(Some),
            Waited::Urgent => Ok(None),
            Waited::Late => {
                let seconds = self.release.timeout.as_secs();
                let message = format!(
                    "the signatures of {} could not be read within spec.timeout ({seconds}s)",
                    self.release.url
                );
                Err(failure(Reason::RegistryUnavailable, message))
            }
        }
    }

    /// Says in the outcome that the revision is not trusted, and what that means.
    pub fn refused(&self, revision: &Revision, mut failed: Failure) -> Failure {
        if let Verdict::Failed { reason, message } = &mut failed.verdict {
            let known =
                reason.is_distrust() || matches!(reason, Reason::SecretNotFound | Reason::SecretInvalid);
            let told = message.clone();
            failed.verified =
                Some(Assessment { status: known.then_some(false), reason: *reason, message: told });
            if self.memory.inventory.claimed().next().is_some() {
                message.push_str("; what is applied stays, and nothing is written, drift included");
            }
        }
        failed.artifact.get_or_insert_with(|| artifact_status(revision));
        failed.signers = Some(Vec::new());
        failed
    }
}
