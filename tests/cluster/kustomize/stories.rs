//! Overlays that the operator builds and applies.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, story};

use super::tree::{Files, builder, push};
use crate::scene::{BINARY, Scene, config_map, text};

const PROFILES: Profiles = Profiles::First("what is built is applied as any other manifest");

/// An overlay in `prod`: a base above it, a component, and a generator.
fn overlay(value: &'static str) -> Vec<(&'static str, &'static str)> {
    let prod = match value {
        "1" => {
            "resources: [../base]\ncomponents: [../component]\nnamePrefix: prod-\nconfigMapGenerator:\n- name: settings\n  files: [settings.conf]\n"
        }
        _ => {
            "resources: [../base]\nnamePrefix: prod-\nconfigMapGenerator:\n- name: settings\n  files: [settings.conf]\n"
        }
    };
    vec![
        ("base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("base/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: base}\n"),
        (
            "component/kustomization.yaml",
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: a}\n    data: {more: component}\n",
        ),
        ("prod/kustomization.yaml", prod),
        ("prod/settings.conf", value),
        ("README.md", "# not a manifest"),
    ]
}

fn builds(scene: &Scene<'_>, result: &str) -> f64 {
    scene.operator.metric(&format!("supercargo_builds_total{{result=\"{result}\"}}")).unwrap_or_default()
}

#[story]
async fn an_overlay_is_built_applied_and_kept() {
    let mut scene = builder("kustomize-overlay").await.start();
    push(&scene, "app", "1", &overlay("1"));
    scene.create("app", json!({"path": "prod", "drift": {"mode": "Correct"}}));
    scene.story.wait_ready("app", "1@").await;
    let map = scene.config_map("prod-a").await.expect("it is applied");
    assert_eq!((text(&map, "/data/key"), text(&map, "/data/more")), ("base".into(), "component".into()));
    let named = scene.named("app").await;
    assert_eq!(named.len(), 2, "{named:?}");
    let settings = named.iter().find(|name| name.contains("settings-")).expect("it was generated").clone();
    assert_eq!((builds(&scene, "built"), builds(&scene, "failed")), (1.0, 0.0));

    // Drift is corrected from the output that is known.
    scene.patch("v1", "configmaps", "prod-a", json!({"data": {"key": "by hand"}}));
    scene.wait_field("v1", "configmaps", "prod-a", "/data/key", &"base".into()).await;
    scene.reconcile("app", "again").await;
    assert_eq!(builds(&scene, "built"), 1.0);
    assert!(builds(&scene, "cached") >= 1.0);

    // A new revision: the generator gives its ConfigMap another name, and the component is gone.
    push(&scene, "app", "2", &overlay("2"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("app", "2@").await;
    let named = scene.named("app").await;
    assert!(named.len() == 2 && !named.contains(&settings), "{named:?}");
    let map = scene.config_map("prod-a").await.expect("it stays");
    assert_eq!(text(&map, "/data/more"), "");
    assert_eq!(builds(&scene, "built"), 2.0);

    // After a restart it is built once more, and nothing changes.
    let before = scene.config_map("prod-a").await;
    scene.restart();
    scene.reconcile("app", "restarted").await;
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.config_map("prod-a").await, before);
}

#[story]
async fn another_kustomize_builds_each_kustomization_once_more() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("kustomize");
    let official = std::fs::read(Tools::image().path("kustomize")).expect("read it");
    let install = |bytes: &[u8]| {
        std::fs::write(&program, bytes).expect("write it");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set its mode");
    };
    install(&official);
    let argument = format!("--kustomize-binary={}", program.display());
    let mut scene = Scene::builder("kustomize-other").await.argument(&argument).start();
    push(&scene, "app", "1", &overlay("1"));
    scene.create("app", json!({"path": "prod"}));
    scene.story.wait_ready("app", "1@").await;
    scene.install("plain", &config_map("plain", "1"), json!({})).await;
    let inventory = async |scene: &Scene<'_>, name: &str| scene.config_map(name).await.expect("an inventory");
    assert_eq!(text(&inventory(&scene, "inv-app").await, "/data/built"), "kustomize v5.8.1");
    let plain = inventory(&scene, "inv-plain").await;
    assert!(plain["data"]["built"].is_null());

    // The same program builds nothing again.
    let mark = scene.mark();
    scene.restart();
    scene.reconcile("app", "restarted").await;
    assert_eq!((builds(&scene, "built"), builds(&scene, "cached")), (0.0, 0.0));
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());

    // One of another version may build it to something else.
    let mut other = official;
    let places: Vec<usize> =
        other.windows(6).enumerate().filter(|(_, w)| *w == b"v5.8.1").map(|(at, _)| at + 5).collect();
    places.into_iter().for_each(|at| other[at] = b'2');
    std::fs::remove_file(&program).expect("remove it");
    install(&other);
    scene.restart();
    scene.reconcile("app", "other").await;
    scene.wait_field("v1", "configmaps", "inv-app", "/data/built", &json!("kustomize v5.8.2")).await;
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(builds(&scene, "built"), 1.0);
    let settled = inventory(&scene, "inv-app").await;
    scene.reconcile("app", "again").await;
    scene.reconcile("plain", "again").await;
    assert_eq!((builds(&scene, "built"), builds(&scene, "cached")), (1.0, 0.0));
    assert_eq!(inventory(&scene, "inv-app").await, settled);
    assert_eq!(inventory(&scene, "inv-plain").await, plain);
}

