//! The order inside a release: waves and dependencies, on the way up and on the way down.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, Story, story};

use crate::scene::{
    Scene, annotated, config_map, deployment, failing_deployment, message, text, unready_deployment,
};
use crate::shell::Shell;
use crate::verdicts::{held, loops, pods_say};

const PROFILES: Profiles = Profiles::First("the order of objects does not depend on rights");

const RELEASES: (&str, &str) = ("supercargo.dev/v1alpha1", "ociartifactreleases");

/// A Deployment in a wave that becomes healthy when the story says so.
fn waiting_in(name: &str, wave: &str) -> String {
    let annotations = format!("annotations: {{supercargo.dev/wave: '{wave}'}}");
    unready_deployment(name)
        .replace(&format!("{{name: {name}}}\nspec"), &format!("{{name: {name}, {annotations}}}\nspec"))
}

/// Lets the pods of such a Deployment start.
fn start(story: &Story<'_>, name: &str) {
    let label = format!("app={name}");
    story.kubectl(&["label", "pods", "-l", &label, "testbed.supercargo.dev/pod-"], "");
}

fn wave(name: &str, wave: &str) -> String {
    annotated(name, &format!("{{supercargo.dev/wave: '{wave}'}}"))
}

/// A ConfigMap that depends on these objects, in the short form of this file: `ConfigMap/x`.
fn dependent(scene: &Scene<'_>, name: &str, on: &[&str]) -> String {
    annotated(name, &format!("{{config.kubernetes.io/depends-on: '{}'}}", references(scene, on)))
}

fn references(scene: &Scene<'_>, on: &[&str]) -> String {
    let namespace = scene.namespace();
    let reference = |object: &&str| match object.split_once('/') {
        Some(("Deployment", name)) => format!("apps/namespaces/{namespace}/Deployment/{name}"),
        Some(("Job", name)) => format!("batch/namespaces/{namespace}/Job/{name}"),
        Some((kind, name)) => format!("/namespaces/{namespace}/{kind}/{name}"),
        None => (*object).to_owned(),
    };
    on.iter().map(reference).collect::<Vec<_>>().join(",")
}

/// The names of the story's own ConfigMaps that exist.
async fn there(scene: &Scene<'_>, names: &[&str]) -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for name in names {
        if scene.config_map(name).await.is_some() {
            there.insert((*name).to_owned());
        }
    }
    there
}

async fn wait_there(scene: &Scene<'_>, name: &str) {
    let exists = async || scene.config_map(name).await.map(drop);
    scene.story.wait_for(&format!("{name} is applied"), exists).await;
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}

#[story]
async fn each_wave_waits_until_the_lower_ones_are_healthy() {
    let scene = Scene::begin("order-waves").await;
    let yaml = [
        waiting_in("first", "-1"),
        unready_deployment("second"),
        config_map("plain", "one"),
        wave("last", "7"),
    ];
    scene.push("app", "1", &yaml.concat());
    let mark = scene.mark();
    scene.create("app", json!({"timeout": "1h"}));
    let waits =
        format!("Waiting for Deployment/{}/first before applying 3 objects (revision 1@", scene.namespace());
    scene.wait_message("app", "Unknown", &waits).await;
    assert_eq!(there(&scene, &["plain", "last"]).await, none());
    start(&scene.story, "first");
    let waits = format!("Waiting for Deployment/{}/second before applying 1 object (", scene.namespace());
    scene.wait_message("app", "Unknown", &waits).await;
    assert_eq!(there(&scene, &["plain", "last"]).await, BTreeSet::from(["plain".to_owned()]));
    // Its inventory names all of it already.
    assert_eq!(scene.named("app").await, ["first", "last", "plain", "second"]);
    start(&scene.story, "second");
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(ready["status"]["changes"]["created"], 4, "{ready:#}");
    let order = [
        "patch deployments/first",
        "patch configmaps/plain",
        "patch deployments/second",
        "patch configmaps/last",
    ];
    assert_eq!(scene.object_writes(mark), order);

    // What does not change is not waited for.
    let again = yaml.concat().replace("'one'", "'two'");
    let ready = scene.upgraded("app", "2", &again).await;
    assert_eq!(ready["status"]["changes"]["configured"], 2, "{ready:#}");
}

