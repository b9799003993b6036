//! The writes of a plan, stage by stage. It never returns early: every object
//! has a fate.

pub mod object;
pub mod schemas;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;

use crate::api::reason::Reason;
use crate::api::status::Changes;
use crate::cluster::apply::Applied;
use crate::cluster::delete::Deleted;
use crate::cluster::discovery::Known;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate};
use crate::domain::live::JobRun;
use crate::domain::outcome::{Assessment, Note, ObjectFailure};
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::release::Origin;
use crate::domain::stage::Stage;
use crate::observe::labels::Phase;
use crate::reconcile::driver::{Ended, Revision, Run};
use crate::reconcile::parallel::unordered;
use crate::reconcile::phase::apply::object::{Done, apply};
use crate::reconcile::phase::apply::schemas::Schemas;
use crate::reconcile::phase::preflight::{ATTEMPTS, Preflight, Ready, masked};
use crate::reconcile::phase::wait;
use crate::reconcile::phase::work::{superseded, together};
use crate::reconcile::scope::progress::{Change, Event};
use crate::reconcile::source::access::chain;

/// What was done.
#[derive(Default)]
pub struct Executed {
    /// What became of each object.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// How many were changed, and how.
    pub changes: Changes,
    /// The objects that failed.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// What became of each object that was written.
    pub done: BTreeMap<ObjectId, Change>,
    /// Objects that had drifted and were put back.
    pub corrected: Vec<ObjectId>,
    /// Health, where it was waited for.
    pub health: Option<Assessment>,
    /// What ended the run before its end.
    pub ended: Option<Ended>,
    /// Whether the cluster holds the whole revision.
    pub applied: bool,
    /// Whether it holds the whole revision and nothing that left it.
    pub complete: bool,
    /// Whether the inventory was the complete result of the revision before the run.
    pub was_complete: bool,
    /// Whether it only puts back what the inventory is the complete result of.
    pub puts_back: bool,
    /// What of what left holds up the deletion of the rest.
    pub held_up: Option<String>,
    /// What the API server answered, for the kinds whose health is judged.
    pub answers: BTreeMap<ObjectId, Bytes>,
}

/// Writes.
pub async fn execute(
    run: &mut Run<'_>,
    session: &Session,
    mut known: Arc<Known>,
    plan: &Plan,
    mut preflight: Preflight<'_>,
    revision: &Revision,
) -> Executed {
    let mut executed = Executed::default();
    for step in &plan.steps {
        let fate = match step.action {
            Action::Write => Some(Fate::NotAttempted),
            Action::Keep if step.only_if_absent => {
                let before = run.memory.inventory.entries.get(&step.id);
                before.map(|e| Fate::Applied(e.left_alone(step.live.clone(), &step.version, &step.hash)))
            }
            Action::Keep => None,
        };
        executed.changes.unchanged += i32::from(step.action == Action::Keep);
        executed.fates.extend(fate.map(|f| (step.id.clone(), f)));
    }
    let schemas = Schemas::before(session, plan, &preflight).await;
    for stage in Stage::ALL {
        if is_ended(run) {
            executed.ended = Some(superseded());
            return executed;
        }
        let passed = match stage {
            Stage::Foundations => {
                between(run, session, &mut known, plan, &mut preflight, &schemas, &mut executed).await
            }
            Stage::Bindings | Stage::Configuration => later(run, &known, plan, &mut preflight, stage).await,
            _ => Ok(()),
        };
        if let Err(ended) = passed {
            executed.ended = Some(ended);
            return executed;
        }
        let started = Instant::now();
        if executed.failures.is_empty() {
            apply_stage(run, session, plan, &preflight, stage, &mut executed).await;
        }
        run.spent.add(Phase::Apply, started.elapsed());
        tell(run, plan, stage, &executed);
        if executed.ended.is_some() {
            return executed;
        }
        if !executed.failures.is_empty() {
            executed.changes.failed = i32::try_from(executed.failures.len()).unwrap_or(i32::MAX);
            executed.ended = Some(stage_failed(&executed));
            return executed;
        }
    }
    executed.applied = true;
    if run.release.wait {
        wait::wait(run, session, &known, plan, &mut executed, revision).await;
    }
    executed
}

/// Tells what became of the objects of a stage, in the order of the plan.
fn tell(run: &Run<'_>, plan: &Plan, stage: Stage, executed: &Executed) {
    for step in plan.steps.iter().filter(|s| s.stage == stage) {
        let change = match step.action {
            Action::Keep => Some(Change::Unchanged),
            Action::Write => executed.done.get(&step.id).copied(),
        };
        if let Some(change) = change {
            run.progress.tell(Event::Object(&step.id, change));
        }
    }
}

