//! The writes of a plan, stage by stage. It never returns early: every object gets a fate.

pub mod definitions;
pub mod object;
pub mod recreate;
pub mod schemas;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;

use self::object::{Done, apply_object};
use self::schemas::Schemas;
use crate::api::reason::Reason;
use crate::api::status::Changes;
use crate::cluster::apply::AppliedObject;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::health::RuleSet;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate, Whose};
use crate::domain::live::JobRun;
use crate::domain::outcome::{Assessment, Note, ObjectFailure};
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::stage::Stage;
use crate::observe::labels::Phase;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::{ReconcileError, aggregate, chain, masked};
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::phase::claim::Claimed;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::phase::preflight::Accepted;
use crate::reconcile::phase::preflight::dry_run::{Preflight, Ready};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::progress::{ObjectChange, ProgressEvent};

/// What was done.
#[derive(Default)]
pub struct Executed {
    /// The fate of each object.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// How many were changed, and how.
    pub changes: Changes,
    /// The objects that failed.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// The change of each object that was written.
    pub done: BTreeMap<ObjectId, ObjectChange>,
    /// Objects whose drift was corrected.
    pub corrected: Vec<ObjectId>,
    /// The health, after a wait.
    pub health: Option<Assessment>,
    /// What ended the run early.
    pub ended: Option<ReconcileError>,
    /// Whether the cluster has the whole revision.
    pub applied: bool,
    /// The answers of the API server, for kinds with a health rule.
    pub answers: BTreeMap<ObjectId, Bytes>,
}

/// A plan that was applied as far as possible.
pub struct Applied<'a> {
    /// The plan, with the kinds that the cluster serves now.
    pub planned: Planned<'a>,
    /// Whether it only corrects drift of a revision that the inventory has completely.
    pub puts_back: bool,
    /// What was done.
    pub executed: Executed,
}

/// Writes the objects of a plan.
pub async fn apply<'a>(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut ClusterCache,
    rollout: &mut RolloutCache,
    claimed: Claimed<'a>,
) -> Applied<'a> {
    let Claimed { accepted: Accepted { mut planned, preflight }, puts_back, notes } = claimed;
    let mut executed = Executed { notes, ..Executed::default() };
    begin(&planned.plan, cache, &mut executed);
    let Planned { plan, discovery, .. } = &mut planned;
    let mut stages = Stages { scope, session, cache, plan, discovery, preflight, executed };
    let ended = stages.run(rollout).await;
    executed = stages.executed;
    executed.applied = ended.is_none();
    executed.ended = ended;
    Applied { planned, puts_back, executed }
}

/// The fates that are known before the first write.
fn begin(plan: &Plan, cache: &ClusterCache, executed: &mut Executed) {
    for step in &plan.steps {
        let fate = match step.action {
            Action::Write => Some(Fate::NotAttempted),
            Action::Keep if step.only_if_absent => {
                let before = cache.inventory.entries.get(&step.id);
                before.map(|e| Fate::Applied(e.left_alone(step.live.clone(), &step.version, &step.hash)))
            }
            Action::Keep => None,
        };
        executed.changes.unchanged += i32::from(step.action == Action::Keep);
        executed.fates.extend(fate.map(|f| (step.id.clone(), f)));
    }
}

/// The writes in progress.
struct Stages<'w, 'a> {
    scope: &'w Scope<'w>,
    session: &'w Session,
    cache: &'w mut ClusterCache,
    plan: &'w Plan,
    discovery: &'w mut Arc<ApiDiscovery>,
    preflight: Preflight<'a>,
    executed: Executed,
}

impl Stages<'_, '_> {
    /// All stages, until one ends the run.
    async fn run(&mut self, rollout: &mut RolloutCache) -> Option<ReconcileError> {
        let schemas = Schemas::before(self.session, self.plan, &self.preflight).await;
        for stage in Stage::ALL {
            if self.scope.is_interrupted() {
                return Some(ReconcileError::SUPERSEDED);
            }
            let passed = match stage {
                Stage::Foundations => self.await_definitions(rollout, &schemas).await,
                Stage::Bindings | Stage::Configuration => self.retry_deferred(stage).await,
                _ => Ok(()),
            };
            if let Err(ended) = passed {
                return Some(ended);
            }
            let started = Instant::now();
            let applied = match self.executed.failures.is_empty() {
                true => self.apply_stage(stage).await,
                false => Ok(()),
            };
            self.scope.timer.add(Phase::Apply, started.elapsed());
            self.report(stage);
            if let Err(ended) = applied {
                return Some(ended);
            }
            let failures = &self.executed.failures;
            if !failures.is_empty() {
                self.executed.changes.failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
                return Some(stage_failed(failures.clone()));
            }
        }
        None
    }