#[story]
async fn a_chain_and_an_independent_branch_go_their_own_ways() {
    let scene = Scene::begin("order-branches").await;
    let yaml = [
        unready_deployment("slow"),
        unready_deployment("fast"),
        dependent(&scene, "after-slow", &["Deployment/slow"]),
        dependent(&scene, "after-fast", &["Deployment/fast"]),
        dependent(&scene, "end", &["ConfigMap/after-fast", "ConfigMap/free"]),
        config_map("free", "one"),
    ];
    scene.push("app", "1", &yaml.concat());
    scene.create("app", json!({"timeout": "1h", "wait": true}));
    let waits = format!(
        "Waiting for Deployment/{0}/fast, Deployment/{0}/slow before applying 3 objects (",
        scene.namespace()
    );
    scene.wait_message("app", "Unknown", &waits).await;
    let all = ["after-slow", "after-fast", "end", "free"];
    assert_eq!(there(&scene, &all).await, BTreeSet::from(["free".to_owned()]));
    start(&scene.story, "fast");
    wait_there(&scene, "end").await;
    assert!(scene.config_map("after-slow").await.is_none(), "its own dependency is not healthy");
    start(&scene.story, "slow");
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there(&scene, &all).await.len(), 4);
}

#[story]
async fn a_failed_dependency_names_itself_and_an_independent_branch_is_finished() {
    let scene = Scene::begin("order-failed").await;
    let yaml = |broken: String| {
        [
            broken,
            unready_deployment("slow"),
            dependent(&scene, "after-broken", &["Deployment/broken"]),
            dependent(&scene, "after-that", &["ConfigMap/after-broken"]),
            dependent(&scene, "after-slow", &["Deployment/slow"]),
        ]
        .concat()
    };
    scene.push("app", "1", &yaml(failing_deployment("broken", "main:1")));
    scene.create("app", json!({"timeout": "1h", "retryInterval": "1h"}));
    let waits = "before applying 3 objects (";
    scene.wait_message("app", "Unknown", waits).await;
    start(&scene.story, "slow");
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = message(&failed, "Ready");
    let headline = "2 objects not applied: a dependency has failed; ";
    let broken = format!("Deployment/{}/broken: ", scene.namespace());
    assert!(said.starts_with(&format!("{headline}{broken}")) && said.contains("ProgressDeadline"), "{said}");
    assert_eq!(failed["status"]["failures"][0]["reason"], "HealthCheckFailed");
    let all = ["after-broken", "after-that", "after-slow"];
    assert_eq!(there(&scene, &all).await, BTreeSet::from(["after-slow".to_owned()]));
    // A revision that repairs it goes on.
    scene.upgraded("app", "2", &yaml(deployment("broken", "main:2", 1))).await;
    assert_eq!(there(&scene, &all).await.len(), 3);
}

#[story]
async fn a_timeout_names_the_dependency_and_the_next_run_goes_on() {
    let scene = Scene::begin("order-timeout").await;
    let yaml = [waiting_in("slow", "-1"), config_map("a", "one"), config_map("b", "one")];
    scene.push("app", "1", &yaml.concat());
    scene.create("app", json!({"timeout": "1s", "retryInterval": "1h"}));
    let late = scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    let said = message(&late, "Ready");
    let headline = "2 objects not applied: dependencies not healthy within spec.timeout (1s); ";
    let slow = format!("Deployment/{}/slow: ", scene.namespace());
    assert!(said.starts_with(&format!("{headline}{slow}")), "{said}");
    assert_eq!(there(&scene, &["a", "b"]).await, none());
    // The same at the next run, which writes nothing.
    let mark = scene.mark();
    let again = scene.reconcile("app", "again").await;
    assert_eq!(message(&again, "Ready"), said);
    let wrote = scene.object_writes(mark).into_iter().filter(|w| w.contains("slow")).count();
    assert_eq!(wrote, 0, "what is applied is not applied again");
    // Its health alone starts a run.
    start(&scene.story, "slow");
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(there(&scene, &["a", "b"]).await.len(), 2);
}

