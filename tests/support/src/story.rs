//! One test's part of the shared cluster: a namespace of its own, an account for
//! its operator, waiting with a deadline, and the state of everything when the
//! test fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use crate::{Account, Bed, Profile};

/// How long anything that a test waits for may take. Generous: it is only spent
/// when the test fails.
/// The controller of namespaces tries one again that it could not empty at once, up to a minute later.
pub const DEADLINE: Duration = Duration::from_secs(150);
const POLL: Duration = Duration::from_millis(25);

/// A test on a cluster.
pub struct Story<'a> {
    bed: &'a Bed,
    namespace: String,
    client: kube::Client,
    account: Mutex<Option<Account>>,
    others: Mutex<Vec<String>>,
}

/// One condition of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

impl Story<'static> {
    /// A story on the cluster that the tests of this process share, with the CRD
    /// installed. `name` names the test: a DNS label of at most 50 characters.
    pub async fn begin(name: &str) -> Story<'static> {
        let bed = Bed::shared();
        bed.install_crds();
        Story::on(bed, name).await
    }
}

impl<'a> Story<'a> {
    /// A story on a cluster of its own.
    pub async fn on(bed: &'a Bed, name: &str) -> Story<'a> {
        let client = bed.client().await;
        let namespace = unique(name);
        let story = Story { bed, namespace, client, account: Mutex::default(), others: Mutex::default() };
        story.create_namespace(&story.namespace);
        story
    }

    /// The cluster.
    pub fn bed(&self) -> &'a Bed {
        self.bed
    }

    /// The namespace of this test.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A client of the admin.
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Another namespace of this test, created; removed with the story.
    pub fn another_namespace(&self, name: &str) -> String {
        let namespace = self.reserve_namespace(name);
        self.create_namespace(&namespace);
        namespace
    }

    /// The name of a namespace that the test itself lets exist; removed with the
    /// story.
    pub fn reserve_namespace(&self, name: &str) -> String {
        let namespace = unique(name);
        self.others.lock().expect("lock").push(namespace.clone());
        namespace
    }

