//! The test bed itself: what the other tests rely on.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use supercargo_testbed::certificates::Authority;
use supercargo_testbed::fetch::{self, Trust};
use supercargo_testbed::kits::BED;
use supercargo_testbed::proxy::{Fate, Moment};
use supercargo_testbed::registry::{Options, Registry, USERS};
use supercargo_testbed::tools::{Environment, Tools};
use supercargo_testbed::{Account, Bed, Profile, Profiles, Proxy, Story, bed, processes, story, within};

const PROFILES: Profiles = Profiles::First("the test bed itself");

const LIMIT: Duration = Duration::from_secs(30);

#[story]
async fn a_deployment_becomes_available_and_one_whose_pods_fail_does_not() {
    let story = Story::on(Bed::shared(), "bed-deployment").await;
    story.kubectl(&["create", "deployment", "good", "--image=web:1", "--replicas=2"], "");
    story.apply(FAILING);
    story.kubectl(&["wait", "deployment/good", "--for=condition=Available", "--timeout=60s"], "");
    let waiting = story.wait_for("the pod of the failing one waits for its image", async || {
        let pods = story.kubectl(&["get", "pods", "-l", "app=bad", "-o", "json"], "");
        pods.contains("ImagePullBackOff").then_some(())
    });
    waiting.await;
    let bad = story.object("apps/v1", "deployments", "bad").await.expect("the Deployment");
    assert_eq!(supercargo_testbed::story::condition(&bad, "Available").expect("a condition").status, "False");
}

const FAILING: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: bad}
spec:
  selector: {matchLabels: {app: bad}}
  template:
    metadata: {labels: {app: bad, testbed.supercargo.dev/pod: failed}}
    spec: {containers: [{name: bad, image: bad:1}]}
";

#[story]
async fn the_audit_log_tells_requests_by_user_and_by_impersonated_user() {
    let story = Story::on(Bed::shared(), "bed-audit").await;
    let bed = story.bed();
    let account = story.operator_account();
    story.kubectl(&["create", "serviceaccount", "weak"], "");
    let kubeconfig = bed.directory().join("bed-audit.kubeconfig");
    std::fs::write(&kubeconfig, account.kubeconfig()).expect("write a file");
    let weak = format!("system:serviceaccount:{}:weak", story.namespace());

    let mark = bed.audit().mark();
    let namespace = format!("--namespace={}", story.namespace());
    let create = ["create", "configmap", "mine", "--from-literal=a=b", &namespace];
    assert!(bed::kubectl(&kubeconfig, &create, "").status.success());
    let forbidden = ["delete", "configmap", "mine", &namespace, "--as", &weak];
    let refused = bed::kubectl(&kubeconfig, &forbidden, "");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("orbidden"), "{refused:?}");

    let requests = bed.audit().since(mark, &account.user());
    let writes: Vec<_> = requests.iter().filter(|request| request.writes()).collect();
    let told: Vec<_> = writes
        .iter()
        .map(|r| (r.verb.as_str(), r.resource.as_str(), r.code, r.impersonated.as_deref()))
        .collect();
    assert_eq!(
        told,
        [("create", "configmaps", 201, None), ("delete", "configmaps", 403, Some(weak.as_str()))]
    );
    assert_eq!(bed.audit().since(bed.audit().mark(), &account.user()), []);
}

#[story]
async fn a_watch_is_in_the_audit_log_when_it_begins() {
    let story = Story::on(Bed::shared(), "bed-watch").await;
    let bed = story.bed();
    let account = Account::create(bed, story.namespace(), Profile::ClusterAdmin);
    let client = bed::client(account.kubeconfig()).await;
    let mark = bed.audit().mark();
    let path = format!("/api/v1/namespaces/{}/configmaps?watch=true", story.namespace());
    let request = http::Request::get(path).body(Vec::new()).expect("a request");
    let stream = client.request_stream(request).await.expect("a watch");
    let watches = || bed.audit().since(mark, &account.user()).iter().filter(|r| r.verb == "watch").count();
    assert!(within(LIMIT, || watches() == 1));
    drop(stream);
    account.remove(bed);
}

#[story]
fn an_api_server_that_was_stopped_comes_back_with_its_objects() {
    let bed = Bed::start();
    bed.kubectl(&["create", "configmap", "kept"], "");
    bed.stop_api_server();
    assert!(!bed.try_kubectl(&["get", "configmap", "kept"], "").status.success());
    bed.start_api_server();
    bed.kubectl(&["get", "configmap", "kept"], "");
}

