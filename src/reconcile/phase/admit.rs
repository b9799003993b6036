//! The phase that decides whether a revision may be applied: the required signers, their
//! signatures, and how long a verification is valid.

pub mod arrival;
pub mod dependencies;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::gate::Demands;
use crate::domain::gate::{self, Facts};
use crate::domain::inventory::Inventory;
use crate::domain::outcome::Assessment;
use crate::domain::schedule::jitter;
use crate::domain::verify::declared::Secrets;
use crate::domain::verify::policy::Policy;
use crate::domain::verify::proof::Refusal;
use crate::domain::verify::trust_policy::PolicyDemand;
use crate::observe::labels::{Phase, Verification};
use crate::oci::Repository;
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::cache::trust::{CachedRejection, TrustCache, Trusted};
use crate::reconcile::error::{ReconcileError, RunFailure, failure};
use crate::reconcile::scope::registry_wait::{RegistryWait, registry_wait};
use crate::reconcile::scope::revision::Revision;
use crate::reconcile::scope::{Scope, Trigger};
use crate::reconcile::source::access::{self, access};
use crate::reconcile::source::reference::repository;
use crate::reconcile::trust::admission::Admission;
use crate::reconcile::trust::evidence::VerifyTarget;
use crate::reconcile::trust::pinned::ImageDemand;

/// When to read signatures again after a failure, if the revision was verified before.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// What is remembered for it.
pub struct Memory<'a> {
    /// The last verifications.
    pub trust: &'a mut TrustCache,
    /// Access to the registry.
    pub registry: &'a mut RegistryCache,
    /// What is known of drift.
    pub seen: Sightings<'a>,
}

impl<'a> From<&'a mut Caches> for Memory<'a> {
    fn from(caches: &'a mut Caches) -> Self {
        let seen = Sightings { cluster: &caches.cluster, drift: &caches.drift };
        Self { trust: &mut caches.trust, registry: &mut caches.registry, seen }
    }
}

/// The required signatures.
enum Demanded {
    /// None, and why.
    Nothing(&'static str),
    /// All of these policies, and possibly signed container images.
    Policies(Vec<Policy>, Option<Arc<ImageDemand>>),
}

/// A revision with its required signatures.
struct Case<'a> {
    session: &'a Session,
    revision: &'a Revision,
    repository: &'a Repository,
    policies: Vec<Policy>,
    images: Option<Arc<ImageDemand>>,
    key: String,
}

/// Decides whether the revision may be applied.
///
/// # Errors
/// Why not; it is also in the condition `Verified`.
pub async fn admit(
    scope: &Scope<'_>,
    session: &Session,
    memory: Memory<'_>,
    revision: &Revision,
) -> Result<Arc<Admission>, ReconcileError> {
    let repository = repository(scope.release)?;
    let (policies, images) = match demanded(scope, session, memory.registry, &repository).await {
        Ok(Demanded::Policies(policies, images)) => (policies, images),
        Ok(Demanded::Nothing(why)) => {
            memory.trust.trusted = None;
            return Ok(Arc::new(Admission::unasked(&revision.digest, why)));
        }
        Err(failed) => {
            count(scope, &failed);
            return Err(rejected(&memory.seen.cluster.inventory, revision, failed).into());
        }
    };
    let mut key = repository.at(&revision.digest);
    policies.iter().for_each(|policy| key.push_str(&policy.fingerprint()));
    if let Some(images) = &images {
        key.push_str(&images.name());
    }
    let known = memory.trust.trusted.as_ref().filter(|t| t.key == key);
    let known = known.map(|t| (Arc::clone(&t.admission), t.due));
    match (&known, scope.trigger, &memory.trust.refused) {
        (Some((admission, due)), trigger, _) if trigger != Trigger::Full || *due > Instant::now() => {
            return Ok(Arc::clone(admission));
        }
        // Changes of objects do not cause requests to the registry before the next one is due.
        (None, Trigger::Objects, Some(refused)) if refused.key == key => {
            return Err(refused.failed.clone().into());
        }
        _ => {}
    }
    let case = Case { session, revision, repository: &repository, policies, images, key };
    verify(scope, memory, case, known.map(|(admission, _)| admission)).await
}

