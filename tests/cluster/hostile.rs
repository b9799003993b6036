//! What one namespace holds or publishes costs no other its start, its memory or its
//! probes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;
use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Story, ports, processes, story};

use crate::scene::{BINARY, Scene, config_map, registry};

const PROFILES: Profiles =
    Profiles::First("what artifacts and registries may take does not depend on rights");

/// What the operator may take, with the limits that the chart gives it: 512 MiB.
const CHART_LIMIT: &str = "--memory-limit=512Mi";
/// In KiB.
const MAX_RESIDENT: u64 = 300 << 10;

/// Creates an object by its collection's path.
async fn create(story: &Story<'_>, path: &str, object: &Value) {
    let request = http::Request::post(path).body(object.to_string().into_bytes()).expect("a request");
    story.client().request::<Value>(request).await.expect("the object is accepted");
}

#[story]
async fn what_one_namespace_holds_keeps_no_controller_from_starting() {
    let story = Story::begin("hostile-start").await;
    let tenant = story.another_namespace("hostile-tenant");
    // An opening bracket is six bytes in JSON as the API server writes it.
    let brackets = |count: usize| "<".repeat(count);
    let labels = json!({
        "app.kubernetes.io/component": "inventory", "app.kubernetes.io/created-by": "supercargo",
        "supercargo.dev/name": "good", "supercargo.dev/namespace": tenant,
    });
    let maps: Vec<Value> = (0..12)
        .map(|n| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": format!("inv-{n}"), "labels": labels},
                "data": {"resources": brackets(1_000_000)},
            })
        })
        .collect();
    let path = format!("/api/v1/namespaces/{tenant}/configmaps");
    join_all(maps.iter().map(|map| create(&story, &path, map))).await;
    // More than one answer of releases may have, too.
    let releases: Vec<Value> = (0..45)
        .map(|n| {
            json!({
                "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
                "metadata": {"name": format!("fat-{n}"), "annotations": {"fat": brackets(250_000)}},
                "spec": {"url": "oci://registry.example/none", "prune": true, "suspend": true},
            })
        })
        .collect();
    let path = format!("/apis/supercargo.dev/v1alpha1/namespaces/{tenant}/ociartifactreleases");
    join_all(releases.iter().map(|release| create(&story, &path, release))).await;

    let scene = Scene::of(story).watching(&[&tenant]).start();
    scene.install("app", &config_map("a", "one"), json!({})).await;
    // A release of that namespace is worked on, too: it has an inventory of its own.
    scene.story.kubectl(&["--namespace", &tenant, "delete", "oar", "--all", "--timeout=60s"], "");

    let mut command = processes::command(BINARY);
    command.args(["get", "inventories", "--namespace", &tenant]);
    command.env("KUBECONFIG", scene.story.bed().admin_kubeconfig_path());
    let output = command.output().expect("run supercargo");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(err.contains(&format!("the inventory {tenant}/inv-0 is broken")), "{out}{err}");
}