#[story]
fn a_registry_keeps_what_crane_pushed_over_a_restart_and_logs_who_asked() {
    let registry = Registry::plain();
    let digest = registry.push_yaml("app", "1.0.0", "a: b\n");
    let mark = registry.mark();
    registry.stop();
    registry.resume();
    let reference = format!("{}/app:1.0.0", registry.host());
    assert_eq!(registry.crane(&["digest", &reference]).trim(), digest);
    let asked = || registry.of_repository(mark, "app").iter().any(|a| a.method == "HEAD" && a.code == 200);
    assert!(within(LIMIT, asked), "{}", registry.read_log());
}

#[story]
fn a_registry_with_credentials_and_tls_refuses_who_has_none() {
    let authority = Authority::new("registry");
    let registry =
        Registry::start(&Options { credentials: true, tls: Some(&authority), ..Options::default() });
    registry.push_yaml("private/app", "1.0.0", "a: b\n");
    let reference = format!("{}/private/app:1.0.0", registry.host());
    registry.crane(&["manifest", &reference]);
    let url = format!("{}/v2/private/app/manifests/1.0.0", registry.url());
    let trust = Trust { authority: registry.authority(), identity: None };
    assert_eq!(fetch::send("GET", &url, &[], &[], trust).code, 401);
    assert!(registry.docker_config(USERS[1].0, USERS[1].1).contains("auths"));
}

#[story]
fn a_registry_with_client_certificates_talks_to_nobody_without_one() {
    let authority = Authority::new("registry");
    let options = Options { tls: Some(&authority), client_certificates: true, ..Options::default() };
    let registry = Registry::start(&options);
    registry.push_yaml("app", "1.0.0", "a: b\n");
    let trust = Trust { authority: registry.authority(), identity: None };
    assert!(fetch::try_send("GET", &format!("{}/v2/", registry.url()), &[], &[], trust).is_err());
}

#[story]
fn cosign_signs_what_is_in_the_registry() {
    let registry = Registry::plain();
    let digest = registry.push_yaml("signed", "1.0.0", "a: b\n");
    let directory = processes::directory("keys");
    let prefix = directory.join("cosign");
    let (prefix, reference) =
        (prefix.to_str().expect("text"), format!("{}/signed@{digest}", registry.host()));
    registry.cosign(&["generate-key-pair", "--output-key-prefix", prefix]);
    let key = format!("{prefix}.key");
    let offline = ["--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry", "-y"];
    registry.cosign(&[&["sign", "--key", &key][..], &offline, &[&reference]].concat());
    let public = format!("{prefix}.pub");
    let verify =
        ["verify", "--key", &public, "--insecure-ignore-tlog=true", "--allow-http-registry", &reference];
    registry.cosign(&verify);
}

#[story]
async fn a_held_request_has_landed_or_not_as_the_test_asked() {
    let story = Story::on(Bed::shared(), "bed-proxy").await;
    let proxy = Proxy::before_api_server(story.bed());
    let kubeconfig = story.bed().directory().join("bed-proxy.kubeconfig");
    std::fs::write(&kubeconfig, proxy.kubeconfig(&story.bed().admin_kubeconfig())).expect("write a file");
    for (moment, landed) in [(Moment::Before, false), (Moment::After, true)] {
        proxy.hold_from(1, moment, |seen| seen.writes());
        let name = format!("held-{moment:?}").to_lowercase();
        let mut command = processes::command(Tools::get().path("kubectl"));
        command.arg("--kubeconfig").arg(&kubeconfig).args(["--namespace", story.namespace()]);
        let mut child = command
            .args(["create", "configmap", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start kubectl");
        let held = proxy.wait_held(LIMIT, moment).expect("a held request");
        assert_eq!(held.method, "POST");
        child.kill().expect("kill kubectl");
        child.wait().expect("wait for kubectl");
        proxy.pass_all();
        proxy.discard();
        assert_eq!(story.object("v1", "configmaps", &name).await.is_some(), landed, "{moment:?}");
    }
    assert_eq!(proxy.count(|seen| seen.writes()), 2);
}

#[story]
fn a_proxy_before_a_registry_lies_and_falls_silent() {
    let registry = Registry::plain();
    registry.push_yaml("app", "1.0.0", "a: b\n");
    let proxy = Proxy::before(&registry.url(), None);
    let url = format!("{}/v2/app/manifests/1.0.0", proxy.url());
    let accept = [("accept", "application/vnd.oci.image.manifest.v1+json")];
    let get = || fetch::send("GET", &url, &accept, &[], Trust::default());
    assert_eq!(get().code, 200);
    proxy.rule(|_| Fate::Answer(503, "later".to_owned()));
    assert_eq!((get().code, get().text().as_str()), (503, "later"));
    proxy.rule(|_| Fate::ReplaceBody(bytes::Bytes::from_static(b"other")));
    assert_eq!((get().code, get().text().as_str()), (200, "other"));
    proxy.pass_all();
    proxy.silent(true);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(get);
        assert!(within(LIMIT, || proxy.seen().len() == 6));
        assert!(!waiting.is_finished());
        proxy.silent(false);
        assert_eq!(waiting.join().expect("an answer").code, 200);
    });
}