#[story]
async fn a_newer_revision_ends_the_wait_for_a_dependency_and_drift_does_not_wait() {
    let scene = Scene::begin("order-newer").await;
    let first = [
        config_map("early", "one"),
        unready_deployment("slow"),
        dependent(&scene, "late", &["Deployment/slow", "ConfigMap/early"]),
    ];
    scene.push("app", "1", &first.concat());
    scene.create("app", json!({"timeout": "1h", "interval": "1h"}));
    scene.wait_message("app", "Unknown", " before applying 1 object (revision 1@").await;
    scene.edit("early", "by hand");
    scene.wait_data("early", "one").await;
    assert!(scene.config_map("late").await.is_none());
    scene.wait_message("app", "Unknown", " before applying 1 object (revision 1@").await;
    let second = [config_map("early", "two"), config_map("late", "two")];
    scene.upgraded("app", "2", &second.concat()).await;
    assert_eq!(scene.data("late").await.as_deref(), Some("two"));

    // The drift of a dependent is corrected while its dependency is unhealthy.
    let third = [deployment("web", "main:1", 1), dependent(&scene, "late", &["Deployment/web"])];
    scene.upgraded("app", "3", &third.concat()).await;
    let broken =
        json!({"spec": {"template": {"metadata": {"labels": {"testbed.supercargo.dev/pod": "failed"}}}}});
    scene.patch("apps/v1", "deployments", "web", broken);
    scene.edit("late", "by hand");
    scene.wait_data("late", "one").await;
}

#[story]
async fn an_impossible_order_is_refused_with_nothing_written() {
    let scene = Scene::begin("order-refused").await;
    let namespace = scene.namespace().to_owned();
    let check = async |release: &str, yaml: &str, says: &[&str]| {
        scene.push(release, "1", yaml);
        let mark = scene.mark();
        scene.create(release, json!({}));
        let refused = scene.story.wait_condition(release, "Stalled", "True", "ManifestInvalid").await;
        let said = message(&refused, "Ready");
        for part in says {
            assert!(said.contains(part), "{part:?}: {said}");
        }
        assert!(said.starts_with("nothing applied, impossible order of "), "{said}");
        assert_eq!(scene.object_writes(mark), Vec::<String>::new());
        scene.story.kubectl(&["delete", "oar", release], "");
    };
    let (a, b) = (format!("ConfigMap/{namespace}/a"), format!("ConfigMap/{namespace}/b"));
    let cycle = dependent(&scene, "a", &["ConfigMap/b"]) + &dependent(&scene, "b", &["ConfigMap/a"]);
    check("cycle", &cycle, &[&format!("{a} depends on {b}; {b} depends on {a}")]).await;
    let missing = dependent(&scene, "a", &["ConfigMap/none"]);
    let none = format!("{a}: depends on ConfigMap/{namespace}/none, which this revision does not apply");
    check("missing", &missing, &[&none]).await;
    let waves = dependent(&scene, "a", &["ConfigMap/b"]) + &wave("b", "1");
    check("waves", &waves, &[&format!("{b} (wave 1) waits for {a} (wave 0)")]).await;
    check("wrong", &wave("a", "first"), &["invalid annotation supercargo.dev/wave: \"first\""]).await;
}

#[story]
async fn what_is_defined_in_a_later_round_is_applied_in_it() {
    let scene = Scene::begin("order-defined").await;
    let (group, other) = (scene.group(), scene.story.reserve_namespace("order-defined-later"));
    let versions = " [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]\n";
    let slow = references(&scene, &["Deployment/slow"]);
    let later = format!("annotations: {{config.kubernetes.io/depends-on: '{slow}'}}");
    let definition = scene
        .widgets(versions)
        .replace(&format!("{{name: widgets.{group}}}"), &format!("{{name: widgets.{group}, {later}}}"));
    let yaml = format!(
        "{}{definition}apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\n---\n\
         apiVersion: v1\nkind: Namespace\nmetadata: {{name: {other}, {later}}}\n---\n\
         apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: inside, namespace: {other}}}\n---\n{}",
        unready_deployment("slow"),
        config_map("free", "one"),
    );
    scene.push("app", "1", &yaml);
    scene.create("app", json!({"timeout": "1h"}));
    scene.wait_message("app", "Unknown", " before applying 4 objects (").await;
    assert!(scene.config_map("free").await.is_some());
    start(&scene.story, "slow");
    scene.story.wait_ready("app", "1@").await;
    assert!(scene.story.object(&format!("{group}/v1"), "widgets", "w").await.is_some());
    let inside = scene.story.object_in(Some(&other), "v1", "configmaps", "inside").await;
    assert!(inside.is_some());
    // All of it goes, in the reverse order.
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    scene.story.wait_gone(RELEASES.0, RELEASES.1, "app").await;
}

