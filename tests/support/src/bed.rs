//! A Kubernetes cluster without machines: the real control plane, and KWOK in
//! the place of nodes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::json;

use crate::admin::Admin;
use crate::audit::AuditLog;
use crate::certificates::{Authority, Identity};
use crate::kits::FLUX;
use crate::kubeconfig::{self, Credential};
use crate::processes::{self, Server};
use crate::tools::{Environment, Tools};
use crate::{poll_until, ports, repository};

// Generous: a loaded machine of two cores still starts all in half of it.
const READY: Duration = Duration::from_secs(90);
const ADMIN: &str = "testbed-admin-token";
const AUTHENTICATION: &str = "authentication.yaml";
const FLAGS: &str = "flags";

/// One cluster: etcd, API server, controller manager, scheduler and KWOK with
/// one Node.
pub struct Bed {
    directory: PathBuf,
    url: String,
    authority: Authority,
    api_server: Mutex<Server>,
    others: Mutex<Vec<Server>>,
    audit: AuditLog,
    crds: OnceLock<()>,
    admin: Arc<Admin>,
}

impl Bed {
    /// The cluster that all tests of this process share. A test that stops the
    /// API server needs one of its own: [`Bed::start`].
    pub fn shared() -> &'static Bed {
        static BED: OnceLock<Bed> = OnceLock::new();
        BED.get_or_init(|| {
            // Before the first test runs: a build beside them would slow all down.
            // Who cannot build it is told by the test that needs it.
            drop(Tools::find(&FLUX, &Environment::current()));
            Bed::start()
        })
    }

    /// A cluster of one's own, ready after a few seconds.
    pub fn start() -> Bed {
        Bed::with(None, &[])
    }

    /// The same; its API server has these flags, too.
    pub fn with_flags(flags: &[&str]) -> Bed {
        Bed::with(None, flags)
    }

    /// The same; its API server also accepts tokens as an AuthenticationConfiguration (YAML) says. Its
    /// own issuer is another than that of other clusters.
    pub fn trusting(authentication: &str) -> Bed {
        Bed::with(Some(authentication), &[])
    }

    fn with(authentication: Option<&str>, flags: &[&str]) -> Bed {
        let directory = processes::directory("cluster");
        std::fs::write(directory.join(FLAGS), flags.join("\n")).expect("write a file");
        if let Some(authentication) = authentication {
            std::fs::write(directory.join(AUTHENTICATION), authentication).expect("write a file");
        }
        let authority = Authority::new("testbed");
        let etcd_url = format!("http://127.0.0.1:{}", ports::free());
        let port = ports::free();
        let etcd = start_etcd(&directory, &etcd_url);
        write_api_server_files(&directory, &authority);
        let api_server = start_api_server(&directory, &etcd_url, port);
        let url = format!("https://127.0.0.1:{port}");
        let admin = kubeconfig::render(&url, authority.certificate(), &Credential::Token(ADMIN));
        let admin = Arc::new(Admin::new(admin));
        let bed = Bed {
            url,
            audit: AuditLog::new(directory.join("audit.log"), Arc::clone(&admin)),
            admin,
            directory,
            authority,
            api_server: Mutex::new(api_server),
            others: Mutex::new(vec![etcd]),
            crds: OnceLock::new(),
        };
        std::fs::write(bed.directory.join("etcd-url"), &etcd_url).expect("write a file");
        std::fs::write(bed.admin_kubeconfig_path(), bed.admin_kubeconfig()).expect("write a kubeconfig");
        bed.wait_for_api_server();
        let others = bed.start_the_others();
        bed.others.lock().expect("lock").extend(others);
        bed.add_node();
        bed
    }

    /// The URL of the API server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CA of the API server's certificate, and of every client certificate
    /// it accepts.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Where this cluster keeps its files; removed with it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The requests that the API server has answered.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// A kubeconfig of the user `testbed-admin`, who may do everything.
    pub fn admin_kubeconfig(&self) -> String {
        self.kubeconfig_for_token(ADMIN)
    }

    /// The same, as a file.
    pub fn admin_kubeconfig_path(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig for a bearer token.
    pub fn kubeconfig_for_token(&self, token: &str) -> String {
        kubeconfig::render(&self.url, self.authority.certificate(), &Credential::Token(token))
    }

    /// A kubeconfig for a user of any name, with no right but what RBAC gives
    /// that name or group.
    pub fn kubeconfig_for_user(&self, user: &str, group: Option<&str>) -> String {
        let identity: Identity = self.authority.client(user, group);
        kubeconfig::render(&self.url, self.authority.certificate(), &Credential::Certificate(&identity))
    }

    /// A token of a ServiceAccount, from the API server's own issuer. Valid for
    /// an hour.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let request = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "spec": {"expirationSeconds": 3600}});
        self.admin.create(&path, &request)["status"]["token"].as_str().expect("a token").to_owned()
    }

    /// The processes of this cluster.
    pub fn process_ids(&self) -> Vec<u32> {
        let others = self.others.lock().expect("lock");
        others.iter().map(Server::id).chain([self.lock_api_server().id()]).collect()
    }

    /// Installs `config/crd`, once, and returns when the API server serves it.
    pub fn install_crds(&self) {
        self.crds.get_or_init(|| {
            let crds = repository().join("config/crd");
            let crds = crds.to_str().expect("the repository's path is text");
            self.kubectl(&["apply", "--server-side", "-f", crds], "");
            self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", crds], "");
        });
    }

    /// A client of the admin, for the runtime it is called in.
    pub async fn client(&self) -> kube::Client {
        client(&self.admin_kubeconfig()).await
    }

    /// Runs kubectl as the admin with `stdin`, and returns its output. Panics
    /// with what it said when it fails.
    pub fn kubectl(&self, arguments: &[&str], stdin: &str) -> String {
        let output = self.try_kubectl(arguments, stdin);
        assert!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs kubectl as the admin with `stdin`, for a test that wants it to fail.
    pub fn try_kubectl(&self, arguments: &[&str], stdin: &str) -> Output {
        kubectl(&self.admin_kubeconfig_path(), arguments, stdin)
    }

    /// Kills the API server. Its port stays its own.
    pub fn stop_api_server(&self) {
        self.lock_api_server().kill();
    }

    /// Starts the API server again, and returns when it is ready.
    pub fn start_api_server(&self) {
        let port =
            self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("the URL ends in a port");
        let etcd_url = std::fs::read_to_string(self.directory.join("etcd-url")).expect("read a file");
        *self.lock_api_server() = start_api_server(&self.directory, &etcd_url, port);
        self.wait_for_api_server();
    }

    /// Kills and starts it.
    pub fn restart_api_server(&self) {
        self.stop_api_server();
        self.start_api_server();
    }

    /// What etcd holds now, as a copy of its directory in the midst of its work: what
    /// a snapshot of a disk would be.
    pub fn snapshot(&self) -> Snapshot {
        let directory = processes::directory("snapshot");
        let others = self.others.lock().expect("lock");
        let etcd = others.first().expect("etcd was started first");
        etcd.freeze();
        copy(&self.directory.join("etcd"), &directory);
        etcd.thaw();
        Snapshot(directory.join("etcd"))
    }

    /// Puts the cluster back to what it was, and returns when the API server is
    /// ready.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.stop_api_server();
        let mut others = self.others.lock().expect("lock");
        others.remove(0).kill();
        let data = self.directory.join("etcd");
        std::fs::remove_dir_all(&data).expect("remove a directory");
        copy(&snapshot.0, &self.directory);
        let url = std::fs::read_to_string(self.directory.join("etcd-url")).expect("read a file");
        others.insert(0, start_etcd(&self.directory, &url));
        drop(others);
        self.start_api_server();
    }

    fn lock_api_server(&self) -> MutexGuard<'_, Server> {
        self.api_server.lock().expect("no test panicked while it held the API server")
    }

    fn wait_for_api_server(&self) {
        let ready = || {
            assert!(self.lock_api_server().running(), "{}", self.lock_api_server().tail());
            self.admin.get("/readyz").is_some()
        };
        poll_until("the API server is ready", READY, ready, || self.lock_api_server().tail());
    }

    fn start_the_others(&self) -> Vec<Server> {
        let tools = Tools::get();
        let kubeconfig = |name: &str| {
            let path = self.directory.join(format!("{name}.kubeconfig"));
            std::fs::write(&path, self.kubeconfig_for_token(&infrastructure_token(name)))
                .expect("write a file");
            path
        };
        let mut controllers = processes::command(tools.path("kube-controller-manager"));
        controllers
            .args([
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ])
            .args(["--concurrent-namespace-syncs=20"])
            .arg(format!("--secure-port={}", ports::free()))
            .arg(flag("--cert-dir", &self.directory.join("kube-controller-manager")))
            .arg(flag("--kubeconfig", &kubeconfig("kube-controller-manager")))
            .arg(flag("--root-ca-file", &self.directory.join("ca.crt")))
            .arg(flag("--service-account-private-key-file", &self.directory.join("accounts.key")));
        let mut scheduler = processes::command(tools.path("kube-scheduler"));
        scheduler
            .args([
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                "--kube-api-qps=500",
                "--kube-api-burst=1000",
            ])
            .arg(format!("--secure-port={}", ports::free()))
            .arg(flag("--cert-dir", &self.directory.join("kube-scheduler")))
            .arg(flag("--kubeconfig", &kubeconfig("kube-scheduler")));
        let mut kwok = processes::command(tools.path("kwok"));
        // KWOK looks for a configuration in the home directory too.
        kwok.env("HOME", &self.directory)
            .arg("--manage-all-nodes")
            .args(["--node-lease-duration-seconds=40"])
            .arg(format!("--server-address=127.0.0.1:{}", ports::free()))
            .arg(flag("--kubeconfig", &kubeconfig("kwok")));
        for stage in ["node-ready", "pod-ready", "pod-failed", "pod-complete", "pod-delete"] {
            kwok.arg(flag("--config", &repository().join(format!("tests/support/stages/{stage}.yaml"))));
        }
        [("kube-controller-manager", controllers), ("kube-scheduler", scheduler), ("kwok", kwok)]
            .into_iter()
            .map(|(name, mut command)| {
                Server::start(name, &mut command, &self.directory.join(format!("{name}.log")))
            })
            .collect()
    }

    fn add_node(&self) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "kwok-0"}});
        self.kubectl(&["create", "-f", "-"], &node.to_string());
        let ready = || {
            // The account of a namespace without which no pod is admitted shows
            // that the controllers run.
            let account = self.admin.get("/api/v1/namespaces/default/serviceaccounts/default");
            let node =
                self.admin.get("/api/v1/nodes/kwok-0").and_then(|text| serde_json::from_str(&text).ok());
            account.is_some() && node.is_some_and(|node: serde_json::Value| is_ready(&node))
        };
        poll_until("the Node is ready", READY, ready, || {
            self.others.lock().expect("lock").iter().map(Server::tail).collect()
        });
    }
}

