//! The dry run of exactly what a plan will write, before the first write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;

use super::body::{body, encode};
use super::refusal::{failed, failure_of, refusal_of};
use crate::api::reason::Reason;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::preflight::{Cure, Cures, DryRunRefusal};
use crate::domain::recreate::{RecreateQuestion, Recreation, decide, trial};
use crate::domain::stage::Stage;
use crate::reconcile::error::masked_in;
use crate::reconcile::flow::parallel::{at_once, unordered_within};
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::scope::Scope;

/// How long a resolved refusal may persist: the API server's caches of roles and accounts are
/// updated a little later.
const SETTLING: PollPace = PollPace {
    first: Duration::from_millis(50),
    longest: Duration::from_millis(500),
    timeout: Duration::from_secs(5),
};
/// Retries for an object that other clients change meanwhile.
pub const ATTEMPTS: usize = 5;

/// What is applied for a step, and the result of the dry run.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The kind.
    pub resource: Arc<Resource>,
    /// The request body.
    pub body: Bytes,
    /// The live object's uid and resource version; `None` when there is none.
    pub live: Option<(String, u64)>,
    /// Whether the live object has to be deleted first.
    pub recreate: bool,
    /// The object after the apply, if requested.
    pub answer: Option<Bytes>,
}

/// The progress of the preflight of a plan.
pub struct Preflight<'a> {
    scope: Scope<'a>,
    session: &'a Session,
    /// What is still to be written.
    cures: Cures,
    /// All writes of the plan, done or not.
    brought: Cures,
    /// Whether to keep the answers of the dry runs.
    pub keeps_answers: bool,
    /// The steps that may be applied.
    pub ready: BTreeMap<ObjectId, Ready>,
    /// The steps that wait for others of the plan.
    pub deferred: BTreeSet<ObjectId>,
    /// The policies and webhooks that refuse steps as they are, and that the plan
    /// changes: they are written before the rest.
    pub advanced: BTreeSet<ObjectId>,
    /// The steps whose refusal may be outdated already.
    lingering: BTreeSet<ObjectId>,
    /// The Jobs that have to finish before they are recreated.
    pub running: BTreeSet<ObjectId>,
}

/// The result of a step's dry run before the first write, for one who looks at it.
pub enum Tried {
    /// It is accepted.
    Ready(Ready),
    /// It waits for others of the plan.
    Deferred,
    /// It is refused.
    Refused(ObjectFailure),
}

/// The result of a step's dry run.
enum Verdict {
    Ready(Ready),
    /// Accepted by a schema that is about to change.
    Tentative(Ready),
    /// What it waits for, if that has to be written before its stage.
    Deferred(Vec<ObjectId>),
    /// Refused, but a recent write may still change that.
    Lingers(ObjectFailure),
    Failed(ObjectFailure),
}

impl<'a> Preflight<'a> {
    /// For a plan.
    pub fn new(scope: &Scope<'a>, session: &'a Session, plan: &Plan) -> Self {
        let (ready, deferred, running) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let (advanced, lingering) = (BTreeSet::new(), BTreeSet::new());
        let cures = Cures::of(plan);
        let (brought, keeps_answers) = (cures.clone(), false);
        Self {
            scope: *scope,
            session,
            cures,
            brought,
            keeps_answers,
            ready,
            deferred,
            advanced,
            running,
            lingering,
        }
    }

    /// Whether a step is accepted or refused by a schema that the plan changes.
    pub fn is_redefined(&self, step: &Step) -> bool {
        step.action == Action::Write && self.brought.defines(&step.id.group_kind())
    }

    /// A namespace will exist before the first write, though the plan does not create it.
    pub fn will_have_namespace(&mut self, name: &str) {
        self.cures.add_namespace(name);
    }

    /// Dry-runs all that the plan writes.
    ///
    /// # Errors
    /// Every refusal that the plan itself does not resolve.
    pub async fn first_pass(
        &mut self,
        plan: &Plan,
        discovery: &ApiDiscovery,
    ) -> Result<(), Vec<ObjectFailure>> {
        let steps: Vec<&Step> = plan.steps.iter().filter(|s| s.action != Action::Keep).collect();
        self.pass(&steps, discovery, false).await
    }

    /// Dry-runs one step that the plan writes, as in the first pass. Nothing is kept of it.
    pub async fn look(&self, step: &Step, discovery: &ApiDiscovery) -> Tried {
        match self.judge(step, discovery, false).await {
            Verdict::Ready(ready) | Verdict::Tentative(ready) => Tried::Ready(ready),
            Verdict::Deferred(_) => Tried::Deferred,
            Verdict::Lingers(failure) | Verdict::Failed(failure) => Tried::Refused(failure),
        }
    }

