//! Ctrl-C: what was done is in the inventory, and the last line says how to go on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::time::Duration;

use supercargo_testbed::proxy::Moment;
use supercargo_testbed::{Profiles, Proxy, story};

use super::hand::{Ended, Hand, config_map, held, homeless};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

fn signal(child: &Child, name: &str) {
    let kill = Command::new("/bin/sh").args(["-c", &format!("kill -s {name} {}", child.id())]).status();
    assert!(kill.expect("run kill").success());
}

/// Reads what is said until it says that, then interrupts it, and returns the rest.
fn interrupt(hand: &Hand, mut child: Child, when: &str, name: &str) -> Ended {
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with(when) {
        line.clear();
        assert_ne!(said.read_line(&mut line).expect("text"), 0, "it ended without {when:?}");
    }
    signal(&child, name);
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    Ended { err: rest.replace(hand.namespace(), "NS"), ..hand.end(child) }
}

#[story]
async fn an_interrupted_wait_leaves_everything_applied_and_says_so() {
    let hand = Hand::begin("hand-int-wait").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("leaves", "1"));
    hand.file("app.yaml", &homeless("web").replace("Seconds: 1\n", "Seconds: 600\n"));
    for name in ["INT", "TERM"] {
        let child =
            hand.start(&["apply", "-i", "app", "--wait", "--prune", "--timeout", "5m", "-f", "app.yaml"]);
        let ended = interrupt(&hand, child, "waiting for resources to become ready...", name);
        let err = "interrupted: applied; readiness unconfirmed; rerun to keep waiting\n";
        assert_eq!(ended, Ended { code: Some(130), out: String::new(), err: err.to_owned() });
        // What left is not deleted before the new is healthy.
        assert_eq!(hand.named("app").await, ["NS_leaves__ConfigMap", "NS_web_apps_Deployment"]);
    }
    hand.does(&["apply", "-i", "app", "--prune", "-f", "app.yaml"], "");
    assert_eq!(hand.named("app").await, ["NS_web_apps_Deployment"]);
}

#[story]
async fn an_interrupted_delete_says_what_is_left_and_is_finished_by_the_next() {
    let hand = Hand::begin("hand-int-delete").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &(held("held") + &config_map("a", "1")));
    let child = hand.start(&["delete", "-i", "app", "--timeout", "5m"]);
    let ended = interrupt(&hand, child, "waiting for resources to be terminated...", "INT");
    let err = "interrupted: not gone yet:\n  ConfigMap/NS/held: still terminating, waiting for finalizer \
               example.com/hold\nto finish, run: supercargo delete -i app --inventory-namespace NS\n";
    assert_eq!(ended, Ended { code: Some(130), out: String::new(), err: err.to_owned() });
    assert_eq!(hand.named("app").await, ["NS_held__ConfigMap"]);
    hand.let_go("configmap/held");
    hand.does(&["delete", "-i", "app"], "");
    assert!(hand.config_map("inv-app").await.is_none());
}

#[story]
async fn an_interrupted_prune_keeps_what_is_left_in_the_inventory() {
    let hand = Hand::begin("hand-int-prune").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &held("held"));
    hand.file("app.yaml", &config_map("a", "1"));
    let child = hand.start(&["apply", "-i", "app", "--wait", "--prune", "--timeout", "5m", "-f", "app.yaml"]);
    let ended =
        interrupt(&hand, child, "ConfigMap/NS/held deleted".replace("NS", hand.namespace()).as_str(), "INT");
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.starts_with("interrupted: applied; readiness unconfirmed"), "{}", ended.err);
    assert_eq!(hand.named("app").await, ["NS_a__ConfigMap", "NS_held__ConfigMap"]);
    hand.let_go("configmap/held");
    hand.does(&["apply", "-i", "app", "--wait", "--prune", "-f", "app.yaml"], "");
    assert_eq!(hand.named("app").await, ["NS_a__ConfigMap"]);
}

#[story]
async fn the_first_interrupt_lets_a_write_come_to_its_end_and_the_second_does_not() {
    let hand = Hand::begin("hand-int-twice").await;
    let proxy = Proxy::before_api_server(hand.bed());
    hand.file_as_is("proxy", &proxy.kubeconfig(&hand.bed().admin_kubeconfig()));
    hand.file("app.yaml", &(config_map("a", "1") + &homeless("web")));
    let apply = ["apply", "-i", "app", "-f", "app.yaml", "--kubeconfig", "proxy"];
    let applies =
        |seen: &supercargo_testbed::proxy::Seen| seen.writes() && seen.path.contains("/configmaps/a?");

    proxy.hold_from(1, Moment::Before, applies);
    let child = hand.start(&apply);
    proxy.wait_held(Duration::from_secs(20), Moment::Before).expect("a write comes");
    signal(&child, "INT");
    proxy.pass_all();
    proxy.release();
    let ended = hand.end(child);
    let err = "building inventory...\napplying 2 manifest(s)...\nConfigMap/NS/a created\ninterrupted: applied objects are kept and recorded in the inventory; rerun to continue\n";
    assert_eq!(ended, Ended { code: Some(130), out: String::new(), err: err.to_owned() });
    assert!(hand.config_map("a").await.is_some());
    assert!(hand.named("app").await.contains(&"NS_a__ConfigMap".to_owned()));
    assert!(hand.story.object("apps/v1", "deployments", "web").await.is_none(), "nothing more has begun");

    hand.story.kubectl(&["delete", "configmap", "a"], "");
    proxy.hold_from(1, Moment::Before, applies);
    let mut child = hand.start(&apply);
    proxy.wait_held(Duration::from_secs(20), Moment::Before).expect("a write comes");
    signal(&child, "INT");
    // The second ends it whenever the first has been heard.
    let hurry = || {
        drop(Command::new("/bin/sh").args(["-c", &format!("kill -s INT {}", child.id())]).status());
        matches!(child.try_wait(), Ok(Some(_)))
    };
    assert!(supercargo_testbed::within(Duration::from_secs(20), hurry));
    assert_eq!(hand.end(child).code, Some(130));
    proxy.discard();
    hand.does(&["apply", "-i", "app", "-f", "app.yaml"], "");
    assert_eq!(hand.named("app").await, ["NS_a__ConfigMap", "NS_web_apps_Deployment"]);
}

