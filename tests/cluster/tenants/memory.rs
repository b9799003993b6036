//! How much memory a namespace may take.

use std::time::Duration;

use serde_json::json;
use supercargo_testbed::proxy::Moment;
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Proxy, processes, story};

use crate::dependencies::make_ready;
use crate::scene::{BINARY, Scene, config_map, unready_deployment};

const PROFILES: Profiles = Profiles::First("how much memory a namespace may take does not depend on rights");

const MEMORY: &str = "--memory-limit=512Mi";
const BUDGET: &str = "--max-memory-per-namespace=32Mi";
const WAITS: &str =
    "Waiting for memory: other artifacts of this namespace, or of all, have what they may take";

/// So many ConfigMaps of 900 KB.
fn large(prefix: &str, count: usize) -> String {
    (0..count).map(|n| config_map(&format!("{prefix}-{n}"), &"x".repeat(900_000))).collect()
}

/// An operator with these arguments, and the release `first` whose pull does not end.
async fn begin(name: &str, arguments: &[&str]) -> (Scene<'static>, Proxy) {
    let scene = Scene::builder(name).await.argument(MEMORY);
    let scene = arguments.iter().fold(scene, |scene, argument| scene.argument(argument)).start();
    let proxy = Proxy::before(&scene.registry().url(), None);
    let blobs = format!("/v2/{}/blobs/", scene.repository("first"));
    proxy.hold_from(1, Moment::Before, move |seen| seen.path.starts_with(&blobs));
    create(&scene, &proxy, "first", &large("first", 3));
    let held = proxy.wait_held(Duration::from_secs(60), Moment::Before);
    assert!(held.is_some(), "its artifact is pulled");
    (scene, proxy)
}

fn create(scene: &Scene<'_>, proxy: &Proxy, name: &str, yaml: &str) {
    scene.push(name, "1", yaml);
    let url = format!("oci://{}/{}", proxy.host(), scene.repository(name));
    scene.create(name, json!({"url": url, "timeout": "5m"}));
}

#[story]
async fn the_artifacts_of_a_namespace_take_turns_within_its_memory_and_a_release_says_that_it_waits() {
    let (scene, proxy) = begin("memory", &[BUDGET]).await;
    create(&scene, &proxy, "second", &large("second", 3));
    let waits = async || {
        let release = scene.story.release("second").await?;
        condition(&release, "Reconciling").filter(|found| found.message == WAITS)
    };
    scene.story.wait_for("the second says that it waits for memory", waits).await;
    // A small one needs no turn of the large ones.
    scene.install("small", &config_map("small", "one"), json!({})).await;
    assert!(scene.story.object("v1", "configmaps", "second-0").await.is_none());
    proxy.pass_all();
    proxy.release();
    for name in ["first", "second"] {
        scene.story.wait_ready(name, "1@").await;
    }

    // One that never fits says so, and whose limit it is.
    create(&scene, &proxy, "third", &large("third", 5));
    let message = scene.wait_reason("third", "Stalled", "True", "ArtifactTooLarge").await;
    let says =
        "an artifact gets at most 6 MiB of memory, because the operator runs with --max-memory-per-namespace";
    assert!(message.contains("its layer has 45") && message.contains(says), "{message}");
}

#[story]
async fn without_a_budget_a_namespace_has_up_to_half_of_what_there_is() {
    let (scene, proxy) = begin("memory-half", &[]).await;
    for (name, count) in [("second", 3), ("third", 5)] {
        create(&scene, &proxy, name, &large(name, count));
        scene.story.wait_ready(name, "1@").await;
    }
    assert!(scene.story.object("v1", "configmaps", "first-0").await.is_none());
    proxy.pass_all();
    proxy.release();
    scene.story.wait_ready("first", "1@").await;
}