fn stage_failed(executed: &Executed) -> Ended {
    let failures = executed.failures.clone();
    let away = failures.iter().any(|f| f.reason == Reason::ApiServerUnavailable);
    let reason = if away { Reason::ApiServerUnavailable } else { Reason::ApplyFailed };
    together(reason, "the apply stopped after it failed for", failures)
}

/// Between the definitions and the rest: waits for the definitions, and
/// dry-runs what needed them.
async fn between(
    run: &mut Run<'_>,
    session: &Session,
    known: &mut Arc<Known>,
    plan: &Plan,
    preflight: &mut Preflight<'_>,
    schemas: &Schemas,
    executed: &mut Executed,
) -> Result<(), Ended> {
    let definitions: Vec<&Step> =
        plan.writes().filter(|s| s.id.is("apiextensions.k8s.io", "CustomResourceDefinition")).collect();
    if !definitions.is_empty() {
        run.turn.give_back();
        let waits = run.context.metrics.waits_for_health();
        let started = Instant::now();
        let ready = async {
            wait::established(run, session, known, &definitions, &executed.answers).await?;
            let served = wait::served(run, session, known, plan).await?;
            schemas.in_force(session, &executed.answers).await;
            Ok::<_, Ended>(served)
        };
        let ready = ready.await;
        run.spent.add(Phase::Health, started.elapsed());
        drop(waits);
        run.turn.take().await;
        *known = ready?;
    }
    let started = Instant::now();
    let passed = preflight.next_pass(plan, known, Stage::Definitions, run.turn).await;
    run.spent.add(Phase::Preflight, started.elapsed());
    passed.map_err(|failures| {
        executed.changes.failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
        let what = match preflight.advanced.is_empty() {
            true => "nothing but its Namespaces and CustomResourceDefinitions was written, the dry run refused",
            false => {
                "nothing but its Namespaces, CustomResourceDefinitions and admission policies was written, the dry \
                 run refused"
            }
        };
        together(Reason::PreflightFailed, what, failures)
    })
}

/// Before the bindings, and after them: what waited for a role, an account or a
/// binding is dry-run.
async fn later(
    run: &mut Run<'_>,
    known: &Known,
    plan: &Plan,
    preflight: &mut Preflight<'_>,
    before: Stage,
) -> Result<(), Ended> {
    let after = if before == Stage::Bindings { Stage::Foundations } else { Stage::Bindings };
    let started = Instant::now();
    let passed = preflight.next_pass(plan, known, after, run.turn).await;
    run.spent.add(Phase::Preflight, started.elapsed());
    passed.map_err(|failures| {
        let denied = failures.iter().all(|f| f.reason == Reason::AccessDenied);
        let reason = if denied { Reason::AccessDenied } else { Reason::PreflightFailed };
        let what = "only Roles, accounts and classes were written, the dry run refused";
        together(reason, what, failures)
    })
}

async fn apply_stage(
    run: &mut Run<'_>,
    session: &Session,
    plan: &Plan,
    preflight: &Preflight<'_>,
    stage: Stage,
    executed: &mut Executed,
) {
    let is_early = |s: &Step| stage == Stage::Definitions && preflight.advanced.contains(&s.id);
    let steps = plan.writes().filter(|s| s.stage == stage || is_early(s));
    let ready: Vec<(&Step, &Ready)> = steps.filter_map(|s| Some((s, preflight.ready.get(&s.id)?))).collect();
    make_room(run, session, &ready, executed).await;
    if executed.ended.is_some() {
        return;
    }
    let left = ready.into_iter().filter(|(s, _)| executed.fates.get(&s.id) == Some(&Fate::NotAttempted));
    let me = run.release;
    let mut applying = unordered(
        left.map(|(step, ready)| async move { (step, ready, apply(session, &me.id, step, ready).await) }),
    );
    while let Some((step, ready, done)) = applying.next().await {
        match done {
            Done::Applied(applied, recreated) => note(run, step, ready, applied, recreated, executed),
            Done::LeftAlone(whose) => {
                executed.changes.unchanged += 1;
                executed.done.insert(step.id.clone(), Change::Unchanged);
                let before = run.memory.inventory.entries.get(&step.id);
                let live = ready.live.as_ref().map(|(uid, _)| uid.as_str());
                let fate = whose.fate(before, live, &step.version, &step.hash);
                executed.fates.insert(step.id.clone(), fate);
            }
            Done::Taken => {
                executed.fates.insert(step.id.clone(), Fate::Failed);
                let message = "another release has made it at the same time".to_owned();
                let (id, reason) = (step.id.clone(), Reason::OwnershipConflict);
                executed.failures.push(ObjectFailure { id, reason, message });
            }
            Done::Failed(error) => {
                executed.fates.insert(step.id.clone(), Fate::Failed);
                executed.failures.push(apply_failed(step, &error));
            }
        }
    }
}

