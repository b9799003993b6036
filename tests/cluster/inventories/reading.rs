//! `get inventories` and `inspect inventory`.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

fn inventory(name: &str, by: &str, data: &Value) -> String {
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/component": "inventory",
        "app.kubernetes.io/created-by": by});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}).to_string()
}

/// Without the times, which differ each time.
fn untimed(text: &str) -> String {
    let field = |field: &str| match field.len() == 20 && field.ends_with('Z') {
        true => "TIME".to_owned(),
        false => field.to_owned(),
    };
    text.split('\n')
        .map(|l| l.split(' ').map(field).collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n")
}

#[story]
async fn inventories_are_listed_and_shown() {
    let hand = Hand::begin("hand-list").await;
    let other = hand.story.another_namespace("hand-list-other");
    let provenance = ["--source", "https://there", "--revision", "v1"];
    hand.does(
        &[&["apply", "-i", "first", "-f", "-"], &provenance[..]].concat(),
        &(config_map("b", "1") + &config_map("a", "1")),
    );
    hand.does(&["apply", "-i", "second", "-f", "-"], &config_map("c", "1"));
    let listed = hand.run(&["get", "inventories"], "");
    assert_eq!(
        untimed(&listed.out),
        "NAME     ENTRIES   SOURCE          REVISION   LAST APPLIED\nfirst    2         https://there   v1         \
         TIME\nsecond   1                                    TIME\n"
    );
    assert_eq!((listed.code, listed.err.as_str()), (Some(0), ""));
    let one = hand.run(&["get", "inventory", "second", "--no-headers"], "");
    assert_eq!(untimed(&one.out), "second   1         TIME\n");
    hand.does(&["apply", "-i", "first", "-f", "-", "--inventory-namespace", &other], &config_map("d", "1"));
    let everywhere = hand.run(&["get", "inventories", "first", "-A"], "");
    assert!(everywhere.out.starts_with("NAME    NAMESPACE"), "{}", everywhere.out);
    assert_eq!(everywhere.out.lines().filter(|l| l.contains("hand-list") || l.contains("NS")).count(), 2);
    let json = hand.run(&["get", "inventories", "-o", "json"], "");
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((json[0]["name"].as_str(), json[0]["entries"].as_u64()), (Some("first"), Some(2)));
    let shown = hand.run(&["inspect", "inventory", "first"], "");
    assert_eq!(
        untimed(&shown.out),
        "Inventory: NS/first\nLastAppliedAt: TIME\nSource: https://there\nRevision: v1\nResources:\n- \
         ConfigMap/NS/a\n- ConfigMap/NS/b\n"
    );
    let artifact = r#"["registry.example/app@sha256:0"]"#;
    let patch = json!({"data": {"artifacts": artifact}}).to_string();
    hand.story.kubectl(&["patch", "configmap", "inv-second", "--type=merge", "--patch", &patch], "");
    let wide = hand.run(&["get", "inventories", "-o", "wide"], "");
    assert_eq!(
        untimed(&wide.out),
        "NAME     ENTRIES   SOURCE          REVISION   LAST APPLIED           ARTIFACTS\nfirst    2         \
         https://there   v1         TIME\nsecond   1                                    TIME   \
         registry.example/app@sha256:0\n"
    );
    hand.says(
        &["inspect", "inventory", "nope"],
        "",
        1,
        "",
        "error: inventory nope not found in namespace NS; list all with `supercargo get inventories`\n",
    );
    hand.says(
        &["get", "inventories", "nope"],
        "",
        1,
        "",
        "error: inventory nope not found in namespace NS\n",
    );
}

#[story]
async fn b15_a_broken_or_foreign_inventory_does_not_break_the_list() {
    let hand = Hand::begin("hand-b15").await;
    hand.does(&["apply", "-i", "fine", "-f", "-"], &config_map("a", "1"));
    hand.story.apply(&inventory("inv-broken", "supercargo", &json!({"resources": "{garbage"})));
    hand.story.apply(&inventory("old", "kustomizer", &json!({"inventory": "[]"})));
    hand.story.apply(&inventory("old-too", "supercargo", &json!({"inventory": "[]"})));
    let listed = hand.run(&["get", "inventories"], "");
    assert_eq!(listed.code, Some(0));
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    let broken = "the inventory NS/inv-broken is broken: restore its data.resources, or set it to [] to give up the \
                  objects in it: the entries are not a valid JSON list: ";
    assert!(listed.err.starts_with(&format!("warning: {broken}")), "{}", listed.err);
    assert_eq!(listed.err.lines().count(), 1, "{}", listed.err);
    for arguments in [
        &["inspect", "inventory", "broken"][..],
        &["delete", "-i", "broken"],
        &["apply", "-i", "broken", "--prune", "-f", "-"],
        &["diff", "-i", "broken", "-f", "-"],
    ] {
        let ended = hand.run(arguments, &config_map("b", "1"));
        assert_eq!(ended.code, Some(if arguments[0] == "diff" { 2 } else { 1 }));
        assert!(ended.err.contains(&format!("error: {broken}")), "{}", ended.err);
    }
    assert!(hand.config_map("b").await.is_none());
}
