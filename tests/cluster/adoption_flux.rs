//! Taking over from Flux, with Flux's own controllers at work.

use std::path::Path;

use serde_json::{Value, json};
use supercargo_testbed::processes::{self, Server};
use supercargo_testbed::story::condition;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, Registry, Story, ports, story};

use super::person::Person;
use super::scene::Scene;

const PROFILES: Profiles = Profiles::Both;

/// Flux, in one namespace.
struct Flux {
    _controllers: [Server; 2],
}

impl Flux {
    fn start(story: &Story<'_>) -> Flux {
        let tools = Tools::flux();
        for definition in tools.files() {
            let definition = definition.display().to_string();
            story.bed().kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &definition], "");
        }
        let names =
            ["ocirepositories.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"];
        for name in names {
            let crd = format!("crd/{name}");
            story.bed().kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=60s"], "");
        }
        let directory = processes::directory("flux");
        let address = format!("127.0.0.1:{}", ports::free());
        let start = |name: &str, more: &[String]| {
            let mut command = processes::command(tools.path(name));
            command
                .args(["--watch-all-namespaces=false", "--metrics-addr=0", "--log-encoding=console"])
                .arg(format!("--health-addr=127.0.0.1:{}", ports::free()))
                .args(more)
                .env("KUBECONFIG", story.bed().admin_kubeconfig_path())
                .env("RUNTIME_NAMESPACE", story.namespace())
                .env("HOME", &directory)
                .env("TMPDIR", &directory);
            Server::start(name, &mut command, &directory.join(format!("{name}.log")))
        };
        let storage = Path::new(&directory).join("artifacts");
        std::fs::create_dir_all(&storage).expect("create a directory");
        let source = [
            format!("--storage-path={}", storage.display()),
            format!("--storage-addr={address}"),
            format!("--storage-adv-addr={address}"),
        ];
        Flux { _controllers: [start("source-controller", &source), start("kustomize-controller", &[])] }
    }
}

const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io/v1";
const SOURCE: &str = "source.toolkit.fluxcd.io/v1";

fn app(version: u32) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{version: \"{version}\", channel: \"${{CHANNEL:=none}}\"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: example.com/web:1}}]}}
"
    )
}

/// What Flux is told, with more in either spec.
fn flux_objects(story: &Story<'_>, registry: &Registry, kustomization: &Value, repository: &Value) {
    let namespace = story.namespace();
    let merged = |mut base: Value, more: &Value| {
        for (key, value) in more.as_object().expect("an object") {
            base[key] = value.clone();
        }
        base
    };
    let repository = merged(
        json!({"interval": "1m", "url": format!("oci://{}/shop", registry.host()), "insecure": true, "ref": {"tag": "1"}}),
        repository,
    );
    let kustomization = merged(
        json!({"interval": "1m", "prune": true, "wait": true, "path": "./", "targetNamespace": namespace,
               "sourceRef": {"kind": "OCIRepository", "name": "shop"}}),
        kustomization,
    );
    let metadata = json!({"name": "shop", "namespace": namespace});
    for object in [
        json!({"apiVersion": SOURCE, "kind": "OCIRepository", "metadata": metadata, "spec": repository}),
        json!({"apiVersion": KUSTOMIZE, "kind": "Kustomization", "metadata": metadata, "spec": kustomization}),
    ] {
        story.apply(&object.to_string());
    }
}

