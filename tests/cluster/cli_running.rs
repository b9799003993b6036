//! What a release runs, for people: its events, and its logs.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use supercargo_testbed::proxy::{Fate, Proxy};
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, config_map, deployment};
use crate::shell::Shell;
use crate::verdicts::{crashed, held, pods_say};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

#[story]
async fn the_events_of_a_release_are_those_of_kubectl() {
    let scene = Scene::begin("cli-events").await;
    let story = &scene.story;
    let person = Shell::admin(story);
    assert_eq!(
        person.run(&["events", "release", "odd-events"]).err,
        format!("error: release odd-events not found in namespace {}\n", scene.namespace())
    );
    scene.install("app", &deployment("web", "web:1", 1), json!({"wait": true})).await;
    scene.install("other", &config_map("b", "one"), json!({})).await;
    scene.wait_event("app", "ReconciliationSucceeded", &[]).await;
    let ours = person.run(&["events", "release", "app"]).done();
    assert!(ours.starts_with("LAST SEEN   TYPE "), "{ours}");
    let theirs = person.kubectl(&["events", "--for", "ociartifactrelease/app"]).done();
    // Both are in the order of the time, and say the same.
    let told = |table: &str| -> Vec<String> {
        let words = |line: &str| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        table.lines().skip(1).map(words).collect()
    };
    assert_eq!(told(&ours), told(&theirs), "{ours}\n{theirs}");
    assert!(!ours.contains("/other"), "{ours}");
    let json: Value =
        serde_json::from_str(&person.run(&["events", "release", "app", "-o", "json"]).done()).expect("JSON");
    assert_eq!(json["items"].as_array().map(Vec::len), Some(told(&ours).len()));
    // Those about a pod of its Deployment, and not about another pod.
    let pod: Value =
        serde_json::from_str(&story.kubectl(&["get", "pods", "-l", "app=web", "-o", "json"], ""))
            .expect("JSON");
    let pod = &pod["items"][0]["metadata"];
    for (name, of, uid) in [("mine", &pod["name"], &pod["uid"]), ("strange", &"strange".into(), &"x".into())]
    {
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": scene.namespace()},
            "involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": scene.namespace(), "name": of, "uid": uid},
            "type": "Warning", "reason": "BackOff", "message": format!("{name} restarts"),
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z"});
        story.apply(&event.to_string());
    }
    let all = person.run(&["events", "release", "app", "--objects"]).done();
    assert!(all.contains("mine restarts") && !all.contains("strange restarts"), "{all}");
    assert!(all.contains("Deployment/web") && all.contains("OCIArtifactRelease/app"), "{all}");
    assert!(!person.run(&["events", "release", "app"]).done().contains("restarts"));
    // By the time that events of kubelets have, too.
    for by in [".lastTimestamp", ".firstTimestamp", ".metadata.creationTimestamp"] {
        let sorted = person.kubectl(&["get", "events", "--no-headers", "--sort-by", by]).done();
        let place = |says: &str| sorted.lines().position(|line| line.contains(says));
        let (mine, ours) = (place("mine restarts"), place("ociartifactrelease/app"));
        let is_first = by != ".metadata.creationTimestamp" && mine < ours;
        assert!(is_first || by == ".metadata.creationTimestamp" && ours < mine, "{by}: {sorted}");
    }
    let listed =
        person.kubectl(&["get", "events.v1.events.k8s.io", "-o", "jsonpath={.items[*].deprecatedCount}"]);
    assert!(listed.done().contains('1'));
    // A watch shows what comes.
    let mut watching = person.command(&["events", "release", "other", "--watch"]);
    let mut watching = watching.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("run the program");
    let mut lines = BufReader::new(watching.stdout.take().expect("a pipe")).lines();
    let mut until = |says: &str| {
        let found = lines.by_ref().map(|line| line.expect("a line")).find(|line| line.contains(says));
        assert!(found.is_some(), "{says}");
    };
    until("OCIArtifactRelease/other");
    scene.upgrade("other", "2", &config_map("b", "two"));
    until("2@sha256:");
    watching.kill().expect("end it");
    watching.wait().expect("its end");
}

