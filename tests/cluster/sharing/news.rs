//! What receivers of notifications hear while releases change their owners.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::inbox::{Inbox, Letter, Reply};
use supercargo_testbed::proxy::{Fate, Moment};
use supercargo_testbed::{Profiles, Proxy, story, within};

use super::fleet::Fleet;
use crate::notifications::{config, events};
use crate::scene::{registry, text};

const PROFILES: Profiles = Profiles::First("what is told does not depend on rights");

/// How long until a request comes that a test holds.
const LIMIT: Duration = Duration::from_secs(60);
const RELEASES: usize = 8;
/// The label of the Lease of a replica that ends.
const DRAINING: &str = "supercargo.dev/draining";

/// Replicas that notify one receiver.
struct Notifying {
    fleet: Fleet,
    inbox: Arc<Inbox>,
    flag: String,
}

/// The release, the digest and the outcome of an event.
fn about(letter: &Letter) -> (String, String, String) {
    let event = letter.json();
    let release = text(&event, "/subject").rsplit('/').next().unwrap_or_default().to_owned();
    let revision = text(&event, "/data/revision");
    let digest = revision.rsplit('@').next().unwrap_or_default().to_owned();
    (release, digest, text(&event, "/data/outcome"))
}

impl Notifying {
    async fn begin(name: &str) -> Notifying {
        let inbox = Arc::new(Inbox::start());
        let receiver = events(&inbox);
        Notifying::of(name, inbox, receiver).await
    }

    /// Replicas that notify this receiver, which is the inbox or leads to it.
    async fn of(name: &str, inbox: Arc<Inbox>, receiver: Value) -> Notifying {
        let flag = format!("--notify-config={}", config(&[receiver]).display());
        Notifying { fleet: Fleet::begin(name).await, inbox, flag }
    }

    fn start(&mut self, pod: &str) {
        self.fleet.start_as(pod, self.fleet.options(pod).argument(&self.flag));
    }

    fn start_behind(&mut self, pod: &str, proxy: &Proxy) {
        self.fleet.start_as(pod, self.fleet.options(pod).argument(&self.flag).through(proxy));
    }

    /// Waits until the status of each release says that the receiver has accepted what is the news of its
    /// applied revision.
    async fn wait_recorded(&self, outcome: &str) {
        for n in 0..RELEASES {
            let name = format!("r{n}");
            let is_recorded = async || {
                let release = self.fleet.story.release(&name).await?;
                let revision = text(&release, "/status/lastAttemptedRevision");
                let digest = revision.rsplit('@').next().unwrap_or_default();
                let entries = release.pointer("/status/notified").and_then(Value::as_array)?;
                entries.iter().any(|e| e["outcome"] == outcome && e["digest"] == digest).then_some(())
            };
            self.fleet.story.wait_for(&format!("{name}: {outcome} is recorded"), is_recorded).await;
        }
    }

    /// How often each event was accepted, and the ids that it had.
    fn accepted(&self) -> BTreeMap<(String, String, String), (usize, BTreeSet<String>)> {
        let mut accepted: BTreeMap<_, (usize, BTreeSet<String>)> = BTreeMap::new();
        for letter in self.inbox.taken() {
            let (times, ids) = accepted.entry(about(&letter)).or_default();
            *times += 1;
            ids.insert(text(&letter.json(), "/id"));
        }
        accepted
    }

    /// Each release has had this many events, each of which was accepted once.
    fn assert_once(&self, count: usize) {
        let accepted = self.accepted();
        assert_eq!(accepted.len(), RELEASES * count, "{accepted:#?}");
        assert!(accepted.values().all(|(times, _)| *times == 1), "{accepted:#?}");
    }

    async fn upgrade(&self, value: &str) {
        (0..RELEASES).for_each(|n| self.fleet.push(n, value));
        self.fleet.all_have(RELEASES, value).await;
    }
}

#[story]
async fn an_outcome_is_told_once_whichever_replica_has_the_release() {
    let mut place = Notifying::begin("sharing-news").await;
    place.inbox.always(Some(Reply::with(503, "Retry-After", "1")));
    place.start("a");
    place.fleet.install(RELEASES).await;
    let inbox = Arc::clone(&place.inbox);
    place.fleet.story.wait_for("an attempt", async || (!inbox.letters().is_empty()).then_some(())).await;
    // What waits for the receiver goes with the release: by a move, and after a death.
    place.start("b");
    place.start("c");
    place.fleet.wait_workers(&["a", "b", "c"]).await;
    place.fleet.operator("b").kill();
    place.fleet.wait_workers(&["a", "c"]).await;
    place.inbox.always(None);
    place.wait_recorded("Succeeded").await;
    place.assert_once(1);

    // What was accepted is not told again, by whoever has the release then.
    place.start("d");
    place.fleet.wait_workers(&["a", "c", "d"]).await;
    assert_eq!(place.fleet.operator("a").stop(), Some(0));
    place.fleet.wait_workers(&["c", "d"]).await;
    place.upgrade("two").await;
    place.wait_recorded("Succeeded").await;
    place.fleet.operator("c").kill();
    place.fleet.wait_workers(&["d"]).await;
    place.upgrade("three").await;
    place.wait_recorded("Succeeded").await;
    place.assert_once(3);
    place.fleet.assert_one_at_a_time(RELEASES).await;
}

