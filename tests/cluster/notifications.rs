//! What receivers of notifications are told: once, whatever happens on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use supercargo_testbed::alertmanager::Alertmanager;
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::inbox::{Inbox, Letter, Reply};
use supercargo_testbed::{Profiles, ports, processes, story};

use super::scene::{Scene, SceneBuilder, config_map};

const PROFILES: Profiles = Profiles::First("what is told does not depend on rights");

/// What opens the receivers here.
const KEY: &str = "0123456789abcdef-k3y";
const TOKEN: &str = "t0ken-0123456789abcdef";
const HOOK: &str = "/services/T0/B0/h00k-0123456789abcdef";

/// A file with the receivers, beside the files that they name.
pub fn config(receivers: &[Value]) -> std::path::PathBuf {
    let directory = processes::directory("notify");
    for (name, content) in [("key", KEY), ("token", TOKEN)] {
        std::fs::write(directory.join(name), content).expect("write a file");
    }
    let path = directory.join("receivers.yaml");
    write(&path, receivers);
    path
}

fn write(path: &std::path::Path, receivers: &[Value]) {
    let text = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "NotifyConfig", "cluster": "test", "receivers": receivers});
    std::fs::write(path, text.to_string()).expect("write a file");
}

async fn scene(name: &str, config: &std::path::Path) -> SceneBuilder<'static> {
    Scene::builder(name).await.argument(&format!("--notify-config={}", config.display()))
}

pub fn events(inbox: &Inbox) -> Value {
    json!({"name": "events", "type": "cloudevents", "url": inbox.url("/events"), "insecure": true,
        "keyFile": "key", "tokenFile": "token", "group": "0s", "perMinute": 6000})
}

fn slack(inbox: &Inbox) -> Value {
    json!({"name": "team", "type": "slack", "url": inbox.url(HOOK), "insecure": true, "group": "1s", "perMinute": 6000})
}

/// `outcome revision-tag` of each event that was taken, in order.
fn told(inbox: &Inbox) -> Vec<String> {
    let told = |letter: &Letter| {
        let event = letter.json();
        let revision = event["data"]["revision"].as_str().unwrap_or("?").to_owned();
        let tag = revision.split('@').next().unwrap_or_default().to_owned();
        format!("{} {tag}", event["data"]["outcome"].as_str().unwrap_or("?"))
    };
    inbox.taken().iter().map(told).collect()
}

async fn wait_told(scene: &Scene<'_>, inbox: &Inbox, expected: &[&str]) {
    let wait =
        scene.story.wait_for("notifications", async || (told(inbox).len() >= expected.len()).then_some(()));
    wait.await;
    assert_eq!(told(inbox), expected);
}

/// Waits until the status says that a receiver was told.
async fn wait_recorded(scene: &Scene<'_>, release: &str, receiver: &str, outcome: &str) {
    let what = format!("{receiver} told {outcome}");
    let wait = scene.story.wait_for(&what, async || {
        let release = scene.story.release(release).await?;
        let entries = release.pointer("/status/notified")?.as_array()?.clone();
        entries.iter().any(|e| e["receiver"] == receiver && e["outcome"] == outcome).then_some(())
    });
    wait.await;
}

/// A revision that the API server refuses.
fn refused() -> String {
    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: [1]}\n---\n".to_owned()
}

