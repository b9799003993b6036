//! Kinds that evolve: their definitions, versions and policies change while
//! releases have objects of them.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::scene::{ALL_RIGHTS, Scene, account, config_map, message, role, text};

const PROFILES: Profiles = Profiles::First("what changes in a cluster does not depend on rights");

const DEFINITIONS: &str = "customresourcedefinitions";

/// One version of the kind Widget, with the fields of its spec.
fn version(name: &str, served: bool, storage: bool, spec: &str) -> String {
    format!(
        "    - name: {name}
      served: {served}
      storage: {storage}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {spec}
"
    )
}

/// The definition of Widgets in a group of the story's own.
fn definition(scene: &Scene<'_>, versions: &[String]) -> String {
    scene.widgets(&format!("\n{}", versions.concat()))
}

fn widget(scene: &Scene<'_>, version: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: {}/{version}\nkind: Widget\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n",
        scene.group()
    )
}

const ANY: &str = "{type: object, x-kubernetes-preserve-unknown-fields: true}";

/// A Widget as the API server has it under a version.
async fn live(scene: &Scene<'_>, version: &str, name: &str) -> Option<Value> {
    scene.story.object(&format!("{}/{version}", scene.group()), "widgets", name).await
}

/// Installs a definition by somebody else, and waits until that is how it is served.
async fn define(scene: &Scene<'_>, served: &[&str], unserved: &[&str]) {
    let all: Vec<String> = served
        .iter()
        .map(|name| version(name, true, *name == "v1", ANY))
        .chain(unserved.iter().map(|name| version(name, false, *name == "v1", ANY)))
        .collect();
    scene.story.apply(&definition(scene, &all));
    let group = scene.group();
    scene
        .story
        .wait_for(&format!("{group} is served as {served:?}"), async || {
            let request = http::Request::get("/apis").body(Vec::new()).expect("a request");
            let groups = scene.story.client().request::<Value>(request).await.expect("the groups");
            let found = groups["groups"].as_array().expect("groups").iter().find(|g| g["name"] == *group);
            let versions: Vec<String> = found
                .and_then(|g| g["versions"].as_array())
                .into_iter()
                .flatten()
                .map(|v| text(v, "/version"))
                .collect();
            let is_so =
                versions.len() == served.len() && served.iter().all(|s| versions.iter().any(|v| v == s));
            is_so.then_some(())
        })
        .await;
}

/// Takes the definition away, which nobody's namespace does.
fn undefine(scene: &Scene<'_>) {
    scene.story.kubectl(&["delete", "crd", &format!("widgets.{}", scene.group()), "--wait=false"], "");
}

#[story]
async fn a_version_of_a_known_kind_that_is_new_is_applied_whoever_brings_it() {
    let scene = Scene::begin("new-version").await;
    define(&scene, &["v1"], &[]).await;
    scene.install("app", &widget(&scene, "v1", "w", "{size: 1}"), json!({"retryInterval": "1h"})).await;
    // By somebody else, since the operator has looked.
    define(&scene, &["v1", "v2"], &[]).await;
    scene.upgraded("app", "2", &widget(&scene, "v2", "w", "{size: 2}")).await;
    assert_eq!(live(&scene, "v1", "w").await.expect("it exists")["spec"]["size"], 2);
    // By the artifact, in one with its object.
    let versions = ["v1", "v2", "v3"].map(|name| version(name, true, name == "v1", ANY));
    let third = definition(&scene, &versions) + &widget(&scene, "v3", "w", "{size: 3}");
    scene.upgraded("app", "3", &third).await;
    assert_eq!(live(&scene, "v1", "w").await.expect("it exists")["spec"]["size"], 3);
    scene.upgraded("app", "4", &config_map("last", "one")).await;
}

#[story]
async fn a_definition_and_its_objects_change_together() {
    let scene = Scene::begin("redefined").await;
    let schema = |fields: &str| format!("{{type: object, {fields}}}");
    let revision = |fields: &str, spec: &str| {
        definition(&scene, &[version("v1", true, true, &schema(fields))]) + &widget(&scene, "v1", "w", spec)
    };
    let spec = json!({"retryInterval": "1h"});
    let small = "properties: {size: {type: string, enum: [small]}}";
    scene.install("app", &revision(small, "{size: small}"), spec).await;
    let first = live(&scene, "v1", "w").await.expect("it exists");
    // A new value, a new field, and a field that everybody has to set from now on.
    let large = "properties: {size: {type: string, enum: [small, large]}}";
    scene.upgraded("app", "2", &revision(large, "{size: large}")).await;
    let colors = "properties: {size: {type: string}, color: {type: string}}";
    scene.upgraded("app", "3", &revision(colors, "{size: large, color: red}")).await;
    let owned =
        "required: [owner], properties: {size: {type: string}, color: {type: string}, owner: {type: string}}";
    scene.upgraded("app", "4", &revision(owned, "{size: large, color: red, owner: me}")).await;
    let last = live(&scene, "v1", "w").await.expect("it exists");
    assert_eq!(last["spec"], json!({"size": "large", "color": "red", "owner": "me"}));
    assert_eq!(text(&last, "/metadata/uid"), text(&first, "/metadata/uid"));
    scene.upgraded("app", "5", &config_map("last", "one")).await;
}

