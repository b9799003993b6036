//! Releases that try to have something of a registry that is not allowed.

use serde_json::{Value, json};
use supercargo_testbed::proxy::Fate;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, Proxy, Registry, Signer, story};

use super::scene::{Scene, config_map, release};

const PROFILES: Profiles = Profiles::Both;

/// An operator that allows these repositories of a registry of its own only.
async fn confined(name: &str, paths: &[&str]) -> Scene<'static> {
    let registry = Registry::plain();
    let prefixes: Vec<String> = paths.iter().map(|path| format!("{}/{path}", registry.host())).collect();
    let flag = format!("--allowed-registries={}", prefixes.join(","));
    Scene::builder(name).await.own_registry(registry).slow_retries().argument(&flag).start()
}

/// Waits until a release is refused so, and returns what it says.
async fn refused(scene: &Scene<'_>, name: &str, reason: &str) -> String {
    let release = scene.story.wait_condition(name, "Ready", "False", reason).await;
    condition(&release, "Ready").expect("ready").message
}

fn is_stalled(release: &Value) -> bool {
    condition(release, "Stalled").is_some_and(|stalled| stalled.status == "True")
}

#[story]
async fn no_spelling_of_a_url_leads_out_of_what_is_allowed() {
    let scene = confined("allowed-names", &["acme"]).await;
    let host = scene.registry().host();
    for repository in ["acme-evil", "other/acme", "acme/app"] {
        scene.registry().push_yaml(repository, "1", &config_map("a", "evil"));
    }
    let mark = scene.registry().mark();
    let (_, port) = host.split_once(':').expect("a port");
    let elsewhere = [
        format!("oci://{host}/acme-evil"),
        format!("oci://{host}/other/acme"),
        format!("oci://localhost:{port}/acme/app"),
        format!("oci://127.0.0.2:{port}/acme/app"),
        "oci://127.0.0.1/acme/app".to_owned(),
        format!("oci://127.0.0.1.evil.example:{port}/acme/app"),
        format!("oci://evil.example/{}/acme", host.replace(':', "-")),
        "oci://docker.io/acme".to_owned(),
        "oci://index.docker.io/acme/app".to_owned(),
    ];
    // These are no repositories at all.
    let broken = [
        format!("oci://{host}@evil.example/acme/app"),
        format!("oci://{host}/acme/../acme-evil"),
        format!("oci://{host}/acme/%2e%2e/acme-evil"),
        format!("oci://127.0.0.1.:{port}/acme/app"),
        format!("oci://{host}/ACME/app"),
        format!("oci://{host}/acme/app?x=y"),
        "oci://acme/app".to_owned(),
    ];
    let namespace = scene.story.namespace();
    let path = format!("/apis/supercargo.dev/v1alpha1/namespaces/{namespace}/ociartifactreleases");
    let cases = elsewhere.iter().map(|url| (url, "RegistryNotAllowed"));
    for (n, (url, reason)) in cases.chain(broken.iter().map(|url| (url, "InvalidSpec"))).enumerate() {
        let name = format!("r{n}");
        let body = release(namespace, &name, url, json!({"retryInterval": "1s"})).to_string().into_bytes();
        let request = http::Request::post(&path).body(body).expect("a request");
        // Admission is stricter with some.
        if let Err(error) = scene.story.client().request::<Value>(request).await {
            assert_eq!(reason, "InvalidSpec", "{url}: {error}");
            continue;
        }
        let told = refused(&scene, &name, reason).await;
        let named = told.contains(&format!("{host}/acme")) && told.contains("--allowed-registries");
        assert!(reason == "InvalidSpec" || named, "{url}: {told}");
        assert!(is_stalled(&scene.story.release(&name).await.expect("the release")), "{url}");
    }
    assert_eq!(scene.registry().since(mark).len(), 0, "{}", scene.registry().read_log());
    // Nobody else was asked either.
    let metrics = scene.operator.metrics();
    assert!(!metrics.contains("supercargo_registry_requests_total{"), "{metrics}");
    assert_eq!(scene.data("a").await, None);
}

