//! The wait for health: judged first from what the applies answered, then from
//! one GET for each object that is seen to change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::acquire::{self, failure};
use super::execute::Executed;
use super::parallel::unordered;
use super::preflight::brought_kinds;
use super::progress::Event;
use super::run::{Ended, Revision, Run};
use crate::api::reason::Reason;
use crate::cluster::State;
use crate::cluster::discovery::{Known, Resource};
use crate::cluster::session::Session;
use crate::domain::health::{HealthState, assess, has_rule};
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::outcome::{Assessment, ObjectFailure, Outcome, Verdict};
use crate::domain::plan::{Plan, Step};
use crate::observe::labels::Phase;

/// How often objects without a watch are asked for, at first and at most.
const FIRST_POLL: Duration = Duration::from_millis(500);
const LONGEST_POLL: Duration = Duration::from_secs(10);
/// How often all that is waited for is asked for, in case an event was lost or
/// a rule depends on time.
const RECHECK: Duration = Duration::from_secs(30);
/// How many objects a message names.
const NAMED: usize = 3;

struct Pending {
    resource: Arc<Resource>,
    message: String,
    /// When time alone may change the judgement.
    changes_at: Option<Timestamp>,
}

type Waiting = BTreeMap<ObjectId, Pending>;

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
    let mut waiting = Waiting::new();
    let mut failures = Vec::new();
    let mut unknown = Vec::new();
    for step in plan.steps.iter().filter(|s| has_rule(&s.id.group_kind())) {
        let Some(resource) = known.served(&step.id.group_kind(), &step.version) else { continue };
        let answer = executed.answers.remove(&step.id);
        match answer.and_then(|a| serde_json::from_slice::<Value>(&a).ok()) {
            Some(object) => judge(&step.id, &resource, Some(&object), &mut waiting, &mut failures),
            None => unknown.push((step.id.clone(), resource)),
        }
    }
    look(session, unknown, &mut waiting, &mut failures).await;
    if !waiting.is_empty() && failures.is_empty() {
        run.turn.give_back();
        let waits = run.context.metrics.waits_for_health();
        run.accept(&format!("waiting for the health of revision {}", revision.name)).await;
        let over = follow(run, session, &mut waiting, &mut failures, revision).await;
        drop(waits);
        run.spent.add(Phase::Health, started.elapsed());
        run.turn.take().await;
        if let Some(over) = over {
            end(run, executed, over, &waiting);
            return;
        }
    } else {
        run.spent.add(Phase::Health, started.elapsed());
    }
    if failures.is_empty() {
        let message = "every object is healthy".to_owned();
        executed.health = Some(Assessment { status: Some(true), reason: Reason::Healthy, message });
        run.progress.tell(Event::Healthy);
        return;
    }
    let mut message = String::from("unhealthy");
    for failure in failures.iter().take(NAMED) {
        message.push_str(&format!("; {}: {}", failure.id, failure.message));
    }
    executed.health =
        Some(Assessment { status: Some(false), reason: Reason::HealthCheckFailed, message: message.clone() });
    let mut failed = failure(Reason::HealthCheckFailed, message);
    failed.headline = Some("unhealthy".to_owned());
    executed.ended = Some(failed.into());
    executed.failures = failures;
}

/// What ended a wait before its end.
enum Over {
    Superseded,
    Timeout(Duration),
}

fn end(run: &Run<'_>, executed: &mut Executed, over: Over, waiting: &Waiting) {
    let headline = match over {
        Over::Superseded => {
            let outcome = Outcome { verdict: Verdict::Superseded, ..Outcome::default() };
            executed.ended = Some(Ended::Failed(Box::new(outcome)));
            return;
        }
        Over::Timeout(timeout) => {
            let word = run.release.origin.word("spec.timeout", "--timeout");
            format!("not healthy within {word} ({}s)", timeout.as_secs())
        }
    };
    let mut message = headline.clone();
    for (id, pending) in waiting.iter().take(NAMED) {
        message.push_str(&format!("; {id}: {}", pending.message));
    }
    if waiting.len() > NAMED {
        message.push_str(&format!("; and {} more", waiting.len() - NAMED));
    }
    executed.health =
        Some(Assessment { status: Some(false), reason: Reason::HealthTimeout, message: message.clone() });
    let mut failed = failure(Reason::HealthTimeout, message);
    failed.headline = Some(headline);
    executed.ended = Some(failed.into());
    executed.failures = waiting
        .iter()
        .map(|(id, p)| ObjectFailure {
            id: id.clone(),
            reason: Reason::HealthTimeout,
            message: p.message.clone(),
        })
        .collect();
}

