//! Taking over what other tools have applied: nothing restarts, nothing goes.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::proxy::Moment;
use supercargo_testbed::{Profiles, Proxy, Story, processes, story};

use super::person::Person;

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

/// What Kustomizer applies, with what it marks and records, as its manager.
fn kustomizer_applied(story: &Story<'_>, record: &str, key: &str) {
    let namespace = story.namespace();
    let objects = format!(
        "apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  labels: {{inventory.kustomizer.dev/name: shop, inventory.kustomizer.dev/namespace: {namespace}, app: shop}}
data: {{a: kept, b: dropped later}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: leaves
  labels: {{inventory.kustomizer.dev/name: shop, inventory.kustomizer.dev/namespace: {namespace}}}
data: {{a: b}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {{inventory.kustomizer.dev/name: shop, inventory.kustomizer.dev/namespace: {namespace}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: example.com/web:1}}]}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: moved
  labels: {{inventory.kustomizer.dev/name: other, inventory.kustomizer.dev/namespace: {namespace}}}
data: {{a: b}}
"
    );
    story.kubectl(&["apply", "--server-side", "--field-manager=kustomizer", "-f", "-"], &objects);
    let entry = |name: &str, group: &str, kind: &str| json!({"id": format!("{namespace}_{name}_{group}_{kind}"), "ver": "v1"});
    let entries = json!([
        entry("settings", "", "ConfigMap"),
        entry("leaves", "", "ConfigMap"),
        entry("moved", "", "ConfigMap"),
        entry("gone", "", "ConfigMap"),
        entry("web", "apps", "Deployment"),
    ]);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": record,
            "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "inventory",
                       "app.kubernetes.io/created-by": "kustomizer"},
            "annotations": {"inventory.kustomizer.dev/last-applied-time": "2022-11-21T10:00:00Z",
                            "inventory.kustomizer.dev/source": "https://git.example.com/shop",
                            "inventory.kustomizer.dev/revision": "v1.2.3"}},
        "data": {key: entries.to_string()},
    });
    story.kubectl(&["apply", "--server-side", "--field-manager=kustomizer", "-f", "-"], &map.to_string());
}

/// What must not change by an adoption.
async fn running(story: &Story<'_>) -> Vec<Value> {
    story.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"], "");
    let pods: Value =
        serde_json::from_str(&story.kubectl(&["get", "pods", "-l", "app=web", "-o", "json"], ""))
            .expect("JSON");
    let mut uids: Vec<Value> =
        pods["items"].as_array().expect("items").iter().map(|p| p["metadata"]["uid"].clone()).collect();
    uids.sort_by_key(ToString::to_string);
    let deployment = story.object("apps/v1", "deployments", "web").await.expect("the deployment");
    uids.push(deployment["metadata"]["uid"].clone());
    uids.push(deployment["metadata"]["generation"].clone());
    uids.push(deployment["spec"].clone());
    for name in ["settings", "leaves", "moved"] {
        let map = story.object("v1", "configmaps", name).await.expect("the ConfigMap");
        uids.push(json!([map["metadata"]["uid"], map["data"]]));
    }
    uids
}

/// The managers of an object's own fields.
fn managers(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array().expect("managedFields").iter();
    let own = entries.filter(|e| e.get("subresource").is_none() && e["manager"] != "kube-controller-manager");
    own.map(|e| {
        format!(
            "{} {}",
            e["manager"].as_str().unwrap_or_default(),
            e["operation"].as_str().unwrap_or_default()
        )
    })
    .collect()
}

