//! What a build cannot do: each attempt is possible for the same program outside of the sandbox.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use serde_json::json;
use supercargo::builder::{Availability, BuildProgram, Builder};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Profiles, processes, story};

use super::tree::{options, tree, write};

const PROFILES: Profiles = Profiles::First("processes that reach no cluster");

/// What is possible everywhere without a sandbox, for every user.
const CONTROL: &[&str] = &[
    "read-secret",
    "read-passwd",
    "read-environ-of-another",
    "list-outside",
    "write-own",
    "write-outside",
    "remove-own",
    "link-outside",
    "connect-loopback",
    "connect-socket",
    "connect-abstract-socket",
    "listen",
    "run-shell",
    "run-itself",
    "signal-another",
    "anonymous-file",
];

/// `name: result` of each attempt.
fn results(output: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8(output.to_vec()).expect("text");
    let (_, data) = text.split_once("data:\n").unwrap_or_else(|| panic!("{text}"));
    let pair = |line: &str| {
        let (name, result) = line.trim().split_once(": ").expect("an attempt");
        (name.to_owned(), result.trim_matches('"').to_owned())
    };
    data.lines().map(pair).collect()
}

#[story]
async fn promise_7_a_build_reaches_nothing_but_its_own_files() {
    let outside = processes::directory("outside");
    let secret = outside.join("token");
    std::fs::write(&secret, "secret").expect("write a file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let socket = outside.join("socket");
    let _socket = UnixListener::bind(&socket).expect("listen");
    let name = format!("supercargo-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let _abstract = UnixListener::bind_addr(&address).expect("listen");
    let mut victim = Command::new("sleep").arg("600").spawn().expect("start a process");
    // One that a careless start would pass on.
    let file = std::fs::File::open(&secret).expect("open a file");
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
    let targets = json!({
        "Secret": secret, "Outside": outside, "Listener": listener.local_addr().expect("an address").to_string(),
        "Socket": socket, "Abstract": name, "Victim": victim.id(), "Descriptor": descriptor,
    })
    .to_string();
    let files = [("kustomization.yaml", ""), ("attempts.json", targets.as_str()), ("removable", "")];

    let attempts = Tools::escape().path("attempts");
    let builder = Builder::new(options(attempts));
    let availability = builder.availability(BuildProgram::Kustomize).await;
    assert!(matches!(availability, Availability::Ready { confined: true, .. }), "{availability:?}");
    let built = builder.build("team", tree("", &files), 1 << 20).await.expect("it says what it could do");

    let free = processes::directory("free");
    write(&free, &files);
    let control = Command::new(attempts)
        .arg("build")
        .current_dir(&free)
        .stderr(Stdio::inherit())
        .output()
        .expect("run it");
    // Both were killed by nobody.
    assert!(victim.try_wait().expect("a process").is_none());
    victim.kill().expect("end it");
    let _ = victim.wait();

    let control = results(&control.stdout);
    for name in CONTROL {
        assert_eq!(
            control.get(*name).map(String::as_str),
            Some("possible"),
            "{name} proves nothing: {control:?}"
        );
    }
    let mut found = results(&built.manifests);
    assert_eq!(found.remove("read-own").as_deref(), Some("possible"));
    assert_eq!(found.remove("environment").as_deref(), Some("GOMAXPROCS GOMEMLIMIT GOTRACEBACK HOME"));
    for (name, result) in &found {
        assert!(result.starts_with("denied: "), "{name}: {result}");
    }
    assert!(found.len() >= control.len() - 2 && found.len() > 25, "{found:?}");
}

#[story]
async fn promise_7_builds_at_the_same_time_do_not_see_each_other() {
    let attempts = Tools::escape().path("attempts");
    let common = processes::directory("builds");
    let builder = Builder::new(supercargo::builder::BuildOptions {
        directory: Some(common.clone()),
        concurrent: 2,
        ..options(attempts)
    });
    // One build waits, and has its files there.
    let other = builder.clone();
    let waiting = tokio::spawn(async move {
        let files = [("kustomization.yaml", ""), ("sleep", ""), ("secret.txt", "secret")];
        other.build("others", tree("", &files), 1 << 20).await
    });
    let secret = eventually("the other build has its files", || find(&common, "secret.txt")).await;
    let targets = json!({
        "Secret": secret, "Outside": secret.parent(), "Listener": "127.0.0.1:1", "Socket": "/none", "Abstract": "none",
        "Victim": std::process::id(), "Descriptor": 999,
    })
    .to_string();
    let files = [("kustomization.yaml", ""), ("attempts.json", targets.as_str()), ("removable", "")];
    let built = builder.build("team", tree("", &files), 1 << 20).await.expect("it says what it could do");
    let found = results(&built.manifests);
    for name in ["read-secret", "list-outside", "write-outside"] {
        assert!(found[name].starts_with("denied: "), "{name}: {}", found[name]);
    }
    // Who does not wait any more ends its build.
    let before = children();
    waiting.abort();
    eventually("the build has ended", || (children() < before).then_some(())).await;
    eventually("its files are gone", || find(&common, "secret.txt").is_none().then_some(())).await;
}

#[story]
async fn the_builds_of_tenants_have_no_influence_on_each_other() {
    // One tells kustomize that the containers of a Deployment are a list without keys: then a patch
    // replaces the list.
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  template:\n    spec:\n      \
               containers:\n      - {name: web, image: nginx}\n      - {name: log, image: busybox}\n";
    let patch = "patches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    \
                 spec: {template: {spec: {containers: [{name: web, image: 'nginx:2'}]}}}\n";
    let schema = r#"{"definitions": {"d": {"type": "object", "properties": {"spec": {"type": "object"}},
        "x-kubernetes-group-version-kind": [{"group": "apps", "kind": "Deployment", "version": "v1"}]}}}"#;
    let good = format!("resources: [web.yaml]\n{patch}");
    let odd = format!("openapi: {{path: schema.json}}\n{good}");
    let builder = Builder::new(supercargo::builder::BuildOptions {
        concurrent: 4,
        ..options(Tools::image().path("kustomize"))
    });
    let build = |tenant: String, text: &str| {
        let files = [("kustomization.yaml", text), ("web.yaml", web), ("schema.json", schema)];
        let files: Vec<_> = files.into_iter().chain([("tenant", tenant.as_str())]).collect();
        let (builder, tree) = (builder.clone(), tree("", &files));
        tokio::spawn(async move { builder.build(&tenant, tree, 1 << 20).await })
    };
    let builds: Vec<_> = (0..12)
        .map(|n| (n % 3 == 0, build(format!("tenant-{n}"), if n % 3 == 0 { &good } else { &odd })))
        .collect();
    for (is_good, build) in builds {
        let built = build.await.expect("a task").expect("it is built").manifests;
        let text = String::from_utf8_lossy(&built);
        assert_eq!(text.contains("busybox"), is_good, "{text}");
    }
}

async fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = found() {
            return found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("not true in time: {what}")
}

/// How many processes this one has started.
fn children() -> usize {
    let own = format!(" {} ", std::process::id());
    let listed = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = listed.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest[1..].starts_with(&own))).count()
}

fn find(directory: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    let listed = std::fs::read_dir(directory).into_iter().flatten().flatten();
    listed.map(|entry| entry.path()).find_map(|path| match path.is_dir() {
        true => find(&path, name),
        false => path.ends_with(name).then_some(path),
    })
}
