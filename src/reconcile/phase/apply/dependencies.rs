//! The waits between the rounds of an apply with an explicit order: until an object that waits for
//! others may be applied.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::executed::Executed;
use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::domain::health::{HealthState, RuleSet};
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::message::List;
use crate::domain::order::{ExplicitOrder, Stand, Survey};
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::{Action, Plan};
use crate::observe::labels::Phase;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::drift::{DriftCache, Sightings};
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::phase::wait::pace::{RECHECK, WaitPace, WaitTick};
use crate::reconcile::phase::wait::pods::PodWatches;
use crate::reconcile::phase::wait::urgent::{Urgent, applied_entries};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::progress::ProgressEvent;
use crate::reconcile::scope::revision::Update;

/// How long a wait may take before the status reports it.
const LONG: Duration = Duration::from_secs(1);
/// How many objects a message names.
const NAMED: usize = 3;

/// What a wait may use of the caches.
pub struct WaitMemory<'m> {
    /// Access to the registry: a newer revision ends the wait.
    pub registry: &'m mut RegistryCache,
    /// The current rollout.
    pub rollout: &'m mut RolloutCache,
    /// The inventory, and what is known of its objects.
    pub cluster: &'m ClusterCache,
    /// The delayed corrections.
    pub drift: &'m DriftCache,
}

/// The apply that is waited in.
#[derive(Clone, Copy)]
pub struct Applying<'w> {
    /// The run.
    pub scope: &'w Scope<'w>,
    /// The revision.
    pub update: &'w Update<'w>,
    /// The plan.
    pub plan: &'w Plan,
    /// The kinds that the cluster serves now.
    pub discovery: &'w ApiDiscovery,
}

/// The dependencies of the objects of a plan, and what is known of their health.
pub struct RoundGate {
    order: ExplicitOrder,
    rules: RuleSet,
    checkup: Checkup,
    /// Objects that were not healthy in time, and hold nothing all the same.
    let_go: BTreeSet<ObjectId>,
}

impl RoundGate {
    /// Nothing is known of them yet.
    pub fn new(scope: &Scope<'_>, update: &Update<'_>, order: ExplicitOrder) -> Self {
        let rules = RuleSet::of(scope.release);
        let mut checkup = Checkup::new(&update.revision.key, rules.clone());
        checkup.board.follow_progress();
        Self { order, rules, checkup, let_go: BTreeSet::new() }
    }

    /// What may be applied now, by the health of what is applied already. Reads each dependency
    /// of which no answer is known.
    pub async fn look(
        &mut self,
        applying: Applying<'_>,
        cluster: &ClusterCache,
        executed: &mut Executed,
    ) -> Survey {
        let survey = self.survey(applying, cluster, executed);
        let mut is_new = false;
        for number in &survey.needed {
            let step = &applying.plan.steps[*number];
            let kind = step.id.group_kind();
            if self.is_current(applying, cluster, executed, *number) || self.checkup.has(&step.id) {
                continue;
            }
            let Some(resource) = applying.discovery.served(&kind, &step.version) else { continue };
            self.checkup.add(&step.id, resource);
            is_new = true;
            if let Some(object) = executed.answers.get(&step.id).and_then(value_of) {
                self.checkup.judge(&step.id, Some(&object));
            }
        }
        if !is_new {
            return survey;
        }
        let unknown = self.checkup.board.unjudged();
        self.read(applying, executed, unknown).await;
        self.survey(applying, cluster, executed)
    }

