//! `make demo`: the life of a release, told on a real cluster and a real
//! registry. It ends with an error when anything is not as it tells.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "it speaks to a person, and has to end when anything is wrong"
)]

mod scenes;
mod stage;

use std::time::Instant;

use serde_json::Value;
use stage::{PUSHED, Stage, chapter, expect};
use supercargo_testbed::processes;

fn main() {
    let scene = std::env::var("SCENE").unwrap_or_default();
    let found = scenes::SCENES.iter().find(|(name, _)| *name == scene);
    assert!(
        scene.is_empty() || found.is_some(),
        "SCENE must be one of {:?}",
        scenes::SCENES.map(|(name, _)| name)
    );
    let stage = Stage::set();
    match found {
        Some((_, scene)) => scene(&stage),
        None => whole(&stage),
    }
    drop(stage);
    processes::end_all();
    println!("\nEverything the demo started is gone again.");
}

/// The life of a release.
fn whole(stage: &Stage) {
    publish(stage);
    unsigned(stage);
    install(stage);
    upgrade(stage);
    tampered(stage);
    push(stage);
    drift(stage);
    scenes::rollback(stage);
    if std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty()) {
        stage.keep();
    }
    delete(stage);
}

fn publish(stage: &Stage) {
    chapter("Publish", "The manifests of a sample app go into the registry, next to its images.");
    stage.supercargo(&["push", "artifact", &stage.artifact("1.0.0"), "-f", "config/samples/demo-app/1.0.0"]);
}

fn unsigned(stage: &Stage) {
    chapter("Unsigned", "A release trusts one key of cosign, and nobody has signed the artifact yet.");
    let (private, public) = (stage.key("cosign.key"), stage.key("cosign.pub"));
    stage.cosign(&["generate-key-pair", "--output-key-prefix", private.trim_end_matches(".key")]);
    stage.kubectl(&["create", "secret", "generic", "cosign-keys", &format!("--from-file={public}")]);
    stage.apply(&stage.release("1.0.0"));
    let release = stage.wait_refused("SignatureMissing");
    assert!(release.pointer("/status/lastAppliedRevision").is_none(), "{release:#}");
    let namespace = stage.bed().kubectl(&["get", "namespace", "demo-app", "--ignore-not-found"], "");
    assert_eq!(namespace, "", "nothing of it is applied");
    stage.refuses(&["verify", "artifact", &stage.artifact("1.0.0"), "--key", &public]);
}

fn install(stage: &Stage) {
    chapter("Install", "Signed by cosign, its objects are applied and become healthy.");
    stage.sign("1.0.0");
    stage.supercargo(&["verify", "artifact", &stage.artifact("1.0.0"), "--key", &stage.key("cosign.pub")]);
    stage.supercargo(&["reconcile", "release", "demo-app"]);
    let release = stage.wait_ready("1.0.0");
    stage.kubectl(&["get", "ociartifactreleases", "-o", "wide"]);
    stage.kubectl(&[
        "--namespace=demo-app",
        "get",
        "deployments,services,horizontalpodautoscalers",
        "-o",
        "name",
    ]);
    expect(&release, "/status/inventory/entries", 10);
}

fn upgrade(stage: &Stage) {
    chapter(
        "Upgrade",
        "Version 1.0.1 has another image of the cache, and no autoscaler for the frontend any more.",
    );
    stage.supercargo(&["push", "artifact", &stage.artifact("1.0.1"), "-f", "config/samples/demo-app/1.0.1"]);
    stage.sign("1.0.1");
    stage.follow("1.0.1");
    let release = stage.wait_ready("1.0.1");
    let columns = "-o=custom-columns=REVISION:.status.lastAppliedRevision,\
                   CONFIGURED:.status.changes.configured,UNCHANGED:.status.changes.unchanged,\
                   PRUNED:.status.changes.pruned,FAILED:.status.changes.failed";
    stage.kubectl(&["get", "ociartifactrelease", "demo-app", columns]);
    stage.kubectl(&["get", "events", "--field-selector=involvedObject.name=demo-app"]);
    stage.kubectl(&["--namespace=demo-app", "get", "horizontalpodautoscalers", "-o", "name"]);
    expect(&release, "/status/changes/configured", 1);
    expect(&release, "/status/changes/pruned", 1);
}

