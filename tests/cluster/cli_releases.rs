//! What people with an operator type: releases as the command line shows and
//! changes them.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use supercargo::domain::artifact::digest::shortened;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Bed, Profiles, Story, poll_until, story};

use crate::scene::{BINARY, Scene, config_map, deployment, release, unready_deployment};
use crate::shell::{Shell, in_namespace};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

/// A release that no operator looks at.
fn idle(story: &Story<'_>, name: &str, labels: Value) {
    let text =
        release(story.namespace(), name, "oci://127.0.0.1:1/app", json!({"suspend": true})).to_string();
    let mut value: Value = serde_json::from_str(&text).expect("a release is JSON");
    value["metadata"]["labels"] = labels;
    story.apply(&value.to_string());
}

/// The cells of a table, without the age, which moves.
fn cells(table: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let mut rows: Vec<Vec<String>> = table.lines().map(cells).collect();
    for row in &mut rows {
        row.retain(|cell| {
            !cell.ends_with('s') || !cell.trim_end_matches('s').bytes().all(|b| b.is_ascii_digit())
        });
    }
    rows
}

#[story]
async fn the_table_of_releases_is_that_of_kubectl() {
    let scene = Scene::begin("cli-get").await;
    scene.install("web", &config_map("a", "one"), json!({})).await;
    scene.create("broken", json!({}));
    scene.story.wait_condition("broken", "Ready", "False", "ArtifactNotFound").await;
    let person = Shell::admin(&scene.story);
    let ours = person.run(&["get", "releases"]).done();
    let theirs = person.kubectl(&["get", "ociartifactreleases"]).done();
    assert_eq!(cells(&ours), cells(&theirs), "{ours}\n{theirs}");
    assert!(ours.starts_with("NAME     READY   REASON"), "{ours}");
    assert!(!ours.contains('\u{1b}') && ours.lines().all(|line| line.trim_end() == line), "{ours}");
    let ours = person.run(&["get", "releases", "web", "-o", "wide", "--no-headers"]).done();
    let theirs = person.kubectl(&["get", "oar", "web", "-o", "wide", "--no-headers"]).done();
    assert_eq!(cells(&ours), cells(&theirs));
    let all = person.run(&["get", "releases", "-A"]).done();
    assert!(all.starts_with("NAMESPACE ") && all.contains(scene.namespace()), "{all}");
    assert!(person.run(&["get", "releases", "--color=always"]).done().contains("\u{1b}[32mTrue\u{1b}[0m"));
}

#[story]
async fn releases_are_printed_as_kubectl_takes_them() {
    let story = Story::begin("cli-data").await;
    idle(&story, "a", json!({"team": "web"}));
    idle(&story, "b", json!({"team": "db", "on": "true", "version": "1.0"}));
    let person = Shell::admin(&story);
    let names = |said: &str| -> Vec<String> {
        let list: Value = serde_json::from_str(said).expect("JSON");
        let items = list["items"].as_array().expect("a list");
        items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&person.run(&["get", "releases", "-o", "json"]).done()), ["a", "b"]);
    assert_eq!(names(&person.run(&["get", "release", "-l", "team in (web)", "-ojson"]).done()), ["a"]);
    let one: Value =
        serde_json::from_str(&person.run(&["get", "oar", "b", "-o", "json"]).done()).expect("JSON");
    assert_eq!(one["kind"], "OCIArtifactRelease");
    let theirs = person.kubectl(&["get", "oar", "b", "-o", "json"]).done();
    assert_eq!(one, serde_json::from_str::<Value>(&theirs).expect("JSON"));
    for format in ["json", "yaml"] {
        let list = person.run(&["get", "releases", "-o", format]).done();
        let applied = story
            .kubectl(&["apply", "--server-side", "--dry-run=server", "--force-conflicts", "-f", "-"], &list);
        assert_eq!(applied.lines().count(), 2, "{applied}");
    }
    let none = person.run(&["get", "releases", "-l", "team=x", "-o", "json"]);
    assert!(none.err.is_empty() && names(&none.done()).is_empty());
}

