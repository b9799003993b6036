//! The wait for definitions: until they are established, and their kinds are served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::schemas::brought_kinds;
use crate::api::reason::Reason;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::health::{RuleSet, listed};
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::plan::Step;
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::scope::Scope;

/// The pause from which on the status reports the wait for definitions.
const LONG: Duration = Duration::from_secs(1);

/// Waits until definitions are established; by polling, since they are few.
///
/// # Errors
/// When they are not in time, or something newer is wanted.
pub async fn established(
    scope: &Scope<'_>,
    session: &Session,
    rollout: &mut RolloutCache,
    discovery: &ApiDiscovery,
    definitions: &[&Step],
    answers: &BTreeMap<ObjectId, Bytes>,
) -> Result<(), ReconcileError> {
    // Whether the API server serves a kind is not for expressions of the release to say.
    let mut checkup = Checkup::new(rollout.progress.key(), RuleSet::default());
    for step in definitions {
        let Some(resource) = discovery.resource(&step.id.group_kind(), &step.version) else { continue };
        let object = answers.get(&step.id).and_then(|a| serde_json::from_slice::<Value>(a).ok());
        checkup.add(&step.id, resource);
        checkup.judge(&step.id, object.as_ref());
    }
    let (first, longest) = (Duration::from_millis(20), Duration::from_secs(5));
    let pace = PollPace { first, longest, timeout: scope.release.timeout };
    let mut poll = Poll::new(pace, Until::Changed, scope.signals, Some(scope.slot));
    while !checkup.board.is_healthy() && checkup.board.failed().next().is_none() {
        if poll.next_pause() > LONG {
            let message = "Waiting for CustomResourceDefinitions to be established";
            scope.write_progress(Some(rollout.progress.name()), message).await;
        }
        match poll.pause().await {
            Tick::Look => {}
            Tick::Ended => return Err(ReconcileError::SUPERSEDED),
            Tick::TimedOut => {
                let waiting = checkup.board.waiting().map(|(id, health)| (id, health.message.as_str()));
                let message = listed("CustomResourceDefinitions are not established in time", waiting);
                rollout.checkup = Some(checkup);
                return Err(failure(Reason::HealthTimeout, message).into());
            }
        }
        let due = checkup.board.waiting().map(|(id, _)| id.clone()).collect();
        checkup.look(session, due).await;
        // It was being deleted when it was applied, or was deleted since: the next run creates it.
        if let Some(id) = checkup.board.missing() {
            let message = format!("{id} was deleted while the run waited for it");
            return Err(failure(Reason::HealthCheckFailed, message).into());
        }
    }
    let failed = checkup.board.failed().next().map(|(id, health)| format!("{id}: {}", health.message));
    let Some(message) = failed else { return Ok(()) };
    rollout.checkup = Some(checkup);
    Err(failure(Reason::HealthCheckFailed, message).into())
}

/// Polls until the kinds of definitions are served, in every version: they appear in
/// discovery a moment after they are established.
///
/// # Errors
/// When they are not in time, or something newer is wanted.
pub async fn served(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &Arc<ApiDiscovery>,
    definitions: &[&Step],
) -> Result<Arc<ApiDiscovery>, ReconcileError> {
    let brought = brought_kinds(definitions);
    let (first, longest) = (Duration::from_millis(20), Duration::from_secs(1));
    let pace = PollPace { first, longest, timeout: scope.release.timeout };
    let mut poll = Poll::new(pace, Until::Superseded, scope.signals, Some(scope.slot));
    let mut discovery = Arc::clone(discovery);
    loop {
        let is_served = |(kind, version): &(GroupKind, Option<String>)| match version {
            Some(version) => discovery.resource(kind, version).is_some(),
            None => discovery.preferred(kind).is_some(),
        };
        if brought.iter().all(is_served) {
            return Ok(discovery);
        }
        match poll.pause().await {
            Tick::Look => {}
            Tick::Ended => return Err(ReconcileError::SUPERSEDED),
            Tick::TimedOut => {
                let message =
                    "the API server does not serve the kinds of the CustomResourceDefinitions in time";
                return Err(failure(Reason::HealthTimeout, message).into());
            }
        }
        discovery = session.rediscover(&discovery).await?;
    }
}
