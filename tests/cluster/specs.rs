//! A release whose spec changes: whatever its spec said before, and whatever a run was
//! waiting for, the cluster holds exactly what the last spec says.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use supercargo_testbed::archive::tar;
use supercargo_testbed::{Profiles, story};

use crate::scene::{
    ALL_RIGHTS, CONFIG_MAPS, Scene, account, config_map, deployment, failing_deployment, message, role, text,
    unready_deployment,
};

const PROFILES: Profiles = Profiles::Both;

/// ConfigMaps with a value each, as YAML.
fn maps(values: &[(&str, &str)]) -> String {
    values.iter().map(|(name, value)| config_map(name, value)).collect()
}

/// Pushes files to the repository of a release.
fn push_files(scene: &Scene<'_>, release: &str, tag: &str, files: &[(&str, String)]) {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (*path, content.as_str())).collect();
    let repository = format!("{}/{release}", scene.namespace());
    scene.registry().push_layer(&repository, tag, "application/vnd.oci.image.layer.v1.tar", &tar(&files));
}

/// The ConfigMaps that are labelled as a release's, as `namespace/name=value`.
async fn there(scene: &Scene<'_>, namespaces: &[&str], release: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for namespace in namespaces {
        let path = format!(
            "/api/v1/namespaces/{namespace}/configmaps?labelSelector=supercargo.dev/name%3D{release}"
        );
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        let list = scene.story.client().request::<Value>(request).await.expect("ConfigMaps are listed");
        let items = list["items"].as_array().expect("items").iter();
        found.extend(
            items.map(|item| {
                format!("{namespace}/{}={}", text(item, "/metadata/name"), text(item, "/data/key"))
            }),
        );
    }
    found
}

/// Waits until a release is Ready for its present spec and has exactly these ConfigMaps
/// (`namespace/name=value`), in the cluster and in its inventory.
async fn exactly(scene: &Scene<'_>, release: &str, namespaces: &[&str], expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|one| (*one).to_owned()).collect();
    let mut last = BTreeSet::new();
    let what = format!("{release} is Ready with {expected:?}");
    let as_wanted = async || {
        scene.story.wait_ready(release, "sha256:").await;
        last = there(scene, namespaces, release).await;
        let entry = |entry: &Value| {
            let id = text(entry, "/id");
            let mut parts = id.split('_');
            let (namespace, name) = (parts.next()?, parts.next()?);
            id.ends_with("_ConfigMap").then(|| format!("{namespace}/{name}"))
        };
        let listed: BTreeSet<String> = scene.inventory(release).await.iter().filter_map(entry).collect();
        let named: BTreeSet<String> =
            expected.iter().filter_map(|one| Some(one.split_once('=')?.0.to_owned())).collect();
        (last == expected && listed == named).then_some(())
    };
    scene.story.wait_for(&what, as_wanted).await;
}

#[story]
async fn with_another_target_namespace_the_objects_are_there_and_nowhere_else() {
    let scene = Scene::begin("specs-target").await;
    let home = scene.namespace().to_owned();
    let [first, second] = ["specs-first", "specs-second"].map(|name| scene.story.another_namespace(name));
    let all = [home.as_str(), &first, &second];
    scene.install("app", &maps(&[("a", "1"), ("b", "1")]), json!({})).await;
    for target in [Some(&first), Some(&second), None, Some(&second)] {
        scene.change("app", json!({"targetNamespace": target}));
        let place = target.unwrap_or(&home);
        exactly(&scene, "app", &all, &[&format!("{place}/a=1"), &format!("{place}/b=1")]).await;
    }
    // With a revision at the same time.
    scene.push("app", "2", &maps(&[("b", "2"), ("c", "2")]));
    scene.change("app", json!({"targetNamespace": first, "ref": {"tag": "2"}}));
    exactly(&scene, "app", &all, &[&format!("{first}/b=2"), &format!("{first}/c=2")]).await;
}

