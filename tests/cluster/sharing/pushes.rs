//! Webhooks that reach a replica which does not work on the release.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;
use supercargo_testbed::audit::Request;
use supercargo_testbed::{Profiles, ports, story};

use super::fleet::{Fleet, SLACK};
use crate::scene::{registry, text};
use crate::webhooks::{ask, config, receiving};

const PROFILES: Profiles = Profiles::First("what registries send does not depend on rights");

#[story]
async fn a_webhook_that_reaches_another_replica_leads_to_a_run_of_the_owner_at_once() {
    let mut fleet = Fleet::begin("sharing-push").await;
    let config = config(&[json!({"name": "ci", "type": "generic"})]);
    let pods = ["a", "b"];
    let addresses = pods.map(|_| format!("127.0.0.1:{}", ports::free()));
    for (pod, address) in pods.iter().zip(&addresses) {
        fleet.start_as(pod, receiving(fleet.options(pod), address, &config));
    }
    for n in 0..8 {
        fleet.push(n, "one");
        fleet.create_with(&format!("r{n}"), json!({}), json!({"interval": "24h"}));
    }
    fleet.all_have(8, "one").await;
    let workers = fleet.wait_workers(&pods).await;

    (0..8).for_each(|n| fleet.push(n, "two"));
    let namespace = fleet.story.namespace().to_owned();
    let notify_another_than_the_owner = |n: usize| {
        let other = usize::from(workers[&format!("r{n}")] == pods[0]);
        let push = json!({"repository": format!("{}/{namespace}/r{n}", registry().host()), "tag": "1"});
        let answer = ask(&addresses[other], "ci", &push);
        assert_eq!(answer["triggered"], json!([format!("{namespace}/r{n}")]), "{answer}");
        pods[other]
    };
    // One of each replica hears of its push last: until then, nothing else makes it run.
    let last = pods.map(|pod| (0..8).find(|n| workers[&format!("r{n}")] == pod).expect("it works on one"));
    let mark = fleet.story.bed().audit().mark();
    let (early, late): (Vec<usize>, Vec<usize>) = (0..8).partition(|n| !last.contains(n));
    for round in [early, late] {
        for n in &last {
            assert!(fleet.has(*n, "one").await, "r{n} has not run by itself");
        }
        let began = Instant::now();
        let receivers: Vec<(usize, &str)> =
            round.iter().map(|n| (*n, notify_another_than_the_owner(*n))).collect();
        for n in &round {
            let name = format!("r{n}");
            let has_run = async || {
                let release = fleet.story.release(&name).await?;
                let handled = text(&release, "/status/lastHandledReconcileAt").contains("-webhook-");
                (handled && fleet.has(*n, "two").await).then_some(())
            };
            fleet.story.wait_for(&format!("{name} has run because of the webhook"), has_run).await;
        }
        assert!(began.elapsed() <= SLACK, "{:?}", began.elapsed());
        let requests = fleet.story.bed().audit().since(mark, &fleet.account.user());
        let writers = |which: &dyn Fn(&Request) -> bool| -> BTreeSet<String> {
            let written = requests.iter().filter(|request| request.writes() && which(request));
            written.map(|request| request.pod().to_owned()).collect()
        };
        for (n, receiver) in receivers {
            // Who received it only asks; the owner has run.
            let (name, objects) = (format!("r{n}"), format!("r{n}-"));
            let asks = |r: &Request| {
                r.resource == "ociartifactreleases" && r.subresource.is_empty() && r.name == name
            };
            assert_eq!(writers(&asks), BTreeSet::from([receiver.to_owned()]), "{name}");
            let applies = |r: &Request| r.name.starts_with(&objects);
            assert_eq!(writers(&applies), BTreeSet::from([workers[&name].clone()]), "{name}");
        }
    }
    assert_eq!(fleet.workers().await, workers, "no release has changed its owner");
    fleet.assert_one_at_a_time(8).await;
}
