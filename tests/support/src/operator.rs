//! The real operator process, with an account of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::fetch::{self, Trust};
use crate::processes::{self, Server};
use crate::{Account, Bed, Proxy, bed, image, poll_until, ports};

const READY: Duration = Duration::from_secs(30);

/// How to start an operator.
#[derive(Debug, Clone)]
pub struct Options {
    binary: PathBuf,
    kubeconfig: String,
    lease: (String, String),
    default_account: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    cache: Option<PathBuf>,
    root: Option<PathBuf>,
    metrics: Option<String>,
}

impl Options {
    /// The operator at `binary` (`env!("CARGO_BIN_EXE_supercargo")`) as `account`,
    /// with its lease in the account's namespace, and its profile's default for
    /// releases that name no account.
    pub fn new(binary: &str, account: &Account) -> Options {
        Options {
            binary: PathBuf::from(binary),
            kubeconfig: account.kubeconfig().to_owned(),
            lease: (account.namespace().to_owned(), account.lease().to_owned()),
            default_account: account.profile().default_account().map(str::to_owned),
            arguments: Vec::new(),
            environment: Vec::new(),
            cache: None,
            root: None,
            metrics: None,
        }
    }

    /// The operator of an image: that of [`Image::root`](crate::Image::root), with
    /// nothing else of this machine's files and environment, as a user that is nobody,
    /// and unable to write but to its own volume.
    pub fn of_image(root: &Path, account: &Account) -> Options {
        Options { root: Some(root.to_path_buf()), ..Options::new("/supercargo", account) }
    }

    /// Another kubeconfig: that of a proxy.
    #[must_use]
    pub fn kubeconfig(mut self, kubeconfig: &str) -> Self {
        kubeconfig.clone_into(&mut self.kubeconfig);
        self
    }

    /// The API server behind a proxy.
    #[must_use]
    pub fn through(mut self, proxy: &Proxy) -> Self {
        self.kubeconfig = proxy.kubeconfig(&self.kubeconfig);
        self
    }

    /// Only releases of these namespaces. Releases are cluster-wide, so tests
    /// that run at the same time on one cluster need this.
    #[must_use]
    pub fn watching(self, namespaces: &[&str]) -> Self {
        self.argument(&format!("--watch-namespaces={}", namespaces.join(",")))
    }

