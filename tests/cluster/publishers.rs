//! Artifacts as other tools publish them, by those tools where they can be built, otherwise with
//! exactly their manifests: each row of the table in docs/artifacts.md is pushed, verified and applied.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use supercargo_testbed::registry::Registry;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, Signer, processes, repository, story};

use super::charts::package::charts;
use super::scene::{BINARY, Scene, config_map, message};

const PROFILES: Profiles = Profiles::First("which artifacts can be read does not depend on rights");

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const TITLE: &str = "org.opencontainers.image.title";

/// What a row of the page promises.
enum Promise {
    /// The ConfigMaps, by the ends of their names, and what `inspect` calls the artifact.
    Applied(&'static [&'static str], &'static str),
    /// What the message says.
    Refused(&'static str),
}

/// A way to publish.
struct Way {
    /// The beginning of the first cell of the row.
    row: &'static str,
    publish: fn(&Shelf<'_>) -> String,
    spec: Value,
    promise: Promise,
}

/// The repository of one way, and the names of its objects.
struct Shelf<'a> {
    registry: &'a Registry,
    repository: String,
    name: String,
    directory: PathBuf,
}

impl Shelf<'_> {
    /// A ConfigMap of this way.
    fn yaml(&self, end: &str) -> String {
        config_map(&format!("{}-{end}", self.name), "one")
    }

    /// Writes a file below the directory of this way.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().expect("it is below")).expect("make a directory");
        fs::write(&path, content).expect("write a file");
        path.to_str().expect("text").to_owned()
    }

    fn at(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.registry.host(), self.repository)
    }

    /// Runs a program in the directory of this way.
    fn run(&self, program: &Path, arguments: &[&str]) {
        let mut command: Command = processes::command(program);
        let command = command.args(arguments).current_dir(&self.directory);
        let home = self.directory.to_str().expect("text");
        let command = command.env("DOCKER_CONFIG", home).env("HOME", home);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("run a program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    }

    fn oras(&self, arguments: &[&str]) -> String {
        let program = Tools::publishers().path("oras");
        let target = self.at("1");
        self.run(program.as_ref(), &[&["push", "--plain-http", &target][..], arguments].concat());
        self.digest()
    }

    fn flux(&self, arguments: &[&str]) -> String {
        let program = Tools::publishers().path("fluxpush");
        let target = self.at("1");
        self.run(program.as_ref(), &[&[target.as_str()][..], arguments].concat());
        self.digest()
    }

    /// The digest of the tag.
    fn digest(&self) -> String {
        self.registry.crane(&["digest", &self.at("1")]).trim().to_owned()
    }

    fn blob(&self, media_type: &str, bytes: &[u8], annotations: Value) -> Value {
        let digest = self.registry.push_blob(&self.repository, bytes);
        let mut descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        if !annotations.is_null() {
            descriptor["annotations"] = annotations;
        }
        descriptor
    }

    /// Pushes a manifest by its parts; of a container image the config has what an engine writes.
    fn manifest(&self, tag: &str, media_type: &str, config: &str, layers: &[Value]) -> String {
        let content =
            json!({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers"}});
        let config = self.blob(config, content.to_string().as_bytes(), Value::Null);
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
        self.registry.push_manifest(&self.repository, tag, &manifest)
    }

    /// Pushes an index of manifests that were pushed.
    fn index(&self, children: &[Value]) -> String {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
        self.registry.push_manifest(&self.repository, "1", &index)
    }

    /// A manifest of one ConfigMap, as an index lists it.
    fn child(&self, end: &str, extra: Value) -> Value {
        let layer =
            self.blob(&format!("{OCI_TAR}+gzip"), &gzip(&tar(&[("a.yaml", &self.yaml(end))])), Value::Null);
        let digest = self.manifest(end, OCI_MANIFEST, OCI_CONFIG, &[layer]);
        let size = self.registry.crane(&["manifest", &self.at(end)]).len();
        let mut child = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size});
        for (key, value) in extra.as_object().expect("an object") {
            child[key] = value.clone();
        }
        child
    }
}

fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).expect("append a file");
    }
    tar.into_inner().expect("an archive")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress")
}

