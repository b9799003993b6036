//! Plans that wait for the approval of a person.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo_testbed::webhook::{Behaviour, Webhook};
use supercargo_testbed::{Profiles, Registry, Story, story};

use crate::dependencies::quiet;
use crate::scene::{Scene, config_map, text};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::Both;

/// A spec with approval, whose runs come from watches alone.
fn manual(spec: Value) -> Value {
    let mut all = quiet(json!({"approval": "Manual"}));
    for (key, value) in spec.as_object().expect("a spec") {
        all[key] = value.clone();
    }
    all
}

fn secret(name: &str, value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{key: '{value}'}}\n---\n"
    )
}

/// Waits until a plan of a revision other than the one with `not` waits. Returns the release.
pub async fn waits(scene: &Scene<'_>, release: &str, revision: &str, not: &str) -> Value {
    let what = format!("the plan of {revision} waits for approval");
    scene
        .story
        .wait_for(&what, async || {
            let release = scene.story.release(release).await?;
            let ready = supercargo_testbed::story::condition(&release, "Ready")?;
            let plan = &release["status"]["plan"];
            let hash = plan["hash"].as_str()?;
            let is_it = ready.reason == "ApprovalRequired" && ready.message.contains(hash) && hash != not;
            (is_it && plan["revision"].as_str()?.starts_with(revision)).then_some(release)
        })
        .await
}

fn hash(release: &Value) -> String {
    text(release, "/status/plan/hash")
}

fn approve(scene: &Scene<'_>, release: &str, hash: &str) {
    scene.annotate(release, "supercargo.dev/approve", hash);
}

/// Waits for the plan of a revision, approves it, and waits until the revision is applied.
pub async fn approved(scene: &Scene<'_>, release: &str, revision: &str) -> Value {
    let waiting = waits(scene, release, revision, "").await;
    approve(scene, release, &hash(&waiting));
    scene.story.wait_ready(release, revision).await
}

/// The changes of a plan as `object action`.
fn changes(release: &Value) -> Vec<String> {
    let all = release["status"]["plan"]["changes"].as_array().cloned().unwrap_or_default();
    all.iter().map(|change| format!("{} {}", text(change, "/object"), text(change, "/action"))).collect()
}

#[story]
async fn a_plan_waits_and_exactly_what_is_approved_is_applied() {
    let scene = Scene::begin("plan-waits").await;
    let place = scene.namespace();
    let mark = scene.mark();
    scene.push("app", "1", &(config_map("app", "one") + &config_map("old", "one") + &secret("app", "first")));
    scene.create("app", manual(json!({})));
    let waiting = waits(&scene, "app", "1@", "").await;
    let expected = [
        format!("ConfigMap/{place}/app created"),
        format!("ConfigMap/{place}/old created"),
        format!("Secret/{place}/app created"),
    ];
    assert_eq!(changes(&waiting), expected);
    assert_eq!(waiting["status"]["plan"]["counts"]["created"], 3);
    assert!(supercargo_testbed::story::condition(&waiting, "Stalled").is_none(), "it is no failure");
    assert!(scene.config_map("app").await.is_none() && scene.config_map("inv-app").await.is_none());
    let written = scene.object_writes(mark);
    assert!(
        written.iter().all(|write| write.ends_with("configmaps/plan-app") || write.contains("secrets")),
        "{written:?}"
    );
    let stored = scene.config_map("plan-app").await.expect("the whole plan");
    assert_eq!(text(&stored, "/data/hash"), hash(&waiting));
    assert_eq!(text(&stored, "/metadata/ownerReferences/0/name"), "app");

    // Another hash approves nothing.
    approve(&scene, "app", "0123456789abcdef0123456789abcdef");
    scene.reconcile("app", "wrong").await;
    assert!(scene.config_map("app").await.is_none());
    approve(&scene, "app", &hash(&waiting));
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(ready["status"].get("plan"), None);
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));

    // A newer revision waits, while drift of the applied one is corrected.
    scene.upgrade(
        "app",
        "2",
        &(config_map("app", "two") + &config_map("new", "one") + &secret("app", "second")),
    );
    let waiting = waits(&scene, "app", "2@", "").await;
    let expected = [
        format!("ConfigMap/{place}/app configured"),
        format!("ConfigMap/{place}/new created"),
        format!("Secret/{place}/app configured"),
        format!("ConfigMap/{place}/old pruned"),
    ];
    assert_eq!(changes(&waiting), expected);
    let field = |change: usize| waiting["status"]["plan"]["changes"][change]["fields"].clone();
    assert_eq!(field(0), json!([{"path": "/data/key", "before": "one", "after": "two"}]));
    assert_eq!(
        field(2),
        json!([{"path": "/data/key", "before": "***** (before)", "after": "***** (after)"}])
    );
    scene.edit("app", "by hand");
    scene.wait_data("app", "one").await;
    approve(&scene, "app", &hash(&waiting));
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("two"));
    assert!(scene.config_map("old").await.is_none());
    // Nothing changes, so nobody is asked.
    scene.upgrade(
        "app",
        "3",
        &(config_map("app", "two") + &config_map("new", "one") + &secret("app", "second")),
    );
    scene.story.wait_ready("app", "3@").await;

    let kinds = "oar,events,events.events.k8s.io,configmaps";
    let objects = scene.story.kubectl(&["get", kinds, "--show-managed-fields", "-o", "yaml"], "");
    let said = [scene.operator.log(), scene.operator.metrics(), objects].join("\n");
    for hidden in ["first", "second"] {
        assert!(!said.contains(&STANDARD.encode(hidden)), "{hidden} was told");
    }
}