#[story]
async fn with_another_path_the_objects_of_that_path_are_there_and_no_others() {
    let scene = Scene::begin("specs-path").await;
    let home = scene.namespace().to_owned();
    let files = [("a/all.yaml", maps(&[("a", "1"), ("both", "1")])), ("b/all.yaml", maps(&[("b", "1")]))];
    push_files(&scene, "app", "1", &files);
    scene.create("app", json!({"path": "a"}));
    let [a, b, both] = ["a", "b", "both"].map(|name| format!("{home}/{name}=1"));
    exactly(&scene, "app", &[&home], &[&a, &both]).await;
    for (path, expected) in
        [("./b/", vec![&b]), ("./", vec![&a, &b, &both]), ("a", vec![&a, &both]), ("./", vec![&a, &b, &both])]
    {
        scene.change("app", json!({"path": path}));
        let expected: Vec<&str> = expected.into_iter().map(String::as_str).collect();
        exactly(&scene, "app", &[&home], &expected).await;
    }
    // One that holds nothing removes nothing, and the way back is open.
    scene.change("app", json!({"path": "c"}));
    let refused = scene
        .story
        .wait_for("a path that is not there is refused", async || {
            let release = scene.story.release("app").await?;
            let current = release["status"]["observedGeneration"] == release["metadata"]["generation"];
            let ready = supercargo_testbed::story::condition(&release, "Ready")?;
            (current && ready.status == "False").then_some(ready)
        })
        .await;
    assert!(refused.message.contains("\"c\"") || refused.message.contains("path"), "{refused:?}");
    assert_eq!(there(&scene, &[&home], "app").await.len(), 3);
    scene.change("app", json!({"path": "b"}));
    exactly(&scene, "app", &[&home], &[&b]).await;
}

#[story]
async fn what_was_left_without_prune_goes_once_prune_is_on() {
    let scene = Scene::begin("specs-prune").await;
    let home = scene.namespace().to_owned();
    let [a1, a2, a3, b1, c2] = ["a=1", "a=2", "a=3", "b=1", "c=2"].map(|one| format!("{home}/{one}"));
    scene.install("app", &maps(&[("a", "1"), ("b", "1")]), json!({"prune": false})).await;
    exactly(&scene, "app", &[&home], &[&a1, &b1]).await;
    scene.upgrade("app", "2", &maps(&[("a", "2"), ("c", "2")]));
    exactly(&scene, "app", &[&home], &[&a2, &b1, &c2]).await;
    scene.change("app", json!({"prune": true}));
    exactly(&scene, "app", &[&home], &[&a2, &c2]).await;
    scene.change("app", json!({"prune": false}));
    scene.upgrade("app", "3", &maps(&[("a", "3")]));
    exactly(&scene, "app", &[&home], &[&a3, &c2]).await;
    // What comes back is wanted again, and is not pruned.
    scene.upgrade("app", "2", &maps(&[("a", "2"), ("c", "2")]));
    scene.change("app", json!({"prune": true}));
    exactly(&scene, "app", &[&home], &[&a2, &c2]).await;
}

#[story]
async fn with_another_account_of_fewer_rights_what_that_may_not_do_is_named_and_done_once_it_may() {
    let scene = Scene::begin("specs-account").await;
    let home = scene.namespace().to_owned();
    scene.story.apply(&(account("first") + &role("first", &home, ALL_RIGHTS)));
    scene.story.apply(&(account("second") + &role("second", &home, CONFIG_MAPS)));
    let secret = |value: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: {value}}}\n---\n")
    };
    let [a1, a2, a3] = ["a=1", "a=2", "a=3"].map(|one| format!("{home}/{one}"));
    scene
        .install("app", &(maps(&[("a", "1")]) + &secret("one")), json!({"serviceAccountName": "first"}))
        .await;
    scene.change("app", json!({"serviceAccountName": "second"}));
    scene.story.kubectl(&["delete", "serviceaccount/first", "rolebinding/first", "role/first"], "");
    // The new account may not even see whether the Secret is as it was applied: that is
    // said, and nothing is written, with a new revision neither.
    scene.story.wait_condition("app", "Ready", "False", "AccessDenied").await;
    scene.upgrade("app", "2", &(maps(&[("a", "2")]) + &secret("two")));
    let refused = scene.story.wait_condition("app", "Ready", "False", "AccessDenied").await;
    let said = message(&refused, "Ready");
    let who = format!("ServiceAccount/{home}/second");
    assert!(said.contains(&who) && said.contains(&format!("Secret/{home}/s")), "{said}");
    assert_eq!(there(&scene, &[&home], "app").await, BTreeSet::from([a1]));
    scene.story.apply(&role("second", &home, ALL_RIGHTS));
    exactly(&scene, "app", &[&home], &[&a2]).await;
    let now = scene.story.object("v1", "secrets", "s").await.expect("it is there");
    assert_eq!(text(&now, "/data/key"), "dHdv");

    // The Secret leaves, and the right to delete it is gone again.
    scene.story.apply(&role("second", &home, CONFIG_MAPS));
    scene.upgrade("app", "3", &maps(&[("a", "3")]));
    let refused = async || {
        let release = scene.story.release("app").await?;
        let said = message(&release, "Ready");
        let user = format!("system:serviceaccount:{home}:second");
        (said.contains(&user) && said.contains(&format!("Secret/{home}/s"))).then_some(())
    };
    scene.story.wait_for("what cannot be removed is named", refused).await;
    assert!(scene.named("app").await.contains(&"s".to_owned()), "it is not forgotten");
    scene.story.apply(&role("second", &home, ALL_RIGHTS));
    exactly(&scene, "app", &[&home], &[&a3]).await;
    scene.story.wait_gone("v1", "secrets", "s").await;
    // Drift is seen by the new account's watches.
    scene.edit("a", "by hand");
    exactly(&scene, "app", &[&home], &[&a3]).await;
}