#[story]
async fn what_the_old_schema_takes_and_the_new_one_refuses_ends_the_run_before_the_rest_is_written() {
    let scene = Scene::begin("narrowed").await;
    let revision = |allowed: &str, spec: &str| {
        let schema = format!(
            "{{type: object, properties: {{size: {{type: string, enum: [{allowed}]}}, note: {{type: string}}}}}}"
        );
        definition(&scene, &[version("v1", true, true, &schema)]) + &widget(&scene, "v1", "w", spec)
    };
    let spec = json!({"retryInterval": "1h"});
    scene.install("app", &revision("small, large", "{size: small}"), spec).await;
    // A value that stays is not looked at again by the API server.
    let second = revision("small", "{size: large, note: new}") + &config_map("rest", "one");
    scene.upgrade("app", "2", &second);
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let said = message(&refused, "Ready");
    assert!(said.starts_with("applied only Namespaces and CustomResourceDefinitions"), "{said}");
    assert!(said.contains("Widget/") && said.contains("Unsupported value: \"large\""), "{said}");
    assert!(scene.config_map("rest").await.is_none());
    assert_eq!(live(&scene, "v1", "w").await.expect("it exists")["spec"].get("note"), None);
    scene.upgraded("app", "3", &config_map("last", "one")).await;
}