#[story]
async fn twenty_artifacts_that_are_small_until_decoded_take_no_memory_from_a_hundred_good_releases() {
    let story = Story::begin("hostile-memory").await;
    let tenants = [story.another_namespace("hostile-one"), story.another_namespace("hostile-two")];
    let [one, two] = &tenants;
    let scene = Scene::of(story).watching(&[one, two]).argument(CHART_LIMIT).start();
    let good = |n: usize, value: &str| config_map(&format!("good-{n}"), value);
    let list = |namespace: &str, name: &str, spec: Value| {
        let mut release = scene.release(name, spec);
        release["metadata"]["namespace"] = json!(namespace);
        release.to_string() + "\n"
    };
    let mut releases = String::new();
    for n in 0..100 {
        scene.push(&format!("good-{n}"), &format!("one-{n}"), &good(n, "one"));
        scene.push(&format!("good-{n}"), &format!("two-{n}"), &good(n, "two"));
        releases +=
            &list(scene.namespace(), &format!("good-{n}"), json!({"ref": {"tag": format!("one-{n}")}}));
    }
    scene.story.kubectl(&["create", "-f", "-"], &releases);
    let all_have = async |value: &str| {
        let found = join_all((0..100).map(|n| {
            let name = format!("good-{n}");
            let story = &scene.story;
            async move { story.object("v1", "configmaps", &name).await }
        }));
        found.await.into_iter().all(|map| map.is_some_and(|map| map["data"]["key"] == value)).then_some(())
    };
    scene.story.wait_for("a hundred releases are applied", async || all_have("one").await).await;

    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\ndata:\n";
    let bombs = [
        head.to_owned() + &"- {}\n".repeat(1_100_000),
        head.to_owned() + "  a: [" + &"1,".repeat(2_000_000) + "1]\n",
        // Not one large object but many.
        (0..40_000).map(|n| format!("---\n{}", config_map(&format!("c{n}"), "v"))).collect(),
        // Nothing but white space.
        head.to_owned() + &" ".repeat(90 << 20),
    ];
    for (n, bomb) in bombs.iter().enumerate() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bomb.as_bytes()).expect("packed");
        let packed = packed.finish().expect("packed");
        let repository = format!("{}-bomb", scene.namespace());
        registry().push_layer(&repository, &n.to_string(), "application/yaml", &packed);
    }
    let url = format!("oci://{}/{}-bomb", registry().host(), scene.namespace());
    let hostile: String = (0..20)
        .map(|n| {
            let tag = (n % bombs.len()).to_string();
            list(&tenants[n % 2], &format!("bomb-{n}"), json!({"url": url, "ref": {"tag": tag}}))
        })
        .collect();
    scene.story.bed().kubectl(&["create", "-f", "-"], &hostile);
    let moved: String = (0..100)
        .map(|n| list(scene.namespace(), &format!("good-{n}"), json!({"ref": {"tag": format!("two-{n}")}})))
        .collect();
    scene.story.kubectl(&["replace", "-f", "-"], &moved);
    scene.story.wait_for("a hundred releases go on", async || all_have("two").await).await;
    let refused = async |n: usize| {
        let (tenant, name) = (Some(tenants[n % 2].as_str()), format!("bomb-{n}"));
        let (version, plural) = ("supercargo.dev/v1alpha1", "ociartifactreleases");
        let release = scene.story.object_in(tenant, version, plural, &name).await?;
        condition(&release, "Ready").filter(|ready| ready.reason == "ArtifactTooLarge")
    };
    for n in 0..20 {
        scene.story.wait_for(&format!("bomb-{n} is too large"), async || refused(n).await).await;
    }
    let peak = scene.operator.usage().peak;
    assert!(peak < MAX_RESIDENT, "{} MiB", peak >> 10);
}