    /// Dry-runs steps alone, without regard to the rest of the plan; returns the refusals.
    pub async fn trial(mut self, steps: &[&Step], discovery: &ApiDiscovery) -> Vec<ObjectFailure> {
        self.cures = Cures::default();
        self.pass(steps, discovery, true).await.err().unwrap_or_default()
    }

    /// Another round of writes begins: they may resolve refusals again.
    pub fn begin_round(&mut self) {
        self.cures = self.brought.clone();
    }

    /// Dry-runs deferred steps of a round after a stage was applied. Refusals that this should have
    /// resolved get a few seconds, without a worker.
    ///
    /// # Errors
    /// Every remaining refusal.
    pub async fn next_pass(
        &mut self,
        plan: &Plan,
        discovery: &ApiDiscovery,
        after: Stage,
        is_of_round: impl Fn(&Step) -> bool,
    ) -> Result<(), Vec<ObjectFailure>> {
        let due = |s: &&Step| is_of_round(s) && (after != Stage::Foundations || s.stage == Stage::Bindings);
        if !plan.steps.iter().filter(due).any(|s| self.deferred.contains(&s.id)) {
            return Ok(());
        }
        if after != Stage::Definitions {
            // No later write can resolve a refusal now.
            self.cures = Cures::default();
        }
        let mut poll = Poll::new(SETTLING, Until::Never, self.scope.signals, Some(self.scope.slot));
        loop {
            let waiting = std::mem::take(&mut self.deferred);
            let (steps, later): (Vec<&Step>, Vec<&Step>) =
                plan.steps.iter().filter(|s| waiting.contains(&s.id)).partition(due);
            self.deferred.extend(later.into_iter().map(|s| s.id.clone()));
            let Err(failures) = self.pass(&steps, discovery, true).await else { return Ok(()) };
            let is_final =
                |f: &ObjectFailure| f.reason == Reason::PreflightFailed && !self.lingering.contains(&f.id);
            if failures.iter().any(is_final) || poll.pause().await != Tick::Look {
                return Err(failures);
            }
            self.deferred.extend(failures.into_iter().map(|f| f.id));
        }
    }

