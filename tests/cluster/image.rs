//! The image: what is in it, and that what is in it is enough.

use std::io::Read;

use serde_json::{Value, json};
use supercargo_testbed::certificates::{Authority, NAME};
use supercargo_testbed::collector::{Collector, Span};
use supercargo_testbed::operator::Options;
use supercargo_testbed::registry::{self, Registry};
use supercargo_testbed::story::{DEADLINE, condition};
use supercargo_testbed::{Image, Names, Profiles, Story, repository, story};

use super::scene::{config_map, release};

const PROFILES: Profiles = Profiles::First("the image, under the rights that it is given");

const ROOTS: &str = "etc/ssl/certs/ca-certificates.crt";

#[story]
async fn it_is_an_image_of_the_binary_and_the_roots_and_nothing_else() {
    let (image, again) = (Image::shared(), Image::assemble());
    assert_eq!(image.digest(), again.digest(), "two builds of the same are the same");
    assert_eq!(std::fs::read(image.archive()).expect("read"), std::fs::read(again.archive()).expect("read"));

    // A real registry takes it, a real client unpacks it.
    let registry = Registry::plain();
    let name = format!("{}/supercargo:1", registry.host());
    let layout = image.layout();
    registry.crane(&["push", layout.to_str().expect("text"), &name]);
    assert_eq!(registry.crane(&["digest", &name]).trim(), image.digest());
    registry.crane(&["validate", "--remote", &name]);
    let unpacked = supercargo_testbed::processes::directory("unpacked").join("files.tar");
    registry.crane(&["export", &name, unpacked.to_str().expect("text")]);
    let mut files = Vec::new();
    let mut binary = Vec::new();
    let mut archive = tar::Archive::new(std::fs::File::open(&unpacked).expect("open"));
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let (path, header) = (entry.path().expect("a path").display().to_string(), entry.header().clone());
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)), "{path}");
        assert_eq!(header.mtime().ok(), Some(1_700_000_000), "{path}");
        if !header.entry_type().is_dir() {
            files.push((path.trim_start_matches("./").to_owned(), header.mode().expect("a mode")));
        }
        if path.ends_with("supercargo") {
            entry.read_to_end(&mut binary).expect("read");
        }
    }
    assert_eq!(
        files,
        [
            (ROOTS.to_owned(), 0o644),
            ("helm".to_owned(), 0o755),
            ("kustomize".to_owned(), 0o755),
            ("supercargo".to_owned(), 0o755)
        ]
    );
    assert_eq!(interpreter(&binary), None, "it is static");
}