#[story]
async fn a_proxy_that_is_cut_ends_every_watch_and_goes_on() {
    use futures::AsyncReadExt;
    let story = Story::on(Bed::shared(), "bed-cut").await;
    let mut proxy = Proxy::before_api_server(story.bed());
    let client = bed::client(&proxy.kubeconfig(&story.bed().admin_kubeconfig())).await;
    let path = format!("/api/v1/namespaces/{}/configmaps", story.namespace());
    let get = |query: &str| http::Request::get(format!("{path}{query}")).body(Vec::new()).expect("a request");
    let mut watch = std::pin::pin!(client.request_stream(get("?watch=true")).await.expect("a watch"));
    proxy.cut();
    let rest = tokio::time::timeout(LIMIT, watch.read_to_end(&mut Vec::new())).await;
    drop(rest.expect("the watch ends"));
    client.request_text(get("")).await.expect("a new connection");
    proxy.refuse();
    client.request_text(get("")).await.expect_err("nothing listens");
    proxy.listen();
    client.request_text(get("")).await.expect("it listens again");
}

// Run by the next test as a process of its own; without the variable it is no
// test at all.
#[story]
fn victim_of_the_next_test() {
    let Some(file) = std::env::var_os("SUPERCARGO_TEST_VICTIM") else { return };
    let bed = Bed::start();
    let _registry = Registry::plain();
    let ids: Vec<String> = bed.process_ids().iter().map(ToString::to_string).collect();
    let text = format!("{}\n{}", bed.directory().display(), ids.join("\n"));
    let unfinished = PathBuf::from(&file).with_extension("unfinished");
    std::fs::write(&unfinished, text).expect("write a file");
    std::fs::rename(unfinished, file).expect("rename a file");
    loop {
        std::thread::park();
    }
}

#[story]
fn a_test_run_that_is_killed_leaves_no_process_and_no_file() {
    let file = processes::directory("victim").join("started");
    let mut victim = processes::command(std::env::current_exe().expect("a path"))
        .args(["--exact", "bed::victim_of_the_next_test"])
        .env("SUPERCARGO_TEST_VICTIM", &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start a test process");
    assert!(within(Duration::from_secs(120), || file.exists()), "the victim did not start");
    let text = std::fs::read_to_string(&file).expect("read a file");
    let (directory, ids) = text.split_once('\n').expect("a directory and process ids");
    let ids: Vec<u32> = ids.lines().map(|id| id.parse().expect("a process id")).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| alive(*id)));

    victim.kill().expect("kill the victim");
    victim.wait().expect("wait for the victim");

    assert!(within(LIMIT, || !ids.iter().any(|id| alive(*id))), "processes are left of {ids:?}");
    let root = Path::new(directory).parent().expect("the directory of the whole process");
    assert!(within(LIMIT, || !root.exists()), "{} is left", root.display());
}

// Dead but not yet waited for is dead.
fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[story]
fn without_go_and_without_assets_the_error_names_both_ways_out() {
    let cache = processes::directory("empty");
    let environment = Environment { cache, ..Environment::default() };
    let error = Tools::find(&BED, &environment).expect_err("there is nothing to find").to_string();
    for part in ["kube-apiserver", "install Go", "KUBEBUILDER_ASSETS"] {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[story]
fn assets_come_first_and_the_path_last() {
    let tools = Tools::get();
    let (assets, path) = (processes::directory("assets"), processes::directory("path"));
    let link = |directory: &Path, name: &str| {
        std::os::unix::fs::symlink(tools.path(name), directory.join(name)).expect("link a file");
    };
    for name in ["etcd", "kube-apiserver", "kubectl"] {
        link(&assets, name);
    }
    for program in BED.programs {
        link(&path, program.name);
    }
    let cache = processes::directory("empty");
    let environment = Environment { assets: Some(assets.clone()), path: path.clone().into(), cache };
    let found = Tools::find(&BED, &environment).expect("all are there");
    assert_eq!(found.path("kubectl"), assets.join("kubectl"));
    assert_eq!(found.path("kwok"), path.join("kwok"));
}