#[story]
async fn a_kustomization_is_patched_and_placed_by_the_release() {
    let scene = builder("kustomize-spec").await.start();
    push(&scene, "app", "1", &overlay("1"));
    let spec = json!({
        "path": "prod",
        "commonMetadata": {"labels": {"team": "web"}},
        "patches": [{"patch": "[{op: add, path: /data/patched, value: 'yes'}]",
                     "target": {"kind": "ConfigMap", "name": "prod-a"}}],
    });
    scene.create("app", spec);
    scene.story.wait_ready("app", "1@").await;
    let map = scene.config_map("prod-a").await.expect("it is applied");
    assert_eq!(text(&map, "/data/patched"), "yes");
    assert_eq!(text(&map, "/metadata/labels/team"), "web");
}

#[story]
async fn promise_6_a_build_holds_no_worker_and_ends_with_its_run() {
    let attempts = Tools::escape().path("attempts").display().to_string();
    let scene = Scene::builder("kustomize-slow").await.argument(&format!("--kustomize-binary={attempts}"));
    let scene = scene.argument("--concurrency=1").argument("--concurrent-builds=1").start();
    push(&scene, "slow", "1", &[("kustomization.yaml", ""), ("sleep", "")]);
    scene.create("slow", json!({}));
    scene.wait_says("slow", "Ready", &["Building the kustomization ."]).await;
    scene.install("other", &config_map("other", "1"), json!({})).await;
    // A newer spec ends the build, which would sleep for an hour, and takes its place.
    let targets = r#"{"Secret": "/none", "Outside": "/none", "Listener": "127.0.0.1:1", "Socket": "/none", "Abstract": "none"}"#;
    push(&scene, "slow", "2", &[("kustomization.yaml", ""), ("attempts.json", targets), ("removable", "")]);
    let began = std::time::Instant::now();
    scene.change("slow", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("slow", "2@").await;
    assert!(began.elapsed().as_secs() < 60, "it has not waited for the limit of the first build");
}

#[story]
async fn the_command_line_builds_with_the_same_code() {
    let scene = builder("kustomize-shell").await.start();
    let run = |release: &str, files: Files<'_>| {
        push(&scene, release, "1", files);
        let output = processes::command(BINARY)
            .args(["pull", "artifact", &format!("{}:1", scene.url(release))])
            .env("SUPERCARGO_KUSTOMIZE_BINARY", Tools::image().path("kustomize"))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("run supercargo");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let map = config_map("a", "1");
    let (code, out, err) =
        run("good", &[("kustomization.yaml", "namePrefix: p-\nresources: [a.yaml]\n"), ("a.yaml", &map)]);
    assert!(code == Some(0) && out.contains("name: p-a"), "{out} {err}");
    let (code, _, err) = run("bad", &[("kustomization.yaml", "resources:\n- https://example.com/a.yaml\n")]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("kustomization.yaml:2: resources: https://example.com/a.yaml is on another machine"),
        "{err}"
    );
}
