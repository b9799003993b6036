//! Variables in the objects of an artifact: from the spec, and from ConfigMaps and Secrets that are
//! followed by watches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo_testbed::{Profile, Profiles, Registry, Story, story};

use crate::delivery::plan::waits;
use crate::dependencies::quiet;
use crate::person::Person;
use crate::quiet::{api_requests, wait_asked};
use crate::scene::{CONFIG_MAPS, Scene, account, message, role, text};
use crate::verdicts::{held, pods_say, waits as waiting_container};

const PROFILES: Profiles = Profiles::Both;

/// An object whose name, values and types come from variables, and two that have other texts with
/// dollars and braces.
const WEB: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: \"${NAME}\"}
spec:
  replicas: ${REPLICAS}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: \"registry.example/web:${TAG:=1.0.0}\", env: [{name: TOKEN, value: \"${TOKEN}\"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data:
  key: one
  host: https://${HOST}/
  nginx.conf: |
    proxy_set_header Host $host;
    set $upstream \"${UPSTREAM}\";
  run.sh: |
    echo \"${1:-nothing} ${HOME} $$ $(date)\"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {supercargo.dev/substitute: disabled}}
data: {host: \"${HOST}\"}
---
";

fn values(name: &str, kind: &str, data: &Value) -> Value {
    let field = if kind == "Secret" { "stringData" } else { "data" };
    json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, (field): data})
}

fn set(scene: &Scene<'_>, plural: &str, name: &str, data: &Value) {
    let field = if plural == "secrets" { "stringData" } else { "data" };
    scene.patch("v1", plural, name, json!({(field): data}));
}

/// With the ConfigMap `vars` and the Secret `tokens`.
fn from_both(more: Value) -> Value {
    let mut spec = json!({"substituteFrom": [
        {"kind": "ConfigMap", "name": "vars"}, {"kind": "Secret", "name": "tokens"},
    ]});
    for (key, value) in more.as_object().expect("fields") {
        spec[key] = value.clone();
    }
    json!({"postBuild": spec})
}

fn with(mut spec: Value, more: Value) -> Value {
    for (key, value) in more.as_object().expect("fields") {
        spec[key] = value.clone();
    }
    spec
}

fn token(deployment: &Value) -> String {
    text(deployment, "/spec/template/spec/containers/0/env/0/value")
}

#[story]
async fn variables_follow_their_config_map_and_secret_by_watch() {
    let mut scene = Scene::begin("substitution").await;
    let vars = json!({"HOST": "a.example", "REPLICAS": "2", "some-file.txt": "no variable"});
    scene.story.apply(&values("vars", "ConfigMap", &vars).to_string());
    scene.story.apply(&values("tokens", "Secret", &json!({"TOKEN": "the-first-token"})).to_string());
    let spec = from_both(json!({"substitute": {"NAME": "web"}, "types": {"REPLICAS": "Number"}}));
    scene.install("app", WEB, quiet(spec)).await;
    let web = scene.story.object("apps/v1", "deployments", "web").await.expect("its name is from a variable");
    assert_eq!(web["spec"]["replicas"], 2);
    let image = text(&web, "/spec/template/spec/containers/0/image");
    assert_eq!(
        (image.as_str(), token(&web).as_str()),
        ("registry.example/web:${TAG:=1.0.0}", "the-first-token")
    );
    assert_eq!(
        text(&web, "/metadata/annotations/supercargo.dev~1sensitive-paths"),
        "/spec/template/spec/containers/*/env/*/value"
    );
    let settings = scene.config_map("settings").await.expect("it is applied");
    assert_eq!(text(&settings, "/data/host"), "https://a.example/");
    let conf = "proxy_set_header Host $host;\nset $upstream \"${UPSTREAM}\";\n";
    assert_eq!(text(&settings, "/data/nginx.conf"), conf);
    assert_eq!(text(&settings, "/data/run.sh"), "echo \"${1:-nothing} ${HOME} $$ $(date)\"\n");
    let kept = scene.config_map("kept").await.expect("it is applied");
    assert_eq!(text(&kept, "/data/host"), "${HOST}");

    // No run is due for hours: the watches wake the release.
    set(&scene, "configmaps", "vars", &json!({"HOST": "b.example", "REPLICAS": "3"}));
    scene.wait_field("v1", "configmaps", "settings", "/data/host", &json!("https://b.example/")).await;
    scene.wait_field("apps/v1", "deployments", "web", "/spec/replicas", &json!(3)).await;
    set(&scene, "secrets", "tokens", &json!({"TOKEN": "the-second-token"}));
    let value = "/spec/template/spec/containers/0/env/0/value";
    scene.wait_field("apps/v1", "deployments", "web", value, &json!("the-second-token")).await;
    scene.story.wait_ready("app", "1@").await;

    // Drift is corrected to what the variables say now.
    scene.patch("v1", "configmaps", "settings", json!({"data": {"host": "edited"}}));
    scene.wait_field("v1", "configmaps", "settings", "/data/host", &json!("https://b.example/")).await;

    // The spec wins over all of them, and what is not named any more does not count.
    scene.change("app", json!({"postBuild": {"substitute": {"HOST": "c.example"}}}));
    scene.wait_field("v1", "configmaps", "settings", "/data/host", &json!("https://c.example/")).await;
    scene.story.wait_ready("app", "1@").await;

    // Another process finds everything as it has to be.
    let mark = scene.mark();
    scene.restart();
    scene.reconcile("app", "after-restart").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
}

