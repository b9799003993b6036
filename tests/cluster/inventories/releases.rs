//! Inventories and releases: one name, one writer; handing over in both directions.

use serde_json::json;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map};
use crate::scene::{BINARY, registry};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

/// An operator for the namespace of a person.
fn operator(hand: &Hand) -> Operator {
    let account = hand.story.operator_account();
    Options::new(BINARY, &account).watching(&[hand.namespace()]).start()
}

fn push(hand: &Hand, tag: &str, yaml: &str) {
    registry().push_yaml(hand.namespace(), tag, yaml);
}

fn install(hand: &Hand, name: &str, tag: &str, more: &serde_json::Value) {
    let url = format!("oci://{}/{}", registry().host(), hand.namespace());
    let mut spec = json!({"url": url, "ref": {"tag": tag}, "insecure": true, "prune": true, "retryInterval": "1s",
        "interval": "1h"});
    spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let release = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
        "metadata": {"name": name}, "spec": spec});
    hand.story.apply(&release.to_string());
}

async fn uid(hand: &Hand, name: &str) -> String {
    let map = hand.config_map(name).await.expect("it exists");
    map["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

#[story]
async fn the_inventory_of_a_live_release_is_its_own() {
    let hand = Hand::begin("hand-live").await;
    let _operator = operator(&hand);
    push(&hand, "1", &config_map("a", "1"));
    install(&hand, "app", "1", &json!({}));
    hand.story.wait_ready("app", "1@").await;
    let live = "error: the inventory app belongs to OCIArtifactRelease/NS/app, which the operator reconciles; change the \
                release instead, or suspend it (`supercargo suspend release app -n NS`) and add --force-inventory\n";
    let next = config_map("a", "2");
    let applies = ["apply", "-i", "app", "-f", "-"];
    let forced = ["apply", "-i", "app", "-f", "-", "--force-inventory"];
    for arguments in [&applies[..], &forced] {
        hand.says(arguments, &next, 1, "", &format!("building inventory...\n{live}"));
    }
    for arguments in [&["delete", "-i", "app"][..], &["delete", "-i", "app", "--force-inventory"]] {
        hand.says(arguments, "", 1, "", &format!("retrieving inventory...\n{live}"));
    }
    // Looking is free.
    assert_eq!(hand.run(&["diff", "-i", "app", "-f", "-"], &next).code, Some(1));

    let suspend = |yes: bool| {
        let patch = json!({"spec": {"suspend": yes}}).to_string();
        hand.story.kubectl(&["patch", "oar", "app", "--type=merge", "--patch", &patch], "");
    };
    suspend(true);
    let suspended = "error: the inventory app belongs to OCIArtifactRelease/NS/app, which is suspended; add --force-inventory to write to it\n";
    hand.says(&applies, &next, 1, "", &format!("building inventory...\n{suspended}"));
    let told = hand.does(&forced, &next);
    assert!(told.ends_with("ConfigMap/NS/a configured\n"), "{told}");
    let inventory = hand.config_map("inv-app").await.expect("the inventory");
    assert_eq!(
        inventory["metadata"]["finalizers"],
        json!(["supercargo.dev/finalizer"]),
        "it stays the release's"
    );
    // The release puts back what it is for.
    suspend(false);
    let back = async || (hand.config_map("a").await?["data"]["v"] == "1").then_some(());
    hand.story.wait_for("the release puts its content back", back).await;
}

#[story]
async fn a_release_takes_an_inventory_over_and_a_person_takes_it_back() {
    let hand = Hand::begin("hand-over").await;
    let set = config_map("a", "1") + &config_map("b", "1");
    hand.does(&["apply", "-i", "app", "-f", "-"], &set);
    let before = [uid(&hand, "a").await, uid(&hand, "b").await];
    let _operator = operator(&hand);
    push(&hand, "1", &set);
    install(&hand, "app", "1", &json!({"deletionPolicy": "Orphan"}));
    hand.story.wait_ready("app", "1@").await;
    assert_eq!([uid(&hand, "a").await, uid(&hand, "b").await], before, "nothing is made anew");
    let told = async || {
        let events =
            hand.story.kubectl(&["get", "events.events.k8s.io", "-o", "jsonpath={.items[*].note}"], "");
        events
            .contains("Took over the inventory of the same name that the command line wrote, with 2 objects")
            .then_some(())
    };
    hand.story.wait_for("an event tells it", told).await;
    assert_eq!(hand.run(&["apply", "-i", "app", "-f", "-"], &set).code, Some(1));

    // Back: the release goes without its objects.
    hand.story.kubectl(&["delete", "oar", "app"], "");
    let objects = "ConfigMap/NS/a unchanged\nConfigMap/NS/b unchanged\n";
    hand.says(
        &["apply", "-i", "app", "-f", "-"],
        &set,
        0,
        "",
        &format!("building inventory...\napplying 2 manifest(s)...\n{objects}"),
    );
    assert_eq!([uid(&hand, "a").await, uid(&hand, "b").await], before);
    let inventory = hand.config_map("inv-app").await.expect("the inventory");
    assert_eq!(inventory["metadata"]["finalizers"], json!(null));
    hand.does(&["delete", "-i", "app"], "");
    assert!(hand.config_map("a").await.is_none());
}

#[story]
async fn what_another_has_is_refused_with_its_owner() {
    let hand = Hand::begin("hand-conflict").await;
    hand.does(&["apply", "-i", "mine", "-f", "-"], &config_map("a", "1"));
    let refused = "building inventory...\napplying 1 manifest(s)...\nerror: nothing applied, ownership conflict on 1 object:\n";
    hand.says(
        &["apply", "-i", "other", "-f", "-"],
        &config_map("a", "2"),
        1,
        "",
        &format!(
            "{refused}  ConfigMap/NS/a: belongs to the inventory NS/mine: remove it from one of the two\n"
        ),
    );
    let _operator = operator(&hand);
    push(&hand, "1", &config_map("a", "3"));
    install(&hand, "app", "1", &json!({}));
    let release = hand.story.wait_condition("app", "Ready", "False", "OwnershipConflict").await;
    let message = condition(&release, "Ready").expect("a condition").message;
    assert!(message.contains("belongs to the inventory ") && message.contains("/mine: "), "{message}");

    // Without the object, the person's inventory lets it go without deleting it.
    let before = uid(&hand, "a").await;
    hand.does(&["apply", "-i", "mine", "-f", "-"], &config_map("b", "1"));
    hand.story.kubectl(&["annotate", "oar", "app", "supercargo.dev/reconcile-at=now"], "");
    hand.story.wait_ready("app", "1@").await;
    assert_eq!(uid(&hand, "a").await, before);
    hand.says(
        &["apply", "-i", "mine", "-f", "-"],
        &config_map("a", "2"),
        1,
        "",
        &format!("{refused}  ConfigMap/NS/a: belongs to the release NS/app: remove it from one of the two\n"),
    );
    hand.says(
        &["delete", "-i", "mine"],
        "",
        0,
        "",
        "retrieving inventory...\ndeleting 2 manifest(s)...\nConfigMap/NS/b deleted\nConfigMap/NS/inv-mine \
         deleted\nwaiting for resources to be terminated...\nwarning: ConfigMap/NS/a is not deleted and leaves the \
         inventory: its labels say that it belongs to NS/app\nall other resources have been deleted\n",
    );
    assert_eq!(uid(&hand, "a").await, before);
}

#[story]
async fn a_finalizer_that_a_release_has_left_goes_with_the_next_apply() {
    let hand = Hand::begin("hand-left").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("a", "1"));
    let left = r#"{"metadata":{"finalizers":["supercargo.dev/finalizer"]}}"#;
    hand.story.kubectl(&["patch", "configmap", "inv-app", "--type=merge", "--patch", left], "");
    hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("a", "1"));
    let inventory = hand.config_map("inv-app").await.expect("the inventory");
    assert_eq!(inventory["metadata"]["finalizers"], json!(null));
}

