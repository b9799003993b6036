//! The order between releases: what a new revision waits for, and what is deleted first.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, story};

use crate::scene::{CONFIG_MAPS, Scene, account, config_map, message, role, unready_deployment, widgets};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::Both;

/// No retry and no interval ends a wait: what a story sees comes from watches.
pub fn quiet(spec: Value) -> Value {
    let mut all = json!({"interval": "24h", "retryInterval": "1h"});
    for (key, value) in spec.as_object().expect("a spec") {
        all[key] = value.clone();
    }
    all
}

pub fn depends_on(names: &[&str]) -> Value {
    json!(names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>())
}

pub fn make_ready(scene: &Scene<'_>, name: &str) {
    scene.story.kubectl(&["label", "pods", "-l", &format!("app={name}"), "testbed.supercargo.dev/pod-"], "");
}

pub async fn waits(scene: &Scene<'_>, release: &str, says: &str) -> Value {
    let what = format!("{release} waits for dependencies and says {says:?}");
    scene
        .story
        .wait_for(&what, async || {
            let release = scene.story.release(release).await?;
            let ready = condition(&release, "Ready")?;
            (ready.reason == "DependencyNotReady" && ready.message.contains(says)).then_some(release)
        })
        .await
}

/// Since when Ready has its status.
fn since(release: &Value) -> String {
    let all = release["status"]["conditions"].as_array().expect("conditions");
    let ready = all.iter().find(|condition| condition["type"] == "Ready").expect("Ready");
    ready["lastTransitionTime"].as_str().expect("a time").to_owned()
}

fn seconds(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().expect("a time").as_second()
}

#[story]
async fn a_first_apply_waits_for_its_dependency_and_goes_on_at_once() {
    let scene = Scene::begin("depends-first").await;
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", quiet(json!({"dependsOn": depends_on(&["db"])})));
    let db = format!("OCIArtifactRelease/{}/db", scene.namespace());
    let waiting = waits(&scene, "app", &format!("Waiting for dependencies: {db} does not exist")).await;
    let listed = &waiting["status"]["dependencies"];
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["name"], &listed[0]["message"]),
        (&json!("OCIArtifactRelease"), &json!("db"), &json!("does not exist"))
    );
    let began = listed[0]["since"].as_str().expect("a time").to_owned();
    assert!(condition(&waiting, "Stalled").is_none(), "it is no failure");

    scene.push("db", "1", &(config_map("db", "one") + &unready_deployment("db")));
    scene.create("db", quiet(json!({"wait": true})));
    let waiting = scene.wait_message("app", "False", &format!("{db} is not ready yet")).await;
    assert_eq!(waiting["status"]["dependencies"][0]["since"], began.as_str(), "it waits since then");
    assert!(scene.config_map("app").await.is_none(), "nothing is applied before");
    make_ready(&scene, "db");
    let db = scene.story.wait_ready("db", "1@").await;
    let app = scene.story.wait_ready("app", "1@").await;
    assert!(seconds(&since(&app)) - seconds(&since(&db)) <= 2, "{app} {db}");
    assert_eq!(app["status"].get("dependencies"), None);
}

