//! Five replicas that share the releases, in a storm: revisions are pushed all the time, and replicas
//! are killed, frozen, asked to end and replaced, with clocks that are wrong, while the API server
//! restarts. Afterwards every release has the newest revision, and the audit log shows no release with
//! two writers at a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::fetch::{self, Trust};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::{Account, Bed, Registry, Story, ports, processes};

use crate::drive::LEASES;

const PODS: usize = 5;
const RELEASES: usize = 40;
/// Between two pushes: 20 a second.
const PACE: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_secs(15);
/// Between two restarts of the API server.
const API_SERVER: Duration = Duration::from_secs(45);
/// How long everything may take to come to rest afterwards, on a busy machine.
const REST: Duration = Duration::from_secs(120);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Of the Debian package: it makes the clock of a process wrong.
const WRONG_CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A replica, its troubles, and when they end.
struct Pod {
    name: String,
    address: String,
    operator: Option<Operator>,
    starts: Option<Instant>,
    thaws: Option<Instant>,
    wrong: u32,
}

/// What is done to replicas.
#[derive(Debug, Default)]
struct Troubles {
    rng: Rng,
    /// How many pods there were.
    pods: usize,
    killed: usize,
    frozen: usize,
    ended: usize,
    replaced: usize,
}

struct Storm<'a> {
    story: Story<'a>,
    account: Account,
    registry: Registry,
    hooks: String,
    /// The newest value of each release.
    newest: Mutex<Vec<usize>>,
    addresses: Mutex<Vec<String>>,
    pushes: AtomicUsize,
    restarts: AtomicUsize,
    mark: Mark,
}

fn object(release: usize, value: usize) -> String {
    let one = |name: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: r{release}-{name}}}\ndata: {{value: '{value}'}}\n"
        )
    };
    format!("{}---\n{}", one("a"), one("b"))
}

