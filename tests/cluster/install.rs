//! First installs, and what a person sees of them.

use std::process::Command;

use serde_json::{Value, json};
use supercargo::domain::artifact::digest::shortened;
use supercargo_testbed::audit::Request;
use supercargo_testbed::operator::Options;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Registry, Story, fetch, registry, story};

use super::scene::{BINARY, Scene, config_map, widgets};

const PROFILES: Profiles = Profiles::Both;

#[story]
async fn into_an_existing_namespace_and_with_its_own() {
    let scene =
        Scene::builder("install-namespace").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    let (existing, own) =
        (story.another_namespace("install-existing"), story.reserve_namespace("install-own"));
    let app = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings, namespace: {namespace}}}\ndata: {{a: b}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec: {{ports: [{{port: 80}}]}}\n---\n"
        )
    };
    scene.push("existing", "1", &app(&existing));
    scene.push("local", "1", &config_map("local", "b"));
    // The namespace comes last in the artifact, and is applied first.
    let with = format!("{}apiVersion: v1\nkind: Namespace\nmetadata: {{name: {own}}}\n", app(&own));
    scene.push("own", "1", &with);
    for name in ["existing", "local", "own"] {
        scene.create(name, json!({"wait": true}));
    }
    for (name, entries) in [("existing", 2), ("local", 1), ("own", 3)] {
        let release = story.wait_ready(name, "1@sha256:").await;
        assert_eq!(
            release["status"]["inventory"],
            json!({"name": format!("inv-{name}"), "entries": entries})
        );
        assert_eq!(release["status"]["changes"]["created"], entries);
        assert_eq!(release["status"]["history"][0]["outcome"], "Healthy");
    }
    for namespace in [&existing, &own] {
        let found = story.object_in(Some(namespace), "v1", "services", "web").await.expect("the service");
        let labels = &found["metadata"]["labels"];
        assert_eq!(labels["supercargo.dev/namespace"], story.namespace(), "{labels}");
    }
    assert_eq!(scene.data("local").await.as_deref(), Some("b"), "without a namespace: the release's");
}

#[story]
async fn a_definition_and_its_resource_in_one_artifact() {
    let scene =
        Scene::builder("install-definition").await.own_registry(Registry::plain()).slow_retries().start();
    let group = format!("{}.example.com", scene.story.namespace());
    let resource =
        format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: first}}\nspec: {{size: 3}}\n---\n");
    let yaml = resource
        + &widgets(
            &group,
            "
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
",
        );
    scene.push("widgets", "1", &yaml);
    scene.create("widgets", json!({"wait": true}));
    let release = scene.story.wait_ready("widgets", "1@").await;
    assert_eq!(release["status"]["changes"]["created"], 2);
    let widget = scene.story.object(&format!("{group}/v1"), "widgets", "first").await.expect("the widget");
    assert_eq!(widget["spec"]["size"], 3);
    scene.story.kubectl(&["delete", "oar", "widgets", "--timeout=60s"], "");
    let crds = "apiextensions.k8s.io/v1";
    let definition = format!("widgets.{group}");
    scene
        .story
        .wait_for("the definition is gone", async || {
            scene
                .story
                .object_in(None, crds, "customresourcedefinitions", &definition)
                .await
                .is_none()
                .then_some(())
        })
        .await;
}

#[story]
async fn promise_9_a_namespace_admin_installs_role_binding_and_account_in_one_artifact() {
    let scene = Scene::builder("install-admin").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    story.kubectl(&["create", "serviceaccount", "installer"], "");
    let account = format!("--serviceaccount={}:installer", story.namespace());
    story.kubectl(&["create", "rolebinding", "installer", "--clusterrole=admin", &account], "");
    let yaml = format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: app}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}}
