//! Where there is no way back, nothing more is written, and the status says why.

use serde_json::{Value, json};
use supercargo_testbed::{Profile, Profiles, Story, story};

use crate::delivery::rollback::{judged, outcomes, quarantined};
use crate::scene::{Scene, config_map, message};
use crate::steps::step;

const PROFILES: Profiles = Profiles::First("what a failed revision leads to does not depend on rights");

/// Waits until a release is frozen; returns why.
async fn frozen(scene: &Scene<'_>, release: &str) -> (Value, String) {
    let frozen = scene.story.wait_condition(release, "Ready", "False", "Frozen").await;
    let said = message(&frozen, "Ready");
    assert_eq!(message(&frozen, "Stalled"), said);
    let (_, why) = said.split_once("), and ").unwrap_or_else(|| panic!("{said}"));
    let why = why.split("; publish another revision").next().unwrap_or_default().to_owned();
    (frozen, why)
}

#[story]
async fn freeze_writes_nothing_more_until_there_is_another_revision_or_a_person_asks() {
    let mut scene = Scene::begin("frozen").await;
    let mut spec = judged();
    spec["rollback"] = json!({"mode": "Freeze"});
    scene.install("app", &config_map("a", "one"), spec).await;
    scene.upgrade("app", "2", &(config_map("a", "bad") + &config_map("new", "two")));
    let (release, why) = frozen(&scene, "app").await;
    assert_eq!(why, "spec.rollback.mode is Freeze");
    let said = message(&release, "Ready");
    assert!(said.starts_with("Nothing is written any more: revision 2@sha256:"), "{said}");
    assert_eq!(
        (quarantined(&release).len(), outcomes(&release)),
        (1, vec!["Failed".into(), "Healthy".into()])
    );
    assert_eq!(release["status"]["failures"][0]["reason"], "HealthCheckFailed");
    scene.wait_event("app", "Frozen", &["Nothing is written any more"]).await;

    // Neither drift nor another process changes that.
    let mark = scene.mark();
    scene.edit("new", "edited");
    scene.reconcile("app", "again").await;
    scene.restart();
    let same = scene.reconcile("app", "restarted").await;
    assert_eq!(message(&same, "Ready"), said);
    assert_eq!(same["status"]["failures"], release["status"]["failures"]);
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    assert_eq!(scene.data("new").await.as_deref(), Some("edited"));
    let digest = quarantined(&release)[0].split_once('@').expect("a digest").1.to_owned();

    // One more try is one: it writes, and is judged again.
    scene.annotate("app", "supercargo.dev/retry", &digest);
    scene.wait_data("new", "two").await;
    let tried = async || {
        let release = scene.story.release("app").await?;
        (release["status"]["lastHandledRetry"] == *digest).then_some(release)
    };
    scene.story.wait_for("the try has failed", tried).await;
    let (again, _) = frozen(&scene, "app").await;
    assert_eq!(quarantined(&again).len(), 1);
    let mark = scene.mark();
    scene.reconcile("app", "once").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new());
    // Another revision is followed.
    scene.upgraded("app", "3", &config_map("a", "three")).await;
    scene.story.wait_gone("v1", "configmaps", "new").await;
}

#[story]
async fn a_way_back_that_fails_too_stops_and_says_both_reasons() {
    let scene = Scene::begin("frozen-both").await;
    scene.install("app", &config_map("a", "one"), judged()).await;
    // A field of another manager breaks every revision.
    scene.patch("v1", "configmaps", "a", json!({"data": {"broken": "yes"}}));
    scene.upgrade("app", "2", &config_map("a", "two"));
    let (release, why) = frozen(&scene, "app").await;
    assert!(why.starts_with("going back to 1@sha256:"), "{why}");
    assert!(why.contains(" has failed, too (HealthCheckFailed: unhealthy; ConfigMap/"), "{why}");
    assert!(message(&release, "Ready").contains("has failed (HealthCheckFailed: unhealthy; ConfigMap/"));
    assert_eq!(outcomes(&release), ["Failed", "Failed", "Healthy"]);
    let mark = scene.mark();
    scene.reconcile("app", "again").await;
    assert_eq!(scene.object_writes(mark), Vec::<String>::new(), "it never loops");

    // Once the cause is gone, a person asks for the new one.
    scene.patch("v1", "configmaps", "a", json!({"data": {"broken": null}}));
    let digest = quarantined(&release)[0].split_once('@').expect("a digest").1.to_owned();
    scene.annotate("app", "supercargo.dev/retry", &format!("{digest}@repaired"));
    let ready = scene.story.wait_ready("app", "2@").await;
    assert_eq!(quarantined(&ready), Vec::<String>::new());
    assert_eq!(scene.data("a").await.as_deref(), Some("two"));
}

