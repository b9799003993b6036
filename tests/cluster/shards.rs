//! Several controllers, each with the releases of some labels.

use serde_json::{Value, json};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::{Account, Profiles, Story, story};

use crate::scene::{BINARY, Scene, config_map, role};

const PROFILES: Profiles = Profiles::Both;

const LEASES: &str = "coordination.k8s.io/v1";

fn of_shard(options: Options, name: &str) -> Options {
    options.lease(name).argument(&format!("--watch-label-selector=shard in ({name})"))
}

/// A controller of another shard, in the namespace of the first.
fn second(scene: &Scene<'_>, name: &str) -> (Operator, Account) {
    let account = scene.account.clone();
    let options = Options::new(BINARY, &account).watching(&[scene.namespace()]);
    let mut operator = of_shard(options, name).start();
    operator.wait_ready();
    (operator, account)
}

async fn first(test: &str, name: &str) -> Scene<'static> {
    let story = Story::begin(test).await;
    let leases = "[{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}]";
    story.apply(&role("supercargo", story.namespace(), leases));
    Scene::of(story).start_with(|options| of_shard(options, name))
}

fn labelled(scene: &Scene<'_>, name: &str, shard: &str, spec: Value) {
    let mut release = scene.release(name, spec);
    release["metadata"]["labels"] = json!({"shard": shard});
    scene.story.kubectl(&["create", "-f", "-"], &release.to_string());
}

fn relabel(scene: &Scene<'_>, name: &str, shard: &Value) {
    scene.patch(
        "supercargo.dev/v1alpha1",
        "ociartifactreleases",
        name,
        json!({"metadata": {"labels": {"shard": shard}}}),
    );
}

async fn wait_log(scene: &Scene<'_>, operator: &Operator, text: &str) {
    let what = format!("{text:?} is logged");
    scene.story.wait_for(&what, async || operator.log().contains(text).then_some(())).await;
}

#[story]
async fn a_release_that_loses_its_label_is_let_go_as_it_is_and_taken_up_with_it() {
    let scene = first("shards-label", "a").await;
    scene.push("app", "1", &config_map("a", "one"));
    labelled(&scene, "app", "a", json!({}));
    scene.story.wait_ready("app", "1@").await;
    let before = scene.story.release("app").await.expect("the release");

    relabel(&scene, "app", &Value::Null);
    wait_log(&scene, &scene.operator, "its labels do not match the selector").await;
    let mark = scene.mark();
    // Nothing is done for it any more, whatever happens to it.
    scene.edit("a", "other");
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.ask("app", "1");
    // One that is watched shows that the controller is at work.
    labelled(&scene, "beside", "a", json!({"ref": {"tag": "beside"}}));
    scene.push("beside", "beside", &config_map("beside", "one"));
    scene.story.wait_ready("beside", "beside@").await;
    assert_eq!(scene.object_writes(mark), ["patch configmaps/beside"]);
    let after = scene.story.release("app").await.expect("the release");
    assert_eq!(after["status"], before["status"]);
    assert_eq!(after["metadata"]["finalizers"], before["metadata"]["finalizers"]);
    assert!(scene.story.object("v1", "configmaps", "inv-app").await.is_some());

    scene.push("app", "2", &config_map("a", "two"));
    relabel(&scene, "app", &json!("a"));
    scene.story.wait_ready("app", "2@").await;
    scene.wait_data("a", "two").await;
    // What is deleted meanwhile waits for its controller.
    relabel(&scene, "app", &Value::Null);
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    relabel(&scene, "app", &json!("a"));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    scene.story.wait_gone("v1", "configmaps", "a").await;
}

#[story]
async fn two_shards_in_one_namespace_do_not_disturb_each_other() {
    let scene = first("shards-two", "a").await;
    let (other, _) = second(&scene, "b");
    for (name, shard) in [("one", "a"), ("two", "b")] {
        scene.push(name, name, &config_map(name, "one"));
        labelled(&scene, name, shard, json!({"ref": {"tag": name}}));
    }
    scene.story.wait_ready("one", "one@").await;
    scene.story.wait_ready("two", "two@").await;
    // Both lead, each with a lease of its own.
    for lease in ["a", "b"] {
        let lease = scene.story.object(LEASES, "leases", lease).await.expect("the lease");
        assert!(lease["spec"]["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty()), "{lease}");
    }
    let spoke_of = |operator: &Operator, release: &str| {
        operator.log().contains(&format!("{}/{release}", scene.namespace()))
    };
    assert!(spoke_of(&scene.operator, "one") && !spoke_of(&scene.operator, "two"));
    assert!(spoke_of(&other, "two") && !spoke_of(&other, "one"));

    // What a release of the other shard has is not taken from it, also after a
    // restart, when the inventories of all are read.
    scene.push("thief", "thief", &config_map("two", "stolen"));
    labelled(&scene, "thief", "a", json!({"ref": {"tag": "thief"}}));
    let conflict = scene.story.wait_condition("thief", "Ready", "False", "OwnershipConflict").await;
    let message = &conflict["status"]["conditions"].to_string();
    assert!(message.contains(&format!("{}/two", scene.namespace())), "{message}");
    scene.wait_data("two", "one").await;

    // From one shard to the other: nothing is applied twice, nothing is deleted.
    let uid = |object: Value| object["metadata"]["uid"].clone();
    let before = uid(scene.story.object("v1", "configmaps", "one").await.expect("the ConfigMap"));
    relabel(&scene, "one", &json!("b"));
    wait_log(&scene, &scene.operator, "its labels do not match the selector").await;
    scene.push("one", "next", &config_map("one", "next"));
    scene.change("one", json!({"ref": {"tag": "next"}}));
    scene.story.wait_ready("one", "next@").await;
    assert!(spoke_of(&other, "one"));
    assert_eq!(uid(scene.story.object("v1", "configmaps", "one").await.expect("the ConfigMap")), before);
    scene.story.kubectl(&["delete", "oar", "two", "thief", "--timeout=60s"], "");
    scene.story.wait_gone("v1", "configmaps", "two").await;
}

#[story]
fn a_selector_that_is_none_ends_the_start() {
    let check = |flag: &str, expected: &str| {
        let output = std::process::Command::new(BINARY)
            .args(["controller", flag])
            .output()
            .expect("start the operator");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
    };
    check("--watch-label-selector=shard in a", "in parentheses");
    check("--watch-label-selector=", "selects every release");
    check("--allowed-registries=ghcr.io/*", "wildcards are not supported");
    check("--allowed-registries=ghcr.io/acme,", "is not a prefix");
    check("--default-service-account=ns:admin", "is not a valid name");
    check("--watch-namespaces=apps/../kube-system", "is not a valid name");
    check("--leader-election-name=a/b", "is not a valid name");
}
