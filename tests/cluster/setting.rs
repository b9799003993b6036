//! What many stories begin with: a registry, an operator, and releases of it.

use serde_json::{Value, json};
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::story::condition;
use supercargo_testbed::{Registry, Story};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_supercargo");

/// A story with a registry and an operator that watches the story's namespace.
pub struct Scene {
    // In this order they end.
    pub operator: Operator,
    pub registry: Registry,
    pub story: Story<'static>,
}

impl Scene {
    /// On a registry on plain HTTP for everybody.
    pub async fn begin(name: &str) -> Scene {
        Scene::with(name, Registry::plain(), |options| options).await
    }

    /// On this registry, with an operator whose options are changed.
    pub async fn with(name: &str, registry: Registry, change: impl FnOnce(Options) -> Options) -> Scene {
        let story = Story::begin(name).await;
        let account = story.operator_account();
        let options = Options::new(BINARY, &account).watching(&[story.namespace()]);
        let mut operator = change(options).start();
        operator.wait_ready();
        Scene { operator, registry, story }
    }

    /// Applies a release of the repository of its own name at this registry. `spec`
    /// is merged over the defaults of these stories: plain HTTP, prune, tag 1.
    pub fn install(&self, name: &str, spec: Value) {
        self.story.apply(&self.release(name, spec));
    }

    /// The same, not applied.
    pub fn release(&self, name: &str, spec: Value) -> String {
        release(self.story.namespace(), name, &format!("oci://{}/{name}", self.registry.host()), spec)
    }

    /// Changes a release's spec by a JSON merge patch.
    pub fn patch(&self, name: &str, spec: &Value) {
        let patch = json!({"spec": spec}).to_string();
        self.story.kubectl(&["patch", "oar", name, "--type=merge", "--patch", &patch], "");
    }

    /// Asks for a run now, by a value that has not been there.
    pub fn ask(&self, name: &str, value: &str) {
        let annotation = format!("supercargo.dev/reconcile-at={value}");
        self.story.kubectl(&["annotate", "--overwrite", "oar", name, &annotation], "");
    }

    /// Waits until a release says so in its Ready condition. Returns the release.
    pub async fn wait_message(&self, name: &str, status: &str, says: &str) -> Value {
        let what = format!("{name} has Ready={status} and says {says:?}");
        self.story
            .wait_for(&what, async || {
                let release = self.story.release(name).await?;
                let ready = condition(&release, "Ready")?;
                (ready.status == status && ready.message.contains(says)).then_some(release)
            })
            .await
    }

    /// A value of a ConfigMap in the story's namespace.
    pub async fn value(&self, name: &str, key: &str) -> Option<String> {
        let object = self.story.object("v1", "configmaps", name).await?;
        object["data"][key].as_str().map(str::to_owned)
    }

    /// Waits for that value.
    pub async fn wait_value(&self, name: &str, key: &str, value: &str) {
        let what = format!("ConfigMap {name} has {key}={value}");
        self.story
            .wait_for(&what, async || (self.value(name, key).await.as_deref() == Some(value)).then_some(()))
            .await;
    }
}

/// A release as YAML.
pub fn release(namespace: &str, name: &str, url: &str, spec: Value) -> String {
    let mut whole = json!({"url": url, "insecure": true, "prune": true, "ref": {"tag": "1"}});
    for (key, value) in spec.as_object().expect("a spec is an object") {
        match value {
            Value::Null => drop(whole.as_object_mut().expect("an object").remove(key)),
            value => whole[key] = value.clone(),
        }
    }
    json!({
        "apiVersion": "supercargo.dev/v1alpha1",
        "kind": "OCIArtifactRelease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": whole,
    })
    .to_string()
}

/// A ConfigMap with one value, without a namespace.
pub fn config_map(name: &str, key: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  {key}: \"{value}\"\n---\n")
}
