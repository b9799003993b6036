//! What is interrupted: by a hand, by a newer spec, by a registry that hangs or goes
//! away. What follows is about what is wanted now, and nothing is told that nobody knows.

use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::proxy::Moment;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Proxy, Signer, Story, story, within};

use crate::scene::{Scene, config_map, registry};
use crate::truth::{let_go, pod};

const PROFILES: Profiles = Profiles::Both;

const LIMIT: Duration = Duration::from_secs(60);

/// How many runs the operator has made.
fn runs(scene: &Scene<'_>) -> Option<f64> {
    scene.operator.metric(r#"supercargo_reconcile_duration_seconds_count{phase="total"}"#)
}

/// A spec for the story's repository behind a proxy.
fn behind(scene: &Scene<'_>, proxy: &Proxy) -> Value {
    json!({"url": format!("oci://{}/{}", proxy.host(), scene.repository("app")), "interval": "1h", "retryInterval": "1h"})
}

/// Waits until the registry was asked, and has not answered.
fn wait_asked(proxy: &Proxy) {
    assert!(within(LIMIT, || proxy.count(|_| true) > 0));
    proxy.forget();
}

#[story]
async fn a_newer_spec_is_not_told_as_applied_while_the_registry_has_not_answered() {
    let scene = Scene::begin("interrupted-answer").await;
    let proxy = Proxy::before(&registry().url(), None);
    scene.install("app", &config_map("a", "one"), behind(&scene, &proxy)).await;
    scene.push("app", "2", &config_map("a", "two"));
    proxy.silent(true);
    proxy.forget();
    scene.change("app", json!({"ref": {"tag": "2"}}));
    wait_asked(&proxy);
    // Before and after the status says what is waited for.
    for _ in 0..2 {
        scene.edit("a", "by hand");
        scene.wait_data("a", "one").await;
        scene.wait_reason("app", "Ready", "Unknown", "Progressing").await;
    }
    // The run that has put it back is over when the registry is asked again.
    wait_asked(&proxy);
    let release = scene.story.release("app").await.expect("it is there");
    let ready = condition(&release, "Ready").expect("Ready");
    let generation = release["metadata"]["generation"].as_i64();
    let observed = release["status"]["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|c| c["type"] == "Ready")?["observedGeneration"].as_i64());
    assert!(ready.status != "True" || observed < generation, "{release:#}");
    proxy.silent(false);
    scene.story.wait_ready("app", "2@").await;
    scene.wait_data("a", "two").await;
}

#[story]
async fn a_release_that_is_suspended_while_the_registry_hangs_comes_to_rest() {
    let scene = Scene::begin("interrupted-rest").await;
    let proxy = Proxy::before(&registry().url(), None);
    scene.install("app", &config_map("a", "one"), behind(&scene, &proxy)).await;
    proxy.silent(true);
    proxy.forget();
    scene.ask("app", "now");
    wait_asked(&proxy);
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    wait_asked(&proxy);
    scene.change("app", json!({"suspend": true}));
    scene.wait_reason("app", "Drifted", "Unknown", "Suspended").await;
    // A run is counted a moment after it has told.
    let mut before = runs(&scene);
    let mut same = 0;
    let rests = || {
        scene.story.kubectl(&["get", "oar", "app"], "");
        let now = runs(&scene);
        same = if std::mem::replace(&mut before, now) == now { same + 1 } else { 0 };
        same == 3
    };
    assert!(within(LIMIT, rests));
}

#[story]
async fn a_rollout_that_was_cut_short_is_not_gone_on_with_once_another_revision_is_wanted() {
    let scene = Scene::begin("interrupted-rollout").await;
    scene.install("app", &config_map("a", "one"), json!({"wait": true, "retryInterval": "1h"})).await;
    scene.push("app", "2", &(config_map("a", "two") + &pod("web", true)));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_reason("app", "Healthy", "Unknown", "Progressing").await;
    scene.wait_data("a", "two").await;
    scene.wait_field("v1", "pods", "web", "/status/phase", &json!("Pending")).await;
    scene.change("app", json!({"ref": {"tag": "missing"}}));
    scene.wait_reason("app", "Ready", "False", "ArtifactNotFound").await;
    let_go(&scene, "web");
    scene.wait_field("v1", "pods", "web", "/status/phase", &json!("Running")).await;
    scene.edit("a", "by hand");
    let release = scene.reconcile("app", "again").await;
    let ready = condition(&release, "Ready").expect("Ready");
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "ArtifactNotFound"));
    let applied = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
    assert!(applied.starts_with("1@"), "{release:#}");
    scene.push("app", "3", &config_map("a", "three"));
    scene.change("app", json!({"ref": {"tag": "3"}}));
    scene.story.wait_ready("app", "3@").await;
    scene.story.wait_gone("v1", "pods", "web").await;
}

