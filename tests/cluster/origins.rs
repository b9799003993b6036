//! Artifacts of any origin: what every tool pushes is read, and what cannot be
//! read is refused with what to do.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use supercargo_testbed::archive::tar;
use supercargo_testbed::registry::{Registry, digest};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Profiles, processes, story};

use super::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("who may say where an artifact is does not depend on rights");

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).expect("compress")
}

/// The parts of a manifest that tools write differently.
struct Shape<'a> {
    manifest: &'a str,
    config: &'a str,
    layers: &'a [(&'a str, &'a [u8])],
    annotations: Value,
}

fn push(registry: &Registry, repository: &str, shape: &Shape<'_>) -> String {
    let part = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": registry.push_blob(repository, bytes), "size": bytes.len()});
    let layers: Vec<Value> = shape.layers.iter().map(|(media_type, bytes)| part(media_type, bytes)).collect();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": shape.manifest,
        "config": part(shape.config, b"{}"),
        "layers": layers,
    });
    if !shape.annotations.is_null() {
        manifest["annotations"] = shape.annotations.clone();
    }
    registry.push_manifest(repository, "1", &manifest)
}

fn push_oci(registry: &Registry, repository: &str, media_type: &str, layer: &[u8]) -> String {
    let config = "application/vnd.oci.image.config.v1+json";
    push(
        registry,
        repository,
        &Shape { manifest: OCI, config, layers: &[(media_type, layer)], annotations: json!(null) },
    )
}

fn file(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    File::create(&path).expect("create a file").write_all(bytes).expect("write a file");
    path
}

/// Pushes one artifact for each way in which one is made, and returns their
/// repositories. Each holds a ConfigMap named after it.
fn push_all(registry: &Registry) -> Vec<&'static str> {
    let yaml = |name: &str| config_map(name, "1");
    let archive = |name: &str| tar(&[("all.yaml", &yaml(name))]);
    let directory = processes::directory("origins");
    let crane = |name: &str, file: &str, bytes: &[u8]| {
        let layer = self::file(&directory, file, bytes);
        let target = format!("{}/{name}:1", registry.host());
        registry.crane(&["append", "-f", layer.to_str().expect("text"), "-t", &target]);
    };
    crane("crane-tar", "all.tar", &archive("crane-tar"));
    crane("crane-gzip", "all.tar.gz", &gzip(&archive("crane-gzip")));
    crane("crane-yaml", "all.yaml", yaml("crane-yaml").as_bytes());
    // Kustomizer: docker's types, one file, the checksum of its plain content.
    let checksum = digest(yaml("kustomizer").as_bytes()).trim_start_matches("sha256:").to_owned();
    push(
        registry,
        "kustomizer",
        &Shape {
            manifest: DOCKER,
            config: "application/vnd.docker.container.image.v1+json",
            layers: &[("application/vnd.docker.image.rootfs.diff.tar.gzip", &gzip(&archive("kustomizer")))],
            annotations: json!({
                "kustomizer.dev/version": "2.2.1", "kustomizer.dev/checksum": checksum,
                "kustomizer.dev/created": "2026-01-02T03:04:05Z",
            }),
        },
    );
    let flux = "application/vnd.cncf.flux.config.v1+json";
    push(
        registry,
        "flux",
        &Shape {
            manifest: OCI,
            config: flux,
            layers: &[(
                "application/vnd.cncf.flux.content.v1.tar+gzip",
                &gzip(&tar(&[("deploy/app.yaml", &yaml("flux"))])),
            )],
            annotations: json!({
                "org.opencontainers.image.created": "2026-01-02T03:04:05Z",
                "org.opencontainers.image.source": "https://git.example/app",
                "org.opencontainers.image.revision": "main@sha1:0123",
            }),
        },
    );
    push(
        registry,
        "flux-file",
        &Shape {
            manifest: OCI,
            config: flux,
            layers: &[("application/vnd.cncf.flux.content.v1.yaml", yaml("flux-file").as_bytes())],
            annotations: json!(null),
        },
    );
    push_oci(registry, "tar", "application/vnd.oci.image.layer.v1.tar", &archive("tar"));
    push_oci(
        registry,
        "tar-gzip",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        &gzip(&archive("tar-gzip")),
    );
    push_oci(
        registry,
        "tar-zstd",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        &zstd(&archive("tar-zstd")),
    );
    registry.push_yaml("yaml", "1", &yaml("yaml"));
    // An index with one manifest in it.
    push_oci(registry, "index", "application/vnd.oci.image.layer.v1.tar", &archive("index"));
    let one = format!("{}/index:1", registry.host());
    registry.crane(&["index", "append", "-m", &one, "-t", &one]);
    vec![
        "crane-tar",
        "crane-gzip",
        "crane-yaml",
        "kustomizer",
        "flux",
        "flux-file",
        "tar",
        "tar-gzip",
        "tar-zstd",
        "yaml",
        "index",
    ]
}

