//! What people do on the page.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::window::{Window, of_admin};
use crate::scene::{Scene, config_map, failing_deployment};

const PROFILES: Profiles = Profiles::First("the page reads with the rights of a person");

#[story]
async fn the_page_leads_from_what_is_wrong_to_the_pod_and_follows_the_repair() {
    let scene = Scene::begin("page-flow").await;
    scene.install("fine", &config_map("a", "one"), json!({})).await;
    scene.push("shop", "1", &failing_deployment("shop", "shop:1"));
    scene.create("shop", json!({"wait": true, "timeout": "3s"}));
    scene.story.wait_condition("shop", "Ready", "False", "HealthCheckFailed").await;
    let ui = of_admin(&scene.story);
    let window = Window::entered(&ui).await;

    // The first view has what is wrong, and nothing else.
    window.wait_text("1 of 2 releases needs attention").await;
    let text = window.text().await;
    assert!(text.contains("HealthCheckFailed") && text.contains("Failing"), "{text}");
    assert!(!text.contains("fine"), "{text}");
    assert!(text.contains("Before") && text.contains("Running"), "{text}");
    window.click(".card summary").await;
    window.wait_text(&format!("supercargo status release shop -n {}", scene.namespace())).await;
    window.wait_text("publish a revision that works").await;

    // The release, down to the pod.
    window.click(".card .name").await;
    window.wait_text("Pod").await;
    for part in ["Why", "Objects", "Revisions", "Signatures", "Conditions", "Events"] {
        window.wait_text(part).await;
    }
    window.wait_text("1 object, 1 not healthy").await;

    // A repair is shown without a reload.
    window.run("window.untouched = true").await;
    scene.upgrade("shop", "2", &config_map("shop", "repaired"));
    scene.story.wait_ready("shop", "2@").await;
    window.wait_text("1 object, all healthy").await;
    window
        .wait(
            "the title is that of a Ready release",
            "return !!document.querySelector('.state .badge.ready')",
        )
        .await;
    assert_eq!(window.run("return window.untouched === true").await, true);

    // The fleet over time has both rollouts.
    window.click("nav a[href='/fleet']").await;
    window.wait_text("rollouts in the last 24 hours, 1 failed").await;

    // All releases: search, filter, and a deleted one goes by itself.
    window.click("nav a[href='/releases']").await;
    window.wait_text("2 releases").await;
    window.type_into("#find", "FINE\u{e007}").await;
    window.wait("the search is an address", "return location.search === '?q=FINE'").await;
    window.wait_text("1 of 2 releases").await;
    window.click(".clear").await;
    window.wait("all are shown", "return document.querySelectorAll('tbody tr').length === 2").await;
    window.run("window.untouched = true").await;
    scene.story.kubectl(&["delete", "oar", "shop"], "");
    window.wait("the row is gone", "return document.querySelectorAll('tbody tr').length === 1").await;
    window.wait_text("1 release").await;
    assert_eq!(window.run("return window.untouched === true").await, true);
    window.click("nav a[href='/']").await;
    window.wait_text("Nothing is wrong").await;
    window.close().await;
}

#[story]
async fn the_page_is_whole_without_scripts() {
    let scene = Scene::begin("page-plain").await;
    scene.create("missing", json!({}));
    scene.story.wait_condition("missing", "Ready", "False", "ArtifactNotFound").await;
    let ui = of_admin(&scene.story);
    let window = Window::with(&["--blink-settings=scriptEnabled=false"]).await;
    window.goto(&ui.link).await;
    window.wait("the page leads on by itself", "return location.pathname === '/'").await;
    assert!(window.text().await.contains("ArtifactNotFound"));
    window.click(".card .name").await;
    window.wait_text("What to do").await;
    window.click("nav a[href='/releases']").await;
    window.type_into("#q", "nothing\u{e007}").await;
    window.wait_text("No release is like that").await;
    window.goto(&format!("{}/releases?q=miss&state=failing", ui.origin())).await;
    window.wait_text("missing").await;
    window.close().await;
}

#[story]
async fn revisions_and_drift_are_compared_by_their_fields() {
    let scene = Scene::begin("page-compare").await;
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}\n---\n";
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.upgraded("app", "2", &[config_map("a", "two").as_str(), secret].concat()).await;
    scene.change("app", json!({"suspend": true}));
    scene.wait_observed("app").await;
    scene.edit("a", "by hand");
    let ui = of_admin(&scene.story);
    let window = Window::entered(&ui).await;
    let page = format!("{}/release/{}/app", ui.origin(), scene.namespace());

    // What a run would change: the field that somebody has edited.
    window.goto(&page).await;
    window.click(".actions a[href$='/diff']").await;
    window.wait_text("1 object differs").await;
    let text = window.text().await;
    assert!(text.contains("-  key: by hand") && text.contains("+  key: two"), "{text}");
    assert_eq!(window.violations().await, Vec::<String>::new());

    // Any two revisions of the history; no value of a Secret is shown.
    window.run("document.getElementById('from').selectedIndex = 1").await;
    window.click("form[action$='/diff'] button").await;
    window.wait_text("2 objects differ").await;
    let text = window.text().await;
    assert!(text.contains("-  key: one") && text.contains("+  key: two"), "{text}");
    assert!(text.contains("Secret/") && !text.contains("hunter2") && !text.contains("aHVudGVyMg"), "{text}");
    assert_eq!(window.violations().await, Vec::<String>::new());
    // What is no revision says so.
    window.goto(&format!("{page}/diff?from=nothing&to=2")).await;
    window.wait_text("No comparison").await;
    window.close().await;
}
