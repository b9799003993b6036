//! What goes wrong, told to the person who must act, with the exit code.

use std::process::Command;

use serde_json::json;
use supercargo_testbed::{Profiles, bed, story};

use super::hand::{Ended, Hand, config_map};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

#[story]
async fn a_cluster_that_cannot_be_reached_is_named() {
    let hand = Hand::begin("hand-away").await;
    let input = config_map("a", "1");
    let server = ["-s", "https://127.0.0.1:1"];
    let why = "the API server does not answer: https://127.0.0.1:1: Connection refused (os error 111)\n";
    let with = |arguments: &[&'static str]| [arguments, &server].concat();
    let check =
        |arguments: &[&'static str], code: i32, err: &str| hand.says(&with(arguments), &input, code, "", err);
    check(&["get", "inventories"], 1, &format!("error: {why}"));
    check(&["apply", "-i", "app", "-f", "-"], 1, &format!("building inventory...\nerror: {why}"));
    check(&["delete", "-i", "app"], 1, &format!("retrieving inventory...\nerror: {why}"));
    let unread = "error: cannot read the inventory NS/inv-app: ";
    check(&["diff", "-i", "app", "-f", "-"], 2, &format!("{unread}{why}"));
    check(&["inspect", "inventory", "app"], 1, &format!("{unread}{why}"));
}

#[story]
async fn a_kubeconfig_that_cannot_be_used_says_how() {
    let hand = Hand::begin("hand-config").await;
    hand.file("broken", "foo: [");
    let check = |arguments: &[&str], err: &str| {
        hand.says(&[&["get", "inventories"], arguments].concat(), "", 1, "", &format!("error: {err}\n"));
        let diff = hand.run(&[&["diff", "-i", "app", "-f", "-"], arguments].concat(), "");
        assert_eq!(diff.code, Some(2));
    };
    check(
        &["--kubeconfig", "nope"],
        "cannot read the kubeconfig nope: No such file or directory (os error 2)",
    );
    check(&["--context", "nope"], "the kubeconfig has no context \"nope\"; it has testbed");
    check(&["--cluster", "nope"], "the kubeconfig has no cluster \"nope\"; it has testbed");
    check(
        &["--token", "nope", "--kubeconfig", "tokenless"],
        "cannot read the kubeconfig tokenless: No such file or directory (os error 2)",
    );
    let broken = hand.run(&["get", "inventories", "--kubeconfig", "broken"], "");
    assert!(broken.err.starts_with("error: invalid kubeconfig: failed to parse"), "{}", broken.err);
    assert_eq!(broken.err.lines().count(), 1, "{}", broken.err);
    let without = |set: fn(&mut Command) -> &mut Command| {
        let mut command = hand.command(&["get", "inventories"]);
        set(&mut command);
        Ended::of(&bed::run(&mut command, ""), hand.namespace())
    };
    let none = "error: no cluster is configured: set KUBECONFIG or --kubeconfig to a kubeconfig file, or create \
                ~/.kube/config\n";
    assert_eq!(without(|c| c.env_remove("KUBECONFIG")).err, none);
    assert_eq!(without(|c| c.env("KUBECONFIG", "")).err, none);
    let named = without(|c| c.env("KUBECONFIG", "/nope"));
    assert_eq!(
        named.err,
        "error: cannot read the kubeconfig /nope: No such file or directory (os error 2)\n"
    );
    let admin = hand.bed().kubeconfig_for_token("nope");
    hand.file_as_is("stranger", &admin);
    hand.says(
        &["get", "inventories", "--kubeconfig", "stranger"],
        "",
        1,
        "",
        "error: the API server rejected your credentials (401 Unauthorized): check the user of the kubeconfig context, or log in again\n",
    );
}

#[story]
async fn arguments_that_make_no_sense_are_refused_before_anything_else() {
    let hand = Hand::begin("hand-usage").await;
    let says =
        "it must be at most 63 lower case letters, digits or '-', and must not begin or end with '-'\n";
    let check = |arguments: &[&str], err: &str| hand.says(arguments, "", 2, "", &format!("error: {err}"));
    check(&["get", "inventories", "-n", "../x"], &format!("invalid namespace name \"../x\": {says}"));
    check(
        &["delete", "-i", "app", "--inventory-namespace", "A"],
        &format!("invalid namespace name \"A\": {says}"),
    );
    check(
        &["delete", "-i", "X_Y"],
        "invalid inventory name \"X_Y\": it must be at most 63 lower case letters, digits, '-' or '.', and must not have '-' or '.' at the ends or next to a '.'\n",
    );
    for missing in [&["apply", "-f", "-"][..], &["delete"], &["diff", "-f", "-"]] {
        let ended = hand.run(missing, "");
        assert_eq!(ended.code, Some(2));
        assert!(ended.err.contains("--inventory-name <NAME>"), "{}", ended.err);
    }
}

#[story]
async fn every_object_that_is_refused_is_named_and_nothing_is_written() {
    let hand = Hand::begin("hand-refused").await;
    let input = config_map("fine", "1")
        + "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: g}\n---\n"
        + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: wrong}\ndata: {a: [b]}\n---\n"
        + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Wrong}\n---\n";
    let ended = hand.run(&["apply", "-i", "app", "-f", "-"], &input);
    assert_eq!(ended.code, Some(1));
    let told = "error: nothing applied, dry run failed for 3 objects:\n  ConfigMap/NS/Wrong: ";
    assert!(ended.err.contains(told), "{}", ended.err);
    for line in [
        "\n  ConfigMap/NS/wrong: failed to create typed patch object (NS/wrong; /v1, Kind=ConfigMap): .data.a: expected \
         string, got &value.valueUnstructured{Value:[]interface {}{\"b\"}}\n",
        "\n  Gadget/NS/g: no matches for kind \"Gadget\" in version \"example.com/v1\": install its \
         CustomResourceDefinition first, or add it to the manifests\n",
    ] {
        assert!(ended.err.contains(line), "{}", ended.err);
    }
    assert!(hand.config_map("fine").await.is_none() && hand.config_map("inv-app").await.is_none());
    for (megabytes, says) in [
        (5, "ConfigMap/NS/big: Request entity too large: limit is 3145728\n"),
        (
            2,
            "ConfigMap/NS/big: ConfigMap \"big\" is invalid: []: Too long: may not be more than 1048576 bytes\n",
        ),
    ] {
        let big = config_map("big", &"x".repeat(megabytes << 20));
        let ended = hand.run(&["apply", "-i", "app", "-f", "-"], &(config_map("fine", "1") + &big));
        assert_eq!(ended.code, Some(1));
        assert!(ended.err.ends_with(says), "{}", ended.err);
    }
    assert!(hand.config_map("fine").await.is_none());
}

