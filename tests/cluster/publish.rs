//! The publisher's verbs against a real registry: what they print, what they
//! refuse, and that others can read what they write.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::ExposeSecret;
use serde_json::{Value, json};
use supercargo::oci::{
    Access, AccessParts, Labels, Registry as Client, RegistryOptions, Repository, RequestRecord, Tag, pack,
};
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::registry::{Options, Registry, USERS, digest};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, story};

use crate::scene::{BINARY, registry};

const PROFILES: Profiles = Profiles::First("commands that reach no cluster");

/// An app of which one field and one secret differ between two versions.
fn app(version: &str, password: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: login, namespace: demo}}
stringData: {{password: {password}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: demo}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: cache, namespace: demo}}
spec:
  selector: {{matchLabels: {{app: cache}}}}
  template:
    metadata: {{labels: {{app: cache}}}}
    spec:
      containers: [{{name: redis, image: \"redis:{version}\"}}]
      initContainers: [{{name: init, image: busybox}}]
"
    )
}

/// A private directory, which is also the home of the commands that run in it.
struct Desk {
    directory: PathBuf,
    environment: Vec<(String, String)>,
}

impl Desk {
    fn new() -> Self {
        Self { directory: processes::directory("desk"), environment: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("create a directory");
        fs::write(&path, content).expect("write a file");
        path.to_str().expect("text").to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = processes::command(BINARY);
        for name in
            ["DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "SUPERCARGO_CREDS"]
        {
            command.env_remove(name);
        }
        command.args(arguments).env("HOME", &self.directory).env("SOURCE_DATE_EPOCH", "1700000000");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Exit code, stdout and stderr.
    fn run(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("run supercargo");
        // A command that ends early does not read it.
        let _ = child.stdin.take().expect("stdin").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
    }

    /// What a command prints that has to succeed.
    fn prints(&self, arguments: &[&str], input: &str) -> String {
        let (code, out, err) = self.run(arguments, input);
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    }

    /// Pushes YAML.
    fn push(&self, url: &str, yaml: &str) {
        self.prints(&["push", "artifact", url, "-f", "-"], yaml);
    }

    /// The exact end of a command that fails: what it says last.
    fn fails(&self, arguments: &[&str], input: &str, code: i32, says: &str) {
        let (found, _, err) = self.run(arguments, input);
        let last = err.split_once("error: ").map_or(err.as_str(), |(_, last)| last).trim_end();
        assert_eq!((found, last), (code, says), "{arguments:?}");
    }
}

fn url(registry: &Registry, rest: &str) -> String {
    format!("oci://{}/{rest}", registry.host())
}

#[story]
fn an_artifact_is_pushed_tagged_listed_inspected_and_compared() {
    let (desk, host) = (Desk::new(), registry().host());
    let of = |rest: &str| url(registry(), &format!("publish/story{rest}"));
    desk.push(&of(":1.9.0"), &app("6.2.0", "hunter2"));
    let pushed = desk.prints(
        &[
            "push",
            "artifact",
            &of(":1.10.0"),
            "-f",
            "-",
            "-o",
            "json",
            "--source",
            "here",
            "--revision",
            "main@1",
        ],
        &app("6.2.1", "sesame99"),
    );
    let pushed: Value = serde_json::from_str(&pushed).expect("JSON");
    let crane = registry().crane(&["digest", &format!("{host}/publish/story:1.10.0")]);
    let expected = json!({
        "url": format!("oci://{host}/publish/story@{}", crane.trim()), "repository": format!("{host}/publish/story"),
        "tag": "1.10.0", "digest": crane.trim(),
    });
    assert_eq!(pushed, expected);

    let (code, out, err) = desk.run(&["tag", "artifact", &of(":1.10.0"), "latest", "1.10"], "");
    let tagged = format!("tagged {host}/publish/story:latest\ntagged {host}/publish/story:1.10\n");
    assert_eq!((code, out.as_str(), err), (0, "", tagged));
    assert_eq!(registry().crane(&["digest", &format!("{host}/publish/story:latest")]), crane);

    let signature = of(&format!(":sha256-{}.sig", "0".repeat(64)));
    desk.prints(&["tag", "artifact", &of(":1.9.0"), signature.rsplit(':').next().expect("a tag")], "");
    let versions = |arguments: &[&str]| -> Vec<String> {
        let repository = of("");
        let all = [&["list", "artifacts", &repository, "--no-headers"], arguments].concat();
        let out = desk.prints(&all, "");
        out.lines().map(|line| line.split_whitespace().next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(versions(&[]), ["1.10.0", "1.9.0", "latest", "1.10"]);
    assert_eq!(versions(&["--semver", "<1.10"]), ["1.9.0"]);
    let table = desk.prints(&["list", "artifacts", &of(""), "--semver", "1.9.x"], "");
    assert_eq!(table, format!("VERSION   URL\n1.9.0     {}\n", of(":1.9.0")));

    let yaml = desk.prints(&["pull", "artifact", &of("")], "");
    let checksum = digest(yaml.as_bytes()).replace("sha256:", "");
    let report = format!(
        "Built by: supercargo v0.1.0\nCreated at: 2023-11-14T22:13:20Z\nSource: here\nRevision: main@1\n\
         Checksum: {checksum}\nManifests:\n   Namespace/demo\n   Secret/demo/login\n   Deployment/demo/cache\n   \
         - redis:6.2.1\n   - busybox\n"
    );
    assert_eq!(desk.prints(&["inspect", "artifact", &of("")], ""), report);
    assert_eq!(
        desk.prints(&["inspect", "artifact", &of(""), "--container-images"], ""),
        "busybox\nredis:6.2.1\n"
    );
    let json = desk.prints(&["inspect", "artifact", &of(""), "-o", "json"], "");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json["manifests"][2],
        json!({"object": "Deployment/demo/cache", "group": "apps", "images": ["redis:6.2.1", "busybox"]})
    );

    let (code, out, err) = desk.run(&["diff", "artifact", &of(":1.9.0"), &of("")], "");
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.starts_with("► Secret/demo/login changed\n@@ -1,6 +1,6 @@\n"), "{out}");
    assert!(out.contains("► Deployment/demo/cache changed\n@@ "), "{out}");
    assert!(out.contains("-      - image: redis:6.2.0\n+      - image: redis:6.2.1\n"), "{out}");
    assert!(!out.contains("hunter2") && !out.contains("sesame"), "{out}");
    assert_eq!(desk.run(&["diff", "artifact", &of(":1.10"), &of("")], ""), (0, String::new(), String::new()));
    desk.push(&of(":less"), "{apiVersion: v1, kind: ConfigMap, metadata: {name: new}}");
    let (code, out, _) = desk.run(&["diff", "artifact", &of(":less"), &of(":1.9.0"), "-o", "json"], "");
    let changes: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &changes[3]), (1, &json!({"object": "ConfigMap/new", "change": "deleted"})));
}

/// What Kustomizer, Flux and Argo ask of a manifest.
#[story]
fn others_can_read_what_is_pushed() {
    let (desk, repository) = (Desk::new(), format!("{}/publish/interop", registry().host()));
    desk.push(&format!("oci://{repository}:1"), &app("6", "x"));
    let reference = format!("{repository}:1");
    registry().crane(&["validate", "--remote", &reference]);
    let manifest: Value = serde_json::from_str(&registry().crane(&["manifest", &reference])).expect("JSON");
    // One manifest, no index; all manifests in the first layer, gzip.
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    // Kustomizer does not pull without these, and compares the checksum with the content.
    let yaml = desk.prints(&["pull", "artifact", &format!("oci://{repository}:1")], "");
    let note =
        |key: &str| manifest["annotations"][format!("kustomizer.dev/{key}")].as_str().map(str::to_owned);
    assert_eq!(note("checksum"), Some(digest(yaml.as_bytes()).replace("sha256:", "")));
    assert_eq!(note("created").as_deref(), Some("2023-11-14T22:13:20Z"));
    assert_eq!(note("version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(note("encrypted"), None);
    // And crane finds the one file with the same content.
    let exported = desk.write("export.tar", "");
    registry().crane(&["export", &reference, &exported]);
    let mut archive = tar::Archive::new(fs::File::open(&exported).expect("open a file"));
    let mut content = String::new();
    let mut entries = archive.entries().expect("an archive");
    let mut entry = entries.next().expect("an entry").expect("an entry");
    assert_eq!(entry.path().expect("a path"), Path::new("all.yaml"));
    std::io::Read::read_to_string(&mut entry, &mut content).expect("text");
    assert_eq!(content, yaml);
    assert!(entries.next().is_none());
}

/// Skopeo is not built here: where it is installed it copies what we push, byte
/// by byte, to a directory and back, and we read the copy.
#[story]
fn skopeo_copies_what_is_pushed() {
    let (desk, repository) = (Desk::new(), format!("{}/publish/skopeo", registry().host()));
    desk.push(&format!("oci://{repository}:1"), &app("6", "x"));
    let skopeo = |arguments: &[&str]| std::process::Command::new("skopeo").args(arguments).output();
    let layout = format!("oci:{}:1", desk.write("layout/readme", "").trim_end_matches("/readme"));
    let first = skopeo(&[
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        &format!("docker://{repository}:1"),
        &layout,
    ]);
    let Ok(first) = first else {
        eprintln!("skopeo is not installed: it is not asked");
        return;
    };
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let copy = format!("docker://{repository}:copy");
    let second = skopeo(&["--insecure-policy", "copy", "--dest-tls-verify=false", &layout, &copy])
        .expect("run skopeo");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let digest = |tag: &str| registry().crane(&["digest", &format!("{repository}:{tag}")]);
    assert_eq!(digest("copy"), digest("1"));
    let pull = |tag: &str| desk.prints(&["pull", "artifact", &format!("oci://{repository}:{tag}")], "");
    assert_eq!(pull("copy"), pull("1"));
}

/// A public and a private key of age.
fn key() -> (String, String) {
    let identity = age::x25519::Identity::generate();
    (identity.to_public().to_string(), identity.to_string().expose_secret().to_owned())
}

#[story]
fn an_encrypted_artifact_is_for_its_recipients() {
    let (desk, target) = (Desk::new(), url(registry(), "publish/encrypted:1"));
    let ((public, private), (_, other)) = (key(), key());
    let recipients = desk.write("recipients", format!("# team\n{public}\n"));
    let keys = desk.write("keys", format!("# me\n{other}\n{private}\n"));
    let push = ["push", "artifact", &target, "-f", "-", "--age-recipients", &recipients];
    let (code, _, err) = desk.run(&push, &app("6", "hunter2"));
    assert_eq!(code, 0, "{err}");
    let host = registry().host();
    assert!(err.contains(&format!("pushing encrypted image {host}/publish/encrypted:1\n")), "{err}");
    let name = format!("{host}/publish/encrypted:1");
    let manifest: Value = serde_json::from_str(&registry().crane(&["manifest", &name])).expect("JSON");
    for owner in ["kustomizer.dev", "supercargo.dev"] {
        assert_eq!(manifest["annotations"][format!("{owner}/encrypted")], "age-encryption.org/v1");
    }
    let found = registry().crane(&["digest", &name]);
    desk.fails(
        &["pull", "artifact", &target],
        "",
        1,
        &format!(
            "{host}/publish/encrypted@{} is encrypted with age, and no private key is configured; pass \
             your key file with --age-identities",
            found.trim()
        ),
    );
    let yaml = desk.prints(&["pull", "artifact", &target, "--age-identities", &keys], "");
    assert!(yaml.contains("password: hunter2"), "{yaml}");
    let checksum = digest(yaml.as_bytes()).replace("sha256:", "");
    assert_eq!(manifest["annotations"]["kustomizer.dev/checksum"], checksum);
    let report = desk.prints(&["inspect", "artifact", &target, "--age-identities", &keys], "");
    assert!(
        report.contains("\nEncrypted with: age-encryption.org/v1\nManifests:\n   Namespace/demo\n"),
        "{report}"
    );
    let plain = url(registry(), "publish/encrypted:plain");
    desk.push(&plain, &app("6", "hunter2"));
    let compared = desk.run(&["diff", "artifact", &target, &plain, "--age-identities", &keys], "");
    assert_eq!(compared, (0, String::new(), String::new()));
    desk.fails(
        &["pull", "artifact", &target, "--age-identities", &desk.write("bad", "hunter2\n")],
        "",
        1,
        &format!(
            "{}: line 1 is not an age private key (AGE-SECRET-KEY-1…)",
            desk.directory.join("bad").display()
        ),
    );
    let other = desk.write("other", format!("{other}\n"));
    desk.fails(
        &["pull", "artifact", &target, "--age-identities", &other],
        "",
        1,
        "none of the given keys decrypts file \"all.yaml.age\"",
    );
}

#[story]
fn what_cannot_be_pushed_says_what_is_wrong() {
    let (desk, host) = (Desk::new(), registry().host());
    let target = url(registry(), "publish/refused:1");
    let mark = registry().mark();
    let fails = |arguments: &[&str], input: &str, code: i32, says: &str| {
        desk.fails(&[&["push", "artifact"], arguments].concat(), input, code, says);
    };
    let (tagless, pinned) = (url(registry(), "a"), format!("{target}@{}", digest(b"")));
    fails(&[&tagless, "-f", "-"], "", 2, &format!("{tagless} has no tag; use {tagless}:TAG"));
    let says =
        format!("{pinned} has a digest, which a push cannot set; use oci://{host}/publish/refused:TAG");
    fails(&[&pinned, "-f", "-"], "", 2, &says);
    fails(&["ghcr.io/a:1", "-f", "-"], "", 2, "\"ghcr.io/a:1\" is invalid: it must start with oci://");
    fails(&[&target], "", 2, "no input; set -f FILE, DIR or -, or -k DIR with a kustomization");
    fails(&[&target, "-f", "-", "-f", "-"], "", 2, "stdin can be read only once; pass - only once");
    fails(&[&target, "-f", "-"], "", 1, "the input contains no objects");

    let map = |n: usize| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\n");
    let mut documents: Vec<String> = (0..50).map(map).collect();
    documents[24] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n".into();
    let (code, _, err) =
        desk.run(&["push", "artifact", &target, "-f", &desk.write("all.yaml", documents.join("---\n"))], "");
    assert_eq!(code, 1);
    assert!(err.contains("all.yaml: document 25, line 99: "), "{err}");

    let (one, two) = (
        desk.write("one.yaml", map(1)),
        desk.write("two.json", r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m1"}}"#),
    );
    let says = format!("{two}: document 1, line 1: ConfigMap/m1 is already in {one}: document 1, line 1");
    fails(&[&target, "-f", &one, "-f", &two], "", 1, &says);
    let says = "stdin: document 1, line 1: metadata.name is missing or is not a string";
    fails(&[&target, "-f", "-"], "{apiVersion: v1, kind: ConfigMap}", 1, says);
    let empty = desk.directory.join("empty");
    fs::create_dir(&empty).expect("create a directory");
    let empty = empty.to_str().expect("text");
    fails(&[&target, "-f", empty], "", 1, &format!("{empty} contains no .yaml, .yml or .json file"));
    fails(
        &[&target, "-k", empty],
        "",
        1,
        &format!("{empty} has no kustomization.yaml; use -f for plain manifests"),
    );
    let gone = desk.directory.join("gone.yaml");
    let gone = gone.to_str().expect("text");
    fails(
        &[&target, "-f", gone],
        "",
        1,
        &format!("cannot read {gone}: No such file or directory (os error 2)"),
    );
    let big = format!("{}data: {{k: {}}}\n", map(1), "x".repeat(5_000_000));
    let says = "ConfigMap/m1 has 5000000 bytes of data, API servers accept at most 1048576; split it";
    fails(&[&target, "-f", "-"], &big, 1, says);
    desk.write("k/kustomization.yaml", "resources: []\n");
    let overlay = desk.directory.join("k");
    let overlay = overlay.to_str().expect("text");
    let without = Desk::new().with("PATH", "/nonexistent");
    without.fails(
        &["push", "artifact", &target, "-k", overlay],
        "",
        1,
        &format!(
            "cannot build {overlay}: neither kustomize nor kubectl is on PATH; build it elsewhere and \
             pass the result with -f -"
        ),
    );
    let tools = Tools::get().path("kubectl").parent().expect("a directory").to_owned();
    let building = Desk::new().with("PATH", tools.to_str().expect("text"));
    desk.write("k/kustomization.yaml", "resources: [missing.yaml]\n");
    let (code, _, err) = building.run(&["push", "artifact", &target, "-k", overlay], "");
    assert_eq!(code, 1);
    assert!(err.contains(&format!("error: kubectl cannot build {overlay}: ")), "{err}");
    assert!(err.contains("missing.yaml"), "{err}");
    // Nothing of all that has reached the registry.
    assert!(registry().of_repository(mark, "publish/refused").is_empty());

    let list = format!(
        "{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: ConfigMap, metadata: {{name: l}}}}]}}\n---\n{}",
        map(1)
    );
    assert_eq!(desk.prints(&["push", "artifact", &target, "-f", "-"], &list), "ConfigMap/l\nConfigMap/m1\n");
    assert_eq!(desk.prints(&["push", "artifact", &target, "-f", &two], ""), "ConfigMap/m1\n");
    desk.write("k/kustomization.yaml", "namePrefix: x-\nresources: [map.yaml]\n");
    desk.write("k/map.yaml", map(1));
    assert_eq!(building.prints(&["push", "artifact", &target, "-k", overlay], ""), "ConfigMap/x-m1\n");
}

#[story]
fn what_cannot_be_pulled_says_what_it_is() {
    let (desk, host) = (Desk::new(), registry().host());
    let pull =
        |rest: &str, says: &str| desk.fails(&["pull", "artifact", &url(registry(), rest)], "", 1, says);
    pull("publish/none", &format!("{host}/publish/none:latest was not found"));
    let layer = desk.write("layer.tar", "");
    let mut archive = tar::Builder::new(fs::File::create(&layer).expect("create a file"));
    archive.append_path_with_name(desk.write("sh", "\x7fELF"), "bin/sh").expect("append a file");
    archive.into_inner().expect("an archive");
    registry().crane(&["append", "-f", &layer, "-t", &format!("{host}/publish/image:1")]);
    let found = registry().crane(&["digest", &format!("{host}/publish/image:1")]);
    pull(
        "publish/image:1",
        &format!(
            "{host}/publish/image@{} is not a usable configuration artifact: it contains no YAML or JSON file \
             (is it a container image?); it contains bin",
            found.trim()
        ),
    );
    let config = registry().push_blob("publish/chart", b"{}");
    let content = registry().push_blob("publish/chart", b"chart");
    let chart = registry().push_manifest(
        "publish/chart",
        "1",
        &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": content, "size": 5}]}),
    );
    pull(
        "publish/chart:1",
        &format!(
            "{host}/publish/chart@{chart}: the Helm chart cannot be rendered: its files are not in one directory, as \
             `helm package` makes it"
        ),
    );
    let yaml = registry().push_blob("publish/sum", b"a: b\n");
    let empty = registry().push_blob("publish/sum", b"{}");
    let wrong = registry().push_manifest(
        "publish/sum",
        "1",
        &json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
            "layers": [{"mediaType": "application/yaml", "digest": yaml, "size": 5}],
            "annotations": {"supercargo.dev/checksum": "00"}}),
    );
    pull(
        "publish/sum:1",
        &format!(
            "{host}/publish/sum@{wrong} is not a usable configuration artifact: checksum mismatch: its content does \
             not match its checksum annotation"
        ),
    );
    let none = url(registry(), "publish/none");
    let says = format!("{host}/publish/none:latest was not found");
    desk.fails(&["diff", "artifact", &none, &none], "", 2, &says);
    let says = "sha256:00 is a digest and not a tag; use a tag such as 1.0.0";
    desk.fails(&["tag", "artifact", &format!("{none}:1"), "sha256:00"], "", 2, says);
    let says = format!("{none} has no tag or digest; use {none}:TAG");
    desk.fails(&["tag", "artifact", &none, "x"], "", 2, &says);
}

#[story]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (desk, target) = (Desk::new(), url(registry(), "publish/pipe:1"));
    desk.push(
        &target,
        &format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{k: {}}}\n",
            "x".repeat(500_000)
        ),
    );
    let mut child = desk.command(&["pull", "artifact", &target]).spawn().expect("run supercargo");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

#[story]
fn credentials_are_found_where_docker_and_podman_keep_them() {
    let private = Registry::start(&Options { credentials: true, ..Options::default() });
    let (host, target) = (private.host(), url(&private, "team/app:1"));
    let alice = format!("{}:{}", USERS[0].0, USERS[0].1);
    Desk::new().prints(&["push", "artifact", &target, "-f", "-", "--creds", &alice], &app("6", "x"));
    let (good, bad) = (private.docker_config(USERS[0].0, USERS[0].1), private.docker_config("eve", "guess"));
    let check = |files: &[(&str, &str)], environment: &[(&str, &str)], expected: Result<(), &str>| {
        let mut desk = Desk::new();
        for (name, content) in files {
            let path = desk.write(name, content);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set permissions");
        }
        for (name, value) in environment {
            let value = value.replace("DESK", desk.directory.to_str().expect("text"));
            desk = desk.with(name, &value);
        }
        let pull = ["pull", "artifact", target.as_str()];
        match expected {
            Ok(()) => drop(desk.prints(&pull, "")),
            Err(says) => {
                let says =
                    says.replace("DESK", desk.directory.to_str().expect("text")).replace("HOST", &host);
                desk.fails(&pull, "", 1, &says);
            }
        }
    };
    let none = "HOST/team/app:1: access denied: the registry requires credentials, and none are configured for it; log in \
                with docker or podman, or pass --creds USER:PASSWORD";
    let refused = "HOST/team/app:1: access denied: HOST answered 401; check the credentials and that the \
                   repository exists";
    check(&[], &[], Err(none));
    check(&[(".docker/config.json", &good)], &[], Ok(()));
    check(&[(".docker/config.json", &bad)], &[], Err(refused));
    check(
        &[(".docker/config.json", &bad), ("other/config.json", &good)],
        &[("DOCKER_CONFIG", "DESK/other")],
        Ok(()),
    );
    check(&[("run/containers/auth.json", &good)], &[("XDG_RUNTIME_DIR", "DESK/run")], Ok(()));
    check(&[(".config/containers/auth.json", &good)], &[], Ok(()));
    check(
        &[(".docker/config.json", &bad), ("auth.json", &good)],
        &[("REGISTRY_AUTH_FILE", "DESK/auth.json")],
        Ok(()),
    );
    let scoped = good.replace(&host, &format!("{host}/team"));
    check(&[(".docker/config.json", &scoped)], &[], Ok(()));
    check(&[(".docker/config.json", &good.replace(&host, &format!("{host}/te")))], &[], Err(none));
    check(&[], &[("SUPERCARGO_CREDS", &alice)], Ok(()));
    let broken = "DESK/.docker/config.json: the docker config is not valid JSON or has a wrong type (line 1, column 2)";
    check(&[(".docker/config.json", "{ ")], &[], Err(broken));

    // Helpers: of the registry, for all, with nothing, failing, missing.
    let helper = |body: &str| {
        format!("#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {host}' ] || exit 9\n{body}\n")
    };
    let answer = helper(&format!(r#"echo '{{"Username":"{}","Secret":"{}"}}'"#, USERS[0].0, USERS[0].1));
    let own = json!({"credHelpers": {(host.clone()): "own"}, "credsStore": "gone"}).to_string();
    let all = json!({"credsStore": "own"}).to_string();
    let path = [("PATH", "DESK/bin:/usr/bin:/bin")];
    let with = |config: &str, helper: &str, expected| {
        check(&[(".docker/config.json", config), ("bin/docker-credential-own", helper)], &path, expected);
    };
    with(&own, &answer, Ok(()));
    with(&all, &answer, Ok(()));
    with(&all, &helper("echo 'credentials not found in native keychain'; exit 1"), Err(none));
    let failed = "DESK/.docker/config.json: docker-credential-own failed for HOST: the keychain is locked";
    with(&all, &helper("echo 'the keychain is locked'; exit 1"), Err(failed));
    let talk = "DESK/.docker/config.json: docker-credential-own returned no valid credentials";
    with(&all, &helper("echo hunter2"), Err(talk));
    let missing = "DESK/.docker/config.json: credential helper docker-credential-own for HOST is not on PATH; install it, or pass --creds";
    check(&[(".docker/config.json", &all)], &path, Err(missing));
}

#[story]
fn a_registry_on_this_machine_is_asked_whether_it_speaks_tls() {
    let authority = Authority::new("registry");
    let private = Registry::start(&Options { tls: Some(&authority), ..Options::default() });
    let (desk, host, target) = (Desk::new(), private.host(), url(&private, "app:1"));
    let ca = desk.write("ca.pem", authority.certificate());
    desk.prints(&["push", "artifact", &target, "-f", "-", "--ca-file", &ca], &app("6", "x"));
    // The system's certificates, as the environment names them.
    let trusting = Desk::new().with("SSL_CERT_FILE", &ca);
    trusting.prints(&["pull", "artifact", &target], "");
    desk.fails(
        &["pull", "artifact", &target],
        "",
        1,
        &format!(
            "registry {host} is unavailable: cannot connect: certificate signed by unknown authority; if you trust the \
             registry's CA, pass its certificate with --ca-file"
        ),
    );
    let plain = url(registry(), "publish/none:1");
    desk.fails(
        &["pull", "artifact", &plain, "--ca-file", &ca],
        "",
        1,
        &format!("registry {} speaks plain HTTP; add --insecure", registry().host()),
    );
}

#[story]
fn a_registry_that_is_away_publishes_nothing() {
    let own = Registry::plain();
    let (desk, host, target) = (Desk::new(), own.host(), url(&own, "app:1"));
    own.stop();
    desk.fails(
        &["push", "artifact", &target, "-f", "-"],
        &app("6", "x"),
        1,
        &format!(
            "{host}/app:1 was not published; the tag is unchanged: registry {host} is unavailable: cannot connect: \
             Connection refused (os error 111)"
        ),
    );
}

/// A client that stops the registry when the first upload has begun, and may
/// start it again.
fn faint(registry: &Arc<Registry>, and_come_back: bool) -> Client {
    let (registry, once) = (Arc::clone(registry), AtomicBool::new(false));
    let observer = move |request: &RequestRecord| {
        if request.method == "POST" && !once.swap(true, Ordering::SeqCst) {
            registry.stop();
            if and_come_back {
                registry.resume();
            }
        }
    };
    Client::new(RegistryOptions { observer: Some(Arc::new(observer)), ..RegistryOptions::default() })
}

#[story(flavor = "multi_thread")]
async fn a_registry_that_goes_away_during_a_push_is_waited_for() {
    let own = Arc::new(Registry::plain());
    let repository = Repository::parse(&url(&own, "app")).expect("a repository");
    let (tag, access) = (
        Tag::parse("1").expect("a tag"),
        Access::new(AccessParts { insecure: true, ..AccessParts::default() }),
    );
    let packed = |text: &str| pack(text.as_bytes(), &Labels::default()).expect("packs");
    let (first, second) = (packed("a: b\n---\n"), packed("a: c\n---\n"));
    let digest = faint(&own, true).push(&repository, &tag, &first, &access).await.expect("pushes");
    assert_eq!(digest, first.digest());
    let error = faint(&own, false).push(&repository, &tag, &second, &access).await.expect_err("it is away");
    let (host, says) = (own.host(), error.to_string());
    assert_eq!(says, format!("{host}/app:1 was not published; the tag is unchanged"));
    own.resume();
    assert_eq!(own.crane(&["digest", &format!("{host}/app:1")]).trim(), first.digest().as_str());
    let digest = faint(&own, true).push(&repository, &tag, &second, &access).await.expect("pushes");
    assert_eq!(own.crane(&["digest", &format!("{host}/app:1")]).trim(), digest.as_str());
}

/// Pushes a layer of files in a tar, with docker's or Flux's media types.
fn foreign(repository: &str, types: [&str; 3], files: &[(&str, &[u8])], annotations: Value) {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, *content).expect("append a file");
    }
    let layer = archive.into_inner().expect("an archive");
    let [manifest, config, content] = types;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest, "annotations": annotations,
        "config": {"mediaType": config, "digest": registry().push_blob(repository, b"{}"), "size": 2},
        "layers": [{"mediaType": content, "digest": registry().push_blob(repository, &layer), "size": layer.len()}],
    });
    registry().push_manifest(repository, "1", &manifest);
}