    /// Waits until at least one more object may be applied.
    ///
    /// # Errors
    /// When what the rest waits for has failed or is not healthy in time, or something else is more
    /// urgent.
    pub async fn wait(
        &mut self,
        applying: Applying<'_>,
        memory: WaitMemory<'_>,
        executed: &mut Executed,
        survey: Survey,
    ) -> Result<Survey, ReconcileError> {
        let Applying { scope, update, plan, .. } = applying;
        let WaitMemory { registry, rollout, cluster, drift } = memory;
        let started = Instant::now();
        let give_up = rollout.progress.waits_since(started) + scope.release.timeout;
        let entries = applied_entries(cluster, plan, &executed.fates);
        let urgent = Urgent { scope, update, seen: Sightings { cluster, drift }, entries };
        scope.slot.release();
        let waits = scope.env.metrics.waits_for_health();
        let awaited: Vec<&ObjectId> = survey.awaited.iter().map(|n| &plan.steps[*n].id).collect();
        scope.progress.report(ProgressEvent::AwaitsDependencies(&awaited, survey.waiting));
        let pods = PodWatches::new(scope, update.session, applying.discovery);
        let mut pace = WaitPace::new(urgent, pods, give_up);
        let ended = self.follow(applying, &mut pace, registry, executed, survey).await;
        let pods = pace.pods;
        drop(waits);
        scope.slot.take().await;
        scope.timer.add(Phase::Health, started.elapsed());
        match ended {
            Ended::Ready(survey) => {
                // The answers of the rounds before are old by now.
                executed.answers.clear();
                return Ok(survey);
            }
            Ended::Superseded => Err(ReconcileError::SUPERSEDED),
            // No verdict: nobody knows how healthy they are.
            Ended::Unanswered(reason, why) => Err(failure(reason, why).into()),
            Ended::Failed(mut survey) => {
                survey.awaited.retain(|n| self.has_failed(&plan.steps[*n].id));
                let what = match survey.awaited.len() {
                    1 => "a dependency has failed",
                    _ => "dependencies have failed",
                };
                Err(self
                    .unhealthy(applying, executed, &survey, pods, (Reason::HealthCheckFailed, what))
                    .await)
            }
            Ended::TimedOut(survey) => {
                let (word, limit) = (scope.policy.words.timeout, scope.release.timeout.as_secs());
                let what = format!("dependencies not healthy within {word} ({limit}s)");
                Err(self.unhealthy(applying, executed, &survey, pods, (Reason::HealthTimeout, &what)).await)
            }
        }
        .inspect_err(|_| {
            self.checkup.board.end_wait();
            rollout.checkup = Some(std::mem::take(&mut self.checkup));
        })
    }

    async fn follow(
        &mut self,
        applying: Applying<'_>,
        pace: &mut WaitPace<'_>,
        registry: &mut RegistryCache,
        executed: &mut Executed,
        mut survey: Survey,
    ) -> Ended {
        let plan = applying.plan;
        let cluster = pace.urgent.seen.cluster;
        let mut next_report = Instant::now() + LONG;
        loop {
            if !survey.ready.is_empty() {
                return Ended::Ready(survey);
            }
            if survey.is_stuck {
                return Ended::Failed(survey);
            }
            self.show(applying, &survey);
            let awaited = |survey: &Survey| -> Vec<&ObjectId> {
                survey.awaited.iter().map(|n| &plan.steps[*n].id).collect()
            };
            let look = match pace.pause(registry, &self.checkup, Some(next_report)).await {
                WaitTick::Superseded => return Ended::Superseded,
                WaitTick::TimedOut => {
                    // Where a failure is ignored, being late is, too.
                    let ignored = awaited(&survey).into_iter().filter(|id| self.checkup.board.ignores(id));
                    self.let_go.extend(ignored.cloned());
                    survey = self.survey(applying, cluster, executed);
                    return match (survey.ready.is_empty(), self.checkup.unjudgeable()) {
                        (false, _) => Ended::Ready(survey),
                        (true, Some((reason, why))) => Ended::Unanswered(*reason, why.clone()),
                        (true, None) => Ended::TimedOut(survey),
                    };
                }
                WaitTick::Look(look) => look,
            };
            if Instant::now() >= next_report {
                next_report = Instant::now() + RECHECK;
                self.write_progress(applying, &survey).await;
            }
            let due = pace.due(&self.checkup, awaited(&survey).into_iter(), look);
            // Nothing is applied meanwhile: the survey changes with what is read, and rarely without,
            // when a Job has completed and is gone.
            let is_read = !due.is_empty();
            self.read(applying, executed, due).await;
            if let Some((reason, why)) = self.checkup.unjudgeable().filter(|_| self.checkup.is_away()) {
                return Ended::Unanswered(*reason, why.clone());
            }
            let is_news = pace.pods.follow(&mut self.checkup.board).await;
            if is_read || is_news || look.unwatched {
                survey = self.look(applying, cluster, executed).await;
            }
        }
    }