    /// Reports the changes of a stage, in the order of the plan.
    fn report(&self, stage: Stage) {
        for step in self.plan.steps.iter().filter(|s| s.stage == stage) {
            let change = match step.action {
                Action::Keep => Some(ObjectChange::Unchanged),
                Action::Write => self.executed.done.get(&step.id).copied(),
            };
            if let Some(change) = change {
                self.scope.progress.report(ProgressEvent::Object(&step.id, change));
            }
        }
    }

    /// Between the definitions and the rest: waits for the definitions, and
    /// dry-runs what needed them.
    async fn await_definitions(
        &mut self,
        rollout: &mut RolloutCache,
        schemas: &Schemas,
    ) -> Result<(), ReconcileError> {
        let Self { scope, session, plan, .. } = *self;
        let definitions: Vec<&Step> =
            plan.writes().filter(|s| s.id.is("apiextensions.k8s.io", "CustomResourceDefinition")).collect();
        if !definitions.is_empty() {
            scope.slot.release();
            let waits = scope.env.metrics.waits_for_health();
            let started = Instant::now();
            let answers = &self.executed.answers;
            let ready = async {
                definitions::established(scope, session, rollout, self.discovery, &definitions, answers)
                    .await?;
                let served = definitions::served(scope, session, self.discovery, plan).await?;
                schemas.in_force(scope, session, answers).await;
                Ok::<_, ReconcileError>(served)
            };
            let ready = ready.await;
            scope.timer.add(Phase::Health, started.elapsed());
            drop(waits);
            scope.slot.take().await;
            *self.discovery = ready?;
        }
        let started = Instant::now();
        let passed = self.preflight.next_pass(plan, self.discovery, Stage::Definitions).await;
        scope.timer.add(Phase::Preflight, started.elapsed());
        passed.map_err(|failures| {
            self.executed.changes.failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
            let what = match self.preflight.advanced.is_empty() {
                true => "applied only Namespaces and CustomResourceDefinitions, dry run failed for",
                false => {
                    "applied only Namespaces, CustomResourceDefinitions and admission policies, dry run failed for"
                }
            };
            aggregate(Reason::PreflightFailed, what, failures)
        })
    }

    /// Before and after the bindings: dry-runs what waited for a role, an account or a binding.
    async fn retry_deferred(&mut self, before: Stage) -> Result<(), ReconcileError> {
        let after = if before == Stage::Bindings { Stage::Foundations } else { Stage::Bindings };
        let started = Instant::now();
        let passed = self.preflight.next_pass(self.plan, self.discovery, after).await;
        self.scope.timer.add(Phase::Preflight, started.elapsed());
        passed.map_err(|failures| {
            let denied = failures.iter().all(|f| f.reason == Reason::AccessDenied);
            let reason = if denied { Reason::AccessDenied } else { Reason::PreflightFailed };
            let what = "applied only Roles, accounts and classes, dry run failed for";
            aggregate(reason, what, failures)
        })
    }

