//! What the stories of objects and their owners play on: a namespace, an operator
//! that watches it alone, and a repository of its own in a registry that all share.

use serde_json::{Map, Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Account, Bed, Registry, Story};

use crate::ground::registry;

const RELEASES: &str = "ociartifactreleases";
const VERSION: &str = "supercargo.dev/v1alpha1";

/// One test's part of the cluster, with its operator.
pub struct Scene {
    pub operator: Operator,
    pub story: Story<'static>,
    account: Account,
}

impl Scene {
    pub async fn begin(name: &str) -> Scene {
        Scene::with(name, &[]).await
    }

    /// With more arguments for the operator.
    pub async fn with(name: &str, arguments: &[&str]) -> Scene {
        let story = Story::begin(name).await;
        let account = story.operator_account();
        let operator = start(&story, &account, arguments);
        Scene { operator, story, account }
    }

    /// Ends the operator, as `kill -9` does, does something, and starts another.
    pub async fn restart(&mut self, meanwhile: impl AsyncFnOnce(&Story<'static>)) {
        self.operator.kill();
        meanwhile(&self.story).await;
        self.operator = start(&self.story, &self.account, &[]);
    }

    /// The registry of all scenes.
    pub fn registry(&self) -> &'static Registry {
        registry()
    }

    pub fn namespace(&self) -> &str {
        self.story.namespace()
    }

    /// Pushes YAML to the repository of a release; returns the digest.
    pub fn push(&self, release: &str, tag: &str, yaml: &str) -> String {
        registry().push_yaml(&format!("{}/{release}", self.namespace()), tag, yaml)
    }

    /// Creates a release of the tag `1` in its repository.
    pub async fn create(&self, release: &str, spec: Value) {
        let mut all = json!({
            "url": format!("oci://{}/{}/{release}", registry().host(), self.namespace()),
            "ref": {"tag": "1"},
            "interval": "1h",
            "retryInterval": "1s",
            "timeout": "50s",
            "insecure": true,
            "prune": true,
        });
        merge(&mut all, spec);
        let resource = json!({
            "apiVersion": VERSION,
            "kind": "OCIArtifactRelease",
            "metadata": {"name": release, "namespace": self.namespace()},
            "spec": all,
        });
        let path = format!("/apis/{VERSION}/namespaces/{}/{RELEASES}", self.namespace());
        let request = http::Request::post(path).body(resource.to_string().into_bytes()).expect("a request");
        self.story.client().request::<Value>(request).await.expect("the release is accepted");
    }

    /// Pushes the tag `1`, creates the release and waits until it is Ready.
    pub async fn install(&self, release: &str, yaml: &str, spec: Value) -> Value {
        self.push(release, "1", yaml);
        self.create(release, spec).await;
        self.story.wait_ready(release, "1@").await
    }

    /// Pushes a tag and lets the release name it.
    pub async fn upgrade(&self, release: &str, tag: &str, yaml: &str) {
        self.push(release, tag, yaml);
        self.specify(release, json!({"ref": {"tag": tag}})).await;
    }

    /// The same, and waits until it is Ready.
    pub async fn upgraded(&self, release: &str, tag: &str, yaml: &str) -> Value {
        self.upgrade(release, tag, yaml).await;
        self.story.wait_ready(release, &format!("{tag}@")).await
    }

    /// Changes the spec.
    pub async fn specify(&self, release: &str, spec: Value) {
        self.patch(VERSION, RELEASES, release, json!({"spec": spec})).await;
    }

    /// Annotates the release.
    pub async fn annotate(&self, release: &str, key: &str, value: &str) {
        let annotations = Map::from_iter([(key.to_owned(), Value::from(value))]);
        self.patch(VERSION, RELEASES, release, json!({"metadata": {"annotations": annotations}})).await;
    }

    /// Asks for a run and waits until it is over.
    pub async fn reconciled(&self, release: &str, at: &str) -> Value {
        self.annotate(release, "supercargo.dev/reconcile-at", at).await;
        let handled = async || {
            let release = self.story.release(release).await?;
            (release["status"]["lastHandledReconcileAt"] == at).then_some(release)
        };
        self.story.wait_for(&format!("{release} is reconciled"), handled).await
    }

    /// Asks for a run that is refused once more: it says the same of every object.
    pub async fn is_refused_alike(&self, release: &str, refused: &Value) {
        let again = self.reconciled(release, "again").await;
        let failures = |release: &Value| release["status"]["failures"].clone();
        assert_eq!(failures(&again), failures(refused), "the same from one retry to the next");
    }

    /// An API group that no other story has.
    pub fn group(&self) -> String {
        format!("{}.example.com", self.namespace())
    }

    /// The definition of Widgets in that group; `versions` is what follows the key.
    pub fn widgets(&self, versions: &str) -> String {
        widgets(&self.group(), versions)
    }

