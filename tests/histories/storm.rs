//! Five replicas that share the releases, in a storm: revisions are pushed all the time, and replicas
//! are killed, frozen, asked to end and replaced, with clocks that are wrong, while the API server
//! restarts. Afterwards every release has the newest revision, and the audit log shows no write of a
//! replica that was not the owner of the release at that time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::fetch::{Fetcher, Trust};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::replicas::{self, Writers, pod_of};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Account, Bed, Registry, Story, ports, processes, registry};

const PODS: usize = 5;
const RELEASES: usize = 40;
/// Each has repositories of its own, so that it is known which revision is the newest.
const PUSHERS: usize = 4;
/// Between two pushes of a pusher: all of them push 20 times a second.
const PACE: Duration = Duration::from_millis(200);
/// The values that objects may have. Their layers are in the registry before the storm.
const VALUES: usize = 8;
const LEASE: Duration = Duration::from_secs(15);
/// Between two restarts of the API server.
const API_SERVER: Duration = Duration::from_secs(45);
/// How long a registry waits for the answer to a notification.
const NOTIFICATION: Duration = Duration::from_secs(2);
/// How long there may be no progress on the way to rest: longer than any pause of a replica that works.
const PATIENCE: Duration = Duration::from_secs(90);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// It makes the clock of a process wrong.
const WRONG_CLOCK: &str = "faketime/libfaketime.so.1";
const LEASES: &str = "coordination.k8s.io/v1";
const GROUP: &str = "supercargo.dev/v1alpha1";

/// A storm.
#[derive(Debug, Clone, Copy)]
struct Plan {
    length: Duration,
    /// How many replicas are killed when it is calm again.
    failovers: usize,
    /// How much longer than the lease their releases may be without a replica.
    slack: Duration,
    /// How many pushes a second there have to be. The pace is that of a machine that does nothing else.
    rate: f64,
}

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

/// What was pushed last to a repository.
#[derive(Debug, Clone, Default)]
struct Newest {
    digest: String,
    value: usize,
}

