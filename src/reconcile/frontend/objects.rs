//! The present objects of a release, and below a workload that is not
//! ready the pods that show the cause. Reads with the person's own rights.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::command_line::Local;
use crate::api::release::OCIArtifactRelease;
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::health::{HealthState, RuleSet};
use crate::domain::identity::{GroupKind, ObjectId, api_version};
use crate::domain::inventory::Inventory;
use crate::domain::message::{and_more, chain};
use crate::domain::outcome::Verdict;
use crate::domain::release::Release;
use crate::domain::shown::fields::text;
use crate::domain::stage::order;
use crate::domain::subjects::Subjects;

/// Objects that are read at once.
const PARALLEL: usize = 32;
/// The most pods that are shown below one owner.
const MAX_CHILDREN: usize = 5;
/// The longest message of a kubelet that is shown, in characters.
const MAX_KUBELET_MESSAGE: usize = 200;
/// The kinds whose pods are looked for when they are not ready.
const WORKLOADS: [(&str, &str); 5] = [
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("apps", "ReplicaSet"),
    ("batch", "Job"),
];
/// The kind between a workload and its pods.
const BETWEEN: (&str, &str) = ("apps", "ReplicaSet");

/// An object and its health.
#[derive(Debug, Serialize)]
pub struct ObjectNode {
    /// `Kind/namespace/name`.
    pub object: String,
    /// API group and version.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// A state of kstatus; also `NotFound` and `Unknown`.
    pub health: &'static str,
    /// Why, when it is not Current.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Objects that it owns and that are not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ObjectNode>,
}

/// The objects that an inventory names, where they cannot be read.
pub fn unread(inventory: &Inventory, why: &str) -> Vec<ObjectNode> {
    let nodes = inventory.entries.iter().map(|(id, entry)| {
        ObjectNode::without(id, api_version(&id.group, &entry.version), "Unknown", why.to_owned())
    });
    nodes.collect()
}

/// Reads the objects that an inventory names, in the order of the apply. The session is one in their
/// cluster.
///
/// # Errors
/// When the API server does not list its kinds.
pub async fn read(session: &Session, inventory: &Inventory) -> Result<Vec<ObjectNode>, ApiError> {
    let kinds = inventory.entries.keys().map(ObjectId::group_kind);
    let discovery = session.discovery_of(kinds).await?;
    // Boxed: see rust-lang/rust#102211.
    let subjects = &Subjects::of(inventory.entries.keys());
    let mut entries: Vec<_> = inventory.entries.iter().collect();
    entries.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    let reads: Vec<BoxFuture<'_, ObjectNode>> = entries
        .into_iter()
        .map(|(id, entry)| {
            let node = node(session, &discovery, id, &entry.version, entry.retained);
            Box::pin(node.map(|node| ObjectNode { object: subjects.name(id), ..node }))
                as BoxFuture<'_, ObjectNode>
        })
        .collect();
    Ok(futures::stream::iter(reads).buffered(PARALLEL).collect().await)
}

/// Reads objects in another cluster, that of [`there`].
///
/// # Errors
/// Why that cluster cannot be reached, or does not list its kinds.
pub async fn read_there(
    session: &Session,
    release: &Value,
    inventory: &Inventory,
) -> Result<Vec<ObjectNode>, String> {
    read(&there(session, release).await?, inventory).await.map_err(|error| chain(&error))
}

/// A session in the cluster that the spec names: with the rights of the person to read that.
///
/// # Errors
/// Why that cluster cannot be reached.
pub async fn there(session: &Session, release: &Value) -> Result<Session, String> {
    let mut resource = OCIArtifactRelease::deserialize(release).map_err(|error| error.to_string())?;
    resource.spec.service_account_name = None;
    let release = Release::parse(&resource).map_err(|error| error.to_string())?;
    let mut local = Local::new(session.clone()).map_err(|error| error.to_string())?;
    local.session_there(&release).await.map_err(|failed| match &failed.verdict {
        Verdict::Failed { message, .. } => message.clone(),
        _ => "it did not finish".to_owned(),
    })
}

