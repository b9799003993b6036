//! Drift in a run: what is corrected, what is delayed because of another writer, what is only
//! reported.

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;

use super::Planned;
use crate::api::reason::Reason;
use crate::api::release::DriftMode;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::delegated::leave_to_others;
use crate::domain::drift::differing_paths;
use crate::domain::identity::ObjectId;
use crate::domain::message::List;
use crate::domain::outcome::Assessment;
use crate::domain::plan::{Action, Plan, Step};
use crate::reconcile::cache::drift::DriftCache;
use crate::reconcile::error::masked_in;
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::phase::preflight::body::encode;
use crate::reconcile::scope::Scope;

/// How many objects a message names.
const NAMED: usize = 5;

/// Removes contested objects and, in Report mode, all drift from the writes; returns the drift
/// condition.
pub async fn hold_back(
    scope: &Scope<'_>,
    session: &Session,
    cache: &mut DriftCache,
    planned: &mut Planned<'_>,
) -> Option<Assessment> {
    let Planned { plan, discovery, .. } = planned;
    let drifted = plan.steps.iter().filter(|s| s.drifted);
    let found = drifted.filter(|s| !cache.drifted.contains(&s.id)).count();
    scope.env.metrics.drift_detected(found);
    let assessment = match scope.release.drift {
        DriftMode::Off => None,
        DriftMode::Report => report(session, plan, discovery).await,
        DriftMode::Correct => hold_back_correction(session, cache, plan, discovery).await,
    };
    // Drift that is not corrected is not counted again by the next run.
    let left = plan.steps.iter().filter(|s| s.drifted && s.action == Action::Keep);
    cache.drifted = left.map(|s| s.id.clone()).collect();
    assessment
}

async fn hold_back_correction(
    session: &Session,
    cache: &mut DriftCache,
    plan: &mut Plan,
    discovery: &ApiDiscovery,
) -> Option<Assessment> {
    let now = Timestamp::now();
    let mut held_back = Vec::new();
    for step in plan.steps.iter_mut().filter(|s| s.drifted && s.action == Action::Write) {
        let backoff = cache.backoffs.entry(step.id.clone()).or_default();
        if backoff.correct(now).is_err() {
            step.action = Action::Keep;
            held_back.push((step.id.clone(), step.version.clone()));
        }
    }
    cache.backoffs.retain(|_, backoff| !backoff.is_over(now));
    if held_back.is_empty() {
        return None;
    }
    let mut named = Vec::new();
    for (id, version) in held_back.iter().take(NAMED) {
        let resource = discovery.served(&id.group_kind(), version);
        let managers = match resource {
            Some(resource) => session.other_managers(&resource, id).await.unwrap_or_default(),
            None => Vec::new(),
        };
        let by = managers.first().map_or_else(|| "another writer".to_owned(), |m| format!("{m:?}"));
        named.push(format!("{id} by {by}"));
    }
    let message = format!(
        "Drift returns after each correction: {}; corrected less often now. Stop the other writer, or exclude \
         the fields with spec.drift.ignore",
        List::Names.with_more(&named, held_back.len() - named.len()),
    );
    Some(Assessment { status: Some(true), reason: Reason::Contested, message })
}

/// Compares drifted objects with the result of a dry run.
async fn report(session: &Session, plan: &Plan, discovery: &ApiDiscovery) -> Option<Assessment> {
    // A missing object that is created again is not reported.
    let steps = plan.steps.iter().filter(|s| s.drifted && s.action == Action::Keep);
    let mut compared: Vec<(ObjectId, Vec<String>)> = unordered(
        steps.map(|step| async move { (step.id.clone(), differences(session, step, discovery).await) }),
    )
    .collect()
    .await;
    compared.retain(|(_, paths)| !paths.is_empty());
    if compared.is_empty() {
        return None;
    }
    compared.sort();
    let named = List::Phrases.few_as(&compared, NAMED, |(id, paths)| format!("{id} ({})", paths.join(", ")));
    let objects = if compared.len() == 1 { "object" } else { "objects" };
    let message = format!("{} {objects} drifted: {named}", compared.len());
    Some(Assessment { status: Some(true), reason: Reason::DriftDetected, message })
}

async fn differences(session: &Session, step: &Step, discovery: &ApiDiscovery) -> Vec<String> {
    let unreadable = |why: String| vec![format!("cannot be compared: {why}")];
    let Some(resource) = discovery.resource(&step.id.group_kind(), &step.version) else {
        return unreadable("the API server does not serve its kind".into());
    };
    let live: Value = match session.get(&resource, &step.id).await {
        Ok(answer) => match answer.json() {
            Ok(live) => live,
            Err(error) => return unreadable(error.to_string()),
        },
        Err(error) if error.is_not_found() => return vec!["missing".into()],
        Err(error) => return unreadable(error.to_string()),
    };
    let mut object = step.object.value().clone();
    leave_to_others(&mut object, &live, &step.delegated);
    match session.apply(&resource, &step.id, encode(&object), true).await {
        Ok(wanted) => match serde_json::from_slice::<Value>(&wanted.body) {
            Ok(wanted) => differing_paths(&live, &wanted),
            Err(error) => unreadable(error.to_string()),
        },
        Err(error) => unreadable(masked_in(&step.object, &error.to_string())),
    }
}

/// The event message for corrected objects.
pub fn corrected_message(corrected: &[ObjectId]) -> String {
    format!("Corrected drift: {}", List::Names.few(corrected, NAMED))
}
