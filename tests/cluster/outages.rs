//! The API server away, slow or forgetful; many releases at once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::proxy::{Fate, Moment, Seen};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Bed, Profiles, Proxy, Registry, Story, story, within};

use crate::scene::BINARY;

const PROFILES: Profiles = Profiles::First("what is away does not depend on rights");

const LIMIT: Duration = Duration::from_secs(60);

fn configs(count: usize) -> String {
    let one = |n| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{n:02}}}\ndata: {{a: b}}\n");
    (0..count).map(one).collect::<Vec<_>>().join("---\n")
}

fn release(name: &str, url: &str) -> String {
    format!(
        "---
apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: {name}}}
spec: {{url: '{url}', ref: {{tag: '1'}}, insecure: true, prune: true, retryInterval: 1s}}
"
    )
}

fn applies(seen: &Seen) -> bool {
    seen.method == "PATCH" && seen.writes() && seen.path.contains("/configmaps/c")
}

fn start(story: &Story<'_>, proxy: Option<&Proxy>, arguments: &[&str]) -> Operator {
    let account = story.operator_account();
    let mut options = Options::new(BINARY, &account).watching(&[story.namespace()]).env("POD_NAME", "pod");
    if let Some(proxy) = proxy {
        options = options.kubeconfig(&proxy.kubeconfig(account.kubeconfig()));
    }
    arguments.iter().fold(options, |options, argument| options.argument(argument)).start()
}

#[story]
async fn an_api_server_that_goes_away_amid_an_apply_is_told_in_the_log_and_the_apply_goes_on() {
    let story = Story::begin("outage-short").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(40));
    let mut proxy = Proxy::before_api_server(story.bed());
    // Its outage is told after some attempts, which take longer on a busy machine.
    let mut operator = start(&story, Some(&proxy), &["--lease-duration=60s"]);
    operator.wait_ready();
    proxy.hold_from(20, Moment::Before, applies);
    story.apply(&release("app", &format!("oci://{}/app", registry.host())));
    assert!(proxy.wait_held(LIMIT, Moment::Before).is_some(), "no apply came");
    proxy.refuse();
    let told = within(LIMIT, || operator.log().contains("ApiServerUnavailable"));
    assert!(told, "{}", operator.log());
    proxy.discard();
    proxy.pass_all();
    proxy.forget();
    proxy.listen();
    story.wait_ready("app", "1@").await;
    assert!(operator.running(), "a short outage does not end the process");
    // What had landed and was answered is not applied again.
    let again = proxy.count(applies);
    assert!((20..=40).contains(&again), "{again} applies after the outage");
    let left = story.kubectl(&["get", "cm", "-l", "supercargo.dev/name=app", "-o", "name"], "");
    assert_eq!(left.lines().count(), 40);
}

#[story]
async fn an_api_server_that_is_away_for_longer_than_the_lease_ends_the_process_and_a_restart_converges() {
    let story = Story::begin("outage-long").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(3));
    let proxy = Proxy::before_api_server(story.bed());
    let mut operator = start(&story, Some(&proxy), &[]);
    operator.wait_ready();
    proxy.refuse();
    assert!(within(LIMIT, || !operator.running()), "{}", operator.log());
    let log = operator.log();
    assert!(log.contains("cannot renew the lease"), "{log}");
    story.apply(&release("app", &format!("oci://{}/app", registry.host())));
    let _operator = start(&story, None, &[]);
    story.wait_ready("app", "1@").await;
}

#[story]
async fn the_api_server_itself_is_killed_and_started_amid_an_apply() {
    let bed = Bed::start();
    bed.install_crds();
    let story = Story::on(&bed, "outage-real").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(99));
    let account = story.operator_account();
    let options =
        || Options::new(BINARY, &account).watching(&[story.namespace()]).env("POD_NAME", "pod").start();
    let mut operator = options();
    operator.wait_ready();
    let mark = bed.audit().mark();
    story.apply(&release("app", &format!("oci://{}/app", registry.host())));
    let amid = || {
        let requests = bed.audit().since(mark, &account.user());
        requests.iter().filter(|r| r.writes() && r.resource == "configmaps").count() > 10
    };
    assert!(within(LIMIT, amid), "{}", operator.log());
    bed.restart_api_server();
    // The lease may run out on a slow machine, now or in a moment, and a server that
    // has just started knows no roles yet; a pod is started again then.
    let ready = async || {
        if !operator.running() {
            assert!(!operator.log().contains("caught a panic"), "{}", operator.log());
            operator = options();
        }
        let release = story.release("app").await?;
        condition(&release, "Ready").is_some_and(|condition| condition.status == "True").then_some(())
    };
    story.wait_for("the release is ready", ready).await;
    let left = story.kubectl(&["get", "cm", "-l", "supercargo.dev/name=app", "-o", "name"], "");
    assert_eq!(left.lines().count(), 99);
    drop(operator);
}

