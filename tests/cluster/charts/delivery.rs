//! Charts among the other promises: signatures, approval, the way back, the command line.

use serde_json::json;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, Signer, processes, story};

use super::hooks::VERSION;
use super::package::{ChartFiles, charts, push};
use crate::delivery::rollback::{on_failure, outcomes, quarantined};
use crate::scene::{deployment, failing_deployment, message, text};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("what is rendered is applied as any other manifest");

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-a}\ndata:\n  color: {{ .Values.color }}\n  \
                   version: {{ .Chart.Version | quote }}\n  kubernetes: {{ .Capabilities.KubeVersion.Version }}\n";

fn files() -> Vec<(&'static str, &'static str)> {
    vec![("values.yaml", "color: blue\n"), ("templates/a.yaml", MAP)]
}

#[story]
async fn the_signature_of_a_chart_is_verified_before_it_is_rendered() {
    let scene = charts("chart-signed").await.start();
    let signer = Signer::new(Algorithm::P256);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        "stringData": {"a.pub": signer.public_pem()}});
    scene.story.kubectl(&["create", "-f", "-"], &secret.to_string());
    let digest = push(&scene, "app", "1.0.0", &files());
    let verify = json!({"provider": "cosign", "secretRef": {"name": "keys"}});
    scene.create("app", json!({"ref": {"tag": "1.0.0"}, "verify": verify}));
    scene.wait_reason("app", "Ready", "False", "SignatureMissing").await;
    assert_eq!(scene.operator.metric("supercargo_builds_total{result=\"built\"}").unwrap_or_default(), 0.0);
    let reference = format!("{}/{}@{digest}", scene.registry().host(), scene.repository("app"));
    signer.sign(scene.registry(), &reference, Format::Bundle, &[]);
    scene.ask("app", "signed");
    let release = scene.story.wait_ready("app", "1.0.0@").await;
    assert_eq!(message(&release, "Verified").split(' ').next(), Some("Signed"), "{release}");
    assert!(scene.config_map("app-a").await.is_some());
}

#[story]
async fn a_chart_that_fails_is_replaced_by_the_last_healthy_one_with_the_same_values() {
    let scene = charts("chart-back").await.start();
    let good = deployment("web", "web:1", 1).replace("---\n", "");
    let bad = failing_deployment("web", "web:2").replace("---\n", "");
    let with = |workload: &'static str| {
        let mut files = files();
        files.push(("templates/web.yaml", workload));
        files
    };
    push(&scene, "app", "1.0.0", &with(good.leak()));
    let mut spec = on_failure();
    spec["ref"] = json!({"tag": "1.0.0"});
    spec["helm"] = json!({"values": {"color": "green"}});
    scene.create("app", spec);
    scene.story.wait_ready("app", "1.0.0@").await;
    push(&scene, "app", "2.0.0", &with(bad.leak()));
    scene.change("app", json!({"ref": {"tag": "2.0.0"}}));
    let rolled = scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    assert!(message(&rolled, "Ready").starts_with("Rolled back to 1.0.0@sha256:"), "{rolled}");
    assert_eq!(outcomes(&rolled), ["Healthy", "Failed", "Healthy"]);
    assert!(quarantined(&rolled)[0].starts_with("2.0.0@"));
    let map = scene.config_map("app-a").await.expect("it is there");
    assert_eq!(["color", "version"].map(|key| text(&map, &format!("/data/{key}"))), ["green", "1.0.0"]);
}

#[story]
async fn the_plan_of_a_chart_waits_for_approval_and_masks_what_is_secret() {
    let scene = charts("chart-approval").await.start();
    push(&scene, "app", "1.0.0", &files());
    let secret = |color: &str| {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
            "stringData": {"color": color}});
        scene.story.kubectl(&["apply", "--server-side", "-f", "-"], &secret.to_string());
    };
    secret("swordfish");
    let from = json!([{"kind": "Secret", "name": "keys", "valuesKey": "color", "targetPath": "color"}]);
    scene.create("app", json!({"ref": {"tag": "1.0.0"}, "approval": "Manual", "helm": {"valuesFrom": from}}));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "ApprovalRequired").await;
    assert!(scene.config_map("app-a").await.is_none());
    assert!(!waiting.to_string().contains("swordfish"), "{waiting}");
    scene.annotate("app", "supercargo.dev/approve", &text(&waiting, "/status/plan/hash"));
    scene.story.wait_ready("app", "1.0.0@").await;
    // Another value is another plan.
    secret("marlin-blue");
    let waiting = scene.story.wait_condition("app", "Ready", "False", "ApprovalRequired").await;
    let shown = Shell::admin(&scene.story).run(&["plan", "release", "app"]);
    for text in [&shown.out, &shown.err, &waiting.to_string()] {
        assert!(!text.contains("swordfish") && !text.contains("marlin-blue"), "{text}");
    }
    assert!(shown.out.contains("app-a"), "{shown:?}");
}