#[story]
async fn each_outcome_is_told_once_also_over_restarts() {
    let inbox = Inbox::start();
    let team = Inbox::start();
    let config = config(&[events(&inbox), slack(&team)]);
    let mut scene = scene("notify-once", &config).await.start();
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    wait_told(&scene, &inbox, &["Succeeded 1"]).await;
    wait_recorded(&scene, "app", "events", "Succeeded").await;
    wait_recorded(&scene, "app", "team", "Succeeded").await;

    // Not by a run, a correction of drift, or a restart.
    scene.reconcile("app", "again").await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    scene.restart();
    scene.reconcile("app", "after the restart").await;

    scene.registry().push_yaml(&scene.repository("app"), "1", &refused());
    scene.ask("app", "refused");
    scene.wait_reason("app", "Ready", "False", "PreflightFailed").await;
    wait_recorded(&scene, "app", "events", "Failed").await;
    wait_recorded(&scene, "app", "team", "Failed").await;
    scene.restart();
    scene.reconcile("app", "refused again").await;
    scene.reconcile("app", "and again").await;

    scene.registry().push_yaml(&scene.repository("app"), "1", &config_map("a", "two"));
    scene.reconcile("app", "good").await;
    scene.wait_data("a", "two").await;
    wait_told(&scene, &inbox, &["Succeeded 1", "Failed 1", "Succeeded 1"]).await;
    wait_recorded(&scene, "app", "team", "Succeeded").await;

    let letters = inbox.letters();
    let ids: BTreeSet<String> = letters.iter().map(|letter| letter.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), letters.len(), "{ids:?}");
    for letter in &letters {
        assert_eq!(letter.line, "POST /events");
        let time = letter.header("supercargo-timestamp").expect("a time");
        let key = hmac::Key::new(hmac::HMAC_SHA256, KEY.as_bytes());
        let signature = hex::encode(hmac::sign(&key, format!("{time}.{}", letter.body).as_bytes()));
        assert_eq!(letter.header("supercargo-signature"), Some(format!("sha256={signature}").as_str()));
        assert_eq!(letter.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        let event = letter.json();
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["subject"], format!("{}/app", scene.namespace()));
    }
    let texts: Vec<String> =
        team.taken().iter().map(|l| l.json()["text"].as_str().expect("a text").to_owned()).collect();
    let expected = format!("*app in {} has failed* (test)", scene.namespace());
    assert_eq!(texts.iter().filter(|text| text.contains(&expected)).count(), 1, "{texts:#?}");

    // What opens a receiver is nowhere.
    let release = scene.story.release("app").await.expect("the release").to_string();
    let events = scene.story.kubectl(&["get", "events", "-o", "yaml"], "");
    for text in [scene.operator.log(), scene.operator.metrics(), release, events] {
        for secret in [KEY, TOKEN, HOOK, "h00k"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let metrics = scene.operator.metrics();
    assert!(
        metrics.contains("supercargo_notifications_total{result=\"delivered\",type=\"cloudevents\"} 1"),
        "{metrics}"
    );
}

#[story]
async fn a_receiver_that_is_away_or_busy_is_told_later_also_after_a_restart() {
    let inbox = Inbox::start();
    let port = ports::free();
    let away = json!({"name": "away", "type": "cloudevents", "url": format!("http://127.0.0.1:{port}/"), "insecure": true, "group": "0s"});
    let config = config(&[events(&inbox), away]);
    let mut scene = scene("notify-later", &config).await.start();
    inbox.next([Reply::with(503, "Retry-After", "2"), Reply::with(429, "Retry-After", "1"), Reply::Junk]);
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    wait_told(&scene, &inbox, &["Succeeded 1"]).await;
    let letters = inbox.letters();
    let ids: BTreeSet<String> = letters.iter().map(|letter| letter.json()["id"].to_string()).collect();
    assert_eq!((letters.len(), ids.len()), (4, 1), "the same notification each time: {letters:#?}");
    wait_recorded(&scene, "app", "events", "Succeeded").await;
    let age = scene.story.wait_for("an age", async || {
        scene
            .operator
            .metric("supercargo_notifications_oldest_age_seconds{type=\"cloudevents\"}")
            .filter(|age| *age > 0.0)
    });
    age.await;
    assert!(
        scene.operator.log().contains("cannot notify the receiver; retrying"),
        "{}",
        scene.operator.log()
    );

    // The one that was away hears of it, and the other one not again.
    let away = Inbox::on(port);
    away.always(Some(Reply::Status(500, Vec::new())));
    scene.restart();
    scene.story.wait_for("an attempt", async || (!away.letters().is_empty()).then_some(())).await;
    scene.restart();
    away.always(None);
    wait_told(&scene, &away, &["Succeeded 1"]).await;
    wait_recorded(&scene, "app", "away", "Succeeded").await;
    scene.reconcile("app", "again").await;
    assert_eq!((told(&inbox).len(), told(&away).len()), (1, 1));
}

#[story]
async fn what_a_receiver_answers_holds_up_nobody_and_leads_nowhere() {
    let (inbox, elsewhere) = (Inbox::start(), Inbox::start());
    let hostile: Vec<Inbox> = (0..4).map(|_| Inbox::start()).collect();
    hostile[0].always(Some(Reply::with(307, "Location", &elsewhere.url("/"))));
    hostile[1].always(Some(Reply::Endless));
    hostile[2].always(Some(Reply::Silence));
    hostile[3].always(Some(Reply::Status(400, Vec::new())));
    let receivers: Vec<Value> = hostile
        .iter()
        .enumerate()
        .map(|(n, one)| json!({"name": format!("hostile-{n}"), "type": "slack", "url": one.url(HOOK), "insecure": true, "group": "0s"}))
        .chain([events(&inbox)])
        .collect();
    let config = config(&receivers);
    let scene = scene("notify-hostile", &config).await.start();
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    scene
        .story
        .wait_for("both", async || {
            (told(&inbox).last()? == "Succeeded 2" && told(&inbox).len() == 2).then_some(())
        })
        .await;
    for one in &hostile {
        scene.story.wait_for("an attempt", async || (!one.letters().is_empty()).then_some(())).await;
    }
    scene
        .story
        .wait_for("a redirect that is not followed", async || {
            scene.operator.log().contains("the answer is 307, which is not followed").then_some(())
        })
        .await;
    assert!(elsewhere.letters().is_empty());
    // A body that is refused is not sent again.
    scene.reconcile("app", "again").await;
    let bodies: BTreeSet<String> = hostile[3].letters().iter().map(|letter| letter.body.clone()).collect();
    assert_eq!(bodies.len(), hostile[3].letters().len(), "{bodies:?}");
    assert!(!scene.operator.log().contains("h00k"));
}

#[story]
async fn a_receiver_shows_a_certificate_that_is_trusted() {
    let authority = Authority::new("notify");
    let (known, unknown) = (Inbox::secure(&authority), Inbox::secure(&authority));
    let ca = processes::directory("notify-ca").join("ca.crt");
    std::fs::write(&ca, authority.certificate()).expect("write a file");
    let receiver = |name: &str, inbox: &Inbox| json!({"name": name, "type": "cloudevents", "url": inbox.url("/in"), "group": "0s"});
    let mut trusted = receiver("trusted", &known);
    trusted["caFile"] = json!(ca);
    let config = config(&[receiver("untrusted", &unknown), trusted]);
    let scene = scene("notify-tls", &config).await.start();
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    wait_told(&scene, &known, &["Succeeded 1"]).await;
    scene
        .story
        .wait_for("a refusal", async || {
            scene.operator.log().contains("cannot notify the receiver; retrying").then_some(())
        })
        .await;
    assert!(unknown.letters().is_empty());
}

#[story]
async fn many_failures_at_once_are_one_message() {
    let team = Inbox::start();
    let mut receiver = slack(&team);
    receiver["group"] = json!("10s");
    receiver["when"] = json!({"severity": "error"});
    let config = config(&[receiver]);
    let scene = scene("notify-many", &config).await.start();
    for n in 0..30 {
        scene.push(&format!("app{n}"), "1", &refused());
    }
    for n in 0..30 {
        let name = format!("app{n}");
        scene.create(&name, json!({"url": scene.url(&name), "interval": "1h"}));
    }
    for n in 0..30 {
        wait_recorded(&scene, &format!("app{n}"), "team", "Failed").await;
    }
    let texts: Vec<Value> = team.taken().iter().map(|letter| letter.json()["text"].clone()).collect();
    let told: usize = texts.len();
    assert!(told <= 4, "{texts:#?}");
    assert!(
        texts.iter().any(|text| text.as_str().is_some_and(|text| text.contains("has failed"))),
        "{texts:#?}"
    );
}

#[story]
async fn receivers_come_and_go_and_change_while_the_operator_runs() {
    let (first, second) = (Inbox::start(), Inbox::start());
    let mut one = events(&first);
    one["when"] = json!({"outcomes": ["Failed"]});
    let path = config(std::slice::from_ref(&one));
    let scene = scene("notify-changes", &path).await.start();
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.registry().push_yaml(&scene.repository("app"), "1", &refused());
    scene.ask("app", "refused");
    wait_told(&scene, &first, &["Failed 1"]).await;
    wait_recorded(&scene, "app", "events", "Failed").await;
    // A receiver that is added hears of what stands.
    let mut other = events(&second);
    other["name"] = json!("second");
    write(&path, &[one.clone(), other.clone()]);
    wait_told(&scene, &second, &["Failed 1"]).await;
    wait_recorded(&scene, "app", "second", "Failed").await;
    // An invalid version changes nothing.
    write(&path, &[json!({"name": "x", "type": "pigeon"})]);
    scene
        .story
        .wait_for("a refusal", async || {
            scene
                .operator
                .metric("supercargo_notify_config_loads_total{result=\"failed\"}")
                .filter(|n| *n > 0.0)
        })
        .await;
    scene.registry().push_yaml(&scene.repository("app"), "1", &config_map("a", "two"));
    scene.reconcile("app", "good").await;
    wait_told(&scene, &second, &["Failed 1", "Succeeded 1"]).await;
    // One that does not want to hear of it is not told, but the failure after that is another one.
    wait_recorded(&scene, "app", "events", "Succeeded").await;
    assert_eq!(told(&first), ["Failed 1"]);
    scene.registry().push_yaml(&scene.repository("app"), "1", &refused());
    scene.ask("app", "refused again");
    wait_told(&scene, &first, &["Failed 1", "Failed 1"]).await;
    // One that is gone is not in the status any more.
    write(&path, &[one]);
    scene
        .story
        .wait_for("one receiver", async || {
            scene.ask("app", "clean up");
            let release = scene.story.release("app").await?;
            (release.pointer("/status/notified")?.as_array()?.len() == 1).then_some(())
        })
        .await;
}

#[story]
async fn each_chat_gets_its_format_and_no_formatting_of_others() {
    let chats = ["slack", "mattermost", "discord", "teams"].map(|kind| (kind, Inbox::start()));
    let receivers: Vec<Value> = chats
        .iter()
        .map(|(kind, inbox)| {
            json!({"name": kind, "type": kind, "url": inbox.url("/hook/slack"), "insecure": true, "group": "0s", "perMinute": 6000})
        })
        .collect();
    let scene = scene("notify-chats", &config(&receivers)).await.start();
    // The message of the failure names what a publisher has written.
    let hostile = "---\napiVersion: v1\nkind: '<!channel>*[x](https://e.example)'\nmetadata: {name: a}\n";
    scene.push("app", "1", hostile);
    scene.create("app", json!({"url": scene.url("app"), "interval": "1h"}));
    for (kind, _) in &chats {
        wait_recorded(&scene, "app", kind, "Failed").await;
    }
    for (kind, inbox) in &chats {
        let letters = inbox.taken();
        let letter = letters.first().expect("a message");
        let (path, text) = match *kind {
            "discord" => ("/hook", letter.json()["content"].clone()),
            "teams" => ("/hook/slack", letter.json()["attachments"][0]["content"]["body"].clone()),
            _ => ("/hook/slack", letter.json()["text"].clone()),
        };
        assert_eq!(letter.line, format!("POST {path}"));
        let text = text.to_string();
        assert!(text.contains("app in ") && text.contains("channel"), "{kind}: {text}");
        if *kind != "teams" {
            for live in ["<!channel>", "://"] {
                assert!(!text.contains(live), "{kind}: {text}");
            }
        }
    }
}

#[story]
async fn a_receiver_gets_its_own_text_and_no_more_requests_than_it_takes() {
    let (team, events_of) = (Inbox::start(), Inbox::start());
    let template = "{{{severity}}} *{namespace}/{name}* {outcome}: {message}";
    let mut slow = slack(&team);
    (slow["template"], slow["group"], slow["perMinute"]) = (json!(template), json!("0s"), json!(60));
    let mut paced = events(&events_of);
    paced["perMinute"] = json!(60);
    let scene = scene("notify-pace", &config(&[slow, paced])).await.start();
    // The braces of a publisher are no fields, and its stars are no formatting; those of the template are.
    let hostile = "---\napiVersion: v1\nkind: '*{digest}*<!channel>'\nmetadata: {name: a}\n";
    for name in ["a", "b", "c"] {
        scene.push(name, "1", hostile);
        scene.create(name, json!({"url": scene.url(name), "interval": "1h"}));
    }
    for name in ["a", "b", "c"] {
        for receiver in ["team", "events"] {
            wait_recorded(&scene, name, receiver, "Failed").await;
        }
    }
    for inbox in [&team, &events_of] {
        let letters = inbox.taken();
        assert!(letters.len() > 1, "they come one after another");
        for pair in letters.windows(2) {
            let between = pair[1].at - pair[0].at;
            // The receiver reads a little later than the operator writes.
            assert!(between > Duration::from_millis(800), "{between:?}");
        }
    }
    let texts: Vec<String> = team
        .taken()
        .iter()
        .map(|letter| letter.json()["text"].as_str().expect("a text").to_owned())
        .collect();
    let begin = format!("{{error}} *{}/a* Failed: ", scene.namespace());
    let found = texts.iter().find_map(|text| text.split_once(&begin));
    let (_, text) = found.unwrap_or_else(|| panic!("{}", texts.join("\n")));
    assert!(text.contains("{digest}") && !text.contains("<!channel>"), "{text}");
}

#[story]
async fn what_waits_for_a_receiver_follows_its_configuration() {
    let (inbox, other) = (Inbox::start(), Inbox::start());
    inbox.always(Some(Reply::Status(503, Vec::new())));
    let one = events(&inbox);
    let path = config(std::slice::from_ref(&one));
    let scene = scene("notify-waiting", &path).await.start();
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.story.wait_for("an attempt", async || (!inbox.letters().is_empty()).then_some(())).await;
    // Removed and added again: it hears of what it would have heard.
    let mut second = events(&other);
    second["name"] = json!("other");
    write(&path, std::slice::from_ref(&second));
    wait_told(&scene, &other, &["Succeeded 1"]).await;
    inbox.always(None);
    write(&path, &[one.clone(), second.clone()]);
    wait_told(&scene, &inbox, &["Succeeded 1"]).await;
    wait_recorded(&scene, "app", "events", "Succeeded").await;
    // Narrowed while something waits: that is not sent to it any more.
    inbox.always(Some(Reply::Status(503, Vec::new())));
    let attempts = inbox.letters().len();
    scene.registry().push_yaml(&scene.repository("app"), "1", &refused());
    scene.ask("app", "refused");
    scene.story.wait_for("an attempt", async || (inbox.letters().len() > attempts).then_some(())).await;
    let mut narrow = one;
    narrow["namespaces"] = json!(["elsewhere"]);
    write(&path, &[narrow, second]);
    wait_told(&scene, &other, &["Succeeded 1", "Failed 1"]).await;
    scene
        .story
        .wait_for("the change", async || {
            scene
                .operator
                .metric("supercargo_notify_config_loads_total{result=\"loaded\"}")
                .filter(|n| *n >= 3.0)
        })
        .await;
    inbox.always(None);
    scene.registry().push_yaml(&scene.repository("app"), "1", &config_map("a", "two"));
    scene.reconcile("app", "good").await;
    wait_told(&scene, &other, &["Succeeded 1", "Failed 1", "Succeeded 1"]).await;
    assert_eq!(told(&inbox), ["Succeeded 1"]);
}

/// `outcome severity` of each alert that stands for a release.
fn standing(alertmanager: &Alertmanager, release: &str) -> Vec<String> {
    let alerts = alertmanager.alerts().into_iter().map(|alert| alert["labels"].clone());
    let of_it = alerts.filter(|labels| labels["release"] == release);
    let text = |labels: &Value, name: &str| labels[name].as_str().unwrap_or("?").to_owned();
    of_it.map(|labels| format!("{} {}", text(&labels, "outcome"), text(&labels, "severity"))).collect()
}

#[story]
async fn alerts_stand_in_an_alertmanager_as_long_as_they_are_true() {
    let port = ports::free();
    let alertmanager = Alertmanager::on(port);
    let receiver = json!({"name": "alerts", "type": "alertmanager", "url": alertmanager.url(), "insecure": true, "group": "0s"});
    let mut scene = scene("notify-alerts", &config(&[receiver])).await.start();
    let stand = async |scene: &Scene<'_>, alertmanager: &Alertmanager, release: &str, expected: &[&str]| {
        let what = format!("{release} has {expected:?}");
        let wait =
            scene.story.wait_for(&what, async || (standing(alertmanager, release) == expected).then_some(()));
        wait.await;
    };
    scene.install("good", &config_map("b", "one"), json!({"interval": "1h"})).await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    scene.upgrade("app", "2", &refused());
    stand(&scene, &alertmanager, "app", &["Failed error"]).await;
    let alert = alertmanager
        .alerts()
        .into_iter()
        .find(|alert| alert["labels"]["release"] == "app")
        .expect("the alert");
    assert_eq!(alert["labels"]["cluster"], "test");
    assert_eq!(alert["labels"]["namespace"], scene.namespace());
    assert!(
        alert["annotations"]["description"]
            .as_str()
            .is_some_and(|said| said.starts_with("PreflightFailed: ")),
        "{alert}"
    );

    // Alertmanager forgets its alerts when it ends; the operator does not, and neither does the next one.
    drop(alertmanager);
    let alertmanager = Alertmanager::on(port);
    scene.restart();
    stand(&scene, &alertmanager, "app", &["Failed error"]).await;
    scene.upgraded("app", "3", &config_map("a", "two")).await;
    stand(&scene, &alertmanager, "app", &[]).await;
    // A release that is deleted has no alerts.
    scene.upgrade("app", "4", &refused());
    stand(&scene, &alertmanager, "app", &["Failed error"]).await;
    scene.story.kubectl(&["delete", "oar", "app"], "");
    stand(&scene, &alertmanager, "app", &[]).await;
    assert_eq!(standing(&alertmanager, "good"), [""; 0]);
}