async fn taken_over(name: &str, record: &str, key: &str) {
    let story = Story::begin(name).await;
    let namespace = story.namespace();
    kustomizer_applied(&story, record, key);
    let before = running(&story).await;
    let person = Person::of(&story);

    // Another tool's inventory is not written to by accident.
    if record == "inv-shop" {
        let refused = person.run(&["apply", "-i", "shop", "-f", "-"], &config_map("settings", "kept"));
        assert_eq!(refused.code, 1);
        let expected = format!(
            "error: the inventory {namespace}/inv-shop was written by kustomizer: adopt its objects, without changing them, \
             with `supercargo adopt inventory shop --inventory-namespace {namespace}`\n"
        );
        assert!(refused.stderr.ends_with(&expected), "{}", refused.stderr);
    }

    let dry = person.run(&["adopt", "inventory", "shop", "--dry-run"], "");
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    let subject = |kind: &str, name: &str| format!("{kind}/{namespace}/{name}");
    for line in [
        format!("{} adopted (server dry run)\n", subject("ConfigMap", "settings")),
        format!("{} does not exist, skipped\n", subject("ConfigMap", "gone")),
        format!(
            "warning: {} skipped: its labels say that it belongs to Kustomizer {namespace}/other\n",
            subject("ConfigMap", "moved")
        ),
        format!("{} would record 3 object(s)\n", subject("ConfigMap", "inv-shop")),
    ] {
        assert!(dry.stderr.contains(&line), "{line:?} in {}", dry.stderr);
    }
    let map = story.object("v1", "configmaps", "settings").await.expect("the ConfigMap");
    assert_eq!(managers(&map), ["kustomizer Apply"], "a dry run changes nothing");

    let adopted = person.run(&["adopt", "inventory", "shop"], "");
    assert_eq!(adopted.code, 0, "{}", adopted.stderr);
    assert!(
        adopted.stderr.contains(&format!("{} adopted\n", subject("Deployment", "web"))),
        "{}",
        adopted.stderr
    );
    assert_eq!(running(&story).await, before, "nothing restarted, nothing changed");
    for (version, plural, name) in [("v1", "configmaps", "settings"), ("apps/v1", "deployments", "web")] {
        let object = story.object(version, plural, name).await.expect("the object");
        assert_eq!(managers(&object), ["supercargo Apply"]);
        let labels = &object["metadata"]["labels"];
        assert_eq!(
            (&labels["supercargo.dev/name"], &labels["supercargo.dev/namespace"]),
            (&json!("shop"), &json!(namespace))
        );
        assert_eq!(labels.get("inventory.kustomizer.dev/name"), None);
    }
    let inspected = person.run(&["inspect", "inventory", "shop"], "");
    let expected = format!(
        "Inventory: {namespace}/shop\nLastAppliedAt: 2022-11-21T10:00:00Z\nSource: https://git.example.com/shop\n\
         Revision: v1.2.3\nResources:\n- {}\n- {}\n- {}\n",
        subject("ConfigMap", "leaves"),
        subject("ConfigMap", "settings"),
        subject("Deployment", "web"),
    );
    assert_eq!(inspected.stdout, expected);

    // From now on it is ours as if we had applied it: what the manifests do not
    // name any more goes, fields and objects.
    let applied = person.run(&["apply", "-i", "shop", "--prune", "-f", "-"], &config_map("settings", "kept"));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let map = story.object("v1", "configmaps", "settings").await.expect("the ConfigMap");
    assert_eq!(map["data"], json!({"a": "kept"}));
    story.wait_gone("v1", "configmaps", "leaves").await;
    story.wait_gone("apps/v1", "deployments", "web").await;
    assert!(story.object("v1", "configmaps", "moved").await.is_some());
}

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: {value}}}\n")
}

#[story]
async fn an_inventory_of_kustomizer_2_is_taken_over() {
    taken_over("adopt-kustomizer-2", "inv-shop", "resources").await;
}

#[story]
async fn an_inventory_of_kustomizer_1_is_taken_over() {
    taken_over("adopt-kustomizer-1", "shop", "inventory").await;
}