    fn create_namespace(&self, name: &str) {
        let namespace = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": {"testbed.supercargo.dev/test": self.namespace}},
        });
        self.bed.admin().create("/api/v1/namespaces", &namespace);
        self.bed.admin().apply(&Profile::of_run().preparation(name));
    }

    /// The account of this test's operator, under the profile of the run.
    pub fn operator_account(&self) -> Account {
        self.account_of(Profile::of_run())
    }

    /// The same under a certain profile, for stories about whose rights are used.
    pub fn account_of(&self, profile: Profile) -> Account {
        let mut account = self.account.lock().expect("lock");
        account.get_or_insert_with(|| Account::create(self.bed, &self.namespace, profile)).clone()
    }

    /// Applies YAML as the admin, in this test's namespace where it names none.
    /// Panics with what the API server said when it refuses.
    pub fn apply(&self, yaml: &str) {
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], yaml);
    }

    /// Runs kubectl as the admin in this test's namespace.
    pub fn kubectl(&self, arguments: &[&str], stdin: &str) -> String {
        let mut all = vec!["--namespace", self.namespace.as_str()];
        all.extend(arguments);
        self.bed.kubectl(&all, stdin)
    }

    /// An object of this test's namespace, as the API server has it: `group/version`
    /// (`v1` for the core group), the plural name, the name.
    pub async fn object(&self, version: &str, plural: &str, name: &str) -> Option<Value> {
        self.object_in(Some(&self.namespace), version, plural, name).await
    }

    /// All objects of a kind in this test's namespace.
    pub async fn list(&self, version: &str, plural: &str) -> Vec<Value> {
        let path = path(Some(&self.namespace), version, plural);
        let request = http::Request::get(&path).body(Vec::new()).expect("a request");
        let mut list =
            self.client.request::<Value>(request).await.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        match list["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// An object of any namespace or, with none, of the cluster.
    pub async fn object_in(
        &self,
        namespace: Option<&str>,
        version: &str,
        plural: &str,
        name: &str,
    ) -> Option<Value> {
        let path = format!("{}/{name}", path(namespace, version, plural));
        let request = http::Request::get(&path).body(Vec::new()).expect("a request");
        match self.client.request::<Value>(request).await {
            Ok(object) => Some(object),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("GET {path}: {error}"),
        }
    }

    /// Creates an object in this test's namespace as the admin. Panics with what the API
    /// server said when it refuses, and it refuses unknown fields.
    pub fn create(&self, version: &str, plural: &str, object: &Value) {
        let path = format!("{}?fieldValidation=Strict", path(Some(&self.namespace), version, plural));
        self.bed.admin().create(&path, object);
    }

    /// Changes an object of this test's namespace by a JSON merge patch, as the admin.
    /// Panics with what the API server said when it refuses.
    pub fn patch(&self, version: &str, plural: &str, name: &str, patch: &Value) {
        let path = format!("{}/{name}", path(Some(&self.namespace), version, plural));
        let kind = "application/merge-patch+json";
        let patched = self.bed.admin().send(&Method::PATCH, &path, kind, &patch.to_string());
        patched.unwrap_or_else(|error| panic!("patch {path} by {patch}: {error}"));
    }

    /// A release of this test's namespace.
    pub async fn release(&self, name: &str) -> Option<Value> {
        self.object("supercargo.dev/v1alpha1", "ociartifactreleases", name).await
    }

    /// Polls `probe` until it has an answer, and returns that. Panics with `what`
    /// after [`DEADLINE`].
    pub async fn wait_for<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until a release's condition has that status and reason, for the
    /// release's present generation. Returns the release.
    pub async fn wait_condition(&self, release: &str, kind: &str, status: &str, reason: &str) -> Value {
        let what = format!("{release}: {kind}={status} ({reason})");
        self.wait_for(&what, async || {
            let release = self.release(release).await?;
            let current = release["status"]["observedGeneration"] == release["metadata"]["generation"];
            let condition = condition(&release, kind)?;
            (current && condition.status == status && condition.reason == reason).then_some(release)
        })
        .await
    }

    /// Waits until a release is Ready for its present generation with a revision
    /// (`TAG@DIGEST`) that contains `revision`. Returns the release.
    pub async fn wait_ready(&self, release: &str, revision: &str) -> Value {
        let what = format!("{release}: Ready with {revision}");
        self.wait_for(&what, async || {
            let release = self.release(release).await?;
            let current = release["status"]["observedGeneration"] == release["metadata"]["generation"];
            let ready = condition(&release, "Ready").is_some_and(|condition| condition.status == "True");
            let applied =
                release["status"]["lastAppliedRevision"].as_str().is_some_and(|r| r.contains(revision));
            (current && ready && applied).then_some(release)
        })
        .await
    }

    /// Waits until an object of this test's namespace is gone.
    pub async fn wait_gone(&self, version: &str, plural: &str, name: &str) {
        let what = format!("{plural} {name} is gone");
        self.wait_for(&what, async || self.object(version, plural, name).await.is_none().then_some(())).await;
    }

    fn namespaces(&self) -> Vec<String> {
        let others = self.others.lock().expect("lock").clone();
        std::iter::once(self.namespace.clone()).chain(others).collect()
    }

    // The namespaces stay, and end with the cluster: to empty one costs the API server more requests, for each
    // kind that there is, than most stories send. Without its releases nothing happens in it any more.
    fn forget_releases(&self, namespace: &str) {
        let releases = format!("/apis/supercargo.dev/v1alpha1/namespaces/{namespace}/ociartifactreleases");
        let admin = self.bed.admin();
        admin.delete(&releases);
        let left = admin.get(&releases).and_then(|list| serde_json::from_str::<Value>(&list).ok());
        let left = left.as_ref().and_then(|list| list["items"].as_array());
        for name in left.into_iter().flatten().filter_map(|release| release["metadata"]["name"].as_str()) {
            let unheld = r#"{"metadata":{"finalizers":null}}"#;
            let path = format!("{releases}/{name}");
            drop(admin.send(&Method::PATCH, &path, "application/merge-patch+json", unheld));
        }
    }

    // What a person would look at first. By kubectl: it works while everything
    // else is being unwound.
    fn dump(&self) {
        let show = |arguments: &[&str]| {
            let output = self.bed.try_kubectl(arguments, "");
            eprintln!("--- kubectl {}\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stdout));
        };
        for namespace in self.namespaces() {
            show(&["-n", &namespace, "get", "ociartifactreleases", "-o", "yaml"]);
            show(&["-n", &namespace, "get", "all,configmaps", "--show-labels"]);
            show(&["-n", &namespace, "get", "events", "--sort-by=.lastTimestamp"]);
        }
    }
}

impl Drop for Story<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dump();
        }
        for namespace in self.namespaces() {
            self.forget_releases(&namespace);
            if let Some(binding) = Profile::of_run().leftovers(&namespace) {
                self.bed.admin().delete(&binding);
            }
        }
        if let Some(account) = self.account.lock().ok().and_then(|mut account| account.take()) {
            account.remove(self.bed);
        }
    }
}

/// A condition of an object, by its type.
pub fn condition(object: &Value, kind: &str) -> Option<Condition> {
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some(Condition { status: text("status"), reason: text("reason"), message: text("message") })
}

/// The path of a kind in a namespace or, with none, in the cluster.
fn path(namespace: Option<&str>, version: &str, plural: &str) -> String {
    let root = if version.contains('/') { "apis" } else { "api" };
    let place = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
    format!("/{root}/{version}/{place}{plural}")
}

// Tests of several processes do not share a cluster, so the process need not be
// in the name.
fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
