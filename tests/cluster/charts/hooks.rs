//! Hooks of charts, and other annotations for Helm.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::package::{charts, push};
use crate::delivery::rollback::on_failure;
use crate::scene::{annotated, deployment, failing_deployment, text};
use crate::steps::{created, let_go, record, wait_running};

const PROFILES: Profiles = Profiles::First("the order of objects does not depend on rights");

/// The version of the definition of Widgets.
pub const VERSION: &str = "\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, \
                       x-kubernetes-preserve-unknown-fields: true}}}\n";

/// A Job that is a hook, whose pod runs until it is let go.
fn hook(name: &str, events: &str, more: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    helm.sh/hook: {events}\n{more}\
         spec:\n  backoffLimit: 0\n  template:\n    metadata: {{labels: {{job: {name}, testbed.supercargo.dev/pod: \
         pending}}}}\n    spec: {{restartPolicy: Never, serviceAccountName: default, containers: [{{name: main, image: \
         main}}]}}\n"
    )
}

#[story]
async fn hooks_run_before_and_after_the_rest_once_for_a_revision() {
    let scene = charts("chart-hooks").await.start();
    let account = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: first\n  annotations:\n    helm.sh/hook: \
                   pre-install,pre-upgrade\n    helm.sh/hook-weight: \"-5\"\n";
    let keys = "    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded\n";
    let plain = annotated("plain", "{}").replace("---\n", "");
    let (migrate, check) =
        (hook("migrate", "pre-install,pre-upgrade", ""), hook("check", "post-install", keys));
    let (test, gone) = (hook("test", "test", ""), hook("gone", "pre-delete", ""));
    let files = [
        ("templates/first.yaml", account),
        ("templates/migrate.yaml", migrate.as_str()),
        ("templates/check.yaml", check.as_str()),
        ("templates/test.yaml", test.as_str()),
        ("templates/gone.yaml", gone.as_str()),
        ("templates/plain.yaml", plain.as_str()),
    ];
    push(&scene, "app", "1.0.0", &files);
    let mark = scene.mark();
    scene.create("app", json!({"ref": {"tag": "1.0.0"}}));
    wait_running(&scene, "migrate").await;
    assert!(scene.config_map("first").await.is_some() && scene.config_map("plain").await.is_none());
    let_go(&scene, "migrate").await;
    wait_running(&scene, "check").await;
    assert!(scene.config_map("plain").await.is_some());
    let_go(&scene, "check").await;
    let release = scene.story.wait_ready("app", "1.0.0@").await;
    assert_eq!(text(&record(&release, "check"), "/outcome"), "Succeeded");
    scene.story.wait_gone("batch/v1", "jobs", "check").await;
    for name in ["test", "gone"] {
        assert!(scene.story.object("batch/v1", "jobs", name).await.is_none(), "{name}");
    }

    // Nothing runs again for the same revision; the next one runs them, though they are the same.
    scene.reconcile("app", "again").await;
    assert_eq!(["migrate", "check"].map(|name| created(&scene, mark, name)), [1, 1]);
    push(&scene, "app", "1.1.0", &files);
    scene.change("app", json!({"ref": {"tag": "1.1.0"}}));
    let again = async || (created(&scene, mark, "migrate") == 2).then_some(());
    scene.story.wait_for("migrate runs again", again).await;
    wait_running(&scene, "migrate").await;
    let_go(&scene, "migrate").await;
    wait_running(&scene, "check").await;
    let_go(&scene, "check").await;
    scene.story.wait_ready("app", "1.1.0@").await;
    assert_eq!(["migrate", "check"].map(|name| created(&scene, mark, name)), [2, 2]);
}

