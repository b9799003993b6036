//! The wait for health: judged first from the answers of the applies, then from one GET for each
//! changed object. All objects have to be healthy at the same time.

pub mod pace;
pub mod pods;
pub mod urgent;

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use self::pace::{WaitPace, WaitTick};
use self::pods::PodWatches;
use self::urgent::{Urgent, applied_entries};
use crate::api::reason::Reason;
use crate::api::step::StepPhase;
use crate::cluster::session::Session;
use crate::domain::health::{Board, RuleSet, failures_of};
use crate::domain::identity::ObjectId;
use crate::domain::plan::Step;
use crate::observe::labels::{Phase, VerdictSource};
use crate::reconcile::cache::Caches;
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::live::named::named;
use crate::reconcile::phase::apply::Applied;
use crate::reconcile::phase::apply::executed::Executed;
use crate::reconcile::scope::progress::ProgressEvent;
use crate::reconcile::scope::revision::{Revision, Update};
use crate::reconcile::scope::{Scope, Trigger};

/// What is remembered for it.
pub struct Memory<'a> {
    /// Access to the registry: a newer revision ends the wait.
    pub registry: &'a mut RegistryCache,
    /// The current rollout.
    pub rollout: &'a mut RolloutCache,
    /// What is known of the objects.
    pub seen: Sightings<'a>,
}

impl<'a> From<&'a mut Caches> for Memory<'a> {
    fn from(caches: &'a mut Caches) -> Self {
        let seen = Sightings { cluster: &caches.cluster, drift: &caches.drift };
        Self { registry: &mut caches.registry, rollout: &mut caches.rollout, seen }
    }
}

/// Waits until every object of the plan with a health rule is healthy, one has failed, the timeout
/// is reached, or something newer is wanted. A release without `spec.wait` waits for the objects
/// that it names, if any. A run that has already ended does not wait.
///
/// There may be thousands of waits: whatever is only a part of a look is on the heap, and gone between two looks.
pub async fn wait<'a>(
    scope: &Scope<'_>,
    memory: Memory<'_>,
    update: &Update<'_>,
    mut applied: Applied<'a>,
) -> Applied<'a> {
    let Applied { planned, executed, .. } = &mut applied;
    let Update { session, revision, .. } = *update;
    // A step that comes after the rest needs it healthy.
    let judges_all = scope.release.wait || planned.plan.runs(StepPhase::After);
    let Memory { registry, rollout, seen } = memory;
    if executed.ended.is_some() {
        return applied;
    }
    if !(judges_all || scope.release.awaits_health()) {
        if scope.trigger != Trigger::Restore {
            rollout.checkup = None;
        }
        return applied;
    }
    scope.progress.report(ProgressEvent::AwaitsHealth);
    let started = Instant::now();
    let rules = RuleSet::of(scope.release);
    let mut checkup = Checkup::new(&revision.key, rules.clone());
    checkup.board.follow_progress();
    let mut pods = PodWatches::new(scope, session, &planned.discovery);
    let (mut named, unserved) = match scope.release.wait {
        true => Default::default(),
        false => named(scope.release, &planned.discovery),
    };
    // A Job that has run may be gone, and a step after the rest does not exist yet.
    let has_run = |id: &ObjectId| planned.plan.steps.iter().any(|step| step.done && step.id == *id);
    named.retain(|(id, _)| !has_run(id));
    if !unserved.is_empty() {
        let headline = "cannot check the health of objects in spec.healthChecks".to_owned();
        executed.ended = Some(executed.unhealthy(Reason::HealthCheckFailed, headline, unserved));
        return applied;
    }
    for (id, resource) in &named {
        checkup.add(id, Arc::clone(resource));
    }
    let is_judged = |s: &&Step| judges_all && !s.done && rules.has_rule(&s.id.group_kind());
    for step in planned.plan.steps.iter().filter(is_judged) {
        let Some(resource) = planned.discovery.served(&step.id.group_kind(), &step.version) else { continue };
        checkup.add(&step.id, resource);
        let answer = executed.answers.remove(&step.id);
        if let Some(object) = answer.and_then(|a| serde_json::from_slice::<Value>(&a).ok()) {
            checkup.judge(&step.id, Some(&object));
        }
    }
    executed.answers.clear();
    let unknown = checkup.board.unjudged();
    Box::pin(checkup.look(session, unknown)).await;
    let mut over = None;
    if !is_decided(seen.cluster, session, executed, &mut checkup).await {
        scope.slot.release();
        let waits = scope.env.metrics.waits_for_health();
        Box::pin(report_waiting(scope, revision, &checkup)).await;
        let give_up = rollout.progress.waits_since(Instant::now()) + scope.release.timeout;
        let entries = applied_entries(seen.cluster, &planned.plan, &executed.fates);
        let urgent = Urgent { scope, update, seen, entries };
        let mut pace = WaitPace::new(urgent, pods, give_up);
        over = follow(executed, &mut pace, registry, &mut checkup).await;
        pods = pace.pods;
        drop(waits);
        scope.slot.take().await;
    }
    scope.timer.add(Phase::Health, started.elapsed());
    if matches!(over, Some(Over::TimedOut)) && checkup.board.needed().next().is_none() {
        // Only objects whose failure is ignored are late.
        over = None;
    }
    match over {
        None if checkup.board.failed().next().is_none() => {
            if !scope.release.wait {
                // The steps have needed the others healthy, and from now on only these count.
                checkup.retain(|id| named.iter().any(|(named, _)| named == id));
            }
            executed.health = Some(checkup.board.assessment());
            scope.progress.report(ProgressEvent::Healthy);
        }
        None => {
            let reason = Reason::HealthCheckFailed;
            let mut failures = failures_of(reason, checkup.board.failed());
            let by_pods = |id: &ObjectId| checkup.board.pods_of(id).is_some_and(|pods| pods.failed);
            let source = match failures.iter().any(|failure| by_pods(&failure.id)) {
                true => VerdictSource::Pods,
                false => VerdictSource::Object,
            };
            scope.env.metrics.wait_failed(source, started.elapsed());
            Box::pin(pods.explain(&checkup.board, &mut failures)).await;
            executed.ended = Some(executed.unhealthy(reason, "unhealthy".to_owned(), failures));
        }
        Some(Over::Superseded) => executed.ended = Some(ReconcileError::SUPERSEDED),
        // No verdict: nobody knows how healthy they are.
        Some(Over::Unanswered(reason, why)) => executed.ended = Some(failure(reason, why).into()),
        Some(Over::TimedOut) => {
            let word = scope.policy.words.timeout;
            let headline = format!("not healthy within {word} ({}s)", scope.release.timeout.as_secs());
            let reason = Reason::HealthTimeout;
            let mut failures = failures_of(reason, checkup.board.needed());
            scope.env.metrics.wait_failed(VerdictSource::Timeout, started.elapsed());
            Box::pin(pods.explain(&checkup.board, &mut failures)).await;
            executed.ended = Some(executed.unhealthy(reason, headline, failures));
        }
    }
    checkup.board.end_wait();
    // One that has failed is looked at until it is healthy: that starts the next run.
    let is_followed = scope.release.awaits_health() || executed.ended.is_some();
    rollout.checkup = is_followed.then_some(checkup);
    if !scope.release.awaits_health() {
        executed.health = None;
    }
    applied
}