#[story]
async fn releases_that_wait_for_health_leave_the_memory_for_artifacts_to_others() {
    let scene = Scene::builder("memory-health").await.argument(MEMORY).argument(BUDGET).start();
    let waits = unready_deployment("web");
    // A step that comes after the rest is still to be sent: it keeps what it takes itself.
    let step = "apiVersion: batch/v1
kind: Job
metadata: {name: last, annotations: {supercargo.dev/step: after}}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: main}]}}}
---
";
    for (name, more) in [("first", waits.clone()), ("second", waits.replace("web", "other") + "---\n" + step)]
    {
        scene.push(name, "1", &(large(name, 3) + &more));
        scene.create(name, json!({"wait": true, "timeout": "1h"}));
    }
    let wait_for_health = async || {
        let mut waiting = 0;
        for name in ["first", "second"] {
            let release = scene.story.release(name).await?;
            let ready = condition(&release, "Ready")?;
            waiting += usize::from(ready.message.starts_with("Waiting for 1 of 1 object: "));
        }
        (waiting == 2).then_some(())
    };
    scene.story.wait_for("both wait for health", wait_for_health).await;
    scene.install("third", &large("third", 3), json!({})).await;
    make_ready(&scene, "other");
    scene.story.wait_ready("second", "1@").await;
    assert!(scene.story.object("batch/v1", "jobs", "last").await.is_some());
}

#[story]
async fn a_large_inventory_is_read_within_the_least_budget() {
    let scene = Scene::builder("memory-inventory").await.argument(MEMORY).argument(BUDGET).start();
    let labels = json!({
        "app.kubernetes.io/component": "inventory", "app.kubernetes.io/created-by": "supercargo",
        "app.kubernetes.io/name": "app",
    });
    // Two MiB are the most. While the second part is read, the first one is kept.
    let filler = "x".repeat(950_000);
    for name in ["inv-app", "inv-app.2"] {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels},
            "data": {"resources": "[]", "parts": "2", "filler": filler},
        });
        scene.story.create("v1", "configmaps", &map);
    }
    scene.install("app", &config_map("app", "one"), json!({})).await;
    // What it keeps is in no one's way.
    scene.install("small", &config_map("small", "one"), json!({})).await;
}

#[story]
async fn inputs_that_the_budget_never_holds_are_refused_with_the_name_of_the_setting() {
    let scene = Scene::builder("memory-inputs").await.argument(MEMORY).argument(BUDGET).start();
    let input = |length: usize| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vars"},
            "data": {"VALUE": "one", "file.txt": "x".repeat(length)}})
    };
    scene.story.create("v1", "configmaps", &input(500_000));
    scene.push("app", "1", &config_map("app", "one"));
    let from = json!([{"kind": "ConfigMap", "name": "vars"}]);
    scene.create("app", json!({"postBuild": {"substituteFrom": from}}));
    let message = scene.wait_reason("app", "Ready", "False", "SubstitutionFailed").await;
    let says = "have more than 294 KiB together, because the operator runs with --max-memory-per-namespace";
    assert!(message.contains(says), "{message}");
    // Smaller ones are used at once.
    let smaller = json!({"data": {"file.txt": "x".repeat(200_000)}});
    scene.story.patch("v1", "configmaps", "vars", &smaller);
    scene.story.wait_ready("app", "1@").await;
}

#[story]
fn a_budget_with_which_nothing_works_ends_the_start() {
    let check = |budget: &str, says: &str| {
        let mut command = processes::command(BINARY);
        command.args(["controller", MEMORY, "--metrics-addr=127.0.0.1:0"]);
        command.arg(format!("--max-memory-per-namespace={budget}"));
        let output = command.env("KUBECONFIG", "/nonexistent").output().expect("run supercargo");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(says), "{text}");
    };
    check("16Mi", "--max-memory-per-namespace is 16 MiB; a namespace needs at least 32 MiB");
    check("5%", "--max-memory-per-namespace is 25 MiB; a namespace needs at least 32 MiB");
    check("half", "must be a size such as 128Mi, or 1% to 100%");
}