#[story]
async fn an_api_server_that_has_just_started_refuses_for_a_moment_what_it_will_allow() {
    let story = Story::begin("outage-roles").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(2));
    let proxy = Proxy::before_api_server(story.bed());
    let mut operator = start(&story, Some(&proxy), &[]);
    operator.wait_ready();
    // Its answer while its roles are not read yet.
    let forbidden = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
        "message":"configmaps is forbidden: RBAC: clusterrole.rbac.authorization.k8s.io \"supercargo-controller\" not found"}"#;
    let mut left = 3;
    proxy.rule(move |seen| {
        let refused = left > 0 && seen.writes() && seen.path.contains("/configmaps");
        left -= i32::from(refused);
        if refused { Fate::Answer(403, forbidden.to_owned()) } else { Fate::Pass }
    });
    // No interval is as short as the test: only the retry is.
    story.apply(
        &release("app", &format!("oci://{}/app", registry.host())).replace("prune:", "interval: 1h, prune:"),
    );
    story.wait_condition("app", "Ready", "False", "AccessDenied").await;
    story.wait_ready("app", "1@").await;
}

#[story]
async fn watches_that_are_denied_for_a_moment_are_back_in_seconds() {
    let story = Story::begin("outage-denied").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(2));
    registry.push_yaml("app", "2", &configs(3));
    let mut proxy = Proxy::before_api_server(story.bed());
    let mut operator = start(&story, Some(&proxy), &[]);
    operator.wait_ready();
    let url = format!("oci://{}/app", registry.host());
    story.apply(&release("app", &url).replace("prune:", "interval: 1h, prune:"));
    story.wait_ready("app", "1@").await;

    let forbidden = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,
        "message":"RBAC: clusterrole.rbac.authorization.k8s.io \"supercargo-controller\" not found"}"#;
    let mut denied = std::collections::BTreeMap::<String, u32>::new();
    proxy.rule(move |seen| {
        let path = seen.path.split('?').next().unwrap_or_default().to_owned();
        let count = denied.entry(path).or_default();
        let watches = seen.path.contains("watch=true") || seen.path.contains("limit=");
        let again = watches && *count < 2;
        *count += u32::from(again);
        if again { Fate::Answer(403, forbidden.to_owned()) } else { Fate::Pass }
    });
    proxy.refuse();
    proxy.listen();
    // What only watches tell of: an edit, and another spec.
    story.kubectl(&["patch", "cm", "c00", "-p", r#"{"data":{"a":"edited"}}"#], "");
    story.kubectl(&["patch", "oar", "app", "--type=merge", "-p", r#"{"spec":{"ref":{"tag":"2"}}}"#], "");
    let seen = tokio::time::timeout(Duration::from_secs(30), async {
        story.wait_ready("app", "2@").await;
        let put_back = async || {
            let map = story.object("v1", "configmaps", "c00").await?;
            (map["data"]["a"] == "b").then_some(())
        };
        story.wait_for("the edit is put back", put_back).await;
    });
    seen.await.expect("both are seen long before a minute is over");
}

#[story]
async fn drift_while_a_watch_is_cut_or_too_old_is_seen_when_it_is_back() {
    let story = Story::begin("outage-watch").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(2));
    let mut proxy = Proxy::before_api_server(story.bed());
    let mut operator = start(&story, Some(&proxy), &[]);
    operator.wait_ready();
    story.apply(&release("app", &format!("oci://{}/app", registry.host())));
    story.wait_ready("app", "1@").await;

    proxy.refuse();
    story.kubectl(&["patch", "cm", "c00", "-p", r#"{"data":{"a":"edited"}}"#], "");
    proxy.listen();
    let is = async |name: &str| {
        let map = story.object("v1", "configmaps", name).await?;
        (map["data"]["a"] == "b").then_some(())
    };
    story.wait_for("the edit is put back", async || is("c00").await).await;

    // The watch over ConfigMaps is told that its version is too old.
    let gone = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,
        "message":"too old resource version"}"#;
    let mut first = true;
    proxy.forget();
    proxy.rule(move |seen| match seen.path.contains("/configmaps?") && seen.path.contains("watch=true") {
        true if std::mem::take(&mut first) => Fate::Answer(410, gone.to_owned()),
        _ => Fate::Pass,
    });
    proxy.refuse();
    story.kubectl(&["delete", "cm", "c01"], "");
    proxy.listen();
    story.wait_for("the deletion is put back", async || is("c01").await).await;
    let lists = |seen: &Seen| seen.path.contains("/configmaps?") && seen.path.contains("sendInitialEvents");
    assert!(proxy.count(lists) >= 1, "it lists again: {:?}", proxy.seen());
}

#[story]
async fn an_api_server_that_is_too_busy_is_asked_again_when_it_says() {
    let story = Story::begin("outage-busy").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(1));
    let proxy = Proxy::before_api_server(story.bed());
    let mut operator = start(&story, Some(&proxy), &[]);
    operator.wait_ready();
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = Arc::clone(&times);
    proxy.rule(move |seen| {
        if !applies(seen) {
            return Fate::Pass;
        }
        let mut times = noted.lock().expect("lock");
        times.push(Instant::now());
        if times.len() < 3 { Fate::too_many_requests(2) } else { Fate::Pass }
    });
    story.apply(&release("app", &format!("oci://{}/app", registry.host())));
    story.wait_ready("app", "1@").await;
    let times = times.lock().expect("lock");
    assert_eq!(times.len(), 3);
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(2), "{:?}", pair[1] - pair[0]);
    }
}