#[story]
async fn a_newer_revision_or_a_change_of_the_cluster_takes_the_place_of_an_approval() {
    let scene = Scene::begin("plan-outdated").await;
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", manual(json!({"drift": {"mode": "Report"}})));
    let first = waits(&scene, "app", "1@", "").await;
    scene.upgrade("app", "2", &config_map("app", "two"));
    let second = waits(&scene, "app", "2@", &hash(&first)).await;
    approve(&scene, "app", &hash(&first));
    scene.reconcile("app", "old").await;
    assert!(scene.config_map("app").await.is_none(), "the approval was for another revision");
    approve(&scene, "app", &hash(&second));
    scene.story.wait_ready("app", "2@").await;

    scene.upgrade("app", "3", &config_map("app", "three"));
    let third = waits(&scene, "app", "3@", "").await;
    // Drift is only reported here: the plan is another one now, and is made again at once.
    scene.edit("app", "by hand");
    let fourth = waits(&scene, "app", "3@", &hash(&third)).await;
    approve(&scene, "app", &hash(&third));
    scene.reconcile("app", "outdated").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("by hand"));
    approve(&scene, "app", &hash(&fourth));
    scene.story.wait_ready("app", "3@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("three"));
}

#[story]
async fn what_was_approved_and_has_changed_since_is_said() {
    let scene = Scene::begin("plan-changed").await;
    let place = scene.namespace();
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", manual(json!({})));
    let first = waits(&scene, "app", "1@", "").await;
    // The object appears in the moment in which a person approves.
    scene.story.apply(&config_map("app", "by hand"));
    approve(&scene, "app", &hash(&first));
    let second = waits(&scene, "app", "1@", &hash(&first)).await;
    assert_eq!(second["status"]["plan"]["changedSince"]["hash"], hash(&first));
    let difference = format!("ConfigMap/{place}/app is configured and was created");
    assert_eq!(second["status"]["plan"]["changedSince"]["differences"], json!([difference]));
    let says = format!("the approval of plan {} does not fit any more: {difference}; ", hash(&first));
    scene.wait_message("app", "False", &says).await;
    assert_eq!(scene.data("app").await.as_deref(), Some("by hand"));
    approve(&scene, "app", &hash(&second));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
}

