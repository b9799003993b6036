//! The wait for health: judged first from what the applies answered, then from
//! one GET for each object that is seen to change. All have to be healthy together:
//! one that was, and is not any more, is waited for again.

pub mod cause;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::cluster::discovery::Known;
use crate::cluster::session::Session;
use crate::domain::health::{Board, failures_of, has_rule, listed};
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::inventory::{Entry, Fate};
use crate::domain::outcome::{Assessment, ObjectFailure, Outcome, Verdict};
use crate::domain::plan::{Plan, Step};
use crate::domain::release::Origin;
use crate::observe::labels::Phase;
use crate::reconcile::driver::{Ended, Revision, Run};
use crate::reconcile::live::checkup::{Checkup, is_watched};
use crate::reconcile::phase::apply::Executed;
use crate::reconcile::phase::apply::schemas::brought_kinds;
use crate::reconcile::phase::wait::cause::explain;
use crate::reconcile::scope::progress::Event;
use crate::reconcile::source::access::{self, failure};

/// How often objects without a watch are asked for, at first and at most.
const FIRST_POLL: Duration = Duration::from_millis(500);
const LONGEST_POLL: Duration = Duration::from_secs(10);
/// How often all that is waited for is asked for, in case an event was lost or
/// a rule depends on time.
const RECHECK: Duration = Duration::from_secs(30);

/// Waits until every object of the plan that can be unhealthy is healthy, one
/// has failed, the time is over, or something newer is wanted.
pub async fn wait(
    run: &mut Run<'_>,
    session: &Session,
    known: &Known,
    plan: &Plan,
    executed: &mut Executed,
    revision: &Revision,
) {
    run.progress.tell(Event::AwaitsHealth);
    let started = Instant::now();
    let mut checkup = Checkup::new(&revision.key);
    for step in plan.steps.iter().filter(|s| !s.done && has_rule(&s.id.group_kind())) {
        let Some(resource) = known.served(&step.id.group_kind(), &step.version) else { continue };
        checkup.add(&step.id, resource);
        let answer = executed.answers.remove(&step.id);
        if let Some(object) = answer.and_then(|a| serde_json::from_slice::<Value>(&a).ok()) {
            checkup.judge(&step.id, Some(&object));
        }
    }
    let unknown = checkup.board.unjudged();
    checkup.look(session, unknown).await;
    let mut over = None;
    if !is_decided(run, session, executed, &mut checkup).await {
        run.turn.give_back();
        let waits = run.context.metrics.waits_for_health();
        let message = format!("waiting for the health of revision {}", revision.name);
        run.accept(Some(&revision.name), &message).await;
        over = follow(run, session, plan, executed, &mut checkup, revision).await;
        drop(waits);
        run.turn.take().await;
    }
    run.spent.add(Phase::Health, started.elapsed());
    match over {
        None if checkup.board.failed().next().is_none() => {
            let message = "every object is healthy".to_owned();
            executed.health = Some(Assessment { status: Some(true), reason: Reason::Healthy, message });
            run.progress.tell(Event::Healthy);
        }
        None => {
            let reason = Reason::HealthCheckFailed;
            let mut failures = failures_of(reason, checkup.board.failed());
            explain(run, session, known, &mut failures).await;
            unhealthy(executed, reason, "unhealthy".to_owned(), failures);
        }
        Some(Over::Superseded) => {
            let outcome = Outcome { verdict: Verdict::Superseded, ..Outcome::default() };
            executed.ended = Some(Ended::Failed(Box::new(outcome)));
        }
        Some(Over::Timeout(timeout)) => {
            let word = run.release.origin.word("spec.timeout", "--timeout");
            let headline = format!("not healthy within {word} ({}s)", timeout.as_secs());
            let reason = Reason::HealthTimeout;
            let mut failures = failures_of(reason, checkup.board.waiting());
            explain(run, session, known, &mut failures).await;
            unhealthy(executed, reason, headline, failures);
        }
    }
    run.memory.checkup = Some(checkup);
}

/// What ended a wait before its end.
enum Over {
    /// Something else is more urgent: a newer spec or revision, or drift. The next
    /// run goes on from here.
    Superseded,
    Timeout(Duration),
}