subjects: [{{kind: ServiceAccount, name: app, namespace: {}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: app}}
spec:
  selector: {{matchLabels: {{app: app}}}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec: {{serviceAccountName: app, containers: [{{name: app, image: 'app:1'}}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: app}}
rules: [{{apiGroups: [''], resources: [configmaps], verbs: [get]}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: app}}
",
        story.namespace()
    );
    scene.push("app", "1", &yaml);
    let mark = story.bed().audit().mark();
    scene.create("app", json!({"serviceAccountName": "installer", "wait": true}));
    let release = story.wait_ready("app", "1@").await;
    assert_eq!(release["status"]["changes"]["created"], 4, "{release:#}");
    let installer = format!("system:serviceaccount:{}:installer", story.namespace());
    let requests = story.bed().audit().since(mark, &story.operator_account().user());
    // What it does as itself, by design; everything else is done with the rights of
    // the account.
    let own = |r: &Request| match r.resource.as_str() {
        "ociartifactreleases" | "events" | "leases" | "configmaps" => true,
        "serviceaccounts" => matches!(r.verb.as_str(), "get" | "list" | "watch"),
        "" | "namespaces" | "customresourcedefinitions" => r.verb == "get",
        _ => false,
    };
    for request in requests.iter().filter(|r| !own(r)) {
        assert_eq!(request.impersonated.as_deref(), Some(installer.as_str()), "{}", request.summary());
    }
    assert!(requests.iter().any(|r| r.resource == "deployments" && r.writes()));

    // A role that is nowhere is told by its name.
    let missing = yaml.replace("kind: Role, name: app}", "kind: Role, name: none}");
    scene.push(
        "app",
        "2",
        &missing.replace("metadata: {name: app}\nroleRef", "metadata: {name: other}\nroleRef"),
    );
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let release = story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    let message = condition(&release, "Ready").expect("ready").message;
    assert!(message.contains("the Role none of its roleRef does not exist"), "{message}");
    assert_eq!(release["status"]["inventory"]["entries"], 4);
}

#[story]
async fn replicas_that_an_autoscaler_sets_are_left_alone() {
    let scene =
        Scene::builder("install-replicas").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    let yaml = |image: &str| {
        format!(
            "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: '{image}'}}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}
  minReplicas: 2
  maxReplicas: 9
"
        )
    };
    scene.push("web", "1", &yaml("web:1"));
    scene.push("web", "2", &yaml("web:2"));
    scene.create("web", json!({}));
    story.wait_ready("web", "1@").await;
    story.kubectl(&["scale", "deployment/web", "--replicas=4"], "");
    scene.change("web", json!({"ref": {"tag": "2"}}));
    let release = story.wait_ready("web", "2@").await;
    let web = story.object("apps/v1", "deployments", "web").await.expect("the deployment");
    assert_eq!(web["spec"]["replicas"], 4);
    assert_eq!(web["spec"]["template"]["spec"]["containers"][0]["image"], "web:2");
    assert_eq!(release["status"]["changes"]["configured"], 1);
    assert_eq!(condition(&release, "Drifted").map(|c| c.status).as_deref(), Some("False"));
}

// What a person does first: publishes, installs, waits, looks.
#[story]
async fn kubectl_waits_for_it_and_status_and_events_tell_it_all() {
    let scene = Scene::builder("install-status").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    let directory = supercargo_testbed::processes::directory("app");
    let push = |tag: &str, yaml: String| -> String {
        std::fs::write(directory.join("app.yaml"), yaml).expect("write a file");
        let url = format!("oci://{}/app:{tag}", scene.registry().host());
        let output = Command::new(BINARY)
            .args(["push", "artifact", &url, "-f"])
            .arg(&directory)
            .args([
                "--source=https://git.example/app",
                "--revision=main@sha1:0123",
                "--created=2026-01-02T03:04:05Z",
            ])
            .env("DOCKER_CONFIG", "/nonexistent")
            .output()
            .expect("run supercargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        scene
            .registry()
            .crane(&["digest", &format!("{}/app:{tag}", scene.registry().host())])
            .trim()
            .to_owned()
    };
    let first = push("1", format!("{}{}", config_map("a", "1"), config_map("b", "1")));
    let second = push("2", format!("{}{}", config_map("a", "2"), config_map("c", "1")));
    scene.create("app", json!({"wait": true}));
    story.kubectl(&["wait", "--for=condition=Ready", "oar/app", "--timeout=60s"], "");
    let release = story.wait_ready("app", &first).await;
    let status = &release["status"];
    let revision = format!("1@{first}");
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(
        status["artifact"],
        json!({
            "revision": revision, "digest": first, "createdAt": "2026-01-02T03:04:05Z",
            "source": "https://git.example/app", "sourceRevision": "main@sha1:0123",
        })
    );
    for field in ["lastAttemptedRevision", "lastAppliedRevision", "lastHealthyRevision"] {
        assert_eq!(status[field], revision.as_str(), "{field}");
    }
    assert_eq!(status["inventory"], json!({"name": "inv-app", "entries": 2}));
    assert_eq!(
        status["changes"],
        json!({"created": 2, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0})
    );
    assert_eq!(
        kinds(&release),
        [("Ready", "True"), ("Verified", "Unknown"), ("Healthy", "True"), ("Drifted", "False")]
    );
    let ready = condition(&release, "Ready").expect("ready");
    assert_eq!(ready.reason, "ReconciliationSucceeded");
    assert_eq!(ready.message, format!("Applied 2 objects of revision {}", shortened(&revision)));

    let patch =
        r#"{"metadata":{"annotations":{"supercargo.dev/reconcile-at":"now"}},"spec":{"ref":{"tag":"2"}}}"#;
    story.kubectl(&["patch", "oar", "app", "--type=merge", "-p", patch], "");
    let release = story.wait_ready("app", &second).await;
    let status = &release["status"];
    assert_eq!(status["lastHandledReconcileAt"], "now");
    assert_eq!(
        status["changes"],
        json!({"created": 1, "configured": 1, "unchanged": 0, "pruned": 1, "failed": 0})
    );
    let history = status["history"].as_array().expect("a history");
    let told: Vec<_> = history.iter().map(|h| (h["digest"].as_str(), h["outcome"].as_str())).collect();
    assert_eq!(told, [(Some(second.as_str()), Some("Healthy")), (Some(first.as_str()), Some("Healthy"))]);
    assert!(
        history.iter().all(|h| h["appliedAt"].as_str().is_some_and(|at| at.ends_with('Z'))),
        "{history:?}"
    );

    scene.change("app", json!({"ref": {"tag": "none"}}));
    story.wait_condition("app", "Ready", "False", "ArtifactNotFound").await;
    let expected = [
        ("Normal", "ReconciliationSucceeded", format!("Applied 2 objects of revision {revision}: 2 created")),
        (
            "Normal",
            "ReconciliationSucceeded",
            format!("Applied 2 objects of revision 2@{second}: 1 created, 1 configured, 1 pruned"),
        ),
        ("Warning", "ArtifactNotFound", format!("{}/app:none was not found", scene.registry().host())),
    ];
    for (kind, reason, message) in &expected {
        story
            .wait_for(&format!("an event {kind} {reason} {message}"), async || {
                let events =
                    story.kubectl(&["get", "events", "--field-selector=involvedObject.name=app"], "");
                let says =
                    |l: &&str| l.contains(kind) && l.contains(reason) && l.contains(&shortened(message));
                events.lines().find(says).map(|_| ())
            })
            .await;
    }
    let events = story.kubectl(&["get", "events", "-o", "json"], "");
    let events: Value = serde_json::from_str(&events).expect("JSON");
    let first_event = &events["items"]
        .as_array()
        .expect("items")
        .iter()
        .find(|e| e["message"] == json!(shortened(&expected[0].2)));
    let event = first_event.expect("the event");
    assert_eq!(event["involvedObject"]["uid"], release["metadata"]["uid"]);
    assert_eq!(event["metadata"]["annotations"]["supercargo.dev/revision"], revision.as_str());
    let described = story.kubectl(&["describe", "oar", "app"], "");
    assert!(described.contains("ArtifactNotFound"), "{described}");
}

fn kinds(release: &Value) -> Vec<(&str, &str)> {
    let all = release["status"]["conditions"].as_array().expect("conditions");
    all.iter()
        .map(|c| (c["type"].as_str().unwrap_or_default(), c["status"].as_str().unwrap_or_default()))
        .collect()
}

#[story]
async fn logs_and_endpoints_tell_what_it_does_and_its_end_gives_the_lease_back() {
    let registry = registry::Registry::plain();
    let mut scene = Scene::builder("install-process")
        .await
        .own_registry(registry)
        .slow_retries()
        .argument("--log-format=json")
        .start();
    let digest = scene.push("app", "1", &config_map("a", "1"));
    scene.create("app", json!({}));
    scene.story.wait_ready("app", "1@").await;
    let log = scene.operator.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let line = lines.iter().find(|line| line["created"] == 1).unwrap_or_else(|| panic!("{log}"));
    assert_eq!(line["release"], format!("{}/app", scene.story.namespace()));
    assert_eq!(line["revision"], format!("1@{digest}"));
    assert_eq!(line["trace_id"].as_str().map(str::len), Some(32), "{line}");
    assert_eq!((&line["outcome"], &line["reason"]), (&json!("success"), &json!("ReconciliationSucceeded")));
    assert!(line["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{line}");
    assert_eq!(line["message"], format!("Applied 1 object of revision 1@{digest}"));
    let of_the_release: Vec<&Value> = lines.iter().filter(|line| line["release"].is_string()).collect();
    assert_eq!(of_the_release.len(), 1, "one line for one run: {log}");

    let get = |path: &str| {
        let url = format!("http://{}{path}", scene.operator.address());
        fetch::send("GET", &url, &[], &[], fetch::Trust::default())
    };
    assert_eq!((get("/healthz").code, get("/readyz").code), (200, 200));
    let metrics = get("/metrics").text();
    for name in
        ["supercargo_releases", "supercargo_reconcile", "supercargo_leader", "supercargo_registry_requests"]
    {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }

    assert_eq!(scene.operator.stop(), Some(0), "{}", scene.operator.log());
    let lease = lease(&scene.story).await;
    assert_eq!(lease["spec"]["holderIdentity"].as_str().unwrap_or_default(), "", "{lease:#}");
    // The next one begins at once, and has nothing to do.
    let mark = scene.story.bed().audit().mark();
    let account = scene.story.operator_account();
    let mut next = Options::new(BINARY, &account)
        .watching(&[scene.story.namespace()])
        .cache(scene.operator.cache())
        .start();
    next.wait_ready();
    scene
        .story
        .wait_for("the next one has seen the release", async || {
            (next.metric("supercargo_releases{ready=\"True\"}") == Some(1.0)).then_some(())
        })
        .await;
    let writes: Vec<String> = scene
        .story
        .bed()
        .audit()
        .since(mark, &account.user())
        .iter()
        .filter(|r| r.writes() && r.resource != "leases")
        .map(|r| r.summary())
        .collect();
    assert_eq!(writes, Vec::<String>::new());
}

async fn lease(story: &Story<'_>) -> Value {
    let account = story.operator_account();
    story.object("coordination.k8s.io/v1", "leases", account.lease()).await.expect("the lease")
}
