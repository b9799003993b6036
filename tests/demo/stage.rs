//! What the demo plays on: the cluster, the registry and the operator, and a
//! narrator that shows each command before it runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Instant;

use serde_json::Value;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::registry::{self, Notify};
use supercargo_testbed::story::{DEADLINE, condition};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Account, Bed, Registry, ports, processes, within};

const BINARY: &str = env!("CARGO_BIN_EXE_supercargo");

/// The running parts.
pub struct Stage {
    // In this order they end.
    operator: Operator,
    registry: Registry,
    bed: Bed,
    keys: PathBuf,
    start: Instant,
}

/// What the registry and the operator know.
const SECRET: &str = "a-secret-of-the-demo-only";
/// The namespace whose releases the registry may ask to run.
pub const PUSHED: &str = "greetings";
/// Where the artifact is.
const REPOSITORY: &str = "demo-app-config";

impl Stage {
    /// Starts everything and installs Supercargo as its documentation says.
    pub fn set() -> Stage {
        let tools = Tools::get(); // builds them the first time, which is not part of the story
        let start = Instant::now();
        chapter("Cluster", "A real control plane and a real registry, on loopback.");
        let bed = Bed::start();
        let hooks = format!("127.0.0.1:{}", ports::free());
        let registry = Registry::start(&registry::Options {
            notify: Some(Notify {
                url: format!("http://{hooks}/hook/registry"),
                authorization: format!("Bearer {SECRET}"),
            }),
            ..registry::Options::default()
        });
        println!("  Kubernetes at {}, registry at {}", bed.url(), registry.host());
        chapter(
            "Supercargo",
            "The CRD and the rights of config/, an account for the release, and the operator with its account's token.",
        );
        let kubectl =
            |arguments: &[&str]| done(tools.path("kubectl"), arguments, &bed.admin_kubeconfig_path());
        kubectl(&["apply", "--server-side", "-f", "config/crd"]);
        kubectl(&["apply", "--server-side", "-k", "config/rbac"]);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", "config/crd"]);
        // The operator may do little; the release has an account that may do more.
        kubectl(&["create", "serviceaccount", "deployer"]);
        kubectl(&[
            "create",
            "clusterrolebinding",
            "deployer",
            "--clusterrole=cluster-admin",
            "--serviceaccount=default:deployer",
        ]);
        let account = Account::existing(&bed, "supercargo-system");
        let mut operator = Options::new(BINARY, &account)
            .argument(&format!("--webhook-addr={hooks}"))
            .argument(&format!("--webhook-config={}", receivers()))
            .start();
        operator.wait_ready();
        println!("  supercargo controller runs as {} (process {})", account.user(), operator.id());
        Stage { operator, registry, bed, keys: processes::directory("keys"), start }
    }

    /// The cluster.
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// The URL of the sample app's artifact with a tag.
    pub fn artifact(&self, tag: &str) -> String {
        format!("oci://{}/{REPOSITORY}:{tag}", self.registry.host())
    }

    /// The URL of an artifact in another repository; without a tag it ends with a colon.
    pub fn artifact_of(&self, repository: &str, tag: &str) -> String {
        format!("oci://{}/{repository}:{tag}", self.registry.host())
    }

    /// The URL of another artifact, which a release in [`PUSHED`] follows.
    pub fn greeting(&self) -> String {
        format!("oci://{}/greeting", self.registry.host())
    }

    /// A release of it.
    pub fn release(&self, tag: &str) -> String {
        format!(
            "\
apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: demo-app, namespace: default}}
spec:
  url: oci://{}/{REPOSITORY}
  ref: {{tag: {tag}}}
  interval: 5m
  insecure: true # plain HTTP, on loopback
  verify:
    provider: cosign
    secretRef: {{name: cosign-keys}}
  serviceAccountName: deployer
  prune: true
  wait: true
",
            self.registry.host()
        )
    }

    /// Shows and runs the real CLI.
    pub fn supercargo(&self, arguments: &[&str]) {
        done(Path::new(BINARY), arguments, &self.bed.admin_kubeconfig_path());
    }

