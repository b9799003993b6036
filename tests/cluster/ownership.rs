//! Who has an object: handing over, two releases that want the same one, and
//! inventories that others have written.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, annotated, config_map, message, text};

const PROFILES: Profiles = Profiles::Both;

const LABELS: &str = "app.kubernetes.io/name: app, app.kubernetes.io/component: inventory, \
                      app.kubernetes.io/created-by: supercargo";

#[story]
async fn two_releases_that_name_the_same_object_do_not_fight_and_the_second_takes_over() {
    let scene = Scene::begin("two-releases").await;
    let shared = config_map("shared", "one");
    scene.install("first", &format!("{shared}{}", config_map("own", "one")), json!({})).await;
    let before = scene.config_map("shared").await.expect("it exists");
    let mark = scene.mark();

    scene.push("second", "1", &format!("{shared}{}", config_map("other", "one")));
    scene.create("second", json!({}));
    let refused = scene.story.wait_condition("second", "Ready", "False", "OwnershipConflict").await;
    let first = format!("{}/first", scene.namespace());
    assert!(message(&refused, "Ready").contains(&first), "{refused:#}");
    assert_eq!(message(&refused, "Stalled"), message(&refused, "Ready"));
    assert_eq!(refused["status"]["failures"][0]["reason"], "OwnershipConflict");
    for at in ["1", "2"] {
        scene.reconcile("second", at).await;
        scene.reconcile("first", at).await;
    }
    let after = scene.config_map("shared").await.expect("it exists");
    assert_eq!(text(&after, "/metadata/resourceVersion"), text(&before, "/metadata/resourceVersion"));
    let writes: Vec<_> = scene.writes(mark).iter().map(|r| r.summary()).collect();
    assert!(writes.is_empty(), "{writes:?}");

    // Handed over: it is neither deleted nor made anew.
    let ready = scene.upgraded("first", "2", &config_map("own", "one")).await;
    assert_eq!(ready["status"]["changes"]["pruned"], 0);
    scene.story.wait_ready("second", "1@").await;
    let taken = scene.config_map("shared").await.expect("it exists");
    assert_eq!(text(&taken, "/metadata/uid"), text(&before, "/metadata/uid"));
    assert_eq!(taken["metadata"]["labels"]["supercargo.dev/name"], "second");
    assert_eq!(scene.named("second").await, ["other", "shared"]);
    // It stays in the inventory of the first until it is in that of the second.
    scene.wait_named("first", &["own"]).await;
    scene.wait_event("first", "OwnershipConflict", &["ConfigMap/", "/shared", "takes it over"]).await;
}

#[story]
async fn an_object_of_a_deleted_release_goes_to_the_release_that_waits_for_it() {
    let scene = Scene::begin("heir").await;
    for (first, second, policy) in [("gone", "heir", "MirrorPrune"), ("orphaner", "finder", "Orphan")] {
        let shared = config_map(&format!("of-{first}"), "one");
        scene.install(first, &shared, json!({"deletionPolicy": policy})).await;
        let uid = scene.uid(&format!("of-{first}")).await;
        scene.push(second, "1", &shared);
        scene.create(second, json!({}));
        scene.story.wait_condition(second, "Ready", "False", "OwnershipConflict").await;
        scene.story.kubectl(&["delete", "oar", first, "--wait=false"], "");
        scene.story.wait_ready(second, "1@").await;
        assert_eq!(scene.uid(&format!("of-{first}")).await, uid, "{policy}");
    }
}

