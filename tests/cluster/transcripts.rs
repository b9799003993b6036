//! What a person sees of whole sessions at the command line, held by snapshots.
//!
//! A change of a text shows in the diff of `snapshots/`. To accept it, run the stories
//! with `INSTA_UPDATE=always` and look at the diff.

use std::fmt::Write as _;

use regex::Regex;
use serde_json::json;
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, config_map, message};
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

/// The commands of a session and what each has printed.
struct Transcript {
    person: Shell,
    /// What differs from run to run, and what stands for it.
    names: Vec<(String, &'static str)>,
    text: String,
}

impl Transcript {
    fn of(scene: &Scene<'_>) -> Transcript {
        let person = Shell::admin(&scene.story);
        let names = vec![
            (scene.registry().host().to_owned(), "REGISTRY"),
            (format!("supercargo v{}", env!("CARGO_PKG_VERSION")), "supercargo VERSION"),
            (scene.namespace().to_owned(), "NAMESPACE"),
            (person.home().display().to_string(), "HOME"),
        ];
        Transcript { person, names, text: String::new() }
    }

    /// Writes a file into the person's home and gives its path.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.person.home().join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("create a directory");
        std::fs::write(&path, content).expect("write a file");
        path.display().to_string()
    }

    /// Runs a command and records it, its output, its errors and its exit code.
    fn run(&mut self, arguments: &[&str]) {
        let said = self.person.run(arguments);
        let record = writeln!(
            self.text,
            "$ supercargo {}\n{}{}[exit {}]\n",
            arguments.join(" "),
            said.out,
            said.err,
            said.code
        );
        record.expect("write into a String");
    }

    /// The session without what differs from run to run.
    fn shown(self) -> String {
        let mut text = self.text;
        for (name, shown) in &self.names {
            text = text.replace(name, shown);
        }
        for (pattern, shown) in [
            (r"sha256:[0-9a-f]{64}", "sha256:<64 digits>"),
            (r"sha256:[0-9a-f]{12}\b", "sha256:<12 digits>"),
            (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z", "<time>"),
            (r"\b(\d+[dhm])*\d+(\.\d+)?(ms|s|m|h)\b", "<duration>"),
            (r" {3,}", "   "),
            (r"(?m) +$", ""),
        ] {
            let pattern = Regex::new(pattern).expect("a regular expression");
            text = pattern.replace_all(&text, shown).into_owned();
        }
        text
    }
}

#[story]
async fn a_session_with_a_release() {
    let scene = Scene::begin("transcript-release").await;
    scene
        .install("app", &format!("{}---\n{}", config_map("a", "one"), config_map("b", "one")), json!({}))
        .await;
    let watched = async || {
        let release = scene.story.release("app").await?;
        (message(&release, "Drifted") == "No drift").then_some(())
    };
    scene.story.wait_for("every object is watched", watched).await;
    let mut session = Transcript::of(&scene);
    session.run(&["get", "releases"]);
    session.run(&["status", "release", "app"]);
    session.run(&["diff", "release", "app"]);
    session.run(&["suspend", "release", "app"]);
    session.run(&["suspend", "release", "app"]);
    session.run(&["get", "releases", "app", "-o", "name"]);
    session.run(&["resume", "release", "app"]);
    session.run(&["reconcile", "release", "app"]);
    scene.create("broken", json!({}));
    scene.story.wait_condition("broken", "Ready", "False", "ArtifactNotFound").await;
    session.run(&["reconcile", "release", "broken"]);
    session.run(&["status", "release", "broken"]);
    session.run(&["status", "release", "nothing"]);
    insta::assert_snapshot!("a session with a release", session.shown());
}

#[story]
async fn a_session_with_an_inventory() {
    let scene = Scene::begin("transcript-inventory").await;
    let mut session = Transcript::of(&scene);
    let both =
        session.file("both.yaml", &format!("{}---\n{}", config_map("a", "one"), config_map("b", "one")));
    let one = session.file("one.yaml", &config_map("a", "two"));
    session.run(&["diff", "-i", "web", "-f", &both]);
    session.run(&[
        "apply",
        "-i",
        "web",
        "-f",
        &both,
        "--source",
        "https://example.com/web",
        "--revision",
        "1",
    ]);
    session.run(&["get", "inventories", "-n", scene.namespace()]);
    session.run(&["inspect", "inventory", "web"]);
    session.run(&["diff", "-i", "web", "-f", &one, "--prune"]);
    session.run(&["apply", "-i", "web", "-f", &one, "--prune", "--dry-run"]);
    session.run(&["apply", "-i", "web", "-f", &one, "--prune", "--wait"]);
    session.run(&["apply", "-i", "web", "-f", "nowhere.yaml"]);
    session.run(&["delete", "-i", "web"]);
    session.run(&["delete", "-i", "web"]);
    insta::assert_snapshot!("a session with an inventory", session.shown());
}

#[story]
async fn a_session_with_an_artifact() {
    let scene = Scene::begin("transcript-artifact").await;
    let mut session = Transcript::of(&scene);
    let directory = session.person.home().join("config").display().to_string();
    session.file("config/a.yaml", &config_map("a", "one"));
    let url = |tag: &str| format!("{}:{tag}", scene.url("web"));
    session.run(&["build", "-f", &directory]);
    session.run(&[
        "push",
        "artifact",
        &url("1.0.0"),
        "-f",
        &directory,
        "--source",
        "https://example.com/web",
    ]);
    session.run(&["list", "artifacts", &scene.url("web")]);
    session.run(&["inspect", "artifact", &url("1.0.0")]);
    session.run(&["pull", "artifact", &url("1.0.0")]);
    session.run(&["pull", "artifact", &url("2.0.0")]);
    session.run(&["verify", "artifact", &url("1.0.0")]);
    session.file("config/b.yaml", "kind: ConfigMap\nmetadata: {name: b}\n");
    session.run(&["push", "artifact", &url("1.0.1"), "-f", &directory]);
    insta::assert_snapshot!("a session with an artifact", session.shown());
}