#[story]
async fn a_new_revision_of_both_is_never_applied_on_the_verdict_of_the_day_before() {
    let scene = Scene::begin("depends-fresh").await;
    scene.install("db", &config_map("db", "one"), quiet(json!({"wait": true, "ref": {"tag": "1"}}))).await;
    scene.install("app", &config_map("app", "one"), quiet(json!({"dependsOn": depends_on(&["db"])}))).await;

    // The tags move. Nobody asks the dependency, whose interval is a day.
    scene.push("db", "1", &(config_map("db", "two") + &unready_deployment("web")));
    scene.push("app", "1", &config_map("app", "two"));
    scene.ask("app", "now");
    waits(&scene, "app", "OCIArtifactRelease/").await;
    scene.wait_data("db", "two").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
    // Its own objects are still looked after.
    scene.edit("app", "by hand");
    scene.wait_data("app", "one").await;
    make_ready(&scene, "web");
    scene.wait_data("app", "two").await;
    let db = scene.story.wait_ready("db", "1@").await;
    assert_eq!(db["status"]["lastAttemptedRevision"], db["status"]["lastAppliedRevision"]);

    // The specs change together.
    scene.push("db", "2", &(config_map("db", "three") + &unready_deployment("next")));
    scene.push("app", "2", &config_map("app", "three"));
    scene.change("db", json!({"ref": {"tag": "2"}}));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    waits(&scene, "app", "OCIArtifactRelease/").await;
    scene.wait_data("db", "three").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("two"));
    make_ready(&scene, "next");
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("three"));

    // What is applied does not wait again.
    scene.story.kubectl(&["label", "pods", "-l", "app=next", "testbed.supercargo.dev/pod=failed"], "");
    scene.change("db", json!({"suspend": true}));
    scene.edit("app", "by hand");
    scene.wait_data("app", "three").await;
    scene.story.wait_ready("app", "2@").await;
}

#[story]
async fn any_kind_can_be_waited_for_and_a_watch_ends_the_wait() {
    let scene = Scene::begin("depends-kinds").await;
    let group = format!("{}.example.com", scene.namespace());
    let crd = format!("widgets.{group}");
    let job = "apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  suspend: false
  template:
    metadata: {labels: {app: once, testbed.supercargo.dev/pod: failed}}
    spec: {restartPolicy: OnFailure, containers: [{name: main, image: main}]}
";
    scene.story.apply(&unready_deployment("web"));
    scene.story.apply(job);
    for (name, dependency) in [
        ("on-web", json!({"name": "web", "apiVersion": "apps/v1", "kind": "Deployment"})),
        ("on-map", json!({"name": "later", "apiVersion": "v1", "kind": "ConfigMap"})),
        (
            "on-crd",
            json!({"name": crd, "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}),
        ),
    ] {
        scene.push(name, "1", &config_map(name, "one"));
        scene.create(name, quiet(json!({"dependsOn": [dependency]})));
    }
    let place = scene.namespace();
    waits(&scene, "on-web", &format!("Deployment/{place}/web is not ready yet")).await;
    waits(&scene, "on-map", &format!("ConfigMap/{place}/later does not exist")).await;
    waits(&scene, "on-crd", &format!("CustomResourceDefinition/{crd} does not exist")).await;
    let within = async |release: &str, begin: Instant| {
        scene.story.wait_ready(release, "1@").await;
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(5), "{release} took {took:?}");
    };
    let begin = Instant::now();
    scene.story.apply(&config_map("later", "one"));
    within("on-map", begin).await;
    let begin = Instant::now();
    let versions =
        "\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n";
    scene.story.apply(&widgets(&group, versions));
    within("on-crd", begin).await;
    make_ready(&scene, "web");
    scene.story.wait_ready("on-web", "1@").await;
}

#[story]
async fn an_expression_decides_instead_of_the_rules() {
    let scene = Scene::begin("depends-ready").await;
    let place = scene.namespace();
    // The release names in a label what it wants.
    let ready = "dep.data.key == 'go' && self.spec.interval == '24h'";
    let on = json!([{"name": "signal", "apiVersion": "v1", "kind": "ConfigMap", "ready": ready}]);
    scene.push("app", "1", &config_map("app", "one"));
    scene.story.apply(&config_map("signal", "wait"));
    scene.create("app", quiet(json!({"dependsOn": on})));
    waits(&scene, "app", &format!("ConfigMap/{place}/signal is not ready: its expression is false")).await;
    scene.patch("v1", "configmaps", "signal", json!({"data": {"key": null, "other": "x"}}));
    let says = format!(
        "ConfigMap/{place}/signal is not ready: its expression has no answer: there is no dep.data.key"
    );
    scene.wait_message("app", "False", &says).await;
    let begin = Instant::now();
    scene.patch("v1", "configmaps", "signal", json!({"data": {"key": "go"}}));
    scene.story.wait_ready("app", "1@").await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());

    // One about the labels of the release itself.
    scene.push("labelled", "1", &config_map("labelled", "one"));
    let ready = "dep.data.key == self.metadata.labels['wants']";
    let on = json!([{"name": "signal", "apiVersion": "v1", "kind": "ConfigMap", "ready": ready}]);
    scene.create("labelled", quiet(json!({"dependsOn": on})));
    waits(&scene, "labelled", "its expression has no answer: there is no self.metadata.labels").await;
    scene.story.kubectl(&["label", "oar", "labelled", "wants=go"], "");
    scene.story.wait_ready("labelled", "1@").await;

    // One about a release: the result of its last run, even if its objects are not ready.
    scene.push("db", "1", &(config_map("db", "one") + &unready_deployment("db")));
    let ready = "dep.status.lastAttemptedRevision.startsWith('1@')";
    scene.push("web", "1", &config_map("web", "one"));
    scene.create("web", quiet(json!({"dependsOn": [{"name": "db", "ready": ready}]})));
    waits(&scene, "web", &format!("OCIArtifactRelease/{place}/db does not exist")).await;
    scene.create("db", quiet(json!({"wait": true, "timeout": "2s"})));
    scene.story.wait_ready("web", "1@").await;
    scene.wait_reason("db", "Ready", "False", "HealthTimeout").await;

    // One that cannot be parsed.
    scene.push("wrong", "1", &config_map("wrong", "one"));
    for (ready, says) in [
        ("dep.status.phase ==", "spec.dependsOn[0].ready: "),
        ("object.status.up", "there is no variable object; the variables are dep and self"),
    ] {
        let on = json!([{"name": "signal", "apiVersion": "v1", "kind": "ConfigMap", "ready": ready}]);
        scene.create("wrong", quiet(json!({"dependsOn": on})));
        let said = scene.wait_reason("wrong", "Stalled", "True", "InvalidSpec").await;
        assert!(said.contains(says), "{said}");
        scene.story.kubectl(&["delete", "oar", "wrong", "--timeout=60s"], "");
    }
}

