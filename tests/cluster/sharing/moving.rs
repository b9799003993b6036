//! Who works on which release, while replicas come, go, hang and die.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;
use supercargo_testbed::audit::Request;
use supercargo_testbed::operator::Operator;
use supercargo_testbed::proxy::{Fate, Moment};
use supercargo_testbed::{Profiles, Proxy, story, within};

use super::fleet::{Fleet, GROUP, LEASE, LEASES, SLACK};
use crate::scene::text;

const PROFILES: Profiles =
    Profiles::First("who works on a release does not depend on the accounts of releases");

#[story]
async fn replicas_share_the_releases_and_those_of_one_that_is_killed_are_taken_within_the_lease() {
    let mut fleet = Fleet::begin("sharing-kill").await;
    fleet.start(&["a", "b", "c"]);
    fleet.install(24).await;
    let owners = fleet.wait_owners(&["a", "b", "c"]).await;
    let of = |pod: &str| owners.values().filter(|owner| *owner == pod).count();
    // One of the three leads; its releases may have no owner.
    let busy = ["a", "b", "c", ""].iter().filter(|pod| of(pod) > 0).count();
    assert!(busy >= 3, "{owners:?}");
    let sums = |fleet: &Fleet| {
        let releases =
            |operator: &Operator| operator.metric("supercargo_releases{ready=\"True\"}").unwrap_or_default();
        fleet.replicas.values().map(releases).sum::<f64>()
    };
    assert!(within(SLACK, || sums(&fleet) == 24.0), "each release is counted by one replica");
    assert_eq!(fleet.operator("a").metric("supercargo_replicas"), Some(3.0));

    let victim = ["a", "b", "c"].into_iter().find(|pod| of(pod) > 0).expect("an owner");
    fleet.operator(victim).kill();
    let killed = Instant::now();
    fleet.replicas.remove(victim);
    (0..24).for_each(|n| fleet.push(n, "two"));
    let others: Vec<&str> = ["a", "b", "c"].into_iter().filter(|pod| *pod != victim).collect();
    fleet.wait_owners(&others).await;
    let took = killed.elapsed();
    assert!(took <= LEASE + SLACK, "{took:?}");
    fleet.all_have(24, "two").await;
    fleet.assert_one_at_a_time(24).await;
}

#[story]
async fn a_replica_that_joins_gets_its_share_and_one_that_ends_gives_it_back_at_once() {
    let mut fleet = Fleet::begin("sharing-join").await;
    fleet.start(&["a"]);
    fleet.install(12).await;
    // Alone it works as the leader: no release names it, and nothing is written for that.
    let owners = fleet.owners().await;
    assert!(owners.values().all(String::is_empty), "{owners:?}");

    fleet.start(&["b"]);
    let what = "the second replica has its share";
    fleet
        .story
        .wait_for(what, async || fleet.owners().await.values().any(|pod| pod == "b").then_some(()))
        .await;
    (0..12).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(12, "two").await;

    let began = Instant::now();
    assert_eq!(fleet.operator("b").stop(), Some(0));
    fleet.wait_owners(&["a"]).await;
    let took = began.elapsed();
    assert!(took < LEASE, "the lease did not have to run out: {took:?}");
    (0..12).for_each(|n| fleet.push(n, "three"));
    fleet.all_have(12, "three").await;
    fleet.assert_one_at_a_time(12).await;
    let leases = fleet.story.list(LEASES, "leases").await;
    let of_b = leases.iter().find(|lease| text(lease, "/metadata/name").ends_with("-b")).expect("its lease");
    assert_eq!(text(of_b, "/spec/holderIdentity"), "", "nobody holds it");
}

