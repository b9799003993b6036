//! The writes of a plan, stage by stage. It never returns early: every object gets a fate.

pub mod definitions;
pub mod dependencies;
pub mod executed;
pub mod object;
pub mod recreate;
pub mod schemas;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;

use self::dependencies::{Applying, RoundGate, WaitMemory};
use self::executed::Executed;
use self::object::{Done, apply_object};
use self::schemas::Schemas;
use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::health::RuleSet;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Fate, Whose};
use crate::domain::order::{ExplicitOrder, Survey};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::stage::Stage;
use crate::observe::labels::Phase;
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::drift::DriftCache;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::{ReconcileError, aggregate, chain, masked_in, unreachable};
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::phase::claim::Claimed;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::phase::preflight::Accepted;
use crate::reconcile::phase::preflight::dry_run::{Preflight, Ready};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::progress::{ObjectChange, ProgressEvent};
use crate::reconcile::scope::revision::Update;

/// A plan that was applied as far as possible.
pub struct Applied<'a> {
    /// The plan, with the kinds that the cluster serves now.
    pub planned: Planned<'a>,
    /// Whether it only corrects drift of a revision that the inventory has completely.
    pub puts_back: bool,
    /// What was done.
    pub executed: Executed,
}

/// What is remembered for it.
pub struct ApplyMemory<'a> {
    cluster: &'a mut ClusterCache,
    rollout: &'a mut RolloutCache,
    registry: &'a mut RegistryCache,
    drift: &'a DriftCache,
}

impl<'a> From<&'a mut Caches> for ApplyMemory<'a> {
    fn from(caches: &'a mut Caches) -> Self {
        let Caches { cluster, rollout, registry, drift, .. } = caches;
        Self { cluster, rollout, registry, drift }
    }
}

/// Writes the objects of a plan.
pub async fn apply<'a>(
    scope: &Scope<'_>,
    memory: ApplyMemory<'_>,
    update: &Update<'_>,
    claimed: Claimed<'a>,
) -> Applied<'a> {
    let Claimed { accepted: Accepted { mut planned, preflight, steps }, puts_back, notes } = claimed;
    let ApplyMemory { cluster: cache, rollout, registry, drift } = memory;
    let mut executed = Executed::begin(&planned.plan, cache, notes);
    executed.fates.extend(steps);
    let Planned { plan, order, discovery, .. } = &mut planned;
    // A drift correction does not wait.
    let order = Some(std::mem::take(order)).filter(|order| !order.is_empty() && !puts_back);
    let session = update.session;
    let (round, is_ordered) = (None, order.is_some());
    let mut stages =
        Stages { scope, session, cache, plan, discovery, preflight, executed, round, is_ordered };
    let ended = match order {
        None => stages.run(rollout).await,
        Some(order) => stages.run_in_order(update, order, (rollout, registry, drift)).await,
    };
    let mut executed = stages.executed;
    executed.applied = ended.is_none();
    executed.ended = ended;
    Applied { planned, puts_back, executed }
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
    /// The objects of the current round; without an explicit order, all of them.
    round: Option<BTreeSet<ObjectId>>,
    /// Whether there is an explicit order.
    is_ordered: bool,
}

impl Stages<'_, '_> {
    /// All stages, until one ends the run.
    async fn run(&mut self, rollout: &mut RolloutCache) -> Option<ReconcileError> {
        let schemas = Schemas::before(self.session, self.plan, &self.preflight).await;
        self.run_stages(rollout, &schemas).await
    }

    /// Rounds of all stages, until one ends the run. A round has the objects whose dependencies are
    /// healthy; between two rounds, the run waits until there is at least one more.
    async fn run_in_order(
        &mut self,
        update: &Update<'_>,
        order: ExplicitOrder,
        (rollout, registry, drift): (&mut RolloutCache, &mut RegistryCache, &DriftCache),
    ) -> Option<ReconcileError> {
        let schemas = Schemas::before(self.session, self.plan, &self.preflight).await;
        let mut dependencies = RoundGate::new(self.scope, update, order);
        let (mut tried, mut attempts) = (Vec::new(), 0);
        loop {
            let is_first = self.round.is_none();
            let discovery = Arc::clone(self.discovery);
            let applying = Applying { scope: self.scope, update, plan: self.plan, discovery: &discovery };
            let mut survey = dependencies.look(applying, self.cache, &mut self.executed).await;
            if !is_first && survey.ready.is_empty() {
                if survey.waiting == 0 {
                    return None;
                }
                let memory = WaitMemory { registry, rollout, cluster: self.cache, drift };
                survey = match dependencies.wait(applying, memory, &mut self.executed, survey).await {
                    Ok(survey) => survey,
                    Err(ended) => return Some(ended),
                };
            }
            attempts = if !is_first && survey.ready == tried { attempts + 1 } else { 0 };
            if attempts == ATTEMPTS {
                // These could not be attempted: the next run tries again.
                return None;
            }
            if survey.ready.iter().any(|number| !self.plan.steps[*number].drifted) {
                // What is applied now has its own time.
                rollout.progress.wait_anew();
            }
            if !is_first {
                self.preflight.begin_round();
            }
            self.round = Some(self.round_of(&survey, is_first));
            let ended = self.run_stages(rollout, &schemas).await;
            if ended.is_some() {
                return ended;
            }
            tried = survey.ready;
        }
    }