#[story]
async fn what_cannot_be_listed_says_why() {
    let story = Story::begin("cli-list-errors").await;
    let namespace = story.namespace().to_owned();
    let person = Shell::admin(&story);
    let check = |arguments: &[&str], code: i32, error: &str| {
        let said = person.run(arguments);
        assert_eq!((said.code, said.err.trim_end(), said.out.as_str()), (code, error, ""), "{arguments:?}");
    };
    check(&["get", "releases"], 0, &format!("no releases found in namespace {namespace}"));
    check(
        &["get", "releases", "odd-web"],
        1,
        &format!("error: release odd-web not found in namespace {namespace}"),
    );
    idle(&story, "odd-web", json!({}));
    check(
        &["get", "releases", "odd-wep"],
        1,
        &format!("error: release odd-wep not found in namespace {namespace}; releases there: odd-web"),
    );
    let other = story.another_namespace("cli-other");
    check(
        &["status", "release", "odd-web", "-n", &other],
        1,
        &format!(
            "error: release odd-web not found in namespace {other}; a release of that name exists in {namespace}"
        ),
    );
    check(&["get", "releases", "odd-web", "-A"], 2, "error: names cannot be combined with -A");
    check(&["get", "releases", "odd-web", "-l", "a=b"], 2, "error: names cannot be combined with -l");
    check(
        &["get", "releases", "-l", "a=,b in"],
        1,
        "error: unable to parse requirement: found '' expected: '('",
    );
    // What is there is printed all the same.
    let said = person.run(&["get", "releases", "odd-web", "x", "--no-headers"]);
    assert!(
        said.code == 1
            && said.out.starts_with("odd-web ")
            && said.err.starts_with("error: release x not found ")
    );
}

#[story]
async fn clusters_that_cannot_be_asked_say_why() {
    let story = Story::begin("cli-cluster-errors").await;
    let namespace = story.namespace();
    let check = |person: &Shell, arguments: &[&str], error: &str| {
        let said = person.run(arguments);
        assert_eq!((said.code, said.err.trim_end()), (1, error), "{arguments:?}");
    };
    let admin = Shell::admin(&story);
    check(
        &admin,
        &["get", "releases", "-s", "https://127.0.0.1:1"],
        "error: the API server does not answer: https://127.0.0.1:1: Connection refused (os error 111)",
    );
    check(
        &admin,
        &["get", "releases", "--context", "nowhere"],
        "error: the kubeconfig has no context \"nowhere\"; it has testbed",
    );
    check(
        &admin,
        &["get", "releases", "--token", "wrong"],
        "error: the API server rejected your credentials (401 Unauthorized): check the user of the kubeconfig context, or log in again",
    );
    let nobody = Shell::with(&story.bed().kubeconfig_for_user("nobody", None), namespace);
    let refused = |verb: &str, resource: &str, name: &str| {
        format!(
            "ociartifactreleases.supercargo.dev {name}is forbidden: User \"nobody\" cannot {verb} resource \"{resource}\" in API group \
             \"supercargo.dev\" in the namespace \"{namespace}\""
        )
    };
    check(&nobody, &["get", "releases"], &format!("error: {}", refused("list", "ociartifactreleases", "")));
    check(
        &nobody,
        &["status", "release", "web"],
        &format!("error: {}", refused("get", "ociartifactreleases", "\"web\" ")),
    );
    for verb in ["reconcile", "suspend", "resume"] {
        let error = format!("error: {}", refused("patch", "ociartifactreleases", "\"web\" "));
        check(&nobody, &[verb, "release", "web"], &error);
    }
    let homeless = |arguments: &[&str]| {
        let mut command = admin.command(arguments);
        Shell::finish(command.env_remove("KUBECONFIG").env_remove("KUBERNETES_SERVICE_HOST"))
    };
    let said = homeless(&["get", "releases"]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (
            1,
            "error: no cluster is configured: set KUBECONFIG or --kubeconfig to a kubeconfig file, or create \
             ~/.kube/config\n"
        )
    );
}

