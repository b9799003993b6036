//! Carries a history out, on a namespace of its own with an operator of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::audit::Mark;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::proxy::{Answered, Fate, Moment, Seen, held_from};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Account, Bed, Proxy, Registry, Signer, Story, replicas};
use tokio::sync::RwLock;

use crate::action::{Action, Approval, Change, Edit, InventoryEdit, Number, Path, Reference, Revision, Spec};
use crate::artifact;
use crate::kinds::{self, Kind, NOTE, Names, REFUSED, manifest};
use crate::model::World;
use crate::model::gates::{GateTally, Trail, numbered, removal_token};
use crate::snapshot::Snapshot;

/// The path of releases in a namespace.
const RELEASES: &str = "ociartifactreleases";
/// How long a held write is waited for before the operator is killed all the same.
const HELD: Duration = Duration::from_secs(2);
/// How long the API server may be away for a history itself.
const AWAY: Duration = Duration::from_secs(40);
/// How long a person waits for what is to be approved.
const ASKED: Duration = Duration::from_secs(3);
/// A hash that no plan has.
const NO_HASH: &str = "0123456789abcdef0123456789abcdef";
/// What a field manager of hands is called.
const HAND: &str = "hand";
/// What nobody may touch: it is nobody's, or another's.
pub const BYSTANDERS: [&str; 2] = ["bystander", "labelled-bystander"];

/// The registry of all histories; the repositories begin with namespaces.
fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::plain)
}

/// Held by who judges: the API server of all histories is not restarted meanwhile.
pub static JUDGING: RwLock<()> = RwLock::const_new(());
/// How often that was.
pub static RESTARTS: AtomicUsize = AtomicUsize::new(0);

/// The one key that releases trust.
fn signer() -> &'static Signer {
    static SIGNER: OnceLock<Signer> = OnceLock::new();
    SIGNER.get_or_init(|| Signer::new(Algorithm::P256))
}

/// Whether an answer is about a field that a definition does not have: it has the code of
/// an API server that is in trouble.
fn is_about_schema(message: &str) -> bool {
    message.contains("not declared in schema")
}

/// An empty namespace, for what `kubectl apply` would make.
pub fn empty_namespace() -> &'static str {
    static NAME: OnceLock<()> = OnceLock::new();
    NAME.get_or_init(|| drop(Bed::shared().kubectl(&["create", "namespace", "histories-empty"], "")));
    "histories-empty"
}

/// A history under way.
pub struct Drive {
    // In this order they end.
    operator: Option<Operator>,
    /// Replicas that share the releases with it, and that nothing happens to.
    others: Vec<Operator>,
    api: Proxy,
    content: Proxy,
    account: Account,
    pub client: kube::Client,
    pub world: World,
    /// What was written to releases with gates, and said of them.
    pub trail: Trail,
    digests: BTreeMap<(Number, String), String>,
    /// The digests that specs name. The tag that one was of may have moved since.
    pinned: BTreeMap<Number, String>,
    state: State,
    pub last: Mark,
    pub bystanders: BTreeMap<String, Value>,
    pub tally: Tally,
    pub story: Story<'static>,
}

/// How much was judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub releases: usize,
    pub ready: usize,
    pub objects: usize,
    /// Runs of steps.
    pub runs: usize,
    /// Releases that wait for another.
    pub waiting: usize,
    /// Releases that are part of a cycle.
    pub circling: usize,
    /// What gates have done.
    pub gates: GateTally,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { releases, ready, objects, runs, waiting, circling, gates } = self;
        write!(
            f,
            "{releases} releases ({ready} ready, {waiting} waiting, {circling} in cycles), {objects} objects and {runs} \
             runs of steps"
        )?;
        if *gates == GateTally::default() { Ok(()) } else { write!(f, "; {gates:?}") }
    }
}

impl Tally {
    /// One judgement more.
    pub fn add(&mut self, seen: &Snapshot) {
        let is_ready =
            |release: &&Value| condition(release, "Ready").is_some_and(|ready| ready.status == "True");
        self.releases += seen.releases.len();
        self.ready += seen.releases.values().filter(is_ready).count();
        self.objects += seen.objects.len();
        let says = |reason: &str| {
            let is =
                |release: &&Value| condition(release, "Ready").is_some_and(|ready| ready.reason == reason);
            seen.releases.values().filter(is).count()
        };
        self.waiting += says("DependencyNotReady");
        self.circling += says("DependencyCycle");
    }
}