#[story]
async fn a_removal_is_the_reverse_and_waits_for_a_stuck_dependent() {
    let scene = Scene::begin("order-removal").await;
    let held = |name: &str, on: &[&str]| {
        dependent(&scene, name, on)
            .replace(&format!("{{name: {name},"), &format!("{{name: {name}, finalizers: [example.com/hold],"))
    };
    let yaml = [
        config_map("stays", "one"),
        config_map("base", "one"),
        held("middle", &["ConfigMap/base"]),
        dependent(&scene, "top", &["ConfigMap/middle"]),
        wave("over", "3"),
        config_map("aside", "one"),
    ];
    scene.install("app", &yaml.concat(), json!({})).await;
    let mark = scene.mark();
    scene.upgrade("app", "2", &config_map("stays", "one"));
    let holder =
        format!("waits for ConfigMap/{}/middle (waiting for finalizer example.com/hold)", scene.namespace());
    scene.wait_message("app", "True", &format!("; deletion of 1 object {holder}")).await;
    assert_eq!(there(&scene, &["base", "middle", "top", "over", "aside"]).await.len(), 2);
    let let_go = json!({"metadata": {"finalizers": null}});
    scene.patch("v1", "configmaps", "middle", let_go);
    scene.story.wait_gone("v1", "configmaps", "base").await;
    scene.wait_named("app", &["stays"]).await;
    let deleted: Vec<String> =
        scene.writes(mark).into_iter().filter(|r| r.verb == "delete").map(|r| r.name).collect();
    let at = |name: &str| deleted.iter().position(|d| d == name).expect("it is deleted");
    assert!(
        at("over") < at("middle") && at("top") < at("middle") && at("middle") < at("base"),
        "{deleted:?}"
    );
}

#[story]
async fn a_deleted_release_waits_for_a_stuck_dependent() {
    let scene = Scene::begin("order-deleted").await;
    let held = dependent(&scene, "top", &["ConfigMap/base"])
        .replace("{name: top,", "{name: top, finalizers: [example.com/hold],");
    scene.install("app", &(config_map("base", "one") + &held), json!({})).await;
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    let holder =
        format!("waits for ConfigMap/{}/top (waiting for finalizer example.com/hold)", scene.namespace());
    scene.wait_message("app", "False", &holder).await;
    assert!(scene.config_map("base").await.is_some());
    scene.patch("v1", "configmaps", "top", json!({"metadata": {"finalizers": null}}));
    scene.story.wait_gone(RELEASES.0, RELEASES.1, "app").await;
    assert!(scene.config_map("base").await.is_none());
}

#[story]
async fn what_a_kept_dependent_depends_on_is_kept_and_costs_nothing() {
    let scene = Scene::begin("order-kept").await;
    let on = references(&scene, &["ConfigMap/base"]);
    let kept = annotated(
        "top",
        &format!("{{supercargo.dev/prune: disabled, config.kubernetes.io/depends-on: '{on}'}}"),
    );
    let stays = config_map("stays", "one");
    let all = [stays.clone(), config_map("base", "one"), kept].concat();
    scene.install("app", &all, json!({"interval": "1h"})).await;
    scene.upgraded("app", "2", &stays).await;
    let (base, top) =
        (format!("ConfigMap/{}/base", scene.namespace()), format!("ConfigMap/{}/top", scene.namespace()));
    let said = format!("{base} is not deleted: {top} depends on it and is kept");
    scene.wait_event("app", "PruneFailed", &[&said]).await;
    assert_eq!(there(&scene, &["base", "top"]).await.len(), 2);
    let mark = scene.mark();
    scene.reconcile("app", "again").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    let no_more = json!({"metadata": {"annotations": {"supercargo.dev/prune": null}}});
    scene.patch("v1", "configmaps", "top", no_more);
    scene.story.wait_gone("v1", "configmaps", "base").await;
    scene.wait_named("app", &["stays"]).await;
}