#[story]
async fn what_every_tool_pushes_is_applied() {
    let scene = Scene::builder("origins").await.own_registry(Registry::plain()).slow_retries().start();
    let all = push_all(scene.registry());
    for name in &all {
        scene.create(name, json!({}));
    }
    for name in &all {
        let release = scene.story.wait_ready(name, "1@").await;
        assert_eq!(release["status"]["inventory"]["entries"], 1, "{name}");
        assert_eq!(scene.data(name).await.as_deref(), Some("1"), "{name}");
    }
    let artifact = scene.story.release("flux").await.expect("the release")["status"]["artifact"].clone();
    let told =
        ["createdAt", "source", "sourceRevision"].map(|field| artifact[field].as_str().unwrap_or_default());
    assert_eq!(told, ["2026-01-02T03:04:05Z", "https://git.example/app", "main@sha1:0123"]);
    let artifact =
        scene.story.release("kustomizer").await.expect("the release")["status"]["artifact"].clone();
    assert_eq!(artifact["createdAt"], "2026-01-02T03:04:05Z");
}

#[story]
async fn what_cannot_be_read_is_refused_with_what_to_do() {
    let scene =
        Scene::builder("origins-refused").await.own_registry(Registry::plain()).slow_retries().start();
    let registry = scene.registry();
    let layer = |name: &str, files: &[(&str, &str)]| {
        push_oci(registry, name, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip(&tar(files)));
    };
    let good = config_map("never", "1");
    layer("kustomization", &[("web/app.yaml", &good), ("web/kustomization.yaml", "resources: [app.yaml]\n")]);
    layer(
        "broken",
        &[
            ("a.yaml", &good),
            ("web/b.yaml", "kind: Service\napiVersion: v1\nmetadata: {name: b}\n---\na: [1\n"),
        ],
    );
    layer("anonymous", &[("a.yaml", &format!("{good}apiVersion: v1\nkind: ConfigMap\n"))]);
    layer("twice", &[("a.yaml", &good), ("b.yaml", &good)]);
    layer("empty", &[("all.yaml", "# nothing\n---\n")]);
    layer("image", &[("etc/passwd", "root")]);
    let config = "application/vnd.cncf.helm.config.v1+json";
    let content = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
    let chart = gzip(&tar(&[("chart/Chart.yaml", "name: chart\n")]));
    push(
        registry,
        "chart",
        &Shape { manifest: OCI, config, layers: &[(content, &chart)], annotations: json!(null) },
    );
    // Two manifests for two platforms: nobody can say which is meant.
    for child in ["one", "two"] {
        push_oci(registry, &format!("index-{child}"), "application/yaml", config_map(child, "1").as_bytes());
    }
    let host = registry.host();
    let [one, two, index] = ["index-one", "index-two", "index"].map(|name| format!("{host}/{name}:1"));
    registry.crane(&["index", "append", "-m", &one, "-m", &two, "-t", &index]);

    let cases: &[(&str, Value, &str, &[&str])] = &[
        (
            "kustomization",
            json!({}),
            "KustomizationRefused",
            &[
                "kustomize files are not built where other manifests are read: web/kustomization.yaml",
                "spec.path: web",
            ],
        ),
        ("broken", json!({}), "ManifestInvalid", &["web/b.yaml: document 2, line"]),
        ("anonymous", json!({}), "ManifestInvalid", &["a.yaml: document 2, line 7", "name"]),
        ("twice", json!({}), "ManifestInvalid", &["a.yaml", "b.yaml", "never"]),
        (
            "empty",
            json!({}),
            "ArtifactEmpty",
            &[
                "has no objects under path \"./\"",
                "annotate --overwrite oar empty supercargo.dev/approve=sha256:",
            ],
        ),
        (
            "image",
            json!({}),
            "ArtifactInvalid",
            &["it contains no YAML or JSON file (is it a container image?); it contains etc"],
        ),
        (
            "chart",
            json!({}),
            "BuildFailed",
            &["the Helm chart cannot be rendered: chart/Chart.yaml: apiVersion must be v1 or v2, not \"\""],
        ),
        ("index", json!({}), "ArtifactInvalid", &["it is an image index with 2 manifests", "set ref.digest"]),
        ("twice", json!({"path": "nowhere"}), "ArtifactInvalid", &["nowhere"]),
        (
            "twice",
            json!({"layerSelector": {"mediaType": "text/yaml"}}),
            "ArtifactInvalid",
            &["has no layer of type \"text/yaml\"; it has application/vnd.oci.image.layer.v1.tar+gzip"],
        ),
    ];
    for (at, (repository, spec, ..)) in cases.iter().enumerate() {
        let mut spec = spec.clone();
        spec["url"] = json!(format!("oci://{host}/{repository}"));
        let name = if *repository == "empty" { "empty".to_owned() } else { format!("case-{at}") };
        scene.create(&name, spec);
    }
    for (at, (repository, spec, reason, says)) in cases.iter().enumerate() {
        let name = if *repository == "empty" { "empty".to_owned() } else { format!("case-{at}") };
        let release = scene.story.wait_condition(&name, "Stalled", "True", reason).await;
        let ready = condition(&release, "Ready").expect("ready");
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", *reason));
        for part in *says {
            assert!(
                ready.message.contains(part),
                "{repository} {spec}: {} does not say {part}",
                ready.message
            );
        }
    }
    assert_eq!(scene.data("never").await, None, "nothing is ever applied half");
}

