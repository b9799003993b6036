//! The objects that artifacts of histories have.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{End, How, Piece, Step};

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    ConfigMap,
    Secret,
    Service,
    ServiceAccount,
    Role,
    RoleBinding,
    Deployment,
    StatefulSet,
    CronJob,
    Job,
    NetworkPolicy,
    PodDisruptionBudget,
    HorizontalPodAutoscaler,
    ClusterRole,
    PriorityClass,
    ValidatingWebhookConfiguration,
    CustomResourceDefinition,
    Thing,
}

impl Kind {
    /// Those that stand for themselves.
    pub const FREE: [Kind; 16] = [
        Kind::ConfigMap,
        Kind::Secret,
        Kind::Service,
        Kind::ServiceAccount,
        Kind::Role,
        Kind::RoleBinding,
        Kind::Deployment,
        Kind::StatefulSet,
        Kind::CronJob,
        Kind::Job,
        Kind::NetworkPolicy,
        Kind::PodDisruptionBudget,
        Kind::ClusterRole,
        Kind::PriorityClass,
        Kind::ValidatingWebhookConfiguration,
        Kind::CustomResourceDefinition,
    ];

    /// Group, version and plural; of things the names are a history's own.
    pub fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Kind::ConfigMap => ("", "v1", "configmaps"),
            Kind::Secret => ("", "v1", "secrets"),
            Kind::Service => ("", "v1", "services"),
            Kind::ServiceAccount => ("", "v1", "serviceaccounts"),
            Kind::Role => ("rbac.authorization.k8s.io", "v1", "roles"),
            Kind::RoleBinding => ("rbac.authorization.k8s.io", "v1", "rolebindings"),
            Kind::ClusterRole => ("rbac.authorization.k8s.io", "v1", "clusterroles"),
            Kind::Deployment => ("apps", "v1", "deployments"),
            Kind::StatefulSet => ("apps", "v1", "statefulsets"),
            Kind::CronJob => ("batch", "v1", "cronjobs"),
            Kind::Job => ("batch", "v1", "jobs"),
            Kind::NetworkPolicy => ("networking.k8s.io", "v1", "networkpolicies"),
            Kind::PodDisruptionBudget => ("policy", "v1", "poddisruptionbudgets"),
            Kind::HorizontalPodAutoscaler => ("autoscaling", "v2", "horizontalpodautoscalers"),
            Kind::PriorityClass => ("scheduling.k8s.io", "v1", "priorityclasses"),
            Kind::ValidatingWebhookConfiguration => {
                ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations")
            }
            Kind::CustomResourceDefinition => ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
            Kind::Thing => ("", "v1", ""),
        }
    }

    /// Whether others are built on its objects: without a place of their own, they come first.
    pub fn is_base(self) -> bool {
        matches!(
            self,
            Kind::ServiceAccount
                | Kind::Role
                | Kind::RoleBinding
                | Kind::ClusterRole
                | Kind::PriorityClass
                | Kind::CustomResourceDefinition
        )
    }

    /// Whether its objects are in a namespace.
    pub fn namespaced(self) -> bool {
        !matches!(
            self,
            Kind::ClusterRole
                | Kind::PriorityClass
                | Kind::ValidatingWebhookConfiguration
                | Kind::CustomResourceDefinition
        )
    }
}

/// What one history calls its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The namespace of its releases. It begins the names of objects of the cluster too.
    pub home: String,
    /// The other namespace.
    pub away: String,
}

impl Names {
    /// The API group of the things.
    pub fn group(&self) -> String {
        format!("{}.example.com", self.home)
    }

    /// The namespace of a piece; empty for objects of the cluster.
    pub fn namespace(&self, kind: Kind, away: bool) -> &str {
        match (kind.namespaced(), away) {
            (false, _) => "",
            (true, false) => &self.home,
            (true, true) => &self.away,
        }
    }

    /// The name of an object.
    pub fn object(&self, kind: Kind, name: u8) -> String {
        match kind {
            Kind::CustomResourceDefinition => format!("things{name}.{}", self.group()),
            _ if kind.namespaced() => format!("o{name}"),
            _ => format!("{}-o{name}", self.home),
        }
    }

    /// The collection of a kind: the path below which its objects are. A thing is of
    /// the definition of its own number.
    pub fn collection(&self, kind: Kind, name: u8, namespace: &str) -> String {
        let (group, version, plural) = kind.resource();
        let (group, plural) = match kind {
            Kind::Thing => (self.group(), format!("things{name}")),
            _ => (group.to_owned(), plural.to_owned()),
        };
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        format!("{root}{place}/{plural}")
    }

    // Its group and its kind in words.
    fn words(&self, kind: Kind, name: u8) -> (String, String) {
        match kind {
            Kind::Thing => (self.group(), format!("Thing{name}")),
            _ => (kind.resource().0.to_owned(), format!("{kind:?}")),
        }
    }

    /// How `depends-on` names an object in the namespace of the releases.
    pub fn reference(&self, kind: Kind, name: u8) -> String {
        let ((group, kind_name), object) = (self.words(kind, name), self.object(kind, name));
        match kind.namespaced() {
            true => format!("{group}/namespaces/{}/{kind_name}/{object}", self.home),
            false => format!("{group}/{kind_name}/{object}"),
        }
    }

