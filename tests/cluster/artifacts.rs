//! The command line and the client of registries, against CNCF distribution.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use supercargo::api::reason::Reason;
use supercargo::domain::version::Range;
use supercargo::oci::{
    Access, AccessParts, ArtifactReference, Digest, Keyring, OciError, Registry as Client, RegistryOptions,
    Repository, Resolved, Selection, Tag, Wanted,
};
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::registry::{Options, Registry, USERS};
use supercargo_testbed::{Profiles, processes, story, within};

use crate::scene::BINARY;

const PROFILES: Profiles = Profiles::First("commands that reach no cluster");

/// As the command line writes it: sorted keys, every document ended.
const YAML: &str = "apiVersion: v1
kind: Namespace
metadata:
  name: demo
---
apiVersion: v1
data:
  a: b
kind: ConfigMap
metadata:
  name: settings
  namespace: demo
";

/// Runs the command line without anybody's Docker config.
fn supercargo(arguments: &[&str], input: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_remove("SOURCE_DATE_EPOCH").env("DOCKER_CONFIG", "/nonexistent");
    command.envs(environment.iter().copied());
    let stdin = processes::directory("stdin").join("input");
    fs::write(&stdin, input).expect("write a file");
    command.stdin(fs::File::open(stdin).expect("open a file"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("run supercargo")
}

/// Exit code, stdout and stderr in one text.
fn shown(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}==\n{err}", output.status.code().expect("an exit code"))
}

fn repository(registry: &Registry, name: &str) -> Repository {
    Repository::parse(&format!("oci://{}/{name}", registry.host())).expect("a repository")
}

fn tag(name: &str) -> Wanted {
    Wanted::Tag(Tag::parse(name).expect("a tag"))
}

fn plain() -> Access {
    Access::new(AccessParts { insecure: true, ..AccessParts::default() })
}

fn client() -> Client {
    Client::new(RegistryOptions { idle_timeout: Duration::from_secs(10), ..RegistryOptions::default() })
}

async fn pull(
    client: &Client,
    repository: &Repository,
    wanted: &Wanted,
    access: &Access,
) -> Result<String, OciError> {
    let Resolved { digest, .. } = client.resolve(repository, wanted, access).await?;
    let artifact = client.fetch(repository, &digest, access, &Selection::default()).await?;
    assert_eq!(artifact.digest, digest);
    Ok(artifact.files.iter().map(|(_, content)| String::from_utf8_lossy(content)).collect())
}

#[story]
fn what_is_pushed_is_pulled() {
    let registry = Registry::plain();
    let directory = processes::directory("manifests");
    fs::write(directory.join("app.yaml"), YAML).expect("write a file");
    fs::write(directory.join("README.md"), "# no manifest").expect("write a file");
    let url = format!("oci://{}/team/app:1.0.0", registry.host());
    let path = directory.to_str().expect("text");
    let pushed = supercargo(
        &["push", "artifact", &url, "-f", path, "--source", "here", "--revision", "main@1"],
        "",
        &[],
    );
    let digest = registry.crane(&["digest", url.trim_start_matches("oci://")]);
    assert_eq!(
        shown(&pushed),
        format!(
            "0\nNamespace/demo\nConfigMap/demo/settings\n==\nbuilding manifests...\npushing image {host}/team/app:1.0.0\n\
             published digest {host}/team/app@{digest}",
            host = registry.host(),
        )
    );
    let pulled = supercargo(&["pull", "artifact", &url], "", &[]);
    assert_eq!(shown(&pulled), format!("0\n{YAML}---\n==\n"));
    let by_digest = format!("oci://{}/team/app@{}", registry.host(), digest.trim());
    assert_eq!(shown(&supercargo(&["pull", "artifact", &by_digest], "", &[])), format!("0\n{YAML}---\n==\n"));
    registry.crane(&["validate", "--remote", url.trim_start_matches("oci://")]);
}

#[story]
fn the_same_input_has_the_same_digest() {
    let registry = Registry::plain();
    let push = |tag: &str, epoch: &str| {
        let url = format!("oci://{}/app:{tag}", registry.host());
        let output =
            supercargo(&["push", "artifact", &url, "-f", "-"], YAML, &[("SOURCE_DATE_EPOCH", epoch)]);
        assert!(output.status.success(), "{}", shown(&output));
        registry.crane(&["digest", url.trim_start_matches("oci://")])
    };
    assert_eq!(push("1", "1700000000"), push("2", "1700000000"));
    assert_ne!(push("1", "1700000000"), push("3", "1700000001"));
    let manifest = registry.crane(&["manifest", &format!("{}/app:1", registry.host())]);
    assert!(manifest.contains(r#""org.opencontainers.image.created":"2023-11-14T22:13:20Z""#), "{manifest}");
    assert!(manifest.contains(r#""kustomizer.dev/created":"2023-11-14T22:13:20Z""#), "{manifest}");
}

#[story]
fn failures_say_what_to_do_and_end_with_their_code() {
    let registry = Registry::plain();
    let host = registry.host();
    let check = |arguments: &[&str], code: i32, says: &str| {
        let output = supercargo(arguments, YAML, &[]);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(says), "{text}");
    };
    let (tagless, missing) = (format!("oci://{host}/app"), format!("oci://{host}/none:1"));
    check(&["push", "artifact", &tagless, "-f", "-"], 2, "has no tag");
    check(&["push", "artifact", "ghcr.io/app:1", "-f", "-"], 2, "must start with oci://");
    check(&["push", "artifact", &missing, "-f", "/nonexistent"], 1, "cannot read /nonexistent");
    check(&["push", "artifact", &missing, "-f", "-", "--created", "today"], 2, "RFC 3339");
    check(&["push", "artifact", &missing], 2, "no input; set -f FILE");
    check(&["pull", "artifact", &missing], 1, "/none:1 was not found");
    check(&["pull", "artifact", &tagless], 1, "/app:latest was not found");
    check(&["pull", "artifact", &missing, "--ca-file", "/nonexistent"], 1, "cannot read /nonexistent");
    check(&[], 2, "Usage");
    check(&["--version"], 0, "supercargo");
}

#[story]
fn what_is_no_manifest_is_not_pushed() {
    let registry = Registry::plain();
    let (mark, url) = (registry.mark(), format!("oci://{}/app:1", registry.host()));
    let check = |input: &str, says: &str| {
        let output = supercargo(&["push", "artifact", &url, "-f", "-"], input, &[]);
        let text = shown(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(says), "{text}");
    };
    check("", "contains no objects");
    check("a: b\n", "stdin: document 1, line 1: ");
    check(
        &format!("{YAML}---\n{YAML}"),
        "document 3, line 14: Namespace/demo is already in stdin: document 1, line 1",
    );
    check("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", "kustomize build");
    assert!(registry.of_repository(mark, "app").is_empty());
}

#[story]
async fn a_tag_costs_one_head_and_a_digest_nothing() {
    let registry = Registry::plain();
    let digest = registry.push_yaml("app", "1.0.0", YAML);
    registry.push_yaml("app", "0.9.0", "kind: Secret\n");
    let (client, app) = (client(), repository(&registry, "app"));
    let mark = registry.mark();
    let resolved = client.resolve(&app, &tag("1.0.0"), &plain()).await.expect("resolves");
    assert_eq!(resolved.revision, format!("1.0.0@{digest}"));
    let wanted = Wanted::Digest(Digest::parse(&digest).expect("a digest"));
    assert_eq!(client.resolve(&app, &wanted, &plain()).await.expect("resolves").revision, digest);
    let range = Wanted::Semver { range: Range::parse(">=0.1").expect("a range"), filter: None };
    assert_eq!(client.resolve(&app, &range, &plain()).await.expect("resolves"), resolved);
    assert!(within(Duration::from_secs(10), || registry.since(mark).len() >= 3));
    let asked: Vec<String> =
        registry.since(mark).iter().map(|a| format!("{} {}", a.method, a.path)).collect();
    let head = "HEAD /v2/app/manifests/1.0.0";
    assert_eq!(asked, [head, "GET /v2/app/tags/list?n=1000", head]);
}

#[story]
async fn what_crane_pushes_is_read() {
    let registry = Registry::plain();
    let directory = processes::directory("crane");
    let (yaml, tar) = (directory.join("all.yaml"), directory.join("all.tar"));
    fs::write(&yaml, YAML).expect("write a file");
    let mut archive = tar::Builder::new(fs::File::create(&tar).expect("create a file"));
    archive.append_path_with_name(&yaml, "all.yaml").expect("append a file");
    archive.into_inner().expect("an archive");
    let append = |layer: &Path, name: &str| {
        let target = format!("{}/{name}:1", registry.host());
        registry.crane(&["append", "-f", layer.to_str().expect("text"), "-t", &target]);
    };
    // What Kustomizer pushes but for its annotations: docker's media types.
    append(&tar, "archive");
    append(&yaml, "plain");
    let client = client();
    for name in ["archive", "plain"] {
        let pulled = pull(&client, &repository(&registry, name), &tag("1"), &plain()).await;
        assert_eq!(pulled.expect("pulls"), YAML, "{name}");
    }
    let (one, index) =
        (format!("{}/archive:1", registry.host()), format!("{}/archive:index", registry.host()));
    registry.crane(&["index", "append", "-m", &one, "-t", &index]);
    let archive = repository(&registry, "archive");
    assert_eq!(pull(&client, &archive, &tag("index"), &plain()).await.expect("pulls"), YAML);

    fs::write(&yaml, b"\x7fELF\x00\x01").expect("write a file");
    append(&yaml, "binary");
    let error =
        pull(&client, &repository(&registry, "binary"), &tag("1"), &plain()).await.expect_err("refused");
    assert_eq!(error.reason(), Reason::ArtifactInvalid, "{error}");
}

#[story]
fn a_digest_with_a_tag_is_read_and_a_tag_that_names_another_is_told() {
    let registry = Registry::plain();
    let digest = registry.push_yaml("app", "1.0.0", YAML);
    let url = format!("oci://{}/app:1.0.0@{digest}", registry.host());
    let pull = || shown(&supercargo(&["pull", "artifact", &url], "", &[]));
    assert_eq!(pull(), format!("0\n{YAML}==\n"));
    let other = registry.push_yaml("app", "1.0.0", "kind: Secret\n");
    let warning = |says: &str| format!("0\n{YAML}==\nwarning: {says}, and the digest in the URL is used\n");
    assert_eq!(pull(), warning(&format!("tag 1.0.0 names {other}")));
    let never = format!("oci://{}/app:2.0.0@{digest}", registry.host());
    assert_eq!(
        shown(&supercargo(&["pull", "artifact", &never], "", &[])),
        warning("tag 2.0.0 was not found")
    );
}

#[story]
fn the_command_line_merges_layers_where_it_is_told_to() {
    let registry = Registry::plain();
    let layer = |title: &str, yaml: &str| {
        let digest = registry.push_blob("app", yaml.as_bytes());
        serde_json::json!({"mediaType": "application/yaml", "digest": digest, "size": yaml.len(),
            "annotations": {"org.opencontainers.image.title": title}})
    };
    let map =
        |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: x\n");
    let layers = [layer("b.yaml", &map("b")), layer("deploy/a.yaml", &map("a"))];
    let config = serde_json::json!({"mediaType": "application/vnd.oci.empty.v1+json",
        "digest": registry.push_blob("app", b"{}"), "size": 2});
    let manifest = serde_json::json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers});
    registry.push_manifest("app", "1", &manifest);
    let url = format!("oci://{}/app:1", registry.host());
    let check = |arguments: &[&str], says: &[&str], not: &[&str]| {
        let text = shown(&supercargo(arguments, "", &[]));
        let wrong = says.iter().any(|says| !text.contains(says)) || not.iter().any(|not| text.contains(not));
        assert!(text.starts_with("0\n") && !wrong, "{arguments:?}: {text}");
    };
    check(&["pull", "artifact", &url], &["name: b"], &["name: a"]);
    check(&["pull", "artifact", &url, "--layers", "All"], &["name: b", "name: a"], &[]);
    check(&["build", "inventory", "x", "-a", &url, "--layers", "all"], &["name: b", "name: a"], &[]);
    let shows =
        ["Kind: an artifact of files (ORAS)", "application/yaml, ", ", b.yaml: used", ", deploy/a.yaml: "];
    check(&["inspect", "artifact", &url], &shows, &["deploy/a.yaml: used", "ConfigMap/x/a"]);
    check(&["inspect", "artifact", &url, "--layers", "All"], &shows, &["not used"]);
    check(&["diff", "artifact", &url, &url, "--layers", "All"], &[], &["name"]);
}

#[story]
async fn a_tag_is_put_on_what_another_means() {
    let registry = Registry::plain();
    let digest = registry.push_yaml("app", "1.0.0", YAML);
    let new = Tag::parse("latest").expect("a tag");
    let tagged =
        client().tag(&repository(&registry, "app"), &tag("1.0.0"), &new, &plain()).await.expect("tags");
    assert_eq!(tagged.as_str(), digest);
    assert_eq!(registry.crane(&["digest", &format!("{}/app:latest", registry.host())]).trim(), digest);
}

#[story]
async fn credentials_decide() {
    let registry = Registry::start(&Options { credentials: true, ..Options::default() });
    let url = format!("oci://{}/private/app:1", registry.host());
    let creds = format!("{}:{}", USERS[0].0, USERS[0].1);
    let push = ["push", "artifact", url.as_str(), "-f", "-"];
    let anonymous = supercargo(&push, YAML, &[]);
    assert!(
        shown(&anonymous).contains("requires credentials, and none are configured"),
        "{}",
        shown(&anonymous)
    );
    let pushed = supercargo(&[&push[..], &["--creds", &creds]].concat(), YAML, &[]);
    assert!(pushed.status.success(), "{}", shown(&pushed));

    let directory = processes::directory("docker");
    fs::write(directory.join("config.json"), registry.docker_config(USERS[1].0, USERS[1].1))
        .expect("write a file");
    let config = [("DOCKER_CONFIG", directory.to_str().expect("text"))];
    let pulled = supercargo(&["pull", "artifact", &url], "", &config);
    assert_eq!(shown(&pulled), format!("0\n{YAML}---\n==\n"));

    let client = client();
    let app = repository(&registry, "private/app");
    let access = |user: &str, password: &str| {
        let mut keyring = Keyring::default();
        keyring.add(registry.docker_config(user, password).as_bytes()).expect("a config");
        Access::new(AccessParts { keyring, insecure: true, ..AccessParts::default() })
    };
    let good = access(USERS[0].0, USERS[0].1);
    assert!(pull(&client, &app, &tag("1"), &good).await.is_ok());
    let mark = registry.mark();
    client.resolve(&app, &tag("1"), &good).await.expect("resolves");
    assert!(within(Duration::from_secs(10), || !registry.since(mark).is_empty()));
    assert_eq!(registry.since(mark).len(), 1, "the way in is remembered");
    for bad in [access(USERS[0].0, "guess"), plain()] {
        let error = pull(&client, &app, &tag("1"), &bad).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");
        assert!(!error.to_string().contains("guess"));
    }
}

#[story]
async fn certificates_decide() {
    let (authority, other) = (Authority::new("registry"), Authority::new("other"));
    let registry =
        Registry::start(&Options { tls: Some(&authority), client_certificates: true, ..Options::default() });
    let app = repository(&registry, "app");
    let identity = |authority: &Authority| {
        let identity = authority.client("puller", None);
        Some((identity.certificate.into_bytes(), identity.key.into_bytes()))
    };
    let access = |ca: Option<&Authority>, client_cert| {
        let ca = ca.map(|a| a.certificate().as_bytes().to_vec());
        Access::new(AccessParts { ca, client_cert, ..AccessParts::default() })
    };
    let client = client();
    let reason = async |access: Access| {
        client.resolve(&app, &tag("1"), &access).await.expect_err("nothing is there").reason()
    };
    assert_eq!(reason(access(Some(&authority), identity(&authority))).await, Reason::ArtifactNotFound);
    assert_eq!(reason(access(None, identity(&authority))).await, Reason::RegistryUnavailable);
    assert_eq!(reason(access(Some(&other), identity(&authority))).await, Reason::RegistryUnavailable);
    assert_eq!(reason(access(Some(&authority), None)).await, Reason::RegistryUnavailable);
    assert_eq!(reason(access(Some(&authority), identity(&other))).await, Reason::RegistryUnavailable);
    let garbage = Some((b"no".to_vec(), b"pem".to_vec()));
    assert_eq!(reason(access(Some(&authority), garbage)).await, Reason::SecretInvalid);
}

#[story]
async fn a_registry_that_is_away_is_unavailable_and_comes_back() {
    let registry = Registry::plain();
    registry.push_yaml("app", "1", YAML);
    let app = repository(&registry, "app");
    // Impatient with the frozen one only: what answers may be slow on a busy machine.
    let impatient = Client::new(RegistryOptions {
        idle_timeout: Duration::from_millis(500),
        ..RegistryOptions::default()
    });
    registry.freeze();
    let error = impatient.resolve(&app, &tag("1"), &plain()).await.expect_err("frozen");
    assert_eq!(error.to_string(), format!("registry {} is unavailable: no answer in time", registry.host()));
    registry.thaw();
    registry.stop();
    let client = Client::new(RegistryOptions::default());
    let error = client.resolve(&app, &tag("1"), &plain()).await.expect_err("stopped");
    assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
    assert!(error.to_string().contains("cannot connect"), "{error}");
    registry.resume();
    assert_eq!(pull(&client, &app, &tag("1"), &plain()).await.expect("pulls"), YAML);
    assert!(ArtifactReference::parse(&format!("oci://{}/app:1", registry.host())).is_ok());
}