fn tampered(stage: &Stage) {
    chapter(
        "Tampered",
        "Somebody who may push publishes other manifests, and copies the good signature of 1.0.1 beside them.",
    );
    let evil = stage.tamper("config/samples/demo-app/1.0.1", "redis", "example.com/evil");
    stage.supercargo(&["push", "artifact", &stage.artifact("1.0.2"), "-f", &evil]);
    stage.copy_signature("1.0.1", "1.0.2");
    stage.follow("1.0.2");
    let release = stage.wait_refused("SignatureInvalid");
    let applied = release.pointer("/status/lastAppliedRevision").and_then(Value::as_str).unwrap_or_default();
    println!("  → what is applied stays {applied}");
    assert!(applied.starts_with("1.0.1@"), "{release:#}");
    stage.refuses(&["pull", "artifact", &stage.artifact("1.0.2"), "--key", &stage.key("cosign.pub")]);
    stage.follow("1.0.1");
    stage.wait_ready("1.0.1");
}

fn push(stage: &Stage) {
    chapter(
        "Push",
        "A release that asks its registry once a day. The registry tells of a push, and it is applied at once.",
    );
    let publish = |text: &str| {
        let directory = processes::directory("greeting");
        let yaml = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: greeting}}\ndata: {{text: {text}}}\n"
        );
        std::fs::write(directory.join("greeting.yaml"), yaml).expect("write a file");
        let directory = directory.display().to_string();
        stage.supercargo(&["push", "artifact", &format!("{}:live", stage.greeting()), "-f", &directory]);
    };
    let read = || {
        let get = ["get", "configmap", "greeting", "--ignore-not-found", "-o", "jsonpath={.data.text}"];
        stage.bed().kubectl(&[&get[..], &["--namespace", PUSHED]].concat(), "")
    };
    stage.kubectl(&["create", "namespace", PUSHED]);
    publish("hello");
    stage.apply(&format!(
        "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: greeting, namespace: {PUSHED}}}
spec: {{url: '{}', ref: {{tag: live}}, interval: 24h, insecure: true, prune: true}}
",
        stage.greeting()
    ));
    stage.wait("the greeting is there", || (read() == "hello").then_some(()));
    publish("welcome");
    let start = Instant::now();
    stage.wait("the pushed greeting is there", || (read() == "welcome").then_some(()));
    println!("  → in the cluster {:.1} s after the push has ended", start.elapsed().as_secs_f64());
}

fn drift(stage: &Stage) {
    chapter("Drift", "Somebody changes an object by hand. It is seen at once and corrected.");
    let image = ["get", "deployment", "cache", "-o", "jsonpath={.spec.template.spec.containers[0].image}"];
    let read = || stage.bed().kubectl(&[&["--namespace=demo-app"], &image[..]].concat(), "");
    let before = read();
    stage.kubectl(&["--namespace=demo-app", "set", "image", "deployment/cache", "redis=example.com/wrong:1"]);
    let start = Instant::now();
    stage.wait("the image is put back", || (read() == before).then_some(()));
    println!("  → {before} again, after {:.1} s", start.elapsed().as_secs_f64());
}

fn delete(stage: &Stage) {
    chapter("Delete", "With the release goes what it brought, and nothing else.");
    stage.kubectl(&["delete", "ociartifactrelease", "demo-app", "--timeout=60s"]);
    let objects =
        ["--namespace=demo-app", "get", "deployments,services,horizontalpodautoscalers", "-o", "name"];
    stage.wait("its objects are gone", || stage.bed().kubectl(&objects, "").trim().is_empty().then_some(()));
    stage.kubectl(&["get", "configmaps", "--namespace=default", "-o", "name"]);
    let phase = ["get", "namespace", "demo-app", "--ignore-not-found", "-o", "jsonpath={.status.phase}"];
    let going = || stage.bed().kubectl(&phase, "");
    stage.wait("its namespace goes", || (going() != "Active").then_some(()));
}