#[story]
async fn a_frozen_replica_writes_nothing_after_its_releases_were_taken() {
    let mut fleet = Fleet::begin("sharing-freeze").await;
    fleet.start(&["a", "b"]);
    fleet.install(16).await;
    let owners = fleet.wait_owners(&["a", "b"]).await;
    let victim = if owners.values().any(|pod| pod == "a") { "a" } else { "b" };
    let other = if victim == "a" { "b" } else { "a" };
    fleet.operator(victim).freeze();
    (0..16).for_each(|n| fleet.push(n, "two"));
    fleet.wait_owners(&[other]).await;
    fleet.all_have(16, "two").await;
    let mark = fleet.story.bed().audit().mark();
    fleet.operator(victim).thaw();
    let replica = fleet.operator(victim);
    assert!(within(Duration::from_secs(30), || !replica.running()), "it ends\n{}", replica.log());
    assert!(replica.log().contains("lost the lease"), "{}", replica.log());
    let written: Vec<String> = fleet
        .story
        .bed()
        .audit()
        .since(mark, &fleet.account.user())
        .iter()
        .filter(|request| request.writes() && request.code < 300 && request.resource != "leases")
        .filter(|request| request.pod() == victim)
        .map(Request::summary)
        .collect();
    assert_eq!(written, [""; 0]);
    // The API server ends each write in time for the lease, whatever becomes of its client.
    let is_write = |request: &&Request| request.writes() && request.resource != "leases";
    let requests = fleet.requests();
    let unlimited = requests.iter().filter(is_write).filter(|request| !request.uri.contains("timeout=6s"));
    assert_eq!(unlimited.map(Request::summary).collect::<Vec<_>>(), [""; 0]);
    fleet.assert_one_at_a_time(16).await;
}

#[story]
async fn a_container_that_restarts_keeps_its_releases_without_a_write() {
    let mut fleet = Fleet::begin("sharing-restart").await;
    fleet.start(&["a", "b"]);
    fleet.install(12).await;
    let owners = fleet.wait_owners(&["a", "b"]).await;
    let victim = if owners.values().any(|pod| pod == "a") { "a" } else { "b" };
    fleet.operator(victim).kill();
    fleet.start(&[victim]);
    (0..12).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(12, "two").await;
    let moved = |(name, pod): (&String, &String)| {
        owners.get(name).filter(|before| *before != pod).map(|_| name.clone())
    };
    let moved: Vec<String> = fleet.owners().await.iter().filter_map(moved).collect();
    assert_eq!(moved, [""; 0], "they are still those of {victim}");
    fleet.assert_one_at_a_time(12).await;
}

#[story]
async fn a_chain_of_dependencies_over_replicas_is_upgraded_to_its_end() {
    let mut fleet = Fleet::begin("sharing-chain").await;
    fleet.start(&["a", "b"]);
    for n in 0..8 {
        fleet.push(n, "one");
        let on = if n == 0 { json!([]) } else { json!([{"name": format!("r{}", n - 1)}]) };
        fleet.create_with(&format!("r{n}"), json!({}), json!({"dependsOn": on}));
    }
    fleet.all_have(8, "one").await;
    let owners = fleet.owners().await;
    assert!(owners.values().collect::<BTreeSet<_>>().len() > 1, "{owners:?}");
    (0..8).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(8, "two").await;
    fleet.assert_one_at_a_time(8).await;
}

#[story]
async fn an_owner_that_the_status_has_lost_is_written_again() {
    let mut fleet = Fleet::begin("sharing-lost").await;
    fleet.start(&["a", "b"]);
    fleet.install(8).await;
    let owners = fleet.wait_owners(&["a", "b"]).await;
    let (name, owner) = owners.iter().find(|(_, pod)| !pod.is_empty()).expect("one has an owner");
    let none = json!({"status": {"owner": null}}).to_string();
    fleet.story.kubectl(&["patch", "oar", name, "--subresource=status", "--type=merge", "-p", &none], "");
    let what = "the owner is there again";
    fleet.story.wait_for(what, async || (fleet.owners().await.get(name) == Some(owner)).then_some(())).await;
    (0..8).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(8, "two").await;
    fleet.assert_one_at_a_time(8).await;
}

