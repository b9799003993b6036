//! What the verbs of a cluster print: to somebody who has stopped reading, and of
//! objects that somebody has given hostile names and texts.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, Story, poll_until, story};

use crate::scene::{Scene, config_map};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

/// Exit code and stderr of a command whose stdout nobody reads, from its first
/// byte on.
fn unread(person: &Shell, arguments: &[&str]) -> (i32, String) {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut command = person.command(arguments);
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let output = command.spawn().expect("run the program").wait_with_output().expect("its end");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[story]
async fn with_a_closed_stdout_the_work_is_done_and_the_verdict_stays() {
    let scene = Scene::begin("cli-closed").await;
    scene.install("app", &config_map("a", "one"), json!({})).await;
    scene.create("broken", json!({}));
    scene.story.wait_condition("broken", "Ready", "False", "ArtifactNotFound").await;
    let person = Shell::admin(&scene.story);
    let file = person.home().join("hand.yaml");
    std::fs::write(&file, config_map("hand", "one")).expect("write a file");
    let file = file.to_str().expect("text");
    let check = |arguments: &[&str], expected: i32| {
        let (code, err) = unread(&person, arguments);
        assert_eq!(code, expected, "{arguments:?}: {err}");
    };
    check(&["get", "releases"], 0);
    check(&["get", "releases", "app", "nothing"], 1);
    check(&["get", "releases", "-o", "json"], 0);
    check(&["status", "release", "app", "--exit-status"], 0);
    check(&["status", "release", "broken"], 0);
    check(&["status", "release", "broken", "--exit-status"], 1);
    check(&["reconcile", "release", "app"], 0);
    check(&["reconcile", "release", "broken"], 1);
    check(&["reconcile", "release", "broken", "--wait=false"], 0);
    check(&["suspend", "release", "nothing", "app"], 1);
    let suspended =
        async || scene.story.release("app").await.expect("it is there")["spec"]["suspend"].clone();
    assert_eq!(suspended().await, true);
    check(&["resume", "release", "app"], 0);
    assert_eq!(suspended().await, false);
    check(&["diff", "-i", "hand", "-f", file], 1);
    check(&["apply", "-i", "hand", "-f", file], 0);
    assert!(scene.config_map("hand").await.is_some());
    check(&["diff", "-i", "hand", "-f", file], 0);
    check(&["get", "inventories"], 0);
    check(&["get", "inventories", "nothing"], 1);
    check(&["inspect", "inventory", "hand"], 0);
    check(&["delete", "-i", "hand"], 0);
    assert!(scene.config_map("hand").await.is_none());
    // What only prints, and would go on for ever, ends.
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut watching = person.command(&["get", "releases", "--watch"]);
    let mut watching = watching.stdin(Stdio::null()).stdout(writer).spawn().expect("run the program");
    let mut code = None;
    let ended = || {
        code = watching.try_wait().expect("a process").map(|status| status.code());
        code.is_some()
    };
    poll_until("the watch ends", Duration::from_secs(60), ended, String::new);
    assert_eq!(code, Some(Some(0)));
}

/// Begins lines of its own, goes back to their beginning, and steers the terminal. An
/// API server takes no control characters but these.
const HOSTILE: &str =
    "x\nFORGED\r\nVerified by: FORGED\r► FORGED\u{1b}[2K\u{1b}]0;t\u{7}\u{2028}FORGED\u{202e}\tx";

#[track_caller]
fn honest(arguments: &[&str], text: &str) {
    for c in text.chars() {
        let steers = c != '\n' && c.is_control();
        assert!(!steers && !matches!(c, '\u{2028}' | '\u{202e}'), "{arguments:?} prints {c:?}: {text:?}");
    }
    for line in text.lines() {
        let begins = |start: &&str| line.trim_start().starts_with(*start);
        assert!(!["FORGED", "Verified by:", "► FORGED"].iter().any(begins), "{arguments:?} prints {line:?}");
    }
}

#[story]
async fn nothing_in_a_cluster_makes_a_line_of_its_own_or_steers_the_terminal() {
    let scene = Scene::begin("cli-hostile").await;
    let story = &scene.story;
    let namespace = story.namespace();
    let person = Shell::admin(story);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {"x": HOSTILE}}, "data": {"k": HOSTILE}});
    let path = person.home().join("a.yaml");
    std::fs::write(&path, object.to_string()).expect("write a file");
    let file = path.to_str().expect("text");
    let url = format!("oci://{}/{namespace}/app:1", scene.registry().host());
    let told = ["--source", HOSTILE, "--revision", HOSTILE];
    person.run(&[&["push", "artifact", &url, "-f", file][..], &told].concat()).done();
    scene.create("app", json!({}));
    story.wait_ready("app", "1@").await;
    person.run(&[&["apply", "-i", "evil", "-f", file][..], &told].concat());
    story.kubectl(&["label", "configmap", "a", "supercargo.dev/name-"], "");
    person.run(&[&["apply", "-i", "evil", "-f", file][..], &told].concat());
    // An inventory that its tenant has edited.
    let forged = json!([{"id": format!("{namespace}_{HOSTILE}__ConfigMap"), "ver": HOSTILE}, {"id": format!("{namespace}_b_{HOSTILE}_Kind"), "ver": "v1"}]);
    let mut map = story.object("v1", "configmaps", "inv-app").await.expect("the inventory");
    map["metadata"] = json!({
        "name": "inv-forged", "namespace": namespace,
        "labels": map["metadata"]["labels"],
        "annotations": {"supercargo.dev/source": HOSTILE, "supercargo.dev/revision": HOSTILE, "supercargo.dev/last-applied-time": HOSTILE},
    });
    map["metadata"]["labels"]["app.kubernetes.io/name"] = "forged".into();
    map["data"]["resources"] = forged.to_string().into();
    map["data"]["artifacts"] = json!([HOSTILE]).to_string().into();
    story.apply(&map.to_string());
    let changed = object.to_string().replace("\"k\":", "\"other\":");
    std::fs::write(&path, changed).expect("write a file");
    for verb in [
        &["get", "releases", "-o", "wide"][..],
        &["status", "release", "app"],
        &["get", "inventories", "-o", "wide"],
        &["inspect", "inventory", "forged"],
        &["diff", "-i", "app", "--prune", "-f", file],
        &["diff", "-i", "forged", "--prune", "-f", file],
        &["apply", "-i", "forged", "-f", file, "--dry-run"],
        &["adopt", "inventory", "forged"],
        &["delete", "-i", "forged"],
    ] {
        let said = person.run(verb);
        assert!(!said.out.is_empty() || !said.err.is_empty(), "{verb:?}");
        let shown =
            !verb.contains(&"inspect") || said.out.contains("\nSource: x\\nFORGED?\\nVerified by: FORGED");
        assert!(shown, "{said:?}");
        honest(verb, &said.out);
        honest(verb, &said.err);
    }
}