#[story]
async fn inputs_that_cannot_be_read_are_named() {
    let hand = Hand::begin("hand-inputs").await;
    let check = |arguments: &[&str], code: i32, err: &str| {
        let all = [&["apply", "-i", "app"], arguments].concat();
        hand.says(&all, "", code, "", &format!("building inventory...\nerror: {err}\n"));
    };
    check(&["-f", "nope.yaml"], 1, "cannot read nope.yaml: No such file or directory (os error 2)");
    check(&["-k", "nope"], 1, "nope is not a directory; use -f for plain manifests");
    check(&["-f", "-"], 1, "the input contains no objects");
    hand.says(
        &["apply", "-i", "app"],
        "",
        2,
        "",
        "error: no input; set -f FILE, DIR or -, -k DIR with a kustomization, or -a oci://… with an artifact\n",
    );
    // A stdin that is closed is an empty one.
    let script = format!("exec {} apply -i app -f - -n {} <&-", crate::scene::BINARY, hand.namespace());
    let mut shell = supercargo_testbed::processes::command("/bin/sh");
    shell.args(["-c", &script]).env("KUBECONFIG", hand.directory().join("kubeconfig"));
    let ended = Ended::of(&shell.output().expect("run a shell"), hand.namespace());
    assert_eq!(ended.err, "building inventory...\nerror: the input contains no objects\n");
}

/// A person with some rights in the namespace, by a kubeconfig `name`.
fn person(hand: &Hand, name: &str, rules: &str) {
    let user = format!("{}-{name}", hand.namespace());
    let kubeconfig = hand.bed().kubeconfig_for_user(&user, None);
    hand.file_as_is(name, &kubeconfig);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name});
    let subject = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name}, "roleRef": role, "subjects": [subject]});
    let role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules: [{rules}]\n---\n{binding}\n"
    );
    hand.story.apply(&role);
}