#[story]
async fn releases_with_one_key_are_together_and_one_leader_takes_all_back() {
    let mut fleet = Fleet::begin("sharing-key").await;
    fleet.start(&["a", "b", "c"]);
    for n in 0..8 {
        fleet.push(n, "one");
        fleet.create(&format!("r{n}"), json!({"supercargo.dev/shard-key": "shop"}));
    }
    fleet.all_have(8, "one").await;
    let owners = fleet.owners().await;
    assert_eq!(owners.values().collect::<BTreeSet<_>>().len(), 1, "{owners:?}");
    // Another key, another place: a few of many move.
    let keys: Vec<String> = (0..8).map(|n| format!("r{n}")).collect();
    for (n, name) in keys.iter().enumerate() {
        let key = json!({"metadata": {"labels": {"supercargo.dev/shard-key": format!("key-{n}")}}});
        fleet.story.patch(GROUP, "ociartifactreleases", name, &key);
    }
    let spread = "they are spread";
    fleet
        .story
        .wait_for(spread, async || {
            let owners = fleet.owners().await;
            (owners.values().collect::<BTreeSet<_>>().len() > 1).then_some(())
        })
        .await;

    // Without --shards, the leader works on what the others have left, when their leases have run out.
    for replica in fleet.replicas.values_mut() {
        replica.kill();
    }
    fleet.replicas.clear();
    let mut alone = fleet.options("d").start();
    alone.wait_ready();
    (0..8).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(8, "two").await;
    fleet.wait_owners(&[]).await;
    fleet.assert_one_at_a_time(8).await;
}

#[story]
async fn a_lease_that_a_person_deletes_or_shortens_still_lasts_for_who_holds_it() {
    let mut fleet = Fleet::begin("sharing-edited").await;
    fleet.start(&["a", "b", "c"]);
    fleet.install(24).await;
    let owners = fleet.wait_owners(&["a", "b", "c"]).await;
    let leader = fleet.leader().await;
    let owner = owners.values().find(|pod| !pod.is_empty() && **pod != leader).expect("an owner").clone();
    let other = ["a", "b", "c"].into_iter().find(|pod| *pod != leader && *pod != owner).expect("a third one");
    // They cannot notice.
    fleet.operator(&leader).freeze();
    fleet.operator(&owner).freeze();
    let began = Instant::now();
    let short = json!({"spec": {"leaseDurationSeconds": 1}});
    fleet.story.patch(LEASES, "leases", &fleet.lease_of(&owner), &short);
    fleet.story.kubectl(&["delete", "lease", fleet.account.lease()], "");
    let (mut led, mut owned) = (None, None);
    let what = "the third one leads and has all";
    fleet
        .story
        .wait_for(what, async || {
            if fleet.leader().await == other {
                led.get_or_insert(began.elapsed());
            }
            if fleet.owners().await.values().all(|pod| *pod != owner) {
                owned.get_or_insert(began.elapsed());
            }
            led.zip(owned)
        })
        .await;
    assert!(led.zip(owned).is_some_and(|(led, owned)| led.min(owned) >= LEASE), "{led:?} {owned:?}");
    fleet.operator(&leader).thaw();
    fleet.operator(&owner).thaw();
    (0..24).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(24, "two").await;
    fleet.assert_one_at_a_time(24).await;
}

