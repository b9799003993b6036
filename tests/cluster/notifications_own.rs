//! Receivers of notifications that a release names itself: only where the administrator allows it, with the
//! rights of the release, and to no other place.

use serde_json::{Value, json};
use supercargo_testbed::inbox::{Inbox, Reply};
use supercargo_testbed::{Profiles, story};

use super::scene::{CONFIG_MAPS, Scene, account, config_map, role};

const PROFILES: Profiles = Profiles::First("the rights that matter are those of the account in the story");

/// What opens the receivers here.
const HOOK: &str = "/services/T0/B0/h00k-0123456789abcdef";
const TOKEN: &str = "t0ken-0123456789abcdef";

fn host(inbox: &Inbox) -> String {
    inbox.url("").trim_start_matches("http://").trim_end_matches('/').to_owned()
}

fn secret(name: &str, url: &str) -> String {
    let data = json!({"url": url, "token": TOKEN});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}).to_string()
}

fn notify(name: &str, secret: &str) -> Value {
    json!({"name": name, "type": "cloudevents", "secretRef": {"name": secret}})
}

fn outcomes(inbox: &Inbox) -> Vec<String> {
    let outcome = |event: Value| event["data"]["outcome"].as_str().unwrap_or("?").to_owned();
    inbox.taken().iter().map(|letter| outcome(letter.json())).collect()
}

async fn wait_outcomes(scene: &Scene<'_>, inbox: &Inbox, expected: &[&str]) {
    let wait = scene
        .story
        .wait_for("notifications", async || (outcomes(inbox).len() >= expected.len()).then_some(()));
    wait.await;
    assert_eq!(outcomes(inbox), expected);
}

async fn wait_status(scene: &Scene<'_>, release: &str, what: &str, check: impl Fn(&Value) -> bool) -> Value {
    let wait = scene.story.wait_for(what, async || {
        let release = scene.story.release(release).await?;
        let status = release["status"].clone();
        check(&status).then_some(status)
    });
    wait.await
}

/// Waits until the status says why a receiver cannot be notified.
async fn wait_failure(scene: &Scene<'_>, release: &str, says: &str) {
    let what = format!("{release} says {says}");
    wait_status(scene, release, &what, |status| status["notificationFailures"].to_string().contains(says))
        .await;
}

async fn wait_recorded(scene: &Scene<'_>, release: &str, receiver: &str, outcome: &str) {
    let is_it = |entry: &Value| entry["receiver"] == receiver && entry["outcome"] == outcome;
    let recorded = |status: &Value| status["notified"].as_array().is_some_and(|all| all.iter().any(is_it));
    wait_status(scene, release, "the record", recorded).await;
}

const REFUSED: &str = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: [1]}\n---\n";

