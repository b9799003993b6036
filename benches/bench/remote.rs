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

const CLUSTERS: u32 = 50;
const TAG: &str = "1.0.0";
const REST: Duration = Duration::from_secs(10);

/// The rows: the releases at home, and the same in other clusters, each with servers of its own.
pub async fn measure(table: &mut Table) {
    let at_home = grown(table, &[], 0.0).await;
    let others = [Bed::start(), Bed::start()];
    grown(table, &others, at_home).await;
}

/// Creates the releases, in `others` if there are any, and returns by how many MiB the operator has
/// grown at rest. `usual` is by how many it grows for releases at home.
async fn grown(table: &mut Table, others: &[Bed], usual: f64) -> f64 {
    let site = Site::start().await;
    let host = site.registry.host();
    let pusher = Pusher::new(&host);
    let mut releases = String::new();
    for n in 0..CLUSTERS {
        let map =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app-{n}}}\ndata: {{text: first}}\n");
        pusher.push(&format!("remote-{n}"), TAG, &map).await;
        let mut spec = spec(&host, &format!("remote-{n}"), TAG, "1h");
        if let Some(other) = others.get(n as usize % others.len().max(1)) {
            let kubeconfig = other.kubeconfig_for_user(&format!("remote-{n}"), Some("system:masters"));
            let secret = json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": format!("cluster-{n}"), "namespace": APPS},
                "stringData": {"value": kubeconfig},
            });
            site.bed.kubectl(&["create", "-f", "-"], &secret.to_string());
            spec["kubeConfig"] = json!({"secretRef": {"name": format!("cluster-{n}")}});
        }
        let release = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "OCIArtifactRelease",
            "metadata": {"name": format!("remote-{n}"), "namespace": APPS},
            "spec": spec,
        });
        releases += &format!("{release}\n---\n");
    }
    for other in others {
        other.kubectl(&["create", "namespace", APPS], "");
    }
    let operator = site.started(site.options().argument("--allow-local-clusters")).await;
    tokio::time::sleep(REST).await;
    let before = mib(operator.usage().resident);
    let meter = site.meter(&operator);
    site.bed.kubectl(&["create", "-f", "-"], &releases);
    Releases::everywhere(&site.client).wait_ready(CLUSTERS as usize).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(REST).await;
    let port = |bed: &Bed| {
        bed.url().rsplit(':').next().and_then(|port| port.parse().ok()).expect("the URL ends in a port")
    };
    let open = |bed: &Bed| connections(operator.id(), port(bed));
    let resident = mib(operator.usage().resident);
    let memory = format!("{resident:.0} MiB resident at rest, {before:.0} before");
    let (work, note) = match others.is_empty() {
        true => (
            format!("{CLUSTERS} releases of one ConfigMap, created → all Ready"),
            format!("{} connections to the API server; {memory}", open(&site.bed)),
        ),
        false => {
            let each = (resident - before - usual) * 1024.0 / f64::from(CLUSTERS);
            let open: usize = others.iter().map(open).sum();
            (
                format!("… in {CLUSTERS} other clusters, with a kubeconfig each"),
                format!(
                    "{open} connections to the other API servers; {memory}, {each:.0} KiB for each cluster"
                ),
            )
        }
    };
    table.add(Row { note, ..meter.row_after(&work, wall) });
    resident - before
}