fn is_ready(node: &serde_json::Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    let ready =
        conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    // The controllers take the taint of a new node away once they see it ready.
    ready && node["spec"]["taints"].as_array().is_none_or(Vec::is_empty)
}

/// A client for any kubeconfig, for the runtime it is called in.
pub async fn client(kubeconfig: &str) -> kube::Client {
    let parsed = kube::config::Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let mut config =
        kube::Config::from_custom_kubeconfig(parsed, &Default::default()).await.expect("a configuration");
    config.proxy_url = None; // everything is on loopback, whatever the machine's proxy is
    kube::Client::try_from(config).expect("a client")
}

/// Runs kubectl with a kubeconfig file and `stdin`.
pub fn kubectl(kubeconfig: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut command = processes::command(Tools::get().path("kubectl"));
    // HOME: its cache of the API's kinds must not outlive the cluster.
    let home = kubeconfig.parent().expect("a kubeconfig lies in a directory");
    command.arg(flag("--kubeconfig", kubeconfig)).args(arguments).env("HOME", home);
    run(&mut command, stdin)
}

/// Runs a command to its end with `stdin`.
pub fn run(command: &mut Command, stdin: &str) -> Output {
    use std::io::Write;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {:?}: {error}", command.get_program()));
    let mut pipe = child.stdin.take().expect("stdin is a pipe");
    let text = stdin.to_owned();
    // From a thread: a program that prints before it has read all would block.
    let writer = std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
    let output = child.wait_with_output().expect("wait for a command");
    writer.join().expect("write to a command");
    output
}