/// Ends a run because of its unhealthy objects.
fn unhealthy(executed: &mut Executed, reason: Reason, headline: String, failures: Vec<ObjectFailure>) {
    let message = listed(&headline, failures.iter().map(|f| (&f.id, f.message.as_str())));
    executed.failures = failures;
    executed.health = Some(Assessment { status: Some(false), reason, message: message.clone() });
    let mut failed = failure(reason, message);
    failed.headline = Some(headline);
    executed.ended = Some(failed.into());
}

/// Whether the wait is over. Before all count as healthy, those are judged again
/// that have changed since they were.
async fn is_decided(run: &Run<'_>, session: &Session, executed: &Executed, checkup: &mut Checkup) -> bool {
    // A Job may be gone as soon as it has completed.
    checkup.retain(|id| !run.memory.has_run(id, &executed.fates));
    if checkup.board.is_healthy() {
        let outdated = checkup.outdated(&run.memory.watches);
        checkup.look(session, outdated).await;
    }
    checkup.board.is_healthy() || checkup.board.failed().next().is_some()
}

async fn follow(
    run: &mut Run<'_>,
    session: &Session,
    plan: &Plan,
    executed: &Executed,
    checkup: &mut Checkup,
    revision: &Revision,
) -> Option<Over> {
    let give_up = run.memory.rollout.waits_since(Instant::now()) + run.release.timeout;
    let applied = applied_entries(run, plan, executed);
    let mut poll = FIRST_POLL;
    let mut next_poll = Instant::now() + poll;
    let mut next_recheck = Instant::now() + RECHECK;
    let mut next_resolve = Instant::now() + run.release.interval;
    while !is_decided(run, session, executed, checkup).await {
        show(run, &checkup.board);
        let clock = checkup.board.changes_at().map(instant_of);
        let wake = give_up.min(next_poll).min(next_recheck).min(next_resolve);
        let wake = clock.map_or(wake, |at| wake.min(at));
        tokio::select! {
            () = run.signals.changed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
        if run.signals.is_superseded() || is_disturbed(run, &applied) {
            return Some(Over::Superseded);
        }
        let now = Instant::now();
        if now >= give_up {
            return Some(Over::Timeout(run.release.timeout));
        }
        if now >= next_resolve {
            if is_newer(run, session, revision).await {
                run.signals.supersede();
                return Some(Over::Superseded);
            }
            next_resolve = Instant::now() + run.release.interval;
        }
        // Those that have changed, by their watches or by time; an event of our own apply
        // is none.
        let mut due = checkup.changed(&run.memory.watches);
        let (recheck, blind) = (now >= next_recheck, now >= next_poll);
        let asked = |id: &ObjectId| recheck || (blind && !is_watched(run.memory, id));
        due.extend(checkup.board.waiting().map(|(id, _)| id).filter(|id| asked(id)).cloned());
        due.sort();
        due.dedup();
        if recheck {
            next_recheck = now + RECHECK;
        }
        if blind {
            poll = (poll * 2).min(LONGEST_POLL);
            next_poll = now + poll;
        }
        checkup.look(session, due).await;
    }
    None
}

/// The objects of the plan as the applies left them.
fn applied_entries(run: &Run<'_>, plan: &Plan, executed: &Executed) -> HashMap<ObjectId, Entry> {
    let entry = |step: &Step| match executed.fates.get(&step.id) {
        Some(Fate::Applied(entry)) => Some(entry.clone()),
        Some(_) => None,
        None => run.memory.inventory.entries.get(&step.id).cloned(),
    };
    plan.steps.iter().filter_map(|step| Some((step.id.clone(), entry(step)?))).collect()
}

/// Whether one of the objects that were seen to change is not as it was applied. It
/// is put back by another run, which goes on with the wait.
fn is_disturbed(run: &mut Run<'_>, applied: &HashMap<ObjectId, Entry>) -> bool {
    let touched = run.signals.take_touched_of(|id| applied.contains_key(id));
    if run.release.origin == Origin::CommandLine || run.release.drift != DriftMode::Correct {
        return false;
    }
    let now = Timestamp::now();
    let disturbed = run
        .memory
        .uncontested(touched.iter(), now)
        .find(|id| applied.get(*id).is_some_and(|entry| run.memory.differs(id, entry)));
    let Some(disturbed) = disturbed else { return false };
    // For who decides what follows.
    run.signals.touch(disturbed.clone());
    true
}

/// Tells who looks on what is waited for.
fn show(run: &Run<'_>, board: &Board) {
    if run.progress.is_watching() {
        let pending: Vec<(&ObjectId, &str)> =
            board.waiting().map(|(id, health)| (id, health.message.as_str())).collect();
        run.progress.tell(Event::Pending(&pending));
    }
}

/// The same time on the clock that sleeps.
fn instant_of(time: Timestamp) -> Instant {
    let wait = Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + wait
}

/// Whether the reference stands for another digest by now.
async fn is_newer(run: &mut Run<'_>, session: &Session, revision: &Revision) -> bool {
    let (Ok(repository), Ok(wanted)) = (access::repository(run.release), access::wanted(run.release)) else {
        return false;
    };
    let Ok(access) = access::access(run.context, session, run.release, run.memory).await else {
        return false;
    };
    let resolving = run.context.registry.resolve(&repository, &wanted, &access);
    match tokio::time::timeout(Duration::from_secs(10), resolving).await {
        Ok(Ok(resolved)) => run.destination(resolved).digest != revision.digest,
        // The registry is away: wait on for what is there.
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Waits until definitions are established; by asking, since they are few.
///
/// # Errors
/// When they are not in time, or something newer is wanted.
pub async fn established(
    run: &mut Run<'_>,
    session: &Session,
    known: &Known,
    definitions: &[&Step],
    answers: &BTreeMap<ObjectId, Bytes>,
) -> Result<(), Ended> {
    let mut checkup = Checkup::new(run.memory.rollout.key());
    for step in definitions {
        let Some(resource) = known.resource(&step.id.group_kind(), &step.version) else { continue };
        let object = answers.get(&step.id).and_then(|a| serde_json::from_slice::<Value>(a).ok());
        checkup.add(&step.id, resource);
        checkup.judge(&step.id, object.as_ref());
    }
    let give_up = Instant::now() + run.release.timeout;
    let mut pause = Duration::from_millis(20);
    while !checkup.board.is_healthy() && checkup.board.failed().next().is_none() {
        if run.signals.is_superseded() {
            let outcome = Outcome { verdict: Verdict::Superseded, ..Outcome::default() };
            return Err(Ended::Failed(Box::new(outcome)));
        }
        if Instant::now() > give_up {
            let waiting = checkup.board.waiting().map(|(id, health)| (id, health.message.as_str()));
            let message = listed("CustomResourceDefinitions are not established in time", waiting);
            run.memory.checkup = Some(checkup);
            return Err(failure(Reason::HealthTimeout, message).into());
        }
        if pause > Duration::from_secs(1) {
            let message = "waiting for CustomResourceDefinitions to be established";
            let revision = run.memory.rollout.name().to_owned();
            run.accept(Some(&revision), message).await;
        }
        tokio::select! {
            () = run.signals.changed() => {}
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
        }
        let due = checkup.board.waiting().map(|(id, _)| id.clone()).collect();
        checkup.look(session, due).await;
    }
    let failed = checkup.board.failed().next().map(|(id, health)| format!("{id}: {}", health.message));
    let Some(message) = failed else { return Ok(()) };
    run.memory.checkup = Some(checkup);
    Err(failure(Reason::HealthCheckFailed, message).into())
}

/// Looks until the kinds that the plan's definitions bring are served, in every
/// version: they appear in discovery a moment after they are established.
///
/// # Errors
/// When they are not in time, or something newer is wanted.
pub async fn served(
    run: &Run<'_>,
    session: &Session,
    known: &Arc<Known>,
    plan: &Plan,
) -> Result<Arc<Known>, Ended> {
    let brought = brought_kinds(plan);
    let give_up = Instant::now() + run.release.timeout;
    let mut known = Arc::clone(known);
    let mut pause = Duration::from_millis(20);
    loop {
        let is_served = |(kind, version): &(GroupKind, Option<String>)| match version {
            Some(version) => known.resource(kind, version).is_some(),
            None => known.preferred(kind).is_some(),
        };
        if brought.iter().all(is_served) {
            return Ok(known);
        }
        if run.signals.is_superseded() {
            let outcome = Outcome { verdict: Verdict::Superseded, ..Outcome::default() };
            return Err(Ended::Failed(Box::new(outcome)));
        }
        if Instant::now() > give_up {
            let message = "the API server does not serve the kinds of the CustomResourceDefinitions in time";
            return Err(failure(Reason::HealthTimeout, message).into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
        known = session.rediscover(&known).await?;
    }
}
