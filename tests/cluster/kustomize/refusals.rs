//! Kustomizations that are not built, and why.

use serde_json::json;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, story};

use super::tree::{Files, builder, kustomize, push};
use crate::scene::{BINARY, Scene};

const PROFILES: Profiles = Profiles::First("what is refused is not applied with any rights");

const PLAIN: Files<'static> = &[
    ("kustomization.yaml", "resources: [a.yaml]\n"),
    ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: built}\n"),
];

#[story]
async fn what_a_build_cannot_have_is_refused_with_file_and_line() {
    let scene = builder("kustomize-refused").await.start();
    let cases: &[(&str, Files<'_>, serde_json::Value, &str, &str)] = &[
        (
            "remote",
            &[
                (
                    "base/kustomization.yaml",
                    "# a base\nresources:\n- https://github.com/acme/config//base?ref=v1\n",
                ),
                ("prod/kustomization.yaml", "resources: [../base]\n"),
            ],
            json!({"path": "prod"}),
            "KustomizationRefused",
            "base/kustomization.yaml:3: resources: https://github.com/acme/config//base is on another machine, and \
             builds have no network; put a copy into the artifact",
        ),
        (
            "outside",
            &[("kustomization.yaml", "resources: [../../var/run/secrets]\n")],
            json!({}),
            "KustomizationRefused",
            "kustomization.yaml:1: resources: \"../../var/run/secrets\" is outside of the artifact",
        ),
        (
            "function",
            &[(
                "kustomization.yaml",
                "transformers:\n- |-\n  apiVersion: builtin\n  kind: PrefixTransformer\n  metadata:\n    annotations:\n      config.kubernetes.io/function: |\n        container: {image: evil}\n",
            )],
            json!({}),
            "KustomizationRefused",
            "functions (containers and programs) are not run",
        ),
        (
            "elsewhere",
            &[("web/kustomization.yaml", "resources: [a.yaml]\n"), ("web/a.yaml", "kind: A\n")],
            json!({}),
            "KustomizationRefused",
            "kustomize files are not built where other manifests are read: web/kustomization.yaml; select the \
             directory of the kustomization (spec.path: web), or leave them out",
        ),
        (
            "fails",
            &[("kustomization.yaml", "resources: [a.yaml]\nfoo: bar\n"), ("a.yaml", "kind: A\n")],
            json!({}),
            "BuildFailed",
            "kustomize build . failed: ",
        ),
    ];
    for (name, files, spec, ..) in cases {
        push(&scene, name, "1", files);
        scene.create(name, spec.clone());
    }
    for (name, _, _, reason, expected) in cases {
        let message = scene.wait_reason(name, "Ready", "False", reason).await;
        assert!(message.contains(expected), "{name}: {message}");
        let stalled = scene.wait_reason(name, "Stalled", "True", reason).await;
        assert_eq!(stalled, message);
    }
    // The next revision is another one.
    push(&scene, "remote", "2", PLAIN);
    scene.change("remote", json!({"ref": {"tag": "2"}, "path": "./"}));
    scene.story.wait_ready("remote", "2@").await;
}

#[story]
async fn an_administrator_can_disable_builds() {
    let scene = builder("kustomize-disabled").await.argument("--kustomize=Disabled").start();
    push(&scene, "app", "1", PLAIN);
    scene.create("app", json!({}));
    let message = scene.wait_reason("app", "Stalled", "True", "BuildNotAllowed").await;
    assert!(
        message.contains("the operator does not build kustomizations (--kustomize=Disabled)"),
        "{message}"
    );
    assert!(scene.operator.log().contains("refuses kustomizations (--kustomize=Disabled)"));
    // Other artifacts are applied as ever.
    let plain = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n";
    scene.install("plain", plain, json!({})).await;
}

#[story]
async fn promise_7_nothing_is_built_without_a_sandbox_unless_that_is_allowed() {
    // The operator on a kernel that seems to have no Landlock.
    let wrapper = processes::directory("withhold").join("supercargo");
    let withhold = Tools::escape().path("withhold").display().to_string();
    std::fs::write(&wrapper, format!("#!/bin/sh\nexec {withhold} {BINARY} \"$@\"\n")).expect("write a file");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&wrapper, mode).expect("make it executable");

    let scene = builder("kustomize-unconfined").await.start_with(|options| options.binary(&wrapper));
    push(&scene, "app", "1", PLAIN);
    scene.create("app", json!({}));
    let message = scene.wait_reason("app", "Stalled", "True", "BuildNotAllowed").await;
    assert!(
        message.contains("builds cannot be confined here: cannot restrict files (Landlock): "),
        "{message}"
    );
    assert!(message.contains("--allow-unconfined-builds"), "{message}");
    let log = scene.operator.log();
    assert!(log.contains("refuses kustomizations: builds cannot be confined here"), "{log}");
    drop(scene);

    let allowed = Scene::builder("kustomize-allowed").await.argument(&kustomize());
    let allowed =
        allowed.argument("--allow-unconfined-builds").start_with(|options| options.binary(&wrapper));
    push(&allowed, "app", "1", PLAIN);
    allowed.create("app", json!({}));
    allowed.story.wait_ready("app", "1@").await;
    let log = allowed.operator.log();
    assert!(log.contains("builds kustomizations without a complete sandbox"), "{log}");
}

#[story]
async fn the_output_of_a_build_is_limited_by_the_memory_of_the_operator() {
    // A megabyte in eight overlays.
    let large = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{key: {}}}\n",
        "x".repeat(900_000)
    );
    let names: Vec<String> = (0..8).map(|n| format!("o{n}")).collect();
    let overlays: Vec<(String, String)> = names
        .iter()
        .map(|name| {
            (format!("{name}/kustomization.yaml"), format!("namePrefix: {name}-\nresources: [../base]\n"))
        })
        .collect();
    let whole = format!("resources: [{}]\n", names.join(", "));
    let mut files: Vec<(&str, &str)> = overlays.iter().map(|(name, text)| (&**name, &**text)).collect();
    files.extend([
        ("kustomization.yaml", whole.as_str()),
        ("base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("base/a.yaml", large.as_str()),
    ]);
    let scene = builder("kustomize-large").await.argument("--memory-limit=128Mi").start();
    push(&scene, "app", "1", &files);
    scene.create("app", json!({}));
    let message = scene.wait_reason("app", "Stalled", "True", "ArtifactTooLarge").await;
    assert!(message.contains("the kustomization builds to more than 2097152 bytes"), "{message}");
}
