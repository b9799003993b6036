//! The operator is gone, is there twice, or finds objects that were restored.

use serde_json::json;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::{Profiles, Story, story};

use crate::recovery::{Drill, app, commands};
use crate::scene::{BINARY, Scene, config_map};

const PROFILES: Profiles = Profiles::Both;

#[story]
async fn without_an_operator_the_command_line_goes_on_with_its_inventory() {
    let mut drill = Drill::begin("recovery-gone").await;
    let before = drill.objects().await;
    drill.scene.operator.kill();
    let mut commands = commands("The operator is gone for good");
    let removing = commands.pop().expect("a command");
    let said: Vec<String> = commands.iter().map(|command| drill.type_in(command)).collect();
    assert!(said.iter().any(|said| said.contains("ConfigMap") && said.contains("kept")), "{said:?}");
    assert!(drill.scene.story.release("app").await.is_none());
    assert_eq!(drill.objects().await, before);
    assert_eq!(drill.scene.named_if_any("app").await.expect("it is left"), ["kept", "settings", "web"]);

    assert!(removing.starts_with("supercargo delete "), "{removing}");
    drill.type_in(&removing);
    for (version, plural, name) in [("v1", "configmaps", "settings"), ("apps/v1", "deployments", "web")] {
        assert!(drill.scene.story.object(version, plural, name).await.is_none(), "{name} is left behind");
    }
    assert_eq!(drill.scene.named_if_any("app").await, None);
    assert!(drill.scene.story.object("v1", "configmaps", "kept").await.is_some(), "it opts out");
}

#[story]
async fn what_was_restored_with_other_uids_is_taken_up_as_it_is() {
    let mut drill = Drill::begin("recovery-restored").await;
    for command in commands("Backup") {
        // Other tests have releases too.
        let here = command.replace("get oar -A", "-n apps get oar");
        drill.type_in(&here.replace("get configmaps -A", "-n apps get configmaps"));
    }
    drill.type_in(
        "kubectl -n apps get configmaps,deployments -l supercargo.dev/name=demo-app -o yaml | \
         sed '/^    resourceVersion: /d; /^    uid: /d' > restored.yaml",
    );
    let steps = commands("A namespace is restored from a backup");
    drill.type_in(&steps[0]);
    // As if all of it had been in another cluster.
    let story = &drill.scene.story;
    for (kind, version, plural, name) in [
        ("oar", "supercargo.dev/v1alpha1", "ociartifactreleases", "app"),
        ("configmap", "v1", "configmaps", "inv-app"),
    ] {
        drill.scene.patch(version, plural, name, json!({"metadata": {"finalizers": null}}));
        story.kubectl(&["delete", kind, name, "--timeout=30s"], "");
    }
    story
        .kubectl(&["delete", "configmaps,deployments", "-l", "supercargo.dev/name=app", "--timeout=30s"], "");
    for step in &steps[1..steps.len() - 1] {
        drill.type_in(step);
    }
    let before = drill.objects().await;
    let mark = drill.scene.mark();
    drill.type_in(steps.last().expect("a step"));
    drill.scene.wait_named("app", &["settings", "web"]).await;
    drill.wait_ready("2@", 2).await;
    let uids = |objects: std::collections::BTreeMap<&'static str, [String; 2]>| {
        objects.into_iter().map(|(name, [uid, _])| (name, uid)).collect::<Vec<_>>()
    };
    let after = drill.objects().await;
    assert_eq!(after["web"], before["web"], "no new generation, so that no pod is restarted");
    assert_eq!(uids(after), uids(before));
    assert!(drill.scene.object_writes(mark).iter().all(|write| write.starts_with("patch ")));
    let told = async || {
        let events = drill.scene.story.kubectl(&["get", "events", "-o", "yaml"], "");
        (events.contains("OwnershipConflict") && events.contains("the uid differs")).then_some(())
    };
    drill.scene.story.wait_for("an event names what is not ours", told).await;
}

#[story]
async fn two_operators_with_leases_of_their_own_lose_nothing() {
    let mut drill = Drill::begin("recovery-twice").await;
    let mut second = second(&drill.scene, "recovery-twice-lease");
    let before = drill.objects().await;
    let many = |value: &str| (0..20).map(|n| config_map(&format!("c{n:02}"), value)).collect::<String>();
    for round in 3..5 {
        let tag = round.to_string();
        drill.scene.push("app", &tag, &(app("one") + &many(&format!("v{tag}"))));
        drill.scene.change("app", json!({"ref": {"tag": tag}}));
        drill.wait_ready(&format!("{round}@"), 23).await;
        drill.scene.edit("c07", "by hand");
        drill.scene.wait_data("c07", &format!("v{tag}")).await;
    }
    assert_eq!(drill.objects().await, before);
    assert_eq!(drill.scene.named_if_any("app").await.expect("an inventory").len(), 23);
    drill.scene.push("app", "9", &app("one"));
    drill.scene.change("app", json!({"ref": {"tag": "9"}}));
    drill.wait_ready("9@", 3).await;
    assert!(drill.scene.story.object("v1", "configmaps", "c07").await.is_none());
    let leases = drill.follow("Two controllers in one cluster");
    assert!(
        leases.matches("recovery-twice").count() >= 2 && leases.contains(drill.scene.namespace()),
        "{leases}"
    );

    drill.scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    drill.scene.story.wait_gone("v1", "configmaps", "inv-app").await;
    assert!(drill.scene.story.object("apps/v1", "deployments", "web").await.is_none());
    assert!(second.running());
}

#[story]
async fn of_two_operators_the_less_demanding_one_decides() {
    let story = Story::begin("recovery-floor").await;
    let scene = Scene::of(story).argument("--require-verification").start();
    scene.push("app", "1", &config_map("settings", "one"));
    scene.create("app", json!({}));
    scene.wait_reason("app", "Ready", "False", "VerificationRequired").await;
    let _second = second(&scene, "recovery-floor-lease");
    scene.wait_data("settings", "one").await;
}

/// Another operator for the same releases, with its lease in another namespace.
fn second(scene: &Scene<'_>, lease: &str) -> Operator {
    let other = scene.story.another_namespace(lease);
    let binding = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: leases, namespace: {other}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}\n\
         subjects: [{{kind: ServiceAccount, name: supercargo, namespace: {}}}]\n",
        scene.namespace()
    );
    scene.story.bed().kubectl(&["apply", "--server-side", "-f", "-"], &binding);
    let options = Options::new(BINARY, &scene.account).watching(&[scene.namespace()]).lease_namespace(&other);
    let mut second = options.start();
    second.wait_leader(scene.story.bed());
    second.wait_ready();
    second
}