#[story]
async fn a_release_has_receivers_of_its_own_where_they_are_allowed() {
    let (first, second) = (Inbox::start(), Inbox::start());
    let hosts = format!("--allow-release-notifications={},{}", host(&first), host(&second));
    let mut scene = Scene::builder("notify-own").await.argument(&hosts).start();
    scene.story.apply(&secret("hook", &first.url(HOOK)));
    let spec = json!({"interval": "1h", "notify": [notify("team", "hook")]});
    scene.install("app", &config_map("a", "one"), spec).await;
    wait_outcomes(&scene, &first, &["Succeeded"]).await;
    wait_recorded(&scene, "app", "spec/team", "Succeeded").await;
    let letter = first.letters().remove(0);
    assert_eq!(letter.line, format!("POST {HOOK}"));
    assert_eq!(letter.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));

    // Once, over a restart, too.
    scene.restart();
    scene.reconcile("app", "after the restart").await;
    // Another value of the Secret is used at once.
    scene.story.apply(&secret("hook", &second.url(HOOK)));
    scene.registry().push_yaml(&scene.repository("app"), "1", REFUSED);
    scene.ask("app", "refused");
    wait_outcomes(&scene, &second, &["Failed"]).await;
    wait_recorded(&scene, "app", "spec/team", "Failed").await;
    assert_eq!(outcomes(&first), ["Succeeded"]);

    // What waits ends with the field.
    second.always(Some(Reply::Status(503, Vec::new())));
    scene.registry().push_yaml(&scene.repository("app"), "1", &config_map("a", "two"));
    scene.reconcile("app", "good").await;
    wait_failure(&scene, "app", "the answer is 503").await;
    scene.change("app", json!({"notify": null}));
    let is_over = |status: &Value| status["notified"].is_null() && status["notificationFailures"].is_null();
    wait_status(&scene, "app", "no receiver", is_over).await;
    second.always(None);
    scene.reconcile("app", "again").await;
    assert_eq!(outcomes(&second), ["Failed"]);

    // What opens a receiver is nowhere.
    let release = scene.story.release("app").await.expect("the release").to_string();
    for text in [scene.operator.log(), scene.operator.metrics(), release] {
        for hidden in [TOKEN, HOOK, "h00k"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}

#[story]
async fn receivers_of_releases_are_off_unless_the_administrator_allows_them() {
    let inbox = Inbox::start();
    let scene = Scene::begin("notify-off").await;
    scene.story.apply(&secret("hook", &inbox.url(HOOK)));
    let spec = json!({"interval": "1h", "notify": [notify("team", "hook")]});
    scene.install("app", &config_map("a", "one"), spec).await;
    wait_failure(&scene, "app", "receivers of releases are not allowed (--allow-release-notifications)")
        .await;
    assert!(inbox.letters().is_empty());
    // A name that is used twice, and a type that does not exist, are refused.
    let twice = json!({"spec": {"notify": [notify("a", "b"), notify("a", "c")]}}).to_string();
    let patch = ["--namespace", scene.namespace(), "patch", "oar", "app", "--type=merge", "-p", &twice];
    let output = scene.story.bed().try_kubectl(&patch, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("notify must have different names"), "{said}");
}

#[story]
async fn what_a_release_names_leads_to_no_other_place_and_holds_up_nobody() {
    let (good, moved, silent, elsewhere) = (Inbox::start(), Inbox::start(), Inbox::start(), Inbox::start());
    moved.always(Some(Reply::with(307, "Location", &elsewhere.url("/"))));
    silent.always(Some(Reply::Silence));
    let hosts = format!(
        "--allow-release-notifications={},{},{},hooks.example",
        host(&good),
        host(&moved),
        host(&silent)
    );
    let scene = Scene::builder("notify-own-hostile").await.argument(&hosts).start();
    let apply = |name: &str, url: &str| scene.story.apply(&secret(name, url));
    apply("good", &good.url(HOOK));
    apply("moved", &moved.url(HOOK));
    apply("silent", &silent.url(HOOK));
    let refused = [
        elsewhere.url(HOOK),
        "https://169.254.169.254/h00k".to_owned(),
        "https://2852039166/h00k".to_owned(),
        "https://kubernetes.default.svc/h00k".to_owned(),
    ];
    let not_allowed = "names a host that is not allowed (--allow-release-notifications): use";
    for (n, url) in refused.iter().enumerate() {
        apply(&format!("refused-{n}"), url);
        let name = format!("refused{n}");
        let spec = json!({"interval": "1h", "notify": [notify("team", &format!("refused-{n}"))]});
        scene.install(&name, &config_map(&name, "one"), spec).await;
    }
    let spec = json!({"interval": "1h", "notify": [notify("moved", "moved"), notify("none", "none"), notify("silent", "silent")]});
    scene.install("app", &config_map("a", "one"), spec).await;
    let spec = json!({"interval": "1h", "notify": [notify("team", "good")]});
    scene.install("other", &config_map("b", "one"), spec).await;
    // A release whose account may not read the Secret, although the operator could.
    scene.story.apply(&account("weak"));
    scene.story.apply(&role("weak", scene.namespace(), CONFIG_MAPS));
    let spec = json!({"interval": "1h", "serviceAccountName": "weak", "notify": [notify("team", "good")]});
    scene.install("weak", &config_map("c", "one"), spec).await;

    wait_outcomes(&scene, &good, &["Succeeded"]).await;
    wait_failure(&scene, "app", "the answer is 307, which is not followed").await;
    wait_failure(&scene, "app", "Secret none does not exist").await;
    wait_failure(&scene, "weak", "Secret good cannot be read").await;
    for n in 0..refused.len() {
        wait_failure(&scene, &format!("refused{n}"), not_allowed).await;
    }
    assert!(elsewhere.letters().is_empty());
    assert_eq!(outcomes(&good), ["Succeeded"]);
    assert!(!scene.operator.log().contains("h00k"), "{}", scene.operator.log());
}