/// What is broken.
struct State {
    registry: bool,
    api_server: bool,
    frozen: bool,
    crash: Option<Moment>,
    pod: u32,
    asked: u32,
    cache: Option<PathBuf>,
    restarts: usize,
    /// The hashes that have waited for approval.
    waited: BTreeMap<Number, Vec<String>>,
}

impl Drive {
    /// Everything is there, and nothing has happened.
    pub async fn begin(others: usize) -> Drive {
        let _no_restart = JUDGING.read().await;
        let story = Story::begin("history").await;
        let names =
            Names { home: story.namespace().to_owned(), away: story.another_namespace("history-away") };
        let account = story.operator_account();
        let (api, content) = (Proxy::before_api_server(story.bed()), Proxy::before(&registry().url(), None));
        story.apply(&surroundings(&names));
        let mut drive = Drive {
            operator: None,
            others: Vec::new(),
            api,
            content,
            account,
            client: story.client(),
            world: World::new(names),
            trail: Trail::default(),
            digests: BTreeMap::new(),
            pinned: BTreeMap::new(),
            state: State {
                registry: true,
                api_server: true,
                frozen: false,
                crash: None,
                pod: 0,
                asked: 0,
                cache: None,
                restarts: RESTARTS.load(Ordering::Relaxed),
                waited: BTreeMap::new(),
            },
            last: story.bed().audit().mark(),
            bystanders: BTreeMap::new(),
            tally: Tally::default(),
            story,
        };
        let home = drive.world.names.home.clone();
        drive.api.record(move |seen| is_told(&home, seen));
        drive.refuse_only();
        drive.grant(true).await;
        for name in BYSTANDERS {
            let object = drive.get(&drive.home("configmaps", name)).await.expect("it was applied");
            drive.bystanders.insert(name.to_owned(), object);
        }
        if others > 0 {
            drive.story.apply(replicas::RIGHTS);
        }
        for n in 0..others {
            let other = drive.options(&format!("other-{n}")).arguments(SHARED).start();
            drive.others.push(other);
        }
        drive.start();
        drive
    }

    fn options(&self, pod: &str) -> Options {
        Options::new(env!("CARGO_BIN_EXE_supercargo"), &self.account)
            .kubeconfig(&self.api.kubeconfig(self.account.kubeconfig()))
            .watching(&[&self.world.names.home])
            .env("POD_NAME", pod)
    }

    pub fn names(&self) -> &Names {
        &self.world.names
    }

    /// All that the operator has logged.
    pub fn log(&self) -> String {
        let all = self.operator.iter().chain(&self.others).map(Operator::log);
        all.collect::<Vec<_>>().join("--- another replica\n")
    }

    /// The user of the operator, in the audit log.
    pub fn user(&self) -> String {
        self.account.user()
    }

    fn start(&mut self) {
        let mut options = self.options(&format!("supercargo-{}", self.state.pod));
        if !self.others.is_empty() {
            options = options.arguments(SHARED);
        }
        if let Some(cache) = &self.state.cache {
            options = options.cache(cache);
        }
        let operator = options.start();
        self.state.cache = Some(operator.cache().to_path_buf());
        self.operator = Some(operator);
    }

    fn kill(&mut self) {
        if let Some(operator) = &mut self.operator {
            operator.kill();
        }
        if self.state.crash.take().is_some() {
            self.api.discard();
            self.refuse_only();
        }
        self.state.frozen = false;
    }

    /// Mends all that is broken but rights.
    pub fn heal(&mut self) {
        let restarts = RESTARTS.load(Ordering::Relaxed);
        self.world.excused |= std::mem::replace(&mut self.state.restarts, restarts) != restarts;
        if !std::mem::replace(&mut self.state.registry, true) {
            self.content.listen();
        }
        if !std::mem::replace(&mut self.state.api_server, true) {
            self.api.listen();
        }
        if std::mem::take(&mut self.state.frozen)
            && let Some(operator) = &self.operator
        {
            operator.thaw();
        }
        if let Some(moment) = self.state.crash {
            drop(self.api.wait_held(HELD, moment));
            self.kill();
        }
        self.keep_others();
        if !self.operator.as_mut().is_some_and(Operator::running) {
            self.start();
        }
    }