#[story]
async fn what_is_only_made_once_stays_in_the_inventory_while_it_is_deleted_and_is_made_again() {
    let scene = Scene::begin("interrupted-once").await;
    let once = config_map("once", "one")
        .replace("{name: once}", "{name: once, annotations: {supercargo.dev/apply: IfNotPresent}}");
    scene.install("app", &(config_map("a", "one") + &once), json!({})).await;
    let uid = async || Some(scene.story.object("v1", "configmaps", "once").await?["metadata"]["uid"].clone());
    let first = uid().await.expect("it was made");
    scene.patch("v1", "configmaps", "once", json!({"metadata": {"finalizers": ["example.com/held"]}}));
    scene.story.kubectl(&["delete", "configmap", "once", "--wait=false"], "");
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    scene.reconcile("app", "meanwhile").await;
    let inventory = scene.story.object("v1", "configmaps", "inv-app").await.expect("an inventory");
    let listed = inventory["data"]["resources"].as_str().unwrap_or_default();
    assert!(listed.contains("_once__ConfigMap"), "{listed}");
    scene.patch("v1", "configmaps", "once", json!({"metadata": {"finalizers": null}}));
    let anew = async || uid().await.filter(|uid| *uid != first).map(|_| ());
    scene.story.wait_for("it is made again", anew).await;
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    scene.story.wait_gone("v1", "configmaps", "once").await;
}