async fn node(
    session: &Session,
    discovery: &ApiDiscovery,
    id: &ObjectId,
    version: &str,
    left: bool,
) -> ObjectNode {
    let kind = id.group_kind();
    let resource = discovery.served(&kind, version);
    let Some(resource) = resource else {
        let api_version = api_version(&id.group, version);
        return ObjectNode::without(
            id,
            api_version,
            "NotFound",
            "the cluster does not serve this kind".into(),
        );
    };
    let object = match session.get(&resource, id).await.and_then(|answer| answer.json::<Value>()) {
        Ok(object) => object,
        Err(error) if error.is_not_found() => {
            return ObjectNode::without(id, resource.api_version(), "NotFound", "does not exist".into());
        }
        Err(error) => {
            return ObjectNode::without(id, resource.api_version(), "Unknown", error.to_string());
        }
    };
    let mut node = ObjectNode::of(id.to_string(), &object);
    if left {
        node.message = join(&node.message, "no longer in the artifact, kept");
    }
    if !is_good(node.health) && WORKLOADS.contains(&(id.group.as_str(), id.kind.as_str())) {
        match below(session, discovery, &object).await {
            Ok(children) => node.children = children,
            Err(error) => node.message = join(&node.message, &format!("cannot read its pods: {error}")),
        }
    }
    node
}

fn join(one: &str, other: &str) -> String {
    match (one, other) {
        ("", only) | (only, "") => only.to_owned(),
        (one, other) => format!("{one}; {other}"),
    }
}

/// The kubelet's message about the first container of a pod that waits or has
/// ended: which image, or how the last attempt ended.
fn kubelet_message(pod: &Value) -> String {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let said = containers.filter(|container| container.get("ready") != Some(&Value::Bool(true))).find_map(
        |container| {
            let states =
                ["/state/waiting/message", "/state/terminated/message", "/lastState/terminated/message"];
            states.into_iter().map(|state| text(container, state).trim()).find(|said| !said.is_empty())
        },
    );
    let mut said: String = said.unwrap_or_default().chars().take(MAX_KUBELET_MESSAGE).collect();
    if said.chars().count() == MAX_KUBELET_MESSAGE {
        said.push('…');
    }
    said
}

/// Whether an object with this health needs no message.
pub fn is_good(health: &str) -> bool {
    [HealthState::Current, HealthState::Suspended].iter().any(|state| state.as_str() == health)
}

impl ObjectNode {
    fn of(object: String, value: &Value) -> Self {
        let health = RuleSet::default().assess(value, Timestamp::now());
        let message = match health.state == HealthState::Current {
            true => String::new(),
            false => join(&health.message, &kubelet_message(value)),
        };
        Self {
            object,
            api_version: text(value, "/apiVersion").to_owned(),
            health: health.state.as_str(),
            message,
            children: Vec::new(),
        }
    }

    fn without(id: &ObjectId, api_version: String, health: &'static str, message: String) -> Self {
        Self { object: id.to_string(), api_version, health, message, children: Vec::new() }
    }
}

/// ReplicaSets and pods of a workload, by its selector and their owners.
async fn below(
    session: &Session,
    discovery: &ApiDiscovery,
    workload: &Value,
) -> Result<Vec<ObjectNode>, ApiError> {
    let namespace = text(workload, "/metadata/namespace");
    let selector = selector(workload.pointer("/spec/selector").unwrap_or(&Value::Null));
    if selector.is_empty() {
        return Ok(Vec::new());
    }
    let mut objects = Vec::new();
    for (group, kind) in [BETWEEN, ("", "Pod")] {
        let resource: Option<Arc<Resource>> = discovery.preferred(&GroupKind::new(group, kind));
        let Some(resource) = resource else { continue };
        if (group, kind) == BETWEEN && text(workload, "/kind") != "Deployment" {
            continue;
        }
        for mut object in session.list_objects(&resource, Some(namespace), Some(&selector)).await? {
            // The items of a list have no apiVersion and kind.
            object["apiVersion"] = resource.api_version().into();
            object["kind"] = kind.into();
            objects.push(object);
        }
    }
    Ok(owned(text(workload, "/metadata/uid"), &objects))
}