#[story]
async fn a_person_reads_a_plan_and_approves_it_by_its_hash() {
    let scene = Scene::begin("plan-person").await;
    let (place, person) = (scene.namespace(), Shell::admin(&scene.story));
    scene.install("app", &config_map("app", "one"), manual(json!({"approval": "Automatic"}))).await;
    let said = person.run(&["plan", "release", "app"]);
    assert!(
        said.code == 0 && said.err.contains("needs no approval (spec.approval is Automatic)"),
        "{said:?}"
    );
    scene.change("app", json!({"approval": "Manual", "approvalTimeout": "1h"}));
    let said = person.run(&["approve", "release", "app"]);
    assert!(said.code == 1 && said.err.contains("has no plan that waits for approval"), "{said:?}");
    scene.upgrade("app", "2", &(config_map("app", "two") + &secret("app", "hidden-value")));
    let hash = hash(&waits(&scene, "app", "2@", "").await);
    let said = person.run(&["plan", "release", "app"]);
    let expected = format!(
        "► ConfigMap/{place}/app configured\n@@ /data/key\n-one\n+two\n► Secret/{place}/app created\n\
         Plan {hash}: 1 created, 1 configured\n"
    );
    assert_eq!((said.code, said.out.as_str()), (2, expected.as_str()), "{said:?}");
    let said = person.run(&["status", "release", "app"]).done();
    let line = format!("{hash}: 1 created, 1 configured\nwaiting for approval for ");
    assert!(said.contains(&line) && said.contains("; see supercargo plan release app\n"), "{said}");
    let said = person.run(&["plan", "release", "app", "-o", "json"]);
    let plan: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((said.code, &plan["hash"], &plan["counts"]["created"]), (2, &json!(hash), &json!(1)));
    let said = person.run(&["approve", "release", "app", "--hash", "0123456789abcdef0123456789abcdef"]);
    assert!(said.code == 1 && said.err.contains(&format!("has plan {hash}, not 0123")), "{said:?}");
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));

    // An approval that is too old, and one without its time.
    scene.annotate("app", "supercargo.dev/approved-at", "2020-01-01T00:00:00Z");
    approve(&scene, "app", &hash);
    scene.wait_message("app", "False", "the approval has expired (spec.approvalTimeout); ").await;
    scene.annotate("app", "supercargo.dev/approved-at", "");
    let says = "the approval has no valid time in the annotation supercargo.dev/approved-at (spec.approvalTimeout); ";
    scene.wait_message("app", "False", says).await;
    let said = person.run(&["approve", "release", "app", "--hash", &hash]);
    assert!(said.code == 0 && said.out.contains(&format!("plan {hash} approved by ")), "{said:?}");
    scene.story.wait_ready("app", "2@").await;
    let release = scene.story.release("app").await.expect("the release");
    let by = text(&release, "/metadata/annotations/supercargo.dev~1approved-by");
    assert!(!by.is_empty() && said.out.contains(&by), "{said:?}");
    assert_eq!(text(&release, "/status/history/0/approvedBy"), by);
    assert!(person.run(&["history", "release", "app", "-o", "wide"]).done().contains(&by));
}

#[story]
async fn a_person_without_an_operator_applies_exactly_what_a_plan_has_shown() {
    let story = Story::begin("plan-by-hand").await;
    let person = Shell::admin(&story);
    let place = story.namespace();
    let file = |name: &str, yaml: &str| {
        let path = person.home().join(name);
        std::fs::write(&path, yaml).expect("write a file");
        path.to_string_lossy().into_owned()
    };
    let one = file("one.yaml", &(config_map("app", "one") + &secret("app", "first-value")));
    let two = file("two.yaml", &(config_map("app", "two") + &secret("app", "first-value")));
    let plan = |file: &str| {
        let said = person.run(&["plan", "-i", "app", "--prune", "-f", file, "-o", "json"]);
        let plan: Value = serde_json::from_str(&said.out).unwrap_or_default();
        (said.code, plan["hash"].as_str().unwrap_or_default().to_owned(), plan)
    };
    let apply =
        |file: &str, hash: &str| person.run(&["apply", "-i", "app", "--prune", "-f", file, "--plan", hash]);
    let (code, first, shown) = plan(&one);
    assert_eq!((code, shown["changes"].as_array().map(Vec::len)), (2, Some(2)), "{shown}");
    assert!(!shown.to_string().contains("first-value"));
    let said = apply(&two, &first);
    assert!(
        said.code == 1 && said.err.contains("nothing applied, the plan is another one now: "),
        "{said:?}"
    );
    assert!(story.object("v1", "configmaps", "app").await.is_none());
    apply(&one, &first).done();
    assert_eq!(plan(&one).0, 0, "nothing is left to change");
    let (code, second, _) = plan(&two);
    assert_eq!(code, 2);
    // The object changes between the plan and the apply.
    story.patch("v1", "configmaps", "app", &json!({"data": {"key": "by hand"}}));
    let said = apply(&two, &second);
    assert_eq!(said.code, 1, "{said:?}");
    let (_, third, shown) = plan(&two);
    let fields = json!([{"path": "/data/key", "before": "by hand", "after": "two"}]);
    assert_eq!((&shown["changes"][0]["fields"], &shown["changes"][1]), (&fields, &Value::Null), "{shown}");
    assert_eq!(text(&shown, "/changes/0/object"), format!("ConfigMap/{place}/app"));
    apply(&two, &third).done();
}

