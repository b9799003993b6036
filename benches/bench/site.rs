//! Where a group of rows is measured: a cluster, a registry and an operator of
//! its own, and the meter that reads them.

use std::path::Path;
use std::time::{Duration, Instant};

use supercargo_testbed::operator::{Operator, Options, Usage};
use supercargo_testbed::{Account, Bed, Profile, Registry, audit, registry};

use super::table::Row;

/// The program that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_supercargo");
/// Where the operator's account and its lease are.
const SYSTEM: &str = "bench-system";
/// Where releases and objects are.
pub const APPS: &str = "bench-apps";

/// The servers of a group of rows; gone when dropped.
pub struct Site {
    /// The registry.
    pub registry: Registry,
    /// The operator's account.
    pub account: Account,
    /// A client of the cluster's admin.
    pub client: kube::Client,
    /// The cluster.
    pub bed: Bed,
}

impl Site {
    /// Starts cluster and registry, without an operator.
    pub async fn start() -> Site {
        let bed = Bed::start();
        bed.install_crds();
        // Until the API server has its cache of a new kind it refuses watches, and
        // who is refused comes back a second later: not what is measured.
        let watch = "/apis/supercargo.dev/v1alpha1/ociartifactreleases?watch=true&timeoutSeconds=1";
        while !bed.try_kubectl(&["get", "--raw", watch], "").status.success() {}
        for namespace in [SYSTEM, APPS] {
            bed.kubectl(&["create", "namespace", namespace], "");
        }
        let account = Account::create(&bed, SYSTEM, Profile::ClusterAdmin);
        let client = bed.client().await;
        Site { registry: Registry::plain(), account, client, bed }
    }

    /// How to start the operator. It has the name of the one before, so that it
    /// takes the lease at once, as after the restart of a container.
    pub fn options(&self) -> Options {
        let other = std::env::var("BENCH_BINARY");
        let binary = other.as_deref().unwrap_or(BINARY);
        Options::new(binary, &self.account).env("POD_NAME", "supercargo-0")
    }

    /// Starts the operator and waits until it works.
    pub async fn operator(&self) -> Operator {
        self.started(self.options()).await
    }

    /// The same with other options.
    pub async fn started(&self, options: Options) -> Operator {
        let operator = options.start();
        until_ready(&operator).await;
        operator
    }

    /// The same on the cache of the one before.
    pub fn operator_with(&self, cache: &Path) -> Operator {
        self.options().cache(cache).start()
    }

    /// Begins to measure.
    pub fn meter<'a>(&'a self, operator: &'a Operator) -> Meter<'a> {
        // The high-water mark starts again from what is resident. Where the
        // kernel does not let us, it counts from the start of the process.
        let _ = std::fs::write(format!("/proc/{}/clear_refs", operator.id()), "5");
        Meter {
            site: self,
            operator,
            audit: self.bed.audit().mark(),
            registry: self.registry.mark(),
            usage: operator.usage(),
            start: Instant::now(),
        }
    }
}

/// Waits for `/readyz`, looking often: the fastest answers are what is measured.
pub async fn until_ready(operator: &Operator) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < Duration::from_secs(30), "not ready\n{}", operator.log());
        if let Ok(mut stream) = tokio::net::TcpStream::connect(operator.address()).await {
            let mut answer = String::new();
            let request = b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
            let asked = stream.write_all(request).await;
            if asked.is_ok() && stream.read_to_string(&mut answer).await.is_ok() && answer.contains(" 200 ") {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What the servers and the operator showed when it began.
pub struct Meter<'a> {
    site: &'a Site,
    operator: &'a Operator,
    audit: audit::Mark,
    registry: registry::Mark,
    usage: Usage,
    /// When it began.
    pub start: Instant,
}

impl Meter<'_> {
    /// The row of what has happened since.
    pub fn row(self, work: &str) -> Row {
        let wall = self.start.elapsed();
        self.row_after(work, wall)
    }

    /// The same for work that was done after `wall`; the rest is what the
    /// operator did behind it.
    pub fn row_after(self, work: &str, wall: Duration) -> Row {
        let usage = self.operator.usage();
        let requests = self.requests();
        Row {
            work: work.to_owned(),
            wall: Some(wall),
            cpu: Some(usage.cpu.saturating_sub(self.usage.cpu)),
            requests: Some(requests.len()),
            writes: Some(requests.iter().filter(|r| r.writes()).count()),
            registry: Some(self.site.registry.since(self.registry).len()),
            peak: Some(usage.peak),
            note: String::new(),
        }
    }

    /// The operator's requests since, without those for its lease, and without
    /// watches, which the server ends every few minutes.
    pub fn requests(&self) -> Vec<audit::Request> {
        let all = self.site.bed.audit().since(self.audit, &self.site.account.user());
        all.into_iter().filter(|r| r.resource != "leases" && r.verb != "watch").collect()
    }

    /// The registry's requests of a method since.
    pub fn registry_requests(&self, method: &str) -> usize {
        self.site.registry.since(self.registry).iter().filter(|r| r.method == method).count()
    }
}
