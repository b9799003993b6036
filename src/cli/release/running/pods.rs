//! The pods of a release: those of its workloads and of its steps.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::cli::CliError;
use crate::cli::release::fields::text;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::inventory::Inventory;
use crate::domain::stage::order;
use crate::reconcile::frontend::objects::{selector, there};

/// The kinds that have pods; a Pod is its own.
const WORKLOADS: [(&str, &str); 7] = [
    ("", "Pod"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
];

/// Something that has pods.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    /// What it is.
    pub id: ObjectId,
    /// Its uid, and those of the ReplicaSets and Jobs that it owns.
    pub owners: BTreeSet<String>,
    /// A selector of its pods; empty for a Pod.
    pub selector: String,
}

/// Where a release runs, and what.
pub(super) struct Running {
    /// A session in the cluster of the objects.
    pub session: Session,
    /// The kinds of that cluster.
    pub discovery: Arc<ApiDiscovery>,
    /// In the order of the apply.
    pub workloads: Vec<Workload>,
    /// All objects: those of the inventory, and the steps.
    pub objects: Vec<ObjectId>,
}

impl Running {
    /// Reads what a release runs.
    ///
    /// # Errors
    /// When its cluster cannot be read.
    pub async fn of(session: &Session, release: &Value, inventory: &Inventory) -> Result<Self, CliError> {
        let session = match &inventory.place {
            None => session.clone(),
            Some(place) => {
                let server = &place.server;
                let unread = |why| CliError::Failed(format!("cannot read the cluster {server}: {why}"));
                there(session, release).await.map_err(unread)?
            }
        };
        let mut objects: Vec<ObjectId> = inventory.entries.keys().cloned().chain(steps(release)).collect();
        objects.sort_by(|a, b| order(a).cmp(&order(b)));
        objects.dedup();
        let kinds = WORKLOADS.iter().map(|(group, kind)| GroupKind::new(group, kind));
        let discovery = session.discovery_of(kinds).await?;
        let mut workloads = Vec::new();
        for id in objects.iter().filter(|id| WORKLOADS.contains(&(id.group.as_str(), id.kind.as_str()))) {
            workloads.extend(workload(&session, &discovery, id).await?);
        }
        Ok(Self { session, discovery, workloads, objects })
    }

    /// The kind of pods.
    ///
    /// # Errors
    /// When the cluster does not serve it.
    pub fn pods(&self) -> Result<Arc<Resource>, CliError> {
        let kind = GroupKind::new("", "Pod");
        let absent = || CliError::Failed("the cluster does not serve pods".into());
        self.discovery.preferred(&kind).ok_or_else(absent)
    }
}

impl Workload {
    /// Whether it owns an object.
    pub fn owns(&self, object: &Value) -> bool {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        owners.into_iter().flatten().any(|reference| self.owners.contains(text(reference, "/uid")))
    }

    /// Its pods, sorted by name.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self, session: &Session, pods: &Resource) -> Result<Vec<Value>, ApiError> {
        let Self { id, selector, .. } = self;
        if selector.is_empty() {
            let pod = session.get(pods, id).await.and_then(|answer| answer.json::<Value>());
            return pod.map(|pod| vec![pod]);
        }
        let mut found = session.list_objects(pods, Some(&id.namespace), Some(selector)).await?;
        found.retain(|pod| self.owns(pod));
        found.sort_by_key(|pod| text(pod, "/metadata/name").to_owned());
        Ok(found)
    }

    /// Reads again what stands between it and its pods.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub async fn refresh(&mut self, session: &Session, discovery: &ApiDiscovery) -> Result<(), ApiError> {
        let Some(kind) = between(&self.id.kind) else { return Ok(()) };
        let Some(resource) = discovery.preferred(&kind) else { return Ok(()) };
        let selector = (!self.selector.is_empty()).then_some(self.selector.as_str());
        let selector = selector.filter(|_| self.id.kind != "CronJob");
        for object in session.list_objects(&resource, Some(&self.id.namespace), selector).await? {
            if self.owns(&object) {
                self.owners.insert(text(&object, "/metadata/uid").to_owned());
            }
        }
        Ok(())
    }
}

/// The kind between a workload and its pods.
fn between(kind: &str) -> Option<GroupKind> {
    match kind {
        "Deployment" => Some(GroupKind::new("apps", "ReplicaSet")),
        "CronJob" => Some(GroupKind::new("batch", "Job")),
        _ => None,
    }
}

/// A workload as it is in the cluster; `None` when it does not exist.
async fn workload(
    session: &Session,
    discovery: &ApiDiscovery,
    id: &ObjectId,
) -> Result<Option<Workload>, ApiError> {
    let Some(resource) = discovery.preferred(&id.group_kind()) else { return Ok(None) };
    let object = match session.get(&resource, id).await.and_then(|answer| answer.json::<Value>()) {
        Ok(object) => object,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let selector = match id.kind.as_str() {
        "Pod" => String::new(),
        // The pods of its Jobs; the owners decide which of them.
        "CronJob" => "batch.kubernetes.io/job-name".to_owned(),
        _ => selector(object.pointer("/spec/selector").unwrap_or(&Value::Null)),
    };
    if selector.is_empty() && id.kind != "Pod" {
        return Ok(None);
    }
    let owners = BTreeSet::from([text(&object, "/metadata/uid").to_owned()]);
    let mut workload = Workload { id: id.clone(), owners, selector };
    workload.refresh(session, discovery).await?;
    Ok(Some(workload))
}

/// The steps of a release, which are in no inventory.
fn steps(release: &Value) -> Vec<ObjectId> {
    let steps = release.pointer("/status/steps").and_then(Value::as_array);
    let id = |step: &Value| {
        let mut parts = text(step, "/step").splitn(3, '/');
        let (kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
        let group = text(step, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
        let part = str::to_owned;
        Some(ObjectId { namespace: part(namespace), name: part(name), group: part(group), kind: part(kind) })
    };
    steps.into_iter().flatten().filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_found_in_the_status() {
        let release = json!({"status": {"steps": [
            {"step": "Job/apps/migrate", "apiVersion": "batch/v1"},
            {"step": "Pod/apps/test", "apiVersion": "v1"},
            {"step": "broken", "apiVersion": "v1"},
        ]}});
        let found: Vec<String> = steps(&release).iter().map(|id| format!("{}:{id}", id.group)).collect();
        assert_eq!(found, ["batch:Job/apps/migrate", ":Pod/apps/test"]);
        assert!(steps(&json!({})).is_empty());
    }

    #[test]
    fn a_pod_of_another_owner_is_not_one_of_the_release() {
        let id = ObjectId {
            namespace: "a".into(),
            name: "web".into(),
            group: "apps".into(),
            kind: "Deployment".into(),
        };
        let owners = ["web", "web-1"].map(str::to_owned).into();
        let workload = Workload { id, owners, selector: "app=web".into() };
        let check = |owner: &str, expected: bool| {
            let pod = json!({"metadata": {"ownerReferences": [{"uid": owner}]}});
            assert_eq!(workload.owns(&pod), expected, "{owner}");
        };
        check("web-1", true);
        check("other", false);
        assert!(!workload.owns(&json!({"metadata": {}})));
    }
}