#[story]
async fn what_an_earlier_revision_cannot_undo_is_not_rolled_back() {
    let scene = Scene::of(Story::begin("frozen-refused").await).profile(Profile::ClusterAdmin).start();
    let namespace = scene.namespace().to_owned();
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: \
                 [ReadWriteOnce], storageClassName: '', resources: {requests: {storage: 1Gi}}}\n---\n";
    let immutable = config_map("fixed", "two").replace("\ndata:", "\nimmutable: true\ndata:");
    let definition = |versions: &[&str]| {
        let version = |name: &&str| {
            let is_first = *name == "v1";
            format!(
                "\n  - {{name: {name}, served: true, storage: {is_first}, schema: {{openAPIV3Schema: {{type: object}}}}}}"
            )
        };
        scene.widgets(&(versions.iter().map(version).collect::<String>() + "\n"))
    };
    let migrate = step("before", "migrate", ", supercargo.dev/side-effects: 'true'", "");
    let refused = |why: &str| format!("is refused (PreflightFailed: nothing applied, {why}");
    let cases = [
        (
            "steps",
            String::new(),
            migrate,
            format!("its step Job/{namespace}/migrate has run, which has side effects"),
        ),
        (
            "claims",
            String::new(),
            claim.to_owned(),
            refused(&format!(
                "going back would lose 1 object; PersistentVolumeClaim/{namespace}/data: it would be deleted)"
            )),
        ),
        (
            "dry-run",
            config_map("fixed", "one"),
            immutable,
            refused("dry run failed for 1 object; ConfigMap/"),
        ),
        (
            "versions",
            definition(&["v1"]),
            definition(&["v1", "v2"]),
            refused(&format!(
                "going back would lose 1 object; CustomResourceDefinition/widgets.{}: it would not serve v2 any more)",
                scene.group()
            )),
        ),
    ];
    for (name, before, after, expected) in cases {
        let a = format!("a-{name}");
        let mark = scene.mark();
        scene.install(name, &(config_map(&a, "one") + &before), judged()).await;
        scene.upgrade(name, "2", &(config_map(&a, "bad") + &after));
        let (release, why) = frozen(&scene, name).await;
        assert!(why.contains(&expected), "{name}: {why}");
        assert_eq!(scene.data(&a).await.as_deref(), Some("bad"), "{name}: nothing is written");
        assert_eq!(quarantined(&release).len(), 1);
        assert!(scene.object_writes(mark).iter().all(|write| !write.starts_with("delete ")), "{name}");
    }
}

#[story]
async fn a_failure_that_the_spec_has_caused_has_no_way_back() {
    let scene = Scene::begin("frozen-inputs").await;
    scene.install("app", &config_map("a", "one"), judged()).await;
    let patch =
        json!([{"patch": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: bad}\n"}]);
    scene.change("app", json!({"patches": patch}));
    let (_, why) = frozen(&scene, "app").await;
    assert_eq!(
        why,
        "the artifact was healthy before the spec or a value changed, so that there is none to go back to"
    );
    scene.change("app", json!({"patches": null}));
    scene.story.wait_ready("app", "1@").await;
    assert_eq!(scene.data("a").await.as_deref(), Some("one"));
}