#[story]
async fn one_look_at_the_lease_of_an_owner_is_enough_for_all_its_releases() {
    let mut fleet = Fleet::begin("sharing-look").await;
    fleet.start(&["a"]);
    fleet.install(24).await;
    // A roll-out with another --lease-duration: what the holder has said counts, also when its Lease is gone.
    let (victim, other, longer) = ("b", "a", LEASE * 2);
    fleet.start_with(victim, longer);
    let has_some = async || fleet.owners().await.values().any(|pod| pod == victim).then_some(());
    fleet.story.wait_for("the second replica has its share", has_some).await;
    let owners = fleet.wait_owners(&["a", "b"]).await;
    let owned = owners.values().filter(|pod| *pod == victim).count();
    fleet.operator(victim).freeze();
    let mark = fleet.story.bed().audit().mark();
    // Its holder may not have noticed: the releases are asked about again and again.
    let lease = fleet.lease_of(victim);
    fleet.story.kubectl(&["delete", "lease", &lease], "");
    let began = Instant::now();
    fleet.wait_owners(&[other]).await;
    assert!(began.elapsed() >= longer, "{:?}", began.elapsed());
    let requests = fleet.story.bed().audit().since(mark, &fleet.account.user());
    let looks = requests.iter().filter(|request| request.verb == "get" && request.name == lease).count();
    // Three in a second.
    assert!(owned > 3 && looks <= 90, "{looks} looks for {owned} releases");
    fleet.operator(victim).thaw();
    fleet.assert_one_at_a_time(24).await;
}

#[story]
async fn moves_in_doubt_do_not_delay_the_end_of_a_replica() {
    let mut fleet = Fleet::begin("sharing-doubt").await;
    let proxy = Proxy::before_api_server(fleet.story.bed());
    fleet.start_behind("a", &proxy);
    fleet.install(12).await;
    for n in 0..12 {
        fleet.story.wait_condition(&format!("r{n}"), "Ready", "True", "ReconciliationSucceeded").await;
    }
    // The answers to its moves are lost.
    proxy.rule(|seen| match seen.path.contains("/status?") && seen.method == "PATCH" {
        true => Fate::HoldAfter,
        false => Fate::Pass,
    });
    fleet.start(&["b"]);
    let held = proxy.wait_held(LEASE * 3, Moment::After);
    assert!(held.is_some(), "a move\n{}", fleet.operator("a").log());
    let began = Instant::now();
    assert_eq!(fleet.operator("a").stop(), Some(0));
    let took = began.elapsed();
    assert!(took < LEASE, "it does not wait for an answer: {took:?}");
    // Nobody waits for the end of its Lease.
    let lease = fleet.story.object(LEASES, "leases", &fleet.lease_of("a")).await.expect("its lease");
    assert_eq!(text(&lease, "/spec/holderIdentity"), "", "nobody holds it");
    fleet.wait_owners(&["b"]).await;
    (0..12).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(12, "two").await;
    fleet.assert_one_at_a_time(12).await;
}

#[story]
async fn a_release_whose_new_owner_was_not_confirmed_is_not_worked_on() {
    let mut fleet = Fleet::begin("sharing-unconfirmed").await;
    let mut proxy = Proxy::before_api_server(fleet.story.bed());
    fleet.start_behind("a", &proxy);
    fleet.install(12).await;
    // It does not see what becomes of the releases, and the answers to its moves are lost.
    let is_watch = |path: &str| path.contains("/ociartifactreleases?") && path.contains("watch=true");
    proxy.rule(move |seen| match &seen.path {
        path if is_watch(path) => Fate::HoldBefore,
        path if path.contains("/status?") && seen.method == "PATCH" => Fate::HoldAfter,
        _ => Fate::Pass,
    });
    proxy.cut();
    fleet.start(&["b"]);
    let held = proxy.wait_held(LEASE * 3, Moment::After);
    assert!(held.is_some(), "a move\n{}", fleet.operator("a").log());
    fleet.wait_owners(&["a", "b"]).await;
    proxy.rule(move |seen| if is_watch(&seen.path) { Fate::HoldBefore } else { Fate::Pass });
    proxy.discard();
    // The new owner is gone, and the first one would work on them again if it did not know.
    fleet.operator("b").kill();
    let a = &fleet.replicas["a"];
    let is_alone = || a.metric("supercargo_replicas") == Some(1.0);
    assert!(within(LEASE + SLACK, is_alone), "a sees that it is alone\n{}", a.log());
    (0..12).for_each(|n| fleet.push(n, "two"));
    // The moves began one after the other: until here, more of them may have reached the API server.
    for n in 0..12 {
        let is_moved = async || fleet.owners().await[&format!("r{n}")] == "b";
        let what = format!("r{n} has two, or a new owner");
        let wait = async || (fleet.has(n, "two").await || is_moved().await).then_some(());
        fleet.story.wait_for(&what, wait).await;
    }
    let moved = fleet.owners().await.values().filter(|pod| *pod == "b").count();
    assert!((1..12).contains(&moved), "{moved} of 12 moved");
    proxy.pass_all();
    proxy.release();
    fleet.all_have(12, "two").await;
    fleet.assert_one_at_a_time(12).await;
}