fn ways() -> Vec<Way> {
    let all = || json!({"layers": "All"});
    let way = |row, publish, spec, promise| Way { row, publish, spec, promise };
    let applied = |ends, kind| Promise::Applied(ends, kind);
    vec![
        way(
            "`supercargo push artifact`",
            supercargo,
            json!({}),
            applied(&["a"], "an artifact of Supercargo"),
        ),
        way(
            "`kustomizer push artifact`",
            kustomizer,
            json!({}),
            applied(&["a"], "an artifact of Kustomizer"),
        ),
        way(
            "`flux push artifact` of a directory",
            |shelf| {
                shelf.write("deploy/a.yaml", shelf.yaml("a"));
                shelf.write("deploy/README.md", "# no manifest");
                shelf.flux(&["deploy", "tarball"])
            },
            json!({}),
            applied(&["a"], "an artifact of Flux"),
        ),
        way(
            "`flux push artifact` of a file",
            |shelf| {
                shelf.write("a.yaml", shelf.yaml("a"));
                shelf.flux(&["a.yaml", "tarball"])
            },
            json!({}),
            applied(&["a"], "an artifact of Flux"),
        ),
        way(
            "Flux's Go package, layer type `static`",
            |shelf| {
                shelf.write("a.yaml", shelf.yaml("a"));
                shelf.flux(&["a.yaml", "static", "yaml"])
            },
            json!({}),
            applied(&["a"], "an artifact of Flux"),
        ),
        way(
            "Flux's Go package, layer type `static`",
            |shelf| {
                shelf.write("a.json", shelf.yaml("a"));
                shelf.flux(&["a.json", "static", "json"])
            },
            json!({}),
            applied(&["a"], "an artifact of Flux"),
        ),
        way(
            "Flux's Go package, layer type `static`",
            |shelf| {
                shelf.write("a.yaml", shelf.yaml("a"));
                shelf.flux(&["a.yaml", "static"])
            },
            json!({}),
            applied(&["a"], "an artifact of Flux"),
        ),
        way(
            "`oras push` of a YAML file",
            |shelf| {
                shelf.write("a.yaml", shelf.yaml("a"));
                shelf.oras(&["a.yaml"])
            },
            json!({}),
            applied(&["a"], "an artifact of files (ORAS)"),
        ),
        way(
            "`oras push` of a YAML file",
            |shelf| {
                shelf.write("a.yaml", shelf.yaml("a"));
                shelf.oras(&["a.yaml:application/yaml"])
            },
            json!({}),
            applied(&["a"], "an artifact of files (ORAS)"),
        ),
        way(
            "`oras push` of several files",
            oras_files,
            all(),
            applied(&["a", "b"], "an artifact of files (ORAS)"),
        ),
        // Only the first manifest without `layers`, and not the file before it.
        way(
            "`oras push` of several files",
            oras_files,
            json!({}),
            applied(&["a"], "an artifact of files (ORAS)"),
        ),
        way(
            "`oras push` of several files",
            oras_files,
            json!({"layers": "All", "path": "deploy"}),
            applied(&["b"], "an artifact of files (ORAS)"),
        ),
        way(
            "`oras push` of a directory",
            oras_directory,
            json!({}),
            applied(&["a", "b"], "an artifact of files (ORAS)"),
        ),
        way(
            "`oras push` of a directory",
            oras_directory,
            json!({"path": "deploy/b"}),
            applied(&["b"], "an artifact of files (ORAS)"),
        ),
        way(
            "`oras push --artifact-type`",
            |shelf| {
                shelf.write("a.yaml", shelf.yaml("a"));
                shelf.oras(&[
                    "--artifact-type",
                    "application/vnd.acme.app.v1",
                    "a.yaml:application/vnd.acme.text",
                ])
            },
            json!({"layerSelector": {"mediaType": "application/vnd.acme.text"}}),
            applied(&["a"], "an artifact of files (ORAS)"),
        ),
        way(
            "`crane append`",
            |shelf| {
                let (one, two) =
                    (tar(&[("a.yaml", &shelf.yaml("a"))]), gzip(&tar(&[("x/b.yaml", &shelf.yaml("b"))])));
                let files = [shelf.write("one.tar", one), shelf.write("two.tgz", two)];
                shelf.registry.crane(&["append", "-f", &files[0], "-f", &files[1], "-t", &shelf.at("1")]);
                shelf.digest()
            },
            all(),
            applied(&["a", "b"], "a Docker image"),
        ),
        way("`docker build` from scratch", docker, all(), applied(&["a", "b"], "a Docker image")),
        way(
            "`buildah build`, or `docker buildx` with OCI media types",
            buildah,
            all(),
            applied(&["a", "b", "c"], "an OCI image"),
        ),
        way(
            "an image from a base image",
            |shelf| {
                let mut base = tar::Builder::new(Vec::new());
                let mut header = tar::Header::new_gnu();
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                base.append_link(&mut header, "bin", "usr/bin").expect("append a link");
                let base = gzip(&base.into_inner().expect("an archive"));
                let layers = [base, gzip(&tar(&[("a.yaml", &shelf.yaml("a"))]))];
                let layers = layers.map(|layer| shelf.blob(&format!("{OCI_TAR}+gzip"), &layer, Value::Null));
                shelf.manifest("1", OCI_MANIFEST, OCI_CONFIG, &layers)
            },
            all(),
            Promise::Refused("entry \"bin\" is a symbolic link; only plain files are accepted"),
        ),
        way(
            "`timoni artifact push`",
            |shelf| timoni(shelf, Value::Null, "a.yaml"),
            json!({}),
            applied(&["a"], "an artifact of Timoni"),
        ),
        way(
            "`timoni mod push`",
            |shelf| timoni(shelf, json!({"sh.timoni.content.type": "module"}), "timoni.cue"),
            json!({}),
            Promise::Refused("it is a Timoni module; build it (timoni build) and push the manifests instead"),
        ),
        way("`helm push`", helm, json!({}), applied(&["a"], "a Helm chart")),
        way("`imgpkg push` of a bundle", imgpkg, json!({}), applied(&["a"], "a Docker image")),
        way(
            "an image index with one configuration",
            |shelf| {
                let linux = |n: &str| json!({"platform": {"os": "linux", "architecture": n}});
                let children = [
                    shelf.child("x", linux("amd64")),
                    shelf.child("y", linux("arm64")),
                    shelf.child("a", json!({"platform": {"os": "kustomizer", "architecture": "yaml"}})),
                ];
                shelf.index(&children)
            },
            json!({}),
            applied(&["a"], "an OCI image"),
        ),
        way(
            "an image index with one configuration",
            |shelf| {
                let linux = |n: &str| json!({"platform": {"os": "linux", "architecture": n}});
                let mut marked = linux("arm64");
                marked["annotations"] = json!({"supercargo.dev/content": "true"});
                shelf.index(&[shelf.child("x", linux("amd64")), shelf.child("a", marked)])
            },
            json!({}),
            applied(&["a"], "an OCI image"),
        ),
        way(
            "an image index with one configuration",
            |shelf| {
                let flux = json!({"artifactType": "application/vnd.cncf.flux.config.v1+json"});
                shelf.index(&[shelf.child("x", json!({})), shelf.child("a", flux)])
            },
            json!({}),
            applied(&["a"], "an OCI image"),
        ),
        way(
            "an image index with one configuration",
            |shelf| {
                // What crane makes of two images: it takes the platform from the config.
                shelf.child("a", json!({}));
                shelf.registry.crane(&["index", "append", "-m", &shelf.at("a"), "-t", &shelf.at("1")]);
                shelf.digest()
            },
            json!({}),
            applied(&["a"], "an OCI image"),
        ),
        way(
            "an image index with several configurations",
            |shelf| {
                let linux = |n: &str| json!({"platform": {"os": "linux", "architecture": n}});
                shelf.index(&[shelf.child("a", linux("amd64")), shelf.child("b", linux("arm64"))])
            },
            json!({}),
            Promise::Refused(
                "it is an image index with 2 manifests, and none is marked as the configuration: sha256:",
            ),
        ),
    ]
}

