//! What the demo plays on: the cluster, the registry and the operator, and a
//! narrator that shows each command before it runs.

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use serde_json::Value;
use supercargo_testbed::operator::{Operator, Options};
use supercargo_testbed::story::{DEADLINE, condition};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Account, Bed, Registry, processes, within};

const BINARY: &str = env!("CARGO_BIN_EXE_supercargo");

/// The running parts.
pub struct Stage {
    // In this order they end.
    operator: Operator,
    registry: Registry,
    bed: Bed,
    start: Instant,
}

impl Stage {
    /// Starts everything and installs Supercargo as its documentation says.
    pub fn set() -> Stage {
        let tools = Tools::get(); // builds them the first time, which is not part of the story
        let start = Instant::now();
        chapter("Cluster", "A real control plane and a real registry, on loopback.");
        let bed = Bed::start();
        let registry = Registry::plain();
        println!("  Kubernetes at {}, registry at {}", bed.url(), registry.host());
        chapter(
            "Supercargo",
            "The CRD and the rights of config/, and the operator with its account's token.",
        );
        let kubectl =
            |arguments: &[&str]| tell(tools.path("kubectl"), arguments, &bed.admin_kubeconfig_path());
        kubectl(&["apply", "--server-side", "-f", "config/crd"]);
        kubectl(&["apply", "--server-side", "-k", "config/rbac"]);
        kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", "config/crd"]);
        let account = Account::existing(&bed, "supercargo-system");
        let mut operator = Options::new(BINARY, &account).start();
        operator.wait_ready();
        println!("  supercargo controller runs as {} (process {})", account.user(), operator.id());
        Stage { operator, registry, bed, start }
    }

    /// The cluster.
    pub fn bed(&self) -> &Bed {
        &self.bed
    }

    /// The URL of the sample app's artifact with a tag.
    pub fn artifact(&self, tag: &str) -> String {
        format!("oci://{}/demo-app-config:{tag}", self.registry.host())
    }

    /// A release of it.
    pub fn release(&self, tag: &str) -> String {
        format!(
            "\
apiVersion: supercargo.dev/v1alpha1
kind: OCIArtifactRelease
metadata: {{name: demo-app, namespace: default}}
spec:
  url: oci://{}/demo-app-config
  ref: {{tag: {tag}}}
  interval: 5m
  insecure: true # plain HTTP, on loopback
  prune: true
  wait: true
",
            self.registry.host()
        )
    }

    /// Shows and runs the real CLI.
    pub fn supercargo(&self, arguments: &[&str]) {
        tell(Path::new(BINARY), arguments, &self.bed.admin_kubeconfig_path());
    }

    /// Shows and runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) {
        tell(Tools::get().path("kubectl"), arguments, &self.bed.admin_kubeconfig_path());
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
            let text = self.bed.kubectl(&["get", "ociartifactrelease", "demo-app", "-o", "json"], "");
            let release: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
            let revision = release["status"]["lastAppliedRevision"].as_str().unwrap_or_default();
            let ready = condition(&release, "Ready").is_some_and(|ready| ready.status == "True");
            (ready && revision.starts_with(&format!("{tag}@"))).then_some(release)
        });
        println!("  → Ready after {:.1} s", start.elapsed().as_secs_f64());
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

/// Ends the demo when the release does not say what was told.
pub fn expect(release: &Value, pointer: &str, number: i64) {
    assert_eq!(release.pointer(pointer).and_then(Value::as_i64), Some(number), "{pointer} of {release:#}");
}

/// A heading and what happens under it.
pub fn chapter(name: &str, text: &str) {
    println!("\n■ {name}\n  {text}");
}

// Shows a command and what it says, and ends the demo when it fails.
fn tell(program: &Path, arguments: &[&str], kubeconfig: &Path) {
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
        .stdout(file.try_clone().expect("clone a file handle"))
        .stderr(file)
        .status()
        .expect("run a program");
    indented(&std::fs::read_to_string(said).expect("read a file"));
    assert!(status.success(), "{name} ended with {status}");
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
