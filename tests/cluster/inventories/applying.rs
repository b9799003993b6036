//! `apply`: what it writes, says and costs; what it never deletes.

use std::fmt::Write;

use serde_json::json;
use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map, held};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

const APP: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data: {v: '1'}
---
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

fn lines(count: usize, objects: &str) -> String {
    format!("building inventory...\napplying {count} manifest(s)...\n{objects}")
}

#[story]
async fn a_first_apply_creates_all_and_the_next_finds_it_unchanged() {
    let hand = Hand::begin("hand-first").await;
    let objects = "ConfigMap/NS/config created\nSecret/NS/key created\nService/NS/web created\n";
    let apply = ["apply", "-i", "app", "-f", "-", "--source", "there", "--revision", "1"];
    hand.says(&apply, APP, 0, "", &lines(3, objects));
    hand.says(&apply, APP, 0, "", &lines(3, &objects.replace("created", "unchanged")));
    // The noun of Kustomizer 2, and its alias.
    for noun in ["inventory", "inv"] {
        let apply = ["apply", noun, "app", "-f", "-", "--source", "there", "--revision", "1"];
        hand.says(&apply, APP, 0, "", &lines(3, &objects.replace("created", "unchanged")));
    }
    let labels = hand.config_map("config").await.expect("it exists")["metadata"]["labels"].clone();
    assert_eq!(labels, json!({"supercargo.dev/name": "app", "supercargo.dev/namespace": hand.namespace()}));
    let inventory = hand.config_map("inv-app").await.expect("there is an inventory");
    let metadata = &inventory["metadata"];
    assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "app");
    assert_eq!(metadata["labels"]["app.kubernetes.io/component"], "inventory");
    assert_eq!(metadata["finalizers"], json!(null), "a person's namespace waits for nobody");
    assert_eq!(hand.named("app").await, ["NS_config__ConfigMap", "NS_key__Secret", "NS_web__Service"]);
    let changed = APP.replace("'1'", "'2'").replace("hunter2", "hunter3");
    let objects = "ConfigMap/NS/config configured\nSecret/NS/key configured\nService/NS/web unchanged\n";
    hand.says(&apply, &changed, 0, "", &lines(3, objects));
}

#[story]
async fn an_unchanged_apply_looks_once_a_kind_and_writes_its_secrets_and_that_it_was_applied() {
    let hand = Hand::begin("hand-quiet").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], APP);
    let requests = hand.requests(|| {
        hand.does(&["apply", "-i", "app", "-f", "-"], APP);
    });
    let count = |verb: &str, resource: &str| {
        requests.iter().filter(|r| r.verb == verb && r.resource == resource).count()
    };
    let told: Vec<String> = requests.iter().map(|r| r.summary()).collect();
    for kind in ["configmaps", "secrets", "services"] {
        // The list is the beginning of the watch.
        assert_eq!((count("list", kind), count("watch", kind)), (0, 1), "{kind}: {told:#?}");
    }
    let writes: Vec<_> = requests.iter().filter(|r| r.verb != "watch" && r.writes()).collect();
    // A Secret is applied each time: what could tell that it is the same would let
    // others check guesses.
    let writes: Vec<_> = writes.iter().map(|r| (r.verb.as_str(), r.name.as_str())).collect();
    assert_eq!(writes, [("patch", "key"), ("update", "inv-app")], "{told:#?}");
    let dry: Vec<_> = requests.iter().filter(|r| r.uri.contains("dryRun")).map(|r| r.name.as_str()).collect();
    assert_eq!(dry, ["key"], "{told:#?}");
    // Two of discovery, the release of the same name, two parts of the inventory.
    let rest = requests.iter().filter(|r| r.verb == "get").count();
    assert_eq!(rest, 5, "{told:#?}");
}