/// What ended a wait early.
enum Over {
    /// Something else is more urgent: a newer spec or revision, or drift. The next run continues.
    Superseded,
    TimedOut,
    /// The API server does not answer, or not to these credentials: the reason and the message.
    Unanswered(Reason, String),
}

/// Whether the wait is over. Before all count as healthy, changed objects are judged again.
async fn is_decided(
    cluster: &ClusterCache,
    session: &Session,
    executed: &Executed,
    checkup: &mut Checkup,
) -> bool {
    // A Job may be gone as soon as it has completed.
    checkup.retain(|id| !cluster.has_run(id, &executed.fates));
    if checkup.board.is_healthy() {
        let outdated = checkup.outdated(&cluster.watches);
        Box::pin(checkup.look(session, outdated)).await;
    }
    checkup.board.is_healthy() || checkup.board.failed().next().is_some()
}

/// Waits until the objects are decided; returns what has ended the wait before that.
async fn follow(
    executed: &Executed,
    pace: &mut WaitPace<'_>,
    registry: &mut RegistryCache,
    checkup: &mut Checkup,
) -> Option<Over> {
    let Urgent { scope, update, seen, .. } = pace.urgent;
    while !is_decided(seen.cluster, update.session, executed, checkup).await {
        show(scope, &checkup.board);
        let look = match pace.pause(registry, checkup, None).await {
            WaitTick::Superseded => return Some(Over::Superseded),
            WaitTick::TimedOut => {
                let unanswered = checkup.unjudgeable().cloned();
                return Some(
                    unanswered.map_or(Over::TimedOut, |(reason, why)| Over::Unanswered(reason, why)),
                );
            }
            WaitTick::Look(look) => look,
        };
        if look.all {
            // Some have become healthy since; more often would cost a write each.
            Box::pin(report_waiting(scope, update.revision, checkup)).await;
        }
        let due = pace.due(checkup, checkup.board.waiting().map(|(id, _)| id), look);
        Box::pin(checkup.look(update.session, due)).await;
        if let Some((reason, why)) = checkup.unjudgeable().filter(|_| checkup.is_away()) {
            return Some(Over::Unanswered(*reason, why.clone()));
        }
        Box::pin(pace.pods.follow(&mut checkup.board)).await;
    }
    None
}

/// Reports the pending objects as progress.
fn show(scope: &Scope<'_>, board: &Board) {
    if scope.progress.is_watching() {
        let pending: Vec<(&ObjectId, &str)> =
            board.waiting().map(|(id, health)| (id, health.message.as_str())).collect();
        scope.progress.report(ProgressEvent::Pending(&pending));
    }
}

/// Writes which objects the wait is for.
async fn report_waiting(scope: &Scope<'_>, revision: &Revision, checkup: &Checkup) {
    scope.write_progress(Some(&revision.name), &checkup.waiting_message(&revision.name)).await;
}