    /// A merge patch of an object of this namespace, as the admin.
    pub async fn patch(&self, version: &str, plural: &str, name: &str, patch: Value) {
        let root = if version.contains('/') { "apis" } else { "api" };
        let path = format!("/{root}/{version}/namespaces/{}/{plural}/{name}", self.namespace());
        let request = http::Request::patch(path)
            .header("content-type", "application/merge-patch+json")
            .body(patch.to_string().into_bytes())
            .expect("a request");
        self.story.client().request::<Value>(request).await.expect("the patch is accepted");
    }

    pub async fn config_map(&self, name: &str) -> Option<Value> {
        self.story.object("v1", "configmaps", name).await
    }

    /// The uid of a ConfigMap that exists.
    pub async fn uid(&self, name: &str) -> String {
        text(&self.config_map(name).await.expect("the ConfigMap exists"), "/metadata/uid")
    }

    /// The entries of a release's inventory, over all its parts, as they are
    /// written.
    pub async fn inventory(&self, release: &str) -> Vec<Value> {
        let first = self.config_map(&format!("inv-{release}")).await.expect("there is an inventory");
        let parts: usize = text(&first, "/data/parts").parse().expect("a number of parts");
        let mut entries = entries(&first);
        for part in 2..=parts {
            let part = self.config_map(&format!("inv-{release}.{part}")).await.expect("the part exists");
            entries.extend(self::entries(&part));
        }
        entries
    }

    /// The names of the objects in a release's inventory, in its order.
    pub async fn named(&self, release: &str) -> Vec<String> {
        let name =
            |entry: &Value| entry["id"].as_str().and_then(|id| id.split('_').nth(1)).map(str::to_owned);
        self.inventory(release).await.iter().filter_map(name).collect()
    }

    /// Waits until a release has told an event with that reason that says all of
    /// that.
    pub async fn wait_event(&self, release: &str, reason: &str, says: &[&str]) -> String {
        let what = format!("an event {reason} of {release} that says {says:?}");
        self.story
            .wait_for(&what, async || {
                let events = self.events(release).await;
                events.into_iter().find(|(r, note)| r == reason && says.iter().all(|s| note.contains(s)))
            })
            .await
            .1
    }

    /// Reason and note of all events of a release.
    pub async fn events(&self, release: &str) -> Vec<(String, String)> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace());
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        let list = self.story.client().request::<Value>(request).await.expect("events are listed");
        let of_release = |event: &&Value| event["regarding"]["name"] == release;
        let events = list["items"].as_array().expect("items").iter().filter(of_release);
        events.map(|event| (text(event, "/reason"), text(event, "/note"))).collect()
    }

    /// Now, in the audit log.
    pub fn mark(&self) -> Mark {
        Bed::shared().audit().mark()
    }

    /// What this scene's operator has written since, apart from what it keeps for
    /// itself: releases, their status, leases and events.
    pub fn writes(&self, mark: Mark) -> Vec<Request> {
        let own = ["ociartifactreleases", "leases", "events"];
        let requests = Bed::shared().audit().since(mark, &self.account.user());
        requests.into_iter().filter(|r| r.writes() && !own.contains(&r.resource.as_str())).collect()
    }
}

fn start(story: &Story<'static>, account: &Account, arguments: &[&str]) -> Operator {
    let options = Options::new(env!("CARGO_BIN_EXE_supercargo"), account)
        .watching(&[story.namespace()])
        // The next operator takes the lease of the one before at once.
        .env("POD_NAME", "supercargo-0");
    arguments.iter().fold(options, |options, argument| options.argument(argument)).start()
}

fn entries(part: &Value) -> Vec<Value> {
    serde_json::from_str(&text(part, "/data/resources")).expect("the entries are JSON")
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// The text at a JSON pointer; empty when there is none.
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The message of a condition of a release.
pub fn message(release: &Value, kind: &str) -> String {
    condition(release, kind).map(|condition| condition.message).unwrap_or_default()
}

/// The definition of Widgets in a group; `versions` is what follows the key.
pub fn widgets(group: &str, versions: &str) -> String {
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Widget, plural: widgets, singular: widget}}
  versions:{versions}---
"
    )
}

/// A ConfigMap as YAML.
pub fn config_map(name: &str) -> String {
    annotated(name, "{}")
}

/// A ConfigMap with annotations, a YAML flow mapping.
pub fn annotated(name: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, annotations: {annotations}}}\ndata: {{a: b}}\n---\n"
    )
}

/// A Deployment of one pod; `failed` pods never start.
pub fn deployment(name: &str, version: &str, failed: bool) -> String {
    let label = if failed { ", testbed.supercargo.dev/pod: failed" } else { "" };
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  progressDeadlineSeconds: {deadline}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{label}}}}}
    spec: {{containers: [{{name: main, image: \"main:{version}\"}}]}}
---
",
        deadline = if failed { 1 } else { 600 },
    )
}