#[story]
async fn a_dependency_that_is_deleted_meanwhile_is_created_again() {
    let scene = Scene::begin("order-gone").await;
    let yaml = unready_deployment("slow") + &dependent(&scene, "late", &["Deployment/slow"]);
    scene.push("app", "1", &yaml);
    scene.create("app", json!({"timeout": "1h", "interval": "1h"}));
    scene.wait_message("app", "Unknown", " before applying 1 object (").await;
    let slow = async || scene.story.object("apps/v1", "deployments", "slow").await;
    let before = text(&slow().await.expect("it is applied"), "/metadata/uid");
    scene.story.kubectl(&["delete", "deployment", "slow"], "");
    let again = async || {
        let slow = slow().await?;
        let is_other = text(&slow, "/metadata/uid") != before;
        (is_other && slow["status"]["unavailableReplicas"] == 1).then_some(())
    };
    scene.story.wait_for("slow is created again", again).await;
    scene.wait_message("app", "Unknown", " before applying 1 object (").await;
    assert!(scene.config_map("late").await.is_none());
    start(&scene.story, "slow");
    scene.story.wait_ready("app", "1@").await;
    assert!(scene.config_map("late").await.is_some());
}

#[story]
async fn suspended_and_only_created_objects_count_and_an_object_may_change_its_wave() {
    let scene = Scene::begin("order-moves").await;
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: paused}\nspec: {suspend: true, template: {spec: \
               {restartPolicy: Never, containers: [{name: main, image: 'main:1'}]}}}\n---\n";
    let once = annotated("once", "{supercargo.dev/apply: IfNotPresent, supercargo.dev/wave: '-1'}");
    let last = dependent(&scene, "last", &["Job/paused", "ConfigMap/once"]);
    let yaml = |moved: &str| [job, &once, &wave("moved", moved), &last, &wave("end", "5")].concat();
    scene.install("app", &yaml("9"), json!({})).await;
    let mark = scene.mark();
    scene.upgraded("app", "2", &yaml("-9")).await;
    assert_eq!(scene.object_writes(mark), ["patch configmaps/moved"]);
    let mark = scene.mark();
    scene.upgraded("app", "3", &yaml("9").replace("'one'", "'three'")).await;
    let writes = scene.object_writes(mark);
    let at = |name: &str| writes.iter().position(|w| w.ends_with(name)).expect("it is written");
    assert!(at("/last") < at("/end") && at("/end") < at("/moved"), "{writes:?}");
    assert_eq!(scene.data("once").await.as_deref(), Some("one"));
}

#[story]
async fn a_removal_after_a_restart_is_in_reverse_and_a_cycle_does_not_block_it() {
    let mut scene = Scene::begin("order-restart").await;
    let yaml =
        wave("base", "-1") + &dependent(&scene, "a-top", &["ConfigMap/middle"]) + &wave("middle", "-1");
    scene.install("app", &yaml, json!({})).await;
    let round = config_map("lower", "one") + &dependent(&scene, "upper", &["ConfigMap/lower"]);
    scene.install("round", &round, json!({})).await;
    let on_upper = json!({"config.kubernetes.io/depends-on": references(&scene, &["ConfigMap/upper"])});
    scene.patch("v1", "configmaps", "lower", json!({"metadata": {"annotations": on_upper}}));
    scene.restart();
    let mark = scene.mark();
    for release in ["app", "round"] {
        scene.story.kubectl(&["delete", "oar", release, "--wait=false"], "");
        scene.story.wait_gone(RELEASES.0, RELEASES.1, release).await;
    }
    let deleted: Vec<String> =
        scene.writes(mark).into_iter().filter(|r| r.verb == "delete").map(|r| r.name).collect();
    let at = |name: &str| deleted.iter().position(|d| d == name).expect("it is deleted");
    assert!(at("a-top") < at("base") && at("a-top") < at("middle"), "{deleted:?}");
    assert_eq!(there(&scene, &["base", "middle", "a-top", "lower", "upper"]).await, none());
}