#[story]
async fn another_tools_inventory_is_left_to_it_until_a_person_adopts_it() {
    let hand = Hand::begin("hand-strange").await;
    let strange = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "inv-app", "labels": {"app.kubernetes.io/name": "app",
            "app.kubernetes.io/component": "inventory", "app.kubernetes.io/created-by": "kustomizer"}},
        "data": {"resources": hand.here(r#"[{"id":"NS_old__ConfigMap","ver":"v1"}]"#)}});
    hand.story.kubectl(&["create", "-f", "-"], &(config_map("old", "1") + &strange.to_string()));
    let before = hand.config_map("inv-app").await;
    let _operator = operator(&hand);
    push(&hand, "1", &config_map("a", "1"));
    install(&hand, "app", "1", &json!({"deletionPolicy": "Delete"}));
    let release = hand.story.wait_condition("app", "Ready", "False", "InventoryInvalid").await;
    let message = condition(&release, "Ready").expect("a condition").message;
    let told = "was written by kustomizer: adopt its objects, without changing them, with `supercargo adopt inventory app --inventory-namespace ";
    assert!(message.contains(told), "{message}");
    assert_eq!(condition(&release, "Stalled").expect("a condition").status, "True");
    // Not even the end of the release touches it.
    hand.story.kubectl(&["delete", "oar", "app"], "");
    assert_eq!(hand.config_map("inv-app").await, before);
    assert!(hand.config_map("old").await.is_some() && hand.config_map("a").await.is_none());
}
