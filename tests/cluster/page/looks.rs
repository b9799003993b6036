//! How the page looks, to eyes and to screen readers.

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::window::{Window, of_admin};
use crate::scene::{Scene, config_map, deployment, failing_deployment};

const PROFILES: Profiles = Profiles::First("the page reads with the rights of a person");

/// Releases in many states.
async fn fleet(scene: &Scene<'_>) {
    let web = [deployment("checkout", "checkout:2", 2), config_map("settings", "one")].concat();
    scene.push("checkout", "1", &web);
    scene.create("checkout", json!({"wait": true}));
    scene.push("payments", "1", &config_map("payments", "one"));
    scene.create("payments", json!({"wait": true, "timeout": "3s", "retryInterval": "10m"}));
    scene.create("ledger", json!({}));
    scene.push(
        "catalog",
        "1",
        &[config_map("catalog", "one"), deployment("catalog", "catalog:1", 1)].concat(),
    );
    scene.create("catalog", json!({"approval": "Manual"}));
    scene.install("search", &config_map("search", "one"), json!({"suspend": false})).await;
    scene.change("search", json!({"suspend": true}));
    scene.story.wait_ready("payments", "1@").await;
    let broken = [failing_deployment("payments", "payments:2"), config_map("payments", "two")].concat();
    scene.upgrade("payments", "2", &broken);
    scene.story.wait_condition("payments", "Ready", "False", "HealthCheckFailed").await;
    scene.story.wait_condition("ledger", "Ready", "False", "ArtifactNotFound").await;
    scene.story.wait_ready("checkout", "1@").await;
    let waits = async || {
        let release = scene.story.release("catalog").await?;
        release.pointer("/status/plan/hash").map(|_| ())
    };
    scene.story.wait_for("a plan waits", waits).await;
}

#[story]
async fn axe_finds_nothing_on_any_view_in_light_and_dark() {
    let scene = Scene::begin("shop").await;
    fleet(&scene).await;
    let namespace = scene.namespace();
    let of = |name: &str| format!("/release/{namespace}/{name}");
    let views = [
        ("wrong", "/".to_owned()),
        ("releases", "/releases".to_owned()),
        ("fleet", "/fleet?span=week".to_owned()),
        ("release", of("payments")),
        ("plan", of("catalog")),
        ("ready", of("checkout")),
        ("absent", of("absent")),
    ];
    for (scheme, setting) in [("light", "preferredColorScheme=1"), ("dark", "preferredColorScheme=0")] {
        let ui = of_admin(&scene.story);
        let window = Window::with(&[&format!("--blink-settings={setting}"), "--hide-scrollbars"]).await;
        window.goto(&ui.link).await;
        window.wait("the first view", "return location.pathname === '/'").await;
        let is_dark = window.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
        assert_eq!(is_dark, scheme == "dark");
        for (view, path) in &views {
            // The picture of a release has its objects, too.
            window.resize(1280, if *view == "release" { 1350 } else { 900 }).await;
            window.goto(&format!("{}{path}", ui.origin())).await;
            window.wait("the page is there", "return !!document.querySelector('#content h1')").await;
            assert_eq!(window.violations().await, Vec::<String>::new(), "{scheme} {path}");
            window.picture(&format!("{view}-{scheme}")).await;
        }
        // On a telephone nothing is wider than the screen.
        window.resize(500, 900).await;
        for (view, path) in &views {
            window.goto(&format!("{}{path}", ui.origin())).await;
            let wide = window.run("return document.documentElement.scrollWidth > innerWidth").await;
            assert_eq!(wide, false, "{path}");
            assert_eq!(window.violations().await, Vec::<String>::new(), "{scheme} {path}, narrow");
            window.picture(&format!("{view}-{scheme}-small")).await;
        }
        window.close().await;
    }
}

#[story]
async fn the_keyboard_reaches_everything() {
    let scene = Scene::begin("page-keys").await;
    scene.create("missing", json!({}));
    scene.story.wait_condition("missing", "Ready", "False", "ArtifactNotFound").await;
    let ui = of_admin(&scene.story);
    let window = Window::entered(&ui).await;
    // The first stop leads past the navigation, the focus can be seen, and a slash leads to the search.
    window.type_into("body", "\u{e004}").await;
    assert_eq!(window.run("return document.activeElement.className").await, "skip");
    let outline = window.run("return getComputedStyle(document.activeElement).outlineStyle").await;
    assert_eq!(outline, "solid");
    window.type_into("a.skip", "\u{e007}").await;
    window.wait("the content has the focus", "return document.activeElement.id === 'content'").await;
    window.type_into("body", "/").await;
    window.wait("the search has the focus", "return document.activeElement.id === 'find'").await;
    // A change keeps the place of the keyboard, and what is open.
    window.click(".card summary").await;
    window.wait("it is open", "return document.querySelector('.card details').open").await;
    scene.change("missing", json!({"ref": {"tag": "2"}}));
    window.wait_text(":2").await;
    window.wait("it is open still", "return document.querySelector('.card details').open").await;
    window.wait("the focus stays", "return document.activeElement.tagName === 'SUMMARY'").await;
    let said = "return document.getElementById('news').textContent.includes('missing is Failing')";
    window.wait("the change is read aloud", said).await;
    window.close().await;
}