#[story]
async fn what_cannot_be_known_is_said_in_words() {
    let scene = Scene::begin("depends-words").await;
    let group = format!("{}.example.com", scene.namespace());
    let widget = json!([{"name": "w", "apiVersion": format!("{group}/v1"), "kind": "Widget"}]);
    scene.push("kind", "1", &config_map("kind", "one"));
    scene.create("kind", quiet(json!({"dependsOn": widget})));
    waits(&scene, "kind", &format!("is of a kind that the API server does not serve: Widget.{group}")).await;
    // Discovery shows that it is served now, and the watch that it exists.
    let versions =
        "\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}\n";
    scene.story.apply(&widgets(&group, versions));
    scene.wait_message("kind", "False", &format!("Widget/{}/w does not exist", scene.namespace())).await;
    scene.story.apply(&format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\n"));
    scene.story.wait_ready("kind", "1@").await;

    scene.story.apply(&(account("narrow") + &role("narrow", scene.namespace(), CONFIG_MAPS)));
    let secret = json!([{"name": "s", "apiVersion": "v1", "kind": "Secret"}]);
    scene.push("denied", "1", &config_map("denied", "one"));
    scene.create("denied", quiet(json!({"serviceAccountName": "narrow", "dependsOn": secret})));
    let says = format!(
        "Secret/{}/s cannot be read; allow the release's account to get, list and watch it: ",
        scene.namespace()
    );
    waits(&scene, "denied", &says).await;
    let secrets = "[{apiGroups: [''], resources: [configmaps, secrets], verbs: [get, list, watch, create, patch, delete]}]";
    scene.story.apply(&role("narrow", scene.namespace(), secrets));
    scene.wait_message("denied", "False", &format!("Secret/{}/s does not exist", scene.namespace())).await;
    scene.story.kubectl(&["create", "secret", "generic", "s"], "");
    scene.story.wait_ready("denied", "1@").await;

    // A kind that is removed while its object is waited for, and returns.
    let widget = json!([{"name": "again", "apiVersion": format!("{group}/v1"), "kind": "Widget"}]);
    scene.push("back", "1", &config_map("back", "one"));
    scene.create("back", quiet(json!({"dependsOn": widget})));
    waits(&scene, "back", "again does not exist").await;
    scene.story.kubectl(&["delete", &format!("crd/widgets.{group}"), "--timeout=60s"], "");
    scene.wait_message("back", "False", "is of a kind that the API server does not serve").await;
    scene.wait_message("kind", "True", &format!("dependency Widget/{}/w ", scene.namespace())).await;
    scene.story.apply(&widgets(&group, versions));
    scene.wait_message("back", "False", "again does not exist").await;
    scene.story.apply(&format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: again}}\n"));
    scene.story.wait_ready("back", "1@").await;
}