#[story]
async fn b3_what_left_without_prune_is_remembered_until_a_prune() {
    let hand = Hand::begin("hand-b3").await;
    let both = config_map("stays", "1") + &config_map("leaves", "1");
    hand.does(&["apply", "-i", "app", "-f", "-"], &both);
    let one = config_map("stays", "1");
    hand.says(&["apply", "-i", "app", "-f", "-"], &one, 0, "", &lines(1, "ConfigMap/NS/stays unchanged\n"));
    assert_eq!(hand.named("app").await, ["NS_leaves__ConfigMap", "NS_stays__ConfigMap"]);
    let deleted = "ConfigMap/NS/stays unchanged\nConfigMap/NS/leaves deleted\n";
    hand.says(&["apply", "-i", "app", "--prune", "-f", "-"], &one, 0, "", &lines(1, deleted));
    assert_eq!(hand.named("app").await, ["NS_stays__ConfigMap"]);
    assert!(hand.config_map("leaves").await.is_none());
}

#[story]
async fn b1_an_empty_input_deletes_nothing() {
    let hand = Hand::begin("hand-b1").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &config_map("a", "1"));
    hand.file("empty/readme.md", "nothing");
    let empty = "empty contains no .yaml, .yml or .json file";
    for (source, why) in [("-", "the input contains no objects"), ("empty", empty)] {
        hand.says(
            &["apply", "-i", "app", "--prune", "-f", source],
            "---\n# nothing\n",
            1,
            "",
            &format!("building inventory...\nerror: {why}\n"),
        );
    }
    assert!(hand.config_map("a").await.is_some());
}

#[story]
async fn b2_only_what_is_provably_ours_is_pruned() {
    let hand = Hand::begin("hand-b2").await;
    let names = ["anew", "moved", "unlabelled", "kept"];
    let all: String = names.iter().map(|name| config_map(name, "1")).collect();
    hand.does(&["apply", "-i", "app", "-f", "-"], &(all + &config_map("stays", "1")));
    let kubectl = |arguments: &[&str]| hand.story.kubectl(arguments, "");
    kubectl(&["delete", "configmap", "anew"]);
    let namespace = format!("supercargo.dev/namespace={}", hand.namespace());
    kubectl(&["create", "configmap", "anew"]);
    kubectl(&["label", "configmap", "anew", "supercargo.dev/name=app", &namespace]);
    kubectl(&["label", "--overwrite", "configmap", "moved", "supercargo.dev/name=other"]);
    kubectl(&["label", "configmap", "unlabelled", "supercargo.dev/name-", "supercargo.dev/namespace-"]);
    kubectl(&["annotate", "configmap", "kept", "supercargo.dev/prune=disabled"]);
    let told = hand.does(&["apply", "-i", "app", "--prune", "-f", "-"], &config_map("stays", "1"));
    assert_eq!(
        told,
        lines(1, "ConfigMap/NS/stays unchanged\n")
            + "warning: ConfigMap/NS/unlabelled is not deleted and leaves the inventory: it has no owner labels\n"
            + "warning: ConfigMap/NS/moved is not deleted and leaves the inventory: its labels say that it \
               belongs to NS/other\n"
            + "warning: ConfigMap/NS/anew is not deleted and leaves the inventory: it is not the object that \
               was applied (the uid differs)\n"
    );
    for name in names {
        assert!(hand.config_map(name).await.is_some(), "{name}");
    }
    assert_eq!(hand.named("app").await, ["NS_kept__ConfigMap", "NS_stays__ConfigMap"]);
}

#[story]
async fn what_is_pruned_and_held_fails_a_waiting_apply_and_stays_in_the_inventory() {
    let hand = Hand::begin("hand-held").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &(held("held") + &config_map("stays", "1")));
    let apply = ["apply", "-i", "app", "--prune", "--wait", "--timeout", "1s", "-f", "-"];
    let waited =
        "ConfigMap/NS/stays unchanged\nwaiting for resources to become ready...\nall resources are ready\n";
    let error = "error: not gone within --timeout (1s):\n  ConfigMap/NS/held: still terminating, waiting for \
                 finalizer example.com/hold\n";
    let deleted = "ConfigMap/NS/held deleted\n";
    let stays = config_map("stays", "1");
    hand.says(&apply, &stays, 1, "", &(lines(1, waited) + deleted + error));
    assert_eq!(hand.named("app").await, ["NS_held__ConfigMap", "NS_stays__ConfigMap"]);
    hand.says(&apply, &stays, 1, "", &(lines(1, waited) + error));
    hand.let_go("configmap/held");
    hand.says(&apply, &stays, 0, "", &lines(1, waited));
    assert_eq!(hand.named("app").await, ["NS_stays__ConfigMap"]);
}

