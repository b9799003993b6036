//! Where objects without a namespace go, and where the inventory is.

use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

#[story]
async fn objects_without_a_namespace_go_to_that_of_the_flag_or_of_the_context() {
    let hand = Hand::begin("hand-where").await;
    let other = hand.story.another_namespace("hand-where-other");
    let mut kubeconfig: serde_json::Value = serde_json::from_str(&hand.kubeconfig()).expect("JSON");
    kubeconfig["contexts"][0]["context"]["namespace"] = other.as_str().into();
    let context = hand.file_as_is("context", &kubeconfig.to_string());
    let in_other =
        async |name: &str| hand.story.object_in(Some(&other), "v1", "configmaps", name).await.is_some();

    // -n wins over the context, and is the inventory's too.
    hand.does(&["apply", "-i", "flag", "--kubeconfig", &context, "-f", "-"], &config_map("a", "1"));
    assert!(hand.config_map("a").await.is_some() && hand.config_map("inv-flag").await.is_some());

    let mut command =
        hand.command(&["apply", "-i", "context", "-f", "-", "--kubeconfig", &context, "--namespace="]);
    let refused = supercargo_testbed::bed::run(&mut command, "");
    assert_eq!(refused.status.code(), Some(2), "an empty namespace is none");

    let inventory = ["--inventory-namespace", "NS"];
    let mut command =
        hand.command(&[&["apply", "-i", "split", "-f", "-", "-n", &other], &inventory[..]].concat());
    let split = supercargo_testbed::bed::run(&mut command, &config_map("b", "1"));
    assert_eq!(split.status.code(), Some(0), "{split:?}");
    assert!(in_other("b").await && hand.config_map("inv-split").await.is_some());
    assert!(!in_other("inv-split").await);
    hand.does(&["delete", "-i", "split"], "");
    assert!(!in_other("b").await);

    // Without -n all is as the context says.
    let mut command = supercargo_testbed::processes::command(crate::scene::BINARY);
    command.args(["apply", "-i", "context", "-f", "-", "--kubeconfig", &context]);
    let given = supercargo_testbed::bed::run(&mut command, &config_map("c", "1"));
    assert_eq!(given.status.code(), Some(0), "{given:?}");
    assert!(in_other("c").await && in_other("inv-context").await);
}

#[story]
async fn the_inventorys_own_namespace_may_be_in_the_set() {
    let hand = Hand::begin("hand-home").await;
    let home = hand.story.reserve_namespace("hand-home-own");
    let set =
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {home}}}\n---\n") + &config_map("a", "1");
    let there = |arguments: &[&str]| {
        let all: Vec<&str> = arguments.iter().copied().chain(["-n", home.as_str()]).collect();
        hand.run(&all, &set)
    };
    let refused = there(&["apply", "-i", "app", "-f", "-"]);
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.err,
        format!(
            "building inventory...\napplying 2 manifest(s)...\nerror: cannot write the inventory {home}/inv-app: \
             namespaces \"{home}\" not found (--create-namespace creates it)\n"
        )
    );
    for _ in 0..3 {
        let applied = there(&["apply", "-i", "app", "--create-namespace", "--wait", "-f", "-"]);
        assert_eq!(applied.code, Some(0), "{}", applied.err);
        // It may still be going when the next begins.
        let deleted = there(&["delete", "-i", "app"]);
        assert_eq!(
            (deleted.code, deleted.err),
            (
                Some(0),
                format!(
                    "retrieving inventory...\ndeleting 2 manifest(s)...\nConfigMap/{home}/a deleted\nNamespace/{home} \
                     deleted\nConfigMap/{home}/inv-app deleted\nwaiting for resources to be terminated...\nall resources \
                     have been deleted\n"
                )
            )
        );
        assert!(hand.story.object_in(None, "v1", "namespaces", &home).await.is_none());
    }
    let applied = there(&["apply", "-i", "app", "--create-namespace", "-f", "-"]);
    assert_eq!(applied.code, Some(0), "{}", applied.err);
    let deleted = there(&["delete", "-i", "app", "--wait=false"]);
    assert_eq!(deleted.code, Some(0), "{}", deleted.err);
    let gone = async || hand.story.object_in(None, "v1", "namespaces", &home).await.is_none().then_some(());
    hand.story.wait_for("the namespace goes without anybody's help", gone).await;
}

#[story]
async fn the_inventorys_own_namespace_goes_whoever_has_begun_and_whatever_left_it() {
    let hand = Hand::begin("hand-home-left").await;
    let home = hand.story.reserve_namespace("hand-home-left-own");
    let namespace = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {home}}}\n---\n");
    let there = |arguments: &[&str], stdin: &str| {
        let all: Vec<&str> = arguments.iter().copied().chain(["-n", home.as_str()]).collect();
        let ended = hand.run(&all, stdin);
        assert_eq!(ended.code, Some(0), "{}", ended.err);
    };
    let gone = async || hand.story.object_in(None, "v1", "namespaces", &home).await.is_none().then_some(());
    let set = namespace + &config_map("a", "1");

    // One that was killed when it had the inventory held, and one that does not wait.
    there(&["apply", "-i", "app", "--create-namespace", "-f", "-"], &set);
    let left = r#"{"metadata":{"finalizers":["supercargo.dev/finalizer"]}}"#;
    let patch = ["patch", "configmap", "inv-app", "--type=merge", "--patch", left, "-n", &home];
    hand.story.kubectl(&patch, "");
    there(&["delete", "-i", "app", "--wait=false"], "");
    hand.story.wait_for("nothing of ours holds the namespace", gone).await;

    // One that left the manifests and stayed is deleted as the others are: the
    // inventory is held before anything goes.
    there(&["apply", "-i", "app", "--create-namespace", "-f", "-"], &set);
    there(&["apply", "-i", "app", "-f", "-"], &config_map("a", "1"));
    let requests = hand.requests(|| there(&["delete", "-i", "app"], ""));
    let first = requests.iter().find(|r| r.writes()).expect("a write");
    assert!(first.uri.contains("/configmaps/inv-app") && first.verb == "update", "{first:?}");
    hand.story.wait_for("the namespace goes", gone).await;
}
