//! Pods that crash because the bench says so.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

/// A wait watches no pods before.
const BEGIN: Duration = Duration::from_secs(2);

/// The pods of a namespace.
pub struct Pods(Api<Pod>);

impl Pods {
    pub fn of(client: &Client, namespace: &str) -> Self {
        Self(Api::namespaced(client.clone(), namespace))
    }

    /// Waits until a pod with these labels is scheduled, and until the operator watches it. Returns its
    /// name.
    pub async fn watched(&self, labels: &str) -> String {
        let selector = ListParams::default().labels(labels);
        let pod = loop {
            let found = self.0.list(&selector).await.expect("list pods").items.into_iter().next();
            let pod = found.filter(|pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()));
            match pod.and_then(|pod| pod.metadata.name) {
                Some(name) => break name,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        tokio::time::sleep(BEGIN).await;
        pod
    }

    /// The pod crashes for the second time.
    pub async fn crash(&self, pod: &str) {
        let crash = json!({"status": {"phase": "Running", "containerStatuses": [{
            "name": "web", "image": "web", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}]}});
        let patch = Patch::Merge(&crash);
        self.0.patch_status(pod, &PatchParams::default(), &patch).await.expect("patch a pod");
    }
}