    /// The objects of a round. The first one also reports what is not written.
    fn round_of(&self, survey: &Survey, is_first: bool) -> BTreeSet<ObjectId> {
        let ready = survey.ready.iter().map(|number| &self.plan.steps[*number].id);
        let kept = self.plan.steps.iter().filter(|s| is_first && s.action == Action::Keep).map(|s| &s.id);
        ready.chain(kept).cloned().collect()
    }

    fn is_of_round(round: Option<&BTreeSet<ObjectId>>, step: &Step) -> bool {
        round.is_none_or(|round| round.contains(&step.id))
    }

    async fn run_stages(&mut self, rollout: &mut RolloutCache, schemas: &Schemas) -> Option<ReconcileError> {
        for stage in Stage::ALL {
            if self.scope.is_interrupted() {
                return Some(ReconcileError::SUPERSEDED);
            }
            let passed = match stage {
                Stage::Foundations => self.await_definitions(rollout, schemas).await,
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
        let round = self.round.as_ref();
        for step in self.plan.steps.iter().filter(|s| s.stage == stage && Self::is_of_round(round, s)) {
            let change = match step.action {
                Action::Keep => Some(ObjectChange::Unchanged),
                Action::Write => self.executed.done.get(&step.id).copied(),
                Action::Run => None,
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
        let round = self.round.as_ref();
        let is_of_round = |s: &Step| Self::is_of_round(round, s);
        let definitions =
            plan.writes().filter(|s| s.id.is("apiextensions.k8s.io", "CustomResourceDefinition"));
        let definitions: Vec<&Step> = definitions.filter(|s| is_of_round(s)).collect();
        if !definitions.is_empty() {
            scope.slot.release();
            let waits = scope.env.metrics.waits_for_health();
            let started = Instant::now();
            let answers = &self.executed.answers;
            let ready = async {
                definitions::established(scope, session, rollout, self.discovery, &definitions, answers)
                    .await?;
                let served = definitions::served(scope, session, self.discovery, &definitions).await?;
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
        let passed = self.preflight.next_pass(plan, self.discovery, Stage::Definitions, is_of_round).await;
        scope.timer.add(Phase::Preflight, started.elapsed());
        passed.map_err(|failures| {
            self.executed.changes.failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
            let what = match self.preflight.advanced.is_empty() {
                _ if self.is_ordered => REFUSED_IN_ORDER,
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
        let round = self.round.as_ref();
        let is_of_round = |s: &Step| Self::is_of_round(round, s);
        let passed = self.preflight.next_pass(self.plan, self.discovery, after, is_of_round).await;
        self.scope.timer.add(Phase::Preflight, started.elapsed());
        passed.map_err(|failures| {
            let denied = failures.iter().all(|f| f.reason == Reason::AccessDenied);
            let reason = if denied { Reason::AccessDenied } else { Reason::PreflightFailed };
            let what = match self.is_ordered {
                true => REFUSED_IN_ORDER,
                false => "applied only Roles, accounts and classes, dry run failed for",
            };
            aggregate(reason, what, failures)
        })
    }

    async fn apply_stage(&mut self, stage: Stage) -> Result<(), ReconcileError> {
        let Self { scope, session, plan, .. } = *self;
        let Self { preflight, executed, cache, round, is_ordered, .. } = self;
        let is_early = |s: &Step| stage == Stage::Definitions && preflight.advanced.contains(&s.id);
        let round = round.as_ref();
        let steps = plan.writes().filter(|s| s.stage == stage || is_early(s));
        let steps = steps.filter(|s| Self::is_of_round(round, s));
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
                    let answer = applied.body.clone();
                    executed.note(cache, step, ready, applied, recreated);
                    let is_judged = scope.release.wait || *is_ordered || step.stage == Stage::Definitions;
                    if is_judged && RuleSet::of(scope.release).has_rule(&step.id.group_kind()) {
                        executed.answers.insert(step.id.clone(), answer);
                    }
                }
                Done::LeftAlone(whose) => {
                    executed.changes.unchanged += 1;
                    executed.note_left(cache, step, ready, whose, ObjectChange::Unchanged);
                }
                Done::TakenOver(uid) => {
                    executed.changes.configured += 1;
                    executed.note_left(cache, step, ready, Whose::Ours(uid), ObjectChange::Configured);
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

/// The most rounds in a row with the same objects.
const ATTEMPTS: usize = 3;
/// The headline when a dry run fails in one of several rounds.
const REFUSED_IN_ORDER: &str = "apply stopped, dry run failed for";

fn stage_failed(failures: Vec<ObjectFailure>) -> ReconcileError {
    let away = failures.iter().map(|f| f.reason).find(|reason| reason.is_without_answer());
    let reason = away.unwrap_or(Reason::ApplyFailed);
    if let Some(failed) = unreachable(&failures) {
        return failed;
    }
    aggregate(reason, "apply stopped, failed for", failures)
}

fn apply_failed(step: &Step, error: &ApiError) -> ObjectFailure {
    let reason = match error.reason() {
        Reason::PreflightFailed => Reason::ApplyFailed,
        other => other,
    };
    let message = match error.status() {
        Some(status) => masked_in(&step.object, &status.message),
        None => chain(error),
    };
    ObjectFailure { id: step.id.clone(), reason, message }
}