    /// The object's id in inventories.
    pub fn id(&self, kind: Kind, name: u8, away: bool) -> String {
        let (group, kind_name) = self.words(kind, name);
        format!("{}_{}_{group}_{kind_name}", self.namespace(kind, away), self.object(kind, name))
    }
}

/// The annotation that every object has; its value is the variant.
pub const VARIANT: &str = "example.com/variant";
/// The objects that the API server refuses, by the begin of the number of their name.
pub const REFUSED: &str = "10";
/// An annotation that hands add.
pub const NOTE: &str = "example.com/note";

/// Which release has an object of a history about gates, by its name.
pub fn owner_of(name: &str) -> Option<u8> {
    let number: u8 = name.strip_prefix('o')?.parse().ok()?;
    match number {
        0..9 => Some(number / 3),
        100.. => Some(number - 100),
        _ => None,
    }
}

/// The manifest of a piece, without a namespace.
pub fn manifest(names: &Names, piece: &Piece) -> Value {
    let Piece { kind, name, variant, how, step, place } = *piece;
    let api_version = match kind {
        Kind::Thing => format!("{}/v1", names.group()),
        Kind::HorizontalPodAutoscaler if odd(variant) => "autoscaling/v1".to_owned(),
        _ => match kind.resource() {
            ("", version, _) => version.to_owned(),
            (group, version, _) => format!("{group}/{version}"),
        },
    };
    let kind_name = if kind == Kind::Thing { format!("Thing{name}") } else { format!("{kind:?}") };
    let mut annotations = json!({(VARIANT): variant.to_string()});
    match how {
        How::Kept => annotations["supercargo.dev/prune"] = json!("disabled"),
        How::Once => annotations["supercargo.dev/apply"] = json!("IfNotPresent"),
        How::Plain | How::Failing | How::Brief | How::Sick | How::Slow | How::Refused => {}
    }
    if odd(variant) {
        annotations["example.com/odd"] = json!("yes");
    }
    if place.wave != 0 {
        annotations["supercargo.dev/wave"] = json!(place.wave.to_string());
    }
    if let Some((kind, name)) = place.after {
        annotations["config.kubernetes.io/depends-on"] = json!(names.reference(kind, name));
    }
    if let Some(Step { after, wave, end }) = step {
        annotations["supercargo.dev/step"] = json!(if after { "after" } else { "before" });
        annotations["supercargo.dev/step-timeout"] = json!("1m");
        if wave != 0 {
            annotations["supercargo.dev/wave"] = json!(wave.to_string());
        }
        if end == End::Cleaned {
            annotations["supercargo.dev/step-cleanup"] = json!("OnSuccess");
        }
    }
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind_name,
        "metadata": {"name": names.object(kind, name), "annotations": annotations},
    });
    if step.is_some() {
        // Without labels, a Job has those of its pods.
        object["metadata"]["labels"] = json!({"example.com/step": "yes"});
    }
    let body = body(names, piece);
    for (field, value) in body.as_object().expect("a body is an object") {
        object[field] = value.clone();
    }
    object
}

fn odd(variant: u8) -> bool {
    variant % 2 == 1
}

