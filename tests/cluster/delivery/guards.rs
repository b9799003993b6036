//! What a revision may remove, and what needs the approval of a person.

use serde_json::{Value, json};
use supercargo_testbed::audit::Request;
use supercargo_testbed::{Profiles, story};

use crate::quiet::wait_asked;
use crate::scene::{Scene, config_map, message, text};

const PROFILES: Profiles = Profiles::Both;

fn config_maps(names: &[&str], value: &str) -> String {
    names.iter().map(|name| format!("{}---\n", config_map(name, value))).collect()
}

/// The token in the command at the end of the message.
fn token(release: &Value) -> String {
    let said = message(release, "Ready");
    let (_, command) = said.split_once("supercargo.dev/approve=").unwrap_or_else(|| panic!("{said}"));
    command.split('`').next().unwrap_or_default().to_owned()
}

#[story]
async fn a_revision_that_would_remove_much_waits_for_approval_of_exactly_that() {
    let scene = Scene::begin("prune-guard").await;
    let spec = json!({"pruneGuard": {"maxPercent": 50, "protectKinds": ["Secret"]}});
    scene.install("app", &config_maps(&["a", "b", "c", "d"], "one"), spec).await;
    // Half of them may go.
    scene.upgraded("app", "2", &config_maps(&["a", "b"], "one")).await;
    scene.upgraded("app", "3", &config_maps(&["a", "b", "c", "d"], "one")).await;

    scene.upgrade("app", "4", &config_maps(&["a"], "two"));
    let held = scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    let said = message(&held, "Ready");
    let namespace = scene.namespace();
    let says = format!(
        "would remove 3 of 4 objects (ConfigMap/{namespace}/d, ConfigMap/{namespace}/c, ConfigMap/{namespace}/b): more than \
         spec.pruneGuard.maxPercent allows (50); to apply it and remove them: `kubectl -n {namespace} annotate"
    );
    assert!(said.contains(&says), "{said}");
    let first = token(&held);
    // Nothing of it is written, and drift of the applied revision is corrected.
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
    scene.edit("d", "by hand");
    scene.wait_data("d", "one").await;

    // Another removal has another token.
    scene.upgrade("app", "5", &config_maps(&["b"], "two"));
    let other = scene.wait_message("app", "False", &format!("ConfigMap/{namespace}/a")).await;
    assert_ne!(token(&other), first);
    scene.annotate("app", "supercargo.dev/approve", &first);
    scene.ask("app", "another-token");
    scene.wait_handled("app", "another-token").await;
    scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    assert!(scene.config_map("a").await.is_some());
    scene.annotate("app", "supercargo.dev/approve", &token(&other));
    scene.story.wait_ready("app", "5@").await;
    scene.wait_named("app", &["b"]).await;

    // An empty artifact is a case of it, and is approved by its digest.
    scene.change("app", json!({"pruneGuard": {"maxCount": 0}}));
    let digest = scene.push("app", "6", "# nothing\n");
    scene.change("app", json!({"ref": {"tag": "6"}}));
    scene.story.wait_condition("app", "Stalled", "True", "ArtifactEmpty").await;
    scene.annotate("app", "supercargo.dev/approve", &digest);
    scene.story.wait_ready("app", "6@").await;
    assert!(scene.config_map("b").await.is_none());
}

#[story]
async fn a_kind_can_be_protected() {
    let scene = Scene::begin("prune-kinds").await;
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: hush}\n";
    let both = format!("{}---\n{secret}", config_map("a", "one"));
    scene.install("app", &both, json!({"pruneGuard": {"protectKinds": ["Secret", "Deployment.apps"]}})).await;
    scene.upgrade("app", "2", &config_map("b", "one"));
    let held = scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    let says = format!("of a kind in spec.pruneGuard.protectKinds: Secret/{}/s", scene.namespace());
    assert!(message(&held, "Ready").contains(&says), "{held:#}");
    assert_eq!(text(&held, "/status/failures/0/object"), format!("Secret/{}/s", scene.namespace()));
    scene.upgraded("app", "3", &format!("{}---\n{secret}", config_map("b", "one"))).await;
    scene.wait_named("app", &["b", "s"]).await;
}