#[story]
async fn another_namespace_is_for_the_administrator_to_allow() {
    let scene = Scene::begin("depends-refused").await;
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", quiet(json!({"dependsOn": [{"name": "db", "namespace": "elsewhere"}]})));
    let said = scene.wait_reason("app", "Ready", "False", "DependencyNotAllowed").await;
    assert!(said.contains("OCIArtifactRelease/elsewhere/db is in another namespace"), "{said}");
    assert!(scene.config_map("app").await.is_none());

    let scene = Scene::builder("depends-allowed").await;
    let scene = scene.argument("--allow-cross-namespace-dependencies").start();
    // A namespace that this operator does not watch: the account has to be able to read it.
    let other = scene.story.another_namespace("depends-other");
    scene.push("app", "1", &config_map("app", "one"));
    let place = json!([{"name": "later", "namespace": other, "apiVersion": "v1", "kind": "ConfigMap"}]);
    scene.create("app", quiet(json!({"dependsOn": place})));
    scene.story.wait_condition("app", "Ready", "False", "DependencyNotReady").await;
    // A command does not know what the controller is allowed, and shows what will be applied.
    let preview = Shell::admin(&scene.story).run(&["diff", "release", "app"]);
    assert!(preview.out.contains("ConfigMap"), "{preview:?}");
    let namespace = scene.namespace();
    let binding = format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: reader, namespace: {other}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}\n\
         subjects: [{{kind: ServiceAccount, name: default, namespace: {namespace}}}]\n---\n"
    );
    scene.story.bed().kubectl(&["apply", "--server-side", "-f", "-"], &binding);
    let made = config_map("later", "one").replace("name: later", &format!("name: later, namespace: {other}"));
    scene.story.bed().kubectl(&["apply", "--server-side", "-f", "-"], &made);
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn a_cycle_is_named_in_each_of_its_releases_until_it_is_broken() {
    let scene = Scene::begin("depends-cycle").await;
    for name in ["a", "b", "c"] {
        scene.push(name, "1", &config_map(name, "one"));
    }
    scene.create("a", quiet(json!({"dependsOn": depends_on(&["b"])})));
    scene.create("b", quiet(json!({"dependsOn": depends_on(&["c"])})));
    waits(&scene, "a", "").await;
    scene.create("c", quiet(json!({"dependsOn": depends_on(&["a"])})));
    for (name, rest) in [("a", ["b", "c"]), ("b", ["c", "a"]), ("c", ["a", "b"])] {
        let place = scene.namespace();
        let way: Vec<String> =
            [name, rest[0], rest[1], name].iter().map(|name| format!("{place}/{name}")).collect();
        let said = scene.wait_reason(name, "Ready", "False", "DependencyCycle").await;
        assert!(said.contains(&format!("spec.dependsOn is a cycle: {};", way.join(" → "))), "{said}");
        scene.wait_reason(name, "Stalled", "True", "DependencyCycle").await;
    }
    scene.change("c", json!({"dependsOn": null}));
    for name in ["c", "b", "a"] {
        scene.story.wait_ready(name, "1@").await;
    }
}

