//! Two replicas: what a person has approved counts for each of them.

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, story};

use crate::replicas::{Pair, config};
use crate::scene::text;

const PROFILES: Profiles = Profiles::First("who leads does not depend on the accounts of releases");

fn waiting(release: &Value) -> Option<String> {
    let ready = condition(release, "Ready").filter(|ready| ready.reason == "ApprovalRequired")?;
    let hash = release["status"]["plan"]["hash"].as_str()?;
    ready.message.contains(hash).then(|| hash.to_owned())
}

#[story]
async fn another_replica_applies_exactly_the_plan_that_a_person_has_approved() {
    let mut pair = Pair::start("replicas-plan").await;
    let create = |name: &str, value: &str| {
        let more = config(name).replace("a: b", &format!("a: v{value}"));
        pair.registry.push_yaml(name, value, &more);
        pair.story.apply(&format!(
            "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: {name}}}
spec: {{url: 'oci://{}/{name}', ref: {{tag: '{value}'}}, insecure: true, prune: true, approval: Manual, interval: 1h, retryInterval: 1s}}
",
            pair.registry.host()
        ));
    };
    let plan = async |name: &str| {
        let waits = async || {
            let release = pair.story.release(name).await?;
            waiting(&release).map(|hash| (hash, release))
        };
        pair.story.wait_for("the plan waits", waits).await
    };
    let approve = |name: &str, hash: &str| {
        let annotations =
            [format!("supercargo.dev/approve={hash}"), "supercargo.dev/approved-by=somebody".to_owned()];
        let [hash, by] = &annotations;
        pair.story.kubectl(&["annotate", "--overwrite", "oar", name, hash, by], "");
    };
    let value = async |name: &str| {
        let object = pair.story.object("v1", "configmaps", name).await?;
        Some(text(&object, "/data/a"))
    };
    for name in ["while", "after", "wrong"] {
        create(name, "1");
    }
    let ((early, _), (late, before), (wrong, _)) =
        (plan("while").await, plan("after").await, plan("wrong").await);
    let leader = pair.holder().await;
    pair.replicas[0].kill();
    // Nobody leads now, and for as long as the lease is valid.
    approve("while", &early);
    approve("wrong", &early);
    pair.proxies[1].record(|seen| seen.writes() && seen.path.contains("/ociartifactreleases/"));
    assert_eq!(pair.holder().await, leader);
    assert_eq!(value("while").await, None);
    pair.taken_over(&leader).await;

    // The approval that came meanwhile is carried out, and nobody is asked again.
    let ready = pair.story.wait_ready("while", "1@").await;
    assert_eq!(value("while").await.as_deref(), Some("v1"));
    assert_eq!(ready["status"].get("plan"), None);
    assert_eq!(text(&ready, "/status/history/0/approvedBy"), "somebody");
    let said = pair.proxies[1].take_answers();
    let said = said.iter().filter(|answer| answer.seen.path.contains("/while/status"));
    let said: Vec<Value> = said.map(|answer| serde_json::from_slice(&answer.body).expect("JSON")).collect();
    assert!(
        said.iter().any(|release| !release["status"]["plan"]["approved"].is_null()),
        "it is written before"
    );
    assert!(said.iter().all(|release| waiting(release).is_none()), "{said:#?}");

    // The plan of the first is that of the second, and waits since then.
    pair.story.kubectl(&["annotate", "oar", "after", "wrong", "supercargo.dev/reconcile-at=now"], "");
    for (name, hash) in [("after", &late), ("wrong", &wrong)] {
        let handled = async || {
            let release = pair.story.release(name).await?;
            (release["status"]["lastHandledReconcileAt"] == "now").then_some(release)
        };
        let release = pair.story.wait_for("the other replica has looked", handled).await;
        assert_eq!(waiting(&release).as_ref(), Some(hash), "{release:#}");
        assert_eq!(value(name).await, None);
        if name == "after" {
            assert_eq!(release["status"]["plan"]["since"], before["status"]["plan"]["since"]);
        }
    }
    approve("after", &late);
    pair.story.wait_ready("after", "1@").await;
    assert_eq!(value("wrong").await, None, "the approval was for another plan");
    approve("wrong", &wrong);
    pair.story.wait_ready("wrong", "1@").await;
}

#[story]
async fn another_replica_finishes_the_approved_plan_that_the_first_has_begun() {
    let mut pair = Pair::start("replicas-begun").await;
    let yaml: Vec<String> = (0..20).map(|n| config(&format!("c{n:02}"))).collect();
    pair.registry.push_yaml("one", "1", &yaml.join("---\n"));
    pair.story.apply(&format!(
        "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: one}}
spec: {{url: 'oci://{}/one', ref: {{tag: '1'}}, insecure: true, prune: true, approval: Manual, interval: 1h, retryInterval: 1s}}
",
        pair.registry.host()
    ));
    let waits = async || waiting(&pair.story.release("one").await?);
    let hash = pair.story.wait_for("the plan waits", waits).await;
    let limit = std::time::Duration::from_secs(30);
    let moment = supercargo_testbed::proxy::Moment::After;
    pair.proxies[0].hold_from(5, moment, |seen| seen.writes() && seen.path.contains("/configmaps/c"));
    pair.story.kubectl(&["annotate", "oar", "one", &format!("supercargo.dev/approve={hash}")], "");
    assert!(pair.proxies[0].wait_held(limit, moment).is_some(), "no apply came");
    let leader = pair.holder().await;
    pair.replicas[0].kill();
    pair.proxies[0].discard();
    pair.proxies[1].record(|seen| seen.writes() && seen.path.contains("/ociartifactreleases/"));
    pair.taken_over(&leader).await;
    let ready = pair.story.wait_ready("one", "1@").await;
    assert_eq!(ready["status"]["inventory"]["entries"], json!(20));
    for answer in pair.proxies[1].take_answers() {
        let release: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(waiting(&release), None, "nobody is asked again");
    }
}