    async fn apply_stage(&mut self, stage: Stage) -> Result<(), ReconcileError> {
        let Self { scope, session, plan, .. } = *self;
        let Self { preflight, executed, cache, .. } = self;
        let is_early = |s: &Step| stage == Stage::Definitions && preflight.advanced.contains(&s.id);
        let steps = plan.writes().filter(|s| s.stage == stage || is_early(s));
        let ready: Vec<(&Step, &Ready)> =
            steps.filter_map(|s| Some((s, preflight.ready.get(&s.id)?))).collect();
        let is_untouched =
            |executed: &Executed, s: &Step| executed.fates.get(&s.id) == Some(&Fate::NotAttempted);
        let doomed = ready.iter().copied().filter(|(s, r)| r.recreate && is_untouched(executed, s)).collect();
        let (failed, is_ended) = recreate::delete_for_recreate(scope, session, doomed).await;
        for (step, error) in failed {
            executed.fates.insert(step.id.clone(), Fate::Failed);
            executed.failures.push(apply_failed(step, &error));
        }
        if is_ended {
            return Err(ReconcileError::SUPERSEDED);
        }
        let left = ready.into_iter().filter(|(s, _)| is_untouched(executed, s));
        let me = &scope.release.id;
        let mut applying =
            unordered(left.map(|(step, ready)| async move {
                (step, ready, apply_object(session, me, step, ready).await)
            }));
        while let Some((step, ready, done)) = applying.next().await {
            match done {
                Done::Applied(applied, recreated) => {
                    note(scope, cache, step, ready, applied, recreated, executed);
                }
                Done::LeftAlone(whose) => {
                    executed.changes.unchanged += 1;
                    note_left(cache, step, ready, whose, ObjectChange::Unchanged, executed);
                }
                Done::TakenOver(uid) => {
                    executed.changes.configured += 1;
                    note_left(cache, step, ready, Whose::Ours(uid), ObjectChange::Configured, executed);
                }
                Done::Taken => {
                    executed.fates.insert(step.id.clone(), Fate::Failed);
                    let message = "another release created it at the same time".to_owned();
                    let (id, reason) = (step.id.clone(), Reason::OwnershipConflict);
                    executed.failures.push(ObjectFailure { id, reason, message });
                }
                Done::Failed(error) => {
                    executed.fates.insert(step.id.clone(), Fate::Failed);
                    executed.failures.push(apply_failed(step, &error));
                }
            }
        }
        Ok(())
    }
}

fn stage_failed(failures: Vec<ObjectFailure>) -> ReconcileError {
    let away = failures.iter().any(|f| f.reason == Reason::ApiServerUnavailable);
    let reason = if away { Reason::ApiServerUnavailable } else { Reason::ApplyFailed };
    aggregate(reason, "apply stopped, failed for", failures)
}

fn apply_failed(step: &Step, error: &ApiError) -> ObjectFailure {
    let reason = match error.reason() {
        Reason::PreflightFailed => Reason::ApplyFailed,
        other => other,
    };
    let message = match error.status() {
        Some(status) => masked(&step.id, &status.message),
        None => chain(error),
    };
    ObjectFailure { id: step.id.clone(), reason, message }
}

/// Records an object whose content was left as it is.
fn note_left(
    cache: &ClusterCache,
    step: &Step,
    ready: &Ready,
    whose: Whose,
    change: ObjectChange,
    executed: &mut Executed,
) {
    executed.done.insert(step.id.clone(), change);
    let before = cache.inventory.entries.get(&step.id);
    let live = ready.live.as_ref().map(|(uid, _)| uid.as_str());
    let fate = whose.fate(before, live, &step.version, &step.hash);
    executed.fates.insert(step.id.clone(), fate);
}

/// Counts an applied object and records its state.
fn note(
    scope: &Scope<'_>,
    cache: &mut ClusterCache,
    step: &Step,
    ready: &Ready,
    applied: AppliedObject,
    recreated: bool,
    executed: &mut Executed,
) {
    let same = ready.live.as_ref().is_some_and(|(_, version)| *version == applied.record.version);
    let change = match () {
        () if recreated => ObjectChange::Recreated,
        () if !applied.created && !same => ObjectChange::Configured,
        () if applied.created => ObjectChange::Created,
        () => ObjectChange::Unchanged,
    };
    executed.changes.created += i32::from(change == ObjectChange::Created);
    executed.changes.configured +=
        i32::from(matches!(change, ObjectChange::Configured | ObjectChange::Recreated));
    executed.changes.unchanged += i32::from(change == ObjectChange::Unchanged);
    executed.done.insert(step.id.clone(), change);
    if step.drifted && !same {
        executed.corrected.push(step.id.clone());
    }
    cache.versions.insert(step.id.clone(), applied.record.version);
    let entry = Entry {
        version: step.version.clone(),
        uid: Some(applied.record.uid),
        hash: Some(step.hash.clone()),
        fields: Some(applied.record.fields).filter(|_| !step.only_if_absent),
        retained: false,
        done: applied.record.run == JobRun::Completed,
    };
    executed.fates.insert(step.id.clone(), Fate::Applied(entry));
    let kind = step.id.group_kind();
    let is_judged = scope.release.wait || step.stage == Stage::Definitions;
    if is_judged && RuleSet::of(scope.release).has_rule(&kind) {
        executed.answers.insert(step.id.clone(), applied.body);
    }
}
