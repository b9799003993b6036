//! What most stories need: a namespace, an operator that watches it, a registry,
//! and the requests of that operator.

use std::sync::OnceLock;

use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::story::{Condition, condition};
use supercargo_testbed::{Account, Profile, Registry, Story};

/// The plain registry that the tests of this process share. Repositories are
/// named after the stories' namespaces.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(Registry::plain)
}

/// A story with its operator.
pub struct Scene<'a> {
    // In this order they end.
    pub operator: Operator,
    pub account: Account,
    pub story: Story<'a>,
    watched: Vec<String>,
}

impl Scene<'static> {
    /// An operator under the profile of the run, for releases that name no account.
    pub async fn begin(name: &str) -> Scene<'static> {
        Scene::of(Story::begin(name).await, Profile::of_run(), &[], |options| options)
    }
}

impl<'a> Scene<'a> {
    /// An operator under that profile, which watches this and other namespaces.
    pub fn of(
        story: Story<'a>,
        profile: Profile,
        others: &[&str],
        with: impl Fn(Options) -> Options,
    ) -> Scene<'a> {
        let account = story.account_of(profile);
        let watched: Vec<String> =
            others.iter().copied().chain([story.namespace()]).map(str::to_owned).collect();
        let operator = start(&watched, &account, with);
        Scene { operator, account, story, watched }
    }

    /// An operator that watches the story's namespace only, with the rights that the
    /// chart gives it with these values.
    pub fn as_account(story: Story<'a>, values: &[String]) -> Scene<'a> {
        let account = Account::with_values(story.bed(), story.namespace(), values);
        let watched = vec![story.namespace().to_owned()];
        let operator = start(&watched, &account, |options| options);
        Scene { operator, account, story, watched }
    }

    /// Ends the operator and starts another that takes its lease at once.
    pub fn restart(&mut self) {
        self.operator.kill();
        self.operator = start(&self.watched, &self.account, |options| options.cache(self.operator.cache()));
        self.operator.wait_ready();
    }

    pub fn namespace(&self) -> &str {
        self.story.namespace()
    }

    /// Publishes YAML under a tag of this story's repository.
    pub fn push(&self, tag: &str, yaml: &str) -> String {
        registry().push_yaml(self.namespace(), tag, yaml)
    }

    /// A release of this story's repository at tag `1`, pruning; `spec` is laid
    /// over it.
    pub fn release(&self, name: &str, spec: &Value) -> Value {
        let mut release = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "OCIArtifactRelease",
            "metadata": {"name": name, "namespace": self.namespace()},
            "spec": {
                "url": format!("oci://{}/{}", registry().host(), self.namespace()),
                "ref": {"tag": "1"},
                "insecure": true,
                "prune": true,
                "retryInterval": "1s",
            },
        });
        for (field, value) in spec.as_object().expect("a spec") {
            release["spec"][field] = value.clone();
        }
        release
    }

    /// Creates it.
    pub fn create(&self, name: &str, spec: &Value) {
        self.story.kubectl(&["create", "-f", "-"], &self.release(name, spec).to_string());
    }

    /// Publishes YAML as tag `1`, creates the release `app` of it and waits until
    /// it is Ready.
    pub async fn install(&self, yaml: &str, spec: &Value) -> Value {
        self.push("1", yaml);
        self.create("app", spec);
        self.story.wait_ready("app", "1@").await
    }

    /// Changes the spec of the release `app`.
    pub fn change(&self, spec: &Value) {
        self.patch("oar", "app", &json!({"spec": spec}));
    }

    /// A merge patch by kubectl.
    pub fn patch(&self, kind: &str, name: &str, patch: &Value) {
        self.story.kubectl(&["patch", kind, name, "--type=merge", "-p", &patch.to_string()], "");
    }

    /// Asks for a reconciliation of `app` and waits until it is done.
    pub async fn reconcile(&self, value: &str) -> Value {
        let annotation = format!("supercargo.dev/reconcile-at={value}");
        self.story.kubectl(&["annotate", "--overwrite", "oar", "app", &annotation], "");
        self.story
            .wait_for("app has handled reconcile-at", async || {
                let release = self.story.release("app").await?;
                (release["status"]["lastHandledReconcileAt"] == value).then_some(release)
            })
            .await
    }

    /// A condition of the release `app`.
    pub async fn condition(&self, kind: &str) -> Option<Condition> {
        condition(&self.story.release("app").await?, kind)
    }

    /// Waits for a condition of `app` and returns its message.
    pub async fn message(&self, kind: &str, status: &str, reason: &str) -> String {
        let release = self.story.wait_condition("app", kind, status, reason).await;
        condition(&release, kind).expect("the condition").message
    }

    /// Waits until a ConfigMap's `data.key` is `expected`.
    pub async fn wait_data(&self, name: &str, expected: &str) {
        self.wait_field("v1", "configmaps", name, "/data/key", &json!(expected)).await;
    }

    /// Waits until a field of an object, named by a JSON pointer, is `expected`.
    pub async fn wait_field(&self, version: &str, plural: &str, name: &str, field: &str, expected: &Value) {
        self.story
            .wait_for(&format!("{plural} {name}: {field} is {expected}"), async || {
                let object = self.story.object(version, plural, name).await?;
                (object.pointer(field).unwrap_or(&Value::Null) == expected).then_some(())
            })
            .await;
    }

    /// Now, in the audit log.
    pub fn mark(&self) -> Mark {
        self.story.bed().audit().mark()
    }

    /// All requests of the operator since then.
    pub fn requests(&self, mark: Mark) -> Vec<Request> {
        self.story.bed().audit().since(mark, &self.account.user())
    }

    /// Its writes to objects of releases, as `verb plural/name`: not to what is
    /// its own.
    pub fn object_writes(&self, mark: Mark) -> Vec<String> {
        let requests = self.requests(mark);
        let writes = requests.iter().filter(|request| request.writes() && !is_own(request));
        writes.map(|request| format!("{} {}/{}", request.verb, request.resource, request.name)).collect()
    }
}