fn body(names: &Names, piece: &Piece) -> Value {
    let Piece { kind, name, variant, how, step, .. } = *piece;
    let app = format!("o{name}");
    let labels = json!({"app": app});
    match kind {
        Kind::ConfigMap if how == How::Sick => json!({"data": {"v": variant.to_string(), "health": "bad"}}),
        Kind::ConfigMap if how == How::Slow => json!({"data": {"v": variant.to_string(), "health": "later"}}),
        Kind::ConfigMap if odd(variant) => json!({"data": {"v": variant.to_string(), "odd": "yes"}}),
        Kind::ConfigMap => json!({"data": {"v": variant.to_string()}}),
        Kind::Secret => {
            let value = ["b25l", "dHdv", "dGhyZWU="][usize::from(variant % 3)];
            json!({"type": "Opaque", "data": {"v": value}})
        }
        Kind::Service => {
            let mut ports = vec![json!({"name": "http", "port": 80 + u16::from(variant), "protocol": "TCP"})];
            if odd(variant) {
                ports.push(json!({"name": "more", "port": 9090, "protocol": "TCP"}));
            }
            json!({"spec": {"selector": labels, "ports": ports}})
        }
        Kind::ServiceAccount => json!({"automountServiceAccountToken": odd(variant)}),
        Kind::Role | Kind::ClusterRole => {
            let verbs = if odd(variant) { json!(["get", "list"]) } else { json!(["get"]) };
            json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]})
        }
        Kind::RoleBinding => json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_of(variant)},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": format!("user-{variant}")}],
        }),
        Kind::Deployment => deployment(&app, variant, how),
        Kind::StatefulSet => json!({"spec": {
            "replicas": 1,
            "serviceName": app,
            "selector": {"matchLabels": {"set": app}},
            "template": {
                "metadata": {"labels": {"set": app}},
                "spec": {"containers": [{"name": "main", "image": format!("main:{variant}")}]},
            },
        }}),
        Kind::CronJob => json!({"spec": {
            "schedule": format!("{variant} 0 1 1 *"),
            "jobTemplate": {"spec": {"template": pod("cron", "main:1")}},
        }}),
        Kind::Job => {
            let mut job = json!({"spec": {"template": pod("job", &format!("main:{variant}"))}});
            if how == How::Brief {
                job["spec"]["ttlSecondsAfterFinished"] = json!(1);
            }
            match step.map(|step| step.end) {
                Some(End::Expires) => job["spec"]["ttlSecondsAfterFinished"] = json!(0),
                Some(End::Fails) => {
                    job["spec"]["backoffLimit"] = json!(0);
                    job["spec"]["activeDeadlineSeconds"] = json!(1);
                    let pods = json!({"labels": {"testbed.supercargo.dev/pod": "pending"}});
                    job["spec"]["template"]["metadata"] = pods;
                }
                Some(End::Stays | End::Cleaned) | None => {}
            }
            job
        }
        Kind::NetworkPolicy => json!({"spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": if odd(variant) { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) },
        }}),
        Kind::PodDisruptionBudget => {
            json!({"spec": {"maxUnavailable": 1 + variant, "selector": {"matchLabels": labels}}})
        }
        Kind::HorizontalPodAutoscaler => json!({"spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": app},
            "minReplicas": 1,
            "maxReplicas": 6 + variant,
        }}),
        Kind::PriorityClass => json!({"value": 1000, "description": format!("variant {variant}")}),
        Kind::ValidatingWebhookConfiguration => json!({"webhooks": [{
            "name": "hook.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "timeoutSeconds": 1 + variant,
            "namespaceSelector": {"matchLabels": {"nobody": "has-it"}},
            "clientConfig": {"url": "https://127.0.0.1:1/validate"},
            "rules": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["nones"], "scope": "*"}],
        }]}),
        Kind::CustomResourceDefinition => definition(names, name, variant),
        Kind::Thing => json!({"spec": {(format!("f{variant}")): variant.to_string()}}),
    }
}

fn role_of(variant: u8) -> &'static str {
    if odd(variant) { "edit" } else { "view" }
}

fn pod(name: &str, image: &str) -> Value {
    json!({"spec": {"restartPolicy": "Never", "containers": [{"name": name, "image": image}]}})
}

fn deployment(app: &str, variant: u8, how: How) -> Value {
    let mut pods = json!({"app": app});
    if how == How::Failing {
        pods["testbed.supercargo.dev/pod"] = json!("failed");
    }
    let mut containers = vec![json!({"name": "main", "image": format!("main:{variant}"),
        "env": [{"name": "V", "value": variant.to_string()}]})];
    if odd(variant) {
        containers.push(json!({"name": "side", "image": "side:1"}));
    }
    json!({"spec": {
        "replicas": 2 + variant % 3,
        "progressDeadlineSeconds": if how == How::Failing { 1 } else { 600 },
        "selector": {"matchLabels": {"app": app}},
        "template": {"metadata": {"labels": pods}, "spec": {"containers": containers}},
    }})
}

/// Definitions change with their objects, whose fields have other names.
fn definition(names: &Names, name: u8, variant: u8) -> Value {
    let fields: serde_json::Map<String, Value> = (0..=variant)
        .map(|n| (format!("f{n}"), json!({"type": "string", "description": format!("of {variant}")})))
        .collect();
    json!({"spec": {
        "group": names.group(),
        "scope": "Namespaced",
        "names": {"plural": format!("things{name}"), "singular": format!("thing{name}"),
            "kind": format!("Thing{name}"), "listKind": format!("Thing{name}List")},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"spec": {"type": "object", "properties": fields}},
        }}}],
    }})
}

/// The last variant.
pub const MAX_VARIANT: u8 = 4;

/// A merge patch by which a hand changes what artifacts set; none where only
/// metadata can be changed.
pub fn hands_change(kind: Kind) -> Value {
    match kind {
        Kind::ConfigMap => json!({"data": {"v": "by hand"}}),
        Kind::Secret => json!({"data": {"v": "Ynk="}}),
        Kind::Deployment => json!({"spec": {"replicas": 1}}),
        Kind::CronJob => json!({"spec": {"schedule": "1 1 1 1 *"}}),
        Kind::PodDisruptionBudget => json!({"spec": {"maxUnavailable": 9}}),
        Kind::HorizontalPodAutoscaler => json!({"spec": {"maxReplicas": 99}}),
        Kind::PriorityClass => json!({"description": "by hand"}),
        Kind::Role | Kind::ClusterRole => json!({"rules": []}),
        _ => json!({"metadata": {"annotations": {(VARIANT): "by hand"}}}),
    }
}

/// A merge patch by which a hand removes what artifacts set.
pub fn hands_remove(kind: Kind) -> Value {
    match kind {
        Kind::ConfigMap | Kind::Secret => json!({"data": {"v": null}}),
        _ => json!({"metadata": {"annotations": {(VARIANT): null}}}),
    }
}