#[story]
async fn a_wait_goes_on_after_a_restart_and_for_an_object_that_is_made_anew() {
    let mut scene = Scene::begin("depends-restart").await;
    scene.push("db", "1", &(config_map("db", "one") + &unready_deployment("db")));
    scene.create("db", quiet(json!({"wait": true})));
    scene.push("app", "1", &config_map("app", "one"));
    let on = json!([{"name": "db"}, {"name": "settings", "apiVersion": "v1", "kind": "ConfigMap"}]);
    scene.create("app", quiet(json!({"dependsOn": on})));
    let waiting = waits(&scene, "app", "db is not ready yet").await;
    let began = waiting["status"]["dependencies"][0]["since"].clone();
    // While the operator is away, one dependency is made.
    scene
        .replace_operator(async |story| {
            story.apply(&config_map("settings", "one"));
        })
        .await;
    let settled = async || {
        let app = scene.story.release("app").await?;
        let listed = app["status"]["dependencies"].as_array()?.clone();
        (listed.len() == 1 && !message(&app, "Ready").contains("settings")).then_some(listed)
    };
    let listed = scene.story.wait_for("only db is waited for", settled).await;
    assert_eq!(listed[0]["since"], began, "it waits since then");
    // The other one is deleted and made anew, with the same name: the old verdict is not its own.
    scene.story.kubectl(&["delete", "oar", "db", "--timeout=60s"], "");
    scene.wait_message("app", "False", "db does not exist").await;
    scene.create("db", quiet(json!({"suspend": true})));
    scene.wait_message("app", "False", "db is suspended and not ready").await;
    assert!(scene.config_map("app").await.is_none());
    scene.change("db", json!({"suspend": null}));
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn of_two_that_are_deleted_the_dependent_goes_first() {
    let scene = Scene::begin("depends-deleted").await;
    let held = config_map("app", "one").replace("}\ndata", ", finalizers: [example.com/hold]}\ndata");
    scene.install("db", &config_map("db", "one"), quiet(json!({}))).await;
    let spec = json!({"dependsOn": depends_on(&["db"]), "deletionPolicy": "WaitForTermination"});
    scene.install("app", &held, quiet(spec)).await;
    // The dependency is deleted before its dependent is.
    scene.story.kubectl(&["delete", "oar", "db", "--wait=false"], "");
    scene.story.kubectl(&["delete", "oar", "app", "--wait=false"], "");
    let said = scene.wait_reason("db", "Ready", "False", "DependentsDeleting").await;
    let app = format!("{}/app", scene.namespace());
    scene.wait_reason("app", "Ready", "False", "TerminationPending").await;
    assert!(said.ends_with(&app), "{said}");
    scene
        .wait_message("db", "False", "Waiting for releases that depend on this one to be deleted first")
        .await;
    assert_eq!(scene.data("db").await.as_deref(), Some("one"));
    scene.patch("v1", "configmaps", "app", json!({"metadata": {"finalizers": null}}));
    for name in ["app", "db"] {
        scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", name).await;
    }
    assert!(scene.config_map("db").await.is_none());
}

#[story]
async fn releases_of_a_cycle_do_not_wait_for_each_other_to_be_deleted() {
    let scene = Scene::begin("depends-circle").await;
    scene.install("a", &config_map("a", "one"), quiet(json!({}))).await;
    scene.install("b", &config_map("b", "one"), quiet(json!({"dependsOn": depends_on(&["a"])}))).await;
    scene.change("a", json!({"dependsOn": depends_on(&["b"])}));
    scene.wait_reason("b", "Ready", "False", "DependencyCycle").await;
    scene.story.kubectl(&["delete", "oar", "a", "b", "--timeout=60s"], "");
    assert!(scene.config_map("a").await.is_none() && scene.config_map("b").await.is_none());
}

#[story]
async fn a_release_that_loses_its_dependency_goes_on_and_says_so() {
    let scene = Scene::begin("depends-lost").await;
    scene.install("db", &config_map("db", "one"), quiet(json!({}))).await;
    scene.story.apply(&config_map("settings", "one"));
    let on = json!([{"name": "db"}, {"name": "settings", "apiVersion": "v1", "kind": "ConfigMap"}]);
    scene.install("app", &config_map("app", "one"), quiet(json!({"dependsOn": on}))).await;
    scene.story.kubectl(&["delete", "oar", "db", "--timeout=60s"], "");
    let db = format!("dependency OCIArtifactRelease/{}/db does not exist", scene.namespace());
    let lost = scene.wait_message("app", "True", &db).await;
    assert_eq!(lost["status"]["dependencies"][0]["name"], "db");
    scene.wait_event("app", "ReconciliationSucceeded", &[&db]).await;
    scene.story.kubectl(&["delete", "configmap", "settings"], "");
    let settings = format!("ConfigMap/{}/settings does not exist", scene.namespace());
    scene.wait_message("app", "True", &settings).await;
    scene.edit("app", "by hand");
    scene.wait_data("app", "one").await;
    // They return.
    scene.create("db", quiet(json!({})));
    scene.story.apply(&config_map("settings", "one"));
    let found = async || {
        let app = scene.story.release("app").await?;
        (app["status"].get("dependencies").is_none() && !message(&app, "Ready").contains("dependency"))
            .then_some(())
    };
    scene.story.wait_for("nothing is missed any more", found).await;
}

#[story]
async fn a_bad_dependency_is_refused_by_the_api_server() {
    let scene = Scene::begin("depends-bad").await;
    for (dependency, says) in [
        (json!({"name": "x"}), "dependsOn must not name the release itself"),
        (json!({"name": "y", "kind": "Deployment"}), "dependsOn: kind needs apiVersion"),
        (json!({"name": "y", "apiVersion": "apps/v1"}), "dependsOn: apiVersion needs kind"),
        (json!({"name": "a/b"}), "dependsOn: name must be the name of an object"),
        (json!({"name": "y", "namespace": "A"}), "dependsOn: namespace must be the name of a namespace"),
        (
            json!({"name": "y", "namespace": "a", "apiVersion": "v1", "kind": "Namespace"}),
            "dependsOn: objects of this kind have no namespace",
        ),
        (
            json!({"name": "y", "apiVersion": "a/b/c", "kind": "D"}),
            "dependsOn: apiVersion must be VERSION or GROUP/VERSION",
        ),
        (json!({"name": ""}), "should be at least 1 chars long"),
        (json!({"name": "y", "ready": "a".repeat(2049)}), "Too long"),
    ] {
        let release = scene.release("x", json!({"dependsOn": [dependency]}));
        let output =
            scene.story.bed().try_kubectl(&["create", "--dry-run=server", "-f", "-"], &release.to_string());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(says), "{release}: {said}");
    }
    let many: Vec<Value> = (0..65).map(|n| json!({"name": format!("r{n}")})).collect();
    let release = scene.release("x", json!({"dependsOn": many}));
    let output =
        scene.story.bed().try_kubectl(&["create", "--dry-run=server", "-f", "-"], &release.to_string());
    assert!(!output.status.success());
    // What only parsing finds.
    let twice = json!([{"name": "y"}, {"name": "y"}]);
    scene.push("twice", "1", &config_map("twice", "one"));
    scene.create("twice", quiet(json!({"dependsOn": twice})));
    let said = scene.wait_reason("twice", "Stalled", "True", "InvalidSpec").await;
    assert!(said.contains("spec.dependsOn[1]: names OCIArtifactRelease/"), "{said}");
}