#[story]
async fn missing_rights_are_named_by_verb_and_resource() {
    let hand = Hand::begin("hand-rights").await;
    let maps = |verbs: &str| format!("{{apiGroups: [''], resources: [configmaps], verbs: [{verbs}]}}");
    person(&hand, "nobody", "");
    person(&hand, "modest", &maps("get, create, update, patch, delete"));
    person(&hand, "reader", &maps("get, list, watch, create, update"));
    let as_person = |name: &str, arguments: &[&str]| {
        let all = [arguments, &["--kubeconfig", name]].concat();
        // The rights follow their binding a little later.
        hand.run(&all, &config_map("a", "1"))
    };
    // Rights are there once the last of them shows.
    let ready =
        async || as_person("reader", &["get", "inventories"]).code.filter(|code| *code == 0).map(drop);
    hand.story.wait_for("the rights have come through", ready).await;

    let forbidden = |what: &str, verb: &str, user: &str| {
        format!(
            "{what}User \"NS-{user}\" cannot {verb} resource \"configmaps\" in API group \"\" in the namespace \"NS\""
        )
    };
    let unread = forbidden("configmaps \"inv-app\" is forbidden: ", "get", "nobody");
    let ended = as_person("nobody", &["apply", "-i", "app", "-f", "-"]);
    let begun = "building inventory...\n";
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.err, format!("{begun}error: cannot read the inventory NS/inv-app: {unread}\n"));
    let everywhere = hand.run(&["get", "inventories", "-A", "--kubeconfig", "nobody"], "");
    assert_eq!(
        everywhere.err,
        "error: configmaps is forbidden: User \"NS-nobody\" cannot list resource \"configmaps\" in API group \"\" at the \
         cluster scope; use -n NAMESPACE to list one namespace\n"
    );

    let ghost = hand.run(&["get", "inventories", "--as", "ghost"], "");
    assert_eq!(
        ghost.err,
        "error: configmaps is forbidden: User \"ghost\" cannot list resource \"configmaps\" in API group \"\" in the \
         namespace \"NS\"\n"
    );

    // Who may neither list nor watch is served all the same.
    let applied = as_person("modest", &["apply", "-i", "app", "-f", "-"]);
    assert_eq!(applied.err, format!("{begun}applying 1 manifest(s)...\nConfigMap/NS/a created\n"));
    let again = as_person("modest", &["apply", "-i", "app", "--prune", "-f", "-"]);
    assert_eq!(again.err, format!("{begun}applying 1 manifest(s)...\nConfigMap/NS/a unchanged\n"));

    // Whose inventory they may not read is taken for the owner.
    hand.story.kubectl(&["create", "configmap", "theirs"], "");
    let labels = ["supercargo.dev/name=other", "supercargo.dev/namespace=kube-system"];
    hand.story.kubectl(&[&["label", "configmap", "theirs"], &labels[..]].concat(), "");
    hand.file("theirs.yaml", &config_map("theirs", "1"));
    let refused = as_person("modest", &["apply", "-i", "app", "-f", "theirs.yaml"]);
    assert_eq!(
        refused.err,
        format!(
            "{begun}applying 1 manifest(s)...\nerror: nothing applied, ownership conflict on 1 object:\n  \
             ConfigMap/NS/theirs: belongs to the release kube-system/other: remove it from one of the two\n"
        )
    );

    let drift = r#"{"data":{"v":"2"}}"#;
    hand.story.kubectl(&["patch", "configmap", "a", "--type=merge", "-p", drift], "");
    let ended = as_person("reader", &["apply", "-i", "app", "-f", "-"]);
    assert_eq!(ended.code, Some(1));
    let denied = forbidden("configmaps \"a\" is forbidden: ", "patch", "reader");
    assert!(
        ended.err.ends_with(&format!("  ConfigMap/NS/a: your account cannot apply it: {denied}\n")),
        "{}",
        ended.err
    );
    let ended = as_person("reader", &["delete", "-i", "app"]);
    assert_eq!(ended.code, Some(1));
    let denied = forbidden("configmaps \"a\" is forbidden: ", "delete", "reader");
    assert_eq!(
        ended.err,
        format!(
            "retrieving inventory...\ndeleting 1 manifest(s)...\nerror: deleted only part, the inventory has the \
             rest; deletion failed for 1 object:\n  ConfigMap/NS/a: cannot delete it: {denied}\n"
        )
    );
    assert_eq!(hand.named("app").await, ["NS_a__ConfigMap"]);
    let deleted = as_person("modest", &["delete", "-i", "app"]);
    assert_eq!(deleted.code, Some(0), "{}", deleted.err);
}