#[story]
async fn what_an_owner_could_not_record_is_told_again_as_the_same() {
    let mut place = Notifying::begin("sharing-unrecorded").await;
    let proxy = Proxy::before_api_server(place.fleet.story.bed());
    place.start_behind("a", &proxy);
    place.start("b");
    place.fleet.install(RELEASES).await;
    let workers = place.fleet.wait_workers(&["a", "b"]).await;
    place.wait_recorded("Succeeded").await;
    place.assert_once(1);
    // The next event of a release of `a` is accepted, and cannot be recorded.
    let (inbox, before) = (Arc::clone(&place.inbox), place.inbox.taken().len());
    let of_a = move |letter: &Letter| workers[&about(letter).0] == "a";
    let is_told = move || inbox.taken().iter().skip(before).any(&of_a);
    proxy.rule(move |seen| match seen.path.contains("/status?") && is_told() {
        true => Fate::HoldBefore,
        false => Fate::Pass,
    });
    (0..RELEASES).for_each(|n| place.fleet.push(n, "two"));
    assert!(proxy.wait_held(LIMIT, Moment::Before).is_some(), "no record comes");
    place.fleet.operator("a").kill();
    proxy.discard();
    place.fleet.wait_workers(&["b"]).await;
    place.fleet.all_have(RELEASES, "two").await;
    place.wait_recorded("Succeeded").await;
    let accepted = place.accepted();
    assert_eq!(accepted.len(), RELEASES * 2, "{accepted:#?}");
    assert!(accepted.values().all(|(_, ids)| ids.len() == 1), "the same event has one id: {accepted:#?}");
    let again = accepted.values().filter(|(times, _)| *times > 1).count();
    assert!(again > 0, "none was accepted and not recorded: {accepted:#?}");

    // A failure is told by the new owner alone, once.
    (0..RELEASES).for_each(|n| {
        let repository = format!("{}/r{n}", place.fleet.story.namespace());
        registry().push_yaml(&repository, "1", "this is: [no manifest");
    });
    place.wait_recorded("Failed").await;
    let failed = place.accepted().into_iter().filter(|((_, _, outcome), _)| outcome == "Failed");
    let times: Vec<usize> = failed.map(|(_, (times, _))| times).collect();
    assert_eq!(times, [1; RELEASES]);
}

#[story]
async fn what_was_accepted_is_recorded_before_the_release_is_given_away() {
    let mut place = Notifying::begin("sharing-record").await;
    let proxy = Proxy::before_api_server(place.fleet.story.bed());
    place.start_behind("a", &proxy);
    place.fleet.install(RELEASES).await;
    place.wait_recorded("Succeeded").await;
    // The record of what is accepted next fails, and is tried again after a pause.
    let (inbox, before) = (Arc::clone(&place.inbox), place.inbox.taken().len());
    proxy.rule(move |seen| match seen.path.contains("/status?") && inbox.taken().len() > before {
        true => Fate::Answer(500, "{}".to_owned()),
        false => Fate::Pass,
    });
    place.fleet.push(0, "two");
    let inbox = Arc::clone(&place.inbox);
    let is_told = async || (inbox.taken().len() > before).then_some(());
    place.fleet.story.wait_for("the event is accepted", is_told).await;
    let log = || place.fleet.replicas["a"].log();
    let what = "the record has failed";
    let has_failed = async || log().contains("cannot record notifications").then_some(());
    place.fleet.story.wait_for(what, has_failed).await;
    proxy.pass_all();
    assert_eq!(place.fleet.operator("a").stop(), Some(0));
    place.start("b");
    place.fleet.wait_workers(&["b"]).await;
    place.upgrade("three").await;
    place.wait_recorded("Succeeded").await;
    let accepted = place.accepted();
    assert!(accepted.values().all(|(times, _)| *times == 1), "{accepted:#?}");
}

#[story]
async fn what_a_receiver_is_just_being_told_when_the_owner_ends_is_not_told_again() {
    let inbox = Arc::new(Inbox::start());
    let way = Arc::new(Proxy::before(&inbox.url(""), None));
    let mut receiver = events(&inbox);
    receiver["url"] = json!(format!("{}/events", way.url()));
    let mut place = Notifying::of("sharing-in-flight", inbox, receiver).await;
    // The receiver accepts an event, and its answer is on its way when the owner is asked to end.
    way.rule(|_| Fate::HoldAfter);
    place.start("a");
    place.fleet.install(RELEASES).await;
    assert!(way.wait_held(LIMIT, Moment::After).is_some(), "no event comes");
    let (bed, namespace) = (place.fleet.story.bed(), place.fleet.story.namespace().to_owned());
    let labels = format!("jsonpath={{.metadata.labels.{}}}", DRAINING.replace('.', "\\."));
    let (lease, held) = (place.fleet.lease_of("a"), Arc::clone(&way));
    let answers = std::thread::spawn(move || {
        let arguments = ["--namespace", &namespace, "get", "lease", &lease, "-o", &labels];
        let is_ending = || bed.kubectl(&arguments, "") == "true";
        assert!(within(LIMIT, is_ending), "the replica does not end");
        held.pass_all();
        held.release();
    });
    assert_eq!(place.fleet.operator("a").stop(), Some(0));
    answers.join().expect("the answers are let through");
    place.start("b");
    place.fleet.wait_workers(&["b"]).await;
    place.wait_recorded("Succeeded").await;
    place.assert_once(1);
}