#[story]
async fn a_killed_operator_neither_forgets_an_approval_nor_asks_for_one_twice() {
    let mut scene = Scene::begin("plan-killed").await;
    let many = |value: &str| -> String { (0..20).map(|n| config_map(&format!("app{n}"), value)).collect() };
    scene.push("app", "1", &many("one"));
    scene.create("app", manual(json!({})));
    let waiting = waits(&scene, "app", "1@", "").await;
    scene.restart();
    scene.reconcile("app", "after the restart").await;
    let again = waits(&scene, "app", "1@", "").await;
    assert_eq!(
        (hash(&again), &again["status"]["plan"]["since"]),
        (hash(&waiting), &waiting["status"]["plan"]["since"])
    );
    assert!(scene.config_map("app0").await.is_none());
    // Killed as soon as something of the plan is there.
    approve(&scene, "app", &hash(&waiting));
    let begun = async || scene.config_map("inv-app").await;
    scene.story.wait_for("the plan is begun", begun).await;
    scene.restart();
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("app19").await.as_deref(), Some("one"));
    // The same when the revision only changes what is there.
    scene.upgrade("app", "2", &many("two"));
    let waiting = waits(&scene, "app", "2@", "").await;
    approve(&scene, "app", &hash(&waiting));
    scene.wait_data("app0", "two").await;
    scene.restart();
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("app19").await.as_deref(), Some("two"));
    let release = scene.story.release("app").await.expect("the release");
    assert_eq!(release["status"].get("plan"), None);
}

#[story]
async fn a_release_that_waits_for_approval_costs_what_an_unchanged_one_costs() {
    let scene = Scene::begin("plan-quiet").await;
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", manual(json!({"interval": "10s", "retryInterval": "1s"})));
    waits(&scene, "app", "1@", "").await;
    let (mark, asked) = (scene.mark(), scene.registry().mark());
    let repository = scene.repository("app");
    let runs = async || (scene.registry().of_repository(asked, &repository).len() >= 2).then_some(());
    scene.story.wait_for("it is checked twice", runs).await;
    let requests = scene.requests(mark);
    let requests: Vec<String> = requests
        .iter()
        .filter(|r| !["leases", "events"].contains(&r.resource.as_str()) && r.verb != "watch")
        .map(|r| r.summary())
        .collect();
    assert_eq!(requests, Vec::<String>::new());
}

#[story]
async fn the_plan_of_many_objects_costs_their_dry_run_and_a_list() {
    let scene = Scene::begin("plan-requests").await;
    let many = |value: &str| -> String { (0..12).map(|n| config_map(&format!("app{n}"), value)).collect() };
    let asked = |mark| -> Vec<String> {
        let requests = scene.requests(mark).into_iter();
        let of_plan = requests.filter(|r| r.resource == "configmaps" && r.verb != "watch");
        let of_plan = of_plan.filter(|r| !r.name.starts_with("inv-") && !r.name.starts_with("plan-"));
        let mut verbs: Vec<String> = of_plan.map(|r| format!("{} {}", r.verb, r.name)).collect();
        verbs.sort();
        verbs
    };
    let mut dry_runs: Vec<String> = (0..12).map(|n| format!("patch app{n}")).collect();
    dry_runs.sort();
    scene.push("app", "1", &many("one"));
    let mark = scene.mark();
    scene.create("app", manual(json!({})));
    let first = waits(&scene, "app", "1@", "").await;
    let found = asked(mark);
    let tried: Vec<String> = found.iter().filter(|request| request.starts_with("patch")).cloned().collect();
    assert_eq!(tried, dry_runs, "{found:?}");
    approve(&scene, "app", &hash(&first));
    scene.story.wait_ready("app", "1@").await;
    // The live objects of the next one are listed at once.
    let mark = scene.mark();
    scene.upgrade("app", "2", &many("two"));
    let second = waits(&scene, "app", "2@", "").await;
    let mut expected = vec!["list ".to_owned()];
    expected.extend(dry_runs.iter().cloned());
    assert_eq!(asked(mark), expected);
    let changed = second["status"]["plan"]["changes"].as_array().cloned().unwrap_or_default();
    let fields = json!([{"path": "/data/key", "before": "one", "after": "two"}]);
    assert!(changed.len() == 12 && changed.iter().all(|change| change["fields"] == fields), "{changed:?}");
    approve(&scene, "app", &hash(&second));
    scene.story.wait_ready("app", "2@").await;
    assert_eq!(scene.data("app11").await.as_deref(), Some("two"));
}

#[story]
async fn an_approval_whose_time_is_still_to_come_counts_from_then_on() {
    let scene = Scene::begin("plan-early").await;
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", manual(json!({"approvalTimeout": "1h"})));
    let waiting = waits(&scene, "app", "1@", "").await;
    // A minute of it is allowed.
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(75);
    let approval =
        json!({"supercargo.dev/approve": hash(&waiting), "supercargo.dev/approved-at": at.to_string()});
    let (version, plural) = ("supercargo.dev/v1alpha1", "ociartifactreleases");
    scene.patch(version, plural, "app", json!({"metadata": {"annotations": approval}}));
    let says = "the time in the annotation supercargo.dev/approved-at is still to come";
    scene.wait_message("app", "False", says).await;
    // Nothing else changes.
    scene.story.wait_ready("app", "1@").await;
    assert!(jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60) >= at, "not before its time");
}

