//! Many releases that depend on each other: their order, and what a change costs.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use supercargo_testbed::audit::Request;
use supercargo_testbed::{Profiles, Registry, Story, story};

use crate::dependencies::{depends_on, make_ready, quiet, waits};
use crate::scene::{Scene, config_map, unready_deployment, widgets};

const PROFILES: Profiles = Profiles::First("the order of releases does not depend on rights");

/// The place of the first write of a ConfigMap among all requests.
fn first_write(requests: &[Request], name: &str) -> usize {
    let is_it =
        |request: &Request| request.writes() && request.resource == "configmaps" && request.name == name;
    requests.iter().position(is_it).unwrap_or_else(|| panic!("{name} is written"))
}

/// The place of the last status of a release before a place.
fn status_before(requests: &[Request], place: usize, name: &str) -> Option<usize> {
    let is_it = |request: &Request| request.subresource == "status" && request.name == name;
    requests[..place].iter().rposition(is_it)
}

fn runs(scene: &Scene<'_>) -> f64 {
    let metrics = scene.operator.metrics();
    let lines = metrics.lines().filter(|line| line.starts_with("supercargo_reconciles_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[story]
async fn fifty_releases_become_ready_in_the_order_of_their_graph() {
    let scene = Scene::begin("graph-fifty").await;
    // A chain of 30; from every third of them, a branch of two that joins it again.
    let mut graph: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for n in 0..30 {
        let before = (n > 0).then(|| format!("main-{}", n - 1));
        graph.entry(format!("main-{n}")).or_default().extend(before);
        if n % 3 == 0 {
            graph.insert(format!("side-{n}"), vec![format!("main-{n}")]);
            graph.insert(format!("left-{n}"), vec![format!("main-{n}"), format!("side-{n}")]);
            if n + 4 < 30 {
                graph.entry(format!("main-{}", n + 4)).or_default().push(format!("left-{n}"));
            }
        }
    }
    assert_eq!(graph.len(), 50);
    for name in graph.keys() {
        scene.push(name, "1", &config_map(name, "one"));
    }
    // Nothing of it can begin before the first one is there.
    for (name, dependencies) in graph.iter().rev().filter(|(name, _)| *name != "main-0") {
        let names: Vec<&str> = dependencies.iter().map(String::as_str).collect();
        scene.create(name, quiet(json!({"dependsOn": depends_on(&names)})));
    }
    for name in graph.keys().filter(|name| *name != "main-0") {
        waits(&scene, name, "Waiting for dependencies: ").await;
    }
    let (mark, begin) = (scene.mark(), Instant::now());
    scene.create("main-0", quiet(json!({})));
    for name in graph.keys() {
        let release = scene.story.wait_ready(name, "1@").await;
        assert_eq!(release["status"].get("dependencies"), None, "{release:#}");
    }
    let took = begin.elapsed();
    let requests = scene.requests(mark);
    println!("50 releases, 31 in a row: {took:?}, {} requests", requests.len());
    for (name, dependencies) in &graph {
        let begun = first_write(&requests, name);
        for dependency in dependencies {
            // It is applied, and that is reported, before the dependent begins.
            let applied = first_write(&requests, dependency);
            let reported = status_before(&requests, begun, dependency);
            assert!(reported.is_some_and(|reported| reported > applied), "{dependency} before {name}");
        }
    }
}

#[story]
async fn a_change_of_what_many_depend_on_costs_each_of_them_one_run() {
    const MANY: usize = 100;
    let scene = Scene::builder("graph-many").await.own_registry(Registry::plain()).start();
    scene.push("db", "1", &(config_map("db", "one") + &unready_deployment("db")));
    scene.create("db", quiet(json!({"wait": true})));
    let names: Vec<String> = (0..MANY).map(|n| format!("app{n}")).collect();
    for name in &names {
        scene.push(name, "1", &config_map(name, "one"));
        scene.create(name, quiet(json!({"dependsOn": depends_on(&["db"])})));
    }
    for name in &names {
        waits(&scene, name, "is not ready yet").await;
    }
    let (mark, asked, before) = (scene.mark(), scene.registry().mark(), runs(&scene));
    make_ready(&scene, "db");
    for name in &names {
        scene.story.wait_ready(name, "1@").await;
    }
    let requests = scene.requests(mark);
    let all = runs(&scene) - before;
    let heads = scene.registry().of_repository(asked, "app7").len();
    let total = requests.len();
    println!(
        "{MANY} dependents: {all} runs, {total} requests to the API server, {heads} to the registry for one"
    );
    // A run that ends with a new status writes it once.
    let written = |request: &&Request| request.writes() && request.resource == "ociartifactreleases";
    let writes: Vec<String> = requests.iter().filter(written).map(|request| request.name.clone()).collect();
    for name in &names {
        let runs = writes.iter().filter(|written| *written == name).count();
        assert_eq!(runs, 1, "{name}: {writes:?}");
    }
    // One run each, and those of what they depend on: its rollout, and one that asks its registry.
    assert!(all as usize <= MANY + 3, "{all} runs");

    // One that is applied is not concerned by the next revision.
    let (mark, before) = (scene.mark(), runs(&scene));
    scene.upgraded("db", "2", &config_map("db", "two")).await;
    let of_theirs = |request: &Request| request.name.starts_with("app") && request.resource != "leases";
    let theirs: Vec<String> =
        scene.requests(mark).iter().filter(|r| of_theirs(r)).map(Request::summary).collect();
    assert_eq!(theirs, Vec::<String>::new());
    assert!(runs(&scene) - before <= 3.0);
}

#[story]
async fn a_long_cycle_is_named_in_each_of_its_releases() {
    let scene = Scene::begin("graph-cycle").await;
    let (names, place) = ((0..20).map(|n| format!("r{n}")).collect::<Vec<_>>(), scene.namespace());
    for (n, name) in names.iter().enumerate() {
        scene.push(name, "1", &config_map(name, "one"));
        let next = names[(n + 1) % names.len()].as_str();
        scene.create(name, quiet(json!({"dependsOn": depends_on(&[next])})));
    }
    for (n, name) in names.iter().enumerate() {
        let said = scene.wait_reason(name, "Stalled", "True", "DependencyCycle").await;
        let way: Vec<String> = (n..n + 16).map(|n| format!("{place}/{}", names[n % 20])).collect();
        let way = format!("{} → (4 more) → {place}/{name};", way.join(" → "));
        assert!(said.contains(&way), "{said}");
        assert_eq!(scene.story.release(name).await.expect("it")["status"].get("dependencies"), None);
    }
    // One that depends on the cycle waits, and is not part of it.
    scene.push("outside", "1", &config_map("outside", "one"));
    scene.create("outside", quiet(json!({"dependsOn": depends_on(&["r3"])})));
    waits(&scene, "outside", "r3 is not ready: DependencyCycle").await;
    // The shortest one.
    scene.push("itself", "1", &config_map("itself", "one"));
    scene.create("itself", quiet(json!({"dependsOn": [{"name": "itself", "namespace": place}]})));
    let said = scene.wait_reason("itself", "Stalled", "True", "DependencyCycle").await;
    assert!(said.contains(&format!("spec.dependsOn is a cycle: {place}/itself → {place}/itself;")), "{said}");

    scene.change("r19", json!({"dependsOn": null}));
    for name in names.iter().map(String::as_str).chain(["outside"]) {
        scene.story.wait_ready(name, "1@").await;
    }
}

#[story]
async fn releases_that_are_deleted_together_go_in_reverse() {
    let scene = Scene::begin("graph-deleted").await;
    let names: Vec<String> = (0..6).map(|n| format!("r{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        let before: Vec<&str> = n.checked_sub(1).map(|before| names[before].as_str()).into_iter().collect();
        let spec = json!({"dependsOn": depends_on(&before), "deletionPolicy": "WaitForTermination"});
        scene.install(name, &config_map(name, "one"), quiet(spec)).await;
    }
    let mark = scene.mark();
    // The command deletes them in the order of their names, which is the wrong one.
    scene.story.kubectl(&["delete", "oar", "--all", "--timeout=60s"], "");
    let deleted: Vec<String> = scene
        .requests(mark)
        .into_iter()
        .filter(|request| request.verb == "delete" && request.name.starts_with('r'))
        .map(|request| request.name)
        .collect();
    assert_eq!(deleted, ["r5", "r4", "r3", "r2", "r1", "r0"]);
}

#[story]
async fn a_dependent_that_is_refused_does_not_hold_the_deletion() {
    let story = Story::begin("graph-holder").await;
    let tenant = story.another_namespace("graph-tenant");
    let scene = Scene::of(story).watching(&[&tenant]).start();
    scene.install("db", &config_map("db", "one"), quiet(json!({}))).await;
    // A release of another namespace that cannot be deleted, and claims to depend on this one.
    let held = config_map("app", "one").replace("}\ndata", ", finalizers: [example.com/hold]}\ndata");
    scene.push("app", "1", &held);
    let mut release = scene.release("app", quiet(json!({"deletionPolicy": "WaitForTermination"})));
    release["metadata"]["namespace"] = json!(tenant);
    let bed = scene.story.bed();
    bed.kubectl(&["create", "-f", "-"], &release.to_string());
    let in_tenant = |arguments: &[&str]| {
        bed.kubectl(&[&["-n", tenant.as_str()], arguments].concat(), "");
    };
    let is = |reason: &str| {
        let reason = format!("--for=jsonpath={{.status.conditions[?(@.type==\"Ready\")].reason}}={reason}");
        in_tenant(&["wait", "oar/app", &reason, "--timeout=60s"]);
    };
    is("ReconciliationSucceeded");
    let on = json!({"spec": {"dependsOn": [{"name": "db", "namespace": scene.namespace()}]}}).to_string();
    in_tenant(&["patch", "oar", "app", "--type=merge", "-p", &on]);
    is("DependencyNotAllowed");
    in_tenant(&["delete", "oar", "app", "--wait=false"]);
    is("TerminationPending");
    scene.story.kubectl(&["delete", "oar", "db", "--timeout=60s"], "");
    in_tenant(&["patch", "configmap", "app", "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#]);
    in_tenant(&["wait", "oar/app", "--for=delete", "--timeout=60s"]);
}

/// Changes the data of a ConfigMap a number of times; the release does not see all of them.
fn change_often(scene: &Scene<'_>, name: &str, times: usize) {
    for n in 0..times {
        scene.patch("v1", "configmaps", name, json!({"data": {"n": n.to_string()}}));
    }
}

#[story]
async fn a_dependency_that_changes_all_the_time_costs_no_runs() {
    let scene = Scene::builder("graph-hot").await.own_registry(Registry::plain()).start();
    scene.story.apply(&config_map("signal", "wait"));
    scene.push("app", "1", &config_map("app", "one"));
    let on =
        json!([{"name": "signal", "apiVersion": "v1", "kind": "ConfigMap", "ready": "dep.data.key == 'go'"}]);
    scene.create("app", quiet(json!({"dependsOn": on})));
    waits(&scene, "app", "its expression is false").await;
    let (before, mark, asked) = (runs(&scene), scene.mark(), scene.registry().mark());
    change_often(&scene, "signal", 50);
    scene.patch("v1", "configmaps", "signal", json!({"data": {"key": "go"}}));
    scene.story.wait_ready("app", "1@").await;
    let of_release = |request: &&Request| request.resource == "ociartifactreleases" && request.writes();
    assert_eq!(scene.requests(mark).iter().filter(of_release).count(), 1, "one status");
    assert!(runs(&scene) - before <= 2.0, "{}", runs(&scene) - before);
    let asked = scene.registry().of_repository(asked, "app").len();
    println!("51 changes: {} runs, {asked} requests to the registry", runs(&scene) - before);

    // One whose words change each time.
    scene.push("web", "1", &config_map("web", "one"));
    let ready = "int(dep.data.n) > 100 || dep.data[dep.data.n] == 'x'";
    let on = json!([{"name": "signal", "apiVersion": "v1", "kind": "ConfigMap", "ready": ready}]);
    scene.create("web", quiet(json!({"dependsOn": on})));
    waits(&scene, "web", "its expression has no answer").await;
    let before = runs(&scene);
    change_often(&scene, "signal", 50);
    scene.patch("v1", "configmaps", "signal", json!({"data": {"n": "101"}}));
    scene.story.wait_ready("web", "1@").await;
    assert!(runs(&scene) - before <= 6.0, "{}", runs(&scene) - before);
}

const WIDGETS: &str = "
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

#[story]
async fn the_expressions_of_a_release_judge_what_it_depends_on() {
    let scene = Scene::begin("graph-rules").await;
    let (group, place) = (scene.group(), scene.namespace());
    scene.story.apply(&widgets(&group, WIDGETS));
    let definition = format!("crd/widgets.{group}");
    scene.story.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &definition], "");
    let widget = |phase: &str| {
        let text = format!(
            "apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nstatus: {{phase: {phase}}}\n"
        );
        scene.story.apply(&text);
    };
    widget("Odd");
    scene.push("app", "1", &config_map("app", "one"));
    let api = format!("{group}/v1");
    let rules: Value = json!([{"apiVersion": api, "kind": "Widget",
        "failed": "status.phase == 'Down'", "current": "status.phase == 'Up'"}]);
    let on = json!([{"name": "w", "apiVersion": api, "kind": "Widget"}]);
    scene.create("app", quiet(json!({"healthCheckExprs": rules, "dependsOn": on})));
    waits(
        &scene,
        "app",
        &format!("Widget/{place}/w is not ready: current is not true: status.phase == 'Up'"),
    )
    .await;
    widget("Down");
    scene.wait_message("app", "False", "w has failed: failed is true: status.phase == 'Down'").await;
    widget("Up");
    scene.story.wait_ready("app", "1@").await;
    scene.story.kubectl(&["delete", &definition, "--wait=false"], "");
}