#[story]
async fn programs_that_are_missing_are_named_with_their_hint() {
    let story = Story::begin("cli-plugin").await;
    let kubeconfig = story.bed().admin_kubeconfig();
    let check = |exec: &str, expected: &str| {
        let mut config: Value = serde_saphyr::from_str(&kubeconfig).expect("YAML");
        let exec: Value = serde_saphyr::from_str(exec).expect("YAML");
        config["users"][0]["user"] = json!({"exec": exec});
        config["users"][0]["user"]["exec"]["apiVersion"] = "client.authentication.k8s.io/v1".into();
        let person = Shell::with(&config.to_string(), story.namespace());
        let said = person.run(&["get", "releases"]);
        assert_eq!((said.code, said.err.as_str()), (1, expected));
    };
    let what = "of the kubeconfig's user";
    check(
        "{command: no-such-login, installHint: 'brew install no-such-login', interactiveMode: Never}",
        &format!(
            "error: invalid cluster configuration: the credential plugin \"no-such-login\" {what} is not installed: \
             brew install no-such-login\n"
        ),
    );
    check(
        "{command: no-such-login, interactiveMode: Never}",
        &format!(
            "error: invalid cluster configuration: the credential plugin \"no-such-login\" {what} is not installed: \
             install it, or put it on PATH\n"
        ),
    );
    check(
        "{command: sh, args: [-c, 'echo s3cret; echo cannot log in >&2; exit 3'], interactiveMode: Never}",
        &format!(
            "error: invalid cluster configuration: the credential plugin \"sh\" {what} failed with exit status: 3: \
             cannot log in\n"
        ),
    );
}