#[story]
async fn a_release_that_leaves_what_is_allowed_stays_as_it_was_until_it_is_back() {
    let scene = confined("allowed-change", &["acme", "shop/web"]).await;
    scene.registry().push_yaml("acme/app", "1", &config_map("a", "one"));
    scene.registry().push_yaml("evil/app", "1", &config_map("a", "evil"));
    let url = |path: &str| json!({"url": format!("oci://{}/{path}", scene.registry().host())});
    scene.create("app", url("acme/app"));
    scene.story.wait_ready("app", "1@").await;
    let mark = scene.registry().mark();
    scene.change("app", url("evil/app"));
    let told = refused(&scene, "app", "RegistryNotAllowed").await;
    let host = scene.registry().host();
    assert!(told.starts_with(&format!("spec.url: {host}/evil/app is not in an allowed registry")), "{told}");
    assert!(told.contains(&format!("use one below {host}/acme, {host}/shop/web, or ask")), "{told}");
    // Also for drift nothing is done: it is not known what is wanted.
    scene.edit("a", "by hand");
    scene.ask("app", "once");
    scene.wait_handled("app", "once").await;
    // Nor does a proxy of one's own lead anywhere, before its Secret is even read.
    let proxied = json!({"url": url("acme/app")["url"], "proxySecretRef": {"name": "proxy"}});
    scene.change("app", proxied);
    let says = "spec.proxySecretRef: a proxy is not allowed";
    scene.wait_message("app", "False", says).await;
    assert_eq!(scene.registry().since(mark).len(), 0, "{}", scene.registry().read_log());
    assert_eq!(scene.data("a").await.as_deref(), Some("by hand"));

    scene.change("app", json!({"proxySecretRef": null}));
    scene.wait_data("a", "one").await;
    // One that is elsewhere can be deleted, with what it has.
    scene.change("app", url("evil/app"));
    refused(&scene, "app", "RegistryNotAllowed").await;
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    scene.story.wait_gone("v1", "configmaps", "a").await;
}

#[story]
async fn images_that_are_verified_are_of_what_is_allowed_too() {
    let scene = confined("allowed-images", &["acme"]).await;
    let host = scene.registry().host();
    let signer = Signer::new(Algorithm::P256);
    let sign = |repository: &str, digest: &str| {
        signer.sign(scene.registry(), &format!("{host}/{repository}@{digest}"), Format::Bundle, &[]);
    };
    for repository in ["acme/web", "evil/web"] {
        sign(repository, &scene.registry().push_yaml(repository, "1", repository));
    }
    let keys = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
                      "stringData": {"a.pub": signer.public_pem()}});
    scene.story.apply(&keys.to_string());
    let yaml = format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: tick}}\nspec:\n  schedule: 0 0 1 1 *\n  jobTemplate:\n    \
         spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: \"{host}/acme/web:1\"}}]}}}}}}\n"
    );
    sign("acme/app", &scene.registry().push_yaml("acme/app", "1", &yaml));
    let verify = json!({"provider": "cosign", "secretRef": {"name": "keys"}, "images": {"policies": [{"match": "*"}]}});
    scene.create(
        "app",
        json!({"url": format!("oci://{host}/acme/app"), "verify": verify, "retryInterval": "1s"}),
    );
    scene.story.wait_ready("app", "1@").await;
    // Its evidence is beside it, in the same repository.
    let mark = scene.registry().mark();
    let renamed =
        json!({"images": [{"name": format!("{host}/acme/web"), "newName": format!("{host}/evil/web")}]});
    scene.change("app", renamed);
    let told = refused(&scene, "app", "ImageNotVerified").await;
    assert!(told.contains(&format!("{host}/evil/web is not in an allowed registry")), "{told}");
    assert!(scene.registry().of_repository(mark, "evil/web").is_empty());
}

#[story]
async fn an_allowed_registry_may_keep_its_content_elsewhere() {
    // As with a CDN: the registry says where the bytes are, and its digest what
    // they have to be. Whoever is redirected to is asked without credentials.
    let content = Registry::plain();
    content.push_yaml("store/app", "1", &config_map("a", "one"));
    let proxy = Proxy::before(&content.url(), None);
    let elsewhere = content.url();
    proxy.rule(move |seen| match seen.path.contains("/blobs/") {
        true => {
            let location = format!("{elsewhere}{}", seen.path);
            Fate::AnswerWith(307, (http::header::LOCATION, location), String::new())
        }
        false => Fate::Pass,
    });
    let flag = format!("--allowed-registries={}/store", proxy.host());
    let scene =
        Scene::builder("allowed-redirect").await.own_registry(content).slow_retries().argument(&flag).start();
    scene.create("app", json!({"url": format!("oci://{}/store/app", proxy.host())}));
    scene.story.wait_ready("app", "1@").await;
    // That place itself is not allowed.
    scene.create("direct", json!({"url": format!("oci://{}/store/app", scene.registry().host())}));
    refused(&scene, "direct", "RegistryNotAllowed").await;
}
