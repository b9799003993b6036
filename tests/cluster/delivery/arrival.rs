//! New revisions that wait: for a window, for their age, for another release to have them.

use jiff::Timestamp;
use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, config_map, is_own, message, text};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("when a revision comes does not depend on rights");

/// A window that began two minutes ago and ends after so many seconds.
fn window(ends_after: i64, deny: bool) -> Value {
    let now = Timestamp::now().as_second();
    let start = now - now % 60 - 60;
    let at = Timestamp::from_second(start).expect("a time").strftime("%M %H * * *").to_string();
    json!({"cron": at, "duration": format!("{}s", now - start + ends_after), "deny": deny})
}

fn pending(release: &Value) -> (String, String) {
    (text(release, "/status/pending/digest"), text(release, "/status/pending/reason"))
}

#[story]
async fn a_new_revision_waits_for_its_window_and_comes_when_it_opens() {
    let scene = Scene::begin("windows").await;
    scene.install("app", &config_map("a", "one"), json!({"interval": "1h"})).await;
    let closed = json!([{"cron": "* * * * *", "duration": "1h", "deny": true}]);
    scene.change("app", json!({"schedule": closed}));
    scene.story.wait_ready("app", "1@").await;
    let digest = scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    assert_eq!(pending(&waiting), (digest.clone(), "OutsideWindow".to_owned()));
    let said = message(&waiting, "Ready");
    assert!(said.contains("waits for a window of spec.schedule, and none opens within a year"), "{said}");
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    let said = Shell::admin(&scene.story).run(&["status", "release", "app"]);
    assert!(said.out.contains("Pending:") && said.out.contains("(OutsideWindow, seen first at "), "{said:?}");

    // Drift is corrected meanwhile.
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;

    // The next window opens by a timer, and the newest revision of then comes.
    scene.change("app", json!({"schedule": [window(12, true)]}));
    let waiting = scene.wait_message("app", "False", "which opens at").await;
    let opens: Timestamp = text(&waiting, "/status/pending/opensAt").parse().unwrap();
    let newest = scene.push("app", "2", &config_map("a", "three"));
    let came = scene.story.wait_ready("app", &format!("2@{newest}")).await;
    let now = Timestamp::now();
    assert!(now >= opens && now.duration_since(opens).as_secs() < 30, "{opens} {now}");
    assert_eq!(came.pointer("/status/pending"), None);
    assert_eq!(scene.data("a").await.as_deref(), Some("three"));

    // A person names a digest, which comes once, and only that.
    scene.change("app", json!({"schedule": closed}));
    scene.story.wait_ready("app", "2@").await;
    let named = scene.push("app", "3", &config_map("a", "four"));
    scene.change("app", json!({"ref": {"tag": "3"}}));
    scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    scene.annotate("app", "supercargo.dev/override-window", &digest);
    scene.reconcile("app", "another-digest").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("three"));
    scene.annotate("app", "supercargo.dev/override-window", &named);
    scene.story.wait_ready("app", "3@").await;
    scene.push("app", "3", &config_map("a", "five"));
    scene.ask("app", "moved");
    scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("four"));
}

/// What waits does not end what has begun.
#[story]
async fn a_rollout_is_finished_while_a_newer_revision_waits_for_its_window() {
    let scene = Scene::begin("windows-begun").await;
    let rule = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "data.key == 'one' || has(data.healthy)"}]);
    let spec = json!({"wait": true, "timeout": "10m", "interval": "10s", "healthCheckExprs": rule});
    scene.install("app", &config_map("a", "one"), spec).await;
    let second = scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_data("a", "two").await;
    scene.change("app", json!({"schedule": [{"cron": "* * * * *", "duration": "1h", "deny": true}]}));
    scene.wait_message("app", "Unknown", &format!("(revision 2@{}", &second[..19])).await;
    scene.push("app", "2", &config_map("a", "three"));
    // Longer than an interval: the newer revision does not end the wait.
    scene.install("other", &config_map("b", "one"), json!({"interval": "10s"})).await;
    let (heads, repository) = (scene.registry().mark(), scene.repository("other"));
    let asked = async || (scene.registry().of_repository(heads, &repository).len() >= 2).then_some(());
    scene.story.wait_for("another release has had two intervals", asked).await;
    scene.patch("v1", "configmaps", "a", json!({"data": {"healthy": "yes"}}));
    let healthy = async || {
        let release = scene.story.release("app").await?;
        let last = text(&release, "/status/lastHealthyRevision");
        last.ends_with(&second).then_some(())
    };
    scene.story.wait_for("the second revision is healthy", healthy).await;
    scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
}

