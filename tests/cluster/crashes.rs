//! Promise 2: what a release created is in its inventory until it is confirmed
//! gone, wherever the operator is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::story::{DEADLINE, condition};
use supercargo_testbed::{Account, Bed, Profiles, Proxy, Registry, Story, bed, story};

use crate::scene::{BINARY, role};

const PROFILES: Profiles = Profiles::First("which writes there are does not depend on rights");

/// Cases at once: more would only wait for the two cores of the smallest machine.
const WORKERS: usize = 4;
/// How long a write may take to come.
const HELD: Duration = Duration::from_secs(20);

/// What is under way when the operator is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    Install,
    Upgrade,
    /// An upgrade to a revision that fails.
    Rollback,
    /// An upgrade that a person has approved.
    Approved,
    Delete,
}

/// The kinds of the app: plural path below the namespace's, inventory kind.
const KINDS: [(&str, &str); 4] = [
    ("api/v1/namespaces/{}/configmaps", "_ConfigMap"),
    ("api/v1/namespaces/{}/secrets", "_Secret"),
    ("api/v1/namespaces/{}/services", "_Service"),
    ("apis/apps/v1/namespaces/{}/deployments", "apps_Deployment"),
];

fn app(namespace: &str, upgraded: bool) -> String {
    let (value, last) = if upgraded { ("2", "new") } else { ("1", "old") };
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: config, namespace: {namespace}}}
data: {{value: '{value}'}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: defaults, namespace: {namespace}, annotations: {{supercargo.dev/apply: IfNotPresent}}}}
data: {{value: '1'}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {last}, namespace: {namespace}}}
stringData: {{value: '1'}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec: {{selector: {{app: web}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {namespace}}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: web:1}}]}}
"
    )
}

/// The inventory ids of the app.
fn expected(namespace: &str, upgraded: bool) -> BTreeSet<String> {
    let last = if upgraded { "new" } else { "old" };
    let ids = ["config__ConfigMap", "defaults__ConfigMap", "web__Service", "web_apps_Deployment"];
    let mut all: BTreeSet<String> = ids.iter().map(|id| format!("{namespace}_{id}")).collect();
    all.insert(format!("{namespace}_{last}__Secret"));
    all.insert(format!("_{namespace}__Namespace"));
    all
}

/// Writes of a run; leases and events come when they come.
fn counts(seen: &Seen) -> bool {
    seen.writes() && !seen.path.contains("/leases") && !seen.path.contains("/events")
}

/// What all cases share.
struct Yard {
    account: Account,
    registry: Registry,
}

/// One case: a release in a namespace of its own, an app in another.
struct Case<'a> {
    yard: &'a Yard,
    client: kube::Client,
    home: String,
    target: String,
}

