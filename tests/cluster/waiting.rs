//! The wait for health: what ends it, and what it says.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::dependencies::make_ready;
use crate::scene::{Scene, config_map, deployment, failing_deployment, message, unready_deployment};

const PROFILES: Profiles = Profiles::First("what is waited for does not depend on rights");

#[story]
async fn a_health_timeout_names_the_objects_and_health_that_comes_later_counts() {
    let scene = Scene::begin("health-late").await;
    let slow = unready_deployment("slow");
    scene.push("app", "1", &format!("{}{slow}", config_map("a", "one")));
    scene.create("app", json!({"wait": true, "timeout": "1s", "retryInterval": "1h"}));
    let late = scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    let said = message(&late, "Ready");
    let object = format!("Deployment/{}/slow: ", scene.namespace());
    assert!(said.starts_with("not healthy within spec.timeout (1s); ") && said.contains(&object), "{said}");
    assert_eq!(message(&late, "Healthy"), said);
    assert_eq!(late["status"]["failures"][0]["reason"], "HealthTimeout");
    assert_eq!(late["status"]["history"][0]["outcome"], "Failed");

    make_ready(&scene, "slow");
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(ready["status"]["lastHealthyRevision"], ready["status"]["lastAppliedRevision"]);
    assert_eq!(ready["status"].get("failures"), None);
    assert_eq!(ready["status"]["history"][0]["outcome"], "Healthy", "{}", ready["status"]);
}

#[story]
async fn a_newer_spec_or_revision_ends_the_wait_at_once() {
    let scene = Scene::begin("superseded").await;
    let waits = unready_deployment("web");
    scene.push("app", "1", &waits);
    let spec = json!({"wait": true, "timeout": "1h", "interval": "10s"});
    scene.create("app", spec);
    scene.story.wait_condition("app", "Reconciling", "True", "Progressing").await;
    // Another spec.
    scene.upgrade("app", "2", &waits);
    let waits_for_second = async || {
        let release = scene.story.release("app").await?;
        let says = message(&release, "Ready");
        (says.starts_with("Waiting for 1 of 1 object: ") && says.contains(" (revision 2@")).then_some(())
    };
    scene.story.wait_for("the second revision is waited for", waits_for_second).await;
    // Another digest under the same tag, seen by the interval.
    scene.push("app", "2", &deployment("web", "main:2", 1));
    let ready = scene.story.wait_ready("app", "2@").await;
    assert_eq!(ready["status"]["lastHealthyRevision"], ready["status"]["lastAppliedRevision"]);
}

#[story]
async fn a_failed_object_ends_the_wait_with_its_reason() {
    let scene = Scene::begin("failed").await;
    let job = "apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  activeDeadlineSeconds: 1
  template:
    metadata: {labels: {testbed.supercargo.dev/pod: failed}}
    spec: {restartPolicy: Never, containers: [{name: main, image: main}]}
";
    for (release, object, reason) in [
        ("job", job, "DeadlineExceeded"),
        ("web", failing_deployment("web", "main:1").as_str(), "ProgressDeadlineExceeded"),
    ] {
        scene.push(release, "1", object);
        scene.create(release, json!({"wait": true, "timeout": "1h"}));
        let failed = scene.story.wait_condition(release, "Ready", "False", "HealthCheckFailed").await;
        let said = message(&failed, "Ready");
        assert!(said.contains(reason) && said.contains(scene.namespace()), "{said}");
        assert_eq!(message(&failed, "Healthy"), said);
    }
}

#[story]
async fn promise_6_a_definition_that_is_never_established_holds_no_worker() {
    let scene = Scene::builder("crd-conflict").await.argument("--concurrency=1").start();
    let group = format!("{}.example.com", scene.namespace());
    let definition = |plural: &str, served: bool| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: {plural}, singular: {plural}-one, kind: {kind}}}
  versions: [{{name: v1, served: {served}, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]
---
",
            kind = if served { "Taken" } else { "Unserved" },
        )
    };
    // One that has the name, one that wants it too, and one that is established
    // and never served.
    scene.install("has", &definition("firsts", true), json!({})).await;
    scene.push("wants", "1", &definition("seconds", true));
    scene.create("wants", json!({"timeout": "1h"}));
    scene.push("unserved", "1", &definition("thirds", false));
    scene.create("unserved", json!({"timeout": "1h"}));
    let failed = scene.story.wait_condition("wants", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    assert!(said.contains(&format!("seconds.{group}")) && said.contains("names are not accepted"), "{said}");
    let exists = async || {
        let (plural, name) = ("customresourcedefinitions", format!("thirds.{group}"));
        scene.story.object_in(None, "apiextensions.k8s.io/v1", plural, &name).await.map(|_| ())
    };
    scene.story.wait_for("the unserved definition is written", exists).await;
    scene.install("other", &config_map("other", "one"), json!({})).await;

    for release in ["wants", "unserved", "has"] {
        scene.story.kubectl(&["delete", "oar", release, "--wait=false"], "");
        scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", release).await;
    }
}

