//! Releases from the outside: created many at once, followed by one watch.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, watcher};
use serde_json::{Value, json};
use supercargo::api::release::OCIArtifactRelease;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(1800);
/// Requests of the admin at once.
const PARALLEL: usize = 16;

/// What is known of a release.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Ready, and so for the present generation.
    pub ready: bool,
    /// The last request for a run that was handled.
    pub handled: String,
    /// The reason of its condition Ready, for the present generation.
    pub reason: String,
    /// The hash of the plan that waits for approval.
    pub plan: String,
}

/// What is known of releases, by name.
pub type All = BTreeMap<String, Seen>;

/// The releases of one namespace.
pub struct Releases {
    api: Api<OCIArtifactRelease>,
    seen: watch::Receiver<All>,
    task: JoinHandle<()>,
}

impl Drop for Releases {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Releases {
    /// Follows the releases of a namespace.
    pub fn of(client: &kube::Client, namespace: &str) -> Releases {
        Releases::follow(Api::namespaced(client.clone(), namespace))
    }

    /// Follows those of all namespaces. Their names must differ.
    pub fn everywhere(client: &kube::Client) -> Releases {
        Releases::follow(Api::all(client.clone()))
    }

    fn follow(api: Api<OCIArtifactRelease>) -> Releases {
        let (sender, seen) = watch::channel(All::new());
        let mut events = watcher(api.clone(), watcher::Config::default()).boxed();
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Apply(release) | watcher::Event::InitApply(release)) => {
                        sender.send_modify(|all| drop(all.insert(name_of(&release), look(&release))));
                    }
                    Ok(watcher::Event::Delete(release)) => {
                        sender.send_modify(|all| drop(all.remove(&name_of(&release))));
                    }
                    _ => {}
                }
            }
        });
        Releases { api, seen, task }
    }

    /// Creates releases.
    pub async fn create(&self, specs: impl Iterator<Item = (String, Value)>) {
        let all = specs.map(|(name, spec)| async move {
            let release = json!({
                "apiVersion": "supercargo.dev/v1alpha1",
                "kind": "OCIArtifactRelease",
                "metadata": {"name": name},
                "spec": spec,
            });
            let release = serde_json::from_value(release).expect("a release");
            self.api.create(&PostParams::default(), &release).await.expect("create a release");
        });
        futures::stream::iter(all).buffer_unordered(PARALLEL).collect::<Vec<()>>().await;
    }

    /// Changes a release by a merge patch.
    pub async fn patch(&self, name: &str, patch: &Value) {
        let done = self.api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        done.expect("patch a release");
    }

    /// The same for every release.
    pub async fn patch_all(&self, patch: &Value) {
        let names: Vec<String> = self.seen.borrow().keys().cloned().collect();
        self.patch_each(names.into_iter(), patch).await;
    }

    /// The same for some of them.
    pub async fn patch_each(&self, names: impl Iterator<Item = String>, patch: &Value) {
        let all = names.map(|name| async move { self.patch(&name, patch).await });
        futures::stream::iter(all).buffer_unordered(PARALLEL).collect::<Vec<()>>().await;
    }

    /// Asks for a run now.
    pub async fn reconcile(&self, name: &str, token: &str) {
        self.patch(name, &reconcile_at(token)).await;
    }

    /// What is known of a release now.
    pub fn seen(&self, name: &str) -> Seen {
        self.seen.borrow().get(name).cloned().unwrap_or_default()
    }

    /// Deletes a release; does not wait.
    pub async fn delete(&self, name: &str) {
        self.api.delete(name, &DeleteParams::default()).await.expect("delete a release");
    }

    /// Waits until `done` says so of all releases.
    pub async fn wait(&self, what: &str, done: impl Fn(&All) -> bool) {
        let mut seen = self.seen.clone();
        let waited = tokio::time::timeout(DEADLINE, seen.wait_for(|all| done(all))).await;
        assert!(waited.is_ok_and(|seen| seen.is_ok()), "{what}: not within {DEADLINE:?}");
    }

    /// Waits until that many releases are Ready.
    pub async fn wait_ready(&self, count: usize) {
        let ready = |all: &All| all.values().filter(|seen| seen.ready).count() == count;
        self.wait(&format!("{count} releases are Ready"), ready).await;
    }
}

/// The patch that asks for a run.
pub fn reconcile_at(token: &str) -> Value {
    json!({"metadata": {"annotations": {"supercargo.dev/reconcile-at": token}}})
}

/// The spec of a release.
pub fn spec(host: &str, repository: &str, tag: &str, interval: &str) -> Value {
    json!({
        "url": format!("oci://{host}/{repository}"),
        "ref": {"tag": tag},
        "interval": interval,
        "insecure": true,
        "prune": true,
    })
}

fn name_of(release: &OCIArtifactRelease) -> String {
    release.metadata.name.clone().unwrap_or_default()
}

fn look(release: &OCIArtifactRelease) -> Seen {
    let Some(status) = &release.status else { return Seen::default() };
    let current = status.observed_generation == release.metadata.generation;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").filter(|_| current);
    Seen {
        ready: ready.is_some_and(|c| c.status == "True"),
        handled: status.last_handled_reconcile_at.clone().unwrap_or_default(),
        reason: ready.map(|c| c.reason.clone()).unwrap_or_default(),
        plan: status.plan.as_ref().map(|plan| plan.hash.clone()).unwrap_or_default(),
    }
}
