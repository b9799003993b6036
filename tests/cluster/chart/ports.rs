//! The ports that the process opens and the connections that it makes, as the kernel tells them, beside those that
//! the NetworkPolicy of the chart names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, Registry, Story, ports, processes, story};

use super::helm;
use super::rendering::flags_of_the_program;
use crate::scene::{Scene, config_map};

const PROFILES: Profiles = Profiles::First("which ports are open does not depend on rights");

/// Values with all ports.
const ALL: &str = "{webhook: {enabled: true, secret: receivers}, ui: {enabled: true}, networkPolicy: {egress: {enabled: true}}}";

/// The state of a socket in the kernel's tables.
const ESTABLISHED: &str = "01";
const LISTENING: &str = "0A";

/// Of a process: the ports on which it listens, and the remote ports of its connections.
#[derive(Debug, Default)]
struct Sockets {
    listening: BTreeSet<u16>,
    remote: BTreeSet<u16>,
    datagrams: usize,
}

fn sockets(process: u32) -> Sockets {
    let own: BTreeSet<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .expect("a process of this test")
        .filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect();
    let mut found = Sockets::default();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else { continue };
            if !own.contains(inode) {
                continue;
            }
            let port = |address: &str| {
                let hex = address.rsplit(':').next().expect("a port");
                u16::from_str_radix(hex, 16).expect("a port")
            };
            match (table.starts_with("udp"), state) {
                (true, _) => found.datagrams += 1,
                (_, LISTENING) => drop(found.listening.insert(port(local))),
                (_, ESTABLISHED) => drop(found.remote.insert(port(remote))),
                _ => {}
            }
        }
    }
    found
}

fn port_of(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port")
}

/// The port of each `--…-addr` that the chart gives the process.
fn rendered() -> (BTreeMap<String, u16>, Value, Value) {
    let objects = helm::rendered("supercargo-system", ALL);
    let deployment = helm::find(&objects, "Deployment", "supercargo").expect("a Deployment").clone();
    let policy = helm::find(&objects, "NetworkPolicy", "supercargo").expect("a NetworkPolicy").clone();
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let arguments = arguments.as_array().expect("arguments").iter().filter_map(Value::as_str);
    let ports = arguments.filter_map(|argument| argument.split_once('='));
    let ports = ports.filter(|(flag, _)| flag.ends_with("-addr"));
    (ports.map(|(flag, address)| (flag.to_owned(), port_of(address))).collect(), deployment, policy)
}

#[story]
fn the_policy_names_each_port_but_that_of_the_probes() {
    let (ports, deployment, policy) = rendered();
    let flags: BTreeSet<String> =
        flags_of_the_program().into_iter().filter(|flag| flag.ends_with("-addr")).collect();
    let given: BTreeSet<String> = ports.keys().cloned().collect();
    assert_eq!(given, flags, "a value of ALL has to open each port that the program can have");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let named: BTreeMap<&str, u64> = container["ports"]
        .as_array()
        .expect("ports")
        .iter()
        .map(|port| {
            (port["name"].as_str().expect("a name"), port["containerPort"].as_u64().expect("a number"))
        })
        .collect();
    let rules = policy["spec"]["ingress"].as_array().expect("rules");
    let let_in: BTreeSet<u64> = rules
        .iter()
        .flat_map(|rule| rule["ports"].as_array().expect("a rule without ports lets in all"))
        .map(|port| {
            assert_eq!(port["protocol"], "TCP");
            named[port["port"].as_str().expect("a name")]
        })
        .collect();
    // The kubelet comes from the node, to which policies do not apply.
    let probes = "--health-addr";
    let expected: BTreeSet<u64> =
        ports.iter().filter(|(flag, _)| *flag != probes).map(|(_, port)| u64::from(*port)).collect();
    assert_eq!(let_in, expected);
    // What goes out: names, and what the administrator lists.
    let egress = json!([{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]);
    assert_eq!(policy["spec"]["egress"], egress);
}

#[story]
async fn the_process_opens_these_ports_and_connects_to_what_it_was_told() {
    let story = Story::begin("ports").await;
    let (flags, ..) = rendered();
    let config = processes::directory("receivers").join("receivers.yaml");
    let receivers = "apiVersion: supercargo.dev/v1alpha1\nkind: WebhookConfig\nreceivers: [{name: ci, type: generic, secret: 0123456789abcdef}]\n";
    std::fs::write(&config, receivers).expect("write a file");
    let registry = Registry::plain();
    let mut expected = BTreeSet::new();
    // The bed gives it the port of the metrics.
    let given: Vec<(String, u16)> =
        flags.into_keys().filter(|flag| flag != "--metrics-addr").map(|flag| (flag, ports::free())).collect();
    let scene = Scene::of(story).own_registry(registry).start_with(|options| {
        let options = options.argument(&format!("--webhook-config={}", config.display()));
        given
            .iter()
            .fold(options, |options, (flag, port)| options.argument(&format!("{flag}=127.0.0.1:{port}")))
    });
    expected.extend(given.iter().map(|(_, port)| *port));
    expected.insert(port_of(scene.operator.address()));
    let process = scene.operator.id();
    let all_open = async || (sockets(process).listening == expected).then_some(());
    scene.story.wait_for("exactly these ports are open", all_open).await;

    // What it connects to during the life of a release.
    let over = Arc::new(AtomicBool::new(false));
    let watcher = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let mut seen = Sockets::default();
            while !over.load(Ordering::Relaxed) {
                let now = sockets(process);
                seen.remote.extend(now.remote);
                seen.listening.extend(now.listening);
                std::thread::sleep(Duration::from_millis(2));
            }
            seen
        }
    });
    scene.install("app", &config_map("a", "one"), json!({"interval": "10s"})).await;
    scene.upgraded("app", "2", &config_map("a", "two")).await;
    scene.story.kubectl(&["delete", "oar", "app", "--timeout=60s"], "");
    over.store(true, Ordering::Relaxed);
    let seen = watcher.join().expect("a thread");
    assert_eq!(seen.listening, expected);
    let told = [port_of(scene.story.bed().url()), port_of(&scene.registry().host())];
    let unknown: Vec<&u16> = seen.remote.iter().filter(|port| !told.contains(port)).collect();
    assert_eq!(unknown, Vec::<&u16>::new(), "{seen:?}");
    // It was looked at often enough to see both.
    assert!(told.iter().all(|port| seen.remote.contains(port)), "{seen:?}");
    assert_eq!(sockets(process).datagrams, 0);
}