/// More than are deleted at once, so that some have not begun.
const MANY: usize = 120;

fn many() -> String {
    (0..MANY).map(|n| config_map(&format!("m{n:03}"), "1")).collect()
}

/// Interrupts what a command says about the first object that it deletes: the
/// others wait at the proxy.
fn interrupted_at_a_deletion(hand: &Hand, proxy: &Proxy, arguments: &[&str]) -> Ended {
    let deletes = |seen: &supercargo_testbed::proxy::Seen| {
        seen.method == "DELETE" && !seen.path.contains("/configmaps/inv-")
    };
    proxy.hold_from(1, Moment::Before, deletes);
    let child = hand.start(arguments);
    proxy.wait_held(Duration::from_secs(20), Moment::Before).expect("a deletion comes");
    signal(&child, "INT");
    proxy.pass_all();
    proxy.release();
    hand.end(child)
}

#[story]
async fn an_interrupted_deletion_stops_deleting() {
    let hand = Hand::begin("hand-int-many").await;
    let proxy = Proxy::before_api_server(hand.bed());
    hand.file_as_is("proxy", &proxy.kubeconfig(&hand.bed().admin_kubeconfig()));
    let left = async |ended: Ended, message: &str| {
        assert_eq!(ended.code, Some(130), "{}", ended.err);
        let deleted = ended.err.matches(" deleted\n").count();
        assert!(ended.err.ends_with(&message.replace("{}", &deleted.to_string())), "{}", ended.err);
        let named = hand.named("app").await.iter().filter(|id| id.starts_with("NS_m")).count();
        assert!(0 < deleted && deleted < MANY && deleted + named == MANY, "{deleted} deleted, {named} left");
        let inventory = hand.config_map("inv-app").await.expect("the inventory");
        assert_eq!(inventory["metadata"]["finalizers"], serde_json::json!(null));
    };

    hand.does(&["apply", "-i", "app", "-f", "-"], &many());
    let ended = interrupted_at_a_deletion(&hand, &proxy, &["delete", "-i", "app", "--kubeconfig", "proxy"]);
    let rest =
        "interrupted: {} object(s) deleted, the remaining objects are in the inventory; rerun to continue\n";
    left(ended, rest).await;
    hand.does(&["delete", "-i", "app"], "");
    assert!(hand.config_map("inv-app").await.is_none() && hand.config_map("m000").await.is_none());

    hand.does(&["apply", "-i", "app", "-f", "-"], &many());
    hand.file("app.yaml", &config_map("a", "1"));
    let apply = ["apply", "-i", "app", "--prune", "-f", "app.yaml"];
    let through = [&apply[..], &["--kubeconfig", "proxy"]].concat();
    let ended = interrupted_at_a_deletion(&hand, &proxy, &through);
    let rest = "interrupted: applied, but deleted only {} object(s) no longer in the manifests; the inventory has the \
                rest: rerun the command to continue\n";
    left(ended, rest).await;
    hand.does(&apply, "");
    assert_eq!(hand.named("app").await, ["NS_a__ConfigMap"]);
}

#[story]
async fn an_interrupted_recreation_makes_nothing_more() {
    let hand = Hand::begin("hand-int-force").await;
    let job = |image: &str| {
        format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once, finalizers: [example.com/hold]}}\nspec:\n  \
             template:\n    spec: {{restartPolicy: Never, containers: [{{name: main, image: '{image}'}}]}}\n"
        )
    };
    hand.does(&["apply", "-i", "app", "-f", "-"], &job("main:1"));
    hand.file("app.yaml", &job("main:2"));
    let apply = ["apply", "-i", "app", "--force", "--timeout", "5m", "-f", "app.yaml"];
    let child = hand.start(&apply);
    let condemned = async || {
        let job = hand.story.object("batch/v1", "jobs", "once").await?;
        job["metadata"]["deletionTimestamp"].is_string().then_some(())
    };
    hand.story.wait_for("the Job is deleted and held", condemned).await;
    signal(&child, "INT");
    let ended = hand.end(child);
    let err = "building inventory...\napplying 1 manifest(s)...\ninterrupted: applied objects are kept and recorded in the inventory; rerun to continue\n";
    assert_eq!(ended, Ended { code: Some(130), out: String::new(), err: err.to_owned() });
    assert_eq!(hand.named("app").await, ["NS_once_batch_Job"]);
    hand.let_go("job/once");
    let gone = async || hand.story.object("batch/v1", "jobs", "once").await.is_none().then_some(());
    hand.story.wait_for("the Job goes", gone).await;
    hand.does(&apply, "");
    let made = hand.story.object("batch/v1", "jobs", "once").await.expect("the Job");
    assert_eq!(made.pointer("/spec/template/spec/containers/0/image"), Some(&serde_json::json!("main:2")));
    hand.let_go("job/once");
}