impl<'a> Storm<'a> {
    async fn begin(bed: &'a Bed) -> Storm<'a> {
        let story = Story::on(bed, "storm").await;
        story.apply(LEASES);
        let hooks = processes::directory("storm").join("hooks.yaml");
        let receivers = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig",
            "receivers": [{"name": "registry", "type": "distribution", "secret": SECRET}]});
        std::fs::write(&hooks, receivers.to_string()).expect("write a file");
        Storm {
            account: story.operator_account(),
            registry: Registry::plain(),
            hooks: hooks.display().to_string(),
            newest: Mutex::new(vec![0; RELEASES]),
            addresses: Mutex::default(),
            pushes: AtomicUsize::new(0),
            restarts: AtomicUsize::new(0),
            mark: bed.audit().mark(),
            story,
        }
    }

    fn start(&self, name: String, wrong: u32) -> Pod {
        let address = format!("127.0.0.1:{}", ports::free());
        let mut options = Options::new(env!("CARGO_BIN_EXE_supercargo"), &self.account)
            .watching(&[self.story.namespace()])
            .argument("--shards=auto")
            .argument(&format!("--lease-duration={}s", LEASE.as_secs()))
            .argument(&format!("--webhook-addr={address}"))
            .argument(&format!("--webhook-config={}", self.hooks))
            .env("POD_NAME", &name);
        if wrong > 0 && Path::new(WRONG_CLOCK).exists() {
            options = options
                .env("LD_PRELOAD", WRONG_CLOCK)
                .env("FAKETIME", &format!("+{wrong}s"))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let operator = Some(options.start());
        Pod { name, address, operator, starts: None, thaws: None, wrong }
    }

    /// Pushes, and tells one of the replicas, like a registry does.
    fn push(&self, rng: &mut Rng) {
        let release = rng.usize(..RELEASES);
        let value = self.pushes.fetch_add(1, Ordering::Relaxed) + 1;
        let repository = format!("{}/r{release}", self.story.namespace());
        let digest = self.registry.push_yaml(&repository, "1", &object(release, value));
        self.newest.lock().expect("lock")[release] = value;
        let addresses = self.addresses.lock().expect("lock").clone();
        let Some(address) = rng.choice(&addresses) else { return };
        let event = json!({"events": [{"id": format!("{value}"), "action": "push", "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "repository": repository,
            "tag": "1"}, "request": {"host": self.registry.host()}}]});
        let token = format!("Bearer {SECRET}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        // It may just be killed: then the interval finds the push.
        let url = format!("http://{address}/hook/registry");
        drop(fetch::try_send("POST", &url, &headers, event.to_string().as_bytes(), Trust::default()));
    }

    /// One trouble, and the end of those whose time has come.
    fn trouble(&self, pods: &mut [Pod], troubles: &mut Troubles) {
        let now = Instant::now();
        for pod in pods.iter_mut() {
            if pod.thaws.take_if(|at| *at <= now).is_some()
                && let Some(operator) = &pod.operator
            {
                operator.thaw();
            }
            if let Some(operator) = &mut pod.operator
                && pod.thaws.is_none()
                && !operator.running()
            {
                let log = operator.log();
                assert!(!log.contains("panicked"), "a replica has crashed\n{log}");
                pod.operator = None;
                pod.starts = Some(now + Duration::from_secs(1));
            }
            if pod.starts.take_if(|at| *at <= now).is_some() {
                *pod = self.start(pod.name.clone(), pod.wrong);
            }
        }
        let able = |pod: &&mut Pod| pod.operator.is_some() && pod.thaws.is_none();
        let mut able: Vec<&mut Pod> = pods.iter_mut().filter(able).collect();
        if able.len() > 2 {
            let at = troubles.rng.usize(..able.len());
            let pod = &mut able[at];
            let later = now + Duration::from_millis(troubles.rng.u64(0..4000));
            match troubles.rng.u8(..10) {
                0..4 => {
                    // Its container restarts.
                    troubles.killed += 1;
                    pod.operator.take().expect("it is there").kill();
                    pod.starts = Some(later);
                }
                4..7 => {
                    troubles.frozen += 1;
                    pod.operator.as_ref().expect("it is there").freeze();
                    pod.thaws = Some(now + Duration::from_millis(troubles.rng.u64(500..35_000)));
                }
                7..9 => {
                    // Another pod in its place, as in a rollout.
                    troubles.replaced += 1;
                    pod.operator.take().expect("it is there").kill();
                    pod.name = format!("pod-{}", troubles.pods);
                    troubles.pods += 1;
                    pod.wrong = troubles.rng.u32(0..600);
                    pod.starts = Some(later);
                }
                _ => {
                    troubles.ended += 1;
                    pod.operator.take().expect("it is there").stop();
                    pod.starts = Some(later);
                }
            }
        }
        let answers = |pod: &&Pod| pod.operator.is_some() && pod.thaws.is_none();
        *self.addresses.lock().expect("lock") =
            pods.iter().filter(answers).map(|pod| pod.address.clone()).collect();
    }

    fn requests(&self) -> Vec<Request> {
        self.story.bed().audit().since(self.mark, &self.account.user())
    }

    async fn owner(&self, release: usize) -> (String, u64) {
        let release = self.story.release(&format!("r{release}")).await.expect("the release");
        let owner = &release["status"]["owner"];
        let holder = owner["holder"].as_str().unwrap_or_default().to_owned();
        (holder, owner["term"].as_u64().unwrap_or_default())
    }

    /// The pods that have written for each release, one after another.
    fn writers(&self) -> BTreeMap<usize, Vec<String>> {
        let mut writers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for request in self.requests() {
            if !request.writes() || request.code >= 300 || request.namespace != self.story.namespace() {
                continue;
            }
            let name = request.name.strip_prefix("inv-").unwrap_or(&request.name);
            let number = name.split('-').next().and_then(|name| name.strip_prefix('r')?.parse().ok());
            let Some(release) = number else { continue };
            // A webhook may come to any replica, which asks the owner by an annotation.
            if request.resource == "ociartifactreleases" && request.subresource.is_empty() {
                continue;
            }
            let pod = request.agent.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
            let all = writers.entry(release).or_default();
            if all.last() != Some(&pod) {
                all.push(pod);
            }
        }
        writers
    }

    /// Kills the replica with the most releases, and returns how long they had no other one.
    async fn failover(&self, pods: &mut [Pod]) -> Duration {
        let owners = async || {
            let mut owners: BTreeMap<String, usize> = BTreeMap::new();
            for release in self.story.list("supercargo.dev/v1alpha1", "ociartifactreleases").await {
                let holder = release["status"]["owner"]["holder"].as_str().unwrap_or_default();
                *owners.entry(holder.rsplit_once('_').map_or("", |(pod, _)| pod).to_owned()).or_default() +=
                    1;
            }
            owners
        };
        let all = owners().await;
        let of = |pod: &&mut Pod| all.get(&pod.name).copied().unwrap_or_default();
        let victim = pods.iter_mut().max_by_key(of).expect("there are some");
        assert!(all.contains_key(&victim.name), "no replica owns anything: {all:?}");
        victim.operator.as_mut().expect("it runs").kill();
        let killed = Instant::now();
        while owners().await.contains_key(&victim.name) {
            assert!(killed.elapsed() < LEASE * 3, "nobody takes the releases of {}", victim.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        killed.elapsed()
    }

    /// The objects that do not have the newest value.
    async fn behind(&self) -> Vec<String> {
        let newest = self.newest.lock().expect("lock").clone();
        let list = self.story.list("v1", "configmaps").await;
        let value =
            |map: &Value| Some((map["metadata"]["name"].as_str()?.to_owned(), map["data"]["value"].clone()));
        let found: BTreeMap<String, Value> = list.iter().filter_map(value).collect();
        let names = newest.iter().enumerate().flat_map(|(release, value)| {
            ["a", "b"].map(|name| (format!("r{release}-{name}"), value.to_string()))
        });
        let is_behind = |(name, value): &(String, String)| found.get(name) != Some(&json!(value));
        names.filter(is_behind).map(|(name, value)| format!("{name} does not have {value}")).collect()
    }
}

async fn run(length: Duration, seed: u64) {
    eprintln!("the seed is {seed}");
    let bed = Bed::start();
    bed.install_crds();
    let storm = Storm::begin(&bed).await;
    let mut troubles = Troubles { rng: Rng::with_seed(seed), pods: PODS, ..Troubles::default() };
    for release in 0..RELEASES {
        storm.registry.push_yaml(
            &format!("{}/r{release}", storm.story.namespace()),
            "1",
            &object(release, 0),
        );
        let url = format!("oci://{}/{}/r{release}", storm.registry.host(), storm.story.namespace());
        let release = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": format!("r{release}")},
            "spec": {"url": url, "ref": {"tag": "1"}, "insecure": true, "prune": true, "interval": "10s",
                "retryInterval": "1s"}});
        storm.story.create("supercargo.dev/v1alpha1", "ociartifactreleases", &release);
    }
    let mut pods: Vec<Pod> = (0..PODS)
        .map(|n| {
            let wrong = if n == 0 { 0 } else { troubles.rng.u32(0..600) };
            storm.start(format!("pod-{n}"), wrong)
        })
        .collect();
    for pod in &mut pods {
        pod.operator.as_mut().expect("it was started").wait_ready();
    }
    let began = Instant::now();
    while !storm.behind().await.is_empty() {
        assert!(began.elapsed() < REST, "the first revisions are not applied");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let over = AtomicBool::new(false);
    let mut pusher = troubles.rng.fork();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut next = Instant::now();
            while !over.load(Ordering::Relaxed) {
                storm.push(&mut pusher);
                next += PACE;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        scope.spawn(|| {
            let mut last = Instant::now();
            while !over.load(Ordering::Relaxed) {
                if last.elapsed() > API_SERVER.min(length / 2) {
                    bed.restart_api_server();
                    last = Instant::now();
                    storm.restarts.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let began = Instant::now();
        while began.elapsed() < length {
            storm.trouble(&mut pods, &mut troubles);
            std::thread::sleep(Duration::from_millis(troubles.rng.u64(1000..3000)));
        }
        over.store(true, Ordering::Relaxed);
    });
    // All that was broken is mended. Who was frozen for too long ends, and its container restarts.
    for pod in &mut pods {
        if pod.thaws.take().is_some()
            && let Some(operator) = &pod.operator
        {
            operator.thaw();
        }
        if pod.operator.is_none() {
            *pod = storm.start(pod.name.clone(), pod.wrong);
        }
    }
    let began = Instant::now();
    let mut behind = storm.behind().await;
    while !behind.is_empty() && began.elapsed() < REST {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for pod in &mut pods {
            if !pod.operator.as_mut().is_some_and(Operator::running) {
                *pod = storm.start(pod.name.clone(), pod.wrong);
            }
        }
        behind = storm.behind().await;
    }
    let rest = began.elapsed().as_secs_f64();
    let logs = || {
        let log = |pod: &Pod| pod.operator.as_ref().map(Operator::log).unwrap_or_default();
        pods.iter().map(|pod| format!("--- {}\n{}", pod.name, log(pod))).collect::<String>()
    };
    assert_eq!(behind, [""; 0], "{}", logs());
    let writers = storm.writers();
    // A release without an owner is that of the leader, who may change, too.
    let lease = storm.story.object("coordination.k8s.io/v1", "leases", storm.account.lease()).await;
    let leaders = lease.map(|lease| lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default());
    let leaders = leaders.unwrap_or_default();
    let mut moves = 0;
    for release in 0..RELEASES {
        let (_, term) = storm.owner(release).await;
        let writers = writers.get(&release).cloned().unwrap_or_default();
        moves += term;
        assert!(
            writers.len() as u64 <= term + leaders + 1,
            "r{release} had {term} owners, there were {leaders} leaders, and it was written by {writers:?}\n{}",
            logs()
        );
    }
    let failover = storm.failover(&mut pods).await;
    eprintln!(
        "{} pushes, {} restarts of the API server, {troubles:?}: {moves} moves of {RELEASES} releases; the newest \
         revisions were applied {rest:.1} s after the end; the releases of a killed replica had another one after {:.1} \
         s, with a lease of {} s",
        storm.pushes.load(Ordering::Relaxed),
        storm.restarts.load(Ordering::Relaxed),
        failover.as_secs_f64(),
        LEASE.as_secs()
    );
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())?.parse().ok()
}

fn carry_out(length: Duration) {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(length, seed));
}

#[test]
#[ignore = "one of five short runs took longer than it may, and the cause is not found yet: make storm"]
fn in_a_storm_every_newest_revision_is_applied_and_no_release_has_two_writers() {
    carry_out(Duration::from_secs(30));
}

/// `make storm MINUTES=n SEED=s`.
#[test]
#[ignore = "it takes as long as it is told: make storm"]
fn storm() {
    carry_out(Duration::from_secs(number("MINUTES").unwrap_or(10) * 60));
}