#[story]
async fn a_policy_and_what_it_refused_change_together() {
    let scene = Scene::begin("policy").await;
    let name = scene.namespace().to_owned();
    let revision = |allowed: &str, size: &str| {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
    objectSelector: {{matchLabels: {{sized: \"yes\"}}}}
    resourceRules: [{{apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}}]
  validations: [{{expression: \"object.data.size in [{allowed}]\", message: it is too large}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: sized, labels: {{sized: \"yes\"}}}}
data: {{size: {size}}}
---
"
        )
    };
    scene.install("app", &revision("'small'", "small"), json!({"retryInterval": "1h"})).await;
    let patch = json!({"data": {"size": "large"}}).to_string();
    scene
        .story
        .wait_for("the policy is in force", async || {
            let arguments = [
                "-n",
                &name,
                "patch",
                "configmap",
                "sized",
                "--type=merge",
                "--dry-run=server",
                "-p",
                &patch,
            ];
            let tried = scene.story.bed().try_kubectl(&arguments, "");
            String::from_utf8_lossy(&tried.stderr).contains("it is too large").then_some(())
        })
        .await;
    scene.upgraded("app", "2", &revision("'small','large'", "large")).await;
    let sized = scene.config_map("sized").await.expect("it exists");
    assert_eq!(sized["data"]["size"], "large");
    // What the new one refuses as well ends the run before the rest is written.
    scene.upgrade("app", "3", &(revision("'tiny'", "huge") + &config_map("rest", "one")));
    let refused = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let said = message(&refused, "Ready");
    let written = "applied only Namespaces, CustomResourceDefinitions and admission policies";
    assert!(said.starts_with(written) && said.contains("it is too large"), "{said}");
    assert!(scene.config_map("rest").await.is_none());
    scene.upgraded("app", "4", &config_map("last", "one")).await;
}

#[story]
async fn a_quota_and_what_it_refused_change_together() {
    let scene = Scene::begin("quota").await;
    let quota = |most: u32| {
        format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: few}}\nspec: {{hard: {{count/services: \"{most}\"}}}}\n---\n"
        )
    };
    let service = |name: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n"
        )
    };
    let counts = async |used: &str| {
        let counted = async || {
            let quota = scene.story.object("v1", "resourcequotas", "few").await?;
            (text(&quota, "/status/used/count~1services") == used).then_some(())
        };
        scene.story.wait_for("the quota counts", counted).await;
    };
    // A Service that is made before the quota counts may not be counted for minutes.
    scene.install("app", &quota(1), json!({"retryInterval": "1h"})).await;
    counts("0").await;
    scene.upgraded("app", "2", &(quota(1) + &service("a"))).await;
    counts("1").await;
    scene.upgraded("app", "3", &(quota(2) + &service("a") + &service("b"))).await;
    assert!(scene.story.object("v1", "services", "b").await.is_some());
}

#[story]
async fn promise_2_an_object_whose_version_is_no_longer_served_is_deleted_all_the_same() {
    let scene = Scene::begin("unserved-version").await;
    define(&scene, &["v1", "v2"], &[]).await;
    let both = widget(&scene, "v2", "leaves", "{size: 1}") + &config_map("stays", "one");
    scene.install("app", &both, json!({})).await;
    scene.install("goes", &widget(&scene, "v2", "goes", "{size: 1}"), json!({})).await;
    define(&scene, &["v1"], &["v2"]).await;
    scene.upgraded("app", "2", &config_map("stays", "one")).await;
    assert!(live(&scene, "v1", "leaves").await.is_none(), "it was left behind");
    assert_eq!(scene.named("app").await, ["stays"]);
    scene.story.kubectl(&["delete", "oar", "goes", "--timeout=60s"], "");
    assert!(live(&scene, "v1", "goes").await.is_none(), "it was left behind");
    assert!(scene.config_map("inv-goes").await.is_none());
    undefine(&scene);
}

#[story]
async fn promise_2_an_object_of_which_no_version_is_served_is_not_forgotten() {
    let scene = Scene::begin("unserved-kind").await;
    define(&scene, &["v1"], &[]).await;
    // The account of the second may read no definition.
    scene.story.apply(&(account("narrow") + &role("narrow", scene.story.namespace(), ALL_RIGHTS)));
    let releases = [("app", json!({})), ("tenant", json!({"serviceAccountName": "narrow"}))];
    for (name, spec) in &releases {
        scene.install(name, &widget(&scene, "v1", name, "{size: 1}"), spec.clone()).await;
    }
    define(&scene, &[], &["v1"]).await;
    let definition = format!("the CustomResourceDefinition widgets.{} serves no version", scene.group());
    for (name, _) in &releases {
        scene.story.kubectl(&["delete", "oar", name, "--wait=false"], "");
        let told = async || {
            let stays = scene.story.wait_condition(name, "Ready", "False", "PruneFailed").await;
            let said = message(&stays, "Ready");
            (said.contains(&definition) && said.contains("serve one, or delete the definition")).then_some(())
        };
        scene.story.wait_for("the status says what keeps it", told).await;
        assert_eq!(scene.named(name).await, [*name]);
    }
    define(&scene, &["v1"], &[]).await;
    for (name, _) in &releases {
        scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", name).await;
        assert!(live(&scene, "v1", name).await.is_none());
    }
    // Without the definition there is nothing that could be left.
    scene.install("again", &widget(&scene, "v1", "w", "{size: 1}"), json!({})).await;
    undefine(&scene);
    let name = format!("widgets.{}", scene.group());
    let gone = async || {
        scene
            .story
            .object_in(None, "apiextensions.k8s.io/v1", DEFINITIONS, &name)
            .await
            .is_none()
            .then_some(())
    };
    scene.story.wait_for("the definition is gone", gone).await;
    scene.story.kubectl(&["delete", "oar", "again", "--timeout=60s"], "");
    assert!(scene.config_map("inv-again").await.is_none());
}

#[story]
async fn a_watch_on_a_version_that_is_no_longer_served_goes_on_in_another() {
    let scene = Scene::begin("moved-watch").await;
    define(&scene, &["v1", "v2"], &[]).await;
    scene.install("app", &widget(&scene, "v1", "w", "{size: 1}"), json!({})).await;
    let before = scene.mark();
    define(&scene, &["v1"], &["v2"]).await;
    let resource = format!("widgets.v1.{}", scene.group());
    let edited = async |size: u32| {
        let mark = scene.mark();
        let patch = json!({"spec": {"size": size}}).to_string();
        scene.story.kubectl(&["patch", &resource, "w", "--type=merge", "-p", &patch], "");
        let put_back = async || {
            let size = live(&scene, "v1", "w").await?["spec"]["size"].clone();
            (size == 1 && !scene.writes(mark).is_empty()).then_some(())
        };
        scene.story.wait_for("the edit is put back", put_back).await;
    };
    edited(2).await;
    let path = format!("/apis/{}/v1/", scene.group());
    let moved = async || {
        let requests = scene.story.bed().audit().since(before, &scene.story.operator_account().user());
        requests.iter().find(|r| r.verb == "watch" && r.uri.starts_with(&path)).map(|_| ())
    };
    scene.story.wait_for("the kind is watched in the version that is served", moved).await;
    edited(3).await;
    undefine(&scene);
}