#[story]
async fn an_object_that_is_only_created_is_taken_over_with_its_content() {
    let scene = Scene::begin("once").await;
    let once = |name: &str, value: &str| {
        // Whose content cannot be changed: neither refused nor deleted for it.
        annotated(name, "{supercargo.dev/apply: IfNotPresent}")
            .replace("data: {key: 'one'}", &format!("immutable: true\ndata: {{key: '{value}'}}"))
    };
    let own = config_map("own", "one");
    // Of a release that is deleted, and of one that goes on without it.
    for (first, second, deleted) in [("gone", "heir", true), ("giver", "taker", false)] {
        let shared = format!("of-{first}");
        scene
            .install(
                first,
                &format!("{own}{}", once(&shared, "one")).replace("own", &format!("own-{first}")),
                json!({}),
            )
            .await;
        let uid = scene.uid(&shared).await;
        scene.push(second, "1", &once(&shared, "two"));
        scene.create(second, json!({"force": true}));
        scene.story.wait_condition(second, "Ready", "False", "OwnershipConflict").await;
        if deleted {
            scene.story.kubectl(&["delete", "oar", first, "--timeout=60s"], "");
        } else {
            scene.upgraded(first, "2", &own.replace("own", &format!("own-{first}"))).await;
            scene.wait_named(first, &[&format!("own-{first}")]).await;
        }
        let ready = scene.story.wait_ready(second, "1@").await;
        assert_eq!(ready["status"]["changes"]["configured"], 1, "{ready:#}");
        let object = scene.config_map(&shared).await.expect("it was not deleted");
        assert_eq!(text(&object, "/metadata/uid"), uid, "nor created again");
        assert_eq!(object["data"]["key"], "one", "its content stays");
        assert_eq!(object["metadata"]["labels"]["supercargo.dev/name"], second);
        assert_eq!(scene.named(second).await, [shared.as_str()]);
        let mark = scene.mark();
        scene.reconcile(second, "again").await;
        assert!(scene.writes(mark).is_empty());
    }
}

#[story]
async fn an_object_that_its_release_has_left_may_be_taken_by_another() {
    let scene = Scene::begin("left").await;
    let kept = annotated("kept", "{supercargo.dev/prune: disabled}");
    scene.install("first", &format!("{kept}{}", config_map("own", "one")), json!({})).await;
    let uid = scene.uid("kept").await;
    scene.upgraded("first", "2", &config_map("own", "one")).await;
    assert_eq!(scene.named("first").await, ["kept", "own"]);
    scene.install("second", &config_map("kept", "one"), json!({})).await;
    assert_eq!(scene.uid("kept").await, uid);
    scene.reconcile("first", "again").await;
    assert_eq!(scene.named("first").await, ["own"]);
    assert_eq!(scene.named("second").await, ["kept"]);
}

#[story]
async fn promise_3_what_a_hand_adds_to_an_inventory_is_not_touched_and_reported() {
    let mut scene = Scene::begin("edited").await;
    let role = format!("nobodys-{}", scene.namespace());
    let _cleanup = ClusterRole(role.clone());
    scene.story.apply(&format!(
        "{}---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {role}}}\n",
        config_map("nobodys", "one")
    ));
    scene.install("victim", &config_map("theirs", "one"), json!({})).await;
    scene.install("app", &config_map("own", "one"), json!({})).await;
    let versions = async |scene: &Scene<'_>| {
        let role = scene.story.object_in(None, "rbac.authorization.k8s.io/v1", "clusterroles", &role).await;
        [role, scene.config_map("theirs").await, scene.config_map("nobodys").await]
            .map(|object| text(&object.expect("it exists"), "/metadata/resourceVersion"))
    };
    let before = versions(&scene).await;
    let mut edited = scene.inventory("app").await;
    let namespace = scene.namespace().to_owned();
    for id in [
        format!("{namespace}_theirs__ConfigMap"),
        format!("{namespace}_nobodys__ConfigMap"),
        format!("_{role}_rbac.authorization.k8s.io_ClusterRole"),
    ] {
        edited.push(json!({"id": id, "ver": "v1"}));
    }
    let edited = json!({"data": {"resources": Value::from(edited).to_string()}});
    let said = [
        (format!("ConfigMap/{namespace}/theirs is not deleted"), "/victim"),
        (format!("ConfigMap/{namespace}/nobodys is not deleted"), "no owner labels"),
        (format!("ClusterRole/{role} is not deleted"), "no owner labels"),
    ];

    // Seen with the next revision, and by the next operator without one.
    scene.patch("v1", "configmaps", "inv-app", edited.clone());
    scene.upgraded("app", "2", &format!("{}{}", config_map("own", "one"), config_map("new", "one"))).await;
    assert_eq!(scene.named("app").await, ["new", "own"]);
    for (object, why) in &said {
        scene.wait_event("app", "OwnershipConflict", &[object, why]).await;
    }
    let told = scene.events("app").await.len();
    scene.replace_operator(async |story| story.patch("v1", "configmaps", "inv-app", &edited)).await;
    let dropped = async || {
        (scene.named("app").await == ["new", "own"] && scene.events("app").await.len() >= told + said.len())
            .then_some(())
    };
    scene.story.wait_for("what was added is dropped and told again", dropped).await;
    assert_eq!(versions(&scene).await, before);
    // What does belong to the release goes, by the same inventory.
    scene.upgraded("app", "3", &config_map("own", "one")).await;
    scene.story.wait_gone("v1", "configmaps", "new").await;
    assert_eq!(versions(&scene).await, before);
}