    /// Reads objects. Their answers to the apply are outdated then.
    async fn read(&mut self, applying: Applying<'_>, executed: &mut Executed, ids: Vec<ObjectId>) {
        for id in &ids {
            executed.answers.remove(id);
        }
        if !ids.is_empty() {
            self.checkup.look(applying.update.session, ids).await;
        }
    }

    fn survey(&self, applying: Applying<'_>, cluster: &ClusterCache, executed: &Executed) -> Survey {
        self.order.survey(|number| {
            let step = &applying.plan.steps[number];
            let is_pending = executed.fates.get(&step.id) == Some(&Fate::NotAttempted);
            if step.action == Action::Write && is_pending {
                return Stand::Pending;
            }
            if self.is_current(applying, cluster, executed, number) || self.let_go.contains(&step.id) {
                return Stand::Healthy;
            }
            match self.checkup.board.state(&step.id) {
                Some(state) if state.is_healthy() => Stand::Healthy,
                Some(HealthState::Failed) => Stand::Failed,
                _ => Stand::Applied,
            }
        })
    }

    /// Whether an applied object counts as healthy without being read: it has run to its end, or
    /// objects of its kind are healthy once they exist.
    fn is_current(
        &self,
        applying: Applying<'_>,
        cluster: &ClusterCache,
        executed: &Executed,
        number: usize,
    ) -> bool {
        let step = &applying.plan.steps[number];
        let kind = step.id.group_kind();
        step.done
            || !self.rules.has_rule(&kind)
            || cluster.has_run(&step.id, &executed.fates)
            || applying.discovery.served(&kind, &step.version).is_none()
    }

    fn has_failed(&self, id: &ObjectId) -> bool {
        self.checkup.board.state(id) == Some(HealthState::Failed)
    }

    /// Why an awaited object is not healthy.
    fn cause(&self, id: &ObjectId) -> String {
        self.checkup
            .board
            .health(id)
            .map_or_else(|| "not read yet".to_owned(), |health| health.message.clone())
    }

    /// Reports the awaited objects as progress.
    fn show(&self, applying: Applying<'_>, survey: &Survey) {
        let progress = applying.scope.progress;
        if progress.is_watching() {
            let ids = survey.awaited.iter().map(|n| &applying.plan.steps[*n].id);
            let causes: Vec<(&ObjectId, String)> = ids.map(|id| (id, self.cause(id))).collect();
            let pending: Vec<(&ObjectId, &str)> =
                causes.iter().map(|(id, why)| (*id, why.as_str())).collect();
            progress.report(ProgressEvent::Pending(&pending));
        }
    }

    /// Writes into the status what the rest waits for.
    async fn write_progress(&self, applying: Applying<'_>, survey: &Survey) {
        let Applying { scope, update, plan, .. } = applying;
        let revision = &update.revision.name;
        let awaited = List::Names.few(survey.awaited.iter().map(|n| &plan.steps[*n].id), NAMED);
        let objects = counted(survey.waiting);
        let message = format!("Waiting for {awaited} before applying {objects} (revision {revision})");
        scope.write_progress(Some(revision), &message).await;
    }

    /// Ends the run because of the awaited objects.
    async fn unhealthy(
        &self,
        applying: Applying<'_>,
        executed: &mut Executed,
        survey: &Survey,
        pods: PodWatches<'_>,
        (reason, what): (Reason, &str),
    ) -> ReconcileError {
        let Applying { plan, .. } = applying;
        let failure = |n: &usize| {
            let id = plan.steps[*n].id.clone();
            let message = self.cause(&id);
            ObjectFailure { id, reason, message }
        };
        let mut failures: Vec<ObjectFailure> = survey.awaited.iter().map(failure).collect();
        pods.explain(&self.checkup.board, &mut failures).await;
        let headline = format!("{} not applied: {what}", counted(survey.waiting));
        executed.unhealthy(reason, headline, failures)
    }
}

/// How a wait ended.
enum Ended {
    /// At least one object may be applied.
    Ready(Survey),
    /// All of the rest waits for what has failed.
    Failed(Survey),
    TimedOut(Survey),
    /// The API server does not answer: the reason and the message.
    Unanswered(Reason, String),
    /// Something else is more urgent. The next run continues.
    Superseded,
}

fn counted(objects: usize) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

fn value_of(answer: &Bytes) -> Option<Value> {
    serde_json::from_slice(answer).ok()
}