#[story]
async fn a_cluster_without_supercargo_says_how_to_install_it() {
    let bed = Bed::start();
    let person = Shell::with(&bed.admin_kubeconfig(), "default");
    let expected = "error: the cluster does not serve OCIArtifactRelease: install Supercargo first (its definition: supercargo crd | kubectl apply --server-side -f -)\n";
    for arguments in [
        ["get", "releases"].as_slice(),
        &["get", "releases", "--watch"],
        &["get", "releases", "-A"],
        &["status", "release", "web"],
        &["suspend", "release", "a", "b"],
        &["reconcile", "release", "--all"],
    ] {
        let said = person.run(arguments);
        assert_eq!((said.code, said.err.as_str()), (1, expected), "{arguments:?}");
    }
    // What it says works.
    bed.kubectl(&["apply", "-f", "-"], &person.run(&["crd"]).done());
}

#[story]
async fn the_status_leads_to_the_pod_that_is_not_ready() {
    let scene = Scene::begin("cli-status").await;
    let slow = unready_deployment("slow");
    let text = format!("{}{}{slow}", config_map("a", "one"), deployment("fine", "main:1", 1));
    scene.push("app", "1", &text);
    scene.create("app", json!({"wait": true, "timeout": "1s", "retryInterval": "1h"}));
    scene.story.wait_condition("app", "Ready", "False", "HealthTimeout").await;
    let namespace = scene.namespace();
    let person = Shell::admin(&scene.story);
    let page = person.run(&["status", "release", "app"]).done();
    let line = |begins: &str| {
        let found = page.lines().find(|line| line.starts_with(begins));
        found.unwrap_or_else(|| panic!("no line {begins:?} in\n{page}")).to_owned()
    };
    assert!(line("Release: ").ends_with(&format!("{namespace}/app")));
    assert!(line("Ready ").contains("HealthTimeout"));
    assert!(line("Applied: ").contains("1@sha256:"));
    assert_eq!(line("Objects "), "Objects (3, 1 not ready)");
    assert!(line(&format!("ConfigMap/{namespace}/a ")).ends_with("   Current"));
    assert!(line(&format!("Deployment/{namespace}/fine ")).ends_with("   Current"));
    assert!(line(&format!("Deployment/{namespace}/slow ")).contains("   InProgress: "));
    assert!(line(&format!("└─ ReplicaSet/{namespace}/slow-")).contains("   InProgress: "));
    assert!(
        line(&format!("   └─ Pod/{namespace}/slow-")).ends_with(
            "   InProgress: container web is waiting: ImagePullBackOff; the image cannot be pulled"
        )
    );
    let report: Value =
        serde_json::from_str(&person.run(&["status", "release", "app", "-o", "json"]).done()).expect("JSON");
    let slow = &report["objects"][2];
    assert_eq!(slow["object"], format!("Deployment/{namespace}/slow"));
    assert_eq!(slow["children"][0]["children"][0]["health"], "InProgress");
    assert_eq!(report["status"]["conditions"].as_array().map(Vec::is_empty), Some(false));
    let said = person.run(&["status", "release", "app", "--exit-status"]);
    assert_eq!(said.code, 1);
    assert!(
        said.err.starts_with(&format!("error: {namespace}/app is not ready: not healthy within")),
        "{said:?}"
    );

    scene.story.kubectl(&["label", "pods", "-l", "app=slow", "testbed.supercargo.dev/pod-"], "");
    scene.story.wait_ready("app", "1@").await;
    let page = person.run(&["status", "release", "app", "--exit-status"]).done();
    assert!(page.contains("\nObjects (3)\n") && !page.contains("ReplicaSet"), "{page}");
}