/// Deletes what has to be made anew. The place among the runs that work is given
/// back for it: a finalizer may hold an object for long.
async fn make_room(run: &mut Run<'_>, session: &Session, ready: &[(&Step, &Ready)], executed: &mut Executed) {
    let untouched = |s: &Step| executed.fates.get(&s.id) == Some(&Fate::NotAttempted);
    let doomed: Vec<_> = ready.iter().filter(|(s, r)| r.recreate && untouched(s)).collect();
    if doomed.is_empty() {
        return;
    }
    run.turn.give_back();
    let person: &Run<'_> = run;
    let mut removing = unordered(
        doomed
            .into_iter()
            .map(|(step, ready)| async move { (*step, remove(person, session, step, ready).await) }),
    );
    while let Some((step, removed)) = removing.next().await {
        match removed {
            Ok(true) => {}
            Ok(false) => executed.ended = Some(superseded()),
            Err(error) => {
                executed.fates.insert(step.id.clone(), Fate::Failed);
                executed.failures.push(apply_failed(step, &error));
            }
        }
    }
    drop(removing);
    run.turn.take().await;
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

/// Counts an applied object and remembers what it is like now.
fn note(
    run: &mut Run<'_>,
    step: &Step,
    ready: &Ready,
    applied: Applied,
    recreated: bool,
    executed: &mut Executed,
) {
    let same = ready.live.as_ref().is_some_and(|(_, version)| *version == applied.record.version);
    let change = match () {
        () if recreated => Change::Recreated,
        () if !applied.created && !same => Change::Configured,
        () if applied.created => Change::Created,
        () => Change::Unchanged,
    };
    executed.changes.created += i32::from(change == Change::Created);
    executed.changes.configured += i32::from(matches!(change, Change::Configured | Change::Recreated));
    executed.changes.unchanged += i32::from(change == Change::Unchanged);
    executed.done.insert(step.id.clone(), change);
    if step.drifted && !same {
        executed.corrected.push(step.id.clone());
    }
    run.memory.versions.insert(step.id.clone(), applied.record.version);
    let entry = Entry {
        version: step.version.clone(),
        uid: Some(applied.record.uid),
        hash: Some(step.hash.clone()),
        fields: Some(applied.record.fields).filter(|_| !step.only_if_absent),
        left: false,
        done: applied.record.run == JobRun::Completed,
    };
    executed.fates.insert(step.id.clone(), Fate::Applied(entry));
    let kind = step.id.group_kind();
    let is_judged = run.release.wait || step.stage == Stage::Definitions;
    if is_judged && crate::domain::health::has_rule(&kind) {
        executed.answers.insert(step.id.clone(), applied.body);
    }
}

/// Whether a person has ended the run. The operator's is ended between runs.
fn is_ended(run: &Run<'_>) -> bool {
    run.release.origin == Origin::CommandLine && run.signals.is_stopping()
}

/// Deletes an object that has to be made anew, and waits until it is gone; `false`
/// when a person has ended that.
async fn remove(run: &Run<'_>, session: &Session, step: &Step, ready: &Ready) -> Result<bool, ApiError> {
    let Some((uid, version)) = &ready.live else { return Ok(true) };
    if is_ended(run) {
        return Ok(false);
    }
    let timeout = run.release.timeout;
    let give_up = tokio::time::Instant::now() + timeout;
    // Its controller may write its status at any time: that it is the same object
    // is what counts.
    let (mut version, mut attempt) = (*version, 1);
    while session.delete(&ready.resource, &step.id, uid, version).await? == Deleted::Changed {
        match session.get_record(&ready.resource, &step.id).await? {
            Some(record) if record.uid == *uid && attempt < ATTEMPTS => version = record.version,
            Some(_) => return Err(ApiError::Restless(attempt)),
            None => return Ok(true),
        }
        attempt += 1;
    }
    let mut pause = Duration::from_millis(20);
    loop {
        match session.get_record(&ready.resource, &step.id).await? {
            Some(record) if record.uid == *uid => {}
            Some(_) | None => return Ok(true),
        }
        if is_ended(run) {
            return Ok(false);
        }
        if tokio::time::Instant::now() > give_up {
            return Err(ApiError::Held(timeout));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}