#[story]
async fn the_inventory_of_the_command_line_is_taken_over() {
    let scene = Scene::begin("take-over").await;
    let namespace = scene.namespace().to_owned();
    let owned = format!("supercargo.dev/name: app, supercargo.dev/namespace: {namespace}");
    let of_cli = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{{owned}}}}}\ndata: {{a: b}}\n---\n"
        )
    };
    let applied = format!("{}{}", of_cli("stays"), of_cli("leaves"));
    let as_cli = ["apply", "--server-side", "--field-manager=supercargo", "-f", "-"];
    scene.story.kubectl(&as_cli, &applied);
    let resources = json!([
        {"id": format!("{namespace}_leaves__ConfigMap"), "ver": "v1"},
        {"id": format!("{namespace}_stays__ConfigMap"), "ver": "v1"},
    ]);
    scene.story.apply(&format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: inv-app, labels: {{{LABELS}}}}}\ndata: {{resources: '{resources}'}}\n"
    ));
    let uid = scene.uid("stays").await;

    scene.install("app", &config_map("stays", "one"), json!({})).await;
    assert_eq!(scene.uid("stays").await, uid);
    assert!(scene.config_map("leaves").await.is_none(), "what the command line applied is known and pruned");
    let inventory = scene.config_map("inv-app").await.expect("it exists");
    assert_eq!(inventory["metadata"]["finalizers"], json!(["supercargo.dev/finalizer"]));
    scene.wait_event("app", "InventoryAdopted", &["command line", "2 objects"]).await;
}

#[story]
async fn a_broken_inventory_loses_nothing_and_says_what_to_do() {
    let mut scene = Scene::begin("broken").await;
    let first = format!("{}{}", config_map("stays", "one"), config_map("leaves", "one"));
    scene.install("app", &first, json!({})).await;
    let good = text(&scene.config_map("inv-app").await.expect("it exists"), "/data/resources");
    scene.patch("v1", "configmaps", "inv-app", json!({"data": {"resources": "[{\"id\""}}));
    let second = format!("{}{}", config_map("stays", "one"), config_map("new", "one"));
    scene.upgrade("app", "2", &second);
    let says = async |scene: &Scene<'_>| {
        let release = scene.story.wait_condition("app", "Stalled", "True", "InventoryInvalid").await;
        let said = message(&release, "Ready");
        let wanted = format!("{}/inv-app is broken: restore its data.resources", scene.namespace());
        assert!(said.contains(&wanted), "{said}");
    };
    says(&scene).await;
    assert!(scene.config_map("new").await.is_none(), "nothing is written that no inventory names");

    // An operator that has never read it does not take it for an empty one, not
    // even when the release is deleted.
    scene.replace_operator(async |_| {}).await;
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    says(&scene).await;
    for name in ["stays", "leaves"] {
        assert!(scene.config_map(name).await.is_some(), "{name}");
    }

    scene.patch("v1", "configmaps", "inv-app", json!({"data": {"resources": good}}));
    for name in ["stays", "leaves", "inv-app"] {
        scene.story.wait_gone("v1", "configmaps", name).await;
    }
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
}

