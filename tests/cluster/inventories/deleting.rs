//! `delete`: in reverse, in Kustomizer's words, and nothing forgotten.

use std::time::Duration;

use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::{Profiles, Proxy, story};

use super::hand::{Hand, config_map, deployment, held};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

const BEGUN: &str = "retrieving inventory...\n";
const WAIT: &str = "waiting for resources to be terminated...\n";
const DONE: &str = "all resources have been deleted\n";

#[story]
async fn b18_everything_goes_in_reverse_and_the_inventory_by_its_real_name() {
    let hand = Hand::begin("hand-delete").await;
    let set = config_map("a", "1") + &config_map("b", "1") + &deployment("web", "", "");
    hand.does(&["apply", "-i", "app", "--wait", "-f", "-"], &set);
    hand.says(
        &["delete", "-i", "app"],
        "",
        0,
        "",
        &format!(
            "{BEGUN}deleting 3 manifest(s)...\nDeployment/NS/web deleted\nConfigMap/NS/b deleted\nConfigMap/NS/a \
             deleted\nConfigMap/NS/inv-app deleted\n{WAIT}{DONE}"
        ),
    );
    for name in ["a", "b", "inv-app"] {
        assert!(hand.config_map(name).await.is_none(), "{name}");
    }
    assert!(hand.story.object("apps/v1", "deployments", "web").await.is_none());
    hand.says(
        &["delete", "inventory", "app"],
        "",
        1,
        "",
        &format!(
            "{BEGUN}error: inventory app not found in namespace NS; list all with `supercargo get inventories`\n"
        ),
    );
}

#[story]
async fn what_is_held_stays_in_the_inventory_until_the_delete_that_finds_it_gone() {
    let hand = Hand::begin("hand-finalizer").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &(held("held") + &config_map("a", "1")));
    let error = "error: not gone within --timeout (1s):\n  ConfigMap/NS/held: still terminating, waiting for finalizer \
                 example.com/hold\nto finish, run: supercargo delete -i app --inventory-namespace NS\n";
    let delete = ["delete", "-i", "app", "--timeout", "1s"];
    let gone = "ConfigMap/NS/inv-app deleted\n";
    hand.says(
        &delete,
        "",
        1,
        "",
        &format!(
            "{BEGUN}deleting 2 manifest(s)...\nConfigMap/NS/held deleted\nConfigMap/NS/a deleted\n{gone}{WAIT}{error}"
        ),
    );
    assert_eq!(hand.named("app").await, ["NS_held__ConfigMap"]);
    hand.says(
        &["apply", "-i", "app", "-f", "-"],
        &config_map("a", "1"),
        1,
        "",
        "building inventory...\napplying 1 manifest(s)...\nerror: the inventory NS/inv-app is being deleted: finish \
         the deletion first with `supercargo delete -i app --inventory-namespace NS`\n",
    );
    hand.says(&delete, "", 1, "", &format!("{BEGUN}deleting 1 manifest(s)...\n{gone}{WAIT}{error}"));
    hand.let_go("configmap/held");
    hand.says(&delete, "", 0, "", &format!("{BEGUN}deleting 1 manifest(s)...\n{gone}{WAIT}{DONE}"));
    assert!(hand.config_map("inv-app").await.is_none());
}

#[story]
async fn what_is_held_goes_before_what_may_have_to_let_it_go() {
    let hand = Hand::begin("hand-held-up").await;
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: operator}\n---\n";
    let exists = async || hand.story.object("v1", "serviceaccounts", "operator").await.is_some();
    hand.does(&["apply", "-i", "app", "-f", "-"], &(held("held") + account));
    let error = "error: not gone within --timeout (1s):\n  ConfigMap/NS/held: still terminating, waiting for finalizer \
                 example.com/hold\n  ServiceAccount/NS/operator: not deleted yet, waits for the terminating objects\n\
                 to finish, run: supercargo delete -i app --inventory-namespace NS\n";
    let delete = ["delete", "-i", "app", "--timeout", "1s"];
    let gone = "ConfigMap/NS/inv-app deleted\n";
    hand.says(
        &delete,
        "",
        1,
        "",
        &format!("{BEGUN}deleting 2 manifest(s)...\nConfigMap/NS/held deleted\n{gone}{WAIT}{error}"),
    );
    assert!(exists().await);
    assert_eq!(hand.named("app").await, ["NS_held__ConfigMap", "NS_operator__ServiceAccount"]);
    // One that waits goes on by itself.
    let child = hand.start(&["delete", "-i", "app", "--timeout", "60s"]);
    hand.let_go("configmap/held");
    let ended = hand.end(child);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(!exists().await && hand.config_map("inv-app").await.is_none());
    // So does the next of those that do not wait.
    hand.does(&["apply", "-i", "app", "-f", "-"], &(held("held") + account));
    let told = hand.does(&["apply", "-i", "app", "--prune", "-f", "-"], &config_map("a", "1"));
    let says = "warning: deletion of 1 object waits for ConfigMap/NS/held (waiting for finalizer example.com/hold); \
                the inventory has the rest: rerun the command to continue\n";
    assert!(told.ends_with(says), "{told}");
    hand.let_go("configmap/held");
    hand.does(&["apply", "-i", "app", "--prune", "-f", "-"], &config_map("a", "1"));
    assert!(!exists().await);
    assert_eq!(hand.named("app").await, ["NS_a__ConfigMap"]);
    hand.does(&["delete", "-i", "app"], "");
}