#[story]
async fn a_status_shows_what_one_may_see() {
    let scene = Scene::begin("cli-status-rights").await;
    scene.install("app", &config_map("a", "one"), json!({})).await;
    let namespace = scene.namespace();
    let releases = "{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get]}";
    let blind = Shell::with_rights(&scene.story, "blind", &format!("[{releases}]"));
    let said = blind.run(&["status", "release", "app"]);
    assert_eq!(
        (said.code, said.err),
        (
            1,
            format!(
                "error: cannot read the inventory {namespace}/inv-app: configmaps \"inv-app\" is forbidden: User \
                 \"blind\" cannot \
                 get resource \"configmaps\" in API group \"\" in the namespace \"{namespace}\"\n"
            )
        )
    );
    let inventory =
        "{apiGroups: [\"\"], resources: [configmaps], resourceNames: [inv-app, inv-app.2], verbs: [get]}";
    let squinting = Shell::with_rights(&scene.story, "squinting", &format!("[{releases}, {inventory}]"));
    let page = squinting.run(&["status", "release", "app"]).done();
    assert!(
        page.contains("   Unknown: configmaps \"a\" is forbidden: User \"squinting\" cannot get"),
        "{page}"
    );
    // An object that somebody has taken away, with an operator that does not see it.
    scene.operator.freeze();
    scene.story.kubectl(&["delete", "configmap", "a"], "");
    let page = Shell::admin(&scene.story).run(&["status", "release", "app"]).done();
    assert!(page.contains(&format!("ConfigMap/{namespace}/a   NotFound: does not exist")), "{page}");
    scene.operator.thaw();
}

#[story]
async fn a_reconcile_waits_for_what_comes_of_it() {
    let scene = Scene::begin("cli-reconcile").await;
    let namespace = scene.namespace();
    let person = Shell::admin(&scene.story);
    scene.install("app", &config_map("a", "one"), json!({})).await;
    let digest = scene.push("app", "1", &config_map("b", "one"));
    let said = person.run(&["reconcile", "release", "app"]);
    assert_eq!(said.err, format!("reconciling {namespace}/app...\n"));
    let out = said.done();
    assert!(
        out.starts_with(&format!("{namespace}/app reconciled: revision 1@{}: ", shortened(&digest))),
        "{out}"
    );
    assert!(scene.config_map("b").await.is_some());
    // Something that cannot work.
    scene.change("app", json!({"ref": {"tag": "none"}}));
    let said = person.run(&["reconcile", "release", "app"]);
    assert_eq!(said.code, 1, "{said:?}");
    let error = said.err.lines().last().unwrap_or_default();
    assert!(error.starts_with(&format!("error: {namespace}/app is not ready: ")), "{error}");
    assert!(error.contains("none"), "{error}");
    // One of two is not there.
    scene.change("app", json!({"ref": {"tag": "1"}}));
    let said = person.run(&["reconcile", "release", "nothing", "app"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains(&format!("{namespace}/app reconciled: ")), "{said:?}");
    assert!(said.err.contains(&format!(
        "error: release nothing not found in namespace {namespace}; releases there: app"
    )));
    // All, without waiting.
    let said = person.run(&["reconcile", "release", "--all", "--wait=false"]).done();
    assert_eq!(said, format!("{namespace}/app reconciliation requested\n"));
}

#[story]
async fn a_diff_of_a_release_shows_what_its_spec_makes_of_any_revision() {
    let scene = Scene::begin("cli-diff-release").await;
    let namespace = scene.namespace();
    let person = Shell::admin(&scene.story);
    // Only the spec says what the artifact comes to here.
    let spec = json!({
        "suspend": false,
        "commonMetadata": {"labels": {"team": "web"}},
        "patches": [{"target": {"kind": "ConfigMap"}, "patch": "[{op: add, path: /data/patched, value: \"yes\"}]"}],
    });
    scene.install("app", &(config_map("a", "one") + &config_map("b", "one")), spec).await;
    scene.push("app", "2", &(config_map("a", "one") + &config_map("c", "one")));
    let diff = |arguments: &[&str]| person.run(&[&["diff", "release", "app"], arguments].concat());
    assert_eq!(diff(&[]).done(), "");
    let said = diff(&["--to", "2"]);
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (1, format!("► ConfigMap/{namespace}/c created\n► ConfigMap/{namespace}/b deleted\n").as_str(), ""),
        "{said:?}"
    );
    // Nothing was written, and a suspended release is compared, too.
    assert_eq!(scene.named("app").await, ["a", "b"]);
    scene.change("app", json!({"suspend": true}));
    scene.patch("v1", "configmaps", "a", json!({"data": {"patched": "no"}}));
    let said = diff(&[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with(&format!("► ConfigMap/{namespace}/a drifted\n")), "{said:?}");
    assert!(said.out.contains("-  patched: \"no\"\n+  patched: \"yes\"\n"), "{said:?}");
    let data: Value = serde_json::from_str(&diff(&["-o", "json"]).out).expect("JSON");
    assert_eq!(data[0]["change"], "drifted", "{data}");

    // What cannot be told.
    let told = |said: super::shell::Said, why: &str| {
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.starts_with("error: ") && said.err.contains(why), "{said:?}");
    };
    told(diff(&["--to", "none"]), "none");
    told(diff(&["--to", "not a tag"]), "not a tag");
    told(diff(&["--to", "sha256:1"]), "sha256:1");
    told(
        person.run(&["diff", "release", "nothing"]),
        &format!("release nothing not found in namespace {namespace}"),
    );
    scene.change("app", json!({"verify": {"provider": "cosign", "secretRef": {"name": "keys"}}}));
    told(diff(&[]), "keys");
    scene.change("app", json!({"verify": null}));
    // With one's own rights, whatever the account of the release may do.
    let rules = "[{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get]}, \
                 {apiGroups: [''], resources: [configmaps], verbs: [get, list, watch]}]";
    let reader = Shell::with_rights(&scene.story, "reader-of-diffs", rules);
    told(reader.run(&["diff", "release", "app"]), "cannot patch resource \"configmaps\"");
}

