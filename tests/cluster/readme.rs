//! README.md, typed from top to bottom: the chart out of a registry, without a clone, and the sample
//! release with the rights that it comes with, and no others. Its picture shows what was printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Bed, Profiles, Registry, processes, repository, story};

use super::chart::{helm, pods};
use super::scene::BINARY;

mod picture;

const PROFILES: Profiles = Profiles::First("its operator has the rights that the chart gives it");

/// The registry of the chart, and that of the reader.
const CHARTS: &str = "oci://ghcr.io/supercargo-dev/charts";
const READERS: &str = "ghcr.io/acme";
/// Where the sample is fetched from: the files of the newest version.
const FILES: &str =
    "curl -fsSL --remote-name-all https://raw.githubusercontent.com/supercargo-dev/supercargo/main/";
const HOME: &str = "supercargo-system";
const PICTURE: &str = "docs/images/terminal.svg";

/// The commands with a prompt.
fn commands(page: &str) -> Vec<String> {
    page.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

struct Reader<'a> {
    bed: &'a Bed,
    registry: &'a Registry,
    directory: PathBuf,
    path: String,
}

impl Reader<'_> {
    /// Types a command in an empty directory; both streams, as a terminal shows them.
    fn run(&self, command: &str) -> String {
        let host = self.registry.host();
        let command = command.replace(CHARTS, &format!("oci://{host}/charts"));
        // Nothing here is on the Internet: the same files, of this version.
        let command = command.replace(FILES, &format!("cp --target-directory=. {}/", repository().display()));
        // The bed's registry has no certificate.
        let command = match command.starts_with("helm ") {
            true => format!("{command} --plain-http"),
            false => command,
        };
        let command = command.replace(
            "| kubectl apply",
            "| sed 's|interval: 5m|interval: 5m\\n  insecure: true|' | kubectl apply",
        );
        let said = self.directory.join("said");
        let file = fs::File::create(&said).expect("create a file");
        let status = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &command])
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.directory)
            .env("KUBECONFIG", self.bed.admin_kubeconfig_path())
            .env("REGISTRY", format!("{host}/acme"))
            .env("CLICOLOR_FORCE", "1")
            .env("COLUMNS", "110")
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("clone a file handle"))
            .stderr(file)
            .status()
            .expect("run bash");
        let said = fs::read_to_string(said).expect("read a file");
        assert!(status.success(), "{command}\n{status}\n{said}");
        said.replace(&format!("{host}/acme"), READERS).replace(&host, "ghcr.io")
    }
}

/// The chart, as the release workflow pushes it.
fn publish_chart(registry: &Registry) {
    let directory = processes::directory("chart-package");
    let place = directory.display().to_string();
    let chart = helm::chart().display().to_string();
    helm::printed(&helm::helm(None, &["package", &chart, "--destination", &place]));
    let package =
        fs::read_dir(&directory).expect("the directory").next().expect("a package").expect("an entry");
    let to = format!("oci://{}/charts", registry.host());
    helm::printed(&helm::helm(None, &["push", &package.path().display().to_string(), &to, "--plain-http"]));
}

/// What the Role of the sample allows, as `verb resource`.
fn allowed() -> BTreeSet<String> {
    let sample =
        fs::read_to_string(repository().join("config/samples/hello/release.yaml")).expect("the sample");
    let role = helm::objects(&sample).into_iter().find(|object| object["kind"] == "Role").expect("a Role");
    let texts = |rule: &Value, field: &str| -> Vec<String> {
        let all = rule[field].as_array().into_iter().flatten();
        all.map(|text| text.as_str().expect("text").to_owned()).collect()
    };
    let rules = role["rules"].as_array().expect("rules");
    let pairs = rules.iter().flat_map(|rule| {
        let verbs = texts(rule, "verbs");
        texts(rule, "resources")
            .into_iter()
            .flat_map(move |resource| verbs.clone().into_iter().map(move |verb| format!("{verb} {resource}")))
    });
    pairs.collect()
}

#[story]
async fn the_readme_works_as_it_is_typed() {
    // A cluster of its own: it names its namespaces, and the definition belongs to the chart.
    let bed = Bed::start();
    let registry = Registry::plain();
    publish_chart(&registry);
    let directory = processes::directory("reader");
    let tools = Tools::get().path("kubectl").parent().expect("a directory");
    let helms = Tools::helm().path("helm").parent().expect("a directory");
    let ours = Path::new(BINARY).parent().expect("a directory");
    let path = format!("{}:{}:{}:/usr/bin:/bin", ours.display(), tools.display(), helms.display());
    let reader = Reader { bed: &bed, registry: &registry, directory, path };

    let page = fs::read_to_string(repository().join("README.md")).expect("read the page");
    let commands = commands(&page);
    assert!(commands.len() > 9, "{commands:?}");
    let (install, rest) = commands.split_first().expect("a command");
    assert!(install.starts_with("helm install supercargo oci://"), "{install}");
    let mut shown = vec![(install.clone(), String::new())];
    reader.run(install);
    // Nothing runs containers here: the process of its pod, with the rights that the chart gave it.
    let mut operator = pods::options(&bed, HOME, &pods::newest(&bed, HOME)).start();
    operator.wait_ready();
    let mark = bed.audit().mark();
    for command in rest.iter().filter(|command| !command.starts_with("export ")) {
        if command.starts_with("kubectl -n hello delete") {
            assert!(
                bed.kubectl(&["-n", "hello", "get", "configmap", "hello", "-o", "yaml"], "")
                    .contains("Hello again")
            );
        }
        shown.push((command.clone(), reader.run(command)));
    }
    let printed = |says: &str| shown.iter().any(|(_, printed)| printed.contains(says));
    for says in ["published digest ghcr.io/acme/hello-config@sha256:", "condition met", "1.1.0@sha256:"] {
        assert!(printed(says), "{says}: {shown:#?}");
    }
    // Exactly the rights that it needs: each one was used, and none was missing.
    let account = "system:serviceaccount:hello:deployer";
    let requests = bed.audit().since(mark, &format!("system:serviceaccount:{HOME}:supercargo")).into_iter();
    let requests: Vec<_> = requests.filter(|r| r.impersonated.as_deref() == Some(account)).collect();
    let used: BTreeSet<String> = requests.iter().map(|r| format!("{} {}", r.verb, r.resource)).collect();
    let refused: BTreeSet<String> =
        requests.iter().filter(|r| r.code == 403).map(|r| format!("{} {}", r.verb, r.resource)).collect();
    assert_eq!(refused, BTreeSet::new());
    // The pods are asked only while the Deployment is not ready, an object is read only after a conflict, and lists come
    // in pages only from an API server that does not begin a watch with them.
    let is_sometimes = |pair: &&String| {
        let verbs = ["get ", "list "];
        [" pods", " replicasets"].iter().any(|kind| pair.ends_with(kind))
            || verbs.iter().any(|verb| pair.starts_with(verb))
    };
    let needed: BTreeSet<String> = allowed().into_iter().filter(|pair| !is_sometimes(&pair)).collect();
    let mut used: BTreeSet<String> = used.into_iter().filter(|pair| !is_sometimes(&pair)).collect();
    // An apply that creates is a patch which may create.
    let creates: Vec<String> =
        used.iter().filter_map(|pair| Some(format!("create {}", pair.strip_prefix("patch ")?))).collect();
    used.extend(creates);
    assert_eq!(used, needed);
    picture::check(&repository().join(PICTURE), &shown);
}