#[story]
async fn the_logs_of_a_release_are_those_of_its_pods() {
    let scene = Scene::begin("cli-logs").await;
    let story = &scene.story;
    let proxy = Proxy::before_api_server(story.bed());
    // The bed has no kubelet: the proxy answers what one would.
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    proxy.rule(move |seen| match seen.path.contains("/log?") {
        true if breaks.load(Ordering::Relaxed) => {
            let said = json!({"kind": "Status", "message": "no route to the node", "reason": "InternalError", "code": 500});
            Fate::Answer(500, said.to_string())
        }
        true => {
            let query = seen.path.split_once('?').map_or("", |(_, query)| query);
            Fate::Answer(200, format!("begins\n\u{1b}[31m{query}\n"))
        }
        false => Fate::Pass,
    });
    let person = Shell::with(&proxy.kubeconfig(&story.bed().admin_kubeconfig()), scene.namespace());
    let job = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {supercargo.dev/step: before}}\nspec:\n  \
               template:\n    metadata: {labels: {app: migrate, testbed.supercargo.dev/pod: held}}\n    \
               spec: {restartPolicy: Never, containers: [{name: web, image: \"web:1\"}]}\n";
    scene.push("app", "1", &format!("{}{job}", held("web", "web:1", "")));
    scene.create("app", json!({"wait": true, "timeout": "10m"}));
    let up = json!({"name": "web", "image": "web", "imageID": "", "ready": true, "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}});
    pods_say(&scene, "app=migrate", &up).await;
    // A step runs before there is an inventory.
    let said = person.run(&["logs", "release", "app"]);
    let lines = |said: &str| -> Vec<String> { said.lines().map(str::to_owned).collect() };
    let printed = lines(&said.out);
    assert!(said.code == 0 && printed.len() == 2 && printed[0].starts_with("[pod/migrate-"), "{said:?}");
    assert!(printed[0].ends_with("/web] begins") && printed[1].ends_with("&tailLines=10"), "{said:?}");
    let job = story.kubectl(&["get", "pods", "-l", "app=migrate", "-o", "name"], "");
    let ended = json!({"status": {"phase": "Succeeded", "containerStatuses": [crashed(0, "Completed", 0)]}})
        .to_string();
    story.kubectl(&["patch", job.trim(), "--subresource=status", "--type=merge", "-p", &ended], "");
    pods_say(&scene, "app=web", &up).await;
    let flags = ["--since", "5m", "--timestamps", "--previous", "--prefix=false", "-c", "web"];
    let said = person.run(&[&["logs", "release", "app"], &flags[..]].concat());
    assert!(
        said.out.contains("container=web&follow=false&previous=true&timestamps=true&sinceSeconds=300\n"),
        "{said:?}"
    );
    assert!(said.out.starts_with("begins\n"), "{said:?}");
    let none = person.run(&["logs", "release", "app", "-c", "other"]);
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{none:?}");
    assert_eq!(person.run(&["logs", "release", "app", "--tail", "-2"]).code, 2);
    // New pods are followed from their beginning.
    let mut following = person.command(&["logs", "release", "app", "--follow", "--tail", "3"]);
    let mut following =
        following.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("run the program");
    let mut printed = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    let mut until = |says: &str| {
        let found = printed.by_ref().map(|line| line.expect("a line")).find(|line| line.contains(says));
        found.unwrap_or_else(|| panic!("{says}"))
    };
    let old = until("follow=true&previous=false&timestamps=false&tailLines=3");
    scene.upgrade("app", "2", &held("web", "web:2", ""));
    let old_pod = old.split(['/', ']']).nth(1).expect("a pod").to_owned();
    let newer = story
        .wait_for("the new pod is scheduled", async || {
            let pods = story.kubectl(&["get", "pods", "-l", "app=web", "-o", "json"], "");
            let pods: Value = serde_json::from_str(&pods).expect("a list");
            let new =
                |pod: &&Value| pod["metadata"]["name"] != old_pod && pod["spec"]["nodeName"].is_string();
            let pod = pods["items"].as_array()?.iter().find(new)?;
            pod["metadata"]["name"].as_str().map(str::to_owned)
        })
        .await;
    let running = json!({"status": {"phase": "Running", "containerStatuses": [up]}}).to_string();
    story.kubectl(&["patch", "pod", &newer, "--subresource=status", "--type=merge", "-p", &running], "");
    let line = until(&format!("[pod/{newer}/web] \u{1b}[31mcontainer=web&follow=true"));
    assert!(!line.contains("tailLines"), "{line}");
    following.kill().expect("end it");
    following.wait().expect("its end");
    // A log that cannot be read does not hide the others, and is not silent.
    broken.store(true, Ordering::Relaxed);
    let said = person.run(&["logs", "release", "app", "-c", "web"]);
    assert!(said.code == 1 && said.err.contains("no route to the node"), "{said:?}");
    assert!(said.err.contains("error: cannot read ") && said.out.is_empty(), "{said:?}");
    // A release without pods.
    scene.install("config", &config_map("b", "one"), json!({})).await;
    let none = person.run(&["logs", "release", "config"]);
    assert_eq!(
        (none.code, none.err.as_str()),
        (0, "release NS/config runs no pods\n".replace("NS", scene.namespace()).as_str())
    );
}
