//! Charts that are not rendered, and why.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::package::{ChartFiles, charts, flag, push};
use crate::scene::{Scene, config_map, message};

const PROFILES: Profiles = Profiles::First("what is refused is not applied with any rights");

const PLAIN: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: never}\n";

#[story]
async fn what_cannot_be_rendered_is_refused_in_words() {
    let scene = charts("chart-refused").await.start();
    let random = "apiVersion: v1\nkind: Secret\nmetadata: {name: never}\nstringData:\n  password: {{ randAlphaNum 20 }}\n";
    let cases: &[(&str, ChartFiles<'_>, serde_json::Value, &str, &str)] = &[
        (
            "random",
            &[("templates/a.yaml", random)],
            json!({}),
            "BuildFailed",
            "gives another output each time: Secret/never: stringData.password; set the value that the chart makes by \
             chance or by the time, or let it refer to a Secret that exists",
        ),
        (
            "clock",
            &[(
                "templates/a.yaml",
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: never}\ndata: {at: {{ now | unixEpoch | quote }}}\n",
            )],
            json!({}),
            "BuildFailed",
            "gives another output each time: ConfigMap/never: data.at;",
        ),
        (
            "required",
            &[("templates/a.yaml", "{{ required \"set .Values.host\" .Values.host }}")],
            json!({}),
            "BuildFailed",
            "set .Values.host",
        ),
        (
            "version",
            &[
                ("templates/a.yaml", PLAIN),
                ("Chart.yaml", "apiVersion: v2\nname: version\nversion: 1.0.0\nkubeVersion: '<1.30'\n"),
            ],
            json!({}),
            "BuildFailed",
            "chart requires kubeVersion: <1.30 which is incompatible with Kubernetes v1.36.3",
        ),
        (
            "schema",
            &[
                ("templates/a.yaml", PLAIN),
                ("values.schema.json", r#"{"properties": {"port": {"type": "integer"}}}"#),
            ],
            json!({"helm": {"values": {"port": "eighty"}}}),
            "BuildFailed",
            "values don't meet the specifications of the schema",
        ),
        (
            "path",
            &[("templates/a.yaml", PLAIN)],
            json!({"path": "templates"}),
            "InvalidSpec",
            "remove path (templates)",
        ),
        (
            "twice",
            &[(
                "templates/a.yaml",
                "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: never\n  annotations: {helm.sh/hook: 'post-install,pre-upgrade'}\n",
            )],
            json!({}),
            "ManifestInvalid",
            "runs before the other objects and after them, and an object is applied once; choose with a patch",
        ),
    ];
    for (name, files, spec, ..) in cases {
        push(&scene, name, "1.0.0", files);
        let mut spec = spec.clone();
        spec["ref"] = json!({"tag": "1.0.0"});
        scene.create(name, spec);
    }
    for (name, _, _, reason, says) in cases {
        let release = scene.story.wait_condition(name, "Stalled", "True", reason).await;
        let ready = message(&release, "Ready");
        assert!(ready.contains(says), "{name}: {ready}");
    }
    // Options of a chart, and no chart.
    scene.push("plain", "1", &config_map("never", "1"));
    scene.create("plain", json!({"helm": {}}));
    let says = "spec.helm is set, and the artifact is not a Helm chart; remove spec.helm";
    scene.wait_message("plain", "False", says).await;
    assert!(scene.config_map("never").await.is_none());
}

#[story]
async fn an_administrator_can_refuse_charts() {
    let scene = Scene::builder("chart-disabled").await.argument(&flag()).argument("--helm=Disabled").start();
    push(&scene, "app", "1.0.0", &[("templates/a.yaml", PLAIN)]);
    scene.create("app", json!({"ref": {"tag": "1.0.0"}}));
    let release = scene.story.wait_condition("app", "Stalled", "True", "BuildNotAllowed").await;
    assert!(
        message(&release, "Ready").contains("the operator does not render Helm charts (--helm=Disabled)")
    );
    assert!(scene.operator.log().contains("refuses Helm charts (--helm=Disabled)"));
}