#[story]
async fn a_release_waits_for_what_a_custom_resource_says_about_itself() {
    let scene = Scene::begin("health-custom").await;
    let (group, namespace) = (scene.group(), scene.namespace().to_owned());
    let version = " [{name: v1, served: true, storage: true, subresources: {status: {}}, \
                   schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]\n";
    scene.story.kubectl(&["apply", "-f", "-"], &scene.widgets(version));
    let definition = format!("crd/widgets.{group}");
    scene.story.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &definition], "");
    let widgets = format!("widgets.{group}");
    let says = |status: Value| {
        let patch = json!({"status": status}).to_string();
        let name = ["patch", &widgets, "w", "--subresource=status", "--type=merge", "-p", &patch];
        scene.story.kubectl(&name, "");
    };
    let widget = |size: u8| {
        format!("---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {{size: {size}}}\n")
    };

    // Nothing yet, then not yet: kstatus calls both current.
    scene.push("app", "1", &widget(1));
    scene.create("app", json!({"wait": true, "timeout": "10m"}));
    let waits = format!("Waiting for 1 of 1 object: Widget/{namespace}/w");
    scene.wait_message("app", "Unknown", &waits).await;
    let mark = scene.mark();
    says(json!({"phase": "Pending", "observedGeneration": 1}));
    let has_looked = async || {
        let requests = scene.requests(mark);
        requests
            .iter()
            .any(|request| request.verb == "get" && request.uri.ends_with("/widgets/w"))
            .then_some(())
    };
    scene.story.wait_for("the operator has read the Widget", has_looked).await;
    let ready = scene.condition("app", "Ready").await.expect("a condition");
    assert_eq!((ready.status.as_str(), ready.message.contains(&waits)), ("Unknown", true));
    says(json!({"phase": "Running"}));
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(message(&ready, "Healthy"), "All objects are healthy");

    // The next generation is not seen yet; and what a person has suspended is named.
    scene.upgrade("app", "2", &widget(2));
    scene.wait_message("app", "Unknown", "Waiting for 1 of 1 object").await;
    says(
        json!({"observedGeneration": 2, "conditions": [{"type": "Paused", "status": "True", "reason": "ByHand"}]}),
    );
    scene.story.wait_ready("app", "2@").await;
    scene
        .wait_says(
            "app",
            "Healthy",
            &[&format!("All objects are healthy or suspended: Widget/{namespace}/w")],
        )
        .await;

    // A word that is final ends the wait at once.
    scene.upgrade("app", "3", &widget(3));
    scene.wait_message("app", "Unknown", "Waiting for 1 of 1 object").await;
    says(json!({"observedGeneration": 3, "phase": "Failed", "conditions": []}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    assert!(
        message(&failed, "Ready").contains(&format!("Widget/{namespace}/w: phase is Failed")),
        "{failed:#}"
    );
    scene.story.kubectl(&["delete", &definition, "--wait=false"], "");
}

#[story]
async fn an_address_is_waited_for_only_on_request() {
    let scene = Scene::begin("health-address").await;
    let service = |name: &str, annotations: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, annotations: {annotations}}}\n\
             spec: {{type: LoadBalancer, ports: [{{port: 80}}]}}\n"
        )
    };
    let asked = service("asked", "{supercargo.dev/wait-for-address: enabled}");
    scene.push("app", "1", &(service("plain", "{}") + &asked));
    scene.create("app", json!({"wait": true, "timeout": "10m"}));
    let waits = format!("Waiting for 1 of 2 objects: Service/{}/asked", scene.namespace());
    scene.wait_message("app", "Unknown", &waits).await;
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}).to_string();
    scene.story.kubectl(&["patch", "service", "asked", "--subresource=status", "-p", &address], "");
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn a_definition_that_goes_while_a_run_waits_for_it_is_created_again() {
    let scene = Scene::begin("health-definition-goes").await;
    let version = " [{name: v1, served: true, storage: true, \
                   schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]\n";
    let definition = scene.widgets(version);
    let held = definition.replace("metadata: {", "metadata: {finalizers: [example.com/hold], ");
    scene.story.kubectl(&["apply", "-f", "-"], &held);
    let name = format!("crd/widgets.{}", scene.group());
    scene.story.kubectl(&["delete", &name, "--wait=false"], "");
    scene.push("app", "1", &definition);
    scene.create("app", json!({"timeout": "10m"}));
    scene.wait_message("app", "Unknown", "Waiting for CustomResourceDefinitions to be established").await;
    scene.story.kubectl(
        &["patch", &name, "--type=json", "-p", r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#],
        "",
    );
    scene.story.wait_ready("app", "1@").await;
}
