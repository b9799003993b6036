//! Replicas that share the releases of a namespace, and what the stories about them ask.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::replicas::{self, Writers, pod_of};
use supercargo_testbed::{Account, Proxy, Story};

use crate::scene::{BINARY, config_map, registry, release, text};

/// Short, so that the stories are; a machine that is busy with other tests renews it all the same.
pub const LEASE: Duration = Duration::from_secs(10);
/// What a busy machine may take for what follows at once.
pub const SLACK: Duration = Duration::from_secs(8);
pub const LEASES: &str = "coordination.k8s.io/v1";
pub const GROUP: &str = "supercargo.dev/v1alpha1";

/// Replicas, each with a name that the audit log shows.
pub struct Fleet {
    pub story: Story<'static>,
    pub account: Account,
    pub replicas: BTreeMap<String, Operator>,
    mark: Mark,
}

impl Fleet {
    pub async fn begin(test: &str) -> Fleet {
        let story = Story::begin(test).await;
        story.apply(replicas::RIGHTS);
        let (account, mark) = (story.operator_account(), story.bed().audit().mark());
        Fleet { story, account, replicas: BTreeMap::new(), mark }
    }

    /// Starts a replica whose API server is behind a proxy.
    pub fn start_behind(&mut self, pod: &str, proxy: &Proxy) {
        self.start_as(pod, self.options(pod).through(proxy));
    }

    /// Starts a replica with these options.
    pub fn start_as(&mut self, pod: &str, options: Options) {
        let mut operator = options.argument("--shards=auto").start();
        operator.wait_ready();
        self.replicas.insert(pod.to_owned(), operator);
    }

    pub fn lease_of(&self, pod: &str) -> String {
        format!("{}-{pod}", self.account.lease())
    }

    /// The pod that leads; empty when none does.
    pub async fn leader(&self) -> String {
        let lease = self.story.object(LEASES, "leases", self.account.lease()).await;
        pod_of(&text(&lease.unwrap_or_default(), "/spec/holderIdentity")).to_owned()
    }

    pub fn options(&self, pod: &str) -> Options {
        self.options_with(pod, LEASE)
    }

    pub fn options_with(&self, pod: &str, lease: Duration) -> Options {
        Options::new(BINARY, &self.account)
            .watching(&[self.story.namespace()])
            .argument(&format!("--lease-duration={}s", lease.as_secs()))
            .env("POD_NAME", pod)
    }

    /// Starts a replica whose Lease lasts as long as this.
    pub fn start_with(&mut self, pod: &str, lease: Duration) {
        self.start_as(pod, self.options_with(pod, lease));
    }

    /// Starts replicas that share the work.
    pub fn start(&mut self, pods: &[&str]) {
        for pod in pods {
            let operator = self.options(pod).argument("--shards=auto").start();
            self.replicas.insert((*pod).to_owned(), operator);
        }
        for pod in pods {
            self.replicas.get_mut(*pod).expect("it was started").wait_ready();
        }
    }

    pub fn operator(&mut self, pod: &str) -> &mut Operator {
        self.replicas.get_mut(pod).expect("a replica")
    }

    /// Releases `r0`, `r1`, …, each of two ConfigMaps whose names begin with that of the release.
    pub async fn install(&self, count: usize) {
        for n in 0..count {
            self.push(n, "one");
            self.create(&format!("r{n}"), json!({}));
        }
        self.all_have(count, "one").await;
    }

    pub fn push(&self, n: usize, value: &str) {
        let yaml = format!(
            "{}---\n{}",
            config_map(&format!("r{n}-a"), value),
            config_map(&format!("r{n}-b"), value)
        );
        registry().push_yaml(&format!("{}/r{n}", self.story.namespace()), "1", &yaml);
    }

    pub fn create(&self, name: &str, labels: Value) {
        self.create_with(name, labels, json!({}));
    }

    pub fn create_with(&self, name: &str, labels: Value, more: Value) {
        let url = format!("oci://{}/{}/{name}", registry().host(), self.story.namespace());
        let mut spec = json!({"interval": "10s", "retryInterval": "1s"});
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        let mut release = release(self.story.namespace(), name, &url, spec);
        release["metadata"]["labels"] = labels;
        self.story.kubectl(&["create", "-f", "-"], &release.to_string());
    }

    pub async fn has(&self, n: usize, value: &str) -> bool {
        let map = self.story.object("v1", "configmaps", &format!("r{n}-b")).await;
        map.is_some_and(|map| text(&map, "/data/key") == value)
    }

    /// Waits until all releases have applied a value.
    pub async fn all_have(&self, count: usize, value: &str) {
        for n in 0..count {
            let what = format!("r{n} has {value}");
            self.story.wait_for(&what, async || self.has(n, value).await.then_some(())).await;
        }
    }

    /// The pod that owns each release; empty: the leader.
    pub async fn owners(&self) -> BTreeMap<String, String> {
        let list = self.story.kubectl(&["get", "oar", "-o", "json"], "");
        let list: Value = serde_json::from_str(&list).expect("JSON");
        let owner = |release: &Value| {
            let pod = pod_of(&text(release, "/status/owner/holder")).to_owned();
            (text(release, "/metadata/name"), pod)
        };
        list["items"].as_array().expect("a list").iter().map(owner).collect()
    }

    /// The pod that works on each release: its owner, or the leader.
    pub async fn workers(&self) -> BTreeMap<String, String> {
        let leader = self.leader().await;
        let worker =
            |(name, pod): (String, String)| (name, if pod.is_empty() { leader.clone() } else { pod });
        self.owners().await.into_iter().map(worker).collect()
    }

    /// Waits until each of these pods works on releases, and nobody else does.
    pub async fn wait_workers(&self, pods: &[&str]) -> BTreeMap<String, String> {
        let expected: BTreeSet<&str> = pods.iter().copied().collect();
        let what = format!("{pods:?} work on the releases");
        let are_these = async || {
            let workers = self.workers().await;
            let found: BTreeSet<&str> = workers.values().map(String::as_str).collect();
            (found == expected).then_some(workers)
        };
        self.story.wait_for(&what, are_these).await
    }

    /// Waits until the releases belong to all of these pods, and to no others.
    pub async fn wait_owners(&self, pods: &[&str]) -> BTreeMap<String, String> {
        let expected: BTreeSet<String> = pods.iter().map(|pod| (*pod).to_owned()).collect();
        let what = format!("the releases belong to {pods:?}");
        self.story
            .wait_for(&what, async || {
                let owners = self.owners().await;
                let found: BTreeSet<String> =
                    owners.values().filter(|pod| !pod.is_empty()).cloned().collect();
                // Those without an owner are the leader's, which is one of them.
                (found.is_subset(&expected) && (pods.len() == 1 || found.len() + 1 >= pods.len()))
                    .then_some(owners)
            })
            .await
    }

    pub fn requests(&self) -> Vec<Request> {
        self.story.bed().audit().since(self.mark, &self.account.user())
    }

    /// No two replicas have worked on a release at the same time: only its owner writes, and the leader while
    /// there is none.
    pub async fn assert_one_at_a_time(&self, count: usize) {
        let writers = Writers::read(&self.requests(), self.story.namespace(), self.account.lease());
        let mut terms = BTreeMap::new();
        for n in 0..count {
            let name = format!("r{n}");
            let release = self.story.release(&name).await.expect("the release");
            terms.insert(name, release["status"]["owner"]["term"].as_u64().unwrap_or_default());
        }
        assert_eq!(writers.intruders(&terms), [""; 0]);
        assert_eq!(writers.count(), count);
    }
}
