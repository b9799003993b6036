//! What people request on the page: with their own rights, asked twice, and with their name.

use serde_json::{Value, json};
use supercargo_testbed::fetch::{Answer, Trust, send};
use supercargo_testbed::{Profiles, story};

use super::window::{Ui, Window, of_admin};
use crate::scene::{Scene, config_map, text};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("the page acts with the rights of a person");

#[story]
async fn what_is_requested_on_the_page_is_done_once_it_is_confirmed_and_names_the_person() {
    let scene = Scene::begin("page-act").await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    let ui = of_admin(&scene.story);
    let window = Window::entered(&ui).await;
    let page = format!("{}/release/{}/app", ui.origin(), scene.namespace());
    changes(&scene, &window, &page, "").await;
    window.close().await;
}

/// Suspends, resumes, reconciles and takes back the release `app`, whose revisions are 1 and 2. The events begin with the
/// name of the person.
pub async fn changes(scene: &Scene<'_>, window: &Window, page: &str, person: &str) {
    let suspended = async |expected: bool| {
        scene.wait_field(RELEASES.0, RELEASES.1, "app", "/spec/suspend", &Value::Bool(expected)).await;
    };

    // Suspend: nothing happens before it is confirmed.
    window.goto(page).await;
    window.click(".actions a[href$='do=suspend']").await;
    window.wait_text("Suspend?").await;
    window.wait_text("supercargo suspend release app").await;
    assert_eq!(window.violations().await, Vec::<String>::new());
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], false);
    window.click("button.primary").await;
    window.wait_text("Suspended.").await;
    suspended(true).await;
    let note = scene.wait_event("app", "Requested", &["suspended the release"]).await;
    assert!(!note.starts_with("a person") && note.starts_with(person), "{note}");
    assert!(!window.address().await.contains("token"), "{}", window.address().await);
    window.wait("the page says so", "return !!document.querySelector('.state .badge.suspended')").await;

    // Resume.
    window.click(".actions a[href$='do=resume']").await;
    window.click("button.primary").await;
    window.wait_text("Resumed.").await;
    suspended(false).await;

    // Reconcile.
    let before =
        text(&scene.story.release("app").await.expect("the release"), "/status/lastHandledReconcileAt");
    window.click(".actions a[href$='do=reconcile']").await;
    window.click("button.primary").await;
    window.wait_text("Reconciliation requested.").await;
    let handled = async || {
        let release = scene.story.release("app").await?;
        (text(&release, "/status/lastHandledReconcileAt") != before).then_some(())
    };
    scene.story.wait_for("the run is over", handled).await;

    // Back to the first revision, with a reason.
    window.goto(page).await;
    window.wait_text("Roll back").await;
    window.click("a[href*='do=rollback']").await;
    window.type_into("#reason", "orders are lost").await;
    window.click("button.primary").await;
    window.wait_text("Rollback requested.").await;
    scene.wait_data("a", "one").await;
    let release = scene.story.release("app").await.expect("the release");
    assert_eq!(text(&release, "/metadata/annotations/supercargo.dev~1pin-reason"), "orders are lost");
    scene.wait_event("app", "Requested", &["pinned the release to 1@"]).await;
}

/// API version and plural name of releases.
const RELEASES: (&str, &str) = ("supercargo.dev/v1alpha1", "ociartifactreleases");

/// The plan of the release `app` that waits for a person, once it is another one.
pub async fn plan(scene: &Scene<'_>, not: &str) -> String {
    let waits = async || {
        let release = scene.story.release("app").await?;
        let hash = text(&release, "/status/plan/hash");
        (!hash.is_empty() && hash != not).then_some(hash)
    };
    scene.story.wait_for("a plan waits", waits).await
}