pub(crate) fn flag(name: &str, value: &Path) -> std::ffi::OsString {
    let mut flag = std::ffi::OsString::from(name);
    flag.push("=");
    flag.push(value);
    flag
}

fn infrastructure_token(name: &str) -> String {
    format!("testbed-{name}-token")
}

/// A copy of etcd's directory, see [`Bed::snapshot`].
pub struct Snapshot(PathBuf);

fn copy(from: &Path, into: &Path) {
    let status = Command::new("cp").arg("-r").args([from, into]).status();
    assert!(status.expect("run cp").success(), "cannot copy {}", from.display());
}

fn start_etcd(directory: &Path, url: &str) -> Server {
    let peer = format!("http://127.0.0.1:{}", ports::free());
    let mut command = processes::command(Tools::get().path("etcd"));
    command
        .args(["--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes=8589934592"])
        .arg(flag("--data-dir", &directory.join("etcd")))
        .arg(format!("--listen-client-urls={url}"))
        .arg(format!("--advertise-client-urls={url}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"));
    Server::start("etcd", &mut command, &directory.join("etcd.log"))
}

// Every request is logged when it is received and when it is answered; a watch also
// when it starts. The control plane's own are left out: they would be most of the file. What an
// operator sends to make a Job is kept, to tell of which run of a step it is; and what it writes of leaders and
// owners, to tell whose turn it is.
const AUDIT_POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitManagedFields: true
rules:
  - level: None
    users: ["system:apiserver", "testbed:kube-controller-manager", "testbed:kube-scheduler", "testbed:kwok"]
  - level: Request
    userGroups: ["system:serviceaccounts"]
    verbs: ["patch"]
    resources: [{group: batch, resources: ["jobs"]}]
  - level: Request
    userGroups: ["system:serviceaccounts"]
    verbs: ["create", "update", "patch"]
    resources:
      - {group: coordination.k8s.io, resources: ["leases"]}
      - {group: supercargo.dev, resources: ["ociartifactreleases/status"]}
  - level: Metadata