#[story]
async fn path_layer_namespace_and_metadata_are_those_of_the_spec() {
    let scene = Scene::builder("origins-spec").await.own_registry(Registry::plain()).slow_retries().start();
    let target = scene.story.another_namespace("origins-target");
    let wrong = gzip(&tar(&[("deploy/wrong.yaml", &config_map("wrong", "1"))]));
    let cluster = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {target}}}\nrules: []\n"
    );
    let right = tar(&[
        ("base/wrong.yaml", &config_map("wrong", "1")),
        ("deploy/right.yaml", &config_map("right", "1")),
        ("deploy/sub/more.yml", &config_map("more", "1")),
        ("deploy/sub/role.yaml", &cluster),
        (
            "deploy/elsewhere.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: elsewhere, namespace: default, labels: {a: own}}\n",
        ),
        ("deployed/wrong.yaml", "{"),
    ]);
    let chosen = "application/vnd.acme.manifests.tar";
    push(
        scene.registry(),
        "app",
        &Shape {
            manifest: OCI,
            config: "application/vnd.oci.image.config.v1+json",
            layers: &[("application/vnd.oci.image.layer.v1.tar+gzip", &wrong), (chosen, &right)],
            annotations: json!(null),
        },
    );
    scene.create("app", json!({
            "path": "./deploy",
            "layerSelector": {"mediaType": chosen},
            "targetNamespace": target,
            "commonMetadata": {"labels": {"team": "web", "a": "common"}, "annotations": {"example.com/note": "a b"}},
        }));
    let release = scene.story.wait_ready("app", "1@").await;
    assert_eq!(release["status"]["inventory"]["entries"], 4);
    for name in ["right", "more", "elsewhere"] {
        let found = scene.story.object_in(Some(&target), "v1", "configmaps", name).await;
        let metadata =
            found.unwrap_or_else(|| panic!("{name} is in the target namespace"))["metadata"].clone();
        assert_eq!(
            (&metadata["labels"]["team"], &metadata["labels"]["a"]),
            (&json!("web"), &json!("common")),
            "{name}"
        );
        assert_eq!(metadata["annotations"]["example.com/note"], "a b");
        assert_eq!(metadata["labels"]["supercargo.dev/namespace"], scene.story.namespace());
    }
    let role = scene.story.object_in(None, "rbac.authorization.k8s.io/v1", "clusterroles", &target).await;
    assert_eq!(role.expect("the role")["metadata"]["labels"]["team"], "web");
    // A change of the spec alone is a change of the objects.
    scene.change("app", json!({"commonMetadata": {"labels": {"team": "ops"}}, "path": "deploy/sub"}));
    scene
        .story
        .wait_for("the change of the spec is applied", async || {
            let release = scene.story.release("app").await?;
            (release["status"]["inventory"]["entries"] == 2).then_some(())
        })
        .await;
    let more = scene.story.object_in(Some(&target), "v1", "configmaps", "more").await.expect("more");
    assert_eq!(more["metadata"]["labels"]["team"], "ops");
    assert_eq!(scene.story.object_in(Some(&target), "v1", "configmaps", "right").await, None);
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
}