#[story]
async fn what_a_webhook_makes_up_is_shown_and_is_not_part_of_what_is_approved() {
    let scene = Scene::begin("plan-unstable").await;
    let labelled = |value: &str| {
        config_map("app", value).replace("{name: app}", "{name: app, labels: {webhook: \"yes\"}}")
    };
    let _webhook = Webhook::register(&scene.story, Behaviour::Stamp);
    scene.push("app", "1", &labelled("one"));
    scene.create("app", manual(json!({})));
    for (revision, value) in [("1@", "one"), ("2@", "two")] {
        let first = waits(&scene, "app", revision, "").await;
        let fields = first["status"]["plan"]["changes"][0]["fields"].as_array().cloned().unwrap_or_default();
        let stamp = fields.iter().find(|field| field["path"] == "/metadata/annotations/example.com~1stamp");
        assert_eq!(stamp.map(|field| &field["unstable"]), Some(&json!(true)), "{fields:?}");
        // Each plan sees another stamp, and has the same hash.
        scene.reconcile("app", &format!("again {revision}")).await;
        let second = waits(&scene, "app", revision, "").await;
        assert_eq!(hash(&first), hash(&second));
        approve(&scene, "app", &hash(&first));
        scene.story.wait_ready("app", revision).await;
        assert_eq!(scene.data("app").await.as_deref(), Some(value));
        scene.upgrade("app", "2", &labelled("two"));
    }
}

#[story]
async fn a_value_that_varies_only_sometimes_does_not_block_an_approval() {
    let scene = Scene::begin("plan-sometimes").await;
    let yaml = config_map("app", "one").replace(
        "{name: app}",
        "{name: app, labels: {webhook: \"yes\"}, annotations: {example.com/stamp: sent}}",
    );
    let flag = Arc::new(AtomicBool::new(true));
    let _webhook = Webhook::register(&scene.story, Behaviour::StampSometimes(Arc::clone(&flag)));
    let next_is_made_up = |made_up: bool| flag.store(made_up, Ordering::Relaxed);
    scene.push("app", "1", &yaml);
    // The dry run answers as if the value were not touched.
    next_is_made_up(false);
    scene.create("app", manual(json!({})));
    let first = waits(&scene, "app", "1@", "").await;
    let is_unstable = |release: &Value| {
        let fields =
            release["status"]["plan"]["changes"][0]["fields"].as_array().cloned().unwrap_or_default();
        fields.iter().any(|field| field["unstable"] == true)
    };
    assert!(!is_unstable(&first));
    next_is_made_up(true);
    scene.ask("app", "made-up");
    let second = waits(&scene, "app", "1@", &hash(&first)).await;
    assert!(is_unstable(&second));
    // What is sent and what is made up give the same plan now.
    next_is_made_up(false);
    scene.reconcile("app", "sent").await;
    let third = waits(&scene, "app", "1@", "").await;
    assert_eq!((hash(&third), is_unstable(&third)), (hash(&second), true));
    next_is_made_up(false);
    approve(&scene, "app", &hash(&second));
    scene.story.wait_ready("app", "1@").await;
}

#[story]
async fn what_a_plan_cannot_know_is_in_it_and_so_is_what_another_release_leaves() {
    let scene = Scene::begin("plan-unknown").await;
    let place = scene.namespace();
    let versions = "\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n";
    let widget = format!(
        "---\napiVersion: {}/v1\nkind: Widget\nmetadata: {{name: one}}\nspec: {{a: 1}}\n---\n",
        scene.group()
    );
    scene.push("app", "1", &(scene.widgets(versions) + &widget));
    scene.create("app", manual(json!({})));
    let waiting = waits(&scene, "app", "1@", "").await;
    let widget = format!("Widget/{place}/one unknown");
    assert!(changes(&waiting).contains(&widget), "{:?}", changes(&waiting));
    let detail = waiting["status"]["plan"]["changes"].as_array().and_then(|all| all.last().cloned());
    let says = "it needs other objects of the plan, such as its Namespace or its kind";
    assert_eq!(detail.map(|change| text(&change, "/detail")).as_deref(), Some(says));
    approve(&scene, "app", &hash(&waiting));
    scene.story.wait_ready("app", "1@").await;

    // One gives an object up that the other takes, by a plan.
    scene
        .install("giver", &(config_map("moved", "one") + &config_map("kept", "one")), quiet(json!({})))
        .await;
    scene.push("taker", "1", &config_map("moved", "two"));
    scene.create("taker", manual(json!({})));
    scene.wait_reason("taker", "Ready", "False", "OwnershipConflict").await;
    scene.upgrade("giver", "2", &config_map("kept", "one"));
    let waiting = waits(&scene, "taker", "1@", "").await;
    assert_eq!(changes(&waiting), [format!("ConfigMap/{place}/moved handedOver")]);
    assert_eq!(waiting["status"]["plan"]["changes"][0]["detail"], format!("{place}/giver"));
    assert_eq!(scene.data("moved").await.as_deref(), Some("one"));
    approve(&scene, "taker", &hash(&waiting));
    scene.story.wait_ready("taker", "1@").await;
    assert_eq!(scene.data("moved").await.as_deref(), Some("two"));
}