async fn pods(story: &Story<'_>) -> Vec<String> {
    let pods: Value =
        serde_json::from_str(&story.kubectl(&["get", "pods", "-l", "app=web", "-o", "json"], ""))
            .expect("JSON");
    let uid = |pod: &Value| pod["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let mut uids: Vec<String> = pods["items"].as_array().expect("items").iter().map(uid).collect();
    uids.sort();
    uids
}

#[story]
async fn a_kustomization_of_flux_becomes_a_release_and_nothing_restarts() {
    let scene = Scene::builder("adopt-flux").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    let person = Person::of(story);
    let push = |version: u32| {
        let url = format!("oci://{}/shop:{version}", scene.registry().host());
        let pushed = person.run(&["push", "artifact", &url, "-f", "-"], &app(version));
        assert_eq!(pushed.code, 0, "{}", pushed.stderr);
    };
    push(1);
    let flux = Flux::start(story);
    let variables = json!({"postBuild": {"substitute": {"CHANNEL": "stable"}}});
    flux_objects(story, scene.registry(), &variables, &json!({}));
    story
        .wait_for("Flux has applied it", async || {
            let object = story.object(KUSTOMIZE, "kustomizations", "shop").await?;
            (condition(&object, "Ready")?.status == "True").then_some(())
        })
        .await;
    let before = (pods(story).await, story.object("apps/v1", "deployments", "web").await.expect("it"));
    assert_eq!(before.0.len(), 2);

    let dry = person.run(&["adopt", "flux", "kustomization", "shop", "--dry-run"], "");
    assert_eq!(dry.code, 0, "{}", dry.stderr);
    let namespace = story.namespace();
    let url = format!("oci://{}/shop", scene.registry().host());
    let expected = format!(
        "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata:
  name: shop
  namespace: {namespace}
spec:
  insecure: true
  interval: 1m
  path: ./
  postBuild:
    mode: Flux
    strict: false
    substitute:
      CHANNEL: stable
  prune: true
  ref:
    tag: \"1\"
  targetNamespace: {namespace}
  url: {url}
  wait: true
"
    );
    assert_eq!(dry.stdout, expected);
    assert!(
        dry.stderr.contains(&format!("Deployment/{namespace}/web adopted (server dry run)\n")),
        "{}",
        dry.stderr
    );
    assert!(story.release("shop").await.is_none());
    let object = story.object(KUSTOMIZE, "kustomizations", "shop").await.expect("it");
    assert_eq!(object["spec"].get("suspend"), None);

    let adopted = person.run(&["adopt", "flux", "kustomization", "shop"], "");
    assert_eq!(adopted.code, 0, "{}", adopted.stderr);
    story.wait_ready("shop", "1@").await;
    // What it replaces goes, and takes nothing along.
    story.kubectl(&["delete", "kustomizations.kustomize.toolkit.fluxcd.io", "shop", "--timeout=60s"], "");
    story.kubectl(&["delete", "ocirepositories.source.toolkit.fluxcd.io", "shop", "--timeout=60s"], "");
    drop(flux);
    let after = story.object("apps/v1", "deployments", "web").await.expect("the deployment is still there");
    assert_eq!(after["metadata"]["uid"], before.1["metadata"]["uid"]);
    assert_eq!(after["metadata"]["generation"], before.1["metadata"]["generation"]);
    assert_eq!(pods(story).await, before.0, "nothing restarted");
    let labels = after["metadata"]["labels"].as_object().expect("labels");
    assert_eq!(labels["supercargo.dev/name"], "shop");
    assert!(!labels.keys().any(|key| key.contains("fluxcd.io")), "{labels:?}");
    let managers: Vec<&str> = after["metadata"]["managedFields"]
        .as_array()
        .expect("them")
        .iter()
        .filter_map(|e| e["manager"].as_str())
        .collect();
    assert!(!managers.contains(&"kustomize-controller"), "{managers:?}");

    // From now on it is an ordinary release.
    push(2);
    scene.change("shop", json!({"ref": {"tag": "2"}}));
    story.wait_ready("shop", "2@").await;
    let settings = scene.config_map("settings").await.expect("the ConfigMap");
    assert_eq!(settings["data"], json!({"version": "2", "channel": "stable"}));
}

#[story]
async fn what_a_release_cannot_say_stops_the_adoption_before_it_begins() {
    let scene =
        Scene::builder("adopt-flux-lost").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    // Its kinds are enough: nothing of it has to run.
    drop(Flux::start(story));
    let person = Person::of(story);
    let check = |name: &str, expected: &str| {
        let refused = person.run(&["adopt", "flux", "kustomization", name], "");
        assert_eq!(refused.code, 1);
        assert_eq!(refused.stderr, expected);
    };
    let namespace = story.namespace();
    check("shop", &format!("error: Kustomization shop not found in namespace {namespace}\n"));
    flux_objects(
        story,
        scene.registry(),
        &json!({"components": ["a"]}),
        &json!({"verify": {"provider": "cosign", "secretRef": {"name": "keys"}}}),
    );
    check(
        "shop",
        "error: nothing was written: an OCIArtifactRelease has no counterpart for: Kustomization spec.components, OCIRepository spec.verify; remove them first, or move their effect into the artifact\n",
    );
    let unchanged = async || {
        let object = story.object(KUSTOMIZE, "kustomizations", "shop").await.expect("it");
        assert_eq!(object["spec"].get("suspend"), None);
    };
    unchanged().await;
    assert!(story.release("shop").await.is_none());

    // A name that is in use for something else.
    story.kubectl(
        &[
            "delete",
            "kustomizations.kustomize.toolkit.fluxcd.io,ocirepositories.source.toolkit.fluxcd.io",
            "shop",
        ],
        "",
    );
    flux_objects(story, scene.registry(), &json!({}), &json!({}));
    let input = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n";
    assert_eq!(person.run(&["apply", "-i", "shop", "-f", "-"], input).code, 0);
    let taken = person.run(&["adopt", "flux", "kustomization", "shop"], "");
    assert_eq!(taken.code, 1);
    let expected = format!(
        "error: nothing written: the inventory {namespace}/inv-shop already exists and has \
         ConfigMap/{namespace}/mine, which is not part of this adoption\n"
    );
    assert_eq!(taken.stderr, expected);
    unchanged().await;
    scene.create("shop", json!({"suspend": true}));
    check(
        "shop",
        &format!(
            "error: nothing was written: OCIArtifactRelease/{namespace}/shop already exists and differs from the Kustomization\n"
        ),
    );
    unchanged().await;
}

/// Objects that Flux has applied, by their labels and its record.
fn flux_applied(story: &Story<'_>, names: &[&str]) {
    let namespace = story.namespace();
    let mut entries = Vec::new();
    for name in names {
        let labels = json!({"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": namespace});
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}});
        let apply = ["apply", "--server-side", "--field-manager=kustomize-controller", "-f", "-"];
        story.kubectl(&apply, &object.to_string());
        entries.push(json!({"id": format!("{namespace}_{name}__ConfigMap"), "v": "v1"}));
    }
    let status = json!({"status": {"inventory": {"entries": entries}}}).to_string();
    story.kubectl(
        &[
            "patch",
            "kustomizations.kustomize.toolkit.fluxcd.io",
            "shop",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ],
        "",
    );
}