#[story]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let hand = Hand::begin("hand-dry").await;
    hand.does(&["apply", "-i", "app", "-f", "-"], &(config_map("a", "1") + &config_map("leaves", "1")));
    let next = config_map("a", "2") + &config_map("new", "1");
    let requests = hand.requests(|| {
        hand.says(
            &["apply", "-i", "app", "--prune", "--dry-run", "-f", "-"],
            &next,
            0,
            "",
            "building inventory...\nConfigMap/NS/a configured (server dry run)\nConfigMap/NS/new created (server dry \
             run)\nConfigMap/NS/leaves deleted (server dry run)\n",
        );
    });
    let writes: Vec<String> = requests.iter().filter(|r| r.writes()).map(|r| r.summary()).collect();
    assert_eq!(writes, Vec::<String>::new());
}

#[story]
async fn b11_duplicates_are_refused_wherever_they_come_from() {
    let hand = Hand::begin("hand-b11").await;
    hand.file("a.yaml", &config_map("a", "1"));
    hand.file("b.yaml", &("---\n".to_owned() + &config_map("a", "2")));
    hand.says(
        &["apply", "-i", "app", "-f", "a.yaml", "-f", "b.yaml"],
        "",
        1,
        "",
        "building inventory...\nerror: b.yaml: document 1, line 2: ConfigMap/a is already in a.yaml: document 1, \
         line 1\n",
    );
    // One with its namespace, one without: they are told apart only once the
    // namespace is known.
    let spelled = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: NS}\n---\n";
    let twice = hand.run(&["apply", "-i", "app", "-f", "-"], &(config_map("a", "1") + spelled));
    assert_eq!(twice.code, Some(1), "{}", twice.err);
    assert!(twice.err.contains("ConfigMap/NS/a"), "{}", twice.err);
    assert!(hand.config_map("a").await.is_none());
}

#[story]
async fn b12_nothing_is_dropped_in_silence() {
    let hand = Hand::begin("hand-b12").await;
    hand.file(
        "dir/a.json",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}).to_string(),
    );
    hand.file("dir/deeper/b.yml", &config_map("b", "1"));
    let told = hand.does(&["apply", "-i", "app", "-f", "dir"], "");
    assert_eq!(told, lines(2, "ConfigMap/NS/a created\nConfigMap/NS/b created\n"));
    let refused = |document: &str, says: &str| {
        let input = config_map("a", "1") + document;
        let ended = hand.run(&["apply", "-i", "app", "--prune", "-f", "-"], &input);
        assert_eq!(ended.code, Some(1), "{document}");
        assert!(ended.err.starts_with("building inventory...\nerror: stdin: document 2"), "{}", ended.err);
        assert!(ended.err.contains(says), "{}", ended.err);
    };
    refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "name");
    refused("apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n", "name");
    refused("kind: ConfigMap\nmetadata: {name: x}\n", "apiVersion");
    refused("apiVersion: v1\nmetadata: {name: x}\n", "kind");
    refused("just text\n", "");
    refused("a: [\n", "");
    refused(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: []\n",
        "kustomize build",
    );
    assert!(hand.config_map("b").await.is_some());
}

#[story]
async fn b14_a_list_is_its_items_and_what_build_prints_can_be_applied() {
    let hand = Hand::begin("hand-b14").await;
    let built =
        hand.run(&["build", "-f", "-", "-o", "json"], &(config_map("a", "1") + &config_map("b", "1")));
    assert_eq!((built.code, built.err.as_str()), (Some(0), ""));
    let list: serde_json::Value = serde_json::from_str(&built.out).expect("JSON");
    assert_eq!((list["kind"].as_str(), list["items"].as_array().map(Vec::len)), (Some("List"), Some(2)));
    hand.story.kubectl(&["apply", "--dry-run=server", "-f", "-"], &built.out);
    let told = hand.does(&["apply", "-i", "app", "-f", "-"], &built.out);
    assert_eq!(told, lines(2, "ConfigMap/NS/a created\nConfigMap/NS/b created\n"));
}