#[story]
async fn with_another_url_the_content_of_that_repository_is_there_and_the_same_content_is_not_written() {
    let scene = Scene::begin("specs-url").await;
    let home = scene.namespace().to_owned();
    let url = |repository: &str| format!("oci://{}/{home}/{repository}", scene.registry().host());
    let first = maps(&[("a", "1"), ("b", "1")]);
    scene.install("app", &first, json!({})).await;
    scene.push("copy", "1", &first);
    scene.push("other", "1", &maps(&[("b", "other"), ("c", "other")]));
    let [a1, b1, b, c] = ["a=1", "b=1", "b=other", "c=other"].map(|one| format!("{home}/{one}"));
    let mark = scene.mark();
    scene.change("app", json!({"url": url("copy")}));
    exactly(&scene, "app", &[&home], &[&a1, &b1]).await;
    let writes: Vec<String> = scene.writes(mark).iter().map(|request| request.summary()).collect();
    assert_eq!(writes, Vec::<String>::new());
    scene.change("app", json!({"url": url("other")}));
    exactly(&scene, "app", &[&home], &[&b, &c]).await;
    // A repository that is not there takes nothing away.
    scene.change("app", json!({"url": url("missing")}));
    scene.story.wait_condition("app", "Ready", "False", "ArtifactNotFound").await;
    assert_eq!(there(&scene, &[&home], "app").await, BTreeSet::from([b, c]));
    scene.change("app", json!({"url": url("app")}));
    exactly(&scene, "app", &[&home], &[&a1, &b1]).await;
}

#[story]
async fn ready_depends_on_health_exactly_as_long_as_the_spec_says_wait() {
    let scene = Scene::begin("specs-wait").await;
    let home = scene.namespace().to_owned();
    let a1 = format!("{home}/a=1");
    let yaml = maps(&[("a", "1")]) + &failing_deployment("web", "main:1");
    scene.install("app", &yaml, json!({})).await;
    let healthy = async || {
        let release = scene.story.release("app").await.expect("it is there");
        supercargo_testbed::story::condition(&release, "Healthy").map(|condition| condition.status)
    };
    assert_eq!(healthy().await, None);
    for _ in 0..2 {
        scene.change("app", json!({"wait": true}));
        scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
        assert_eq!(healthy().await.as_deref(), Some("False"));
        scene.change("app", json!({"wait": false}));
        exactly(&scene, "app", &[&home], &[&a1]).await;
        assert_eq!(healthy().await, None, "nobody asks");
    }
    scene.change("app", json!({"wait": true}));
    scene.upgraded("app", "2", &(maps(&[("a", "2")]) + &deployment("web", "main:2", 1))).await;
    assert_eq!(healthy().await.as_deref(), Some("True"));
}

