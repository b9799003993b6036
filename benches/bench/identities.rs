//! Many tenants: each release in a namespace of its own, with an account and a
//! pull Secret of its own.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use super::artifact::Pusher;
use super::idle::mib;
use super::releases::{Releases, spec};
use super::site::Site;
use super::table::{Row, Table};

const TENANTS: usize = 200;
const TAG: &str = "1.0.0";
const REST: Duration = Duration::from_secs(10);

/// Five kinds.
const OBJECTS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {text: first}
---
apiVersion: v1
kind: Secret
metadata: {name: app}
stringData: {text: first}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec:
  selector: {app: app}
  ports: [{port: 80, protocol: TCP}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 0
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: example.com/app:1}]}
---
";

/// The row.
pub async fn measure(table: &mut Table) {
    let site = Site::start().await;
    let host = site.registry.host();
    Pusher::new(&host).push("tenant", TAG, OBJECTS).await;
    let secret = site.registry.docker_config("alice", "alice-password");
    let tenants: Vec<String> = (0..TENANTS).map(|n| format!("tenant-{n}")).collect();
    let manifests: String = tenants.iter().map(|tenant| tenancy(tenant, &secret)).collect();
    site.bed.kubectl(&["create", "-f", "-"], &manifests);
    let operator = site.operator().await;
    let meter = site.meter(&operator);
    let releases: String = tenants.iter().map(|tenant| release(tenant, &host)).collect();
    site.bed.kubectl(&["create", "-f", "-"], &releases);
    Releases::everywhere(&site.client).wait_ready(TENANTS).await;
    let wall = meter.start.elapsed();
    tokio::time::sleep(REST).await;
    let port =
        site.bed.url().rsplit(':').next().and_then(|p| p.parse().ok()).expect("the URL ends in a port");
    let connections = connections(operator.id(), port);
    let resident = mib(operator.usage().resident);
    let row = meter
        .row_after(&format!("{TENANTS} identities × 5 kinds, a pull Secret each, created → all Ready"), wall);
    table.add(Row {
        note: format!("{connections} connections to the API server and {resident:.0} MiB resident at rest"),
        ..row
    });
}

fn release(tenant: &str, host: &str) -> String {
    let mut spec = spec(host, "tenant", TAG, "1h");
    spec["serviceAccountName"] = "deployer".into();
    spec["secretRef"] = json!({"name": "pull"});
    let release = json!({
        "apiVersion": "supercargo.dev/v1alpha1",
        "kind": "OCIArtifactRelease",
        "metadata": {"name": tenant, "namespace": tenant},
        "spec": spec,
    });
    format!("{release}\n---\n")
}

fn tenancy(tenant: &str, secret: &str) -> String {
    let metadata = |name: &str| json!({"name": name, "namespace": tenant});
    let all = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("deployer")}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata("deployer"),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": tenant}],
        }),
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata("pull"),
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": secret},
        }),
    ];
    all.iter().map(|object| format!("{object}\n---\n")).collect()
}

/// Established TCP connections of a process to a port.
pub fn connections(id: u32, port: u16) -> usize {
    let files = std::fs::read_dir(format!("/proc/{id}/fd")).expect("the process runs");
    let own: HashSet<String> = files
        .filter_map(|file| {
            let target = std::fs::read_link(file.ok()?.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    // The third column is the other end in hexadecimal, the fourth the state (01
    // is established), the tenth the inode.
    let table = std::fs::read_to_string(format!("/proc/{id}/net/tcp")).expect("/proc/PID/net/tcp");
    let remote = format!(":{port:04X}");
    table
        .lines()
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, _, other, "01", ..] = fields[..] else { return false };
            other.ends_with(&remote) && fields.get(9).is_some_and(|inode| own.contains(*inode))
        })
        .count()
}
