//! The end of steps of earlier revisions: what runs is waited for, and what has not begun never
//! begins.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::object::about;
use super::pause::{GOING, RECHECK, patience};
use super::runner::StepRunner;
use crate::api::step::{StepOutcome, StepStatus};
use crate::domain::identity::ObjectId;
use crate::domain::message::List;
use crate::domain::plan::steps::{LiveStep, StepAction, StepFacts, id_of, of_older};
use crate::reconcile::error::ReconcileError;

/// Waits until the steps of earlier revisions have an outcome.
///
/// # Errors
/// When the API server or another client prevents it; also when something is more urgent.
pub async fn end_older(runner: &mut StepRunner<'_>) -> Result<(), ReconcileError> {
    loop {
        let (mut waits, mut pause) = (BTreeSet::new(), RECHECK);
        for record in runner.ledger.older() {
            if let Some(most) = end(runner, record.clone()).await? {
                pause = pause.min(most);
                waits.extend(id_of(&record));
            }
        }
        if waits.is_empty() {
            return Ok(());
        }
        let name = &runner.update.revision.name;
        let ids: Vec<&ObjectId> = waits.iter().collect();
        let message = format!(
            "Waiting for steps of an earlier revision: {} (revision {name})",
            List::Names.few(ids, 3)
        );
        runner.scope.write_progress(Some(name), &message).await;
        if !runner.pause.wait(runner.cluster, &waits, pause).await {
            return Err(ReconcileError::SUPERSEDED);
        }
    }
}

/// Ends a step of an earlier revision; returns how long it is waited for at most.
async fn end(runner: &mut StepRunner<'_>, record: StepStatus) -> Result<Option<Duration>, ReconcileError> {
    let Some(id) = id_of(&record) else {
        // Another client has written it: it names no object.
        runner.ledger.settle(record, StepOutcome::Unknown, String::new()).await?;
        return Ok(None);
    };
    let (kind, version) = (id.group_kind(), record.api_version.rsplit('/').next().unwrap_or_default());
    let Some(resource) = runner.discovery.served(&kind, version) else {
        runner.discovery.absent(&kind).map_err(|error| about(&id, &error))?;
        // Its kind is gone, and so is it.
        runner.ledger.settle(record, StepOutcome::Unknown, String::new()).await?;
        return Ok(None);
    };
    let objects = runner.objects;
    let (live, _) = objects.look(&resource, &id, &record.key).await?;
    let completed = runner.cluster.ended(&id);
    let facts = StepFacts {
        record: Some(&record),
        live: &live,
        completed: completed.as_deref(),
        holds: true,
        retries: 0,
        timeout: runner.scope.release.timeout,
        requested: None,
        counts_as_done: false,
        now: Timestamp::now(),
    };
    match of_older(&facts, &record) {
        StepAction::Confirm { uid, .. } => {
            runner.ledger.confirm(record, uid).await?;
            Ok(Some(Duration::ZERO))
        }
        StepAction::Record(outcome, message) => {
            let uid = match &live {
                LiveStep::Current { uid, held: true, .. } => Some(uid),
                LiveStep::Current { uid, .. } if outcome == StepOutcome::TimedOut => Some(uid),
                _ => None,
            };
            // What is held is deleted before its record says that it never began.
            if let Some(uid) = uid {
                objects.delete(&resource, &id, uid).await?;
            }
            runner.ledger.settle(record, outcome, message).await?;
            Ok(None)
        }
        StepAction::Await(_) => Ok(Some(patience(runner.cluster, &id, Some(&record)))),
        _ => Ok(Some(GOING)),
    }
}
