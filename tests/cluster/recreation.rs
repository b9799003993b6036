//! Recreation by the API server's answer: what it refuses to change, in whatever
//! words, and would take anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::Both;

/// Objects that cannot become what the second revision wants, each with its plural
/// name and API version. `A` and `B` stand for the two values, `NS` for the name of
/// the namespace.
const TABLE: &[(&str, &str, &str)] = &[
    (
        "apps/v1",
        "deployments",
        "kind: Deployment
metadata: {name: selected}
spec:
  selector: {matchLabels: {app: A|B}}
  template: {metadata: {labels: {app: A|B}}, spec: {containers: [{name: main, image: main}]}}",
    ),
    // A default that the first revision left behind does not fit the second.
    (
        "apps/v1",
        "deployments",
        "kind: Deployment
metadata: {name: strategy}
spec:
  strategy: {type: RollingUpdate|Recreate}
  selector: {matchLabels: {app: strategy}}
  template: {metadata: {labels: {app: strategy}}, spec: {containers: [{name: main, image: main}]}}",
    ),
    (
        "apps/v1",
        "daemonsets",
        "kind: DaemonSet
metadata: {name: selected}
spec:
  selector: {matchLabels: {app: A|B}}
  template: {metadata: {labels: {app: A|B}}, spec: {containers: [{name: main, image: main}]}}",
    ),
    (
        "apps/v1",
        "statefulsets",
        "kind: StatefulSet
metadata: {name: served}
spec:
  serviceName: one|two
  selector: {matchLabels: {app: served}}
  template: {metadata: {labels: {app: served}}, spec: {containers: [{name: main, image: main}]}}",
    ),
    ("v1", "configmaps", "kind: ConfigMap\nmetadata: {name: sealed}\nimmutable: true\ndata: {a: A|B}"),
    ("v1", "secrets", "kind: Secret\nmetadata: {name: sealed}\nimmutable: true\nstringData: {a: A|B}"),
    ("v1", "secrets", "kind: Secret\nmetadata: {name: typed}\ntype: example.com/A|B"),
    (
        "v1",
        "services",
        "kind: Service
metadata: {name: addressed}
spec: {type: NodePort, clusterIP: 10.0.0.201|202, ports: [{port: 80, nodePort: 30041}]}",
    ),
    (
        "v1",
        "pods",
        "kind: Pod\nmetadata: {name: bare}\nspec: {containers: [{name: main, image: main, args: [A|B]}]}",
    ),
    (
        "v1",
        "resourcequotas",
        "kind: ResourceQuota\nmetadata: {name: scoped}\nspec: {hard: {pods: 1k}, scopes: [BestEffort|NotBestEffort]}",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "rolebindings",
        "kind: RoleBinding
metadata: {name: bound}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view|edit}
subjects: [{kind: ServiceAccount, name: default, namespace: NS}]",
    ),
    (
        "rbac.authorization.k8s.io/v1",
        "clusterrolebindings",
        "kind: ClusterRoleBinding
metadata: {name: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view|edit}
subjects: [{kind: ServiceAccount, name: nobody, namespace: NS}]",
    ),
    (
        "storage.k8s.io/v1",
        "storageclasses",
        "kind: StorageClass\nmetadata: {name: NS}\nprovisioner: example.com/none\nparameters: {type: A|B}",
    ),
    (
        "storage.k8s.io/v1",
        "csidrivers",
        "kind: CSIDriver\nmetadata: {name: NS}\nspec: {attachRequired: true|false}",
    ),
    ("scheduling.k8s.io/v1", "priorityclasses", "kind: PriorityClass\nmetadata: {name: NS}\nvalue: 1|2"),
    ("node.k8s.io/v1", "runtimeclasses", "kind: RuntimeClass\nmetadata: {name: NS}\nhandler: a|b"),
    (
        "networking.k8s.io/v1",
        "ingressclasses",
        "kind: IngressClass\nmetadata: {name: NS}\nspec: {controller: example.com/A|B}",
    ),
    (
        "discovery.k8s.io/v1",
        "endpointslices",
        "kind: EndpointSlice\nmetadata: {name: addressed}\naddressType: IPv4|IPv6\nendpoints: []\nports: []",
    ),
    ("NS.example.com/v1", "things", "kind: Thing\nmetadata: {name: ruled}\nspec: {size: A|B}"),
];

const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.NS.example.com}
spec:
  group: NS.example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: string, x-kubernetes-validations: [{rule: self == oldSelf}]}}}
---
";