    /// The same, which has to end with 1.
    pub fn refuses(&self, arguments: &[&str]) {
        self.shows(arguments, 1);
    }

    /// The same, which has to end with that code.
    pub fn shows(&self, arguments: &[&str], code: i32) {
        let status = tell(Path::new(BINARY), arguments, &self.bed.admin_kubeconfig_path());
        assert_eq!(status.code(), Some(code), "supercargo ended with {status}");
    }

    /// Shows and runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) {
        done(Tools::get().path("kubectl"), arguments, &self.bed.admin_kubeconfig_path());
    }

    /// Shows and runs the real cosign.
    pub fn cosign(&self, arguments: &[&str]) {
        done(Tools::get().path("cosign"), arguments, &self.bed.admin_kubeconfig_path());
    }

    /// A file of keys.
    pub fn key(&self, name: &str) -> String {
        self.keys.join(name).display().to_string()
    }

    /// Signs what the tag names, by its digest.
    pub fn sign(&self, tag: &str) {
        let reference = format!("{}/{REPOSITORY}@{}", self.registry.host(), self.digest(tag));
        // Without a public log, and on plain HTTP.
        let here = ["--tlog-upload=false", "--use-signing-config=false", "--allow-http-registry"];
        let sign = ["sign", "--key", &self.key("cosign.key"), "--yes"];
        self.cosign(&[&sign[..], &here, &[&reference]].concat());
    }

    /// Puts the signature of one tag beside another.
    pub fn copy_signature(&self, from: &str, to: &str) {
        let bundles = self.registry.bundles(REPOSITORY, &self.digest(from));
        let bundle = bundles.first().expect("it is signed");
        self.registry.attach_bundle(REPOSITORY, &self.digest(to), bundle);
        println!("  (the signature of {from} lies beside {to} now)");
    }

    /// A copy of a directory of manifests in which one image is another.
    pub fn tamper(&self, directory: &str, image: &str, evil: &str) -> String {
        let copy = processes::directory("evil");
        let mut found = false;
        let files = fs::read_dir(supercargo_testbed::repository().join(directory)).expect("a directory");
        for file in files {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("read a file");
            let lines = text.lines().map(|line| match line.split_once("image: ") {
                Some((before, named)) if named.contains(image) => {
                    found = true;
                    format!("{before}image: {evil}\n")
                }
                _ => format!("{line}\n"),
            });
            let text: String = lines.collect();
            fs::write(copy.join(path.file_name().expect("a name")), text).expect("write a file");
        }
        assert!(found, "{directory} names {image}");
        copy.display().to_string()
    }

    /// Lets the release follow another tag.
    pub fn follow(&self, tag: &str) {
        let patch = format!(r#"{{"spec":{{"ref":{{"tag":"{tag}"}}}}}}"#);
        self.kubectl(&["patch", "ociartifactrelease", "demo-app", "--type=merge", "-p", &patch]);
    }

    fn digest(&self, tag: &str) -> String {
        let reference = format!("{}/{REPOSITORY}:{tag}", self.registry.host());
        self.registry.crane(&["digest", "--insecure", &reference]).trim().to_owned()
    }

    fn read_release(&self) -> Value {
        let text = self.bed.kubectl(&["get", "ociartifactrelease", "demo-app", "-o", "json"], "");
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }

    /// Shows and applies YAML.
    pub fn apply(&self, yaml: &str) {
        println!("  $ kubectl apply -f - <<EOF");
        indented(&format!("{yaml}EOF"));
        indented(&self.bed.kubectl(&["apply", "-f", "-"], yaml));
    }

    /// Waits until the release is Ready with that tag, and returns it.
    pub fn wait_ready(&self, tag: &str) -> Value {
        let start = Instant::now();
        let release = self.wait(&format!("demo-app is Ready with {tag}"), || {
            let release = self.read_release();
            let revision = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
            let ready = condition(&release, "Ready").is_some_and(|ready| ready.status == "True");
            (ready && revision.starts_with(&format!("{tag}@"))).then_some(release)
        });
        println!("  → Ready after {:.1} s", start.elapsed().as_secs_f64());
        release
    }

    /// Waits until the release is refused for that reason, tells why, and returns it.
    pub fn wait_refused(&self, reason: &str) -> Value {
        let release = self.wait(&format!("demo-app is refused for {reason}"), || {
            let release = self.read_release();
            let ready = condition(&release, "Ready")?;
            let told = ready.status == "False" && ready.reason == reason;
            told.then_some(release)
        });
        let ready = condition(&release, "Ready").expect("it was there");
        println!("  → {reason}: {}", ready.message);
        release
    }

    /// Waits for an answer; ends the demo with all it knows when there is none.
    pub fn wait<T>(&self, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
        let mut answer = None;
        within(DEADLINE, || {
            answer = probe();
            answer.is_some()
        });
        answer.unwrap_or_else(|| {
            self.kubectl(&["get", "ociartifactreleases", "-o", "yaml"]);
            panic!("{what}: not within {DEADLINE:?}\n{}", self.operator.log())
        })
    }

    /// Prints how to go on by hand, and stays until somebody ends the process:
    /// everything ends with it.
    pub fn keep(&self) -> ! {
        let programs = Tools::get().path("kubectl").parent().expect("a directory");
        chapter("Kept", "All of it runs until Ctrl-C. In another terminal:");
        println!("  export KUBECONFIG={}", self.bed.admin_kubeconfig_path().display());
        println!(
            "  export PATH={}:{}:$PATH",
            Path::new(BINARY).parent().expect("a directory").display(),
            programs.display()
        );
        println!("  kubectl get ociartifactreleases --all-namespaces --watch");
        println!("  supercargo push artifact {} -f DIRECTORY", self.artifact("1.0.2"));
        println!("  curl http://{}/metrics", self.operator.address());
        loop {
            std::thread::park();
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            println!("\n(told in {:.0} s)", self.start.elapsed().as_secs_f64());
            self.operator.stop();
        }
    }
}

