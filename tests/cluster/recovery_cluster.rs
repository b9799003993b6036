//! The definition of releases is deleted by mistake; the whole cluster goes back to
//! what it was. Each on a cluster of its own.

use serde_json::json;
use supercargo_testbed::{Bed, Profiles, Story, story};

use crate::recovery::{Drill, app, commands};
use crate::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::Both;

async fn drill<'a>(bed: &'a Bed, name: &str) -> Drill<'a> {
    bed.install_crds();
    Drill::of(Scene::of(Story::on(bed, name).await).start()).await
}

#[story]
async fn a_definition_that_was_deleted_by_mistake_comes_back_with_its_releases_and_nothing_is_written() {
    let bed = Bed::start();
    let mut drill = drill(&bed, "recovery-crd").await;
    let before = drill.objects().await;
    drill.follow("Backup");
    let mark = drill.scene.mark();
    bed.kubectl(&["delete", "crd", "ociartifactreleases.supercargo.dev", "--timeout=60s"], "");
    assert_eq!(drill.scene.named_if_any("app").await, None, "the operator lets go of the objects");
    drill.follow("The CRD was deleted by mistake");
    drill.wait_ready("2@", 3).await;
    assert_eq!(drill.scene.object_writes(mark), Vec::<String>::new());
    assert_eq!(drill.objects().await, before);
    assert_eq!(drill.scene.named_if_any("app").await.expect("it was restored"), ["kept", "settings", "web"]);

    // Without the inventories only what had left is not known any more.
    bed.kubectl(&["delete", "crd", "ociartifactreleases.supercargo.dev", "--timeout=60s"], "");
    for command in commands("The CRD was deleted by mistake") {
        if !command.contains("inventories.yaml") {
            drill.type_in(&command);
        }
    }
    drill.wait_ready("2@", 2).await;
    assert_eq!(drill.objects().await, before);
}

#[story]
async fn a_cluster_that_goes_back_to_a_snapshot_is_as_it_was_and_goes_on() {
    let bed = Bed::start();
    let mut drill = drill(&bed, "recovery-etcd").await;
    let before = drill.objects().await;
    let snapshot = bed.snapshot();
    drill.scene.push("app", "3", &(app("three") + &config_map("third", "one")));
    drill.scene.change("app", json!({"ref": {"tag": "3"}}));
    drill.wait_ready("3@", 4).await;

    let steps = commands("etcd is restored from an older snapshot");
    let [stop, start] = steps.as_slice() else { panic!("{steps:?}") };
    drill.type_in(stop);
    bed.restore(&snapshot);
    let mark = drill.scene.mark();
    drill.type_in(start);
    drill.wait_ready("2@", 3).await;
    drill.scene.reconcile("app", "restored").await;
    assert_eq!(drill.scene.object_writes(mark), Vec::<String>::new());
    assert_eq!(drill.objects().await, before);
    // And forward again.
    drill.scene.change("app", json!({"ref": {"tag": "3"}}));
    drill.wait_ready("3@", 4).await;
}