    async fn pass(
        &mut self,
        steps: &[&Step],
        discovery: &ApiDiscovery,
        defined: bool,
    ) -> Result<(), Vec<ObjectFailure>> {
        let this = &*self;
        let judged = steps
            .iter()
            .map(|step| async move { (step.id.clone(), this.judge(step, discovery, defined).await) });
        let verdicts: Vec<(ObjectId, Verdict)> =
            unordered_within(at_once(self.session), judged).collect().await;
        let mut failures = Vec::new();
        self.lingering.clear();
        for (id, verdict) in verdicts {
            match verdict {
                Verdict::Ready(ready) => {
                    self.ready.insert(id, ready);
                }
                Verdict::Tentative(ready) => {
                    self.ready.insert(id.clone(), ready);
                    self.deferred.insert(id);
                }
                Verdict::Deferred(earlier) => {
                    self.advanced.extend(earlier);
                    self.ready.remove(&id);
                    self.deferred.insert(id);
                }
                Verdict::Lingers(failure) => {
                    self.lingering.insert(id);
                    failures.push(failure);
                }
                Verdict::Failed(failure) => {
                    if failure.reason == Reason::JobRunning {
                        self.running.insert(id);
                    }
                    failures.push(failure);
                }
            }
        }
        failures.sort_by(|a, b| a.id.cmp(&b.id));
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    async fn judge(&self, step: &Step, discovery: &ApiDiscovery, defined: bool) -> Verdict {
        let Some(resource) = discovery.resource(&step.id.group_kind(), &step.version) else {
            let refusal = DryRunRefusal::no_such_kind(step.object.api_version(), step.object.kind());
            return self.refused(step, &refusal, defined);
        };
        // The answer under the old schema is not valid for the new one, neither an acceptance nor a
        // refusal.
        let tentative = !defined && self.cures.defines(&step.id.group_kind());
        match self.dry_run(step, &resource).await {
            Ok(ready) if tentative => Verdict::Tentative(ready),
            Ok(ready) => Verdict::Ready(ready),
            Err(error) => match refusal_of(&error) {
                Some(_) if tentative => Verdict::Deferred(Vec::new()),
                Some(refusal) if self.is_of_the_update(step, &refusal, defined) => {
                    self.recreation(step, &resource, &refusal, defined).await
                }
                Some(refusal) => self.refused(step, &refusal, defined),
                None => Verdict::Failed(failed(step, &error)),
            },
        }
    }

    async fn dry_run(&self, step: &Step, resource: &Arc<Resource>) -> Result<Ready, ApiError> {
        // What exists and is only created is not applied: its owner labels are all that may change.
        if step.found.is_some() {
            let me = &self.scope.release.id;
            match self.session.set_owner(resource, &step.id, me, None, true).await {
                Err(error) if error.is_not_found() => {}
                answer => {
                    let (record, object) = answer?;
                    return Ok(Ready {
                        resource: Arc::clone(resource),
                        body: encode(step.object.value()),
                        live: Some((record.uid, record.version)),
                        recreate: false,
                        answer: self.keeps_answers.then_some(object),
                    });
                }
            }
        }
        for _ in 0..ATTEMPTS {
            let body = body(self.session, step, resource).await?;
            let applied = match self.session.apply(resource, &step.id, body.clone(), true).await {
                // Another client was faster, here or in a quota: that says nothing about the object.
                Err(error) if error.is_conflict() => continue,
                other => other?,
            };
            // A dry run returns an invented uid for an object that does not exist.
            let exists = !applied.created && applied.record.version != 0;
            let live = exists.then_some((applied.record.uid, applied.record.version));
            let answer = self.keeps_answers.then_some(applied.body);
            return Ok(Ready { resource: Arc::clone(resource), body, live, recreate: false, answer });
        }
        Err(ApiError::ConflictRetriesExhausted(ATTEMPTS))
    }

    fn may_recreate(&self, step: &Step) -> bool {
        step.force.unwrap_or(self.scope.release.force)
    }

    /// Whether a refusal may be about the update alone: nothing in the plan resolves it, and it is
    /// not outdated.
    fn is_of_the_update(&self, step: &Step, refusal: &DryRunRefusal, defined: bool) -> bool {
        let lingers = || defined && self.brought.cure(&step.id, refusal, false).is_some();
        refusal.may_be_of_the_update()
            && self.cures.cure(&step.id, refusal, defined).is_none()
            && (refusal.is_immutable() || !lingers())
    }

    fn refused(&self, step: &Step, refusal: &DryRunRefusal, defined: bool) -> Verdict {
        match self.cures.cure(&step.id, refusal, defined) {
            Some(Cure::Definitions | Cure::Foundations) => Verdict::Deferred(Vec::new()),
            Some(Cure::Admission(earlier)) => Verdict::Deferred(earlier),
            None => {
                let failure = failure_of(step, refusal, self.session, &self.scope);
                match defined && self.brought.cure(&step.id, refusal, false).is_some() {
                    true => Verdict::Lingers(failure),
                    false => Verdict::Failed(failure),
                }
            }
        }
    }

    /// Handles an object that exists and cannot be updated as wanted. Before a deletion it is
    /// checked that the object would be accepted as a new one: by a dry run under a name that the
    /// API server generates.
    async fn recreation(
        &self,
        step: &Step,
        resource: &Arc<Resource>,
        refusal: &DryRunRefusal,
        defined: bool,
    ) -> Verdict {
        // It exists since the plan was made, and is not updated.
        if step.only_if_absent {
            return self.refused(step, refusal, defined);
        }
        let (live, record) = match self.session.get_with_record(resource, &step.id).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return self.refused(step, refusal, defined),
            // Without force only an update was wanted.
            Err(error) if error.is_forbidden() && !self.may_recreate(step) => {
                return self.refused(step, refusal, defined);
            }
            Err(error) => return Verdict::Failed(failed(step, &error)),
        };
        let question = RecreateQuestion {
            release: &self.scope.release.id,
            mark: self.session.mark(),
            force: self.scope.release.force,
            object_force: step.force,
            is_observed: !step.anew,
            is_named: step.named,
        };
        let decision = decide(question, &step.object, &live);
        let with_hint = |reason: Reason| {
            let hint = decision.hint(&step.id.kind, self.scope.policy.words.force);
            let message = format!("{} ({hint})", masked_in(&step.object, &refusal.message));
            Verdict::Failed(ObjectFailure { id: step.id.clone(), reason, message })
        };
        if matches!(decision, Recreation::Never(_)) {
            // The object is not tried as a new one. Only the message shows that the refusal is
            // about the update.
            return match refusal.is_immutable() {
                true => with_hint(Reason::PreflightFailed),
                false => self.refused(step, refusal, defined),
            };
        }
        let trial = trial(step.object.value(), &live);
        match self.session.dry_run_create(resource, &step.id, &trial, &record.uid).await {
            Ok(accepted) if decision == Recreation::Now => Verdict::Ready(Ready {
                resource: Arc::clone(resource),
                body: encode(step.object.value()),
                live: Some((record.uid, record.version)),
                recreate: true,
                answer: self.keeps_answers.then(|| encode(&accepted)),
            }),
            Ok(_) if decision == Recreation::Later => with_hint(Reason::JobRunning),
            Ok(_) => with_hint(Reason::PreflightFailed),
            Err(error) if decision == Recreation::Now || error.is_transient() => {
                Verdict::Failed(failed(step, &error))
            }
            // It is invalid as a new object too.
            Err(_) => self.refused(step, refusal, defined),
        }
    }
}
