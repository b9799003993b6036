//! What all releases share on the way to the API server: nobody's watches and nobody's
//! slow requests hold up anybody else's, or the lease.

use std::fmt::Write;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use supercargo_testbed::proxy::Moment;
use supercargo_testbed::webhook::{Behaviour, Webhook};
use supercargo_testbed::{Profiles, Proxy, Story, story, within};

use crate::scene::{CONFIG_MAPS, Scene, account, config_map, registry, role};

const PROFILES: Profiles = Profiles::First("connections do not depend on rights");

/// An API server takes 100 streams a connection: with a watch over releases, one over
/// the account and one over ConfigMaps each, these have more.
const TENANTS: usize = 60;

#[story]
async fn sixty_namespaces_with_an_account_each_see_their_drift_at_once() {
    let story = Story::begin("streams-watches").await;
    let tenants: Vec<String> =
        (0..TENANTS).map(|n| story.reserve_namespace(&format!("streams-{n}"))).collect();
    let digest = registry().push_yaml(story.namespace(), "1", &config_map("a", "one"));
    assert!(digest.starts_with("sha256:"));
    let url = format!("oci://{}/{}", registry().host(), story.namespace());
    let mut yaml = String::new();
    for tenant in &tenants {
        let labels = format!("{{testbed.supercargo.dev/test: {}}}", story.namespace());
        let _ = write!(
            yaml,
            "---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {tenant}, labels: {labels}}}\n"
        );
        let own = account("tenant") + &role("tenant", tenant, CONFIG_MAPS);
        yaml += &own
            .replace("metadata: {name: tenant", &format!("metadata: {{namespace: {tenant}, name: tenant"));
    }
    story.bed().kubectl(&["create", "-f", "-"], &yaml);
    let names: Vec<&str> = tenants.iter().map(String::as_str).collect();
    let scene = Scene::of(story).watching(&names).start();
    let releases: String = tenants
        .iter()
        .map(|tenant| {
            let mut release = scene.release(
                "app",
                json!({
                    "url": url, "serviceAccountName": "tenant", "interval": "1h", "retryInterval": "1h",
                }),
            );
            release["metadata"]["namespace"] = json!(tenant);
            release.to_string() + "\n"
        })
        .collect();
    scene.story.bed().kubectl(&["create", "-f", "-"], &releases);
    let value = async |tenant: &str| {
        let found = scene.story.object_in(Some(tenant), "v1", "configmaps", "a").await?;
        found["data"]["key"].as_str().map(str::to_owned)
    };
    let all_have_one = async || {
        let values = join_all(tenants.iter().map(|tenant| value(tenant))).await;
        values.iter().all(|value| value.as_deref() == Some("one")).then_some(())
    };
    scene.story.wait_for("every tenant has its ConfigMap", all_have_one).await;
    join_all(tenants.iter().map(|tenant| edit(&scene.story, tenant))).await;
    // Nothing but a watch tells of it within the hour.
    let put_back = tokio::time::timeout(Duration::from_secs(20), async {
        while all_have_one().await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    put_back.await.expect("every tenant's drift is put back");
}

async fn edit(story: &Story<'_>, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps/a");
    let patch = json!({"data": {"key": "edited"}}).to_string().into_bytes();
    let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
    let request = request.body(patch).expect("a request");
    story.client().request::<Value>(request).await.expect("the ConfigMap is edited");
}

#[story]
async fn two_hundred_requests_that_hang_in_a_webhook_hold_up_no_other_release_and_no_lease() {
    let story = Story::begin("streams-hang").await;
    let good = story.another_namespace("streams-good");
    let scene = Scene::of(story).watching(&[&good]).start();
    scene.push("app", "1", &config_map("a", "one"));
    let mut release = scene.release("app", json!({"interval": "1h", "retryInterval": "1h", "suspend": true}));
    release["metadata"]["namespace"] = json!(good);
    scene.story.bed().kubectl(&["create", "-f", "-"], &release.to_string());
    let mut slow = String::new();
    for release in ["h1", "h2", "h3", "h4", "h5"] {
        let maps: String = (0..40)
            .map(|n| {
                let labels = "{webhook: \"yes\"}";
                format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {release}-{n}, labels: {labels}}}\n")
            })
            .collect();
        scene.push(release, release, &maps);
        slow += &(scene.release(release, json!({"ref": {"tag": release}})).to_string() + "\n");
    }
    let hangs = Webhook::register(&scene.story, Behaviour::HangFor(30));
    let (begun, mark) = (hangs.held(), scene.mark());
    scene.story.kubectl(&["create", "-f", "-"], &slow);
    // As many as one tenant may have under way; the others wait for their turn.
    assert!(within(Duration::from_secs(60), || hangs.held() >= begun + 20), "{} hang", hangs.held() - begun);
    let answered = || {
        let requests = scene.requests(mark);
        let slow = requests.iter().filter(|r| r.verb == "patch" && r.resource == "configmaps");
        slow.filter(|r| r.namespace == scene.namespace() && r.name.starts_with('h')).count()
    };
    let renewals = || scene.requests(mark).iter().filter(|r| r.resource == "leases" && r.writes()).count();

    let path = format!("/apis/supercargo.dev/v1alpha1/namespaces/{good}/ociartifactreleases/app");
    let patch = json!({"spec": {"suspend": false}}).to_string().into_bytes();
    let request = http::Request::patch(path).header("content-type", "application/merge-patch+json");
    let request = request.body(patch).expect("a request");
    scene.story.client().request::<Value>(request).await.expect("the release is resumed");
    scene
        .story
        .wait_for("the other release has applied its object", async || {
            scene.story.object_in(Some(&good), "v1", "configmaps", "a").await.map(drop)
        })
        .await;
    // While every one of them was still hanging.
    assert_eq!(answered(), 0);
    let renewed = renewals();
    assert!(within(Duration::from_secs(10), || renewals() > renewed), "the lease is not renewed");
}

#[story]
async fn releases_that_wait_for_room_in_memory_write_nothing_of_it() {
    const RELEASES: usize = 40;
    /// Longer than a registry may take before the status says that it is waited for.
    const LONGER: Duration = Duration::from_secs(4);
    let story = Story::begin("streams-room").await;
    let proxy = Proxy::before_api_server(story.bed());
    let scene = Scene::of(story).start_with(|options| options.through(&proxy));
    // Those that have room do not come to their end, and give nothing back.
    proxy.hold_from(1, Moment::Before, |seen| seen.path.contains("dryRun=All"));
    let mark = scene.mark();
    let releases = (0..RELEASES).map(|n| {
        scene.push(&format!("app-{n}"), &n.to_string(), &config_map(&format!("c{n}"), "one"));
        scene.release(&format!("app-{n}"), json!({"ref": {"tag": n.to_string()}})).to_string()
    });
    let releases: Vec<String> = releases.collect();
    scene.story.kubectl(&["create", "-f", "-"], &releases.join("\n"));
    assert!(proxy.wait_held(LONGER, Moment::Before).is_some());
    let held = Instant::now();
    assert!(within(2 * LONGER, || held.elapsed() > LONGER));
    proxy.pass_all();
    proxy.release();
    for n in 0..RELEASES {
        scene.story.wait_ready(&format!("app-{n}"), "").await;
    }
    let told = scene.requests(mark).into_iter().filter(|r| r.writes() && r.subresource == "status");
    assert_eq!(told.count(), RELEASES);
}