#[story]
async fn suspended_releases_stay_as_they_are_until_they_are_resumed() {
    let scene = Scene::begin("cli-suspend").await;
    let namespace = scene.namespace();
    let person = Shell::admin(&scene.story);
    scene.install("app", &config_map("a", "one"), json!({})).await;
    assert_eq!(person.run(&["suspend", "release", "app"]).done(), format!("{namespace}/app suspended\n"));
    let suspended = scene.story.release("app").await.expect("it is there");
    assert_eq!(suspended["spec"]["suspend"], true);
    let managers = suspended["metadata"]["managedFields"].as_array().expect("managers");
    assert!(managers.iter().any(|manager| manager["manager"] == "supercargo-cli"), "{managers:?}");
    assert_eq!(person.run(&["suspend", "release", "--all"]).done(), format!("{namespace}/app suspended\n"));
    assert!(person.run(&["status", "release", "app"]).done().contains("\nSuspended:  yes\n"));
    // Once, while suspended.
    let digest = scene.push("app", "1", &config_map("b", "one"));
    let out = person.run(&["reconcile", "release", "app"]).done();
    assert!(out.contains(&format!("1@{}", shortened(&digest))), "{out}");
    scene.push("app", "1", &config_map("c", "one"));
    let out = person.run(&["resume", "release", "app"]).done();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], format!("{namespace}/app resumed"));
    assert!(lines[1].starts_with(&format!("{namespace}/app reconciled: revision 1@")), "{out}");
    assert_eq!(scene.story.release("app").await.expect("it is there")["spec"]["suspend"], false);
    assert!(scene.config_map("c").await.is_some());
    let usage = person.run(&["suspend", "release"]);
    assert_eq!(usage.code, 2);
}