fn supercargo(shelf: &Shelf<'_>) -> String {
    let file = shelf.write("a.yaml", shelf.yaml("a"));
    shelf.run(BINARY.as_ref(), &["push", "artifact", &format!("oci://{}", shelf.at("1")), "-f", &file]);
    shelf.digest()
}

/// By the library of crane, as Kustomizer does it.
fn kustomizer(shelf: &Shelf<'_>) -> String {
    let yaml = shelf.yaml("a");
    let file = shelf.write("all.tgz", gzip(&tar(&[("all.yaml", &yaml)])));
    shelf.registry.crane(&["append", "-f", &file, "-t", &shelf.at("1")]);
    let sum = supercargo_testbed::registry::digest(yaml.as_bytes());
    let sum = format!("kustomizer.dev/checksum={}", sum.trim_start_matches("sha256:"));
    let (version, created) = ("kustomizer.dev/version=2.2.1", "kustomizer.dev/created=2022-11-21T10:00:00Z");
    let target = shelf.at("1");
    shelf.registry.crane(&["mutate", "-a", version, "-a", created, "-a", &sum, "-t", &target, &target]);
    shelf.digest()
}

fn oras_files(shelf: &Shelf<'_>) -> String {
    shelf.write("README.md", "# no manifest");
    shelf.write("logo.png", b"\x89PNG\0\0");
    shelf.write("a.yaml", shelf.yaml("a"));
    shelf.write("deploy/b.yaml", shelf.yaml("b"));
    shelf.oras(&["README.md", "a.yaml", "logo.png", "deploy/b.yaml:application/yaml"])
}