    /// Starts the other replicas that have ended by themselves.
    fn keep_others(&mut self) {
        for n in 0..self.others.len() {
            if self.others[n].running() {
                continue;
            }
            let log = self.others[n].log();
            assert!(!log.contains("panicked"), "a replica has crashed\n{log}");
            self.others[n] = self.options(&format!("other-{n}")).arguments(SHARED).start();
        }
    }

    /// Starts the operator if it has ended by itself, because it lost its lease.
    pub fn keep_alive(&mut self) {
        self.keep_others();
        if !self.operator.as_mut().is_some_and(Operator::running) {
            let log = self.log();
            assert!(!log.contains("panicked"), "the operator has crashed\n{log}");
            self.start();
        }
    }

    /// Does it, and tells the model.
    pub async fn act(&mut self, action: &Action) {
        let done = match action {
            Action::Push { release, tag, revision } => {
                let layer = artifact::layer(self.names(), revision);
                let repository = format!("{}/r{release}", self.names().home);
                let digest = registry().push_layer(&repository, tag, artifact::LAYER, &layer);
                self.note_push(&digest, revision);
                self.digests.insert((*release, tag.clone()), digest);
                true
            }
            Action::Sign { release, tag } => {
                let digest = self.digests.get(&(*release, tag.clone()));
                if let Some(digest) = digest {
                    let reference =
                        format!("{}/{}/r{release}@{digest}", registry().host(), self.names().home);
                    signer().sign(registry(), &reference, Format::Bundle, &[]);
                }
                true
            }
            Action::Create { release, spec } => self.create(*release, spec).await,
            Action::Specify { release, change } => {
                self.world.act(action);
                if let Change::Reference(reference) = change {
                    self.pin(*release, reference);
                }
                if let Some(spec) = self.world.releases.get(release).map(|known| known.spec.clone()) {
                    self.listen();
                    self.trail.specifies(*release, &spec);
                    let spec = self.spec(*release, &spec);
                    let path = self.home(RELEASES, &format!("r{release}"));
                    if let Ok(answer) = self.merge(&path, &json!({"spec": spec})).await {
                        self.trail.specified(*release, &answer);
                    }
                }
                return;
            }
            Action::Approve { release, which } => {
                self.approve(*release, *which).await;
                true
            }
            Action::Retry { release, right } => {
                self.retry(*release, *right).await;
                true
            }
            Action::Delete { release } => {
                self.listen();
                self.trail.died(*release);
                drop(self.send("DELETE", &self.home(RELEASES, &format!("r{release}")), "", None).await);
                true
            }
            Action::Ask { release } => {
                self.ask(*release).await;
                true
            }
            Action::Unask { release } => {
                self.annotate(*release, Value::Null).await;
                true
            }
            Action::Hand { kind, name, away, edit } => self.hand(*kind, *name, *away, *edit).await,
            Action::Inventory { release, edit } => self.edit_inventory(*release, *edit).await,
            Action::Rights { granted } => {
                self.grant(*granted).await;
                true
            }
            Action::RestartApiServer => {
                let _nobody_judges = JUDGING.write().await;
                RESTARTS.fetch_add(1, Ordering::Relaxed);
                self.story.bed().restart_api_server();
                true
            }
            Action::Settle | Action::Look => true,
            Action::Pass { milliseconds } => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
                true
            }
            _ => {
                self.disturb(action);
                true
            }
        };
        if done {
            self.world.act(action);
        }
    }

    // What is done to the servers and to the operator.
    fn disturb(&mut self, action: &Action) {
        match action {
            Action::Registry { there: false } if self.state.registry => {
                self.content.refuse();
                self.state.registry = false;
            }
            Action::Registry { there: true } if !self.state.registry => {
                self.content.listen();
                self.state.registry = true;
            }
            Action::ApiServer { there: false } if self.state.api_server => {
                self.api.refuse();
                self.state.api_server = false;
            }
            Action::ApiServer { there: true } if !self.state.api_server => {
                self.api.listen();
                self.state.api_server = true;
            }
            Action::Kill => self.kill(),
            Action::Restart => {
                self.kill();
                self.start();
            }
            Action::Freeze => {
                if let Some(operator) = &self.operator {
                    operator.freeze();
                    self.state.frozen = true;
                }
            }
            Action::Crash { nth, landed } => {
                let moment = if *landed { Moment::After } else { Moment::Before };
                self.hold_from(*nth, moment);
                self.state.crash = Some(moment);
            }
            Action::Replica => self.replace(),
            _ => {}
        }
    }

    // Another replica starts, and the first is asked to end.
    fn replace(&mut self) {
        let whole = self.state.api_server && !self.state.frozen && self.state.crash.is_none();
        if !whole || !self.operator.as_mut().is_some_and(Operator::running) {
            return;
        }
        let first = self.operator.take();
        self.state.pod += 1;
        self.state.cache = None;
        self.start();
        if let Some(mut second) = self.operator.take() {
            second.wait_ready();
            self.operator = Some(second);
        }
        if let Some(mut first) = first {
            first.stop();
        }
    }

    async fn create(&mut self, release: Number, spec: &Spec) -> bool {
        let name = format!("r{release}");
        if self.world.releases.contains_key(&release) {
            return false;
        }
        self.pin(release, &spec.reference);
        let resource = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "OCIArtifactRelease",
            "metadata": {"name": name, "namespace": self.names().home},
            "spec": without_null(self.spec(release, spec)),
        });
        let path = self.home(RELEASES, "");
        // One of the same name may be on its way out, and may not get there. It waits for a moment
        // if others depend on it.
        for _ in 0..45 {
            self.listen();
            self.trail.born(release, spec);
            match self.send("POST", path.trim_end_matches('/'), "application/json", Some(&resource)).await {
                Ok(_) => return true,
                Err(409) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(code) => panic!("{name} was refused: {code}"),
            }
        }
        false
    }

    fn pin(&mut self, release: Number, reference: &Reference) {
        let Reference::Digest(tag) = reference else { return };
        let known = self.digests.get(&(release, tag.clone())).cloned();
        let digest = known.unwrap_or_else(|| format!("sha256:{}", "0".repeat(64)));
        self.pinned.insert(release, digest);
    }

    fn spec(&self, release: Number, spec: &Spec) -> Value {
        let host = if spec.mirror_url { registry().host() } else { self.content.host() };
        let reference = match &spec.reference {
            Reference::Tag(tag) => json!({"tag": tag, "semver": null, "digest": null}),
            Reference::Range(range) => json!({"semver": range, "tag": null, "digest": null}),
            Reference::Digest(_) => {
                json!({"digest": self.pinned.get(&release), "semver": null, "tag": null})
            }
        };
        let account = match spec.account {
            crate::action::Account::Default => Value::Null,
            other => json!(format!("{other:?}").to_lowercase()),
        };
        let mut all = json!({
            "url": format!("oci://{host}/{}/r{release}", self.names().home),
            "ref": reference,
            "insecure": true,
            "interval": "1h",
            "retryInterval": "1s",
            "timeout": "20s",
            "path": match spec.path { Path::Whole => "./", Path::A => "a", Path::B => "./b/" },
            "targetNamespace": spec.away.then_some(&self.names().away),
            "prune": spec.prune,
            "wait": spec.wait,
            "force": spec.force,
            "suspend": spec.suspend,
            "serviceAccountName": account,
            "drift": {"mode": format!("{:?}", spec.drift)},
            "verify": spec.verify.then(|| json!({"provider": "cosign", "secretRef": {"name": "keys"}})),
            "dependsOn": spec.depends_on.map(|n| json!([{"name": format!("r{n}")}])),
            "deletionPolicy": format!("{:?}", spec.policy),
            "commonMetadata": spec.label.map(|n| json!({"labels": {"example.com/label": n.to_string()}})),
            "patches": spec.patched.map(|n| json!([{
                "target": {"kind": "ConfigMap"},
                "patch": json!([{"op": "add", "path": "/data/patched", "value": n.to_string()}]).to_string(),
            }])),
        });
        if let Some(gates) = spec.gates {
            gated(&mut all, gates);
        }
        all
    }

    /// Asks a release to run.
    pub async fn ask(&mut self, release: Number) {
        self.state.asked += 1;
        self.world.steps.asked(release);
        self.annotate(release, json!(self.state.asked.to_string())).await;
    }

    async fn annotate(&self, release: Number, value: Value) {
        self.set(release, "supercargo.dev/reconcile-at", value).await;
    }

    async fn set(&self, release: Number, annotation: &str, value: Value) {
        let path = self.home(RELEASES, &format!("r{release}"));
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        drop(self.merge(&path, &patch).await);
    }

    // Approves what a release waits with, if it does within a moment.
    async fn approve(&mut self, release: Number, which: Approval) {
        let start = Instant::now();
        let path = self.home(RELEASES, &format!("r{release}"));
        let right = loop {
            let Some(object) = self.get(&path).await else { return };
            let ready = condition(&object, "Ready");
            let token = ready.and_then(|ready| removal_token(&ready.reason, &ready.message));
            let plan = &object["status"]["plan"];
            let hash = plan["hash"].as_str().filter(|_| plan["approved"].is_null()).map(str::to_owned);
            if let Some(hash) = hash.or(token) {
                break hash;
            }
            if start.elapsed() > ASKED {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let waited = self.state.waited.entry(release).or_default();
        waited.retain(|hash| *hash != right);
        let hash = match which {
            Approval::Right => right.clone(),
            Approval::Stale => waited.last().cloned().unwrap_or_else(|| NO_HASH.to_owned()),
            Approval::Wrong => NO_HASH.to_owned(),
        };
        waited.push(right);
        self.listen();
        self.trail.approves(release, &hash);
        self.set(release, "supercargo.dev/approve", json!(hash)).await;
    }

    // Asks for one more try of the revision that a release wants.
    async fn retry(&mut self, release: Number, right: bool) {
        let reference = self.world.releases.get(&release).map(|known| known.spec.reference.clone());
        let digest = match reference {
            Some(Reference::Tag(tag)) if right => self.digests.get(&(release, tag)).cloned(),
            Some(Reference::Digest(_)) if right => self.pinned.get(&release).cloned(),
            _ => None,
        };
        let digest = digest.unwrap_or_else(|| format!("sha256:{}", "0".repeat(64)));
        self.state.asked += 1;
        let value = format!("{digest}@{}", self.state.asked);
        self.world.steps.asked(release);
        self.listen();
        self.trail.retries(release, &value);
        self.set(release, "supercargo.dev/retry", json!(value)).await;
    }

    fn note_push(&mut self, digest: &str, revision: &Revision) {
        self.listen();
        if let Some((number, is_bad)) = numbered(revision) {
            self.trail.pushed(digest, number, is_bad);
        }
    }

    /// Takes notice of what the operator has written until now.
    pub fn listen(&mut self) {
        for Answered { seen, code, body } in self.api.take_answers() {
            if !(200..300).contains(&code) {
                continue;
            }
            let path = seen.path.split('?').next().unwrap_or_default();
            let name = path.trim_end_matches("/status").rsplit('/').next().unwrap_or_default();
            let object: Value = serde_json::from_slice(&body).unwrap_or_default();
            match seen.method.as_str() {
                _ if path.contains(RELEASES) => {
                    if let Some(release) = name.strip_prefix('r').and_then(|n| n.parse().ok()) {
                        self.trail.said(release, &object);
                    }
                }
                "DELETE" if path.contains("/jobs/") => {}
                // A step begins once.
                _ if path.contains("/jobs/") && code != 201 => {}
                "DELETE" => {
                    if let Some(release) = kinds::owner_of(name) {
                        self.trail.removed(release, name);
                    }
                }
                _ => {
                    let owner = object["metadata"]["labels"]["supercargo.dev/name"].as_str();
                    let owner = owner.and_then(|owner| owner.strip_prefix('r')?.parse().ok());
                    if let Some(release) = owner {
                        self.trail.applied(release, &object);
                    }
                }
            }
        }
    }

    // The API server takes everything but the objects that it refuses.
    fn refuse_only(&self) {
        self.api.rule(|seen| refused(seen).unwrap_or(Fate::Pass));
    }

    // Holds the nth write and all after it.
    fn hold_from(&self, nth: u64, moment: Moment) {
        let mut next = held_from(nth, moment);
        self.api.rule(move |seen| {
            if let Some(fate) = refused(seen) {
                return fate;
            }
            if !seen.writes() || seen.path.contains("/leases") || seen.path.contains("/events") {
                return Fate::Pass;
            }
            next()
        });
    }

    async fn hand(&self, kind: Kind, name: u8, away: bool, edit: Edit) -> bool {
        let names = self.names();
        let collection = names.collection(kind, name, names.namespace(kind, away));
        let path = format!("{collection}/{}", names.object(kind, name));
        let labels = |name: Value| json!({"metadata": {"labels": {"supercargo.dev/name": name}}});
        let answer = match edit {
            Edit::Change => self.merge(&path, &kinds::hands_change(kind)).await,
            Edit::Remove => self.merge(&path, &kinds::hands_remove(kind)).await,
            Edit::Note => self.merge(&path, &json!({"metadata": {"annotations": {(NOTE): "by hand"}}})).await,
            Edit::Unlabel => self.merge(&path, &labels(Value::Null)).await,
            Edit::Relabel(other) => self.merge(&path, &labels(json!(format!("r{other}")))).await,
            Edit::Delete => self.send("DELETE", &path, "", None).await,
        };
        answer.is_ok()
    }

    async fn edit_inventory(&self, release: Number, edit: InventoryEdit) -> bool {
        let path = self.home("configmaps", &format!("inv-r{release}"));
        let Some(inventory) = self.get(&path).await else { return false };
        let resources = match edit {
            InventoryEdit::Add => {
                let text = inventory["data"]["resources"].as_str().unwrap_or("[]");
                let mut entries: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
                let home = &self.names().home;
                entries.extend(
                    BYSTANDERS.map(|name| json!({"id": format!("{home}_{name}__ConfigMap"), "ver": "v1"})),
                );
                Some(Value::from(entries).to_string())
            }
            InventoryEdit::Empty => Some("[]".to_owned()),
            InventoryEdit::Delete | InventoryEdit::Lose => None,
        };
        if let Some(resources) = resources {
            return self.merge(&path, &json!({"data": {"resources": resources}})).await.is_ok();
        }
        drop(self.send("DELETE", &path, "", None).await);
        if edit == InventoryEdit::Lose {
            drop(self.merge(&path, &json!({"metadata": {"finalizers": null}})).await);
        }
        true
    }

    async fn grant(&self, granted: bool) {
        let name = format!("{}-weak", self.names().home);
        let collection = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        if granted {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "ServiceAccount", "name": "weak", "namespace": self.names().home}],
            });
            drop(self.send("POST", collection, "application/json", Some(&binding)).await);
        } else {
            drop(self.send("DELETE", &format!("{collection}/{name}"), "", None).await);
        }
    }

    /// The path of an object in the namespace of the releases.
    pub fn home(&self, plural: &str, name: &str) -> String {
        let root = if plural == RELEASES { "apis/supercargo.dev/v1alpha1" } else { "api/v1" };
        format!("/{root}/namespaces/{}/{plural}/{name}", self.names().home)
    }

    /// An object, or a list; none when there is none.
    pub async fn get(&self, path: &str) -> Option<Value> {
        self.send("GET", path, "", None).await.ok()
    }

    async fn merge(&self, path: &str, patch: &Value) -> Result<Value, u16> {
        let path = format!("{path}?fieldManager={HAND}");
        self.send("PATCH", &path, "application/merge-patch+json", Some(patch)).await
    }

    /// A request as the admin; the status of the answer when it is refused.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Result<Value, u16> {
        let mut request = http::Request::builder().method(method).uri(path);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(body).expect("a request");
        let start = Instant::now();
        loop {
            match self.client.request::<Value>(request.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(kube::Error::Api(status)) if status.code < 500 || is_about_schema(&status.message) => {
                    return Err(status.code);
                }
                // Another history restarts the API server.
                Err(_) if start.elapsed() < AWAY => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(error) => panic!("{method} {path}: {error}"),
            }
        }
    }

    /// Removes what no namespace takes with it, and lets go what a finalizer holds.
    pub async fn end(mut self) {
        self.operator = None;
        self.others.clear();
        let none = json!({"metadata": {"finalizers": null}});
        for (plural, kind) in [(RELEASES, "r"), ("configmaps", "inv-r")] {
            let list = self.get(self.home(plural, "").trim_end_matches('/')).await.unwrap_or_default();
            for item in list["items"].as_array().into_iter().flatten() {
                let name = item["metadata"]["name"].as_str().unwrap_or_default();
                if name.starts_with(kind) {
                    drop(self.merge(&self.home(plural, name), &none).await);
                }
            }
        }
        self.grant(false).await;
        let strong =
            format!("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{}-strong", self.names().home);
        drop(self.send("DELETE", &strong, "", None).await);
        let names = self.names().clone();
        for (kind, name, _) in self.world.ever.values().filter(|(kind, _, away)| !kind.namespaced() && !away)
        {
            let path = format!("{}/{}", names.collection(*kind, *name, ""), names.object(*kind, *name));
            drop(self.send("DELETE", &path, "", None).await);
        }
    }
}