struct Storm<'a> {
    story: Story<'a>,
    account: Account,
    registry: Registry,
    hooks: String,
    /// The library that makes clocks wrong.
    wrong_clock: Option<PathBuf>,
    /// The newest revision of each release.
    newest: Mutex<Vec<Newest>>,
    /// The layers of each release, by their values.
    layers: Vec<Vec<Value>>,
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
        story.apply(replicas::RIGHTS);
        let hooks = processes::directory("storm").join("hooks.yaml");
        let receivers = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig",
            "receivers": [{"name": "registry", "type": "distribution", "secret": SECRET}]});
        std::fs::write(&hooks, receivers.to_string()).expect("write a file");
        let mut storm = Storm {
            account: story.operator_account(),
            registry: Registry::plain(),
            hooks: hooks.display().to_string(),
            wrong_clock: wrong_clock(),
            newest: Mutex::new(vec![Newest::default(); RELEASES]),
            layers: Vec::new(),
            addresses: Mutex::default(),
            pushes: AtomicUsize::new(0),
            restarts: AtomicUsize::new(0),
            mark: bed.audit().mark(),
            story,
        };
        storm.layers = (0..RELEASES).map(|release| storm.prepare(release)).collect();
        storm
    }

    fn repository(&self, release: usize) -> String {
        format!("{}/r{release}", self.story.namespace())
    }

    /// Pushes what all revisions of a release consist of, the first revision, and creates the release.
    fn prepare(&self, release: usize) -> Vec<Value> {
        let repository = self.repository(release);
        self.registry.push_blob(&repository, b"{}");
        let layer = |value: usize| {
            let yaml = object(release, value);
            json!({"mediaType": "application/yaml", "size": yaml.len(),
                "digest": self.registry.push_blob(&repository, yaml.as_bytes())})
        };
        let layers: Vec<Value> = (0..VALUES).map(layer).collect();
        let manifest = manifest(&layers[0], 0);
        let digest = self.registry.push_manifest(&repository, "1", &manifest);
        self.newest.lock().expect("lock")[release] = Newest { digest, value: 0 };
        let url = format!("oci://{}/{repository}", self.registry.host());
        let release = json!({"apiVersion": GROUP, "kind": "OCIArtifactRelease",
            "metadata": {"name": format!("r{release}")},
            "spec": {"url": url, "ref": {"tag": "1"}, "insecure": true, "prune": true, "interval": "10s",
                "retryInterval": "1s"}});
        self.story.create(GROUP, "ociartifactreleases", &release);
        layers
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
        if wrong > 0
            && let Some(library) = &self.wrong_clock
        {
            options = options
                .env("LD_PRELOAD", &library.display().to_string())
                .env("FAKETIME", &format!("+{wrong}s"))
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let operator = Some(options.start());
        Pod { name, address, operator, starts: None, thaws: None, wrong }
    }

    /// Moves the tag of a release, and notifies one of the replicas, like a registry does.
    fn push(&self, fetcher: &Fetcher, rng: &mut Rng, pusher: usize) {
        let release = rng.usize(..RELEASES / PUSHERS) * PUSHERS + pusher;
        let number = self.pushes.fetch_add(1, Ordering::Relaxed) + 1;
        let before = self.newest.lock().expect("lock")[release].value;
        let value = (before + rng.usize(1..VALUES)) % VALUES;
        let repository = self.repository(release);
        let body = manifest(&self.layers[release][value], number).to_string();
        let digest = registry::digest(body.as_bytes());
        let url = format!("{}/v2/{repository}/manifests/1", self.registry.url());
        let headers = [("content-type", MANIFEST)];
        let pushed = fetcher.send("PUT", &url, &headers, body.as_bytes()).expect("the registry answers");
        assert_eq!(pushed.code, 201, "{}", pushed.text());
        self.newest.lock().expect("lock")[release] = Newest { digest: digest.clone(), value };
        let addresses = self.addresses.lock().expect("lock").clone();
        let Some(address) = rng.choice(&addresses) else { return };
        let event = json!({"events": [{"id": format!("{number}"), "action": "push", "target": {
            "mediaType": MANIFEST, "digest": digest, "repository": repository, "tag": "1"},
            "request": {"host": self.registry.host()}}]});
        let token = format!("Bearer {SECRET}");
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        // It may just be killed or frozen: then the interval finds the push.
        let url = format!("http://{address}/hook/registry");
        fetcher.send_off("POST", &url, &headers, event.to_string().as_bytes(), NOTIFICATION);
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

    async fn releases(&self) -> Vec<Value> {
        self.story.list(GROUP, "ociartifactreleases").await
    }

    /// The number of the last owner of each release.
    async fn terms(&self) -> BTreeMap<String, u64> {
        let term = |release: &Value| {
            let name = release["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            (name, release["status"]["owner"]["term"].as_u64().unwrap_or_default())
        };
        self.releases().await.iter().map(term).collect()
    }

    /// How many releases each pod has; the leader also has those without an owner.
    async fn shares(&self) -> BTreeMap<String, usize> {
        let lease = self.story.object(LEASES, "leases", self.account.lease()).await;
        let leader =
            lease.map(|lease| lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned());
        let mut shares = BTreeMap::from([(pod_of(&leader.unwrap_or_default()).to_owned(), 1)]);
        for release in self.releases().await {
            let holder = release["status"]["owner"]["holder"].as_str().unwrap_or_default();
            if !holder.is_empty() {
                *shares.entry(pod_of(holder).to_owned()).or_default() += 1;
            }
        }
        shares
    }

    /// Kills the replica with the most releases, and returns how long they had no other one.
    async fn failover(&self, pods: &mut [Pod]) -> Duration {
        let shares = self.shares().await;
        let of = |pod: &&mut Pod| shares.get(&pod.name).copied().unwrap_or_default();
        let victim = pods.iter_mut().max_by_key(of).expect("there are some");
        assert!(shares.contains_key(&victim.name), "no replica has anything: {shares:?}");
        victim.operator.take().expect("it runs").kill();
        let killed = Instant::now();
        while self.shares().await.contains_key(&victim.name) {
            assert!(killed.elapsed() < LEASE * 3, "nobody takes the releases of {}", victim.name);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        killed.elapsed()
    }

    /// The releases that do not have the newest revision, with what they say.
    async fn behind(&self) -> BTreeMap<String, String> {
        let newest = self.newest.lock().expect("lock").clone();
        let list = self.story.list("v1", "configmaps").await;
        let value =
            |map: &Value| Some((map["metadata"]["name"].as_str()?.to_owned(), map["data"]["value"].clone()));
        let found: BTreeMap<String, Value> = list.iter().filter_map(value).collect();
        let mut behind = BTreeMap::new();
        for release in self.releases().await {
            let name = release["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let number: usize =
                name.strip_prefix('r').and_then(|number| number.parse().ok()).expect("a number");
            let Newest { digest, value } = &newest[number];
            let has =
                |object: &str| found.get(&format!("{name}-{object}")) == Some(&json!(value.to_string()));
            let revision = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
            if !revision.ends_with(digest) || !has("a") || !has("b") {
                let ready =
                    condition(&release, "Ready").map(|ready| format!("{} {}", ready.reason, ready.message));
                let owner = &release["status"]["owner"];
                behind.insert(name, format!("not {digest} but {revision} of {owner}: {ready:?}"));
            }
        }
        behind
    }

    /// Waits until all newest revisions are applied, and returns how long that took. As long as there is
    /// progress, it waits.
    async fn rest(&self, pods: &mut [Pod]) -> Duration {
        let began = Instant::now();
        let (mut behind, mut progress) = (self.behind().await, Instant::now());
        while !behind.is_empty() {
            let logs = || {
                let log = |pod: &Pod| pod.operator.as_ref().map(Operator::log).unwrap_or_default();
                pods.iter().map(|pod| format!("--- {}\n{}", pod.name, log(pod))).collect::<String>()
            };
            assert!(progress.elapsed() < PATIENCE, "no progress: {behind:#?}\n{}", logs());
            tokio::time::sleep(Duration::from_millis(200)).await;
            // Who was frozen for too long ends, and its container restarts.
            for pod in pods.iter_mut() {
                if !pod.operator.as_mut().is_some_and(Operator::running) {
                    *pod = self.start(pod.name.clone(), pod.wrong);
                }
            }
            let now = self.behind().await;
            if now.len() < behind.len() {
                progress = Instant::now();
            }
            behind = now;
        }
        began.elapsed()
    }

    /// Pushes, breaks and restarts until the time is over.
    fn rage(&self, pods: &mut [Pod], troubles: &mut Troubles, length: Duration) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for pusher in 0..PUSHERS {
                let (mut rng, over) = (troubles.rng.fork(), &over);
                scope.spawn(move || {
                    let fetcher = Fetcher::new(Trust::default());
                    let mut next = Instant::now();
                    while !over.load(Ordering::Relaxed) {
                        self.push(&fetcher, &mut rng, pusher);
                        next += PACE;
                        std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    }
                });
            }
            scope.spawn(|| {
                let mut last = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    if last.elapsed() > API_SERVER.min(length / 2) {
                        self.story.bed().restart_api_server();
                        last = Instant::now();
                        self.restarts.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let began = Instant::now();
            while began.elapsed() < length {
                self.trouble(pods, troubles);
                std::thread::sleep(Duration::from_millis(troubles.rng.u64(1000..3000)));
            }
            over.store(true, Ordering::Relaxed);
        });
        for pod in pods {
            if pod.thaws.take().is_some()
                && let Some(operator) = &pod.operator
            {
                operator.thaw();
            }
        }
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A manifest of one layer that was pushed before. The number makes it another one than those before.
fn manifest(layer: &Value, number: usize) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry::digest(b"{}"), "size": 2},
        "layers": [layer],
        "annotations": {"example.com/push": number.to_string()},
    })
}

/// Where Debian has it for this processor, and others have it. A storm with right clocks is a weaker test: that is said,
/// and where changes are judged it is a failure.
fn wrong_clock() -> Option<PathBuf> {
    let debian = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let places = [debian.as_str(), "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let found = places.iter().map(|place| Path::new(place).join(WRONG_CLOCK)).find(|file| file.exists());
    if found.is_none() {
        let missing = format!("clocks are right: libfaketime is not there (no {WRONG_CLOCK} in {places:?})");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        eprintln!("{missing}");
    }
    found
}

async fn run(plan: Plan, seed: u64) {
    let Plan { length, failovers, slack, rate: least } = plan;
    eprintln!("the seed is {seed}");
    let bed = Bed::start();
    bed.install_crds();
    let storm = Storm::begin(&bed).await;
    let mut troubles = Troubles { rng: Rng::with_seed(seed), pods: PODS, ..Troubles::default() };
    let mut pods: Vec<Pod> = (0..PODS)
        .map(|n| {
            let wrong = if n == 0 { 0 } else { troubles.rng.u32(0..600) };
            storm.start(format!("pod-{n}"), wrong)
        })
        .collect();
    for pod in &mut pods {
        pod.operator.as_mut().expect("it was started").wait_ready();
    }
    storm.rest(&mut pods).await;

    let began = Instant::now();
    storm.rage(&mut pods, &mut troubles, length);
    let pushes = storm.pushes.load(Ordering::Relaxed);
    let rate = pushes as f64 / began.elapsed().as_secs_f64();
    // All that was broken is mended.
    let rest = storm.rest(&mut pods).await;
    let mut took = Vec::new();
    for _ in 0..failovers {
        took.push(storm.failover(&mut pods).await);
        // The containers of those that were killed start again.
        storm.rest(&mut pods).await;
        for pod in pods.iter_mut().filter(|pod| pod.operator.is_none()) {
            *pod = storm.start(pod.name.clone(), pod.wrong);
            pod.operator.as_mut().expect("it was started").wait_ready();
        }
    }
    let terms = storm.terms().await;
    let writers = Writers::read(&storm.requests(), storm.story.namespace(), storm.account.lease());
    let seconds: Vec<String> = took.iter().map(|took| format!("{:.1}", took.as_secs_f64())).collect();
    eprintln!(
        "{pushes} pushes, {rate:.1} a second; {} restarts of the API server, {troubles:?}; {} moves of {RELEASES} \
         releases; the newest revisions were applied {:.1} s after the end; the releases of killed replicas had \
         other ones after {} s, with a lease of {} s",
        storm.restarts.load(Ordering::Relaxed),
        writers.moves(),
        rest.as_secs_f64(),
        seconds.join(", "),
        LEASE.as_secs()
    );
    assert_eq!(writers.intruders(&terms), [""; 0]);
    assert_eq!(writers.count(), RELEASES);
    assert!(took.iter().all(|took| *took <= LEASE + slack), "{seconds:?}");
    assert!(rate >= least, "only {rate:.1} pushes a second, not {least}: the storm was none");
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().filter(|text| !text.is_empty())?.parse().ok()
}

fn carry_out(plan: Plan) {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(plan, seed));
}

#[test]
fn in_a_storm_every_newest_revision_is_applied_and_no_release_has_two_writers() {
    // Other tests run at the same time.
    let (length, slack) = (Duration::from_secs(30), Duration::from_secs(10));
    carry_out(Plan { length, failovers: 1, slack, rate: 0.0 });
}

/// `make storm MINUTES=n SEED=s`.
#[test]
#[ignore = "it takes as long as it is told: make storm"]
fn storm() {
    let (length, slack) = (Duration::from_secs(number("MINUTES").unwrap_or(10) * 60), Duration::from_secs(1));
    carry_out(Plan { length, failovers: 5, slack, rate: 15.0 });
}