#[story]
async fn what_another_release_leaves_is_kept_over_a_restart_while_the_plan_waits() {
    let mut scene = Scene::begin("plan-kept").await;
    let source = Registry::plain();
    source.push_yaml("taker", "1", &config_map("moved", "two"));
    let both = config_map("moved", "one") + &config_map("kept", "one");
    scene.install("giver", &both, quiet(json!({}))).await;
    scene.create("taker", manual(json!({"url": format!("oci://{}/taker", source.host())})));
    scene.wait_reason("taker", "Ready", "False", "OwnershipConflict").await;
    scene.upgrade("giver", "2", &config_map("kept", "one"));
    let waiting = waits(&scene, "taker", "1@", "").await;
    let uid = scene.uid("moved").await;
    // The next process cannot make the plan again at first, and the giver looks at what it has left.
    source.stop();
    scene.restart();
    scene.wait_says("taker", "FetchFailed", &["is unavailable"]).await;
    scene.reconcile("giver", "again").await;
    assert_eq!(scene.uid("moved").await, uid);
    // A window closes, which is no decision either.
    source.resume();
    scene.change("taker", json!({"schedule": [{"cron": "* * * * *", "duration": "1h", "deny": true}]}));
    scene.story.wait_condition("taker", "Ready", "False", "OutsideWindow").await;
    scene.reconcile("giver", "once more").await;
    assert_eq!(scene.uid("moved").await, uid);
    // A newer revision takes it over, too, as its plan will tell.
    source.push_yaml("taker", "1", &config_map("moved", "three"));
    scene.ask("taker", "newer");
    scene.wait_handled("taker", "newer").await;
    scene.reconcile("giver", "and again").await;
    assert_eq!(scene.uid("moved").await, uid);
    scene.change("taker", json!({"schedule": null}));
    let again = waits(&scene, "taker", "1@", "").await;
    assert_ne!(hash(&again), hash(&waiting));
    approve(&scene, "taker", &hash(&again));
    scene.story.wait_ready("taker", "1@").await;
    assert_eq!((scene.uid("moved").await, scene.data("moved").await.as_deref()), (uid, Some("three")));
}