#[story]
async fn mode_flux_does_what_flux_does() {
    let scene = Scene::begin("substitution-flux").await;
    let vars = json!({"HOST": "a.\nexample\n", "N": "7", "EMPTY": ""});
    scene.story.apply(&values("vars", "ConfigMap", &vars).to_string());
    let object = "apiVersion: v1
kind: ConfigMap
metadata: {name: \"${HOST%.*}-settings\"}
data:
  key: one
  host: ${HOST^^}
  length: \"x${#HOST}\"
  default: ${MISSING:=of ${HOST}}
  empty: a${EMPTY:-b}c
  quoted: \"'${N}'\"
  script: echo $${HOME} $1
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {script: \"${MISSING}\"}
";
    let spec =
        json!({"postBuild": {"mode": "Flux", "substituteFrom": [{"kind": "ConfigMap", "name": "vars"}]}});
    scene.install("app", object, spec).await;
    let found = scene.config_map("a-settings").await.expect("its name is from a variable");
    let expected = json!({
        "key": "one", "host": "A.EXAMPLE", "length": "x9", "default": "of a.example", "empty": "abc",
        "quoted": "'7'", "script": "echo ${HOME} $1",
    });
    assert_eq!(found["data"], expected);
    assert_eq!(scene.config_map("kept").await.expect("it is kept")["data"]["script"], "${MISSING}");

    // What is not declared is an error, as in Flux now; nothing is written.
    scene.upgrade("app", "2", &object.replace("of ${HOST}", "of ${HSOT}"));
    let failed = scene.story.wait_condition("app", "Ready", "False", "SubstitutionFailed").await;
    let said = "cannot replace variables: ConfigMap/${HOST%.*}-settings (all.yaml: document 1, line 8): data.default: \
                ${HSOT} is not declared; did you mean HOST? (declare it, or give it a default)";
    assert!(message(&failed, "Ready").contains(said), "{failed:#}");
    assert!(message(&failed, "Stalled").contains("HSOT"), "{failed:#}");
    let found = scene.config_map("a-settings").await.expect("the applied revision stays");
    assert_eq!(found["data"]["default"], "of a.example");
    // Once it is declared, the release goes on by itself.
    set(&scene, "configmaps", "vars", &json!({"HSOT": "there"}));
    scene.story.wait_ready("app", "2@").await;
    scene.wait_field("v1", "configmaps", "a-settings", "/data/default", &json!("of there")).await;
}

#[story]
async fn what_is_missing_or_forbidden_is_named_and_the_applied_revision_stays() {
    let scene = Scene::of(Story::begin("substitution-missing").await).profile(Profile::ClusterAdmin).start();
    let place = scene.namespace();
    scene.story.apply(&(account("weak") + &role("weak", place, CONFIG_MAPS)));
    let object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {key: \"${VALUE}\"}}";
    scene.push("app", "1", object);
    let from =
        |kind: &str, name: &str, optional: bool| json!({"kind": kind, "name": name, "optional": optional});
    let spec = |from: Value| {
        quiet(json!({
            "serviceAccountName": "weak",
            "postBuild": {"strict": true, "substituteFrom": from},
        }))
    };
    scene.create("app", spec(json!([from("ConfigMap", "vars", false)])));
    let failed = scene.story.wait_condition("app", "Ready", "False", "ConfigMapNotFound").await;
    let said = format!("ConfigMap/{place}/vars, named by spec.postBuild.substituteFrom[0], does not exist");
    assert!(message(&failed, "Ready").contains(&said), "{failed:#}");
    assert!(scene.config_map("settings").await.is_none());
    scene.story.apply(&values("vars", "ConfigMap", &json!({"VALUE": "one"})).to_string());
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("settings").await.as_deref(), Some("one"));

    // A Secret that the account may not read, although the operator could.
    scene.story.apply(&values("tokens", "Secret", &json!({"VALUE": "hidden-value"})).to_string());
    scene.change("app", spec(json!([from("ConfigMap", "vars", false), from("Secret", "tokens", true)])));
    let failed = scene.story.wait_condition("app", "Ready", "False", "AccessDenied").await;
    let said = format!("Secret/{place}/tokens cannot be read: ");
    let hint = format!("; allow ServiceAccount/{place}/weak to get it");
    let ready = message(&failed, "Ready");
    assert!(ready.contains(&said) && ready.contains(&hint), "{ready}");
    assert_eq!(scene.data("settings").await.as_deref(), Some("one"));

    // An optional one that does not exist is none.
    scene.change("app", spec(json!([from("ConfigMap", "vars", false), from("ConfigMap", "none", true)])));
    scene.story.wait_ready("app", "1@").await;
    // When it appears, it counts.
    scene.story.apply(&values("none", "ConfigMap", &json!({"VALUE": "two"})).to_string());
    scene.wait_data("settings", "two").await;
    scene.story.kubectl(&["delete", "configmap", "none"], "");
    scene.wait_data("settings", "one").await;
    scene.story.wait_ready("app", "1@").await;

    // What is deleted while it is needed is missing; what is applied stays.
    scene.story.kubectl(&["delete", "configmap", "vars"], "");
    scene.story.wait_condition("app", "Ready", "False", "ConfigMapNotFound").await;
    assert_eq!(scene.data("settings").await.as_deref(), Some("one"));
    // Its drift is corrected with the last values.
    scene.patch("v1", "configmaps", "settings", json!({"data": {"key": "by hand"}}));
    scene.wait_data("settings", "one").await;
    scene.story.wait_condition("app", "Ready", "False", "ConfigMapNotFound").await;
    let mark = scene.mark();
    scene.story.apply(&values("vars", "ConfigMap", &json!({"VALUE": "one"})).to_string());
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new(), "the values are the same");

    // A name is never that of another namespace.
    let foreign = scene.release(
        "other",
        json!({"postBuild": {"substituteFrom": [
        {"kind": "Secret", "name": "kube-system/token"}]}}),
    );
    let refused = scene.story.bed().try_kubectl(&["create", "-f", "-"], &foreign.to_string());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("name must be the name of a ConfigMap or Secret"), "{said}");
}