#[story]
async fn an_adoption_that_may_not_change_an_object_changes_none() {
    let story = Story::begin("adopt-forbidden").await;
    kustomizer_applied(&story, "inv-shop", "resources");
    let before = story.object("v1", "configmaps", "settings").await.expect("the ConfigMap");
    // May do everything but change deployments.
    story.kubectl(&["create", "serviceaccount", "half"], "");
    story.apply(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: half}
rules:
- {apiGroups: [\"\"], resources: [configmaps], verbs: [\"*\"]}
- {apiGroups: [apps], resources: [deployments], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: half}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: half}
subjects: [{kind: ServiceAccount, name: half}]
",
    );
    let account = format!("system:serviceaccount:{}:half", story.namespace());
    let refused = Person::of(&story).run(&["adopt", "inventory", "shop", "--as", &account], "");
    assert_eq!(refused.code, 1);
    let namespace = story.namespace();
    assert!(
        refused.stderr.contains(&format!(
            "error: nothing written, cannot adopt 1 object(s):\n  Deployment/{namespace}/web: deployments.apps \
             \"web\" is forbidden: User \"{account}\" cannot patch resource \"deployments\""
        )),
        "{}",
        refused.stderr
    );
    assert_eq!(story.object("v1", "configmaps", "settings").await.expect("it"), before);
}