    /// Its lease in another namespace, where the account needs a right to it.
    #[must_use]
    pub fn lease_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.lease.0);
        self
    }

    /// Another lease, for tests that run many operators of one
    /// account at a time.
    #[must_use]
    pub fn lease(mut self, name: &str) -> Self {
        name.clone_into(&mut self.lease.1);
        self
    }

    /// Releases that name no account have the operator's own rights, whatever these
    /// are.
    #[must_use]
    pub fn without_default_account(mut self) -> Self {
        self.default_account = None;
        self
    }

    /// Another program in its place, such as one that starts it.
    #[must_use]
    pub fn binary(mut self, binary: &Path) -> Self {
        self.binary = binary.to_path_buf();
        self
    }

    /// One more argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Its metrics at this address, where this process may not reach them: then
    /// [`Operator::wait_ready`] and what reads metrics is not for it.
    #[must_use]
    pub fn metrics(mut self, address: &str) -> Self {
        self.metrics = Some(address.to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The cache of an operator before this one, as after the restart of a
    /// container.
    #[must_use]
    pub fn cache(mut self, directory: &Path) -> Self {
        self.cache = Some(directory.to_path_buf());
        self
    }

    /// Starts it. Does not wait for anything: see [`Operator::wait_ready`].
    pub fn start(self) -> Operator {
        let directory = processes::directory("operator");
        let kubeconfig = directory.join("kubeconfig");
        std::fs::write(&kubeconfig, &self.kubeconfig).expect("write a file");
        let cache = self.cache.unwrap_or_else(|| directory.join("cache"));
        let metrics = self.metrics.unwrap_or_else(|| format!("127.0.0.1:{}", ports::free()));
        let mut command = match &self.root {
            Some(root) => image::contained(root, &directory, &self.binary),
            None => processes::command(&self.binary),
        };
        command
            .arg("controller")
            .arg(format!("--metrics-addr={metrics}"))
            .arg(format!("--leader-election-namespace={}", self.lease.0))
            .arg(format!("--leader-election-name={}", self.lease.1))
            .arg(bed::flag("--cache-dir", &cache))
            .arg(bed::flag("--build-dir", &directory.join("builds")))
            .args(self.default_account.map(|name| format!("--default-service-account={name}")))
            .args(&self.arguments)
            .env("KUBECONFIG", &kubeconfig)
            .env("HOME", &directory)
            .envs(self.environment);
        if !self.arguments.iter().any(|argument| argument.starts_with("--log-format")) {
            command.arg("--log-format=text");
        }
        let server = Server::start("supercargo controller", &mut command, &directory.join("operator.log"));
        Operator { server, metrics, cache, lease: self.lease }
    }
}

/// A running operator; killed when dropped. What it has logged is printed when
/// the test that holds it fails.
#[derive(Debug)]
pub struct Operator {
    server: Server,
    metrics: String,
    cache: PathBuf,
    lease: (String, String),
}

impl Operator {
    /// Returns when `/readyz` says so.
    pub fn wait_ready(&mut self) {
        let url = format!("http://{}/readyz", self.metrics);
        let server = &mut self.server;
        let ready = || {
            assert!(server.running(), "the operator ended\n{}", server.tail());
            std::net::TcpStream::connect(&self.metrics).is_ok()
                && fetch::send("GET", &url, &[], &[], Trust::default()).code == 200
        };
        poll_until("the operator is ready", READY, ready, String::new);
    }

    /// Returns when its lease has a holder: with one operator, this one.
    pub fn wait_leader(&mut self, bed: &Bed) {
        let (namespace, name) = &self.lease;
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}");
        let held = || {
            assert!(self.server.running(), "the operator ended\n{}", self.server.tail());
            let lease = bed.admin().get(&path).and_then(|text| serde_json::from_str(&text).ok());
            lease.is_some_and(|lease: Value| has_holder(&lease))
        };
        poll_until("the operator holds its lease", READY, held, String::new);
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        self.server.running()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// `kill -TERM`; returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.server.stop(READY)
    }

    /// Stops its clock: it holds its lease and does nothing.
    pub fn freeze(&self) {
        self.server.freeze();
    }

    /// Ends [`Operator::freeze`].
    pub fn thaw(&self) {
        self.server.thaw();
    }

    /// All it has logged.
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// `/metrics`, as text.
    pub fn metrics(&self) -> String {
        fetch::send("GET", &format!("http://{}/metrics", self.metrics), &[], &[], Trust::default()).text()
    }

    /// One metric's value, by its name with labels as it is printed.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.metrics();
        let line = metrics
            .lines()
            .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// `127.0.0.1:PORT` of metrics, probes and webhooks.
    pub fn address(&self) -> &str {
        &self.metrics
    }

    /// Its cache, for [`Options::cache`] of the next one.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// Memory and processor time up to now. Linux only.
    pub fn usage(&self) -> Usage {
        Usage::of(self.id())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what the operator has logged\n{}---", self.server.log());
        }
    }
}

/// What a process has used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Resident now, in KiB.
    pub resident: u64,
    /// The most it has had resident, in KiB.
    pub peak: u64,
    /// User and system time.
    pub cpu: Duration,
}

impl Usage {
    /// Of a process, from /proc.
    pub fn of(id: u32) -> Usage {
        Usage::try_of(id).expect("the process runs")
    }

    /// The same of one that may have ended.
    pub fn try_of(id: u32) -> Option<Usage> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).ok();
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        // The second field, in parentheses, may hold blanks; the rest counts from
        // there: user and system time are the 14th and 15th field of the line, in
        // hundredths of a second on every Linux that matters.
        let stat = read("stat")?;
        let fields: Vec<&str> = stat.rsplit(") ").next()?.split(' ').collect();
        let ticks: u64 = fields.get(11..13)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Usage { resident: kib("VmRSS:")?, peak: kib("VmHWM:")?, cpu: Duration::from_millis(ticks * 10) })
    }
}

fn has_holder(lease: &Value) -> bool {
    lease["spec"]["holderIdentity"].as_str().is_some_and(|name| !name.is_empty())
}
