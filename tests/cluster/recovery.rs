//! The procedures of docs/operations.md, done as the page says: its own commands, on
//! a real cluster. What runs there stays as it is, and nothing is left behind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use supercargo_testbed::story::condition;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{processes, repository};

use crate::scene::{BINARY, Scene, config_map, deployment};

/// Somebody with the page before them.
pub struct Drill<'a> {
    pub scene: Scene<'a>,
    pub directory: PathBuf,
    /// Names of the page, and what stands for them here.
    pub names: Vec<(&'static str, String)>,
}

impl Drill<'static> {
    pub async fn begin(name: &str) -> Drill<'static> {
        Drill::of(Scene::begin(name).await).await
    }
}

impl<'a> Drill<'a> {
    /// With a release of a Deployment, a ConfigMap, and one that has left the revision
    /// and was kept: what only the inventory knows.
    pub async fn of(scene: Scene<'a>) -> Drill<'a> {
        scene.push("app", "1", &(app("one") + &kept()));
        scene.create("app", json!({"interval": "1h", "retryInterval": "1s"}));
        scene.story.wait_ready("app", "1@").await;
        scene.push("app", "2", &app("one"));
        scene.change("app", json!({"ref": {"tag": "2"}}));
        scene.story.wait_ready("app", "2@").await;
        Drill::before(scene)
    }

    /// Without a release.
    pub fn before(scene: Scene<'a>) -> Drill<'a> {
        let names = vec![
            ("ghcr.io/acme/demo-app-config", scene.url("app").trim_start_matches("oci://").to_owned()),
            ("-n apps", format!("-n {}", scene.namespace())),
            ("namespace apps", format!("namespace {}", scene.namespace())),
            ("namespace=apps", format!("namespace={}", scene.namespace())),
            ("demo-app", "app".to_owned()),
        ];
        Drill { scene, directory: processes::directory("drill"), names }
    }

    /// Does what a section of the page says, up to its end.
    pub fn follow(&mut self, section: &str) -> String {
        let commands = commands(section);
        assert!(!commands.is_empty(), "{section} says nothing to do");
        commands.iter().map(|command| self.type_in(command)).collect()
    }

    /// Types a command of the page. The Deployment of the operator is a process here.
    pub fn type_in(&mut self, command: &str) -> String {
        match command {
            _ if command.contains("scale deployment supercargo --replicas=0") => {
                self.scene.operator.stop();
            }
            _ if command.contains("deployment supercargo") => self.scene.restart(),
            _ => return self.run(command),
        }
        String::new()
    }

    fn run(&self, command: &str) -> String {
        let command =
            self.names.iter().fold(command.to_owned(), |command, (name, here)| command.replace(name, here));
        let tools = Tools::get().path("kubectl").parent().expect("a directory");
        let ours = Path::new(BINARY).parent().expect("a directory");
        let output = Command::new("bash")
            .args(["-c", &format!("set -euo pipefail\n{command}")])
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", format!("{}:{}:/usr/bin:/bin", ours.display(), tools.display()))
            .env("HOME", &self.directory)
            .env("KUBECONFIG", self.scene.story.bed().admin_kubeconfig_path())
            .stdin(Stdio::null())
            .output()
            .expect("run bash");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command}\n{out}{err}");
        format!("{out}{err}")
    }

    /// uid and resource version of everything that was applied.
    pub async fn objects(&self) -> BTreeMap<&'static str, [String; 2]> {
        let mut objects = BTreeMap::new();
        for (version, plural, name) in OBJECTS {
            let object = self.scene.story.object(version, plural, name).await;
            let object = object.unwrap_or_else(|| panic!("{plural}/{name} is gone"));
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            // A Deployment's status changes by itself.
            let version = if *plural == "deployments" {
                object["metadata"]["generation"].to_string()
            } else {
                text("resourceVersion")
            };
            objects.insert(*name, [text("uid"), version]);
        }
        objects
    }

    /// Waits until the release is Ready with a revision and as many entries.
    pub async fn wait_ready(&self, revision: &str, entries: usize) -> Value {
        let what = format!("Ready with {revision} and {entries} entries");
        let story = &self.scene.story;
        story
            .wait_for(&what, async || {
                let release = story.release("app").await?;
                let ready = condition(&release, "Ready")?.status == "True";
                let applied = release["status"]["lastAppliedRevision"].as_str()?.contains(revision);
                (ready && applied && release["status"]["inventory"]["entries"] == entries).then_some(release)
            })
            .await
    }
}

const OBJECTS: &[(&str, &str, &str)] =
    &[("v1", "configmaps", "settings"), ("v1", "configmaps", "kept"), ("apps/v1", "deployments", "web")];

/// What a revision holds.
pub fn app(value: &str) -> String {
    config_map("settings", value) + &deployment("web", "web:1", 1)
}

/// What is kept when it leaves.
pub fn kept() -> String {
    config_map("kept", "one")
        .replace("name: kept}", "name: kept, annotations: {supercargo.dev/prune: disabled}}")
}

/// The commands in the console blocks of a section of the page.
pub fn commands(section: &str) -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("docs/operations.md")).expect("read the page");
    let mut commands: Vec<String> = Vec::new();
    let (mut here, mut inside) = (false, false);
    for line in page.lines() {
        match line {
            _ if line.starts_with('#') && !inside => here = line.trim_start_matches('#').trim() == section,
            "```console" => inside = true,
            "```" => inside = false,
            _ if !(here && inside) => {}
            _ => match commands.last_mut().filter(|last| last.ends_with('\\')) {
                Some(last) => last.push_str(&format!("\n{line}")),
                None => commands.push(line.to_owned()),
            },
        }
    }
    commands
}
