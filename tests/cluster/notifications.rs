//! What receivers of notifications are told: once, whatever happens on the way.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use supercargo_testbed::inbox::{Inbox, Letter, Reply};
use supercargo_testbed::{Profiles, ports, processes, story};

use super::scene::{Scene, SceneBuilder, config_map};

const PROFILES: Profiles = Profiles::First("what is told does not depend on rights");

/// What opens the receivers here.
const KEY: &str = "0123456789abcdef-k3y";
const TOKEN: &str = "t0ken-0123456789abcdef";
const HOOK: &str = "/services/T0/B0/h00k-0123456789abcdef";

/// A file with the receivers, beside the files that they name.
fn config(receivers: &[Value]) -> std::path::PathBuf {
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

fn events(inbox: &Inbox) -> Value {
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
