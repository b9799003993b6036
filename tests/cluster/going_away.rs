//! Going away: what becomes of the objects of a release that is deleted, and
//! that nothing hangs for ever without saying why.

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Bed, Profile, Profiles, Story, repository, story};

use crate::scene::{ALL_RIGHTS, CONFIG_MAPS, Scene, account, config_map, deployment, role};

const PROFILES: Profiles = Profiles::Both;

/// Deletes a release and waits until it is gone.
fn delete(scene: &Scene<'_>, name: &str) {
    scene.story.kubectl(&["delete", "oar", name, "--timeout=60s"], "");
}

/// Deletes a release without waiting.
fn begin_to_delete(scene: &Scene<'_>, name: &str) {
    scene.story.kubectl(&["delete", "oar", name, "--wait=false"], "");
}

async fn exists(scene: &Scene<'_>, config_map: &str) -> bool {
    scene.story.object("v1", "configmaps", config_map).await.is_some()
}

#[story]
async fn a_deleted_release_takes_its_objects_or_leaves_them_as_its_policy_says() {
    let scene = Scene::begin("away-policy").await;
    let check = async |name: &str, policy: &str, prune: bool, stays: bool| {
        scene.push(name, name, &config_map(name, "one"));
        scene.create(name, json!({"ref": {"tag": name}, "deletionPolicy": policy, "prune": prune}));
        scene.story.wait_ready(name, name).await;
        delete(&scene, name);
        assert_eq!(exists(&scene, name).await, stays, "{name}");
        assert!(!exists(&scene, &format!("inv-{name}")).await, "the inventory of {name} is left");
    };
    check("mirror-on", "MirrorPrune", true, false).await;
    check("mirror-off", "MirrorPrune", false, true).await;
    check("delete", "Delete", false, false).await;
    check("wait", "WaitForTermination", false, false).await;
    check("orphan", "Orphan", true, true).await;
}

#[story]
async fn a_deleted_release_waits_for_what_a_finalizer_holds_only_where_it_should() {
    let scene = Scene::begin("away-wait").await;
    let held =
        |name: &str| config_map(name, "one").replace("}\ndata", ", finalizers: [example.com/hold]}\ndata");
    scene.push("app", "held", &(held("held") + &config_map("free", "one")));
    // Its end is seen, not polled for, also by one that does not look at drift.
    let slow = json!({
        "ref": {"tag": "held"}, "deletionPolicy": "WaitForTermination", "retryInterval": "1h", "interval": "1h",
        "drift": {"mode": "Off"},
    });
    scene.create("app", slow);
    scene.push("left", "left", &held("left"));
    scene.create("left", json!({"ref": {"tag": "left"}, "deletionPolicy": "Delete"}));
    scene.story.wait_ready("app", "held").await;
    scene.story.wait_ready("left", "left").await;
    delete(&scene, "left");
    assert!(exists(&scene, "left").await, "its finalizer holds it");

    begin_to_delete(&scene, "app");
    let message = scene.wait_reason("app", "Ready", "False", "TerminationPending").await;
    let name = format!("ConfigMap/{}/held", scene.namespace());
    assert!(message.contains(&format!("still terminating: {name}")), "{message}");
    assert!(!exists(&scene, "free").await);
    for name in ["held", "left"] {
        scene.patch("v1", "configmaps", name, json!({"metadata": {"finalizers": null}}));
    }
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert!(!exists(&scene, "held").await);
    assert!(!exists(&scene, "inv-app").await);
}

#[story]
async fn a_suspended_release_is_deleted_like_any_other() {
    let scene = Scene::begin("away-suspended").await;
    scene.install("app", &config_map("a", "one"), json!({})).await;
    scene.change("app", json!({"suspend": true}));
    delete(&scene, "app");
    assert!(!exists(&scene, "a").await);
}

#[story]
async fn a_release_deleted_while_the_operator_was_down_goes_when_it_is_back() {
    let mut scene = Scene::begin("away-down").await;
    scene.install("app", &config_map("a", "one"), json!({})).await;
    scene.operator.kill();
    begin_to_delete(&scene, "app");
    scene.restart();
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert!(!exists(&scene, "a").await);
    assert!(!exists(&scene, "inv-app").await);
}