fn oras_directory(shelf: &Shelf<'_>) -> String {
    shelf.write("deploy/a.yaml", shelf.yaml("a"));
    shelf.write("deploy/b/b.yaml", shelf.yaml("b"));
    shelf.oras(&["deploy"])
}

fn docker(shelf: &Shelf<'_>) -> String {
    // A WORKDIR is an empty layer, and the same one each time.
    let nothing = || gzip(&tar(&[]));
    let one = gzip(&tar(&[("app/a.yaml", &shelf.yaml("a"))]));
    let two = gzip(&tar(&[("app/b.yaml", &shelf.yaml("b"))]));
    let layers = [nothing(), one, nothing(), two].map(|layer| shelf.blob(DOCKER_TAR, &layer, Value::Null));
    shelf.manifest("1", DOCKER_MANIFEST, DOCKER_CONFIG, &layers)
}

fn buildah(shelf: &Shelf<'_>) -> String {
    let archive = |name: &str, end: &str| tar(&[(name, &shelf.yaml(end))]);
    let zstd = zstd::encode_all(archive("c.yaml", "c").as_slice(), 3).expect("compress");
    let layers = [
        shelf.blob(OCI_TAR, &archive("a.yaml", "a"), Value::Null),
        shelf.blob(&format!("{OCI_TAR}+gzip"), &gzip(&archive("b.yaml", "b")), Value::Null),
        shelf.blob(&format!("{OCI_TAR}+zstd"), &zstd, Value::Null),
    ];
    shelf.manifest("1", OCI_MANIFEST, OCI_CONFIG, &layers)
}

fn timoni(shelf: &Shelf<'_>, annotations: Value, file: &str) -> String {
    let layer = gzip(&tar(&[(file, &shelf.yaml("a"))]));
    let layer = shelf.blob("application/vnd.timoni.content.v1.tar+gzip", &layer, annotations);
    shelf.manifest("1", OCI_MANIFEST, "application/vnd.timoni.config.v1+json", &[layer])
}

fn imgpkg(shelf: &Shelf<'_>) -> String {
    let lock = "apiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages: []\n";
    let layer = gzip(&tar(&[(".imgpkg/images.yml", lock), ("config/a.yaml", &shelf.yaml("a"))]));
    let layer = shelf.blob(DOCKER_TAR, &layer, Value::Null);
    shelf.manifest("1", DOCKER_MANIFEST, DOCKER_CONFIG, &[layer])
}

