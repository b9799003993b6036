//! `build`: the dialect of the workflow pushes, that of Kustomizer 2 pulls.

use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map};
use crate::scene::registry;

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

const OVERLAY: &str = "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: NS
namePrefix: my-
resources: [app.yaml]
";

#[story]
async fn an_overlay_is_printed_pushed_pulled_and_applied() {
    let hand = Hand::begin("hand-build").await;
    hand.file("overlay/kustomization.yaml", OVERLAY);
    hand.file("overlay/app.yaml", &config_map("a", "x"));
    let yaml =
        "apiVersion: v1\ndata:\n  v: x\nkind: ConfigMap\nmetadata:\n  name: my-a\n  namespace: NS\n---\n";
    hand.says(&["build", "-k", "overlay"], "", 0, yaml, "");
    let url = format!("oci://{}/NS:1.0.0", registry().host());
    let built = hand.run(&["build", "-k", "./overlay/", "-a", &url], "");
    assert_eq!((built.code, built.out.as_str()), (Some(0), "ConfigMap/NS/my-a\n"), "{}", built.err);
    let host = registry().host();
    let told =
        format!("building manifests...\npushing image {host}/NS:1.0.0\npublished digest {host}/NS@sha256:");
    assert!(built.err.starts_with(&told), "{}", built.err);

    let pulling = format!("pulling {host}/NS:1.0.0\n");
    hand.says(&["build", "inventory", "app", "-a", &url], "", 0, yaml, &pulling);
    hand.says(
        &["apply", "-i", "app", "-a", &url],
        "",
        0,
        "",
        &format!("{pulling}applying 1 manifest(s)...\nConfigMap/NS/my-a created\n"),
    );
    let shown = hand.run(&["inspect", "inventory", "app"], "").out;
    assert!(shown.contains(&format!("Source: {host}/NS\nRevision: 1.0.0@sha256:")), "{shown}");
    assert!(shown.contains(&format!("Artifacts:\n- oci://{host}/NS@sha256:")), "{shown}");
}

#[story]
async fn stdin_overlay_and_artifact_are_one_set() {
    let hand = Hand::begin("hand-combined").await;
    hand.file("overlay/kustomization.yaml", OVERLAY);
    hand.file("overlay/app.yaml", &config_map("a", "x"));
    registry().push_yaml(hand.namespace(), "1", &config_map("pulled", "x"));
    let url = format!("oci://{}/NS:1", registry().host());
    let all = ["-i", "app", "-k", "overlay", "-f", "-", "-a", &url];
    let told = hand.does(&[&["apply"], &all[..]].concat(), &config_map("piped", "x"));
    assert!(
        told.ends_with("applying 3 manifest(s)...\nConfigMap/NS/my-a created\nConfigMap/NS/piped created\nConfigMap/NS/pulled created\n"),
        "{told}"
    );
    let diff = hand.run(&[&["diff"], &all[..]].concat(), &config_map("piped", "x"));
    assert_eq!((diff.code, diff.out.as_str()), (Some(0), ""), "{}", diff.err);
    let twice = hand.run(&[&["apply"], &all[..]].concat(), &config_map("pulled", "x"));
    assert_eq!(twice.code, Some(1));
    assert!(twice.err.contains("ConfigMap/pulled is already in stdin"), "{}", twice.err);
}