#[story]
async fn a_release_whose_account_is_gone_stalls_with_both_ways_out() {
    let scene = Scene::begin("away-account").await;
    scene.story.apply(&(account("gone") + &role("gone", scene.namespace(), CONFIG_MAPS)));
    for name in ["restored", "orphaned"] {
        scene.push(name, name, &config_map(name, "one"));
        scene.create(name, json!({"ref": {"tag": name}, "serviceAccountName": "gone"}));
        scene.story.wait_ready(name, name).await;
    }
    scene.story.kubectl(&["delete", "serviceaccount", "gone"], "");
    for name in ["restored", "orphaned"] {
        begin_to_delete(&scene, name);
        scene.wait_says(name, "Stalled", &["restore the account", "spec.deletionPolicy to Orphan"]).await;
    }
    scene.change("orphaned", json!({"deletionPolicy": "Orphan"}));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "orphaned").await;
    assert!(exists(&scene, "orphaned").await);
    assert!(exists(&scene, "restored").await);
    scene.story.apply(&account("gone"));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "restored").await;
    assert!(!exists(&scene, "restored").await);
}

#[story]
async fn a_release_that_may_not_delete_its_objects_says_so_and_goes_when_it_may() {
    let scene = Scene::begin("away-denied").await;
    let rules = CONFIG_MAPS.replace(", delete", "");
    scene.story.apply(&(account("weak") + &role("weak", scene.namespace(), &rules)));
    scene.install("app", &config_map("a", "one"), json!({"serviceAccountName": "weak"})).await;
    begin_to_delete(&scene, "app");
    let message = scene.wait_reason("app", "Ready", "False", "PruneFailed").await;
    let namespace = scene.namespace();
    for part in [
        "cannot delete 1 object",
        &format!("ConfigMap/{namespace}/a"),
        &format!("\"system:serviceaccount:{namespace}:weak\" cannot delete resource \"configmaps\""),
        "set spec.deletionPolicy to Orphan",
    ] {
        assert!(message.contains(part), "{message}");
    }
    scene.story.apply(&role("weak", namespace, CONFIG_MAPS));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "app").await;
    assert!(!exists(&scene, "a").await);
}

#[story]
async fn a_release_never_waits_for_its_own_namespace() {
    let story = Story::begin("away-namespace").await;
    let places: Vec<String> = ["plain", "tenant"].iter().map(|name| story.another_namespace(name)).collect();
    let watched: Vec<&str> = places.iter().map(String::as_str).collect();
    // About the operator's own rights, beside those of an account.
    let scene = Scene::of(story).profile(Profile::ClusterAdmin).watching(&watched).start();
    let elsewhere = scene.namespace();
    for (place, tenant) in places.iter().zip([false, true]) {
        let bed = scene.story.bed();
        let in_place = |yaml: &str| bed.kubectl(&["-n", place, "apply", "-f", "-"], yaml);
        let mut spec = json!({"ref": {"tag": place}, "deletionPolicy": "WaitForTermination"});
        if tenant {
            in_place(&(account("tenant") + &role("tenant", place, ALL_RIGHTS)));
            let binding = role("tenant", place, CONFIG_MAPS);
            scene.story.kubectl(&["apply", "-f", "-"], &binding);
            spec["serviceAccountName"] = json!("tenant");
        }
        // One that a finalizer holds here for a while, and one elsewhere.
        let held = config_map("held", "one").replace("}\ndata", ", finalizers: [example.com/hold]}\ndata");
        let other = config_map(place, "one").replace("}\ndata", &format!(", namespace: {elsewhere}}}\ndata"));
        scene.push("app", place, &(held + &other));
        let mut release = scene.release("app", spec);
        release["metadata"]["namespace"] = json!(place);
        in_place(&release.to_string());
        bed.kubectl(&["-n", place, "wait", "oar/app", "--for=condition=Ready", "--timeout=60s"], "");
        bed.kubectl(&["delete", "namespace", place, "--wait=false"], "");
        let of_place = |plural, name| {
            let version = if plural == "configmaps" { "v1" } else { "supercargo.dev/v1alpha1" };
            scene.story.object_in(Some(place), version, plural, name)
        };
        scene
            .story
            .wait_for("the release and its inventory are gone", async || {
                let gone = of_place("ociartifactreleases", "app").await.is_none()
                    && of_place("configmaps", "inv-app").await.is_none();
                gone.then_some(())
            })
            .await;
        assert!(of_place("configmaps", "held").await.is_some(), "its finalizer holds it");
        bed.kubectl(
            &[
                "-n",
                place,
                "patch",
                "configmap",
                "held",
                "--type=merge",
                "-p",
                r#"{"metadata":{"finalizers":null}}"#,
            ],
            "",
        );
        scene
            .story
            .wait_for("the namespace is gone", async || {
                scene.story.object_in(None, "v1", "namespaces", place).await.is_none().then_some(())
            })
            .await;
        // With an account it depends on who was first; without one it must go.
        assert!(tenant || !exists(&scene, place).await);
    }
}