#[story]
async fn only_who_has_the_verb_approves_and_only_under_its_own_name() {
    let scene = Scene::begin("plan-policy").await;
    let approvers = scene.story.another_namespace("plan-approvers");
    let place = scene.namespace();
    let shell = |namespace: &str, name: &str, more: &str| {
        let right = format!(
            "{{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get, list, patch, update{more}]}}"
        );
        scene.story.bed().kubectl(&["create", "serviceaccount", name, "-n", namespace], "");
        scene.story.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules: [{right}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}\n\
             subjects: [{{kind: ServiceAccount, name: {name}, namespace: {namespace}}}]\n"
        ));
        let token = scene.story.bed().service_account_token(namespace, name);
        Shell::with(&scene.story.bed().kubeconfig_for_token(&token), place)
    };
    let (member, other) = (shell(&approvers, "member", ", approve"), shell(place, "other", ""));
    let sample = std::fs::read_to_string(
        supercargo_testbed::repository().join("config/samples/policies/approval.yaml"),
    );
    // For this story's namespace alone.
    let policy = sample
        .expect("the sample")
        .replace("ame: supercargo-approval", &format!("ame: approvals-{place}"))
        .replace(
            "  validationActions: [Deny]",
            &format!(
                "  validationActions: [Deny]\n  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {place}}}}}}}"
            ),
        );
    scene.story.bed().kubectl(&["apply", "-f", "-"], &policy);
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", manual(json!({})));
    let hash = hash(&waits(&scene, "app", "1@", "").await);
    let refused = "only users with the verb approve on the release may set, change or remove";
    // A new policy is in force a moment later. The same value again would be no change.
    let tries = std::cell::Cell::new(0);
    let in_force = async || {
        tries.set(tries.get() + 1);
        let value = format!("supercargo.dev/approve=probe-{}", tries.get());
        let said = other.kubectl(&["annotate", "--overwrite", "oar", "app", &value]);
        said.err.contains(refused).then_some(())
    };
    scene.story.wait_for("the policy is in force", in_force).await;
    let said = other.run(&["approve", "release", "app"]);
    assert!(said.code == 1 && said.err.contains(refused), "{said:?}");
    let said =
        other.kubectl(&["patch", "oar", "app", "--type=merge", "-p", r#"{"spec":{"approval":"Automatic"}}"#]);
    assert!(said.code != 0 && said.err.contains("may change spec.approval"), "{said:?}");
    // What is not about approvals is not restricted.
    assert_eq!(other.kubectl(&["annotate", "oar", "app", "example.com/note=x"]).code, 0);
    // A member cannot approve in the name of another.
    let approval = format!("supercargo.dev/approve={hash}");
    let forged = ["annotate", "--overwrite", "oar", "app", &approval, "supercargo.dev/approved-by=somebody"];
    let said = member.kubectl(&forged);
    assert!(said.code != 0 && said.err.contains("must be your own user name"), "{said:?}");
    assert!(scene.config_map("app").await.is_none());
    let said = member.run(&["approve", "release", "app", "--hash", &hash]);
    let name = format!("system:serviceaccount:{approvers}:member");
    assert!(said.code == 0 && said.out.contains(&format!("approved by {name}")), "{said:?}");
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(text(&ready, "/status/history/0/approvedBy"), name);
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        scene.story.bed().kubectl(&["delete", kind, &format!("approvals-{place}")], "");
    }
}

#[story]
async fn a_value_that_an_annotation_names_is_shown_nowhere() {
    let scene = Scene::begin("plan-sensitive").await;
    let person = Shell::admin(&scene.story);
    let widgets = "\n  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {token: {type: string, maxLength: 20}, size: {type: integer}}}}}}}\n";
    scene.story.apply(&scene.widgets(widgets));
    let widget = |token: &str, size: u32, paths: &str| {
        format!(
            "---\napiVersion: {}/v1\nkind: Widget\nmetadata: {{name: one, annotations: {{supercargo.dev/sensitive-paths: '{paths}'}}}}\n\
             spec: {{token: {token}, size: {size}}}\n---\n",
            scene.group()
        )
    };
    scene
        .install("app", &widget("first-token", 1, "$.spec.token"), manual(json!({"approval": "Automatic"})))
        .await;
    scene.change("app", json!({"approval": "Manual"}));
    scene.upgrade("app", "2", &widget("second-token", 2, "$.spec.token"));
    let waiting = waits(&scene, "app", "2@", "").await;
    let fields = json!([
        {"path": "/spec/size", "before": "1", "after": "2"},
        {"path": "/spec/token", "before": "***** (before)", "after": "***** (after)"},
    ]);
    assert_eq!(waiting["status"]["plan"]["changes"][0]["fields"], fields);
    let diff = person.run(&["diff", "release", "app"]);
    let plan = person.run(&["plan", "release", "app"]);
    let kinds = "oar,events,events.events.k8s.io,configmaps";
    let objects = scene.story.kubectl(&["get", kinds, "-o", "yaml"], "");
    // What the schema refuses is quoted by the API server.
    scene.upgrade("app", "3", &widget("a-third-token-that-is-too-long", 2, "$.spec.token"));
    let says = "the API server rejects it (message hidden: it may contain sensitive values)";
    let refused = scene.wait_message("app", "False", says).await.to_string();
    let said = [scene.operator.log(), objects, diff.out, plan.out, refused].join("\n");
    for hidden in ["first-token", "second-token", "third-token"] {
        assert!(!said.contains(hidden), "{hidden} was told: {said}");
    }
    scene.upgrade("app", "4", &widget("x", 2, "$..token"));
    let message = scene.wait_reason("app", "Ready", "False", "ManifestInvalid").await;
    assert!(
        message.contains("invalid annotation supercargo.dev/sensitive-paths: \"$..token\" is not a path; "),
        "{message}"
    );
}