#[story]
async fn a_plan_is_approved_on_the_page_and_only_the_one_that_was_read() {
    let scene = Scene::begin("page-approve").await;
    scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", json!({"approval": "Manual", "interval": "1h"}));
    let first = plan(&scene, "").await;
    let ui = of_admin(&scene.story);
    let window = Window::entered(&ui).await;
    window.goto(&format!("{}/release/{}/app", ui.origin(), scene.namespace())).await;
    window.wait_text(&format!("--hash {first}")).await;
    window.click("a[href*='do=approve']").await;
    window.wait_text("Approve this plan?").await;
    // Another plan comes while the person reads.
    scene.upgrade("app", "2", &config_map("a", "two"));
    let second = plan(&scene, &first).await;
    window.click("button.primary").await;
    window.wait_text("Nothing was changed").await;
    window.wait_text(&format!("has plan {second}, not {first}")).await;
    assert!(scene.config_map("a").await.is_none());
    // That one is approved.
    window.goto(&format!("{}/release/{}/app", ui.origin(), scene.namespace())).await;
    window.click("a[href*='do=approve']").await;
    window.click("button.primary").await;
    window.wait_text("Plan approved.").await;
    scene.wait_data("a", "two").await;
    scene.wait_event("app", "Requested", &["approved plan", &second]).await;
    window.close().await;
}

#[story]
async fn nothing_is_changed_for_a_form_of_another_page_or_without_the_right() {
    let scene = Scene::begin("page-forged").await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    let namespace = scene.namespace();
    let rules =
        "[{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get, list, watch]}]";
    let reader = Shell::with_rights(&scene.story, "page-visitor", rules);
    let ui = of_admin(&scene.story);
    let entered = send("GET", &ui.link, &[], b"", Trust::default());
    let cookie =
        entered.header("set-cookie").expect("a cookie").split(';').next().expect("its value").to_owned();
    let confirm = format!("/release/{namespace}/app/confirm?do=suspend");
    let asked =
        send("GET", &format!("{}{confirm}", ui.origin()), &[("cookie", &cookie)], b"", Trust::default())
            .text();
    let token =
        asked.split_once("name=\"token\" value=\"").expect("a token").1.split('"').next().expect("its end");
    let post = |origin: Option<&str>, cookie: &str, body: &str| -> Answer {
        let mut headers = vec![("cookie", cookie), ("content-type", "application/x-www-form-urlencoded")];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let url = format!("{}/release/{namespace}/app/act", ui.origin());
        send("POST", &url, &headers, body.as_bytes(), Trust::default())
    };
    let good = format!("do=suspend&token={token}");
    let check = |origin: Option<&str>, cookie: &str, body: &str, expected: u16| {
        let answer = post(origin, cookie, body);
        assert_eq!(answer.code, expected, "{origin:?} {body}: {}", answer.text());
    };
    check(None, &cookie, &good, 403);
    check(Some("https://evil.example"), &cookie, &good, 403);
    check(Some("http://127.0.0.1:1"), &cookie, &good, 403);
    check(Some(ui.origin()), "", &good, 401);
    check(Some(ui.origin()), &cookie, "do=suspend", 403);
    check(Some(ui.origin()), &cookie, "do=suspend&token=guess", 403);
    check(Some(ui.origin()), &cookie, &format!("do=delete&token={token}"), 409);
    check(Some(ui.origin()), &cookie, &format!("{good}&reason={}", "x".repeat(20_000)), 413);
    // A link alone changes nothing.
    let link = format!("{}/release/{namespace}/app/act?{good}", ui.origin());
    assert_eq!(send("GET", &link, &[("cookie", &cookie)], b"", Trust::default()).code, 405);
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], false);
    // With all of it, the same request is made.
    check(Some(ui.origin()), &cookie, &good, 303);
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], true);

    // A person without the right is told what the API server says.
    let ui = Ui::start(&reader, &[]);
    let window = Window::entered(&ui).await;
    window.goto(&format!("{}/release/{namespace}/app/confirm?do=resume", ui.origin())).await;
    window.click("button.primary").await;
    window.wait_text("Nothing was changed").await;
    window.wait_text("cannot patch resource").await;
    assert_eq!(scene.story.release("app").await.expect("the release")["spec"]["suspend"], true);
    window.close().await;
}