/// What a proxy keeps of a history: the writes of ConfigMaps and Jobs, and of the status of releases.
fn is_told(home: &str, seen: &Seen) -> bool {
    let path = seen.path.split('?').next().unwrap_or_default();
    let is_object =
        ["configmaps", "jobs"].iter().any(|plural| path.contains(&format!("/namespaces/{home}/{plural}/o")));
    seen.writes() && (is_object || path.contains(RELEASES) && path.ends_with("/status"))
}

// The API server has accepted the object in the dry run.
fn refused(seen: &Seen) -> Option<Fate> {
    let is_it = seen.writes() && seen.method != "DELETE" && {
        let path = seen.path.split('?').next().unwrap_or_default();
        path.contains(&format!("/configmaps/o{REFUSED}"))
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422,
        "message": "data.v: Invalid value: the history refuses it"});
    is_it.then(|| Fate::Answer(422, status.to_string()))
}

// The fields of a release with gates.
fn gated(spec: &mut Value, gates: crate::action::Gates) {
    let closed = json!([{"cron": "0 * * * *", "duration": "2h", "deny": true}]);
    let rule = json!({"apiVersion": "v1", "kind": "ConfigMap", "current": "!has(data.health)",
        "failed": "has(data.health) && data.health == 'bad'"});
    spec["timeout"] = json!("5s");
    spec["historyLimit"] = json!(20);
    spec["healthCheckExprs"] = json!([rule]);
    spec["rollback"] = json!({"mode": format!("{:?}", gates.rollback)});
    spec["approval"] = json!(if gates.manual { "Manual" } else { "Automatic" });
    spec["schedule"] = gates.closed.then_some(closed).into();
    spec["pruneGuard"] = gates.guarded.then(|| json!({"maxCount": 0})).into();
}