fn start(watched: &[String], account: &Account, with: impl Fn(Options) -> Options) -> Operator {
    let watched: Vec<&str> = watched.iter().map(String::as_str).collect();
    let options = Options::new(env!("CARGO_BIN_EXE_supercargo"), account)
        .watching(&watched)
        .env("POD_NAME", "supercargo-0");
    let mut operator = with(options).start();
    operator.wait_ready();
    operator
}

/// Whether a request is about what the controller itself keeps: releases,
/// inventories, events and the lease.
pub fn is_own(request: &Request) -> bool {
    match request.resource.as_str() {
        "ociartifactreleases" | "leases" | "events" => true,
        "configmaps" => {
            request.name.starts_with("inv-") || request.impersonated.is_none() && request.name.is_empty()
        }
        _ => false,
    }
}

/// A ConfigMap with `data.key`.
pub fn config_map(name: &str, value: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{key: {value}}}\n")
}

/// A Deployment of pods that do nothing.
pub fn deployment(name: &str, image: &str, replicas: u32) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec: {{containers: [{{name: web, image: \"{image}\"}}]}}\n"
    )
}

/// A ServiceAccount of the story's namespace, as an administrator makes it.
pub fn account(name: &str) -> String {
    format!("---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n")
}

/// A Role with rules in YAML's flow style and its binding to the account.
pub fn role(account: &str, namespace: &str, rules: &str) -> String {
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {account}}}\nrules: {rules}\n\
         ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {account}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {account}}}\n\
         subjects: [{{kind: ServiceAccount, name: {account}, namespace: {namespace}}}]\n"
    )
}

/// Rules that allow everything in the Role's namespace.
pub const ALL_RIGHTS: &str = "[{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]";

/// Rules that allow what a release of ConfigMaps needs.
pub const CONFIG_MAPS: &str =
    "[{apiGroups: [''], resources: [configmaps], verbs: [get, list, watch, create, patch, delete]}]";