#[story]
async fn nobody_waits_with_wait_false_and_the_inventory_says_what_is_left() {
    let hand = Hand::begin("hand-nowait").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &(held("held") + &config_map("a", "1")));
    let delete = ["delete", "-i", "app", "--wait=false"];
    let left = "not gone yet:\n  ConfigMap/NS/held: still terminating, waiting for finalizer example.com/hold\nto finish, run: supercargo delete -i app --inventory-namespace NS\n";
    hand.says(
        &delete,
        "",
        0,
        "",
        &format!(
            "{BEGUN}deleting 2 manifest(s)...\nConfigMap/NS/held deleted\nConfigMap/NS/a deleted\n{left}"
        ),
    );
    assert_eq!(hand.named("app").await, ["NS_held__ConfigMap"]);
    // The name is free for the next thing all the same.
    hand.let_go("configmap/held");
    hand.says(
        &delete,
        "",
        0,
        "",
        &format!("{BEGUN}deleting 1 manifest(s)...\nConfigMap/NS/inv-app deleted\n{DONE}"),
    );
    assert!(hand.config_map("inv-app").await.is_none());
}

#[story]
async fn what_is_gone_already_and_what_opts_out_are_no_error() {
    let hand = Hand::begin("hand-optout").await;
    let kept = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {supercargo.dev/prune: \
                disabled}}\n---\n";
    let set = config_map("gone", "1") + kept + &config_map("a", "1");
    hand.does(&["apply", "-i", "app", "-f", "-"], &set);
    hand.story.kubectl(&["delete", "configmap", "gone"], "");
    hand.says(
        &["delete", "-i", "app"],
        "",
        0,
        "",
        &format!(
            "{BEGUN}deleting 3 manifest(s)...\nConfigMap/NS/a deleted\nConfigMap/NS/inv-app \
             deleted\n{WAIT}ConfigMap/NS/kept kept (annotation supercargo.dev/prune: disabled)\nall other \
             resources have been deleted\n"
        ),
    );
    assert!(hand.config_map("kept").await.is_some());
    // Whoever comes next may have it.
    hand.does(&["apply", "-i", "next", "-f", "-"], kept);
}

#[story]
async fn an_entry_whose_kind_is_gone_is_gone() {
    let hand = Hand::begin("hand-nocrd").await;
    let group = format!("{}.example.com", hand.namespace());
    let crd = format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  names: {{kind: Widget, plural: widgets}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
"
    );
    let widget = format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\n---\n");
    hand.does(&["apply", "-i", "kind", "-f", "-"], &crd);
    hand.does(&["apply", "-i", "app", "-f", "-"], &(widget.clone() + &config_map("a", "1")));
    hand.does(
        &["apply", "-i", "pruned", "-f", "-"],
        &(widget.replace("name: w", "name: v") + &config_map("b", "1")),
    );
    hand.does(&["delete", "-i", "kind"], "");
    let told = hand.does(&["apply", "-i", "pruned", "--prune", "-f", "-"], &config_map("b", "1"));
    assert!(told.ends_with("applying 1 manifest(s)...\nConfigMap/NS/b unchanged\n"), "{told}");
    assert_eq!(hand.named("pruned").await, ["NS_b__ConfigMap"]);
    hand.says(
        &["delete", "-i", "app"],
        "",
        0,
        "",
        &format!("{BEGUN}deleting 2 manifest(s)...\nConfigMap/NS/a deleted\nConfigMap/NS/inv-app deleted\n{WAIT}{DONE}"),
    );
}

#[story]
async fn an_inventory_that_an_apply_has_written_meanwhile_stays() {
    let hand = Hand::begin("hand-meanwhile").await;
    let proxy = Proxy::before_api_server(hand.bed());
    hand.file_as_is("proxy", &proxy.kubeconfig(&hand.bed().admin_kubeconfig()));
    // Its deletion; a finalizer of ours is taken off first.
    let removes = |seen: &Seen| seen.writes() && seen.path.contains("/configmaps/inv-app");
    for left in [false, true] {
        hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("a", "1"));
        if left {
            let finalizer = r#"{"metadata":{"finalizers":["supercargo.dev/finalizer"]}}"#;
            hand.story.kubectl(&["patch", "configmap", "inv-app", "--type=merge", "--patch", finalizer], "");
        }
        proxy.hold_from(1, Moment::Before, removes);
        let child = hand.start(&["delete", "-i", "app", "--kubeconfig", "proxy"]);
        proxy.wait_held(Duration::from_secs(20), Moment::Before).expect("the inventory is to be removed");
        hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("b", "1"));
        proxy.pass_all();
        proxy.release();
        let ended = hand.end(child);
        assert_eq!(ended.code, Some(1), "{}", ended.err);
        let told = "error: another client changes the inventory NS/inv-app at the same time; try again\n";
        assert!(ended.err.ends_with(told), "{}", ended.err);
        assert!(hand.named("app").await.contains(&"NS_b__ConfigMap".to_owned()));
        hand.does(&["delete", "-i", "app"], "");
        assert!(hand.config_map("b").await.is_none() && hand.config_map("inv-app").await.is_none());
    }
}

#[story]
async fn a_label_that_changes_meanwhile_is_no_reason_to_stop() {
    let hand = Hand::begin("hand-label").await;
    let proxy = Proxy::before_api_server(hand.bed());
    hand.file_as_is("proxy", &proxy.kubeconfig(&hand.bed().admin_kubeconfig()));
    hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("a", "1"));
    proxy.hold_from(1, Moment::Before, |seen| seen.writes() && seen.path.contains("/configmaps/inv-app"));
    let child = hand.start(&["delete", "-i", "app", "--kubeconfig", "proxy"]);
    proxy.wait_held(Duration::from_secs(20), Moment::Before).expect("the inventory is to be removed");
    hand.story.kubectl(&["label", "configmap", "inv-app", "team=web"], "");
    proxy.pass_all();
    proxy.release();
    let ended = hand.end(child);
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    assert!(hand.config_map("inv-app").await.is_none());
}