async fn follow(
    run: &mut Run<'_>,
    session: &Session,
    waiting: &mut Waiting,
    failures: &mut Vec<ObjectFailure>,
    revision: &Revision,
) -> Option<Over> {
    let give_up = Instant::now() + run.release.timeout;
    let mut poll = FIRST_POLL;
    let mut next_poll = Instant::now() + poll;
    let mut next_recheck = Instant::now() + RECHECK;
    let mut next_resolve = Instant::now() + run.release.interval;
    while !waiting.is_empty() && failures.is_empty() {
        show(run, waiting);
        let clock = waiting.values().filter_map(|p| p.changes_at).min().map(instant_of);
        let wake = give_up.min(next_poll).min(next_recheck).min(next_resolve);
        let wake = clock.map_or(wake, |at| wake.min(at));
        tokio::select! {
            () = run.signals.changed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
        if run.signals.is_superseded() {
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
        let touched = run.signals.take_touched_of(|id| waiting.contains_key(id));
        let recheck = now >= next_recheck;
        let blind = now >= next_poll;
        let due = waiting.iter().filter(|(id, _)| {
            recheck
                || touched.contains(*id)
                || waiting[*id].changes_at.is_some_and(|at| at <= Timestamp::now())
                || (blind && !is_watched(run, id))
        });
        let due: Vec<_> = due.map(|(id, p)| (id.clone(), Arc::clone(&p.resource))).collect();
        if blind {
            poll = (poll * 2).min(LONGEST_POLL);
            next_poll = now + poll;
        }
        if recheck {
            next_recheck = now + RECHECK;
        }
        look(session, due, waiting, failures).await;
    }
    None
}

/// Tells who looks on what is waited for.
fn show(run: &Run<'_>, waiting: &Waiting) {
    if run.progress.is_watching() {
        let pending: Vec<(&ObjectId, &str)> =
            waiting.iter().map(|(id, p)| (id, p.message.as_str())).collect();
        run.progress.tell(Event::Pending(&pending));
    }
}

/// The same time on the clock that sleeps.
fn instant_of(time: Timestamp) -> Instant {
    let wait = Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default();
    Instant::now() + wait
}

fn is_watched(run: &Run<'_>, id: &ObjectId) -> bool {
    run.memory.watches.iter().any(|w| w.covers(id) && w.state() == State::Synced)
}

/// Whether the reference stands for another digest by now.
async fn is_newer(run: &mut Run<'_>, session: &Session, revision: &Revision) -> bool {
    let (Ok(repository), Ok(wanted)) = (acquire::repository(run.release), acquire::wanted(run.release))
    else {
        return false;
    };
    let Ok(access) = acquire::access(run.context, session, run.release, run.memory).await else {
        return false;
    };
    let resolving = run.context.registry.resolve(&repository, &wanted, &access);
    match tokio::time::timeout(Duration::from_secs(10), resolving).await {
        Ok(Ok(resolved)) => resolved.digest != revision.digest,
        // The registry is away: wait on for what is there.
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Gets objects and judges them.
async fn look(
    session: &Session,
    due: Vec<(ObjectId, Arc<Resource>)>,
    waiting: &mut Waiting,
    failures: &mut Vec<ObjectFailure>,
) {
    let mut answers = unordered(due.into_iter().map(|(id, resource)| async move {
        let answer = session.get(&resource, &id).await;
        (id, resource, answer)
    }));
    while let Some((id, resource, answer)) = answers.next().await {
        match answer {
            Ok(answer) => judge(&id, &resource, answer.json().ok().as_ref(), waiting, failures),
            Err(error) if error.is_not_found() => judge(&id, &resource, None, waiting, failures),
            Err(error) => {
                let message = format!("its health cannot be read: {}", acquire::chain(&error));
                waiting.insert(id, Pending { resource, message, changes_at: None });
            }
        }
    }
}

fn judge(
    id: &ObjectId,
    resource: &Arc<Resource>,
    object: Option<&Value>,
    waiting: &mut Waiting,
    failures: &mut Vec<ObjectFailure>,
) {
    let Some(object) = object else {
        let message = "it does not exist".to_owned();
        waiting.insert(id.clone(), Pending { resource: Arc::clone(resource), message, changes_at: None });
        return;
    };
    let health = assess(object, Timestamp::now());
    match health.state {
        HealthState::Current => {
            waiting.remove(id);
        }
        HealthState::InProgress | HealthState::Terminating => {
            let resource = Arc::clone(resource);
            let pending = Pending { resource, message: health.message, changes_at: health.changes_at };
            waiting.insert(id.clone(), pending);
        }
        HealthState::Failed => {
            waiting.remove(id);
            let reason = Reason::HealthCheckFailed;
            failures.push(ObjectFailure { id: id.clone(), reason, message: health.message });
        }
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
    let mut waiting = Waiting::new();
    let mut failures = Vec::new();
    for step in definitions {
        let Some(resource) = known.resource(&step.id.group_kind(), &step.version) else { continue };
        let object = answers.get(&step.id).and_then(|a| serde_json::from_slice::<Value>(a).ok());
        judge(&step.id, &resource, object.as_ref(), &mut waiting, &mut failures);
    }
    let give_up = Instant::now() + run.release.timeout;
    let mut pause = Duration::from_millis(20);
    while !waiting.is_empty() && failures.is_empty() {
        if run.signals.is_superseded() {
            let outcome = Outcome { verdict: Verdict::Superseded, ..Outcome::default() };
            return Err(Ended::Failed(Box::new(outcome)));
        }
        if Instant::now() > give_up {
            let mut message = String::from("CustomResourceDefinitions are not established in time");
            for (id, pending) in waiting.iter().take(NAMED) {
                message.push_str(&format!("; {id}: {}", pending.message));
            }
            return Err(failure(Reason::HealthTimeout, message).into());
        }
        if pause > Duration::from_secs(1) {
            run.accept("waiting for CustomResourceDefinitions to be established").await;
        }
        tokio::select! {
            () = run.signals.changed() => {}
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
        }
        let due = waiting.iter().map(|(id, p)| (id.clone(), Arc::clone(&p.resource))).collect();
        look(session, due, &mut waiting, &mut failures).await;
    }
    match failures.first() {
        None => Ok(()),
        Some(failed) => {
            Err(failure(Reason::HealthCheckFailed, format!("{}: {}", failed.id, failed.message)).into())
        }
    }
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