#[story]
async fn a_release_whose_spec_makes_no_sense_any_more_waits_for_nobody_s_objects() {
    let scene = Scene::begin("interrupted-heir").await;
    scene.install("app", &(config_map("a", "one") + &config_map("x", "one")), json!({})).await;
    scene.push("heir", "heir", &config_map("x", "one"));
    scene.create("heir", json!({"ref": {"tag": "heir"}}));
    scene.story.wait_condition("heir", "Ready", "False", "OwnershipConflict").await;
    let nonsense = json!({"patches": [{"patch": "- op: nonsense", "target": {"kind": "ConfigMap"}}]});
    scene.change("heir", nonsense);
    scene.story.wait_condition("heir", "Ready", "False", "InvalidSpec").await;
    scene.push("app", "2", &config_map("a", "one"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_gone("v1", "configmaps", "x").await;
}

#[story]
async fn an_edit_beside_a_revision_that_is_not_trusted_stays_while_the_registry_is_away() {
    let scene = Scene::begin("interrupted-trust").await;
    let mut proxy = Proxy::before(&registry().url(), None);
    let signer = Signer::new(Algorithm::P256);
    let keys = format!("--from-file={}", signer.public().display());
    scene.story.kubectl(&["create", "secret", "generic", "keys", &keys], "");
    let digest = scene.push("app", "1", &config_map("a", "one"));
    let signed = format!("{}/{}@{digest}", registry().host(), scene.repository("app"));
    signer.sign(registry(), &signed, Format::Bundle, &[]);
    let mut spec = behind(&scene, &proxy);
    spec["verify"] = json!({"provider": "cosign", "secretRef": {"name": "keys"}});
    scene.create("app", spec);
    scene.story.wait_ready("app", "1@").await;
    scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_reason("app", "Ready", "False", "SignatureMissing").await;
    scene.edit("a", "by hand");
    scene.reconcile("app", "trust").await;
    proxy.refuse();
    scene.reconcile("app", "away").await;
    scene.wait_reason("app", "Ready", "False", "RegistryUnavailable").await;
    scene.wait_data("a", "by hand").await;
    proxy.listen();
    scene.change("app", json!({"ref": {"tag": "1"}}));
    scene.wait_data("a", "one").await;
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn an_object_that_left_and_changes_all_the_time_makes_no_runs() {
    let scene = Scene::begin("interrupted-left").await;
    let both = config_map("a", "one") + &config_map("b", "one");
    scene.install("app", &both, json!({"prune": false, "interval": "1h"})).await;
    scene.push("app", "2", &config_map("a", "one"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("app", "2@").await;
    // The first change is looked at.
    scene.edit("b", "first");
    scene.reconcile("app", "looked").await;
    let before = runs(&scene);
    for n in 0..5 {
        scene.edit("b", &format!("changed {n}"));
    }
    // What matters of it still does.
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    let more = runs(&scene).zip(before).map(|(now, before)| now - before);
    assert!(more <= Some(2.0), "{more:?}");
    scene.story.kubectl(&["delete", "configmap", "b"], "");
    wait_unnamed(&scene, "b").await;
}

/// Waits until the inventory does not name a ConfigMap any more.
async fn wait_unnamed(scene: &Scene<'_>, name: &str) {
    let gone = async || {
        let inventory = scene.story.object("v1", "configmaps", "inv-app").await?;
        (!inventory["data"]["resources"].as_str()?.contains(&format!("_{name}__ConfigMap"))).then_some(())
    };
    scene.story.wait_for("the inventory names it no more", gone).await;
}

/// Waits until the release says that what left is there yet.
async fn wait_held(scene: &Scene<'_>, name: &str) {
    let says = format!("still deleting ConfigMap/{}/{name}", scene.namespace());
    let held = async || {
        let ready = scene.condition("app", "Ready").await?;
        (ready.status == "True" && ready.message.contains(&says)).then_some(())
    };
    scene.story.wait_for("it says what is held", held).await;
}

#[story]
async fn an_edit_is_put_back_without_the_registry_while_a_finalizer_holds_what_left() {
    let mut scene = Scene::begin("interrupted-held").await;
    let mut proxy = Proxy::before(&registry().url(), None);
    let both = config_map("a", "one") + &config_map("b", "one");
    scene.install("app", &both, behind(&scene, &proxy)).await;
    scene.patch("v1", "configmaps", "b", json!({"metadata": {"finalizers": ["example.com/held"]}}));
    scene.push("app", "2", &config_map("a", "two"));
    scene.push("app", "broken", "kind: [\n");
    scene.change("app", json!({"ref": {"tag": "2"}}));
    wait_held(&scene, "b").await;
    // It is known to the next process, too.
    scene.restart();
    scene.reconcile("app", "begun").await;
    proxy.refuse();
    scene.reconcile("app", "away").await;
    wait_held(&scene, "b").await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "two").await;
    proxy.listen();
    scene.change("app", json!({"ref": {"tag": "broken"}}));
    scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "two").await;
    scene.patch("v1", "configmaps", "b", json!({"metadata": {"finalizers": null}}));
    wait_unnamed(&scene, "b").await;
    scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
}

#[story]
async fn what_left_stays_until_the_revision_is_healthy_whatever_is_put_back_meanwhile() {
    let scene = Scene::begin("interrupted-early").await;
    let mut proxy = Proxy::before(&registry().url(), None);
    let mut spec = behind(&scene, &proxy);
    (spec["wait"], spec["timeout"]) = (json!(true), json!("2m"));
    scene.install("app", &(config_map("a", "one") + &config_map("old", "one")), spec).await;
    scene.push("app", "2", &(config_map("a", "two") + &pod("slow", true)));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_data("a", "two").await;
    // While it waits, again and again.
    for _ in 0..2 {
        scene.edit("a", "by hand");
        scene.wait_data("a", "two").await;
        scene.wait_reason("app", "Ready", "Unknown", "Progressing").await;
        assert!(scene.story.object("v1", "configmaps", "old").await.is_some());
    }
    // Once it has failed, and the release is to go back where it cannot go.
    scene.change("app", json!({"timeout": "2s"}));
    scene.wait_reason("app", "Ready", "False", "HealthTimeout").await;
    proxy.refuse();
    scene.change("app", json!({"ref": {"tag": "1"}}));
    scene.wait_reason("app", "Ready", "False", "RegistryUnavailable").await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "two").await;
    assert!(scene.story.object("v1", "configmaps", "old").await.is_some());
    proxy.listen();
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(ready["status"]["history"][0]["outcome"], "Healthy", "{ready:#}");
    scene.story.wait_gone("v1", "pods", "slow").await;
    scene.wait_data("a", "one").await;
}

#[story]
async fn an_edit_is_put_back_without_the_registry_while_the_revision_is_not_healthy() {
    let scene = Scene::begin("interrupted-unhealthy").await;
    let mut proxy = Proxy::before(&registry().url(), None);
    let mut spec = behind(&scene, &proxy);
    (spec["wait"], spec["timeout"]) = (json!(true), json!("3s"));
    scene.push("app", "1", &(config_map("a", "one") + &pod("slow", true)));
    scene.create("app", spec);
    scene.wait_reason("app", "Ready", "False", "HealthTimeout").await;
    proxy.refuse();
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    // Another one is wanted, and nobody knows what it is.
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_reason("app", "Ready", "False", "RegistryUnavailable").await;
    scene.edit("a", "by hand");
    scene.wait_data("a", "one").await;
    scene.change("app", json!({"ref": {"tag": "1"}}));
    proxy.listen();
    let_go(&scene, "slow");
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(ready["status"]["history"][0]["outcome"], "Healthy", "{ready:#}");
}

#[story]
async fn an_object_that_is_let_go_while_another_release_is_about_to_wait_for_it_is_not_waited_for() {
    let story = Story::begin("interrupted-want").await;
    let proxy = Proxy::before_api_server(story.bed());
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    scene.install("app", &(config_map("a", "one") + &config_map("x", "one")), json!({})).await;
    scene.push("heir", "heir", &config_map("x", "two"));
    // Whether it may write the object is asked before it waits for it.
    proxy.hold_from(1, Moment::Before, |seen| {
        seen.path.contains("/configmaps/x?") && seen.path.contains("dryRun=All")
    });
    scene.create("heir", json!({"ref": {"tag": "heir"}}));
    assert!(proxy.wait_held(LIMIT, Moment::Before).is_some());
    scene.push("app", "2", &config_map("a", "one"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.story.wait_ready("app", "2@").await;
    proxy.pass_all();
    proxy.release();
    scene.story.wait_ready("heir", "heir@").await;
    scene.wait_data("x", "two").await;
}