/// The dynamic linker that a program asks for.
fn interpreter(elf: &[u8]) -> Option<String> {
    const INTERP: u64 = 3;
    let number = |at: usize, size: usize| -> u64 {
        let bytes = elf.get(at..at + size).expect("an ELF file");
        bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    };
    let at = |place: u64| usize::try_from(place).expect("it fits");
    assert_eq!(elf.get(..5), Some(&b"\x7fELF\x02"[..]), "an ELF file of 64 bits");
    let (headers, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let header = (0..count).map(|n| at(headers + n * size)).find(|header| number(*header, 4) == INTERP)?;
    let (from, length) = (at(number(header + 8, 8)), at(number(header + 32, 8)));
    Some(String::from_utf8_lossy(&elf[from..from + length]).into_owned())
}

#[story]
fn what_is_not_static_is_told_from_what_is() {
    let elf = std::fs::read(super::scene::BINARY).expect("read");
    assert!(interpreter(&elf).is_some_and(|name| name.contains("ld-linux")));
}

// What a pod gives it, and no more: its files, a volume, names by DNS, and no
// variable but those that are set. It is nobody and cannot write to its root.
#[story]
async fn a_release_becomes_ready_by_the_operator_inside_of_it() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let start = |authority| {
        Registry::start(&registry::Options { tls: Some(authority), ..registry::Options::default() })
    };
    let (public, private) = (start(&known), start(&unknown));
    for registry in [&public, &private] {
        registry.push_yaml("app", "1", &config_map("app", "one"));
    }
    let names = Names::start();
    let root = Image::shared().root(&names.resolv_conf());
    let roots = std::fs::read_to_string(root.join(ROOTS)).expect("read");
    assert!(roots.matches("BEGIN CERTIFICATE").count() > 50, "the roots of a distribution");
    std::fs::write(root.join(ROOTS), roots + known.certificate()).expect("write");

    let story = Story::begin("image").await;
    let account = story.operator_account();
    let mut operator = Options::of_image(&root, &account).watching(&[story.namespace()]).start();
    operator.wait_ready();
    let install = |name: &str, registry: &Registry, spec: Value| {
        let port = registry.host().rsplit_once(':').expect("a port").1.to_owned();
        let url = format!("oci://{NAME}:{port}/app");
        story.apply(&release(story.namespace(), name, &url, spec).to_string());
    };
    let spec = json!({"insecure": false, "retryInterval": "1h"});
    // Its certificate is trusted for the image's roots alone.
    install("public", &public, spec.clone());
    story.wait_ready("public", "1@sha256:").await;
    assert!(names.asked().iter().any(|name| name == NAME), "{:?}", names.asked());

    install("private", &private, spec.clone());
    let refused = story.wait_condition("private", "Ready", "False", "RegistryUnavailable").await;
    let message = condition(&refused, "Ready").expect("ready").message;
    assert!(message.contains("certificate"), "{message}");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"},
        "stringData": {"ca.crt": unknown.certificate()},
    });
    story.apply(&secret.to_string());
    let mut trusting = spec;
    trusting["certSecretRef"] = json!({"name": "tls"});
    trusting["targetNamespace"] = json!(story.another_namespace("image-private"));
    install("private", &private, trusting);
    story.wait_ready("private", "1@sha256:").await;

    // It is who and where it should be.
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.id())).expect("read");
    assert!(status.lines().any(|line| line == "CapEff:\t0000000000000000"), "{status}");
    let mounts = std::fs::read_to_string(format!("/proc/{}/mounts", operator.id())).expect("read");
    let whole = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).expect("a root");
    assert!(whole.split(' ').nth(3).is_some_and(|options| options.starts_with("ro,")), "{whole}");
    assert!(operator.metric("process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0));
    let log = operator.log();
    assert!(!log.contains("WARN  oci::cache"), "{log}");
    assert_eq!(operator.stop(), Some(0), "{}", operator.log());
}

// The image has traces; the binary of the other tests has none.
#[story]
async fn its_traces_reach_a_collector_and_have_the_ids_of_the_log() {
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &config_map("app", "hunter2"));
    let collector = Collector::start();
    let story = Story::begin("image-traces").await;
    let account = story.operator_account();
    let root = Image::shared().root("");
    let mut operator = Options::of_image(&root, &account)
        .watching(&[story.namespace()])
        .argument("--log-format=json")
        .argument(&format!("--otlp-endpoint={}", collector.url()))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret")
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .start();
    operator.wait_ready();
    let url = format!("oci://{}/app", registry.host());
    story.apply(&release(story.namespace(), "app", &url, json!({"wait": true})).to_string());
    story.wait_ready("app", "1@sha256:").await;
    story.apply(&release(story.namespace(), "none", &url, json!({"ref": {"tag": "none"}})).to_string());
    story.wait_condition("none", "Ready", "False", "ArtifactNotFound").await;
    // What was not sent yet is sent at the end.
    assert_eq!(operator.stop(), Some(0), "{}", operator.log());

    let log = operator.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect();
    let line = lines.iter().find(|line| line["created"] == 1).unwrap_or_else(|| panic!("{log}"));
    let spans = collector.spans();
    let trace: Vec<&Span> = spans.iter().filter(|span| line["trace_id"] == json!(span.trace)).collect();
    let run = trace.iter().find(|span| span.name == "reconcile").unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!(run.parent, "");
    assert_eq!(run.attribute("release"), Some(format!("{}/app", story.namespace()).as_str()));
    assert!(run.attribute("revision").is_some_and(|r| r.starts_with("1@sha256:")), "{run:?}");
    assert_eq!(run.attribute("service.name"), Some("supercargo"));
    assert_eq!(run.attribute("service.version"), Some(env!("CARGO_PKG_VERSION")));
    assert!(!run.failed);
    assert!(run.events.iter().any(|event| line["message"] == json!(event)), "{run:?}");
    for phase in ["resolve", "render", "plan", "preflight", "apply", "prune"] {
        let span =
            trace.iter().find(|span| span.name == phase).unwrap_or_else(|| panic!("{phase}: {trace:#?}"));
        assert_eq!(span.parent, run.id, "{phase}");
        // Ends are measured with another clock than lengths: a little may differ.
        assert!(span.from + 1_000_000 >= run.from && span.to <= run.to + 1_000_000, "{span:?} in {run:?}");
    }
    let request = trace.iter().find(|span| span.name == "registry HEAD").expect("the look at the tag");
    assert_eq!(request.attribute("server.address"), Some(registry.host().as_str()));
    assert_eq!(request.attribute("http.response.status_code"), Some("200"));
    let failed = spans.iter().find(|span| span.name == "reconcile" && span.failed);
    let failed = failed.and_then(|span| span.attribute("release")).unwrap_or_default();
    assert!(failed.ends_with("/none"), "{spans:#?}");
    assert!(collector.heads().iter().all(|head| head.contains("x-api-key: s3cret")), "the collector's key");
    for secret in ["s3cret", "hunter2"] {
        assert!(!format!("{spans:?}").contains(secret) && !log.contains(secret), "{log}");
    }
}

