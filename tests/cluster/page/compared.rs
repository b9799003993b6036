//! Revisions compared on the page of the operator: with the rights of the person, by the rules of the operator, and within
//! its memory.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::shared::{Cluster, READ};
use super::window::Window;
use crate::scene::{config_map, registry};

const PROFILES: Profiles = Profiles::First("the page acts with the rights of a person");

/// What the page says about two revisions.
async fn compared(window: &Window, page: &str, from: &str, to: &str) -> String {
    window.goto(&format!("{page}/diff?from={from}&to={to}")).await;
    window.wait_text("Compare revisions").await;
    window.text().await
}

#[story]
async fn revisions_are_compared_with_the_rights_of_the_person_and_the_rules_of_the_operator() {
    let allowed = format!("--allowed-registries={}", registry().host());
    let cluster = Cluster::begin("page-compared", &["--memory-limit=512Mi", &allowed]).await;
    let scene = &cluster.scene;
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n";
    scene.upgraded("app", "2", &[config_map("a", "two").as_str(), secret].concat()).await;
    let large: Vec<String> =
        (0..60).map(|n| config_map(&format!("large-{n}"), &"a".repeat(90 << 10))).collect();
    scene.upgraded("app", "3", &large.join("---\n")).await;
    let token = cluster.token("amara", READ);
    let window = cluster.signed_in(&token).await;
    let page = format!("{}/release/{}/app", cluster.page, scene.namespace());

    // By the link of the history, whose other end is what is applied.
    window.goto(&page).await;
    window.click("td.choices a[href*='/diff?from=2']").await;
    window.wait_text("Compare revisions").await;
    // It is larger than what the page may take of the memory of the operator.
    let text = window.text().await;
    assert!(text.contains("No comparison") && text.contains("is too large: its layer has"), "{text}");

    let text = compared(&window, &page, "1", "2").await;
    assert!(text.contains("2 objects differ"), "{text}");
    assert!(text.contains("-  key: one") && text.contains("+  key: two"), "{text}");
    assert!(text.contains("Secret/") && !text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    assert_eq!(window.violations().await, Vec::<String>::new());

    // Only what the operator has applied, although this digest exists.
    let other = scene.push("app", "4", &config_map("a", "four"));
    let text = compared(&window, &page, "1", &other).await;
    assert!(text.contains("is not in the history; use supercargo diff release app"), "{text}");

    // Credentials are read with the rights of the person, who may not read this Secret.
    let pull =
        ["create", "secret", "docker-registry", "pull", "--docker-username=a", "--docker-password=hunter2"];
    let server = format!("--docker-server={}", registry().host());
    scene.story.kubectl(&[&pull[..], &[&server]].concat(), "");
    scene.change("app", json!({"suspend": true, "secretRef": {"name": "pull"}}));
    let text = compared(&window, &page, "1", "2").await;
    assert!(text.contains("No comparison") && text.contains("cannot get resource \"secrets\""), "{text}");
    let may = "{apiGroups: [''], resources: [secrets], verbs: [get]}";
    let entrusted = cluster.signed_in(&cluster.token("ben", &format!("{READ}, {may}"))).await;
    let text = compared(&entrusted, &page, "1", "2").await;
    assert!(text.contains("2 objects differ") && !text.contains("hunter2"), "{text}");
    entrusted.close().await;

    // A registry that the operator does not use is not called for a person, either.
    scene.change("app", json!({"url": "oci://127.0.0.1:1/app", "secretRef": null}));
    let text = compared(&window, &page, "1", "2").await;
    assert!(text.contains("is not in an allowed registry"), "{text}");
    window.close().await;
}