/// Long names fill a part of 450 KiB with a thousand objects.
#[story]
async fn an_inventory_of_many_parts_is_written_read_and_shrunk() {
    const OBJECTS: usize = 1300;
    let mut scene = Scene::begin("parts").await;
    let name = |n: usize| format!("{n:04}-{}", "x".repeat(230));
    let all: String = (0..OBJECTS).map(|n| config_map(&name(n), "one")).collect();
    scene.push("app", "1", &all);
    scene.create("app", json!({"timeout": "2m"}));
    let ahead = async || scene.config_map("inv-app.2").await.map(|_| ());
    scene.story.wait_for("what is about to be written is in the inventory", ahead).await;
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(ready["status"]["inventory"]["entries"], OBJECTS);
    assert!(scene.config_map("inv-app.2").await.is_some(), "one part is not enough");
    assert_eq!(scene.named("app").await.len(), OBJECTS);

    // Read back whole: nothing is written, and what leaves is known.
    let mark = scene.mark();
    scene.replace_operator(async |_| {}).await;
    let ready = scene.reconcile("app", "restarted").await;
    assert_eq!(ready["status"]["inventory"]["entries"], OBJECTS);
    let writes: Vec<_> = scene.writes(mark).iter().map(|r| r.summary()).collect();
    assert!(writes.is_empty(), "{writes:?}");

    let few: String = (0..OBJECTS).step_by(100).map(|n| config_map(&name(n), "one")).collect();
    let ready = scene.upgraded("app", "2", &few).await;
    assert_eq!(ready["status"]["changes"]["pruned"], OBJECTS - OBJECTS / 100, "{}", ready["status"]);
    assert!(scene.config_map("inv-app.2").await.is_none(), "the second part is gone");
    assert_eq!(scene.named("app").await.len(), OBJECTS / 100);
}

/// Promise 2: what only that part names is not leaked.
#[story]
async fn a_part_that_a_killed_writer_left_is_read_and_removed() {
    let mut scene = Scene::begin("part-left").await;
    scene.install("app", &config_map("stays", "one"), json!({})).await;
    let namespace = scene.namespace().to_owned();
    let owned = format!("{{supercargo.dev/name: app, supercargo.dev/namespace: {namespace}}}");
    let leaked = config_map("leaked", "one").replace("}\ndata", &format!(", labels: {owned}}}\ndata"));
    let resources = json!([{"id": format!("{namespace}_leaked__ConfigMap"), "ver": "v1"}]);
    let part = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: inv-app.2, labels: {{{LABELS}}}, \
         finalizers: [supercargo.dev/finalizer]}}\ndata: {{sequence: \"99\", resources: '{resources}'}}\n"
    );
    let as_operator = ["apply", "--server-side", "--field-manager=supercargo", "-f", "-"];
    scene.replace_operator(async |story| drop(story.kubectl(&as_operator, &format!("{leaked}{part}")))).await;
    for name in ["leaked", "inv-app.2"] {
        scene.story.wait_gone("v1", "configmaps", name).await;
    }
    // The inventory is settled after the objects are gone.
    let what = "the inventory names what is there";
    scene.story.wait_for(what, async || (scene.named("app").await == ["stays"]).then_some(())).await;
}

/// Removes a ClusterRole, which no namespace takes with it.
struct ClusterRole(String);

impl Drop for ClusterRole {
    fn drop(&mut self) {
        supercargo_testbed::Bed::shared()
            .try_kubectl(&["delete", "clusterrole", &self.0, "--ignore-not-found"], "");
    }
}