#[story]
async fn inventories_that_a_tenant_fills_take_no_memory_from_the_others() {
    let story = Story::begin("hostile-inventory").await;
    let tenant = story.another_namespace("hostile-filler");
    let scene = Scene::of(story).watching(&[&tenant]).argument(CHART_LIMIT).start();
    scene.install("app", &config_map("a", "one"), json!({})).await;
    let labels = json!({
        "app.kubernetes.io/component": "inventory", "app.kubernetes.io/created-by": "supercargo",
        "app.kubernetes.io/name": "full",
    });
    // Each entry is one that the operator could have written.
    let entries: Vec<Value> = (0..10_000)
        .map(|n| json!({"id": format!("{tenant}_{}{n}__ConfigMap", "x".repeat(30)), "ver": "v1"}))
        .collect();
    let text = Value::from(entries).to_string();
    assert!(text.len() < 1_000_000, "{}", text.len());
    let names: Vec<String> = std::iter::once("inv-full".to_owned())
        .chain((2..=40).map(|part| format!("inv-full.{part}")))
        .collect();
    let parts: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels},
                "data": {"resources": text, "parts": "40"},
            })
        })
        .collect();
    let path = format!("/api/v1/namespaces/{tenant}/configmaps");
    join_all(parts.iter().map(|part| create(&scene.story, &path, part))).await;
    let mut release = scene.release("full", json!({"url": scene.url("app")}));
    release["metadata"]["namespace"] = json!(tenant);
    scene.story.bed().kubectl(&["create", "-f", "-"], &release.to_string());
    let refused = async || {
        let (version, plural) = ("supercargo.dev/v1alpha1", "ociartifactreleases");
        let release = scene.story.object_in(Some(&tenant), version, plural, "full").await?;
        condition(&release, "Ready").filter(|ready| ready.reason == "ArtifactTooLarge")
    };
    let ready = scene.story.wait_for("the release is refused", refused).await;
    let told = format!("the inventory {tenant}/inv-full.");
    let says = ready.message.starts_with(&told) && ready.message.contains("is larger than 8 MiB");
    assert!(says, "{}", ready.message);
    // Nothing is forgotten, and another release goes on.
    scene.push("app", "2", &config_map("a", "two"));
    scene.change("app", json!({"ref": {"tag": "2"}}));
    scene.wait_data("a", "two").await;
    let peak = scene.operator.usage().peak;
    assert!(peak < MAX_RESIDENT, "{} MiB", peak >> 10);
    // Without what the operator never wrote the release works.
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.story.kubectl(&[&["--namespace", &tenant, "delete", "configmaps"], names.as_slice()].concat(), "");
    scene.story.kubectl(&["--namespace", &tenant, "delete", "oar", "full", "--timeout=60s"], "");
}

#[story]
async fn probes_metrics_and_webhooks_answer_beside_a_thousand_idle_connections() {
    let (health, webhooks) = (ports::free(), ports::free());
    let config = processes::directory("hostile-webhooks").join("webhooks.yaml");
    std::fs::write(
        &config,
        "apiVersion: supercargo.dev/v1alpha1\nkind: WebhookConfig\n\
         receivers: [{name: ci, type: generic, secret: 0123456789abcdef0123}]\n",
    )
    .expect("write the configuration");
    let story = Story::begin("hostile-idle").await;
    let scene = Scene::of(story).start_with(|options| {
        options
            .argument(&format!("--health-addr=127.0.0.1:{health}"))
            .argument(&format!("--webhook-addr=127.0.0.1:{webhooks}"))
            .argument(&format!("--webhook-config={}", config.display()))
    });
    let [health, webhooks] = [health, webhooks].map(|port| format!("127.0.0.1:{port}"));
    let metrics = scene.operator.address();
    let ask = |address: &str, path: &str| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
        asked.unwrap_or_else(|error| panic!("{address}{path}: {error}"));
        answer
    };
    let mut idle = Vec::new();
    for address in [metrics, health.as_str(), webhooks.as_str()] {
        idle.extend((0..1000).map(|n| {
            let mut stream = TcpStream::connect(address).expect("a connection");
            if n % 2 == 0 {
                // One that was ended for another is as good as idle.
                let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost:");
            }
            stream
        }));
        for _ in 0..10 {
            assert!(ask(&health, "/healthz").starts_with("HTTP/1.1 200"), "{address}");
            assert!(ask(&health, "/readyz").starts_with("HTTP/1.1 200"), "{address}");
            assert!(ask(metrics, "/healthz").starts_with("HTTP/1.1 200"), "{address}");
            assert!(ask(metrics, "/metrics").contains("supercargo_build_info"), "{address}");
            assert!(ask(&webhooks, "/hook/x").starts_with("HTTP/1.1 405"), "{address}");
        }
    }
    assert!(ask(&health, "/metrics").starts_with("HTTP/1.1 404"));
    drop(idle);
}
