//! Charts from their push to objects in the cluster.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::package::{ChartFiles, charts, push};
use crate::scene::{Scene, text};

const PROFILES: Profiles = Profiles::First("what is rendered is applied as any other manifest");

/// A ConfigMap that says what the chart was rendered with.
const SETTINGS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-settings
  labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}
data:
  color: {{ .Values.color | quote }}
  size: {{ .Values.nested.size | quote }}
  password: {{ .Values.password | default \"none\" | quote }}
  place: {{ .Release.Namespace }}
  install: \"{{ .Release.IsInstall }} {{ .Release.IsUpgrade }} {{ .Release.Revision }}\"
  version: {{ .Chart.Version | quote }}
  kubernetes: {{ .Capabilities.KubeVersion.Version }}
  releases: \"{{ .Capabilities.APIVersions.Has \"supercargo.dev/v1alpha1/OCIArtifactRelease\" }}\"
  gateways: \"{{ .Capabilities.APIVersions.Has \"gateway.networking.k8s.io/v1\" }}\"
  looked: \"{{ len (lookup \"v1\" \"Namespace\" \"\" \"\") }}\"
";
const VALUES: &str = "color: blue\nnested: {size: small, shape: round}\nextra: true\n";

fn chart(values: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("values.yaml", values),
        ("templates/settings.yaml", SETTINGS),
        (
            "templates/extra.yaml",
            "{{- if .Values.extra }}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n{{- end }}\n",
        ),
        ("templates/NOTES.txt", "Thank you for installing {{ .Chart.Name }}.\n"),
    ]
}

async fn data(scene: &Scene<'_>, name: &str, key: &str) -> String {
    let map = scene.config_map(name).await.expect("it is applied");
    text(&map, &format!("/data/{key}"))
}

/// The Secrets in the namespace.
fn secrets(scene: &Scene<'_>) -> String {
    scene.story.kubectl(&["get", "secrets", "-o", "name"], "")
}

#[story]
async fn a_chart_is_rendered_applied_and_kept() {
    let mut scene = charts("chart-app").await.start();
    push(&scene, "app", "1.0.0", &chart(VALUES));
    scene.create("app", json!({"ref": {"tag": "1.0.0"}, "drift": {"mode": "Correct"}}));
    scene.story.wait_ready("app", "1.0.0@").await;
    let expect =
        async |key: &str, value: &str| assert_eq!(data(&scene, "app-settings", key).await, value, "{key}");
    expect("color", "blue").await;
    expect("place", scene.namespace()).await;
    expect("install", "true false 1").await;
    expect("kubernetes", "v1.36.3").await;
    expect("releases", "true").await;
    expect("gateways", "false").await;
    expect("looked", "0").await;
    assert_eq!(scene.named("app").await, ["app-settings", "extra"]);
    assert_eq!(secrets(&scene), "", "Helm keeps nothing in the cluster");

    // Drift, and a run that changes nothing, render nothing again.
    let builds = |scene: &Scene<'_>, result: &str| {
        scene.operator.metric(&format!("supercargo_builds_total{{result=\"{result}\"}}")).unwrap_or_default()
    };
    assert_eq!(builds(&scene, "built"), 1.0);
    scene.patch("v1", "configmaps", "app-settings", json!({"data": {"color": "by hand"}}));
    scene.wait_field("v1", "configmaps", "app-settings", "/data/color", &"blue".into()).await;
    scene.reconcile("app", "again").await;
    assert_eq!(builds(&scene, "built"), 1.0);

    // A new version, and values of the spec: what left the chart is pruned.
    push(&scene, "app", "2.0.0", &chart(VALUES));
    let values = json!({"color": "green", "extra": false, "nested": {"shape": null}});
    scene.change("app", json!({"ref": {"tag": "2.0.0"}, "helm": {"values": values, "releaseName": "other"}}));
    scene.story.wait_ready("app", "2.0.0@").await;
    assert_eq!(scene.named("app").await, ["other-settings"]);
    assert_eq!(data(&scene, "other-settings", "color").await, "green");
    assert_eq!(data(&scene, "other-settings", "size").await, "small");
    assert_eq!(data(&scene, "other-settings", "version").await, "2.0.0");
    assert!(scene.config_map("extra").await.is_none());

    // A restart changes nothing.
    let before = scene.config_map("other-settings").await;
    scene.restart();
    scene.reconcile("app", "restarted").await;
    scene.story.wait_ready("app", "2.0.0@").await;
    assert_eq!(scene.config_map("other-settings").await, before);
}