#[story]
async fn b19_two_at_once_end_with_an_inventory_that_names_what_both_wrote() {
    let hand = Hand::begin("hand-b19").await;
    for name in ["a", "b"] {
        let all = (0..30).fold(String::new(), |mut all, n| {
            all += &config_map(&format!("{name}{n}"), "1");
            all
        });
        hand.file(&format!("{name}.yaml"), &all);
    }
    let started = ["a.yaml", "b.yaml"].map(|file| hand.start(&["apply", "-i", "app", "-f", file]));
    for child in started {
        let ended = hand.end(child);
        let contested = ended.err.contains("at the same time; try again");
        assert!(ended.code == Some(0) || (ended.code == Some(1) && contested), "{ended:?}");
    }
    let named = hand.named("app").await;
    for name in ["a", "b"] {
        for n in 0..30 {
            let exists = hand.config_map(&format!("{name}{n}")).await.is_some();
            let is_named = named.contains(&format!("NS_{name}{n}__ConfigMap"));
            assert!(is_named || !exists, "{name}{n} exists and is not in the inventory");
        }
    }
}

#[story]
async fn an_inventory_of_several_parts_is_applied_diffed_and_deleted() {
    let hand = Hand::begin("hand-parts").await;
    let long = "x".repeat(230);
    let mut all = String::new();
    for n in 0..1200 {
        write!(all, "{}", config_map(&format!("{long}-{n}"), "1")).expect("text");
    }
    hand.file("all.yaml", &all);
    hand.does(&["apply", "-i", "app", "-f", "all.yaml"], "");
    assert!(hand.config_map("inv-app.2").await.is_some(), "one part holds it");
    hand.says(&["diff", "-i", "app", "-f", "all.yaml", "--prune"], "", 0, "", "");
    let listed = hand.run(&["get", "inventories", "-o", "json"], "");
    assert!(listed.out.contains("\"entries\": 1200"), "{}", listed.out);
    let pruned =
        hand.does(&["apply", "-i", "app", "--prune", "-f", "-"], &config_map(&format!("{long}-0"), "1"));
    assert_eq!(pruned.matches(" deleted\n").count(), 1199);
    assert!(hand.config_map("inv-app.2").await.is_none(), "the second part has left");
    hand.does(&["delete", "-i", "app"], "");
    assert!(hand.config_map("inv-app").await.is_none());
}

#[story]
async fn nothing_in_an_inventory_follows_from_a_secrets_values() {
    let hand = Hand::begin("hand-oracle").await;
    let hashes = async || {
        let inventory = hand.config_map("inv-app").await.expect("an inventory");
        let text = inventory["data"]["resources"].as_str().expect("resources");
        let entries: Vec<serde_json::Value> = serde_json::from_str(text).expect("a list");
        let of_secret = entries.iter().find(|e| e["id"].as_str().is_some_and(|id| id.ends_with("__Secret")));
        (inventory["data"]["applied"].clone(), of_secret.expect("the Secret")["hash"].clone())
    };
    let version = async || {
        let secret = hand.story.object("v1", "secrets", "key").await.expect("the Secret");
        secret["metadata"]["resourceVersion"].clone()
    };
    hand.does(&["apply", "-i", "app", "-f", "-"], APP);
    let (first, before) = (hashes().await, version().await);
    let told = hand.does(&["apply", "-i", "app", "-f", "-"], APP);
    assert!(told.contains("Secret/NS/key unchanged\n"), "{told}");
    assert_eq!(version().await, before, "the object does not change by it");
    let second = hashes().await;
    assert!(
        first.0 != second.0 && first.1 != second.1,
        "the same content is not recognized: {first:?} {second:?}"
    );
}