/// How many objects the test of a large release has; `LARGE_RELEASE` overrides it.
/// The inventory of these takes more than one ConfigMap.
const LARGE: usize = 4_000;

#[story]
async fn a_release_of_thousands_of_objects() {
    let count = std::env::var("LARGE_RELEASE").ok().and_then(|n| n.parse().ok()).unwrap_or(LARGE);
    let scene = Scene::builder("origins-large").await.own_registry(Registry::plain()).slow_retries().start();
    let yaml: String = (0..count).map(|n| config_map(&format!("object-{n:05}"), &"x".repeat(100))).collect();
    scene.push("large", "1", &yaml);
    let one = yaml.replacen(&"x".repeat(100), "changed", 1);
    scene.push("large", "2", &one[..one.rfind("apiVersion").expect("a document")]);
    let wait = async |tag: &str| {
        let start = std::time::Instant::now();
        let limit = std::time::Duration::from_secs(900);
        loop {
            let release = scene.story.release("large").await.expect("the release");
            let ready = condition(&release, "Ready").is_some_and(|c| c.status == "True");
            let applied =
                release["status"]["lastAppliedRevision"].as_str().is_some_and(|r| r.starts_with(tag));
            if ready && applied {
                let usage = scene.operator.usage();
                eprintln!("{count} objects, tag {tag}: {:?}, {usage:?}", start.elapsed());
                return release;
            }
            assert!(start.elapsed() < limit, "{release:#}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    scene.create("large", json!({"timeout": "15m"}));
    let release = wait("1@").await;
    assert_eq!(release["status"]["inventory"]["entries"], count);
    assert_eq!(release["status"]["changes"]["created"], count);
    if count >= LARGE {
        let part = scene.story.object("v1", "configmaps", "inv-large.2").await;
        assert!(part.is_some(), "the inventory goes on in a second part");
    }
    scene.change("large", json!({"ref": {"tag": "2"}}));
    let release = wait("2@").await;
    let changes = &release["status"]["changes"];
    assert_eq!(
        *changes,
        json!({"created": 0, "configured": 1, "unchanged": count - 2, "pruned": 1, "failed": 0})
    );
    assert_eq!(scene.data("object-00000").await.as_deref(), Some("changed"));
}