/// A label selector of an object as that of a query.
pub fn selector(selector: &Value) -> String {
    let mut terms: Vec<String> = Vec::new();
    // A Job's selector and most others have only labels.
    let empty = Map::new();
    let labels = selector.get("matchLabels").and_then(Value::as_object).unwrap_or(&empty);
    terms.extend(labels.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))));
    for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = text(expression, "/key");
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let values: Vec<&str> = values.filter_map(Value::as_str).collect();
        terms.push(match text(expression, "/operator") {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}

/// The tree of the objects of `owner` that are not ready. A ReplicaSet that
/// wants no pods is an old one and left out.
fn owned(owner: &str, objects: &[Value]) -> Vec<ObjectNode> {
    let mut by_owner: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for object in objects {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        for reference in owners.into_iter().flatten() {
            by_owner.entry(text(reference, "/uid")).or_default().push(object);
        }
    }
    nodes(owner, &by_owner, 0)
}

fn nodes(owner: &str, by_owner: &BTreeMap<&str, Vec<&Value>>, depth: usize) -> Vec<ObjectNode> {
    // Deployment, ReplicaSet, Pod: a cycle of owners ends here.
    if depth > 3 {
        return Vec::new();
    }
    let mut nodes: Vec<ObjectNode> = by_owner
        .get(owner)
        .into_iter()
        .flatten()
        .filter_map(|object| {
            let children = self::nodes(text(object, "/metadata/uid"), by_owner, depth + 1);
            let old = text(object, "/kind") == "ReplicaSet"
                && children.is_empty()
                && object.pointer("/spec/replicas").and_then(Value::as_i64) == Some(0);
            let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
            let subject = format!("{}/{namespace}/{name}", text(object, "/kind"));
            let node = ObjectNode { children, ..ObjectNode::of(subject, object) };
            (!old && (!is_good(node.health) || !node.children.is_empty())).then_some(node)
        })
        .collect();
    // Failed objects come before those in progress.
    nodes.sort_by_key(|node| (node.health != HealthState::Failed.as_str(), node.object.clone()));
    if nodes.len() > MAX_CHILDREN {
        let more = and_more(nodes.len() - MAX_CHILDREN).unwrap_or_default();
        nodes.truncate(MAX_CHILDREN);
        if let Some(last) = nodes.last_mut() {
            last.message = join(&last.message, &format!("{more} not shown"));
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_written_as_queries_want_them() {
        let check = |value: Value, expected: &str| assert_eq!(selector(&value), expected);
        check(json!({"matchLabels": {"a": "b", "c": "d"}}), "a=b,c=d");
        check(
            json!({"matchLabels": {"a": "b"}, "matchExpressions": [
                {"key": "x", "operator": "In", "values": ["1", "2"]},
                {"key": "y", "operator": "NotIn", "values": ["3"]},
                {"key": "z", "operator": "Exists"},
                {"key": "w", "operator": "DoesNotExist"}]}),
            "a=b,x in (1,2),y notin (3),z,!w",
        );
        check(json!(null), "");
    }

    fn object(kind: &str, name: &str, owner: &str, more: Value) -> Value {
        let mut object = json!({
            "apiVersion": if kind == "Pod" { "v1" } else { "apps/v1" },
            "kind": kind,
            "metadata": {"namespace": "a", "name": name, "uid": name, "ownerReferences": [{"uid": owner}]},
        });
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        object
    }

    #[test]
    fn the_pod_that_is_not_ready_is_found_below_its_owners() {
        let waits = json!({"status": {"phase": "Pending", "containerStatuses": [
            {"name": "main", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}});
        let runs =
            json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        let objects = [
            object("ReplicaSet", "web-2", "web", json!({"spec": {"replicas": 2}})),
            object("ReplicaSet", "web-1", "web", json!({"spec": {"replicas": 0}})),
            object("ReplicaSet", "other", "other", json!({"spec": {"replicas": 2}})),
            object("Pod", "web-2-a", "web-2", waits.clone()),
            object("Pod", "web-2-b", "web-2", runs),
            object("Pod", "loop", "loop", waits),
        ];
        let tree = owned("web", &objects);
        assert_eq!(tree.iter().map(|n| n.object.as_str()).collect::<Vec<_>>(), ["ReplicaSet/a/web-2"]);
        let pods = &tree[0].children;
        assert_eq!(pods.len(), 1);
        assert_eq!(pods[0].object, "Pod/a/web-2-a");
        assert_eq!(pods[0].message, "container main is waiting: ImagePullBackOff; no such image");
        assert!(owned("loop", &objects).len() == 1);
    }

    #[test]
    fn what_a_kubelet_says_is_bounded() {
        let check = |containers: Value, expected: &str| {
            assert_eq!(kubelet_message(&json!({"status": {"containerStatuses": containers}})), expected);
        };
        check(json!([]), "");
        check(json!([{"ready": true, "lastState": {"terminated": {"message": "old"}}}]), "");
        check(
            json!([{"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"message": "panic\n"}}}]),
            "panic",
        );
        let long = "x".repeat(MAX_KUBELET_MESSAGE + 1);
        check(
            json!([{"state": {"waiting": {"message": long}}}]),
            &format!("{}…", "x".repeat(MAX_KUBELET_MESSAGE)),
        );
    }

    #[test]
    fn many_pods_are_cut() {
        let failed = json!({"status": {"phase": "Failed"}});
        let pods: Vec<_> = (0..9).map(|n| object("Pod", &format!("p{n}"), "job", failed.clone())).collect();
        let tree = owned("job", &pods);
        assert_eq!(tree.len(), MAX_CHILDREN);
        assert_eq!(tree[4].message, "has failed; and 4 more not shown");
    }
}
