//! An inventory that is lost, damaged or older than the cluster.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::recovery::{Drill, app, commands};
use crate::scene::config_map;

const PROFILES: Profiles = Profiles::Both;

const BACKUP: &str = "With a backup";
const NONE: &str = "Without a backup";

/// Takes the finalizer of a part away and deletes it, as nobody should.
fn lose(drill: &Drill<'_>, part: &str) {
    drill.scene.patch("v1", "configmaps", part, json!({"metadata": {"finalizers": null}}));
    drill.scene.story.kubectl(&["delete", "configmap", part, "--timeout=30s"], "");
}

/// The page's commands before the one that gives up what a broken inventory holds,
/// those of giving up, and those of looking for what is left.
fn without_backup() -> [Vec<String>; 3] {
    let mut rest = commands(NONE);
    let mut giving_up = rest.split_off(1);
    let looking = giving_up.split_off(2);
    assert!(
        giving_up[0].contains("patch configmap") && looking[0].contains("get all"),
        "{giving_up:?} {looking:?}"
    );
    [rest, giving_up, looking]
}

fn backup(drill: &mut Drill<'_>) {
    for command in commands("Backup") {
        // Other tests have releases too.
        drill.type_in(
            &command
                .replace("get oar -A", "-n apps get oar")
                .replace("get configmaps -A", "-n apps get configmaps"),
        );
    }
}

#[story]
async fn an_inventory_that_is_deleted_is_not_lost_and_one_that_is_lost_is_remembered_or_restored() {
    let mut drill = Drill::begin("recovery-lost").await;
    let before = drill.objects().await;
    let all = ["kept", "settings", "web"];
    let mark = drill.scene.mark();
    backup(&mut drill);
    // Its finalizer holds it, and it goes on to be written.
    drill.scene.story.kubectl(&["delete", "configmap", "inv-app", "--wait=false"], "");
    drill.scene.push("app", "3", &(app("one") + &config_map("third", "one")));
    drill.scene.change("app", json!({"ref": {"tag": "3"}}));
    drill.wait_ready("3@", 4).await;
    assert_eq!(
        drill.scene.named_if_any("app").await.expect("it is there"),
        ["kept", "settings", "third", "web"]
    );
    drill.scene.change("app", json!({"ref": {"tag": "2"}}));
    drill.wait_ready("2@", 3).await;

    // Gone for good: who still runs remembers.
    drill.scene.patch("v1", "configmaps", "inv-app", json!({"metadata": {"finalizers": null}}));
    drill.scene.story.wait_gone("v1", "configmaps", "inv-app").await;
    for command in &without_backup()[0] {
        drill.type_in(command);
    }
    assert_eq!(drill.scene.named_if_any("app").await.expect("it was made anew"), all);

    // And who does not reads it from the backup.
    drill.scene.operator.stop();
    lose(&drill, "inv-app");
    drill.scene.restart();
    drill.scene.wait_named("app", &all[1..]).await;
    drill.follow(BACKUP);
    drill.wait_ready("2@", 3).await;
    assert_eq!(drill.scene.named_if_any("app").await.expect("it was restored"), all);
    assert_eq!(drill.objects().await, before);
    let deleted: Vec<String> =
        drill.scene.object_writes(mark).into_iter().filter(|write| write.starts_with("delete")).collect();
    assert_eq!(deleted, ["delete configmaps/third"]);
}

#[story]
async fn a_damaged_inventory_is_given_up_and_made_anew_and_what_only_it_knew_is_found() {
    let mut drill = Drill::begin("recovery-damaged").await;
    let before = drill.objects().await;
    let [_, giving_up, looking] = without_backup();
    drill.scene.patch("v1", "configmaps", "inv-app", json!({"data": {"resources": "[{"}}));
    drill.scene.operator.kill();
    drill.scene.restart();
    let told = drill.scene.wait_reason("app", "Ready", "False", "InventoryInvalid").await;
    assert!(told.contains("set it to [] to give up the objects in it"), "{told}");
    for command in &giving_up {
        drill.type_in(command);
    }
    drill.wait_ready("2@", 2).await;
    assert_eq!(drill.scene.named_if_any("app").await.expect("it was made anew"), ["settings", "web"]);
    assert_eq!(drill.objects().await, before);
    let [labelled, named] = [0, 1].map(|n| drill.type_in(&looking[n]));
    assert!(labelled.contains("configmap/kept") && labelled.contains("deployment.apps/web"), "{labelled}");
    assert!(named.contains("ConfigMap") && !named.contains("kept"), "{named}");

    // Entries that a hand has taken out come back too.
    drill.scene.patch("v1", "configmaps", "inv-app", json!({"data": {"resources": "[]"}}));
    drill.scene.reconcile("app", "again").await;
    drill.scene.wait_named("app", &["settings", "web"]).await;
    drill.scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    assert!(
        drill.scene.story.object("apps/v1", "deployments", "web").await.is_none(),
        "it was known, and is gone"
    );
}