fn helm(shelf: &Shelf<'_>) -> String {
    let program = Tools::helm().path("helm");
    let chart = shelf.repository.rsplit('/').next().expect("a name").to_owned();
    shelf.write("chart/Chart.yaml", format!("apiVersion: v2\nname: {chart}\nversion: 0.1.0\n"));
    shelf.write("chart/templates/a.yaml", shelf.yaml("a"));
    shelf.run(program.as_ref(), &["package", "chart"]);
    let parent = shelf.repository.rsplit_once('/').map_or("", |(parent, _)| parent);
    let target = format!("oci://{}/{parent}", shelf.registry.host());
    shelf.run(program.as_ref(), &["push", &format!("{chart}-0.1.0.tgz"), &target, "--plain-http"]);
    shelf.registry.crane(&["tag", &shelf.at("0.1.0"), "1"]);
    shelf.digest()
}

/// The first cells of the table of the page.
fn rows() -> BTreeSet<String> {
    let page = fs::read_to_string(repository().join("docs/artifacts.md")).expect("read the page");
    let section = page.split("\n## Artifacts of other tools\n").nth(1).expect("the section");
    let table =
        section.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with('|'));
    let cells = table.skip(2).filter_map(|line| line.split('|').nth(1));
    cells.map(|cell| cell.trim().to_owned()).collect()
}

#[story]
fn every_kind_of_artifact_of_the_page_is_tried() {
    let tried: BTreeSet<String> = ways().iter().map(|way| way.row.to_owned()).collect();
    assert_eq!(tried, rows(), "the rows of docs/artifacts.md, and the ways of this file");
}

#[story]
async fn what_people_push_is_pulled_verified_and_applied() {
    let scene = charts("publishers").await.start();
    let signer = Signer::new(Algorithm::P256);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        "stringData": {"a.pub": signer.public_pem()}});
    scene.story.kubectl(&["create", "-f", "-"], &secret.to_string());
    let ways = ways();
    let mut shelves = Vec::new();
    for (n, way) in ways.iter().enumerate() {
        let name = format!("way-{n}");
        let directory = processes::directory(&name);
        let shelf =
            Shelf { registry: scene.registry(), repository: scene.repository(&name), name, directory };
        let digest = (way.publish)(&shelf);
        let reference = format!("{}/{}@{digest}", shelf.registry.host(), shelf.repository);
        signer.sign(shelf.registry, &reference, Format::Sig, &[]);
        let mut spec = way.spec.clone();
        spec["verify"] = json!({"provider": "cosign", "secretRef": {"name": "keys"}});
        scene.create(&shelf.name, spec);
        shelves.push((shelf, digest));
    }
    for (way, (shelf, digest)) in ways.iter().zip(&shelves) {
        let name = &shelf.name;
        let key = signer.public();
        let layers = way.spec["layers"].as_str().unwrap_or("First");
        let url = format!("oci://{}", shelf.at("1"));
        let inspected = Command::new(BINARY)
            .args(["inspect", "artifact", &url, "--key", key.to_str().expect("text"), "--layers", layers])
            .env("DOCKER_CONFIG", "/nonexistent")
            .env("SUPERCARGO_HELM_BINARY", Tools::helm().path("helm"))
            .output()
            .expect("run supercargo");
        let (out, err) =
            (String::from_utf8_lossy(&inspected.stdout), String::from_utf8_lossy(&inspected.stderr));
        match &way.promise {
            Promise::Applied(ends, kind) => {
                let release = scene.story.wait_ready(name, "1@sha256:").await;
                assert_eq!(release["status"]["artifact"]["digest"], json!(digest), "{} {name}", way.row);
                let trusted = condition(&release, "Verified").map(|verified| verified.status);
                assert_eq!(trusted.as_deref(), Some("True"), "{} {name}", way.row);
                for end in ["a", "b", "c", "x", "y"] {
                    let object = scene.config_map(&format!("{name}-{end}")).await;
                    assert_eq!(object.is_some(), ends.contains(&end), "{} {name}: {end}", way.row);
                }
                // The command line reads by the types alone what it is told; selectors are the operator's.
                if way.spec["layerSelector"].is_null() {
                    let is_shown = match kind.strip_prefix("an artifact of ") {
                        Some(own @ ("Supercargo" | "Kustomizer")) => {
                            out.contains(&format!("Built by: {} v", own.to_lowercase()))
                        }
                        _ => out.contains(&format!("Kind: {kind} (")) && out.contains(": used"),
                    };
                    assert!(is_shown, "{} {name}: {out} {err}", way.row);
                }
            }
            Promise::Refused(says) => {
                let release = scene.wait_message(name, "False", says).await;
                assert_eq!(condition(&release, "Ready").expect("ready").reason, "ArtifactInvalid");
                assert!(scene.config_map(&format!("{name}-a")).await.is_none(), "{}", way.row);
                assert!(err.contains(says), "{} {name}: {out} {err}", way.row);
            }
        }
    }
}