#[story]
fn what_kustomizer_and_flux_push_is_read() {
    let desk = Desk::new();
    let (public, private) = key();
    let keys = desk.write("keys", private);
    let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\n";
    let recipient: age::x25519::Recipient = public.parse().expect("a key");
    let sealed = age::encrypt_and_armor(&recipient, yaml.as_bytes()).expect("encrypts");
    let docker = [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ];
    let checksum = digest(yaml.as_bytes()).replace("sha256:", "");
    let mut notes = json!({"kustomizer.dev/version": "2.2.1", "kustomizer.dev/checksum": checksum,
        "kustomizer.dev/created": "2022-11-21T00:00:00Z", "kustomizer.dev/encrypted": "age-encryption.org/v1"});
    let sealed = [("all.yaml.age", sealed.as_bytes())];
    foreign("publish/kustomizer", docker, &sealed, notes.clone());
    let target = url(registry(), "publish/kustomizer:1");
    assert_eq!(desk.prints(&["pull", "artifact", &target, "--age-identities", &keys], ""), yaml);
    let report = desk.prints(&["inspect", "artifact", &target, "--age-identities", &keys], "");
    assert!(
        report.starts_with("Built by: kustomizer v2.2.1\nCreated at: 2022-11-21T00:00:00Z\nChecksum: "),
        "{report}"
    );
    // The checksum is that of the plain content.
    notes["kustomizer.dev/checksum"] = "00".into();
    foreign("publish/kustomizer", docker, &sealed, notes);
    let (code, _, err) = desk.run(&["pull", "artifact", &target, "--age-identities", &keys], "");
    assert!(code == 1 && err.contains("checksum mismatch"), "{err}");

    let flux = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.cncf.flux.config.v1+json",
        "application/vnd.cncf.flux.content.v1.tar+gzip",
    ];
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let (one, two) = (map("one"), map("two"));
    let files = [("a/one.yaml", one.as_bytes()), ("two.yml", two.as_bytes()), ("README.md", b"# no")];
    let notes = json!({"org.opencontainers.image.created": "2024-01-01T00:00:00Z", "org.opencontainers.image.source": "here"});
    foreign("publish/flux", flux, &files, notes);
    let target = url(registry(), "publish/flux:1");
    assert_eq!(desk.prints(&["pull", "artifact", &target], ""), format!("{one}---\n{two}"));
    let report = desk.prints(&["inspect", "artifact", &target], "");
    let facts = "Created at: 2024-01-01T00:00:00Z\nSource: here\nKind: an artifact of Flux (";
    assert!(report.starts_with(facts), "{report}");
    let end = " bytes: used\nManifests:\n   ConfigMap/one\n   ConfigMap/two\n";
    assert!(report.ends_with(end), "{report}");
}