#[story]
async fn replicas_continue_with_their_releases_after_an_outage_of_the_api_server() {
    let mut fleet = Fleet::begin("sharing-outage").await;
    let mut proxy = Proxy::before_api_server(fleet.story.bed());
    let longer = LEASE * 2;
    for pod in ["a", "b"] {
        fleet.start_as(pod, fleet.options_with(pod, longer).through(&proxy));
    }
    fleet.install(12).await;
    let workers = fleet.wait_workers(&["a", "b"]).await;
    let owners = fleet.owners().await;
    let leader = fleet.leader().await;
    let other = if leader == "a" { "b" } else { "a" };
    // The leader gives up some time before its Lease has run out, so that no replica can end that.
    proxy.refuse();
    let replica = fleet.operator(&leader);
    assert!(within(longer, || !replica.running()), "the process of the leader ends\n{}", replica.log());
    assert!(replica.log().contains("in time, another replica may be the leader now"), "{}", replica.log());
    proxy.listen();
    fleet.start_as(&leader, fleet.options_with(&leader, longer).through(&proxy));
    assert!(fleet.operator(other).running());
    (0..12).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(12, "two").await;
    let moved =
        |(name, pod): (&String, &String)| !pod.is_empty() && owners[name] != *pod && workers[name] != *pod;
    let now = fleet.owners().await;
    assert!(!now.iter().any(moved), "{owners:?}\n{now:?}");
    fleet.assert_one_at_a_time(12).await;
}

#[story]
async fn after_a_long_outage_of_the_api_server_no_replica_ends_the_lease_of_another_one() {
    let mut fleet = Fleet::begin("sharing-long-outage").await;
    let mut proxy = Proxy::before_api_server(fleet.story.bed());
    let pods = ["a", "b", "c"];
    for pod in pods {
        fleet.start_behind(pod, &proxy);
    }
    fleet.install(12).await;
    fleet.wait_workers(&pods).await;
    let (owners, leader) = (fleet.owners().await, fleet.leader().await);
    let others: Vec<&str> = pods.into_iter().filter(|pod| *pod != leader).collect();
    proxy.refuse();
    // Until each of them has seen the Leases of all others run out.
    for pod in &others {
        let replica = &fleet.replicas[*pod];
        let is_alone = || replica.metric("supercargo_replicas") == Some(1.0);
        assert!(within(LEASE * 3, is_alone), "{pod} sees no other one\n{}", replica.log());
    }
    let replica = fleet.operator(&leader);
    assert!(within(LEASE, || !replica.running()), "the process of the leader ends\n{}", replica.log());
    proxy.listen();
    fleet.start_behind(&leader, &proxy);
    for pod in pods {
        let replica = fleet.operator(pod);
        let sees_all = || replica.running() && replica.metric("supercargo_replicas") == Some(3.0);
        assert!(within(LEASE, sees_all), "{pod} sees all three\n{}", replica.log());
    }
    (0..12).for_each(|n| fleet.push(n, "two"));
    fleet.all_have(12, "two").await;
    for pod in &others {
        assert!(fleet.operator(pod).running(), "{}", fleet.operator(pod).log());
    }
    let now = fleet.owners().await;
    let moved = owners.iter().filter(|(name, pod)| others.contains(&pod.as_str()) && now[*name] != **pod);
    assert_eq!(moved.collect::<Vec<_>>(), [], "{now:?}");
    fleet.assert_one_at_a_time(12).await;
}
