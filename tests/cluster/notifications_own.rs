//! Receivers of notifications that a release names itself: only where the administrator allows it, with the
//! rights of the release, and to no other place.

use serde_json::{Value, json};
use supercargo_testbed::alertmanager::Alertmanager;
use supercargo_testbed::inbox::{Inbox, Reply};
use supercargo_testbed::{Profiles, ports, story};

use super::scene::{CONFIG_MAPS, Scene, account, config_map, role};

const PROFILES: Profiles = Profiles::First("the rights that matter are those of the account in the story");

/// What opens the receivers here.
const HOOK: &str = "/services/T0/B0/h00k-0123456789abcdef";
const TOKEN: &str = "t0ken-0123456789abcdef";

fn host(inbox: &Inbox) -> String {
    host_of(&inbox.url(""))
}

fn host_of(url: &str) -> String {
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
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

const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
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

/// The messages of the events about receivers.
async fn events(scene: &Scene<'_>, release: &str) -> Vec<String> {
    let events = scene.events(release).await.into_iter();
    events.filter(|(reason, _)| reason == "NotificationFailed").map(|(_, message)| message).collect()
}

#[story]
async fn a_receiver_that_cannot_be_notified_is_one_event_for_each_outcome() {
    let inbox = Inbox::start();
    inbox.always(Some(Reply::Status(503, Vec::new())));
    let hosts = format!("--allow-release-notifications={}", host(&inbox));
    let mut scene = Scene::builder("notify-own-events").await.argument(&hosts).start();
    scene.story.apply(&secret("hook", &inbox.url(HOOK)));
    let spec = json!({"interval": "1h", "notify": [notify("team", "hook")]});
    scene.install("app", &config_map("a", "one"), spec).await;
    let succeeded = "Cannot notify receiver spec/team of Succeeded: the answer is 503";
    scene.wait_event("app", "NotificationFailed", &[succeeded]).await;
    // Neither a retry, nor another cause, nor a restart is another event.
    inbox.always(Some(Reply::Status(500, Vec::new())));
    wait_failure(&scene, "app", "the answer is 500").await;
    scene.restart();
    let count = inbox.letters().len();
    scene.story.wait_for("more attempts", async || (inbox.letters().len() > count + 1).then_some(())).await;
    wait_failure(&scene, "app", "the answer is 500").await;
    assert_eq!(events(&scene, "app").await, [succeeded]);
    inbox.always(None);
    wait_recorded(&scene, "app", "spec/team", "Succeeded").await;
    wait_status(&scene, "app", "no failure", |status| status["notificationFailures"].is_null()).await;
    // Another outcome is.
    inbox.always(Some(Reply::Status(400, Vec::new())));
    scene.registry().push_yaml(&scene.repository("app"), "1", REFUSED);
    scene.ask("app", "refused");
    let failed = "Cannot notify receiver spec/team of Failed: the answer is 400; it is not sent again";
    scene.wait_event("app", "NotificationFailed", &[failed]).await;
    let mut events = events(&scene, "app").await;
    events.sort();
    assert_eq!(events, [failed, succeeded]);
}

#[story]
async fn behind_a_proxy_only_hosts_that_are_listed_themselves_are_reached() {
    let proxy = Inbox::start();
    proxy.always(Some(Reply::Status(502, Vec::new())));
    let hosts = "--allow-release-notifications=*.wild.example,chat.example,*.exempt.example";
    let builder = Scene::builder("notify-own-proxy").await.argument(hosts);
    let scene = builder
        .start_with(|options| options.env("HTTPS_PROXY", &proxy.url("")).env("NO_PROXY", "exempt.example"));
    let names = ["chat.example", "a.wild.example", "a.exempt.example"];
    for (n, name) in names.iter().enumerate() {
        scene.story.apply(&secret(&format!("hook-{n}"), &format!("https://{name}{HOOK}")));
    }
    let receivers: Vec<Value> =
        (0..names.len()).map(|n| notify(&format!("r{n}"), &format!("hook-{n}"))).collect();
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h", "notify": receivers})).await;
    wait_failure(
        &scene,
        "app",
        "names a host that only a wildcard allows, and the operator's proxy would resolve the name",
    )
    .await;
    let what = "the proxy is asked for the host that is listed itself";
    scene.story.wait_for(what, async || (!proxy.letters().is_empty()).then_some(())).await;
    let failed = |status: &Value| {
        status["notificationFailures"].as_array().is_some_and(|all| all.len() == names.len())
    };
    let status = wait_status(&scene, "app", "all have failed", failed).await;
    let cannot = status["notificationFailures"].to_string().matches("the receiver cannot be reached").count();
    assert_eq!(cannot, 2, "{status}");
    let asked: Vec<String> = proxy.letters().into_iter().map(|letter| letter.line).collect();
    assert!(asked.iter().all(|line| line == "CONNECT chat.example:443"), "{asked:?}");
}

#[story]
async fn a_receiver_without_a_place_is_notified_when_another_one_is_done() {
    const PLACES: usize = 64;
    let (busy, late) = (Inbox::start(), Inbox::start());
    busy.always(Some(Reply::with(503, "Retry-After", "3600")));
    let hosts = format!("--allow-release-notifications={},{}", host(&busy), host(&late));
    let scene = Scene::builder("notify-own-places").await.argument(&hosts).start();
    scene.story.apply(&secret("busy", &busy.url(HOOK)));
    scene.story.apply(&secret("late", &late.url(HOOK)));
    let names: Vec<String> = (0..PLACES / 4).map(|n| format!("busy{n}")).collect();
    for name in &names {
        let receivers: Vec<Value> = (0..4).map(|n| notify(&format!("r{n}"), "busy")).collect();
        scene.push(name, "1", &config_map(name, "one"));
        scene.create(name, json!({"interval": "1h", "notify": receivers}));
    }
    let all = async || (busy.letters().len() >= PLACES).then_some(());
    scene.story.wait_for("every place is taken", all).await;
    let spec = json!({"interval": "1h", "notify": [notify("team", "late")]});
    scene.install("app", &config_map("a", "one"), spec).await;
    wait_failure(&scene, "app", "notifications wait for too many other receivers").await;
    assert!(late.letters().is_empty());
    scene.change(&names[0], json!({"notify": null}));
    wait_outcomes(&scene, &late, &["Succeeded"]).await;
    wait_recorded(&scene, "app", "spec/team", "Succeeded").await;
    wait_status(&scene, "app", "no failure", |status| status["notificationFailures"].is_null()).await;
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
    scene.wait_event("app", "NotificationFailed", &["receivers of releases are not allowed"]).await;
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

#[story]
async fn an_alertmanager_of_a_release_has_its_alerts_as_long_as_they_are_true() {
    let (first, other) = (ports::free(), ports::free());
    let alertmanager = Alertmanager::on(first);
    let moved = Alertmanager::on(other);
    let hosts =
        format!("--allow-release-notifications={},{}", host_of(alertmanager.url()), host_of(moved.url()));
    let mut scene = Scene::builder("notify-own-alerts").await.argument(&hosts).start();
    scene.story.apply(&secret("alerts", alertmanager.url()));
    scene.story.apply(&secret("moved", moved.url()));
    let receiver =
        |secret: &str| json!([{"name": "alerts", "type": "alertmanager", "secretRef": {"name": secret}}]);
    let spec = json!({"interval": "1h", "notify": receiver("alerts")});
    for name in ["app", "good"] {
        scene.install(name, &config_map(name, "one"), spec.clone()).await;
    }
    let stand = async |scene: &Scene<'_>, alertmanager: &Alertmanager, expected: &[&str]| {
        let what = format!("an Alertmanager has {expected:?}");
        let text = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or("?").to_owned();
        let shown = |alert: Value| {
            assert_eq!(text(&alert, "namespace"), scene.namespace());
            format!("{} {}", text(&alert, "release"), text(&alert, "outcome"))
        };
        let wait = scene.story.wait_for(&what, async || {
            let alerts: Vec<String> = alertmanager.alerts().into_iter().map(shown).collect();
            (alerts == expected).then_some(())
        });
        wait.await;
    };
    drop(alertmanager);
    scene.upgrade("app", "2", REFUSED);
    wait_failure(&scene, "app", "the receiver cannot be reached").await;
    let alertmanager = Alertmanager::on(first);
    stand(&scene, &alertmanager, &["app Failed"]).await;
    wait_status(&scene, "app", "no failure", |status| status["notificationFailures"].is_null()).await;
    // Neither of the two remembers it over a restart.
    drop(alertmanager);
    let alertmanager = Alertmanager::on(first);
    scene.restart();
    stand(&scene, &alertmanager, &["app Failed"]).await;

    // Another receiver: the alert ends at the one before.
    scene.change("app", json!({"notify": receiver("moved")}));
    stand(&scene, &moved, &["app Failed"]).await;
    stand(&scene, &alertmanager, &[]).await;
    scene.upgraded("app", "3", &config_map("a", "two")).await;
    stand(&scene, &moved, &[]).await;
    // A release that is gone has no alert.
    scene.upgrade("app", "4", REFUSED);
    stand(&scene, &moved, &["app Failed"]).await;
    scene.story.kubectl(&["delete", "oar", "app"], "");
    stand(&scene, &moved, &[]).await;
    let good = scene.story.release("good").await.expect("the release");
    assert!(good["status"]["notified"].is_null() && alertmanager.alerts().is_empty(), "{good}");
}

#[story]
async fn a_release_shows_at_its_forge_what_became_of_a_commit() {
    let forge = Inbox::start();
    let hosts = format!("--allow-release-notifications={}", host(&forge));
    let scene = Scene::builder("notify-own-commits").await.argument(&hosts).start();
    scene.story.apply(&secret("forge", &forge.url("")));
    let receiver = |kind: &str, repositories: &[&str]| json!({"name": kind, "type": kind, "secretRef": {"name": "forge"}, "repositories": repositories});
    let push = |tag: &str, yaml: &str, source: &str| {
        scene.push_from(("app", tag), yaml, source, &format!("main@sha1:{HASH}"));
    };
    push("1", &config_map("a", "one"), "https://127.0.0.1/acme/web");
    let notify = json!([
        receiver("gitea", &["acme"]),
        receiver("github", &["acme/web"]),
        receiver("gitlab", &["acme/other"])
    ]);
    scene.create("app", json!({"interval": "1h", "notify": notify}));
    for kind in ["gitea", "github"] {
        wait_recorded(&scene, "app", &format!("spec/{kind}"), "Succeeded").await;
    }
    // A repository of the same name elsewhere is another one, and the status says so.
    push("2", &config_map("a", "two"), "https://git.example/acme/web");
    scene.change("app", json!({"ref": {"tag": "2"}}));
    wait_failure(&scene, "app", "the artifact names its source at another host than that of url").await;
    // What is not in the repositories of a receiver, or in none, is nothing to it.
    push("3", &config_map("a", "three"), "https://127.0.0.1/other/web");
    scene.change("app", json!({"ref": {"tag": "3"}}));
    scene.wait_data("a", "three").await;
    scene.upgraded("app", "4", &config_map("a", "four")).await;
    push("5", REFUSED, "https://127.0.0.1/acme/web");
    scene.change("app", json!({"ref": {"tag": "5"}}));
    for kind in ["gitea", "github"] {
        wait_recorded(&scene, "app", &format!("spec/{kind}"), "Failed").await;
    }
    let context = format!("supercargo/{}/app", scene.namespace());
    let mut shown: Vec<String> = Vec::new();
    for letter in forge.letters() {
        let (path, body) = (letter.line.trim_start_matches("POST ").to_owned(), letter.json());
        assert_eq!(body["context"], context);
        assert!(letter.header("authorization").is_some_and(|value| value.ends_with(TOKEN)));
        shown.push(format!("{path} {}", body["state"].as_str().unwrap_or("?")));
    }
    shown.sort();
    let gitea = format!("/api/v1/repos/acme/web/statuses/{HASH}");
    let github = format!("/repos/acme/web/statuses/{HASH}");
    let expected =
        [&gitea, &github].map(|path| ["failure", "success"].map(|state| format!("{path} {state}")));
    assert_eq!(shown, expected.concat());
}

#[story]
async fn a_receiver_for_commits_names_repositories_and_one_that_can_hear_of_nothing_says_so() {
    let inbox = Inbox::start();
    let hosts = format!("--allow-release-notifications={}", host(&inbox));
    let scene = Scene::builder("notify-own-wrong").await.argument(&hosts).start();
    scene.story.apply(&secret("hook", &inbox.url("")));
    let of = |kind: &str, extra: &Value| {
        let mut receiver = json!({"name": "team", "type": kind, "secretRef": {"name": "hook"}});
        receiver.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        receiver
    };
    let nothing = of("alertmanager", &json!({"when": {"outcomes": ["Succeeded"]}}));
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h", "notify": [nothing]})).await;
    wait_failure(&scene, "app", "when selects no outcome that this type of receiver takes").await;
    let check = |receiver: Value, expected: &str| {
        let patch = json!({"spec": {"notify": [receiver]}}).to_string();
        let patch = ["--namespace", scene.namespace(), "patch", "oar", "app", "--type=merge", "-p", &patch];
        let output = scene.story.bed().try_kubectl(&patch, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{said}");
    };
    let needs =
        "repositories is required for the types github, gitlab and gitea, and has no effect on others";
    check(of("github", &json!({})), needs);
    check(of("slack", &json!({"repositories": ["acme"]})), needs);
    check(of("gitlab", &json!({"repositories": []})), "repositories");
    check(of("cloudevents", &json!({"template": "x"})), "template has an effect on the types slack,");
    for path in ["../acme", "acme/", "a b", "*", "/acme"] {
        check(of("gitea", &json!({"repositories": [path]})), "repositories[0]");
    }
    assert!(inbox.letters().is_empty());
}