/// What a release makes of a piece before it is labelled.
pub fn rendered(names: &Names, piece: &crate::action::Piece, spec: &Spec) -> Value {
    let mut object = manifest(names, piece);
    if let (Some(n), Kind::ConfigMap) = (spec.patched, piece.kind) {
        object["data"]["patched"] = json!(n.to_string());
    }
    if let Some(n) = spec.label {
        object["metadata"]["labels"]["example.com/label"] = json!(n.to_string());
    }
    object
}

/// Replicas share the releases. The lease is short, so that what one leaves is soon taken.
const SHARED: &[&str] = &["--shards=auto", "--lease-duration=6s"];
fn surroundings(names: &Names) -> String {
    let home = &names.home;
    let [nobodys, anothers] = BYSTANDERS;
    let key = Value::from(signer().public_pem());
    format!(
        "apiVersion: v1
kind: ServiceAccount
metadata: {{name: strong}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: weak}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {home}-strong}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}
subjects: [{{kind: ServiceAccount, name: strong, namespace: {home}}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: keys}}
stringData: {{cosign.pub: {key}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {nobodys}}}
data: {{a: b}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {anothers}, labels: {{supercargo.dev/name: nobody, supercargo.dev/namespace: {home}}}}}
data: {{a: b}}
"
    )
}

fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            map.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_null(v))).collect()
        }
        other => other,
    }
}