"#;

fn write_api_server_files(directory: &Path, authority: &Authority) {
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text).expect("write a file");
    let mut tokens = format!("{ADMIN},testbed-admin,testbed-admin,system:masters\n");
    for name in ["kube-controller-manager", "kube-scheduler", "kwok"] {
        tokens += &format!("{},testbed:{name},testbed:{name},system:masters\n", infrastructure_token(name));
    }
    write("tokens.csv", &tokens);
    write("audit-policy.yaml", AUDIT_POLICY);
    write("ca.crt", authority.certificate());
    authority.server().write(directory, "api-server");
    let accounts = rcgen::KeyPair::generate().expect("generate a key");
    write("accounts.key", &accounts.serialize_pem());
    write("accounts.pub", &accounts.public_key_pem());
}

fn start_api_server(directory: &Path, etcd_url: &str, port: u16) -> Server {
    let file = |name: &str| directory.join(name);
    let mut command = processes::command(Tools::get().path("kube-apiserver"));
    let trusts = file(AUTHENTICATION).exists();
    let issuer = if trusts { "other" } else { "testbed" };
    if trusts {
        command.arg(flag("--authentication-config", &file(AUTHENTICATION)));
    }
    command.args(std::fs::read_to_string(file(FLAGS)).expect("read a file").lines());
    command
        .arg(format!("--etcd-servers={etcd_url}"))
        .arg(format!("--secure-port={port}"))
        .args(["--bind-address=127.0.0.1", "--service-cluster-ip-range=10.0.0.0/16", "--allow-privileged"])
        .arg("--authorization-mode=RBAC")
        .arg(format!("--service-account-issuer=https://{issuer}.invalid"))
        .arg(flag("--cert-dir", directory))
        .arg(flag("--tls-cert-file", &file("api-server.crt")))
        .arg(flag("--tls-private-key-file", &file("api-server.key")))
        .arg(flag("--client-ca-file", &file("ca.crt")))
        .arg(flag("--token-auth-file", &file("tokens.csv")))
        .arg(flag("--service-account-key-file", &file("accounts.pub")))
        .arg(flag("--service-account-signing-key-file", &file("accounts.key")))
        .arg(flag("--audit-policy-file", &file("audit-policy.yaml")))
        .arg(flag("--audit-log-path", &file("audit.log")))
        // Blocking: a request is in the file when its answer is out. The size is
        // in megabytes and keeps the file from being rotated under its readers.
        .args(["--audit-log-mode=blocking", "--audit-log-maxsize=100000"])
        // Memory is there; the collector would take a seventh of this process's time.
        .env("GOGC", "400");
    Server::start("kube-apiserver", &mut command, &file("kube-apiserver.log"))
}