#[story]
async fn namespaces_definitions_and_storage_stay_while_they_hold_what_is_of_others() {
    let scene = Scene::begin("prune-holders").await;
    let (group, other) = (scene.group(), scene.story.reserve_namespace("prune-holders-team"));
    let version = "
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";
    let space = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n");
    let all = format!("{}---\n{space}---\n{}", config_map("a", "one"), scene.widgets(version));
    scene.install("app", &all, json!({})).await;
    // Others put something into them.
    let theirs =
        format!("{}  namespace: {other}\n", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: theirs\n");
    scene.story.kubectl(&["-n", &other, "apply", "-f", "-"], &theirs);
    let widget = format!(
        "apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w, namespace: {}}}\n",
        scene.namespace()
    );
    scene.story.kubectl(&["apply", "-f", "-"], &widget);
    scene.upgrade("app", "2", &config_map("a", "two"));
    let held = scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    let failures = held.pointer("/status/failures").and_then(Value::as_array).unwrap().clone();
    let said = |object: &str| {
        let of = failures.iter().find(|f| f["object"] == object);
        text(of.unwrap_or_else(|| panic!("{object} in {failures:?}")), "/message")
    };
    let namespace = said(&format!("Namespace/{other}"));
    let holds = "would be removed, and holds objects that are not of this release: ";
    assert_eq!(namespace, format!("{holds}ConfigMap/{other}/theirs"));
    let definition = said(&format!("CustomResourceDefinition/widgets.{group}"));
    assert_eq!(definition, format!("{holds}Widget/{}/w", scene.namespace()));
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));

    // Something new in it needs another approval.
    let before = token(&held);
    scene.story.kubectl(&["-n", &other, "apply", "-f", "-"], &theirs.replace("theirs", "more"));
    scene.annotate("app", "supercargo.dev/approve", &before);
    let again = scene.wait_message("app", "False", &format!("ConfigMap/{other}/more")).await;
    // Once nothing of others is there, it goes without approval.
    for kind in ["configmap/theirs", "configmap/more"] {
        scene.story.kubectl(&["-n", &other, "delete", kind], "");
    }
    scene.story.kubectl(&["delete", &format!("widgets.{group}"), "w"], "");
    assert_ne!(token(&again), before);
    scene.ask("app", "empty");
    scene.story.wait_ready("app", "2@").await;
}

#[story]
async fn what_waits_for_approval_of_a_removal_lists_nothing_while_nothing_changes() {
    let scene = Scene::begin("prune-quiet").await;
    let other = scene.story.reserve_namespace("prune-quiet-team");
    let space = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}}}\n");
    let spec = json!({"interval": "10s", "deletionPolicy": "WaitForApproval"});
    scene.install("app", &format!("{}---\n{space}", config_map("a", "one")), spec).await;
    let put = |name: &str| {
        let map =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: {other}}}\n");
        scene.story.kubectl(&["-n", &other, "apply", "-f", "-"], &map);
    };
    let lists = |mark| -> Vec<String> {
        let requests = scene.requests(mark).into_iter();
        requests.filter(|r| r.verb == "list").map(|r| r.summary()).collect()
    };
    put("theirs");
    scene.upgrade("app", "2", &config_map("a", "two"));
    let held = scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    let (mark, asked) = (scene.mark(), scene.registry().mark());
    wait_asked(&scene, &scene.repository("app"), asked, 2).await;
    assert_eq!(lists(mark), Vec::<String>::new());
    // A kind that the operator knows is gone meanwhile.
    let version = "\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, \
                   x-kubernetes-preserve-unknown-fields: true}}}\n";
    scene.story.kubectl(&["apply", "-f", "-"], &scene.widgets(version));
    let widget = format!("apiVersion: {}/v1\nkind: Widget\nmetadata: {{name: w}}\n", scene.group());
    scene.install("known", &widget, json!({})).await;
    scene.story.kubectl(&["delete", "oar", "known"], "");
    scene.story.kubectl(&["delete", "crd", &format!("widgets.{}", scene.group())], "");
    // The approval is compared with what is there when it comes.
    put("more");
    scene.annotate("app", "supercargo.dev/approve", &token(&held));
    let again = scene.wait_message("app", "False", &format!("ConfigMap/{other}/more")).await;
    assert_ne!(token(&again), token(&held));

    // The same for the deletion of the release.
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    scene.story.wait_condition("app", "Stalled", "True", "DeletionNotApproved").await;
    let mark = scene.mark();
    let is_run = |r: &Request| r.resource == "customresourcedefinitions" && r.verb == "get";
    let runs = async || (scene.requests(mark).iter().filter(|r| is_run(r)).count() >= 2).then_some(());
    scene.story.wait_for("the finalizer runs twice", runs).await;
    assert_eq!(lists(mark), Vec::<String>::new());
    let held = scene.story.release("app").await.expect("it waits");
    scene.annotate("app", "supercargo.dev/approve", &token(&held));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
}