#[story]
async fn the_command_line_renders_with_the_same_code() {
    let scene = charts("chart-shell").await.start();
    let files: ChartFiles<'_> = &files();
    push(&scene, "app", "1.0.0", files);
    let values = processes::directory("values").join("values.yaml");
    std::fs::write(&values, "color: red\n").expect("write values");
    let shell = Shell::admin(&scene.story);
    let url = format!("{}:1.0.0", scene.url("app"));
    let helm = format!("--helm-binary={}", Tools::helm().path("helm").display());
    let values = format!("--helm-values={}", values.display());
    let pulled = shell.run(&["pull", "artifact", &url, &helm]).done();
    assert!(pulled.contains("name: app-a") && pulled.contains("color: blue"), "{pulled}");
    let option = shell.run(&["pull", "artifact", &url, &helm, "--helm-release-name=--debug"]);
    let says = "\"--debug\" cannot be the name of a Helm release";
    assert!(option.code != 0 && option.err.contains(says), "{option:?}");
    let inspected = shell.run(&["inspect", "artifact", &url, &helm]).done();
    assert!(inspected.contains("Kind: a Helm chart"), "{inspected}");
    let arguments = ["apply", "-i", "app", "-a", &url, &helm, &values, "--helm-release-name=mine"];
    shell.run(&arguments).done();
    let map = scene.config_map("mine-a").await.expect("it is applied");
    assert_eq!(text(&map, "/data/color"), "red");
    // The cluster's own version, not the one that Helm assumes.
    assert_eq!(text(&map, "/data/kubernetes"), "v1.36.3");
    let same = shell.run(&["diff", "-i", "app", "-a", &url, &helm, &values, "--helm-release-name=mine"]);
    assert_eq!(same.code, 0, "{same:?}");
}

#[story]
async fn a_revision_is_rendered_for_what_the_cluster_could_when_it_came() {
    let mut scene = charts("chart-capable").await.start();
    let group = scene.group();
    let asks = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: asks}}\ndata:\n  key: \"{{{{ .Capabilities.APIVersions.Has \\\"{group}/v1\\\" \
         }}}} {{{{ .Values.count }}}}\"\n"
    )
    .replace("\\\"", "\"");
    push(&scene, "app", "1.0.0", &[("values.yaml", "count: 1\n"), ("templates/a.yaml", asks.as_str())]);
    scene.create("app", json!({"ref": {"tag": "1.0.0"}, "drift": {"mode": "Correct"}}));
    scene.story.wait_ready("app", "1.0.0@").await;
    scene.wait_data("asks", "false 1").await;
    scene.story.kubectl(&["apply", "-f", "-"], &scene.widgets(VERSION));
    // Neither a correction of drift nor another process makes anything else of the same revision.
    scene.edit("asks", "by hand");
    scene.wait_data("asks", "false 1").await;
    scene.restart();
    scene.edit("asks", "by hand");
    scene.wait_data("asks", "false 1").await;
    // Changed values are another one.
    scene.change("app", json!({"helm": {"values": {"count": 2}}}));
    scene.wait_data("asks", "true 2").await;
    scene.story.wait_ready("app", "1.0.0@").await;
    // That is recorded as well, although no object is new.
    scene.story.kubectl(&["delete", "--wait", "-f", "-"], &scene.widgets(VERSION));
    scene.restart();
    scene.edit("asks", "by hand");
    scene.wait_data("asks", "true 2").await;
}

#[story]
async fn a_revision_that_is_rendered_to_something_else_later_is_refused() {
    let mut scene = charts("chart-unsteady").await.start();
    let asks = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: asks}\ndata: {key: a}\n";
    push(&scene, "app", "1.0.0", &[("templates/a.yaml", asks)]);
    scene.create("app", json!({"ref": {"tag": "1.0.0"}, "drift": {"mode": "Correct"}}));
    scene.story.wait_ready("app", "1.0.0@").await;
    // As if it had been rendered to something else before.
    let inventory = scene.config_map("inv-app").await.expect("it is there");
    let mut record: serde_json::Value =
        serde_json::from_str(&text(&inventory, "/data/chart")).expect("a record");
    assert!(record["output"].is_string(), "{record}");
    record["output"] = json!("0".repeat(32));
    let edited = json!({"data": {"chart": record.to_string()}});
    scene.replace_operator(async |story| story.patch("v1", "configmaps", "inv-app", &edited)).await;
    scene.edit("asks", "by hand");
    let says = "the Helm chart renders to something else than before";
    scene.wait_message("app", "False", says).await;
    scene.wait_data("asks", "by hand").await;
    // Another revision has no record.
    push(&scene, "app", "1.0.1", &[("templates/a.yaml", asks)]);
    scene.change("app", json!({"ref": {"tag": "1.0.1"}}));
    scene.story.wait_ready("app", "1.0.1@").await;
    scene.wait_data("asks", "a").await;
}
