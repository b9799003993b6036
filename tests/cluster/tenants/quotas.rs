//! How much a namespace may have.

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Story, story};

use crate::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("what is counted does not depend on rights");

const RELEASES: (&str, &str) = ("supercargo.dev/v1alpha1", "ociartifactreleases");

/// ConfigMaps with a prefix.
fn maps(prefix: &str, count: usize) -> String {
    (0..count).map(|n| config_map(&format!("{prefix}-{n}"), "one")).collect()
}

/// An operator with a quota that watches another namespace, too.
async fn begin(name: &str, quota: &str) -> (Scene<'static>, String) {
    let story = Story::begin(name).await;
    let other = story.another_namespace(&format!("{name}-other"));
    let account = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: all}\n\
        roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n\
        subjects: [{kind: ServiceAccount, name: default}]\n";
    let account = account.replace("name: default", &format!("name: default, namespace: {other}"));
    story.kubectl(&["-n", &other, "apply", "-f", "-"], &account);
    (Scene::of(story).watching(&[&other]).argument(quota).slow_retries().start(), other)
}

async fn refused(scene: &Scene<'_>, release: &str, says: &str) -> Value {
    let message = scene.wait_reason(release, "Ready", "False", "QuotaExceeded").await;
    assert!(message.contains(says), "{message}");
    scene.story.release(release).await.expect("the release")
}

#[story]
async fn the_oldest_releases_of_a_namespace_are_reconciled_and_the_next_goes_on_at_once() {
    let (mut scene, other) = begin("quota", "--max-releases-per-namespace=2").await;
    let create = |name: &str| {
        scene.push(name, "1", &config_map(name, "one"));
        scene.create(name, json!({"interval": "1h"}));
    };
    for name in ["a", "b"] {
        create(name);
        scene.story.wait_ready(name, "1@").await;
    }
    // By name where the second of their creation is the same.
    let mark = scene.mark();
    for name in ["c", "d"] {
        create(name);
    }
    let says = "has more releases than the administrator allows (2, --max-releases-per-namespace)";
    for name in ["c", "d"] {
        let release = refused(&scene, name, says).await;
        assert!(release["status"]["lastAttemptedRevision"].is_null(), "{release}");
        // Another release, and not its spec, decides when it goes on.
        assert_eq!(condition(&release, "Stalled").map_or("False".to_owned(), |c| c.status), "False");
    }
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    assert!(scene.operator.metrics().contains("supercargo_releases_waiting{gate=\"quota\"} 2"));
    // Another namespace has its own.
    scene.push("a", "2", &config_map("a", "elsewhere"));
    let mut elsewhere = scene.release("a", json!({"ref": {"tag": "2"}}));
    elsewhere["metadata"]["namespace"] = other.as_str().into();
    scene.story.kubectl(&["-n", &other, "create", "-f", "-"], &elsewhere.to_string());
    let ready = async || {
        let release = scene.story.object_in(Some(&other), RELEASES.0, RELEASES.1, "a").await?;
        condition(&release, "Ready").filter(|ready| ready.status == "True").map(|_| ())
    };
    scene.story.wait_for("the other namespace has room", ready).await;
    // One beyond is deleted like any other, and frees no place.
    scene.story.kubectl(&["delete", "oar", "d", "--timeout=60s"], "");
    refused(&scene, "c", says).await;
    // A request of a person changes nothing.
    scene.ask("c", "please");
    scene.wait_handled("c", "please").await;
    refused(&scene, "c", says).await;
    assert!(scene.config_map("c").await.is_none());
    // After a restart the same have a place, also while the releases are still being listed.
    scene.edit("a", "by hand");
    let mark = scene.mark();
    scene.restart();
    scene.wait_data("a", "one").await;
    scene.ask("c", "again");
    scene.wait_handled("c", "again").await;
    assert!(scene.object_writes(mark).iter().all(|write| !write.ends_with("/c")));
    // The interval is an hour, and so is that of retries: only the notice can be so soon.
    scene.change("c", json!({"retryInterval": "1h"}));
    refused(&scene, "c", says).await;
    scene.story.kubectl(&["delete", "oar", "a", "--timeout=60s"], "");
    scene.story.wait_ready("c", "1@").await;
}

#[story]
async fn a_revision_that_goes_beyond_the_objects_of_a_namespace_is_refused_before_any_write() {
    let (scene, _) = begin("quota-objects", "--max-objects-per-namespace=10").await;
    let spec = json!({"interval": "1h", "retryInterval": "1h"});
    scene.install("a", &maps("a", 6), spec.clone()).await;
    scene.push("b", "1", &maps("b", 5));
    let mark = scene.mark();
    scene.create("b", spec.clone());
    let says = "has 5 objects, and the other releases of the namespace";
    let release = refused(&scene, "b", says).await;
    assert!(release["status"]["lastAppliedRevision"].is_null(), "{release}");
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    // An upgrade that is too large leaves what is applied, and drift is corrected.
    scene.upgrade("a", "2", &maps("a", 11));
    refused(&scene, "a", "has 11 objects, and the other releases of the namespace").await;
    assert!(scene.config_map("a-7").await.is_none());
    scene.edit("a-0", "by hand");
    scene.wait_data("a-0", "one").await;
    // The other gets smaller, and this one goes on at once.
    scene.upgraded("a", "3", &maps("a", 5)).await;
    scene.story.wait_ready("b", "1@").await;
    // Both are full now: the same number again is no growth.
    scene.upgraded("b", "2", &maps("b", 5).replace("'one'", "'two'")).await;
    scene.upgrade("b", "3", &maps("b", 6));
    refused(&scene, "b", "has 6 objects").await;
    scene.story.kubectl(&["delete", "oar", "a", "--timeout=60s"], "");
    scene.story.wait_ready("b", "3@").await;
}