#[story]
async fn the_signature_is_of_the_index_and_not_of_what_it_lists() {
    let scene = Scene::begin("index-signed").await;
    let signer = Signer::new(Algorithm::P256);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
        "stringData": {"a.pub": signer.public_pem()}});
    scene.story.kubectl(&["create", "-f", "-"], &secret.to_string());
    let shelf = Shelf {
        registry: scene.registry(),
        repository: scene.repository("app"),
        name: "app".to_owned(),
        directory: processes::directory("index"),
    };
    let child = shelf.child("a", json!({}));
    let index = shelf.index(std::slice::from_ref(&child));
    let sign = |digest: &str| {
        let reference = format!("{}/{}@{digest}", shelf.registry.host(), shelf.repository);
        signer.sign(shelf.registry, &reference, Format::Sig, &[]);
    };
    let child = child["digest"].as_str().expect("a digest").to_owned();
    sign(&child);
    scene.create("app", json!({"verify": {"provider": "cosign", "secretRef": {"name": "keys"}}}));
    let says = "It is an image index: signatures of its manifests do not count, sign the index.";
    let release = scene.wait_message("app", "False", says).await;
    assert_eq!(condition(&release, "Ready").expect("ready").reason, "SignatureMissing");
    assert!(scene.config_map("app-a").await.is_none());
    // The manifest itself is signed, and may be named.
    scene.change("app", json!({"ref": {"tag": null, "digest": child}}));
    scene.story.wait_ready("app", &child).await;
    sign(&index);
    scene.change("app", json!({"ref": {"tag": "1", "digest": null}}));
    let release = scene.story.wait_ready("app", "1@").await;
    assert_eq!(release["status"]["artifact"]["digest"], json!(index));
    assert!(!message(&release, "Ready").contains("index"));
    assert!(scene.config_map("app-a").await.is_some());
}