/// The YAML of docs/order.md.
#[story]
async fn the_page_of_the_order_can_be_applied() {
    let scene = Scene::begin("order-page").await;
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/order.md");
    let page = std::fs::read_to_string(page).expect("read docs/order.md");
    let yaml =
        page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of YAML");
    let namespace = scene.namespace();
    let yaml = yaml
        .replace("namespace: shop", &format!("namespace: {namespace}"))
        .replace("namespaces/shop/", &format!("namespaces/{namespace}/"));
    scene.install("app", &yaml, json!({"wait": true})).await;
    let times = async |version: &str, plural: &str, name: &str| {
        let object = scene.story.object(version, plural, name).await.expect("it is applied");
        text(&object, "/metadata/creationTimestamp")
    };
    let (database, web) =
        (times("apps/v1", "deployments", "database").await, times("apps/v1", "deployments", "web").await);
    assert!(database <= web);
    let deployed: Value = scene.story.object("apps/v1", "deployments", "web").await.expect("it is there");
    assert_eq!(deployed["status"]["availableReplicas"], 1);
}

#[story]
async fn a_person_sees_what_is_waited_for_and_the_next_apply_goes_on() {
    let scene = Scene::begin("order-person").await;
    let person = Shell::admin(&scene.story);
    let file = person.home().join("all.yaml");
    let path = file.to_str().expect("text").to_owned();
    let write = |yaml: &str| std::fs::write(&file, yaml).expect("write a file");
    write(&(unready_deployment("slow") + &dependent(&scene, "late", &["Deployment/slow"])));
    let apply = ["apply", "-i", "hand", "-f", &path, "--wait", "--timeout=2s"];
    let said = person.run(&apply);
    assert_ne!(said.code, 0, "{said:?}");
    let namespace = scene.namespace();
    assert!(said.out.contains("slow") || said.err.contains("slow"), "{said:?}");
    let everything = format!("{}{}", said.out, said.err);
    for part in [
        &format!("waiting for Deployment/{namespace}/slow before applying 1 resource..."),
        "1 object not applied: dependencies not healthy within --timeout (2s)",
    ] {
        assert!(everything.contains(part), "{part:?}: {everything}");
    }
    assert!(scene.config_map("late").await.is_none());
    start(&scene.story, "slow");
    let healthy = async || {
        let slow = scene.story.object("apps/v1", "deployments", "slow").await?;
        (slow["status"]["availableReplicas"] == 1).then_some(())
    };
    scene.story.wait_for("slow is available", healthy).await;
    person.run(&apply).done();
    assert!(scene.config_map("late").await.is_some());

    write(&(dependent(&scene, "a", &["ConfigMap/b"]) + &dependent(&scene, "b", &["ConfigMap/a"])));
    for verb in ["diff", "apply"] {
        let refused = person.run(&[verb, "-i", "hand", "-f", &path]);
        assert!(refused.code > 0 && refused.err.contains("is in a cycle: "), "{verb}: {refused:?}");
    }
    assert_eq!(there(&scene, &["a", "b"]).await, none());
    person.run(&["delete", "-i", "hand"]).done();
    assert!(scene.config_map("late").await.is_none(), "it is deleted");
}

#[story]
async fn a_crash_of_a_dependency_ends_the_wait_and_an_ignored_one_holds_nothing() {
    let scene = Scene::begin("order-crash").await;
    let yaml = |more: &str| {
        held("db", "db:1", &format!("supercargo.dev/wave: '-1'{more}")) + &config_map("a", "one")
    };
    scene.push("app", "1", &yaml(""));
    scene.create("app", json!({"timeout": "1h", "retryInterval": "1h"}));
    pods_say(&scene, "app=db", &loops(4, "OOMKilled", 137)).await;
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let said = format!(
        "1 object not applied: a dependency has failed; Deployment/{}/db: 0 of 1 replicas ready; one of its \
         pods: container web keeps crashing: OOMKilled, at least 2 times",
        scene.namespace()
    );
    assert_eq!(message(&failed, "Ready"), said);
    assert_eq!(scene.config_map("a").await, None);
    scene.upgraded("app", "2", &yaml(", supercargo.dev/fail-mode: Ignore")).await;
    assert!(scene.config_map("a").await.is_some());
}