#[story]
async fn sixty_releases_at_once_with_four_at_work_all_become_ready() {
    let story = Story::begin("many").await;
    let registry = Registry::plain();
    let mut all = String::new();
    for n in 0..60 {
        let object = |kind: &str, rest: &str| {
            format!("---\napiVersion: v1\nkind: {kind}\nmetadata: {{name: app-{n}}}\n{rest}\n")
        };
        let service = object("Service", "spec: {ports: [{port: 80}]}");
        let yaml = object("ConfigMap", "data: {a: b}") + &object("ServiceAccount", "") + &service;
        registry.push_yaml(&format!("app-{n}"), "1", &yaml);
        all.push_str(&release(&format!("app-{n}"), &format!("oci://{}/app-{n}", registry.host())));
    }
    let _operator = start(&story, None, &["--concurrency=4"]);
    story.apply(&all);
    let wait = ["wait", "oar", "--all", "--for=condition=Ready", "--timeout=120s"];
    let ready = story.kubectl(&wait, "");
    assert_eq!(ready.lines().count(), 60);
}

#[story]
async fn promise_6_thirty_releases_on_a_silent_registry_do_not_delay_the_next() {
    let story = Story::begin("silent").await;
    let registry = Registry::plain();
    registry.push_yaml("app", "1", &configs(1));
    let proxy = Proxy::before(&registry.url(), None);
    proxy.silent(true);
    let mut operator = start(&story, None, &["--concurrency=1"]);
    operator.wait_ready();
    let url = format!("oci://{}/app", proxy.host());
    story.apply(&(0..30).map(|n| release(&format!("stuck-{n}"), &url)).collect::<String>());
    for n in 0..30 {
        let name = format!("stuck-{n}");
        let told = story.wait_for("it says what it waits for", async || {
            condition(&story.release(&name).await?, "Ready").filter(|ready| ready.status == "Unknown")
        });
        assert_eq!(told.await.message, format!("Waiting for {url}"));
    }
    story.apply(&release("good", &format!("oci://{}/app", registry.host())));
    story.wait_ready("good", "1@").await;
    // Not one of the thirty has given up: there is one place, and none of them had it.
    for n in 0..30 {
        let stuck = story.release(&format!("stuck-{n}")).await.expect("the release");
        let ready = condition(&stuck, "Ready").expect("a condition");
        assert_eq!((ready.status.as_str(), ready.message), ("Unknown", format!("Waiting for {url}")), "{n}");
    }

    // A spec that names another registry ends the wait for the silent one.
    let patch = format!(r#"{{"spec":{{"url":"oci://{}/app"}}}}"#, registry.host());
    story.kubectl(&["patch", "oar", "stuck-0", "--type=merge", "-p", &patch], "");
    story
        .wait_for("the new url is used", async || {
            let ready = condition(&story.release("stuck-0").await?, "Ready")?;
            (ready.reason == "OwnershipConflict").then_some(())
        })
        .await;
}