/// The first or the second of every pair `one|two`.
fn revision(namespace: &str, second: bool) -> String {
    let mut yaml = DEFINITION.to_owned();
    for (version, _, object) in TABLE {
        yaml.push_str(&format!("apiVersion: {version}\n"));
        for line in object.lines() {
            let mut rest = line;
            while let Some(at) = rest.find('|') {
                let word = |c: char| c.is_ascii_alphanumeric();
                let begin = rest[..at].rfind(|c| !word(c)).map_or(0, |n| n + 1);
                let end = rest[at + 1..].find(|c| !word(c)).map_or(rest.len(), |n| at + 1 + n);
                yaml.push_str(&rest[..begin]);
                yaml.push_str(if second { &rest[at + 1..end] } else { &rest[begin..at] });
                rest = &rest[end..];
            }
            yaml.push_str(rest);
            yaml.push('\n');
        }
        yaml.push_str("---\n");
    }
    yaml.replace("NS", namespace)
}

/// The uid of every object of the table.
async fn uids(scene: &Scene<'_>) -> BTreeMap<String, String> {
    let mut uids = BTreeMap::new();
    for (version, plural, object) in TABLE {
        let version = version.replace("NS", scene.namespace());
        let name = object.split("name: ").nth(1).and_then(|rest| rest.split('}').next()).expect("a name");
        let name = name.replace("NS", scene.namespace());
        let root = if version.contains('/') { "apis" } else { "api" };
        let paths = [
            format!("/{root}/{version}/namespaces/{}/{plural}/{name}", scene.namespace()),
            format!("/{root}/{version}/{plural}/{name}"),
        ];
        let mut found = None;
        for path in paths {
            let request = http::Request::get(path).body(Vec::new()).expect("a request");
            let answer = scene.story.client().request::<Value>(request).await;
            found = found.or(answer.ok().map(|o| text(&o, "/metadata/uid")).filter(|uid| !uid.is_empty()));
        }
        uids.insert(format!("{plural}/{name}"), found.unwrap_or_else(|| panic!("{plural}/{name} exists")));
    }
    uids
}

#[story]
async fn whatever_cannot_be_changed_is_told_with_the_way_out_and_recreated_with_force() {
    let scene = Scene::begin("recreation").await;
    scene.install("app", &revision(scene.namespace(), false), json!({})).await;
    let before = uids(&scene).await;
    let mark = scene.mark();
    scene.upgrade("app", "2", &revision(scene.namespace(), true));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let failures = refused["status"]["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), TABLE.len(), "{failures:#?}");
    for failure in failures {
        let said = text(failure, "/message");
        assert!(said.contains("or set supercargo.dev/force: enabled on the object)"), "{failure:#}");
    }
    assert!(scene.writes(mark).is_empty());
    scene.is_refused_alike("app", &refused).await;
    assert_eq!(uids(&scene).await, before);

    scene.change("app", json!({"force": true}));
    let ready = scene.story.wait_ready("app", "2@").await;
    assert_eq!(ready["status"]["changes"]["configured"], TABLE.len(), "{}", ready["status"]);
    for (object, uid) in uids(&scene).await {
        assert_ne!(before[&object], uid, "{object}");
    }
    // What is not of the namespace goes with the next revision.
    scene.upgraded("app", "3", &config_map("last", "one")).await;
}

#[story]
async fn what_is_wrong_anew_as_well_is_no_reason_to_recreate_and_volumes_are_kept() {
    let scene = Scene::begin("recreation-never").await;
    let set = |service: &str, deleted: &str, port: u32| {
        format!(
            "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: {service}
  persistentVolumeClaimRetentionPolicy: {{whenDeleted: {deleted}, whenScaled: Retain}}
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec: {{containers: [{{name: main, image: main, ports: [{{containerPort: {port}}}]}}]}}
---
"
        )
    };
    scene.install("app", &set("one", "Delete", 80), json!({})).await;
    let uid = async || {
        let set = scene.story.object("apps/v1", "statefulsets", "db").await;
        text(&set.expect("it exists"), "/metadata/uid")
    };
    let before = uid().await;
    // Without force, and wrong in any case: nobody is told of a way out that is none.
    scene.upgrade("app", "2", &set("one", "Delete", 800_000));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let said = message(&refused, "Ready");
    assert!(said.contains("containerPort") && !said.contains("to recreate it"), "{said}");
    // A deletion would take the volumes along.
    scene.change("app", json!({"force": true}));
    scene.upgrade("app", "3", &set("two", "Delete", 80));
    let told = async || {
        let release = scene.story.release("app").await?;
        message(&release, "Ready").contains("force never recreates a StatefulSet, because").then_some(())
    };
    scene.story.wait_for("the refusal is told", told).await;
    assert_eq!(uid().await, before);
    scene.upgraded("app", "4", &set("one", "Retain", 80)).await;
    scene.upgraded("app", "5", &set("two", "Retain", 80)).await;
    assert_ne!(uid().await, before);
}