/// Makes two parts of the inventory, as a thousand objects would: they fill one.
/// The first has the first entry.
async fn split(drill: &Drill<'_>) {
    let inventory = drill.scene.story.object("v1", "configmaps", "inv-app").await.expect("an inventory");
    let mut first: Vec<Value> =
        serde_json::from_str(inventory["data"]["resources"].as_str().expect("a list")).expect("entries");
    let second = first.split_off(1);
    let part = |name: &str, entries: Vec<Value>, more: Value| {
        let mut part = inventory.clone();
        part["metadata"] = json!({"name": name, "labels": inventory["metadata"]["labels"],
            "annotations": inventory["metadata"]["annotations"], "finalizers": inventory["metadata"]["finalizers"]});
        part["data"]["resources"] = Value::from(entries).to_string().into();
        for (key, value) in more.as_object().expect("a mapping") {
            part["data"][key] = value.clone();
        }
        part.to_string()
    };
    drill.scene.story.apply(&part("inv-app", first, json!({"parts": "2"})));
    drill.scene.story.apply(&part("inv-app.2", second, json!({})));
}

#[story]
async fn a_lost_part_is_made_anew_from_the_artifact() {
    let mut drill = Drill::begin("recovery-part").await;
    let before = drill.objects().await;
    drill.scene.operator.kill();
    split(&drill).await;
    let mark = drill.scene.mark();
    drill.scene.restart();
    drill.scene.reconcile("app", "both").await;
    assert_eq!(drill.scene.object_writes(mark), Vec::<String>::new(), "both are read");

    drill.scene.operator.kill();
    lose(&drill, "inv-app.2");
    drill.scene.restart();
    drill.wait_ready("2@", 3).await;
    drill.scene.wait_named("app", &["kept", "settings", "web"]).await;
    assert_eq!(drill.objects().await, before);
}

#[story]
async fn a_lost_first_part_is_made_anew_and_what_the_others_name_is_known() {
    let mut drill = Drill::begin("recovery-first-part").await;
    let before = drill.objects().await;
    let all = ["kept", "settings", "web"];
    drill.scene.operator.kill();
    split(&drill).await;
    drill.scene.restart();
    drill.scene.reconcile("app", "both").await;
    // Who still runs remembers what only the first part named.
    lose(&drill, "inv-app");
    drill.scene.reconcile("app", "first").await;
    drill.scene.wait_named("app", &all).await;
    drill.scene.story.wait_gone("v1", "configmaps", "inv-app.2").await;
    drill.wait_ready("2@", 3).await;

    // Who does not finds that in the artifact; of the rest nothing is orphaned.
    drill.scene.operator.kill();
    split(&drill).await;
    lose(&drill, "inv-app");
    drill.scene.restart();
    drill.scene.story.wait_gone("v1", "configmaps", "inv-app.2").await;
    drill.scene.wait_named("app", &all[1..]).await;
    drill.wait_ready("2@", 2).await;
    assert_eq!(drill.objects().await, before);
    drill.scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    assert!(drill.scene.story.object("v1", "configmaps", "settings").await.is_none(), "it was known");
}

#[story]
async fn a_release_that_is_deleted_after_its_inventory_takes_what_is_remembered() {
    let drill = Drill::begin("recovery-forgotten").await;
    lose(&drill, "inv-app");
    // A run that reads the inventory and ends before it writes one.
    drill.scene.change("app", json!({"ref": {"tag": "none"}}));
    drill.scene.wait_reason("app", "Ready", "False", "ArtifactNotFound").await;
    drill.scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    for (version, plural, name) in [("v1", "configmaps", "settings"), ("apps/v1", "deployments", "web")] {
        let object = drill.scene.story.object(version, plural, name).await;
        assert!(object.is_none(), "{plural}/{name} is left");
    }
}

#[story]
async fn an_inventory_older_than_the_cluster_loses_nothing() {
    let mut drill = Drill::begin("recovery-older").await;
    backup(&mut drill);
    drill.scene.push("app", "3", &(config_map("settings", "three") + &config_map("third", "one")));
    drill.scene.change("app", json!({"ref": {"tag": "3"}}));
    drill.wait_ready("3@", 3).await;
    let version = async |drill: &Drill<'_>| {
        let third = drill.scene.story.object("v1", "configmaps", "third").await.expect("it is there");
        third["metadata"]["resourceVersion"].to_string()
    };
    let before = version(&drill).await;
    for command in commands(BACKUP) {
        drill.type_in(&command);
    }
    // What it names and is gone is dropped, what it does not name is added.
    drill.scene.wait_named("app", &["kept", "settings", "third"]).await;
    drill.wait_ready("3@", 3).await;
    assert_eq!(version(&drill).await, before);
    drill.scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    assert!(
        drill.scene.story.object("v1", "configmaps", "third").await.is_none(),
        "it was known, and is gone"
    );
}