#[story]
async fn objects_are_deleted_in_the_reverse_of_the_order_they_were_made_in() {
    let scene = Scene::begin("away-order").await;
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    let autoscaler = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: web}\n\
                      spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n";
    let yaml = autoscaler.to_owned()
        + &deployment("web", "web:1", 1)
        + service
        + &config_map("a", "one")
        + &account("web");
    let mark = scene.mark();
    scene.install("app", &yaml, json!({})).await;
    let made = scene.object_writes(mark);
    let mark = scene.mark();
    delete(&scene, "app");
    let mut expected: Vec<String> = made.iter().map(|write| write.replace("patch", "delete")).collect();
    expected.reverse();
    assert_eq!(scene.object_writes(mark), expected);
    let kinds: Vec<&str> = expected.iter().filter_map(|write| write.split(['/', ' ']).nth(1)).collect();
    assert_eq!(
        kinds,
        ["horizontalpodautoscalers", "deployments", "services", "configmaps", "serviceaccounts"]
    );
}

/// The CRD as it is, or one that lets everything in, as an older one might.
fn crd(loose: bool) -> String {
    let path = repository().join("config/crd/supercargo.dev_ociartifactreleases.yaml");
    let text = std::fs::read_to_string(path).expect("the CRD");
    if !loose {
        return text;
    }
    let before = text.split("    schema:\n").next().expect("the beginning");
    let schema = "    schema:\n      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}\n    \
                  served: true\n    storage: true\n    subresources: {status: {}}\n";
    format!("{before}{schema}")
}

fn install_crd(bed: &Bed, loose: bool) {
    bed.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &crd(loose));
    let established =
        ["wait", "--for=condition=Established", "--timeout=60s", "crd/ociartifactreleases.supercargo.dev"];
    bed.kubectl(&established, "");
}