#[story]
async fn values_come_from_config_maps_and_secrets_and_follow_them() {
    let scene = charts("chart-values").await.start();
    push(&scene, "app", "1.0.0", &chart(VALUES));
    let secret = |password: &str| {
        let values = format!("color: red\npassword: {password}\n");
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
            "stringData": {"values.yaml": values, "size": "12345678"}});
        scene.story.kubectl(&["apply", "--server-side", "-f", "-"], &object.to_string());
    };
    secret("swordfish");
    let common = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "common"},
        "data": {"prod.yaml": "color: yellow\nextra: false\n"}});
    scene.story.kubectl(&["create", "-f", "-"], &common.to_string());
    let from = json!([
        {"kind": "ConfigMap", "name": "common", "valuesKey": "prod.yaml"},
        {"kind": "Secret", "name": "keys"},
        {"kind": "Secret", "name": "keys", "valuesKey": "size", "targetPath": "nested.size"},
        {"kind": "Secret", "name": "none", "optional": true},
    ]);
    scene.create("app", json!({"ref": {"tag": "1.0.0"}, "helm": {"valuesFrom": from}}));
    scene.story.wait_ready("app", "1.0.0@").await;
    let map = scene.config_map("app-settings").await.expect("it is applied");
    let found = ["color", "size", "password"].map(|key| text(&map, &format!("/data/{key}")));
    assert_eq!(found, ["red", "12345678", "swordfish"]);
    assert_eq!(
        text(&map, "/metadata/annotations/supercargo.dev~1sensitive-paths"),
        "/data/password, /data/size"
    );
    assert!(scene.config_map("extra").await.is_none());

    // Its rotation renders the chart again, without a change of the release.
    secret("marlin-blue");
    scene.wait_field("v1", "configmaps", "app-settings", "/data/password", &"marlin-blue".into()).await;
    scene.story.wait_ready("app", "1.0.0@").await;

    // The spec is last.
    scene.change("app", json!({"helm": {"valuesFrom": from, "values": {"color": "black"}}}));
    scene.wait_field("v1", "configmaps", "app-settings", "/data/color", &"black".into()).await;

    // A key that is missing is named, and what is applied stays.
    let missing = json!([{"kind": "Secret", "name": "keys", "valuesKey": "other"}]);
    scene.change("app", json!({"helm": {"valuesFrom": missing, "values": {"color": "black"}}}));
    let says = "Secret keys has no key \"other\", named by spec.helm.valuesFrom[0].valuesKey";
    let release = scene.wait_message("app", "False", says).await;
    assert!(!release.to_string().contains("marlin-blue"), "{release}");
    assert_eq!(data(&scene, "app-settings", "password").await, "marlin-blue");
    // Nothing that the operator has said has a value.
    for (_, message) in scene.events("app").await {
        assert!(!message.contains("swordfish") && !message.contains("marlin-blue"), "{message}");
    }
    assert!(!scene.operator.log().contains("swordfish"));
}

#[story]
async fn a_chart_is_patched_and_placed_by_the_release() {
    let scene = charts("chart-spec").await.start();
    let files: ChartFiles<'_> = &chart(VALUES);
    push(&scene, "app", "1.0.0", files);
    let target = scene.story.another_namespace("target");
    let spec = json!({
        "ref": {"semver": "1.x"},
        "targetNamespace": target,
        "commonMetadata": {"labels": {"team": "web"}},
        "patches": [{"patch": "[{op: add, path: /data/patched, value: 'by ${WHO}'}]",
                     "target": {"kind": "ConfigMap", "name": "app-settings"}}],
        "postBuild": {"substitute": {"WHO": "me"}},
    });
    scene.create("app", spec);
    scene.story.wait_ready("app", "1.0.0@").await;
    let map = scene
        .story
        .object_in(Some(&target), "v1", "configmaps", "app-settings")
        .await
        .expect("it is applied");
    assert_eq!(text(&map, "/data/patched"), "by me");
    assert_eq!(text(&map, "/data/place"), target);
    assert_eq!(text(&map, "/metadata/labels/team"), "web");
}
