//! A network of pods without a network plugin: each pod is a network namespace of the kernel,
//! connected to one for the node, which forwards the packets and enforces NetworkPolicies
//! ([`policies`](crate::policies)). Nothing of it is in the network of this machine, and all of
//! it is gone with its processes.

use std::fs::File;
use std::io::{ErrorKind, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

use crate::names::Names;
use crate::policies::{PodFacts, ruleset};
use crate::processes::{self, Server};
use crate::{bed, poll_until};

/// The node's address, to which the pods send all packets.
const NODE: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 1);
/// How long an attempt may take. Refused ones are answered, so this is for a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);
/// Set where the tests must not be left out.
const REQUIRED: &str = "SUPERCARGO_TEST_NETWORK";

/// What becomes of an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A server has answered.
    Reached,
    /// A policy refuses the packets.
    Refused,
    /// The packets arrive, and nothing listens.
    Closed,
}

/// A node and its pods.
pub struct Network {
    node: Space,
    pods: Mutex<Vec<Arc<Pod>>>,
}

/// One pod: an address, and the sockets and programs that a test puts there.
pub struct Pod {
    /// What policies know of it.
    pub facts: PodFacts,
    space: Space,
}

/// A network namespace, held by a process that does nothing.
struct Space {
    holder: Server,
    link: File,
}

impl Network {
    /// A node without pods. `None`, with a line that says so, where this process may not make
    /// one: it needs root, and the programs `ip`, `nft` and `nsenter`.
    pub fn start() -> Option<Network> {
        if let Some(missing) = missing() {
            assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and {missing}");
            eprintln!("not run: a network of pods needs root, ip, nft and nsenter: {missing}");
            return None;
        }
        let node = Space::new();
        node.shell("ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward");
        Some(Network { node, pods: Mutex::default() })
    }

    /// One more pod.
    pub fn pod(&self, facts: PodFacts) -> Arc<Pod> {
        let mut pods = self.pods.lock().expect("lock");
        let (space, address, link) = (Space::new(), facts.address, format!("pod{}", pods.len()));
        self.node.shell(&format!(
            "ip link add {link} type veth peer name eth0 netns {}; ip addr add {NODE}/32 dev {link}; \
             ip link set {link} up; ip route add {address}/32 dev {link}",
            space.holder.id()
        ));
        space.shell(&format!(
            "ip link set lo up; ip addr add {address}/32 dev eth0; ip link set eth0 up; \
             ip route add {NODE} dev eth0; ip route add default via {NODE}"
        ));
        let pod = Arc::new(Pod { facts, space });
        pods.push(Arc::clone(&pod));
        pod
    }

    /// Enforces these policies from now on, and no others. What is connected stays connected.
    pub fn enforce(&self, policies: &[Value]) {
        let facts: Vec<PodFacts> =
            self.pods.lock().expect("lock").iter().map(|pod| pod.facts.clone()).collect();
        let rules = ruleset(policies, &facts);
        let output = bed::run(self.node.command("nft").args(["-f", "-"]), &rules);
        assert!(output.status.success(), "nft: {}\n{rules}", String::from_utf8_lossy(&output.stderr));
    }

    /// Whether a process of the node, such as the kubelet, reaches a port of a pod.
    pub fn reach_from_the_node(&self, pod: &Pod, port: u16) -> Reach {
        self.node.reach(SocketAddrV4::new(pod.facts.address, port))
    }
}

impl Pod {
    /// Whether it reaches a TCP port of another pod.
    pub fn reach(&self, other: &Pod, port: u16) -> Reach {
        self.space.reach(SocketAddrV4::new(other.facts.address, port))
    }