impl<'a> Case<'a> {
    async fn set(yard: &'a Yard, client: &kube::Client, home: String) -> Case<'a> {
        let target = format!("{home}-app");
        for tag in ["1", "2"] {
            yard.registry.push_yaml(&home, tag, &app(&target, tag == "2"));
        }
        let case = Case { yard, client: client.clone(), home, target };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.home}});
        case.send("POST", "api/v1/namespaces", Some(namespace)).await.expect("a namespace");
        // Each case has an operator of its own, and so a lease.
        let leases = "[{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}, \
                      {apiGroups: [''], resources: [secrets], verbs: [get, create]}]";
        let prepared = role("supercargo", yard.account.namespace(), leases)
            + &yard.account.profile().preparation(&case.home);
        Bed::shared().kubectl(&["apply", "--namespace", &case.home, "-f", "-"], &prepared);
        let labels = json!({"supercargo.dev/name": "other", "supercargo.dev/namespace": "elsewhere"});
        let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "foreign", "labels": labels}});
        let path = format!("api/v1/namespaces/{}/configmaps", case.home);
        case.send("POST", &path, Some(foreign)).await.expect("a ConfigMap");
        case
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(format!("/{path}"));
        let request = request.header("content-type", kind).body(body).expect("a request");
        match self.client.request::<Value>(request).await {
            Ok(answer) => Some(answer),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }

    fn start(&self, kubeconfig: &str) -> Operator {
        Options::new(BINARY, &self.yard.account)
            .kubeconfig(kubeconfig)
            .watching(&[&self.home])
            .lease_namespace(&self.home)
            .env("POD_NAME", "supercargo-0")
            .start()
    }

    async fn release(&self) -> Option<Value> {
        self.send("GET", &self.release_path(), None).await
    }

    fn release_path(&self) -> String {
        format!("apis/supercargo.dev/v1alpha1/namespaces/{}/ociartifactreleases/app", self.home)
    }

    async fn create_release(&self, work: Work) {
        let url = format!("oci://{}/{}", self.yard.registry.host(), self.home);
        let mut release = json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
            "metadata": {"name": "app"},
            "spec": {"url": url, "ref": {"tag": "1"}, "insecure": true, "prune": true, "retryInterval": "1s"}});
        if work == Work::Approved {
            release["spec"]["approval"] = json!("Manual");
        }
        if work == Work::Rollback {
            let failed = "has(data.value) && data.value == '2'";
            release["spec"]["wait"] = json!(true);
            release["spec"]["rollback"] = json!({"mode": "OnFailure"});
            release["spec"]["healthCheckExprs"] =
                json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "true", "failed": failed}]);
        }
        let path = self.release_path();
        self.send("POST", path.trim_end_matches("/app"), Some(release)).await.expect("a release");
    }

    async fn wait(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let start = Instant::now();
        while !done().await {
            if start.elapsed() > DEADLINE {
                let release = self.release().await.map(|r| r["status"].to_string());
                let inventory = self.inventory().await;
                panic!("{}: {what}: not within {DEADLINE:?}\n{release:?}\n{inventory:?}", self.home);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn wait_ready(&self, tag: &str) {
        self.wait(&format!("Ready with {tag}"), async || {
            let Some(release) = self.release().await else { return false };
            let current = release["status"]["observedGeneration"] == release["metadata"]["generation"];
            let ready = condition(&release, "Ready").is_some_and(|c| c.status == "True");
            let applied = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
            current && ready && applied.starts_with(&format!("{tag}@"))
        })
        .await;
    }

    async fn wait_rolled_back(&self) {
        self.wait("RolledBack", async || {
            let Some(release) = self.release().await else { return false };
            condition(&release, "Ready").is_some_and(|c| c.reason == "RolledBack")
        })
        .await;
        let release = self.release().await.expect("the release");
        let applied = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
        assert!(applied.starts_with("1@"), "{release:#}");
        let history = release["status"]["history"].as_array().cloned().unwrap_or_default();
        let failed = history.iter().filter(|entry| entry["outcome"] == "Failed").count();
        let quarantined = release["status"]["quarantine"].as_array().map_or(0, Vec::len);
        assert_eq!((failed, quarantined), (1, 1), "one way back for one verdict: {release:#}");
    }

    /// Waits for the plan of a tag; returns its hash.
    async fn planned(&self, tag: &str) -> Value {
        let mut hash = Value::Null;
        self.wait(&format!("the plan of {tag}"), async || {
            let plan = self.release().await.map(|release| release["status"]["plan"].clone());
            let plan = plan.filter(|plan| plan["revision"].as_str().is_some_and(|r| r.starts_with(tag)));
            hash = plan.map(|plan| plan["hash"].clone()).unwrap_or_default();
            !hash.is_null()
        })
        .await;
        hash
    }

    async fn approve(&self, hash: &Value) {
        let patch = json!({"metadata": {"annotations": {"supercargo.dev/approve": hash}}});
        self.send("PATCH", &self.release_path(), Some(patch)).await;
    }

    async fn change_tag(&self) {
        let patch = json!({"spec": {"ref": {"tag": "2"}}});
        self.send("PATCH", &self.release_path(), Some(patch)).await;
    }

    /// The ids that the inventory names; none when there is none.
    async fn inventory(&self) -> BTreeSet<String> {
        let path = format!("api/v1/namespaces/{}/configmaps/inv-app", self.home);
        let Some(map) = self.send("GET", &path, None).await else { return BTreeSet::new() };
        let text = map["data"]["resources"].as_str().expect("resources");
        let entries: Vec<Value> = serde_json::from_str(text).expect("a list");
        entries.iter().map(|e| e["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// The objects labelled as the release's, by inventory id, with whether they
    /// are being deleted.
    async fn labelled(&self) -> BTreeMap<String, bool> {
        let selector =
            format!("labelSelector=supercargo.dev/name=app,supercargo.dev/namespace={}", self.home);
        let mut found = BTreeMap::new();
        let mut look = async |path: String, namespace: &str, kind: &str| {
            let list = self.send("GET", &format!("{path}?{selector}"), None).await.expect("a list");
            for item in list["items"].as_array().expect("items") {
                let name = item["metadata"]["name"].as_str().expect("a name");
                let dying = !item["metadata"]["deletionTimestamp"].is_null();
                found.insert(format!("{namespace}_{name}_{kind}"), dying);
            }
        };
        look("api/v1/namespaces".to_owned(), "", "_Namespace").await;
        for (path, kind) in KINDS {
            look(path.replace("{}", &self.target), &self.target, kind).await;
        }
        found
    }

    /// Nothing that is labelled as the release's is missing in its inventory.
    async fn nothing_leaked(&self, when: &str) {
        let labelled: BTreeSet<String> =
            self.labelled().await.into_iter().filter(|(_, dying)| !dying).map(|(id, _)| id).collect();
        let inventory = self.inventory().await;
        let leaked: Vec<_> = labelled.difference(&inventory).collect();
        assert!(leaked.is_empty(), "{} {when}: leaked {leaked:?}, inventory {inventory:?}", self.home);
    }

    /// Does the work up to the point where the operator is killed, if it gets
    /// there. Returns how many writes there were.
    async fn until_killed(&self, work: Work, stop: Option<(u64, Moment)>) -> usize {
        let bed = Bed::shared();
        let proxy = Proxy::before_api_server(bed);
        let hold = |proxy: &Proxy| match stop {
            Some((nth, moment)) => proxy.hold_from(nth, moment, counts),
            None => proxy.forget(),
        };
        if work == Work::Install {
            hold(&proxy);
        }
        self.create_release(work).await;
        let mut operator = self.start(&proxy.kubeconfig(self.yard.account.kubeconfig()));
        if work == Work::Approved {
            self.approve(&self.planned("1@").await).await;
            self.wait_ready("1").await;
            self.change_tag().await;
            let hash = self.planned("2@").await;
            hold(&proxy);
            self.approve(&hash).await;
        } else if work != Work::Install {
            self.wait_ready("1").await;
            hold(&proxy);
            match work {
                Work::Delete => drop(self.send("DELETE", &self.release_path(), None).await),
                _ => self.change_tag().await,
            }
        }
        let Some((_, moment)) = stop else {
            self.converged(work).await;
            operator.kill();
            return proxy.count(counts);
        };
        // One too many for this run is no failure: it has converged then.
        if proxy.wait_held(HELD, moment).is_none() {
            self.converged(work).await;
        }
        operator.kill();
        proxy.discard();
        0
    }

    async fn converged(&self, work: Work) {
        match work {
            Work::Install => self.wait_ready("1").await,
            Work::Upgrade | Work::Approved => self.wait_ready("2").await,
            Work::Rollback => self.wait_rolled_back().await,
            Work::Delete => {
                self.wait("the release is gone", async || self.release().await.is_none()).await;
            }
        }
    }

    async fn run(&self, work: Work, nth: u64, moment: Moment) {
        self.until_killed(work, Some((nth, moment))).await;
        self.nothing_leaked("after the kill").await;
        let mut operator = self.start(self.yard.account.kubeconfig());
        self.converged(work).await;
        let wanted = match work {
            Work::Install | Work::Rollback => expected(&self.target, false),
            Work::Upgrade | Work::Approved => expected(&self.target, true),
            Work::Delete => BTreeSet::new(),
        };
        self.wait("exactly the objects of the revision are left", async || {
            let left = self.labelled().await.into_iter().filter(|(_, dying)| !dying);
            left.map(|(id, _)| id).collect::<BTreeSet<_>>() == wanted
        })
        .await;
        assert_eq!(self.inventory().await, wanted, "{}", self.home);
        let foreign = format!("api/v1/namespaces/{}/configmaps/foreign", self.home);
        assert!(self.send("GET", &foreign, None).await.is_some(), "{}: foreign", self.home);
        operator.kill();
    }
}

/// Runs every case of a work: killed before and after each of its writes.
async fn prove(name: &'static str, work: Work) {
    let story = Story::begin(name).await;
    let yard = Yard { account: story.operator_account(), registry: Registry::plain() };
    let first = Case::set(&yard, &story.client(), format!("{}-whole", story.namespace())).await;
    let writes = first.until_killed(work, None).await;
    assert!(writes >= 4, "{work:?} has {writes} writes");
    let writes = u64::try_from(writes).expect("few");
    let cases = (1..=writes).flat_map(|n| [(n, Moment::Before), (n, Moment::After)]);
    let cases: Mutex<Vec<(u64, Moment)>> = Mutex::new(cases.collect());
    let (yard, cases, namespace) = (&yard, &cases, story.namespace());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(async {
                    let client = bed::client(&Bed::shared().admin_kubeconfig()).await;
                    loop {
                        let Some((nth, moment)) = cases.lock().expect("lock").pop() else { return };
                        let home = format!("{namespace}-{moment:?}-{nth}").to_lowercase();
                        let case = Case::set(yard, &client, home).await;
                        case.run(work, nth, moment).await;
                    }
                });
            });
        }
    });
}

#[story]
async fn promise_2_killed_at_each_write_of_an_install_nothing_leaks_and_the_next_run_converges() {
    prove("crash-install", Work::Install).await;
}

#[story]
async fn promise_2_killed_at_each_write_of_an_upgrade_nothing_leaks_and_the_next_run_converges() {
    prove("crash-upgrade", Work::Upgrade).await;
}

#[story]
async fn killed_at_each_write_of_a_rollback_there_is_one_way_back_and_nothing_leaks() {
    prove("crash-rollback", Work::Rollback).await;
}

#[story]
async fn promise_2_killed_at_each_write_of_a_deletion_nothing_leaks_and_nothing_foreign_goes() {
    prove("crash-delete", Work::Delete).await;
}

#[story]
async fn killed_at_each_write_of_an_approved_upgrade_it_is_finished_without_another_approval() {
    prove("crash-approved", Work::Approved).await;
}