#[story]
async fn an_object_that_another_release_takes_over_is_not_removed() {
    let scene = Scene::begin("prune-handed").await;
    let giver = json!({"pruneGuard": {"maxCount": 0}});
    scene.install("giver", &config_maps(&["moved", "kept"], "one"), giver).await;
    scene.push("taker", "1", &config_map("moved", "two"));
    scene.create("taker", json!({"interval": "24h", "retryInterval": "1h"}));
    scene.wait_reason("taker", "Ready", "False", "OwnershipConflict").await;
    scene.upgraded("giver", "2", &config_map("kept", "one")).await;
    scene.story.wait_ready("taker", "1@").await;
    assert_eq!(scene.data("moved").await.as_deref(), Some("two"));
}

#[story]
async fn a_claim_with_data_stays_until_a_person_approves_its_loss() {
    let scene = Scene::begin("prune-claim").await;
    let volume = format!("{}-volume", scene.namespace());
    let storage = "capacity: {storage: 1Mi}, accessModes: [ReadWriteOnce], storageClassName: \"\"";
    let made = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {volume}}}\nspec: {{{storage}, \
         persistentVolumeReclaimPolicy: Delete, hostPath: {{path: /nowhere}}}}\n"
    );
    scene.story.kubectl(&["apply", "-f", "-"], &made);
    let claim = format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: data}}\nspec: {{accessModes: [ReadWriteOnce], \
         storageClassName: \"\", volumeName: {volume}, resources: {{requests: {{storage: 1Mi}}}}}}\n"
    );
    let both = format!("{}---\n{claim}", config_map("a", "one"));
    scene.install("app", &both, json!({"wait": true})).await;
    scene.upgrade("app", "2", &config_map("a", "two"));
    let held = scene.story.wait_condition("app", "Stalled", "True", "PruneNotApproved").await;
    let says = format!(
        "PersistentVolumeClaim/{}/data holds the data of PersistentVolume/{volume}, which is deleted with it",
        scene.namespace()
    );
    assert!(message(&held, "Ready").contains(&says), "{held:#}");
    // Data that stays is no loss.
    let retain = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}).to_string();
    scene.story.kubectl(&["patch", "pv", &volume, "-p", &retain], "");
    scene.ask("app", "retained");
    scene.story.wait_ready("app", "2@").await;
    scene.story.kubectl(&["delete", "pv", &volume, "--wait=false"], "");
}

#[story]
async fn a_deleted_release_keeps_its_objects_until_a_person_approves_their_deletion() {
    let mut scene = Scene::begin("delete-approval").await;
    scene
        .install("app", &config_maps(&["a", "b"], "one"), json!({"deletionPolicy": "WaitForApproval"}))
        .await;
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    let held = scene.story.wait_condition("app", "Stalled", "True", "DeletionNotApproved").await;
    let namespace = scene.namespace().to_owned();
    let says = format!(
        "the deletion of the release would delete 2 objects (ConfigMap/{namespace}/b, ConfigMap/{namespace}/a); to delete \
         them: `kubectl -n {namespace} annotate --overwrite oar app supercargo.dev/approve="
    );
    assert!(message(&held, "Ready").starts_with(&says), "{held:#}");
    scene.annotate("app", "supercargo.dev/approve", "removal-0000000000000000");
    scene.restart();
    scene.wait_event("app", "DeletionNotApproved", &[]).await;
    assert!(scene.config_map("a").await.is_some() && scene.config_map("b").await.is_some());

    // An object that stays for long does not need another approval for the rest.
    scene.patch("v1", "configmaps", "b", json!({"metadata": {"finalizers": ["example.com/held"]}}));
    scene.annotate("app", "supercargo.dev/approve", &token(&held));
    let going = async || {
        let held = scene.config_map("b").await?;
        held.pointer("/metadata/deletionTimestamp").map(|_| ())
    };
    scene.story.wait_for("b is being deleted", going).await;
    scene.restart();
    scene.patch("v1", "configmaps", "b", json!({"metadata": {"finalizers": null}}));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert!(scene.config_map("a").await.is_none() && scene.config_map("b").await.is_none());
}