    /// Whether it reaches a UDP port of another pod, whose server answers.
    pub fn reach_by_udp(&self, other: &Pod, port: u16) -> Reach {
        let to = SocketAddrV4::new(other.facts.address, port);
        self.space.inside(move || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket");
            socket.set_read_timeout(Some(PATIENCE)).expect("an option of a socket");
            // A name server answers any question, and this is one: of the name `a.test`.
            let question =
                b"\x07\x09\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01";
            let answered = socket.connect(to).and_then(|()| socket.send(question));
            judge(answered.and_then(|_| socket.recv(&mut [0; 512])).map(drop), to)
        })
    }

    /// Listens on a TCP port and takes connections, as long as this process runs.
    pub fn listen(&self, port: u16) {
        let listener = self.listener(port);
        thread::spawn(move || listener.incoming().for_each(drop));
    }

    /// Listens on a TCP port, and passes each connection on to a server of this machine.
    pub fn pass_on(&self, port: u16, server: SocketAddr) {
        let listener = self.listener(port);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || pass_on(&stream, server));
            }
        });
    }

    /// A name server: every name that ends in `.test` has this address.
    pub fn names(&self, answer: Ipv4Addr) -> Names {
        let address = self.facts.address;
        let socket = self.space.inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).expect("bind a port"));
        Names::on(address, socket, answer)
    }

    /// A program that starts another one in this pod, with its arguments and with the names of a name server.
    pub fn launcher(&self, program: &Path, resolv_conf: &str) -> PathBuf {
        let directory = processes::directory("pod");
        let (names, launcher) = (directory.join("resolv.conf"), directory.join("launch"));
        std::fs::write(&names, resolv_conf).expect("write a file");
        let script = format!(
            "#!/bin/sh\nexec nsenter --net=/proc/{}/ns/net unshare --mount sh -c \
             'mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"' '{}' '{}' \"$@\"\n",
            self.space.holder.id(),
            names.display(),
            program.display()
        );
        std::fs::write(&launcher, script).expect("write a file");
        std::fs::set_permissions(&launcher, PermissionsExt::from_mode(0o755)).expect("make it a program");
        launcher
    }

    fn listener(&self, port: u16) -> TcpListener {
        let bind = move || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("bind a port");
        self.space.inside(bind)
    }
}

impl Space {
    fn new() -> Space {
        let log = processes::directory("network").join("log");
        let holder = Server::start(
            "the holder of a network",
            processes::command("unshare").args(["--net", "sleep", "infinity"]),
            &log,
        );
        let path = format!("/proc/{}/ns/net", holder.id());
        let own = std::fs::read_link("/proc/self/ns/net").expect("a namespace");
        let is_another = || std::fs::read_link(&path).is_ok_and(|found| found != own);
        poll_until("a network namespace", PATIENCE, is_another, || holder.tail());
        let link = File::open(&path).expect("open a namespace");
        Space { holder, link }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = processes::command("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program);
        command
    }

    fn shell(&self, script: &str) {
        let output = bed::run(self.command("sh").args(["-ec", script]), "");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Does something on a thread of this namespace. Sockets that it makes stay there.
    fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let link = self.link.try_clone().expect("clone a file handle");
        let thread = thread::spawn(move || {
            move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("enter a namespace");
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn reach(&self, to: SocketAddrV4) -> Reach {
        self.inside(move || judge(TcpStream::connect_timeout(&to.into(), PATIENCE).map(drop), to))
    }
}

fn judge(result: std::io::Result<()>, to: SocketAddrV4) -> Reach {
    match result.map_err(|error| error.kind()) {
        Ok(()) => Reach::Reached,
        Err(ErrorKind::ConnectionRefused) => Reach::Closed,
        Err(ErrorKind::HostUnreachable) => Reach::Refused,
        Err(other) => panic!("{to}: {other}"),
    }
}

fn pass_on(stream: &TcpStream, server: SocketAddr) {
    // A server that does not answer is the story's concern: its client sees the end.
    let Ok(other) = TcpStream::connect(server) else { return };
    thread::scope(|both| {
        for (mut from, mut to) in [(stream, &other), (&other, stream)] {
            both.spawn(move || {
                drop(copy(&mut from, &mut to));
                drop(to.shutdown(Shutdown::Write));
            });
        }
    });
}

/// What this process lacks to make networks.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("this process is not root".into());
    }
    let lacks =
        |name: &&&str| Command::new("/bin/sh").args(["-c", "command -v \"$0\" >/dev/null", name]).status();
    let program =
        ["ip", "nft", "nsenter"].iter().find(|name| !lacks(name).is_ok_and(|status| status.success()));
    if let Some(program) = program {
        return Some(format!("there is no {program}"));
    }
    let space = Command::new("unshare").args(["--net", "true"]).status();
    (!space.is_ok_and(|status| status.success())).then(|| "unshare --net fails".into())
}
