//! Two replicas: one acts, the other takes over.

use std::time::{Duration, Instant};

use serde_json::Value;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::proxy::{Moment, Seen};
use supercargo_testbed::{Profiles, Proxy, Registry, Story, story, within};

use crate::scene::BINARY;

const PROFILES: Profiles = Profiles::First("who leads does not depend on the accounts of releases");

/// Lease duration, what a standby may have waited since its last look, and a
/// machine that is busy with other tests.
const TAKEOVER: Duration = Duration::from_secs(25);

/// Two replicas, each behind a proxy that tells what it sends.
pub struct Pair {
    pub story: Story<'static>,
    pub registry: Registry,
    pub proxies: [Proxy; 2],
    pub replicas: [Operator; 2],
}

/// A ConfigMap.
pub fn config(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n")
}

fn of_lease(seen: &Seen) -> bool {
    seen.path.contains("/leases")
}

fn writes(seen: &Seen) -> bool {
    seen.writes() && !of_lease(seen)
}

impl Pair {
    /// The first leads.
    pub async fn start(name: &str) -> Pair {
        let story = Story::begin(name).await;
        let account = story.operator_account();
        let proxies = [(); 2].map(|()| Proxy::before_api_server(story.bed()));
        let start = |proxy: &Proxy| {
            Options::new(BINARY, &account)
                .kubeconfig(&proxy.kubeconfig(account.kubeconfig()))
                .watching(&[story.namespace()])
                .start()
        };
        let mut first = start(&proxies[0]);
        first.wait_leader(story.bed());
        first.wait_ready();
        let mut second = start(&proxies[1]);
        second.wait_ready();
        Pair { registry: Registry::plain(), replicas: [first, second], proxies, story }
    }

    fn create(&self, name: &str, yaml: &str) {
        self.registry.push_yaml(name, "1", yaml);
        self.story.apply(&format!(
            "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: {name}}}
spec: {{url: 'oci://{}/{name}', ref: {{tag: '1'}}, insecure: true, prune: true, retryInterval: 1s}}
",
            self.registry.host()
        ));
    }

    /// Who leads.
    pub async fn holder(&self) -> String {
        let account = self.story.operator_account();
        let lease = self.story.object("coordination.k8s.io/v1", "leases", account.lease()).await;
        let holder = |lease: &Value| lease["spec"]["holderIdentity"].as_str().map(str::to_owned);
        lease.as_ref().and_then(holder).unwrap_or_default()
    }

    /// Waits until somebody other than `before` leads, and returns how long that
    /// took.
    pub async fn taken_over(&self, before: &str) -> Duration {
        let start = Instant::now();
        self.story
            .wait_for("the other replica leads", async || {
                let holder = self.holder().await;
                (!holder.is_empty() && holder != before).then_some(())
            })
            .await;
        start.elapsed()
    }
}

#[story]
async fn of_two_replicas_one_acts_and_the_other_leads_at_once_when_it_is_asked_to_end() {
    let mut pair = Pair::start("replicas-stop").await;
    pair.create("one", &config("one"));
    pair.story.wait_ready("one", "1@").await;
    assert_eq!(pair.proxies[1].count(writes), 0, "{:?}", pair.proxies[1].seen());
    let other = pair.proxies[1].seen().into_iter().find(|seen| !of_lease(seen));
    assert_eq!(other, None, "a standby looks at nothing but the lease");
    // It is ready, so that a rollout goes on.
    pair.replicas[1].wait_ready();

    let leader = pair.holder().await;
    assert_eq!(pair.replicas[0].stop(), Some(0));
    assert!(pair.replicas[0].log().contains("released the lease"));
    let took = pair.taken_over(&leader).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    pair.create("two", &config("two"));
    pair.story.wait_ready("two", "1@").await;
}

#[story]
async fn the_other_replica_leads_within_the_lease_when_the_leader_is_killed() {
    let mut pair = Pair::start("replicas-kill").await;
    let leader = pair.holder().await;
    pair.replicas[0].kill();
    let took = pair.taken_over(&leader).await;
    assert!(took < TAKEOVER, "{took:?}");
    pair.create("one", &config("one"));
    pair.story.wait_ready("one", "1@").await;
}

#[story]
async fn a_frozen_leader_writes_nothing_after_another_took_over() {
    let mut pair = Pair::start("replicas-freeze").await;
    // It is in the middle of an apply: the first object lands, the rest would follow.
    let yaml: Vec<String> = (0..40).map(|n| config(&format!("c{n:02}"))).collect();
    pair.proxies[0].hold_from(1, Moment::After, |seen| writes(seen) && seen.path.contains("/configmaps/c"));
    pair.create("one", &yaml.join("---\n"));
    let held = pair.proxies[0].wait_held(Duration::from_secs(30), Moment::After);
    assert!(held.is_some(), "no apply came");
    let leader = pair.holder().await;
    pair.replicas[0].freeze();
    pair.taken_over(&leader).await;
    pair.story.wait_ready("one", "1@").await;

    pair.proxies[0].discard();
    pair.proxies[0].pass_all();
    pair.proxies[0].forget();
    pair.replicas[0].thaw();
    let ended = within(Duration::from_secs(30), || !pair.replicas[0].running());
    assert!(ended, "a leader that lost its lease ends\n{}", pair.replicas[0].log());
    let after: Vec<Seen> = pair.proxies[0].seen().into_iter().filter(writes).collect();
    assert_eq!(after, []);
    let log = pair.replicas[0].log();
    assert!(log.contains("the lease") && log.contains("another replica"), "{log}");
    let release = pair.story.release("one").await.expect("the release");
    assert_eq!(release["status"]["inventory"]["entries"], 40);
}

#[story]
async fn another_replica_knows_which_revision_has_failed() {
    let mut pair = Pair::start("replicas-rollback").await;
    let rule = "{apiVersion: v1, kind: ConfigMap, current: 'true', failed: \"data.a == 'bad'\"}";
    let release = |tag: &str| {
        format!(
            "apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: one}}
spec: {{url: 'oci://{}/one', ref: {{tag: '{tag}'}}, insecure: true, prune: true, wait: true, rollback: {{mode: OnFailure}},
  healthCheckExprs: [{rule}]}}
",
            pair.registry.host()
        )
    };
    pair.registry.push_yaml("one", "1", &config("one"));
    pair.registry.push_yaml("one", "2", &config("one").replace("a: b", "a: bad"));
    pair.story.apply(&release("1"));
    pair.story.wait_ready("one", "1@").await;
    pair.story.apply(&release("2"));
    let before = pair.story.wait_condition("one", "Ready", "False", "RolledBack").await;
    let leader = pair.holder().await;
    pair.replicas[0].kill();
    pair.taken_over(&leader).await;
    pair.story.apply(&release("2"));
    pair.story.kubectl(&["annotate", "oar", "one", "supercargo.dev/reconcile-at=now"], "");
    let handled = async || {
        let release = pair.story.release("one").await?;
        (release["status"]["lastHandledReconcileAt"] == "now").then_some(release)
    };
    let after = pair.story.wait_for("the other replica has looked", handled).await;
    for field in ["quarantine", "failures", "history", "lastAppliedRevision"] {
        assert_eq!(after["status"][field], before["status"][field], "{field}");
    }
    let applied = pair.proxies[1].count(|seen| writes(seen) && seen.path.contains("/configmaps/one"));
    assert_eq!(applied, 0, "{:?}", pair.proxies[1].seen());
}