async fn demanded(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut RegistryCache,
    repository: &Repository,
) -> Result<Demanded, Box<RunFailure>> {
    let Scope { env, release, .. } = *scope;
    let trust = &env.trust;
    let trust_policy = trust.policy.borrow().demand(repository.registry(), repository.path());
    let (mut policies, mut images) = (Vec::new(), None);
    if let PolicyDemand::Signed(policy) = &trust_policy {
        policies.push(Policy::clone(policy));
    }
    if let Some(declared) = &release.verify {
        let mut secrets = Secrets::new();
        for (name, field) in declared.secrets() {
            let data = access::read(scope, session, cache, name).await?;
            let data = data.ok_or_else(|| access::missing(release, name, &field))?;
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
    let is_exempt = matches!(trust_policy, PolicyDemand::Exempt);
    let demands = Demands { policies: policies.len(), is_exempt, required: trust.required };
    let decision = gate::trust::decide(&Facts { demands: Some(demands), ..Facts::of(release) });
    match (decision, policies.is_empty(), is_exempt) {
        (gate::Decision::Wait(blocker, _) | gate::Decision::Refuse(blocker), ..) => Err(blocker.into()),
        (gate::Decision::Pass, false, _) => Ok(Demanded::Policies(policies, images)),
        (gate::Decision::Pass, true, true) => {
            Ok(Demanded::Nothing("Verification is off (exempt in the trust policy, spec.verify is not set)"))
        }
        (gate::Decision::Pass, true, false) => {
            Ok(Demanded::Nothing("Verification is off (spec.verify is not set)"))
        }
    }
}

/// Verifies. An earlier verification under the same policies stays valid while the signatures
/// cannot be read, but not when they are not sufficient any more.
async fn verify(
    scope: &Scope<'_>,
    memory: Memory<'_>,
    case: Case<'_>,
    known: Option<Arc<Admission>>,
) -> Result<Arc<Admission>, ReconcileError> {
    let Memory { trust, registry, seen } = memory;
    let started = std::time::Instant::now();
    let interval = jitter(scope.env.trust.interval, fastrand::f64());
    let can_wait = Some(seen).filter(|_| known.is_some());
    let verified = ask_for_evidence(scope, registry, &case, can_wait).await;
    scope.timer.add(Phase::Verify, started.elapsed());
    let Some(verified) = verified.transpose() else {
        return match known {
            Some(admission) if !scope.signals.is_superseded() => {
                registry.resolve_due = true;
                Ok(admission)
            }
            _ => Err(ReconcileError::SUPERSEDED),
        };
    };
    let (admission, due) = match verified {
        Ok(admission) => {
            scope.env.metrics.verified(Verification::Verified, Reason::Verified);
            // The images are verified again, too.
            trust.pinned.iter_mut().for_each(|pinned| pinned.fresh = false);
            (Arc::new(admission), Instant::now() + interval)
        }
        Err(failed) => {
            count(scope, &failed);
            let reason = failed.reason;
            let Some(admission) = known.filter(|_| !reason.is_distrust()) else {
                let failed = rejected(&seen.cluster.inventory, case.revision, failed);
                trust.trusted = None;
                trust.refused = Some(CachedRejection { key: case.key, failed: failed.clone() });
                return Err(failed.into());
            };
            tracing::debug!(
                reason = reason.as_str(),
                "cannot read the signatures now; the revision was verified before"
            );
            (admission, Instant::now() + AGAIN.min(interval))
        }
    };
    trust.refused = None;
    trust.trusted = Some(Trusted { key: case.key, admission: Arc::clone(&admission), due });
    Ok(admission)
}

/// Counts a failed verification.
fn count(scope: &Scope<'_>, failed: &RunFailure) {
    let result = if failed.reason.is_distrust() { Verification::Refused } else { Verification::Unknown };
    scope.env.metrics.verified(result, failed.reason);
}

async fn ask_for_evidence(
    scope: &Scope<'_>,
    cache: &mut RegistryCache,
    case: &Case<'_>,
    seen: Option<Sightings<'_>>,
) -> Result<Option<Admission>, Box<RunFailure>> {
    let access = access(scope, case.session, cache).await?;
    let registry = scope.env.registry.clone();
    let target = VerifyTarget { repository: case.repository, digest: &case.revision.digest, access: &access };
    let verifying = Admission::verified(&registry, target, &case.policies, case.images.clone());
    match registry_wait(scope, seen, verifying).await {
        RegistryWait::Done(verified) => verified.map(Some),
        RegistryWait::Preempted => Ok(None),
        RegistryWait::TimedOut => {
            let seconds = scope.release.timeout.as_secs();
            let message = format!(
                "timed out reading the signatures of {} after spec.timeout ({seconds}s)",
                scope.release.url
            );
            Err(failure(Reason::RegistryUnavailable, message))
        }
    }
}

/// Adds to a failure that the revision is not trusted, and the consequence.
pub fn rejected(inventory: &Inventory, revision: &Revision, mut failed: Box<RunFailure>) -> Box<RunFailure> {
    let RunFailure { reason, message, verified, artifact, .. } = &mut *failed;
    let known = reason.is_distrust() || matches!(reason, Reason::SecretNotFound | Reason::SecretInvalid);
    *verified =
        Some(Assessment { status: known.then_some(false), reason: *reason, message: message.clone() });
    if inventory.claimed().next().is_some() {
        message.push_str("; the applied revision keeps running, updates and drift correction are paused");
    }
    artifact.get_or_insert_with(|| revision.artifact());
    failed
}
