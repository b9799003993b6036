//! Releases whose objects are in another cluster: a second control plane, which only these stories
//! start.

mod basics;
mod managers;
mod outages;
mod person;
mod refused;
mod tokens;
mod verdicts;

use std::sync::OnceLock;

use serde_json::{Value, json};
use supercargo_testbed::audit::{Mark, Request};
use supercargo_testbed::operator::Options;
use supercargo_testbed::{Bed, Profile};

use crate::scene::{Scene, SceneBuilder};

/// The other cluster that the stories share, with namespaces of their names.
fn shared() -> &'static Bed {
    static BED: OnceLock<Bed> = OnceLock::new();
    BED.get_or_init(Bed::start)
}

/// A scene with another cluster for its objects.
pub struct There<'a> {
    // The operator ends first.
    pub scene: Scene<'a>,
    pub bed: &'a Bed,
}

impl There<'static> {
    /// A scene, a namespace of the same name in the shared other cluster, and the Secret `there` with a
    /// kubeconfig.
    async fn begin(name: &str) -> There<'static> {
        Self::built(Scene::builder(name).await, shared())
    }
}

impl<'a> There<'a> {
    fn built(builder: SceneBuilder<'a>, bed: &'a Bed) -> There<'a> {
        Self::started(builder, bed, |options| options)
    }

    /// The same, with other options of the operator.
    fn started(
        builder: SceneBuilder<'a>,
        bed: &'a Bed,
        change: impl FnOnce(Options) -> Options,
    ) -> There<'a> {
        let scene = builder.argument("--allow-local-clusters").start_with(change);
        let there = There { scene, bed };
        there.prepare(there.scene.namespace());
        there.give(&there.kubeconfig());
        there
    }

    /// A namespace in the other cluster, with the account of releases.
    fn prepare(&self, namespace: &str) {
        self.bed.kubectl(&["create", "namespace", namespace], "");
        let preparation = Profile::of_run().preparation(namespace);
        if !preparation.is_empty() {
            self.bed.kubectl(&["apply", "-f", "-"], &preparation);
        }
    }

    /// The user of the kubeconfig, who may do everything.
    fn user(&self) -> String {
        format!("remote-{}", self.scene.namespace())
    }

    fn kubeconfig(&self) -> String {
        self.bed.kubeconfig_for_user(&self.user(), Some("system:masters"))
    }

    /// Writes the Secret `there`.
    fn give(&self, kubeconfig: &str) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "there"},
            "stringData": {"value": kubeconfig}});
        self.scene.story.apply(&secret.to_string());
    }

    /// The spec of a release whose objects are there, with `spec` laid over it.
    fn spec(spec: Value) -> Value {
        let mut whole = json!({"kubeConfig": {"secretRef": {"name": "there"}}});
        for (key, value) in spec.as_object().into_iter().flatten() {
            whole[key] = value.clone();
        }
        whole
    }

    /// A field of a ConfigMap there; `None` when it does not exist.
    fn config_map(&self, name: &str) -> Option<Value> {
        let output = self.bed.try_kubectl(
            &["--namespace", self.scene.namespace(), "get", "configmap", name, "-o", "json"],
            "",
        );
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("a ConfigMap"))
    }

    fn data(&self, name: &str) -> Option<String> {
        self.config_map(name)?["data"]["key"].as_str().map(str::to_owned)
    }

    async fn wait_data(&self, name: &str, expected: Option<&str>) {
        let what = format!("{name} is {expected:?} in the other cluster");
        self.scene
            .story
            .wait_for(&what, async || (self.data(name).as_deref() == expected).then_some(()))
            .await;
    }

    /// The requests of the kubeconfig's user there since then.
    fn requests(&self, mark: Mark) -> Vec<Request> {
        self.bed.audit().since(mark, &self.user())
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        let namespace = self.scene.namespace();
        self.bed.try_kubectl(&["delete", "namespace", namespace, "--wait=false"], "");
    }
}