#[story]
async fn a_range_a_tag_and_a_digest_may_follow_each_other() {
    let scene = Scene::begin("specs-ref").await;
    let home = scene.namespace().to_owned();
    let push = |tag: &str, name: &str| scene.push("app", tag, &maps(&[("always", tag), (name, tag)]));
    let old = push("1.0.0", "old");
    push("1.1.0", "new");
    let next = push("2.0.0", "next");
    let holds = async |tag: &str, name: &str| {
        let expected = [format!("{home}/always={tag}"), format!("{home}/{name}={tag}")];
        exactly(&scene, "app", &[&home], &[&expected[0], &expected[1]]).await;
    };
    scene.create("app", json!({"ref": {"semver": "1.x"}}));
    holds("1.1.0", "new").await;
    let none = json!({"semver": null, "tag": null, "digest": null});
    let steps: [(Value, (&str, &str)); 7] = [
        (json!({"tag": "1.0.0"}), ("1.0.0", "old")),
        (json!({"digest": next}), ("2.0.0", "next")),
        (json!({"semver": "1.x"}), ("1.1.0", "new")),
        (json!({"digest": old}), ("1.0.0", "old")),
        (json!({"tag": "2.0.0"}), ("2.0.0", "next")),
        (json!({"semver": ">=1.0.0 <2.0.0"}), ("1.1.0", "new")),
        // A digest wins over a range.
        (json!({"semver": "1.x", "digest": next}), ("2.0.0", "next")),
    ];
    for (reference, (tag, name)) in steps {
        let mut all = none.clone();
        for (field, value) in reference.as_object().expect("a reference") {
            all[field] = value.clone();
        }
        scene.change("app", json!({"ref": all}));
        holds(tag, name).await;
    }
}

#[story]
async fn any_field_may_change_while_a_run_waits_and_the_last_spec_counts() {
    let scene = Scene::begin("specs-waiting").await;
    let home = scene.namespace().to_owned();
    let away = scene.story.another_namespace("specs-away");
    scene.story.apply(&(account("other") + &role("other", &home, ALL_RIGHTS)));
    let pending = unready_deployment;
    let healthy = scene.push("healthy", "1", &maps(&[("url", "new")]));
    let host = scene.registry().host();
    // Each has a release of its own: what is changed, where the objects are then, and
    // which they are.
    let changes: [(&str, Value, &str, &[&str]); 8] = [
        ("target", json!({"targetNamespace": away, "wait": false}), &away, &["a=1", "b=1"]),
        ("path", json!({"path": "b"}), &home, &["b=1"]),
        ("prune", json!({"prune": false, "path": "b"}), &home, &["a=1", "b=1"]),
        ("account", json!({"serviceAccountName": "other", "path": "b"}), &home, &["b=1"]),
        ("url", json!({"url": format!("oci://{host}/{home}/healthy"), "path": "./"}), &home, &["url=new"]),
        ("wait", json!({"wait": false}), &home, &["a=1", "b=1"]),
        ("tag", json!({"ref": {"tag": "2"}}), &home, &["b=2"]),
        ("digest", json!({"ref": {"digest": "of 2"}}), &home, &["b=2"]),
    ];
    drop(healthy);
    let named = |release: &str, one: &str| {
        if release == "url" && one == "url=new" { one.to_owned() } else { format!("{release}-{one}") }
    };
    for (release, ..) in &changes {
        let [a, b] = ["a", "b"].map(|name| format!("{release}-{name}"));
        let first = maps(&[(&a, "1")]) + &pending(&format!("{release}-web"));
        push_files(&scene, release, "1", &[("a/all.yaml", first), ("b/all.yaml", maps(&[(&b, "1")]))]);
        push_files(&scene, release, "2", &[("b/all.yaml", maps(&[(&b, "2")]))]);
        scene.create(release, json!({"wait": true, "timeout": "1h"}));
    }
    for (release, change, place, objects) in changes {
        let waits = async || {
            let release = scene.story.release(release).await?;
            message(&release, "Ready").contains(" (revision ").then_some(())
        };
        scene.story.wait_for(&format!("{release} waits for health"), waits).await;
        let mut change = change;
        if release == "digest" {
            let digest =
                scene.registry().crane(&["digest", "--insecure", &format!("{host}/{home}/{release}:2")]);
            change["ref"]["digest"] = json!(digest.trim());
        }
        scene.change(release, change);
        let expected: Vec<String> =
            objects.iter().map(|one| format!("{place}/{}", named(release, one))).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        exactly(&scene, release, &[&home, &away], &expected).await;
    }
}
