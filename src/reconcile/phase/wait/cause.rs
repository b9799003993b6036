//! The first cause of a failed wait for health, read once at its end with the release's own rights.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::health::{first_cause, pod_selector, runs_pods};
use crate::domain::identity::GroupKind;
use crate::domain::outcome::ObjectFailure;
use crate::reconcile::scope::Scope;

/// The maximum number of pods to read for a workload.
const PODS: usize = 20;

/// Adds the problem of one of its pods to the first unhealthy workload. Without the right to read
/// pods, the message is that of the workload alone.
pub async fn explain(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &ApiDiscovery,
    failures: &mut [ObjectFailure],
) {
    if !scope.policy.repeats {
        // The command line prints each object on its own line.
        return;
    }
    let workload = failures.iter_mut().find(|failure| runs_pods(&failure.id.group_kind()));
    let Some(failure) = workload else { return };
    if let Some(cause) = of_pods(session, discovery, failure).await {
        failure.message = format!("{}; one of its pods: {cause}", failure.message);
    }
}

async fn of_pods(session: &Session, discovery: &ApiDiscovery, failure: &ObjectFailure) -> Option<String> {
    let id = &failure.id;
    let resource = discovery.preferred(&id.group_kind())?;
    let workload: Value = session.get(&resource, id).await.ok()?.json().ok()?;
    let pods = discovery.preferred(&GroupKind::new("", "Pod"))?;
    let selector = pod_selector(&workload)?;
    let pods = session.first_objects(&pods, &id.namespace, &selector, PODS).await.ok()?;
    first_cause(&pods, Timestamp::now())
}