// A collector that is away disturbs nothing, and is told of once.
#[story]
async fn without_its_collector_it_goes_on() {
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &config_map("app", "one"));
    let story = Story::begin("image-alone").await;
    let account = story.operator_account();
    let nobody = supercargo_testbed::ports::free();
    let root = Image::shared().root("");
    let mut operator = Options::of_image(&root, &account)
        .watching(&[story.namespace()])
        .argument(&format!("--otlp-endpoint=http://127.0.0.1:{nobody}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .start();
    operator.wait_ready();
    story.apply(
        &release(story.namespace(), "app", &format!("oci://{}/app", registry.host()), json!({})).to_string(),
    );
    story.wait_ready("app", "1@sha256:").await;
    let lost = || operator.log().matches("losing traces").count();
    assert!(supercargo_testbed::within(DEADLINE, || lost() > 0), "{}", operator.log());
    registry.push_yaml("app", "1", &config_map("app", "two"));
    story.kubectl(&["annotate", "oar", "app", "supercargo.dev/reconcile-at=now"], "");
    story
        .wait_for("the next one", async || {
            let object = story.object("v1", "configmaps", "app").await?;
            (object["data"]["key"] == "two").then_some(())
        })
        .await;
    assert_eq!(operator.stop(), Some(0), "{}", operator.log());
    assert_eq!(operator.log().matches("losing traces").count(), 1, "{}", operator.log());
}

// The two ways to the image, held side by side.
#[story]
async fn the_dockerfile_says_the_same() {
    let config = Image::shared().config();
    let text = std::fs::read_to_string(repository().join("Dockerfile")).expect("read");
    let last = Stage::last(&text);
    let config = &config["config"];
    assert_eq!(config["User"], json!(last.only("USER")));
    assert_eq!(config["WorkingDir"], json!(last.only("WORKDIR")));
    for (instruction, field) in [("ENTRYPOINT", "Entrypoint"), ("CMD", "Cmd")] {
        let said: Value = serde_json::from_str(&last.only(instruction)).expect("JSON, so without a shell");
        assert_eq!(config[field], said, "{instruction}");
    }
    assert_eq!(config["Env"], json!([last.only("ENV")]));
    let labels: Value = last.pairs("LABEL").collect();
    let mut assembled = config["Labels"].clone();
    // Of a commit, which the Dockerfile is told.
    assembled["org.opencontainers.image.revision"] = json!("unknown");
    assert_eq!(labels, assembled);
    let copied: Vec<String> =
        last.all("COPY").filter_map(|copy| copy.split(' ').next_back().map(str::to_owned)).collect();
    let programs = ["/helm", "/kustomize", "/supercargo"].map(str::to_owned);
    assert_eq!(copied, [vec![format!("/{ROOTS}")], programs.to_vec()].concat());
    assert_eq!(last.base, "scratch");
    assert!(text.contains("image/build "), "the binary is built by the same script");
    assert!(text.contains("image/programs/build "), "so are the programs");
    let rust = text.lines().find_map(|line| line.strip_prefix("ARG RUST_VERSION=")).expect("a version");
    for workflow in ["ci", "release", "storm"] {
        let path = repository().join(format!(".github/workflows/{workflow}.yaml"));
        let jobs = std::fs::read_to_string(path).expect("read");
        let installed = format!("rustup toolchain install {rust} ");
        assert!(jobs.contains(&installed), "{workflow} tests with the compiler of the image, {rust}");
    }
}

/// The last stage of a Dockerfile.
struct Stage {
    base: String,
    instructions: Vec<(String, String)>,
}

impl Stage {
    fn last(dockerfile: &str) -> Stage {
        let lines = dockerfile.lines().filter(|line| !line.trim_start().starts_with('#'));
        let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
        let (_, text) = text.rsplit_once("\nFROM ").expect("a stage");
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let base = lines.next().expect("a base");
        let mut instructions: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())))
            .collect();
        let arguments: Vec<(String, String)> = instructions
            .iter()
            .filter(|(instruction, _)| instruction == "ARG")
            .filter_map(|(_, text)| text.split_once('=').map(|(a, b)| (format!("${{{a}}}"), b.to_owned())))
            .collect();
        for (_, text) in &mut instructions {
            for (name, value) in &arguments {
                *text = text.replace(name, value);
            }
        }
        Stage { base, instructions }
    }

    fn all<'a>(&'a self, instruction: &'a str) -> impl Iterator<Item = &'a str> {
        self.instructions.iter().filter(move |(name, _)| name == instruction).map(|(_, text)| text.as_str())
    }

    fn only(&self, instruction: &str) -> String {
        let all: Vec<&str> = self.all(instruction).collect();
        assert_eq!(all.len(), 1, "one {instruction}: {all:?}");
        all[0].to_owned()
    }

    fn pairs(&self, instruction: &str) -> impl Iterator<Item = (String, Value)> {
        let text = self.only(instruction);
        let mut rest = text.as_str();
        let mut pairs = Vec::new();
        while let Some((name, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"').expect("the quotes end");
            pairs.push((name.trim().to_owned(), json!(value)));
            rest = after;
        }
        pairs.into_iter()
    }
}
