//! What people do on the page.

use serde_json::json;
use supercargo_testbed::{Profiles, Proxy, story};

use super::window::{Ui, Window, of_admin};
use crate::scene::{Scene, config_map, failing_deployment};
use crate::shell::Shell;

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

    // The page of a deleted release says so, and comes back with the release.
    window.goto(&format!("{}/release/{}/fine", ui.origin(), scene.namespace())).await;
    window.wait_text("1 object, all healthy").await;
    scene.story.kubectl(&["delete", "oar", "fine"], "");
    window.wait_text("It may have been deleted").await;
    assert!(!window.text().await.contains("Reconcile"), "{}", window.text().await);
    scene.create("fine", json!({}));
    window.wait_text("1 object, all healthy").await;
    window.close().await;
}

#[story]
async fn a_page_says_since_when_it_has_no_news_and_recovers() {
    let scene = Scene::begin("page-away").await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    let mut proxy = Proxy::before_api_server(scene.story.bed());
    let token = scene.story.bed().service_account_token(scene.namespace(), "deployer");
    let config = proxy.kubeconfig(&scene.story.bed().kubeconfig_for_token(&token));
    let ui = Ui::start(&Shell::with(&config, scene.namespace()), &["-n", scene.namespace()]);
    let window = Window::entered(&ui).await;
    window.goto(&format!("{}/releases", ui.origin())).await;
    window.wait_text("1 release").await;
    let says = |text: &str, expected: bool| {
        format!("return document.querySelector('footer').innerText.includes('{text}') === {expected}")
    };
    window.wait("all is current", &says("No news since", false)).await;
    proxy.refuse();
    window.wait("there is no news", &says("No news since", true)).await;
    window.wait_text("app").await;
    assert_eq!(window.violations().await, Vec::<String>::new());
    scene.change("app", json!({"suspend": true}));
    proxy.listen();
    window.wait("all is current again", &says("No news since", false)).await;
    window.wait("what was missed is shown", "return !!document.querySelector('.badge.suspended')").await;
    window.close().await;
}

#[story]
async fn the_objects_of_an_open_release_are_read_when_it_changes_and_not_all_the_time() {
    let scene = Scene::begin("page-reads").await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.install("other", &config_map("b", "one"), json!({"interval": "1h"})).await;
    let bed = scene.story.bed();
    let reader = bed.service_account_token(scene.namespace(), "deployer");
    let shell = Shell::with(&bed.kubeconfig_for_token(&reader), scene.namespace());
    let ui = Ui::start(&shell, &["-n", scene.namespace()]);
    let window = Window::entered(&ui).await;
    window.goto(&format!("{}/release/{}/app", ui.origin(), scene.namespace())).await;
    window.wait_text("1 object, all healthy").await;
    let user = format!("system:serviceaccount:{}:deployer", scene.namespace());
    let reads = |mark| {
        let requests = bed.audit().since(mark, &user);
        let own = requests.iter().filter(|r| r.agent.starts_with("supercargo/") && r.impersonated.is_none());
        own.filter(|r| r.verb == "get" && r.resource == "configmaps").count()
    };
    // The stream has read once.
    window.wait("the stream has begun", "return !document.getElementById('connection').offsetParent").await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    // Other releases change many times.
    let mark = bed.audit().mark();
    for n in 0..5 {
        scene.change("other", json!({"interval": format!("{}h", n + 2)}));
        scene.wait_observed("other").await;
    }
    assert_eq!(reads(mark), 0, "only another release has changed");
    // Its own change is shown, and read for.
    let mark = bed.audit().mark();
    scene.change("app", json!({"suspend": true}));
    window.wait("it is suspended", "return !!document.querySelector('.state .badge.suspended')").await;
    assert!((1..=6).contains(&reads(mark)), "{}", reads(mark));
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