#[story]
async fn a_revision_that_waits_costs_no_request_and_a_restart_remembers_since_when() {
    let mut scene = Scene::builder("windows-quiet").await.slow_retries().start();
    scene.install("app", &config_map("a", "one"), json!({"interval": "10s"})).await;
    let closed = json!([{"cron": "* * * * *", "duration": "1h", "deny": true}]);
    scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"schedule": closed, "ref": {"tag": "2"}}));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "OutsideWindow").await;
    let since = text(&waiting, "/status/pending/since");
    let repository = scene.repository("app");
    // The next revision is found at the interval, and nothing else is asked.
    let asked = async |count: usize| {
        let before = scene.registry().mark();
        let heads =
            async || (scene.registry().of_repository(before, &repository).len() >= count).then_some(());
        scene.story.wait_for("the registry is asked", heads).await;
    };
    asked(1).await;
    let mark = scene.mark();
    asked(2).await;
    let own: Vec<String> = scene.requests(mark).iter().filter(|r| !is_own(r)).map(|r| r.summary()).collect();
    assert_eq!(own, Vec::<String>::new());

    scene.restart();
    let after = scene.reconcile("app", "after").await;
    assert_eq!(text(&after, "/status/pending/since"), since);
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
}

#[story]
async fn a_revision_waits_until_it_is_old_enough_and_no_moved_tag_goes_around_it() {
    let scene = Scene::begin("age").await;
    let old = scene.push("app", "1", &config_map("a", "one"));
    scene.create("app", json!({"minimumAge": "8s", "interval": "1h"}));
    let young = scene.story.wait_condition("app", "Ready", "False", "RevisionTooYoung").await;
    let said = message(&young, "Ready");
    assert!(said.contains("is younger than spec.minimumAge: it was first seen at"), "{said}");
    assert_eq!(pending(&young).0, old);
    scene.story.wait_ready("app", &format!("1@{old}")).await;

    // Another digest under the same tag has to wait anew, and the applied one comes back at once.
    scene.change("app", json!({"minimumAge": "1h"}));
    scene.story.wait_ready("app", "1@").await;
    let moved = scene.push("app", "1", &config_map("a", "two"));
    scene.ask("app", "moved");
    let young = scene.story.wait_condition("app", "Ready", "False", "RevisionTooYoung").await;
    assert_eq!(pending(&young).0, moved);
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    scene.change("app", json!({"ref": {"digest": old}}));
    scene.story.wait_ready("app", &old).await;
}

#[story]
async fn a_revision_comes_only_after_another_release_has_had_it_healthy() {
    let scene = Scene::begin("promotion").await;
    scene.push("app", "1", &config_map("a", "one"));
    let after = json!([{"name": "staging", "healthyFor": "4s"}]);
    scene.create("app", json!({"promotion": {"after": after}, "interval": "1h"}));
    let waiting = scene.story.wait_condition("app", "Ready", "False", "PromotionPending").await;
    let staging = format!("{}/staging", scene.namespace());
    let says = format!("waits for its promotion: {staging} does not exist");
    assert!(message(&waiting, "Ready").ends_with(&says), "{waiting:#}");

    // The same artifact under another name, not healthy at first.
    let rename = "- {op: replace, path: /metadata/name, value: staged}";
    let renamed = json!([{"patch": rename, "target": {"kind": "ConfigMap"}}]);
    let never = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "has(data.healthy)"}]);
    let spec = json!({"wait": true, "url": scene.url("app"), "patches": renamed, "healthCheckExprs": never, "timeout": "10m"});
    scene.create("staging", spec);
    scene.wait_message("app", "False", &format!("{staging} has not applied this digest")).await;
    scene.wait_data("staged", "one").await;
    let heal = json!({"data": {"healthy": "yes"}});
    scene.patch("v1", "configmaps", "staged", heal);
    scene.wait_message("app", "False", &format!("{staging} has it healthy since")).await;
    let healthy = Timestamp::now();
    scene.story.wait_ready("app", "1@").await;
    assert!(Timestamp::now().duration_since(healthy).as_secs() < 30);
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));

    // Another namespace has to be allowed by the administrator.
    let elsewhere = json!([{"name": "staging", "namespace": "elsewhere"}]);
    scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"promotion": {"after": elsewhere}, "ref": {"tag": "2"}}));
    let refused = scene.story.wait_condition("app", "Stalled", "True", "DependencyNotAllowed").await;
    assert!(
        message(&refused, "Ready")
            .starts_with("spec.promotion.after: elsewhere/staging is in another namespace")
    );
}