#[story]
async fn a_wait_without_an_operator_ends() {
    let story = Story::begin("cli-wait").await;
    idle(&story, "app", json!({}));
    let namespace = story.namespace();
    let person = Shell::admin(&story);
    let said = person.run(&["reconcile", "release", "app", "--timeout", "1s"]);
    assert_eq!(
        (said.code, said.err),
        (
            1,
            format!(
                "reconciling {namespace}/app...\nerror: {namespace}/app timed out after 1s: the operator has not started this run; check that the operator is running\n"
            )
        )
    );
    let before = story.release("app").await.expect("it is there");
    let mut waiting = person
        .command(&["reconcile", "release", "app", "--timeout", "1h"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the program");
    let asked = async || {
        let now = story.release("app").await?;
        (now["metadata"]["annotations"] != before["metadata"]["annotations"]).then_some(())
    };
    story.wait_for("the release is annotated", asked).await;
    std::process::Command::new("kill").args(["-INT", &waiting.id().to_string()]).status().expect("run kill");
    let mut ended = None;
    poll_until(
        "the wait ends",
        Duration::from_secs(20),
        || {
            ended = waiting.try_wait().expect("wait");
            ended.is_some()
        },
        String::new,
    );
    let output = waiting.wait_with_output().expect("wait");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{err}");
    let last = "interrupted: reconciliation continues in the cluster; see supercargo status release app\n";
    assert!(err.ends_with(last), "{err}");
}

#[story]
async fn a_watch_prints_what_changes() {
    use std::io::{BufRead, BufReader};
    let story = Story::begin("cli-watch").await;
    idle(&story, "a", json!({}));
    let person = Shell::admin(&story);
    let mut command = person.command(&["get", "releases", "--watch"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("start the program");
    let out = child.stdout.take().expect("stdout is a pipe");
    let (sender, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
    });
    let next = || lines.recv_timeout(Duration::from_secs(30)).expect("a line, in time");
    assert!(next().starts_with("NAME   READY"));
    assert!(next().starts_with("a "));
    idle(&story, "b", json!({}));
    assert!(next().starts_with("b "));
    story.kubectl(&["annotate", "oar", "a", "x=y"], "");
    assert!(next().starts_with("a "));
    child.kill().expect("end it");
    child.wait().expect("wait for it");
    drop(lines);
    reader.join().expect("the reader ends");
}

#[story]
async fn the_program_is_a_plugin_of_kubectl() {
    let story = Story::begin("cli-plugin").await;
    idle(&story, "web", json!({}));
    let person = Shell::admin(&story);
    let directory = person.home().join("bin");
    std::fs::create_dir(&directory).expect("create a directory");
    std::os::unix::fs::symlink(BINARY, directory.join("kubectl-supercargo")).expect("link the program");
    let kubectl = |arguments: &[&str]| {
        let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = person.program(Tools::get().path("kubectl"), arguments);
        Shell::finish(command.env("PATH", path))
    };
    let version = kubectl(&["supercargo", "version"]).done();
    assert_eq!(version, person.run(&["version"]).done());
    let listed = kubectl(&["supercargo", "get", "releases", "-n", story.namespace()]).done();
    assert!(listed.contains("\nweb "), "{listed}");
    let help = kubectl(&["supercargo", "get", "releases", "--help"]).done();
    assert!(help.contains("Usage: kubectl supercargo get releases [OPTIONS] [NAME]..."), "{help}");
    let wrong = kubectl(&["supercargo", "get", "nothing"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("  kubectl supercargo get releases nothing\n"), "{wrong:?}");
}

#[story]
async fn clusters_are_named_as_kubectl_names_them() {
    let story = Story::begin("cli-flags").await;
    let bed = story.bed();
    let (here, other) = (story.namespace().to_owned(), story.another_namespace("cli-flags-other"));
    let person = Shell::with(&bed.kubeconfig_for_user("jane", None), &here);
    let admin = person.home().join("admin");
    let renamed = in_namespace(&bed.admin_kubeconfig(), &other).replace("\"testbed\"", "\"second\"");
    std::fs::write(&admin, &renamed).expect("write a file");
    let authority = person.home().join("ca.crt");
    std::fs::write(&authority, bed.authority().certificate()).expect("write a file");
    let empty = person.home().join("empty");
    std::fs::write(&empty, "").expect("write a file");
    let (admin, authority) = (admin.display().to_string(), authority.display().to_string());
    let first = person.home().join("kubeconfig").display().to_string();
    let both = format!("{first}:{admin}");
    let reversed = format!("{admin}:{first}");
    let missing = format!("{}/missing:{admin}", person.home().display());
    // Who asks and where shows in what is refused, or in where nothing is found.
    let check = |kubeconfig: &str, flags: &[&str]| {
        let run = |program: &std::path::Path, what: &[&str]| {
            let arguments: Vec<&str> = flags.iter().chain(what).copied().collect();
            let mut command = person.program(program, &arguments);
            let said = Shell::finish(command.env("KUBECONFIG", kubeconfig));
            let place = said.err.replace("Error from server (Forbidden): ", "").replace("error: ", "");
            (
                said.code,
                place
                    .replace("No resources found in ", "no releases found in namespace ")
                    .replace(" namespace.", ""),
            )
        };
        let theirs = run(Tools::get().path("kubectl"), &["get", "ociartifactreleases"]);
        let ours = run(std::path::Path::new(BINARY), &["get", "releases"]);
        assert_eq!(ours, theirs, "{kubeconfig} {flags:?}");
    };
    check(&first, &[]);
    check(&first, &["-n", "default"]);
    check(&first, &["--namespace=default"]);
    check(&admin, &[]);
    check(&both, &[]);
    check(&reversed, &[]);
    check(&missing, &[]);
    check(&both, &["--context", "second"]);
    check(&both, &["--user", "second"]);
    check(&both, &["--context", "second", "--user", "testbed"]);
    check(&both, &["--kubeconfig", &admin]);
    check(&admin, &["--as", "joe"]);
    check(&admin, &["--as", "joe", "--as-group", "a", "--as-group", "b"]);
    check(&admin, &["--as", "system:serviceaccount:default:default"]);
    let token = "testbed-admin-token";
    check(&first, &["--token", token]);
    let server = bed.url();
    check(
        &empty.display().to_string(),
        &["-s", server, "--token", token, "--certificate-authority", &authority, "-n", &other],
    );
    check(
        &empty.display().to_string(),
        &["-s", server, "--token", token, "--insecure-skip-tls-verify", "-n", &other],
    );
}

#[story]
async fn on_a_terminal_the_wait_is_seen_and_leaves_no_trace() {
    let story = Story::begin("cli-terminal").await;
    idle(&story, "app", json!({}));
    let namespace = story.namespace();
    let person = Shell::admin(&story);
    // util-linux has it; a terminal of our own would need unsafe code.
    let script = std::path::Path::new("/usr/bin/script");
    if !script.exists() {
        return;
    }
    let on_a_terminal = |line: &str, variable: (&str, &str)| {
        let arguments = ["-q", "-e", "-c", line, "/dev/null"];
        let mut command = person.program(script, &arguments);
        Shell::finish(command.env("TERM", "xterm").env("SHELL", "/bin/sh").env(variable.0, variable.1))
    };
    let line = format!("{BINARY} reconcile release app --timeout 1s");
    let said = on_a_terminal(&line, ("LANG", "C"));
    assert_eq!(said.code, 1, "{said:?}");
    let waited = format!("  {namespace}/app: the operator has not started this run");
    assert!(said.out.contains(&waited), "{said:?}");
    assert!(said.out.contains(&format!("\u{1b}[31merror:\u{1b}[0m {namespace}/app timed out after 1s")));
    // After the error nothing is drawn any more.
    assert!(said.out.rfind(&waited) < said.out.rfind("error:"), "{said:?}");
    let said = on_a_terminal(&line, ("CI", "true"));
    assert!(!said.out.contains(&waited), "{said:?}");
    let said = on_a_terminal(&line, ("NO_COLOR", "1"));
    assert!(said.out.contains(&waited) && !said.out.contains("\u{1b}[31m"), "{said:?}");
    let said = on_a_terminal(&format!("{line} 2>&1 | cat"), ("LANG", "C"));
    assert!(!said.out.contains(&waited) && !said.out.contains('\u{1b}'), "{said:?}");
}