/// A file of the receivers of webhooks: the registry, for one namespace.
fn receivers() -> String {
    let path = processes::directory("receivers").join("receivers.yaml");
    let text = format!(
        "apiVersion: supercargo.dev/v1alpha1\nkind: WebhookConfig\nreceivers:\n\
         - {{name: registry, type: distribution, secret: {SECRET}, namespaces: [{PUSHED}]}}\n"
    );
    fs::write(&path, text).expect("write a file");
    path.display().to_string()
}

/// Ends the demo when the release does not say what was told.
pub fn expect(release: &Value, pointer: &str, number: i64) {
    assert_eq!(release.pointer(pointer).and_then(Value::as_i64), Some(number), "{pointer} of {release:#}");
}

/// A heading and what happens under it.
pub fn chapter(name: &str, text: &str) {
    println!("\n■ {name}\n  {text}");
}

// Shows a command and what it says, and ends the demo when it fails.
fn done(program: &Path, arguments: &[&str], kubeconfig: &Path) {
    let status = tell(program, arguments, kubeconfig);
    assert!(status.success(), "{} ended with {status}", program.display());
}

// Shows a command and what it says.
fn tell(program: &Path, arguments: &[&str], kubeconfig: &Path) -> ExitStatus {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let quoted: Vec<String> = arguments.iter().map(|argument| quote(argument)).collect();
    println!("  $ {name} {}", quoted.join(" "));
    // Both streams into one file, so that their lines stay in order.
    let said = processes::directory("said").join("output");
    let file = File::create(&said).expect("create a file");
    let status = processes::command(program)
        .args(arguments)
        .current_dir(supercargo_testbed::repository())
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", kubeconfig.parent().expect("a directory"))
        // That of the demo's key.
        .env("COSIGN_PASSWORD", "")
        .stdout(file.try_clone().expect("clone a file handle"))
        .stderr(file)
        .status()
        .expect("run a program");
    indented(&std::fs::read_to_string(said).expect("read a file"));
    status
}

fn quote(argument: &str) -> String {
    let plain = argument.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./:@,{}[]".contains(c));
    if plain { argument.to_owned() } else { format!("'{argument}'") }
}

fn indented(text: &str) {
    for line in text.lines() {
        println!("    {line}");
    }
}