#[story]
async fn a_name_that_is_not_declared_is_found_in_strict_mode() {
    let scene = Scene::begin("substitution-strict").await;
    let object = "---\n# A comment.\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  key: one\n  host: \
                  https://${HOTS}:${PORT}\n";
    scene.push("app", "1", object);
    let post_build =
        json!({"strict": true, "substitute": {"HOST": "a.example"}, "types": {"PORT": "Number"}});
    scene.create("app", json!({"postBuild": post_build}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "SubstitutionFailed").await;
    let place = "ConfigMap/settings (all.yaml: document 1, line 8): data.host: ";
    for said in [
        format!("{place}${{HOTS}} is not declared; did you mean HOST?"),
        format!("{place}${{PORT}} has a type, but neither a value nor a default"),
    ] {
        assert!(message(&failed, "Ready").contains(&said), "{failed:#}");
    }
    assert!(scene.config_map("settings").await.is_none());
    scene.change("app", json!({"postBuild": {"substitute": {"HOTS": "b.example", "PORT": "443"}}}));
    scene.story.wait_ready("app", "1@").await;
    scene.wait_field("v1", "configmaps", "settings", "/data/host", &json!("https://b.example:443")).await;
}

/// Everything that the operator wrote anywhere but into the objects themselves.
fn all_that_was_said(scene: &Scene<'_>) -> String {
    let kinds = "oar,events,events.events.k8s.io,leases,configmap/plan-app,configmap/inv-app";
    let objects = kinds.split(',').map(|kind| {
        let output = scene.story.kubectl(&["get", kind, "--ignore-not-found", "-o", "yaml"], "");
        format!("{kind}: {output}")
    });
    let objects: Vec<String> = objects.collect();
    [scene.operator.log(), scene.operator.metrics(), objects.join("\n")].join("\n")
}

#[story]
async fn values_of_secrets_are_told_nowhere_and_change_the_plan() {
    let scene =
        Scene::builder("substitution-secrecy").await.start_with(|options| options.env("RUST_LOG", "trace"));
    let data = |value: &str| json!({"TOKEN": value, "OTHER": "another-hidden-value"});
    scene.story.apply(&values("vars", "ConfigMap", &json!({"OPEN": "in-the-open"})).to_string());
    scene.story.apply(&values("tokens", "Secret", &data("first-hidden-value")).to_string());
    let objects = "apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {owner: \"${OTHER}\"}}
data: {key: \"token=${TOKEN}\", open: \"${OPEN}\"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{port: 80}], externalName: \"${TOKEN}.example\", type: ExternalName}
";
    scene.push("app", "1", objects);
    scene.create("app", with(quiet(from_both(json!({}))), json!({"approval": "Manual"})));
    let waiting = waits(&scene, "app", "1@", "").await;
    let first = text(&waiting, "/status/plan/hash");
    // A value that has changed since the plan was made: the approval of the old plan does not fit.
    set(&scene, "secrets", "tokens", &data("second-hidden-value"));
    let waiting = waits(&scene, "app", "1@", &first).await;
    let second = text(&waiting, "/status/plan/hash");
    scene.annotate("app", "supercargo.dev/approve", &first);
    scene.reconcile("app", "outdated").await;
    assert!(scene.config_map("settings").await.is_none());
    scene.annotate("app", "supercargo.dev/approve", &second);
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("settings").await.as_deref(), Some("token=second-hidden-value"));

    // An approved plan is of one value; the next one waits again, and says what changes, not how.
    set(&scene, "secrets", "tokens", &data("third-hidden-value"));
    set(&scene, "configmaps", "vars", &json!({"OPEN": "still-open"}));
    let waiting = scene
        .story
        .wait_for("the plan has both changes", async || {
            let waiting = waits(&scene, "app", "1@", &second).await;
            waiting["status"]["plan"].to_string().contains("still-open").then_some(waiting)
        })
        .await;
    let plan = &waiting["status"]["plan"];
    let change = plan["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .find(|change| text(change, "/object").contains("ConfigMap"));
    let fields = change.expect("the ConfigMap changes")["fields"].clone();
    let expected = json!([
        {"path": "/data/key", "before": "***** (before)", "after": "***** (after)"},
        {"path": "/data/open", "before": "in-the-open", "after": "still-open"},
    ]);
    assert_eq!(fields, expected);
    assert_eq!(scene.data("settings").await.as_deref(), Some("token=second-hidden-value"));
    scene.annotate("app", "supercargo.dev/approve", &text(&waiting, "/status/plan/hash"));
    scene.wait_data("settings", "token=third-hidden-value").await;
    scene.story.wait_ready("app", "1@").await;

    // The API server quotes what it refuses.
    scene.change("app", json!({"approval": null}));
    scene.upgrade("app", "2", &objects.replace("type: ExternalName", "type: \"${TOKEN}\""));
    let failed = scene.story.wait_condition("app", "Ready", "False", "PreflightFailed").await;
    assert!(
        message(&failed, "Ready").contains("message hidden: it may contain sensitive values"),
        "{failed:#}"
    );
    // A name is shown everywhere.
    scene.upgrade("app", "3", &objects.replace("{name: web}", "{name: \"${TOKEN}\"}"));
    let failed = scene.story.wait_condition("app", "Ready", "False", "SubstitutionFailed").await;
    let said = "metadata.name would contain a value of Secret tokens, and everyone sees this field";
    assert!(message(&failed, "Ready").contains(said), "{failed:#}");
    // A value that is no text that YAML can have.
    scene.change("app", json!({"postBuild": {"mode": "Flux"}}));
    scene.upgrade("app", "4", &objects.replace("\"${TOKEN}.example\"", "\"${TOKEN:x:y}\""));
    scene.story.wait_ready("app", "4@").await;

    let said = all_that_was_said(&scene);
    for hidden in ["first", "second", "third", "another"] {
        let hidden = format!("{hidden}-hidden-value");
        for form in [hidden.clone(), STANDARD.encode(&hidden)] {
            let at = said.find(&form).map(|at| &said[at.saturating_sub(300)..at + 40]);
            assert_eq!(at, None, "{form} was told");
        }
    }
    assert!(said.contains("still-open"), "plans and logs are looked at");
}

#[story]
async fn variables_cost_no_request_while_nothing_changes() {
    let scene =
        Scene::builder("substitution-quiet").await.own_registry(Registry::plain()).slow_retries().start();
    scene.story.apply(&values("vars", "ConfigMap", &json!({"HOST": "a.example"})).to_string());
    scene.story.apply(&values("tokens", "Secret", &json!({"TOKEN": "hidden"})).to_string());
    let object =
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {key: \"${HOST}${TOKEN}\"}}";
    scene.install("app", object, with(from_both(json!({})), json!({"interval": "10s"}))).await;
    // The event of the first run may come after its status.
    let before = scene.registry().mark();
    wait_asked(&scene, "app", before, 1).await;
    let (mark, audit) = (scene.registry().mark(), scene.story.bed().audit().mark());
    wait_asked(&scene, "app", mark, 2).await;
    assert_eq!(api_requests(&scene, audit), Vec::<String>::new());
    assert_eq!(scene.data("settings").await.as_deref(), Some("a.examplehidden"));
}

#[story]
async fn the_command_line_replaces_variables_with_the_same_results() {
    let scene = Scene::begin("substitution-cli").await;
    let place = scene.namespace();
    let person = Person::of(&scene.story);
    scene
        .story
        .apply(&values("vars", "ConfigMap", &json!({"HOST": "a.example", "REPLICAS": "2"})).to_string());
    scene.story.apply(&values("tokens", "Secret", &json!({"TOKEN": "a-hidden-token"})).to_string());
    let from = ["--substitute-from", "configmap/vars", "--substitute-from", "secret/tokens"];
    let more = ["--substitute", "NAME=web", "--substitute-type", "REPLICAS=Number", "-f", "-"];
    let run = |verb: &[&str], yaml: &str| person.run(&[verb, &from, &more].concat(), yaml);
    let applied = run(&["apply", "-i", "hand"], WEB);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let web = scene.story.object("apps/v1", "deployments", "web").await.expect("its name is from a variable");
    assert_eq!((&web["spec"]["replicas"], token(&web).as_str()), (&json!(2), "a-hidden-token"));
    let same = run(&["diff", "-i", "hand"], WEB);
    assert_eq!((same.code, same.stdout.as_str()), (0, ""), "{}", same.stderr);

    // What changes is shown, and no value of a Secret.
    set(&scene, "secrets", "tokens", &json!({"TOKEN": "another-hidden-token"}));
    set(&scene, "configmaps", "vars", &json!({"HOST": "b.example"}));
    let differs = run(&["diff", "-i", "hand"], WEB);
    assert_eq!(differs.code, 1, "{}", differs.stderr);
    assert!(differs.stdout.contains("https://b.example/") && differs.stdout.contains("***** (after)"));
    let planned = run(&["plan", "-i", "hand", "-o", "json"], WEB);
    assert_eq!(planned.code, 2, "{}", planned.stderr);
    let plan: Value = serde_json::from_str(&planned.stdout).expect("JSON");
    assert!(planned.stdout.contains("b.example"), "{}", planned.stdout);
    let hash = text(&plan, "/hash");
    // The plan is of these values.
    set(&scene, "secrets", "tokens", &json!({"TOKEN": "a-third-hidden-token"}));
    let refused = run(&["apply", "-i", "hand", "--plan", &hash], WEB);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    set(&scene, "secrets", "tokens", &json!({"TOKEN": "another-hidden-token"}));
    let applied = run(&["apply", "-i", "hand", "--plan", &hash], WEB);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let web = scene.story.object("apps/v1", "deployments", "web").await.expect("it is there");
    assert_eq!(token(&web), "another-hidden-token");
    let heard = [&differs, &planned, &refused, &applied].map(|run| format!("{}{}", run.stdout, run.stderr));
    assert!(!heard.concat().contains("hidden-token"), "{heard:?}");
    let missing = person.run(&["apply", "-i", "x", "--substitute-from", "secret/none", "-f", "-"], WEB);
    assert_eq!(
        missing.stderr.lines().last(),
        Some(&*format!("error: Secret/{place}/none, named by --substitute-from, does not exist"))
    );

    // A release shows the same before it applies anything.
    scene.push("app", "1", &WEB.replace("settings", "of-release").replace("kept", "kept-too"));
    let spec = from_both(json!({"substitute": {"NAME": "other"}, "types": {"REPLICAS": "Number"}}));
    scene.create("app", with(spec, json!({"suspend": true})));
    scene.story.wait_condition("app", "Ready", "Unknown", "Suspended").await;
    let differs = person.run(&["diff", "release", "app"], "");
    assert_eq!(differs.code, 1, "{}", differs.stderr);
    assert!(
        differs.stdout.contains("other created") && !differs.stdout.contains("hidden"),
        "{}",
        differs.stdout
    );
}

/// A Deployment whose pods fail or not, as the variable says.
const POD: &str = "---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  progressDeadlineSeconds: 5
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, \"${POD}\": failed}}
    spec: {containers: [{name: web, image: \"web:1\"}]}
";

/// The label with which pods of the test bed fail, and another one.
const BAD: &str = "testbed.supercargo.dev/pod";
const GOOD: &str = "good";

#[story]
async fn values_that_make_a_revision_fail_are_corrected_by_other_values() {
    let scene = Scene::begin("substitution-values").await;
    scene.story.apply(&values("vars", "ConfigMap", &json!({"POD": GOOD})).to_string());
    let from = json!([{"kind": "ConfigMap", "name": "vars"}]);
    let spec = json!({"wait": true, "rollback": {"mode": "OnFailure"}, "postBuild": {"mode": "Flux", "substituteFrom": from}});
    scene.install("app", POD, quiet(spec)).await;
    // The same artifact with other values: there is none to go back to.
    set(&scene, "configmaps", "vars", &json!({"POD": BAD}));
    let frozen = scene.story.wait_condition("app", "Ready", "False", "Frozen").await;
    let said = "the artifact was healthy before the spec or a value changed";
    assert!(message(&frozen, "Ready").contains(said), "{frozen:#}");
    set(&scene, "configmaps", "vars", &json!({"POD": GOOD}));
    let ready = scene.story.wait_ready("app", "1@").await;
    assert!(ready["status"].get("quarantine").is_none(), "{ready:#}");

    // A new revision that fails with a value is tried again with another one.
    scene.story.apply(&values("vars", "ConfigMap", &json!({"POD": GOOD, "NEW": BAD})).to_string());
    scene.story.wait_ready("app", "1@").await;
    scene.upgrade("app", "2", &POD.replace("${POD}", "${NEW}"));
    scene.story.wait_condition("app", "Ready", "False", "RolledBack").await;
    set(&scene, "configmaps", "vars", &json!({"NEW": GOOD}));
    scene.story.wait_ready("app", "2@").await;
    let label = "/spec/template/metadata/labels/good";
    scene.wait_field("apps/v1", "deployments", "web", label, &json!("failed")).await;
}

#[story]
async fn what_a_pod_says_of_a_secret_is_masked() {
    let scene = Scene::begin("substitution-pods").await;
    scene.story.apply(&values("tokens", "Secret", &json!({"COMMAND": "/bin/hidden-command"})).to_string());
    let yaml = held("web", "web:1", "supercargo.dev/fail-mode: HopeUntilEnd")
        .replace("name: web, image", "name: web, command: [\"${COMMAND}\"], image");
    assert!(yaml.contains("${COMMAND}"), "{yaml}");
    let from = json!([{"kind": "Secret", "name": "tokens"}]);
    scene.push("app", "1", &yaml);
    let spec =
        json!({"wait": true, "timeout": "8s", "retryInterval": "1h", "postBuild": {"substituteFrom": from}});
    scene.create("app", spec);
    let text = "exec: \"/bin/hidden-command\": no such file";
    pods_say(&scene, "app=web", &waiting_container("CreateContainerConfigError", text)).await;
    let late = scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    let said = message(&late, "Ready");
    assert!(said.contains("exec: \"*****\": no such file"), "{said}");
    let said = all_that_was_said(&scene);
    assert!(said.contains("no such file") && !said.contains("hidden-command"));

    // Pods still say the value from before a rotation.
    set(&scene, "secrets", "tokens", &json!({"COMMAND": "/bin/second-command"}));
    let command = "/spec/template/spec/containers/0/command/0";
    scene.wait_field("apps/v1", "deployments", "web", command, &json!("/bin/second-command")).await;
    let text = "exec: \"/bin/hidden-command\": nor is there /bin/second-command";
    pods_say(&scene, "app=web", &waiting_container("CreateContainerConfigError", text)).await;
    scene.wait_says("app", "Ready", &["exec: \"*****\": nor is there *****"]).await;

    // Where the values cannot be read any more, the last ones stay hidden.
    scene.story.kubectl(&["delete", "secret", "tokens"], "");
    scene.story.wait_condition("app", "Ready", "False", "SecretNotFound").await;
    let said = all_that_was_said(&scene);
    assert!(!said.contains("hidden-command") && !said.contains("second-command"), "{said}");
}

#[story]
async fn inputs_that_there_is_no_memory_to_keep_are_read_again_and_still_followed() {
    // A namespace may keep 4 MiB then, which two of the releases take.
    let scene = Scene::builder("substitution-room").await.argument("--memory-limit=128Mi").start();
    let large = "x".repeat(900 << 10);
    let object = "{apiVersion: v1, kind: ConfigMap, metadata: {name: NAME}, data: {key: \"${VALUE}\"}}";
    for name in ["a", "b", "c", "d"] {
        let data = json!({"VALUE": "one", "file.txt": large});
        scene.story.apply(&values(&format!("{name}-vars"), "ConfigMap", &data).to_string());
        let from = json!([{"kind": "ConfigMap", "name": format!("{name}-vars")}]);
        let spec = quiet(json!({"postBuild": {"substituteFrom": from}}));
        scene.install(name, &object.replace("NAME", name), spec).await;
    }
    for name in ["a", "b", "c", "d"] {
        set(&scene, "configmaps", &format!("{name}-vars"), &json!({"VALUE": "two"}));
        scene.wait_data(name, "two").await;
    }
}
