//! The first cause of a failed wait for health, looked for once at its end and with
//! the release's own rights.

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::health::{first_cause, pod_selector, runs_pods};
use crate::domain::identity::GroupKind;
use crate::domain::outcome::ObjectFailure;
use crate::reconcile::scope::Scope;

/// The pods of a workload that are looked at.
const PODS: usize = 20;

/// Adds to the first workload that is not healthy what one of its pods says. Who may
/// not read them is told what the workload says alone.
pub async fn explain(
    scope: &Scope<'_>,
    session: &Session,
    discovery: &ApiDiscovery,
    failures: &mut [ObjectFailure],
) {
    if !scope.policy.repeats {
        // A person is told each object on a line of its own, and looks further.
        return;
    }
    let workload = failures.iter_mut().find(|failure| runs_pods(&failure.id.group_kind()));
    let Some(failure) = workload else { return };
    if let Some(cause) = of_pods(session, discovery, failure).await {
        failure.message = format!("{}; a pod of it: {cause}", failure.message);
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