#[story]
async fn a_hook_is_not_ended_by_the_next_revision_and_does_not_run_on_the_way_back() {
    let scene = charts("chart-hooks-back").await.start();
    let migrate = hook("migrate", "pre-install,pre-upgrade", "");
    let seed = hook("seed", "pre-install", "").replace("backoffLimit: 0", "ttlSecondsAfterFinished: 0");
    let good = deployment("web", "web:1", 1).replace("---\n", "");
    let bad = failing_deployment("web", "web:2").replace("---\n", "");
    let publish = |tag: &str, workload: &str| {
        let files = [
            ("templates/migrate.yaml", migrate.as_str()),
            ("templates/seed.yaml", seed.as_str()),
            ("templates/web.yaml", workload),
        ];
        push(&scene, "app", tag, &files);
        scene.change("app", json!({"ref": {"tag": tag}}));
    };
    let mark = scene.mark();
    let mut spec = on_failure();
    spec["ref"] = json!({"tag": "1.0.0"});
    scene.create("app", spec);
    publish("1.0.0", &good);
    for name in ["migrate", "seed"] {
        wait_running(&scene, name).await;
        let_go(&scene, name).await;
    }
    scene.story.wait_ready("app", "1.0.0@").await;
    let runs = async |count: usize| {
        let runs = async || (created(&scene, mark, "migrate") == count).then_some(());
        scene.story.wait_for(&format!("migrate runs {count} times"), runs).await;
        wait_running(&scene, "migrate").await;
    };

    publish("2.0.0", &bad);
    runs(2).await;
    publish("2.0.1", &bad);
    scene.wait_reason("app", "Ready", "False", "JobRunning").await;
    assert_eq!(created(&scene, mark, "migrate"), 2);
    let_go(&scene, "migrate").await;
    runs(3).await;
    let_go(&scene, "migrate").await;
    scene.wait_reason("app", "Ready", "False", "RolledBack").await;
    scene.story.wait_gone("batch/v1", "jobs", "migrate").await;

    // Also not when a person follows what has been gone back to.
    scene.change("app", json!({"ref": {"tag": "1.0.0"}}));
    scene.story.wait_ready("app", "1.0.0@").await;
    assert_eq!(["migrate", "seed"].map(|name| created(&scene, mark, name)), [3, 1]);
    publish("3.0.0", &good);
    runs(4).await;
    let_go(&scene, "migrate").await;
    scene.story.wait_ready("app", "3.0.0@").await;
    assert_eq!(created(&scene, mark, "seed"), 1);
}

#[story]
async fn definitions_come_first_and_what_helm_keeps_is_kept() {
    let scene = charts("chart-crds").await.start();
    let definition = scene.widgets(VERSION);
    let definition = definition.trim_start_matches("---\n").trim_end_matches("---\n");
    let (group, kind) = (scene.group(), "Widget");
    let guard = format!("{{{{- if .Capabilities.APIVersions.Has \"{group}/v1/{kind}\" }}}}");
    let widget = format!("apiVersion: {group}/v1\nkind: {kind}\nmetadata: {{name: one}}\n");
    let plain = annotated("plain", "{}").replace("---\n", "");
    let widget = format!("{guard}\n{widget}{{{{- end }}}}\n");
    let kept = annotated("kept", "{helm.sh/resource-policy: keep}").replace("---\n", "");
    let files = [
        ("crds/widgets.yaml", definition),
        ("templates/widget.yaml", widget.as_str()),
        ("templates/kept.yaml", kept.as_str()),
    ];
    push(&scene, "app", "1.0.0", &files);
    scene.create("app", json!({"ref": {"tag": "1.0.0"}}));
    scene.story.wait_ready("app", "1.0.0@").await;
    assert!(scene.config_map("kept").await.is_some());
    // The chart asks for what it defines itself.
    assert!(scene.named("app").await.contains(&"one".to_owned()));
    // It has left the chart, and stays.
    push(&scene, "app", "2.0.0", &files[..2]);
    scene.change("app", json!({"ref": {"tag": "2.0.0"}}));
    scene.story.wait_ready("app", "2.0.0@").await;
    assert!(scene.config_map("kept").await.is_some());
    // The definition has left it, too, and the objects of its kind stay.
    push(&scene, "app", "3.0.0", &[("templates/plain.yaml", plain.as_str())]);
    scene.change("app", json!({"ref": {"tag": "3.0.0"}}));
    scene.story.wait_ready("app", "3.0.0@").await;
    let name = format!("widgets.{group}");
    scene.story.kubectl(&["get", "customresourcedefinition", &name], "");
    // Definitions can be left to others.
    push(
        &scene,
        "other",
        "1.0.0",
        &[files[0], ("templates/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")],
    );
    scene.create("other", json!({"ref": {"tag": "1.0.0"}, "helm": {"crds": "Skip"}}));
    scene.story.wait_ready("other", "1.0.0@").await;
    assert_eq!(scene.named("other").await, ["a"]);
}