#[story]
async fn what_would_break_by_an_adoption_stops_it_before_it_begins() {
    let scene =
        Scene::builder("adopt-flux-broken").await.own_registry(Registry::plain()).slow_retries().start();
    let story = &scene.story;
    drop(Flux::start(story));
    let person = Person::of(story);
    let namespace = story.namespace();
    let adopt = ["adopt", "flux", "kustomization", "shop"];
    let check = async |expected: &[&str]| {
        for arguments in [&adopt[..], &[&adopt[..], &["--dry-run"]].concat()] {
            let refused = person.run(arguments, "");
            assert_eq!(refused.code, 1, "{arguments:?}: {}", refused.stderr);
            for part in expected {
                assert!(
                    refused.stderr.contains(part),
                    "{arguments:?}: {part:?} is not in: {}",
                    refused.stderr
                );
            }
        }
        let object = story.object(KUSTOMIZE, "kustomizations", "shop").await.expect("it");
        assert_eq!(object["spec"].get("suspend"), None);
        assert!(story.release("shop").await.is_none());
        assert!(story.object("v1", "configmaps", "inv-shop").await.is_none());
    };
    let push = |version: &str, yaml: &str| scene.push("shop", version, yaml);
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");

    // There is nothing to apply.
    flux_objects(story, scene.registry(), &json!({}), &json!({}));
    check(&["error: nothing was written: the release cannot be applied: ", "/shop:1"]).await;

    // Flux builds it, and a release does not: the file was pushed alone, with a media type of manifests.
    let file = "resources: [a.yaml]\n";
    let layer = scene.registry().push_blob("shop", file.as_bytes());
    let config = scene.registry().push_blob("shop", b"{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/yaml", "digest": layer, "size": file.len(),
                    "annotations": {"org.opencontainers.image.title": "kustomization.yaml"}}],
    });
    scene.registry().push_manifest("shop", "1", &manifest);
    let must_be_built = "kustomize files are not built where other manifests are read: ";
    check(&["the release cannot be applied: ", must_be_built, "kustomization.yaml"]).await;

    // Its account is not there, and then may not do it.
    push("1", &map("settings"));
    flux_objects(story, scene.registry(), &json!({"serviceAccountName": "weak"}), &json!({}));
    check(&["the release cannot be applied: ", &format!("ServiceAccount/{namespace}/weak")]).await;
    story.kubectl(&["create", "serviceaccount", "weak"], "");
    check(&["the release cannot apply 1 object(s):", &format!("\n  ConfigMap/{namespace}/settings: ")]).await;

    // What Flux has applied is not in the artifact.
    flux_objects(story, scene.registry(), &json!({}), &json!({}));
    flux_applied(story, &["settings", "gone"]);
    check(&[
        "1 object(s) of the Kustomization are not in the artifact, the release would delete them",
        &format!("\n  ConfigMap/{namespace}/gone: not in the artifact\n"),
    ])
    .await;
    push("1", &format!("{}---\n{}", map("settings"), map("gone")));

    // Others wait for it.
    let other = |name: &str, more: Value| {
        let mut spec = json!({"interval": "1m", "prune": true, "path": "./",
                              "sourceRef": {"kind": "OCIRepository", "name": "shop"}});
        for (key, value) in more.as_object().expect("an object") {
            spec[key] = value.clone();
        }
        let metadata = json!({"name": name, "namespace": namespace});
        story.apply(
            &json!({"apiVersion": KUSTOMIZE, "kind": "Kustomization", "metadata": metadata, "spec": spec})
                .to_string(),
        );
    };
    other("cart", json!({"dependsOn": [{"name": "shop"}]}));
    check(&[&format!(
        "error: nothing was written: Flux would stop reconciling the dependents of Kustomization/{namespace}/shop: Kustomization/{namespace}/cart; remove it from their spec.dependsOn first\n"
    )])
    .await;

    // One that only reads the same source goes on to read it.
    other("cart", json!({"dependsOn": []}));
    let adopted = person.run(&adopt, "");
    assert_eq!(adopted.code, 0, "{}", adopted.stderr);
    let stays =
        format!("keep OCIRepository/{namespace}/shop: it is used by Kustomization/{namespace}/cart\n");
    assert!(adopted.stderr.contains(&stays), "{}", adopted.stderr);
    assert!(!adopted.stderr.contains("delete ocirepositories"), "{}", adopted.stderr);
    story.wait_ready("shop", "1@").await;
}