#[story]
async fn promise_10_malformed_releases_say_what_is_wrong_stop_nobody_and_can_be_deleted() {
    let bed = Bed::start();
    install_crd(&bed, true);
    let story = Story::on(&bed, "away-malformed").await;
    let scene = Scene::of(story).start();
    // One that is well first: its objects have to go with it later.
    for name in ["late", "wild", "strange"] {
        scene.push(name, name, &config_map(name, "one"));
        scene.create(name, json!({"ref": {"tag": name}}));
        scene.story.wait_ready(name, name).await;
    }
    let malformed: [(&str, Value, &str); 8] = [
        ("interval", json!({"interval": "1x"}), "spec.interval: \"1x\" is not a valid duration"),
        ("type", json!({"wait": "yes"}), "spec.wait: invalid type: string \"yes\", expected a boolean"),
        ("range", json!({"ref": {"semver": "not a range"}}), "spec.ref"),
        ("drift", json!({"drift": {"mode": "Sometimes"}}), "spec.drift: unknown variant `Sometimes`"),
        (
            "pointer",
            json!({"drift": {"ignore": [{"target": {"kind": "("}, "paths": []}]}}),
            "spec.drift.ignore[0]",
        ),
        (
            "account",
            json!({"serviceAccountName": "../../default"}),
            "spec.serviceAccountName: \"../../default\"",
        ),
        ("secret", json!({"secretRef": {"name": "a&b"}}), "spec.secretRef.name: \"a&b\" is not a valid name"),
        ("nothing", json!({"url": null, "prune": null, "ref": null}), "spec."),
    ];
    for (name, spec, _) in &malformed {
        // With the nulls as they are.
        let mut release = scene.release(name, json!({}));
        for (field, value) in spec.as_object().expect("a spec") {
            release["spec"][field] = value.clone();
        }
        scene.story.create("supercargo.dev/v1alpha1", "ociartifactreleases", &release);
    }
    scene.change("late", json!({"interval": "1x"}));
    scene.change("wild", json!({"prune": "yes", "suspend": 7}));
    scene.change("strange", json!({"serviceAccountName": "../../default"}));
    // The others go on.
    scene.install("app", &config_map("a", "one"), json!({})).await;
    let stalled = async |name: &str, says: &str| {
        let release = scene.story.wait_condition(name, "Stalled", "True", "InvalidSpec").await;
        let message = condition(&release, "Ready").expect("Ready").message;
        assert!(message.contains(says), "{name}: {message}");
    };
    for (name, _, says) in &malformed {
        stalled(name, says).await;
    }
    stalled("late", "spec.interval").await;
    stalled("wild", "spec.").await;
    stalled("strange", "spec.serviceAccountName").await;
    // With the schema of today they can be told of, corrected and deleted too.
    install_crd(&bed, false);
    scene.edit("a", "other");
    scene.wait_data("a", "one").await;
    for (name, ..) in &malformed {
        delete(&scene, name);
    }
    delete(&scene, "late");
    assert!(!exists(&scene, "late").await, "an interval keeps nobody from deleting it");
    for name in ["wild", "strange"] {
        begin_to_delete(&scene, name);
        let what = format!("{name} says why it cannot be deleted");
        scene
            .story
            .wait_for(&what, async || {
                let release = scene.story.release(name).await?;
                let stalled = condition(&release, "Stalled")?;
                stalled.message.contains("set spec.deletionPolicy to Orphan").then_some(())
            })
            .await;
    }
    scene.change("strange", json!({"deletionPolicy": "Orphan", "serviceAccountName": null}));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "strange").await;
    assert!(exists(&scene, "strange").await);
    scene.change("wild", json!({"prune": true, "suspend": false}));
    scene.story.wait_gone("supercargo.dev/v1alpha1", "ociartifactreleases", "wild").await;
    assert!(!exists(&scene, "wild").await);
}

#[story]
async fn when_the_crd_is_deleted_the_objects_stay_and_the_crd_goes() {
    let bed = Bed::start();
    bed.install_crds();
    let story = Story::on(&bed, "away-crd").await;
    let scene = Scene::of(story).start();
    scene.story.apply(&(account("tenant") + &role("tenant", scene.namespace(), CONFIG_MAPS)));
    for (name, spec) in [
        ("plain", json!({})),
        ("tenant", json!({"serviceAccountName": "tenant", "deletionPolicy": "WaitForTermination"})),
    ] {
        scene.push(name, name, &config_map(name, "one"));
        let mut spec = spec;
        spec["ref"] = json!({"tag": name});
        scene.create(name, spec);
        scene.story.wait_ready(name, name).await;
    }
    let mark = scene.mark();
    bed.kubectl(&["delete", "crd", "ociartifactreleases.supercargo.dev", "--timeout=60s"], "");
    for name in ["plain", "tenant"] {
        assert!(exists(&scene, name).await, "{name} went with the CRD");
        assert!(!exists(&scene, &format!("inv-{name}")).await, "an inventory is left");
    }
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());

    // And when it comes back, so do the releases.
    install_crd(&bed, false);
    scene.create("plain", json!({"ref": {"tag": "plain"}}));
    scene.story.wait_ready("plain", "plain").await;
}