#[story]
async fn the_way_back_from_an_approved_revision_needs_no_approval() {
    let scene = Scene::begin("plan-way-back").await;
    let failed = "has(data.key) && data.key == 'bad'";
    let rules = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "true", "failed": failed}]);
    let spec = json!({"wait": true, "rollback": {"mode": "OnFailure"}, "healthCheckExprs": rules});
    scene.push("app", "1", &config_map("app", "one"));
    scene.create("app", manual(spec));
    approved(&scene, "app", "1@").await;
    scene.upgrade("app", "2", &config_map("app", "bad"));
    let waiting = waits(&scene, "app", "2@", "").await;
    approve(&scene, "app", &hash(&waiting));
    scene.wait_reason("app", "Ready", "False", "RolledBack").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
    // The next revision waits again, whatever was approved before.
    scene.upgrade("app", "3", &config_map("app", "three"));
    let waiting = waits(&scene, "app", "3@", "").await;
    assert_eq!(scene.data("app").await.as_deref(), Some("one"));
    approve(&scene, "app", &hash(&waiting));
    scene.story.wait_ready("app", "3@").await;
}

/// Its objects are written when the run is cut off, so that only the removal is left of the plan.
#[story]
async fn an_approved_removal_is_carried_out_after_an_interrupted_wait() {
    let mut scene = Scene::begin("plan-removal").await;
    let current = "data.key != '' || has(data.go) && data.go == 'good'";
    let failed = "has(data.go) && data.go == 'bad'";
    let rule = json!({"apiVersion": "v1", "kind": "ConfigMap", "current": current, "failed": failed});
    let spec = json!({"wait": true, "timeout": "10m", "pruneGuard": {"maxCount": 0}, "rollback": {"mode": "OnFailure"},
        "healthCheckExprs": [rule]});
    scene.push("app", "1", &(config_map("app", "one") + &config_map("old", "one")));
    scene.create("app", manual(spec));
    approved(&scene, "app", "1@").await;
    // A verdict is not kept back either.
    for (tag, how) in [("2", "good"), ("3", "bad")] {
        let new = format!("new{tag}");
        scene.upgrade("app", tag, &(config_map("app", tag) + &config_map(&new, "")));
        let waiting = waits(&scene, "app", &format!("{tag}@"), "").await;
        assert_eq!(waiting["status"]["plan"]["counts"]["pruned"], 1);
        approve(&scene, "app", &hash(&waiting));
        scene.wait_message("app", "Unknown", &format!("(revision {tag}@")).await;
        scene.ask("app", &format!("asked {tag}"));
        scene.restart();
        scene.patch("v1", "configmaps", &new, json!({"data": {"go": how}}));
        match how {
            "good" => drop(scene.story.wait_ready("app", "2@").await),
            _ => drop(scene.wait_reason("app", "Ready", "False", "RolledBack").await),
        }
        assert_eq!(scene.named("app").await, ["app", "new2"]);
        assert_eq!(scene.data("app").await.as_deref(), Some("2"));
    }
}

#[story]
async fn a_large_plan_is_whole_in_its_config_map_and_an_edited_one_is_not_shown() {
    let scene = Scene::begin("plan-large").await;
    let person = Shell::admin(&scene.story);
    let many: String = (0..120).map(|n| config_map(&format!("app{n}"), "one")).collect();
    scene.push("app", "1", &many);
    scene.create("app", manual(json!({})));
    let waiting = waits(&scene, "app", "1@", "").await;
    let plan = &waiting["status"]["plan"];
    assert_eq!((plan["changes"].as_array().map(Vec::len), &plan["moreChanges"]), (Some(100), &json!(20)));
    let lines = |said: &str| said.lines().filter(|line| line.starts_with('►')).count();
    assert_eq!(lines(&person.run(&["plan", "release", "app"]).out), 120);
    scene.patch("v1", "configmaps", "plan-app", json!({"data": {"changes": "[]"}}));
    let said = person.run(&["plan", "release", "app"]).out;
    assert!(lines(&said) == 100 && said.contains("20 more"), "{said}");
    approve(&scene, "app", &hash(&waiting));
    scene.story.wait_ready("app", "1@").await;

    // A ConfigMap of that name that is of another owner.
    scene.story.apply(&config_map("plan-other", "mine"));
    scene.push("other", "1", &config_map("other", "one"));
    scene.create("other", manual(json!({})));
    let waiting = waits(&scene, "other", "1@", "").await;
    assert_eq!(waiting["status"]["plan"].get("configMap"), None);
    approve(&scene, "other", &hash(&waiting));
    scene.story.wait_ready("other", "1@").await;
    let kept = scene.config_map("plan-other").await.expect("it stays");
    assert_eq!(
        (text(&kept, "/data/key"), kept["metadata"].get("ownerReferences")),
        ("mine".to_owned(), None)
    );
}