#[story]
async fn a_commit_shows_what_became_of_it_and_only_listed_repositories_do() {
    let forges = ["github", "gitlab", "gitea"].map(|kind| (kind, Inbox::start()));
    let receivers: Vec<Value> = forges
        .iter()
        .map(|(kind, inbox)| {
            json!({"name": kind, "type": kind, "url": inbox.url(""), "insecure": true, "tokenFile": "token",
                "group": "0s", "perMinute": 6000, "repositories": ["acme/web"]})
        })
        .collect();
    let scene = scene("notify-commits", &config(&receivers)).await.start();
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let push = |tag: &str, yaml: &str, repository: &str| {
        let source = format!("https://127.0.0.1/{repository}.git");
        scene.push_from(("app", tag), yaml, &source, &format!("main@sha1:{hash}"));
    };
    push("1", &config_map("a", "one"), "acme/web");
    scene.create("app", json!({"interval": "1h"}));
    for (kind, _) in &forges {
        wait_recorded(&scene, "app", kind, "Succeeded").await;
    }
    push("2", &refused(), "acme/web");
    scene.change("app", json!({"ref": {"tag": "2"}}));
    for (kind, _) in &forges {
        wait_recorded(&scene, "app", kind, "Failed").await;
    }
    // A publisher names a repository that is not listed.
    push("3", &config_map("a", "three"), "other/web");
    scene.change("app", json!({"ref": {"tag": "3"}}));
    scene.wait_data("a", "three").await;
    scene.reconcile("app", "again").await;
    let context = format!("supercargo/test/{}/app", scene.namespace());
    let check = |n: usize, line: &str, header: (&str, &str), states: [&str; 2], name: &str| {
        let letters = forges[n].1.letters();
        let shown: Vec<(&str, Value, Value)> = letters
            .iter()
            .map(|l| (l.line.as_str(), l.json()["state"].clone(), l.json()[name].clone()))
            .collect();
        let expected = states.map(|state| (line, json!(state), json!(context)));
        assert_eq!(shown, expected);
        assert_eq!(letters[0].header(header.0), Some(header.1));
    };
    let bearer = format!("Bearer {TOKEN}");
    let line = format!("POST /repos/acme/web/statuses/{hash}");
    check(0, &line, ("authorization", &bearer), ["success", "failure"], "context");
    let line = format!("POST /api/v4/projects/acme%2Fweb/statuses/{hash}");
    check(1, &line, ("private-token", TOKEN), ["success", "failed"], "name");
    let (line, token) = (format!("POST /api/v1/repos/acme/web/statuses/{hash}"), format!("token {TOKEN}"));
    check(2, &line, ("authorization", &token), ["success", "failure"], "context");
}
