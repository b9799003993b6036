//! Many other clusters: each release has a kubeconfig of its own, for one of two real control planes.

use std::time::Duration;

use serde_json::json;
use supercargo_testbed::Bed;

use super::artifact::Pusher;
use super::identities::connections;
use super::idle::mib;
use super::releases::{Releases, spec};
use super::site::{APPS, Site};
use super::table::{Row, Table};

const CLUSTERS: usize = 50;
const TAG: &str = "1.0.0";
const REST: Duration = Duration::from_secs(10);

/// The row.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    let others = [Bed::start(), Bed::start()];
    let host = site.registry.host();
    let pusher = Pusher::new(&host);
    let mut releases = String::new();
    for n in 0..CLUSTERS {
        let map =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app-{n}}}\ndata: {{text: first}}\n");
        pusher.push(&format!("remote-{n}"), TAG, &map).await;
        let other = &others[n % others.len()];
        let kubeconfig = other.kubeconfig_for_user(&format!("remote-{n}"), Some("system:masters"));
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("cluster-{n}"), "namespace": APPS},
            "stringData": {"value": kubeconfig},
        });
        site.bed.kubectl(&["create", "-f", "-"], &secret.to_string());
        let mut spec = spec(&host, &format!("remote-{n}"), TAG, "1h");
        spec["kubeConfig"] = json!({"secretRef": {"name": format!("cluster-{n}")}});
        let release = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "OCIArtifactRelease",
            "metadata": {"name": format!("remote-{n}"), "namespace": APPS},
            "spec": spec,
        });
        releases += &format!("{release}\n---\n");
    }
    for other in &others {
        other.kubectl(&["create", "namespace", APPS], "");
    }
    let options = site.options().argument("--allow-local-clusters");
    let operator = site.started(options).await;
    tokio::time::sleep(REST).await;
    let before = mib(operator.usage().resident);
    let meter = site.meter(&operator);
    site.bed.kubectl(&["create", "-f", "-"], &releases);
    Releases::everywhere(&site.client).wait_ready(CLUSTERS).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(REST).await;
    let port = |bed: &Bed| {
        bed.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("the URL ends in a port")
    };
    let open: usize = others.iter().map(|other| connections(operator.id(), port(other))).sum();
    let resident = mib(operator.usage().resident);
    let row = meter.row_after(
        &format!("{CLUSTERS} other clusters, a kubeconfig and a release each, created → all Ready"),
        wall,
    );
    table.add(Row {
        note: format!(
            "{open} connections to the two other API servers; {resident:.0} MiB resident at rest, {before:.0} before"
        ),
        ..row
    });
}