#[story]
async fn an_adoption_that_is_cut_off_is_finished_by_the_same_command() {
    let story = Story::begin("adopt-cut-off").await;
    kustomizer_applied(&story, "inv-shop", "resources");
    let before = running(&story).await;
    // The process dies after its first write, then after the first one that follows
    // the inventory's, until it gets through.
    let proxy = Proxy::before_api_server(story.bed());
    let kubeconfig = processes::directory("cut-off").join("kubeconfig");
    std::fs::write(&kubeconfig, proxy.kubeconfig(&story.bed().admin_kubeconfig())).expect("write a file");
    let person = Person::of(&story);
    let mut cut: u64 = 0;
    loop {
        proxy.hold_from((cut + 1).min(2), Moment::After, |seen| seen.writes());
        let mut command = person.command(&["adopt", "inventory", "shop"]);
        let mut child = command
            .env("KUBECONFIG", &kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the command line");
        let held = loop {
            if proxy.wait_held(Duration::from_millis(50), Moment::After).is_some() {
                break true;
            }
            if child.try_wait().expect("wait for a command").is_some() {
                break false;
            }
        };
        if held {
            child.kill().expect("kill a command");
        }
        let ended = child.wait_with_output().expect("wait for a command");
        proxy.discard();
        proxy.pass_all();
        if !held {
            let said = String::from_utf8_lossy(&ended.stderr);
            assert!(
                ended.status.success() || said.contains("is already an inventory of supercargo"),
                "{said}"
            );
            break;
        }
        cut += 1;
        assert!(cut < 20, "it gets on with every run");
        let record = story.object("v1", "configmaps", "inv-shop").await.expect("the inventory");
        if record["metadata"]["annotations"].get("supercargo.dev/adopting").is_none() {
            // The last write has landed: all is done.
            continue;
        }
        let refused =
            person.run(&["apply", "-i", "shop", "--prune", "-f", "-"], &config_map("settings", "kept"));
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        assert!(refused.stderr.contains("supercargo adopt"), "{}", refused.stderr);
    }
    assert!(cut >= 3, "the inventory, labels, fields: {cut}");
    assert_eq!(running(&story).await, before);
    let inspected = person.run(&["inspect", "inventory", "shop", "-o", "json"], "");
    let page: Value = serde_json::from_str(&inspected.stdout).expect("JSON");
    assert_eq!(page["resources"].as_array().map(Vec::len), Some(3), "{page}");
    for (version, plural, name) in [("v1", "configmaps", "settings"), ("apps/v1", "deployments", "web")] {
        let object = story.object(version, plural, name).await.expect("the object");
        assert_eq!(managers(&object), ["supercargo Apply"]);
    }
    let applied = person.run(&["apply", "-i", "shop", "--prune", "-f", "-"], &config_map("settings", "kept"));
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    story.wait_gone("v1", "configmaps", "leaves").await;
}

#[story]
async fn what_is_no_inventory_of_kustomizer_is_not_taken_for_one() {
    let story = Story::begin("adopt-nothing").await;
    let person = Person::of(&story);
    let namespace = story.namespace();
    let none = person.run(&["adopt", "inventory", "shop"], "");
    assert_eq!(
        (none.code, none.stderr.as_str()),
        (
            1,
            format!(
                "retrieving inventory...\nerror: no inventory of Kustomizer found in namespace {namespace}: neither ConfigMap inv-shop nor shop was written by the field manager kustomizer\n"
            )
            .as_str()
        )
    );
    assert_eq!(person.run(&["apply", "-i", "shop", "-f", "-"], &config_map("settings", "x")).code, 0);
    let ours = person.run(&["adopt", "inventory", "shop"], "");
    assert_eq!(ours.code, 1);
    assert!(ours.stderr.contains("is already an inventory of supercargo"), "{}", ours.stderr);
}

#[story]
async fn an_inventory_with_dots_in_its_name_is_taken_over_and_deleted() {
    let story = Story::begin("adopt-dots").await;
    let person = Person::of(&story);
    let namespace = story.namespace();
    // The last has the name that a second part of `shop` would have.
    for name in ["shop", "shop.example.com", "shop.2"] {
        let object = format!("{name}.object");
        let labels =
            json!({"inventory.kustomizer.dev/name": name, "inventory.kustomizer.dev/namespace": namespace});
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": object, "labels": labels}});
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                          "metadata": {"name": format!("{name}:a__b"), "labels": labels}, "rules": []});
        for applied in [map, role] {
            let apply = ["apply", "--server-side", "--field-manager=kustomizer", "-f", "-"];
            story.kubectl(&apply, &applied.to_string());
        }
        let entries = json!([
            {"id": format!("{namespace}_{object}__ConfigMap"), "ver": "v1"},
            {"id": format!("{namespace}_{name}__a__b_rbac.authorization.k8s.io_Role"), "ver": "v1"},
        ]);
        let record = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("inv-{name}"), "labels": {
                "app.kubernetes.io/name": name, "app.kubernetes.io/component": "inventory",
                "app.kubernetes.io/created-by": "kustomizer"}},
            "data": {"resources": entries.to_string()},
        });
        story.kubectl(
            &["apply", "--server-side", "--field-manager=kustomizer", "-f", "-"],
            &record.to_string(),
        );
    }
    for name in ["shop", "shop.example.com", "shop.2"] {
        let adopted = person.run(&["adopt", "inventory", name], "");
        assert_eq!(adopted.code, 0, "{}", adopted.stderr);
        for object in
            [format!("ConfigMap/{namespace}/{name}.object"), format!("Role/{namespace}/{name}:a__b")]
        {
            assert!(adopted.stderr.contains(&format!("{object} adopted\n")), "{}", adopted.stderr);
        }
    }
    let listed = person.run(&["get", "inventories"], "").stdout;
    let names: Vec<&str> = listed.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["shop", "shop.2", "shop.example.com"], "{listed}");
    for name in ["shop", "shop.example.com", "shop.2"] {
        let shown = person.run(&["inspect", "inventory", name], "").stdout;
        let expected =
            format!("Resources:\n- Role/{namespace}/{name}:a__b\n- ConfigMap/{namespace}/{name}.object\n");
        assert!(shown.ends_with(&expected), "{shown}");
    }
    for (deleted, left) in
        [("shop.2", Some("shop")), ("shop", Some("shop.example.com")), ("shop.example.com", None)]
    {
        let ended = person.run(&["delete", "inventory", deleted], "");
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(story.object("v1", "configmaps", &format!("{deleted}.object")).await.is_none());
        assert!(
            story.object("rbac.authorization.k8s.io/v1", "roles", &format!("{deleted}:a__b")).await.is_none()
        );
        if let Some(left) = left {
            assert!(story.object("v1", "configmaps", &format!("{left}.object")).await.is_some(), "{left}");
        }
    }
}