#[story]
async fn layers_that_contradict_each_other_write_nothing() {
    let scene = Scene::begin("layers-clash").await;
    let shelf = Shelf {
        registry: scene.registry(),
        repository: scene.repository("app"),
        name: "app".to_owned(),
        directory: processes::directory("layers"),
    };
    let layer = |name: &str, end: &str| {
        shelf.blob(&format!("{OCI_TAR}+gzip"), &gzip(&tar(&[(name, &shelf.yaml(end))])), Value::Null)
    };
    let push = |tag: &str, layers: &[Value]| shelf.manifest(tag, OCI_MANIFEST, OCI_CONFIG, layers);
    let (one, two, clash) = (layer("a.yaml", "a"), layer("b.yaml", "b"), layer("./a.yaml", "x"));
    push("1", &[one.clone(), two.clone()]);
    scene.create("app", json!({}));
    scene.story.wait_ready("app", "1@").await;
    assert!(scene.config_map("app-a").await.is_some() && scene.config_map("app-b").await.is_none());
    // Another choice of layers of the same digest is another revision of the objects.
    scene.change("app", json!({"layers": "All"}));
    scene.wait_named("app", &["app-a", "app-b"]).await;
    let refuses = async |tag: &str, reason: &str, says: &str| {
        scene.change("app", json!({"ref": {"tag": tag}}));
        let release = scene.wait_message("app", "False", says).await;
        assert_eq!(condition(&release, "Ready").expect("ready").reason, reason, "{tag}");
        scene.wait_named("app", &["app-a", "app-b"]).await;
    };
    push("clash", &[one.clone(), two.clone(), clash]);
    refuses("clash", "ArtifactInvalid", "file \"a.yaml\" is in layer 1 (sha256:").await;
    push("twice", &[one.clone(), one.clone()]);
    refuses("twice", "ArtifactInvalid", "with layers: All, a file can be in one layer only").await;
    let many: Vec<Value> = vec![two.clone(); 2000];
    push("many", &many);
    refuses("many", "ArtifactTooLarge", "it has 2000 layers with content, more than 128").await;
    let large = |size: u64| {
        let mut large = two.clone();
        large["size"] = json!(size);
        large
    };
    // Sizes that lie: together beyond every limit, or not that of the layer.
    push("large", &[one.clone(), large(u64::MAX >> 1)]);
    refuses("large", "ArtifactTooLarge", "its layers have").await;
    push("other", &[one.clone(), large(7)]);
    refuses("other", "DigestMismatch", "does not match the digest").await;
    // A media type that lies: what counts is the content.
    let mut named = two.clone();
    named["mediaType"] = json!("application/yaml");
    push("named", &[one, named]);
    scene.change("app", json!({"ref": {"tag": "named"}}));
    scene.story.wait_ready("app", "named@").await;
    scene.wait_named("app", &["app-a", "app-b"]).await;
}

/// `TITLE` is what oras writes; a title that leads elsewhere is refused.
#[story]
async fn a_title_cannot_lead_out_of_the_artifact() {
    let scene = Scene::begin("layers-title").await;
    let shelf = Shelf {
        registry: scene.registry(),
        repository: scene.repository("app"),
        name: "app".to_owned(),
        directory: processes::directory("titles"),
    };
    let file = |title: &str, end: &str| {
        shelf.blob("application/yaml", shelf.yaml(end).as_bytes(), json!({TITLE: title}))
    };
    shelf.manifest("1", OCI_MANIFEST, EMPTY, &[file("a.yaml", "a"), file("../../etc/b.yaml", "b")]);
    scene.create("app", json!({"layers": "All"}));
    scene.wait_message("app", "False", "entry \"../../etc/b.yaml\" points outside of the archive").await;
    assert!(scene.config_map("app-a").await.is_none());
}

/// A kustomization names files of any layer, whatever their kind.
#[story]
async fn a_kustomization_is_built_over_merged_layers() {
    let kustomize = format!("--kustomize-binary={}", Tools::image().path("kustomize").display());
    let scene = Scene::builder("layers-tree").await.argument(&kustomize).start();
    let shelf = Shelf {
        registry: scene.registry(),
        repository: scene.repository("app"),
        name: "app".to_owned(),
        directory: processes::directory("tree"),
    };
    shelf.write("base/a.yaml", shelf.yaml("a"));
    shelf.write("base/settings.txt", "color=blue\n");
    shelf.write(
        "base/kustomization.yaml",
        "resources: [a.yaml]\ngeneratorOptions: {disableNameSuffixHash: true}\nconfigMapGenerator:\n- {name: app-b, \
         envs: [settings.txt]}\n",
    );
    shelf.write("prod/kustomization.yaml", "resources: [../base]\nnameSuffix: -prod\n");
    let files = ["base/a.yaml", "base/settings.txt", "base/kustomization.yaml", "prod/kustomization.yaml"];
    shelf.oras(&files);
    scene.create("app", json!({"layers": "All", "path": "prod"}));
    scene.story.wait_ready("app", "1@").await;
    scene.wait_named("app", &["app-a-prod", "app-b-prod"]).await;
    let generated = scene.config_map("app-b-prod").await.expect("it was generated");
    assert_eq!(generated["data"]["color"], "blue");
    // Without the other layers the path is not in the artifact.
    scene.change("app", json!({"layers": "First"}));
    scene.wait_message("app", "False", "path ./prod is not in the artifact").await;
    scene.wait_named("app", &["app-a-prod", "app-b-prod"]).await;
}
