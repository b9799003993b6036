//! Patches and image changes of a release, up to the real objects.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use supercargo_testbed::{Bed, Profiles, processes, story};

use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::Both;

/// A Deployment of two containers that nobody waits for.
const WEB: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example:5000/acme/web:1.0.0
        env:
        - {name: LEVEL, value: info}
        - {name: TRACE, value: \"on\"}
      - {name: proxy, image: acme/proxy:1}
";

fn patches() -> Value {
    let strategic = "apiVersion: apps/v1
kind: Deployment
metadata: {name: any}
spec:
  template:
    spec:
      containers:
      - name: web
        env:
        - {name: LEVEL, value: debug}
        - {name: TRACE, $patch: delete}
";
    json!([
        {"target": {"kind": "Deploy.*", "labelSelector": "tier=front"}, "patch": strategic},
        {"target": {"kind": "Deployment", "name": "web"},
         "patch": "- {op: replace, path: /spec/replicas, value: 2}\n- {op: remove, path: /spec/template/spec/containers/1}"},
    ])
}

#[story]
async fn objects_are_applied_as_patched() {
    let scene = Scene::begin("patches").await;
    let image = json!([{"name": "registry.example:5000/acme/web", "newTag": "2.0.0"}]);
    scene.install("app", WEB, json!({"patches": patches(), "images": image})).await;
    let web = scene.story.object("apps/v1", "deployments", "web").await.expect("it is applied");
    let containers = web.pointer("/spec/template/spec/containers").expect("containers");
    assert_eq!(containers.as_array().map(Vec::len), Some(1), "{web:#}");
    assert_eq!(web["spec"]["replicas"], 2);
    assert_eq!(containers[0]["image"], "registry.example:5000/acme/web:2.0.0");
    assert_eq!(containers[0]["env"], json!([{"name": "LEVEL", "value": "debug"}]));

    // The artifact is the same; what is asked for of it is not.
    scene.change("app", json!({"patches": null, "images": null}));
    let as_pushed = async || {
        let web = scene.story.object("apps/v1", "deployments", "web").await?;
        let second = web.pointer("/spec/template/spec/containers/1/image").cloned();
        (second == Some(json!("acme/proxy:1")) && web["spec"]["replicas"] == 1).then_some(())
    };
    scene.story.wait_for("the Deployment is as the artifact has it", as_pushed).await;
}

#[story]
async fn a_patch_that_does_not_apply_writes_nothing() {
    let scene = Scene::begin("patch-fails").await;
    scene.push("app", "1", &format!("{}{WEB}", config_map("settings", "one")));
    let patch = "- {op: remove, path: /spec/paused}";
    scene.create("app", json!({"patches": [{"target": {"kind": "Deployment"}, "patch": patch}]}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "PatchFailed").await;
    let said = "spec.patches[0]: Deployment/default/web: operation 0 (remove /spec/paused): the field does not \
                exist";
    assert!(message(&failed, "Ready").contains(said), "{failed:#}");
    assert!(message(&failed, "Stalled").contains(said), "{failed:#}");
    assert!(scene.config_map("settings").await.is_none());

    scene.change("app", json!({"patches": [{"patch": "kind: [broken"}]}));
    let invalid = scene.story.wait_condition("app", "Ready", "False", "InvalidSpec").await;
    assert!(message(&invalid, "Ready").contains("spec.patches[0].patch: line "), "{invalid:#}");

    scene.change("app", json!({"patches": null}));
    scene.story.wait_ready("app", "1@").await;
    assert!(scene.config_map("settings").await.is_some());
}

#[story]
async fn an_object_that_a_patch_renames_is_another_object() {
    let scene = Scene::begin("patch-renames").await;
    scene.install("app", &config_map("settings", "one"), json!({})).await;
    assert_eq!(scene.named("app").await, ["settings"]);

    let patch = "{apiVersion: v1, kind: ConfigMap, metadata: {name: renamed}}";
    let rename =
        json!([{"target": {"name": "settings"}, "patch": patch, "options": {"allowNameChange": true}}]);
    scene.change("app", json!({"patches": rename}));
    scene.story.wait_gone("v1", "configmaps", "settings").await;
    let renamed = scene.config_map("renamed").await.expect("it is there before the former is gone");
    assert_eq!(text(&renamed, "/metadata/labels/supercargo.dev~1name"), "app");
    scene.wait_named("app", &["renamed"]).await;

    let delete = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, $patch: delete}";
    scene.change("app", json!({"patches": [{"patch": delete}]}));
    let empty = scene.story.wait_condition("app", "Ready", "False", "ArtifactEmpty").await;
    assert!(message(&empty, "Ready").contains("has no objects"), "{empty:#}");
    assert!(scene.config_map("renamed").await.is_some());
}

/// The committed answers are those of the kubectl of this bed.
#[story]
async fn kubectl_kustomize_still_says_what_the_patch_corpus_expects() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/patches");
    let expected = fs::read(fixtures.join("expected.json")).expect("the expected answers");
    let expected: Value = serde_json::from_slice(&expected).expect("JSON");
    let directory = processes::directory("kustomize");
    let mut stale = Vec::new();
    // One in eight is enough to notice another version.
    for (name, answer) in expected.as_object().expect("answers by name").iter().step_by(8) {
        let case = fs::read_to_string(fixtures.join(format!("cases/{name}.yaml"))).expect("the case");
        let (head, objects) = case.split_once("\n---\n").expect("a kustomization and objects");
        let head = format!("{head}\nresources: [resources.yaml]\nsortOptions: {{order: fifo}}\n");
        fs::write(directory.join("kustomization.yaml"), head).expect("write the kustomization");
        fs::write(directory.join("resources.yaml"), objects).expect("write the objects");
        let output = Bed::shared().try_kubectl(&["kustomize", directory.to_str().expect("text")], "");
        let said = String::from_utf8_lossy(&output.stdout);
        let same = match answer["error"].as_str() {
            Some(_) => !output.status.success(),
            None => output.status.success() && said == answer["output"].as_str().unwrap_or_default(),
        };
        if !same {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "run the oracle in tests/fixtures/patches again: {stale:?}");
}
