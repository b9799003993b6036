//! A person at the command line: a namespace, a kubeconfig, a directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use supercargo_testbed::audit::Request;
use supercargo_testbed::bed::{self, Bed};
use supercargo_testbed::processes;
use supercargo_testbed::story::Story;
use supercargo_testbed::tools::Tools;

use crate::scene::BINARY;

/// A person, with a part of the cluster of their own.
pub struct Hand {
    pub story: Story<'static>,
    directory: PathBuf,
    user: String,
}

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ended {
    /// `namespace` is written `NS` in it.
    pub fn of(output: &Output, namespace: &str) -> Ended {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(namespace, "NS");
        Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Hand {
    /// Of an administrator with a name of their own in the audit log.
    pub async fn begin(name: &str) -> Hand {
        let story = Story::begin(name).await;
        let user = format!("{}-user", story.namespace());
        let hand = Hand { directory: processes::directory("hand"), story, user };
        let kubeconfig = hand.bed().kubeconfig_for_user(&hand.user, Some("system:masters"));
        hand.file_as_is("kubeconfig", &kubeconfig);
        hand
    }

    pub fn bed(&self) -> &'static Bed {
        self.story.bed()
    }

    pub fn namespace(&self) -> &str {
        self.story.namespace()
    }

    /// Writes a file into the directory; `NS` in it becomes the namespace.
    pub fn file(&self, name: &str, text: &str) -> String {
        self.file_as_is(name, &self.here(text))
    }

    /// The same; a kubeconfig may have `NS` in a certificate.
    pub fn file_as_is(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("create a directory");
        std::fs::write(&path, text).expect("write a file");
        path.display().to_string()
    }

    pub fn here(&self, text: &str) -> String {
        text.replace("NS", self.namespace())
    }

    /// The person's kubeconfig.
    pub fn kubeconfig(&self) -> String {
        std::fs::read_to_string(self.directory.join("kubeconfig")).expect("a kubeconfig")
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The binary in the directory, with `-n` of the namespace unless a namespace
    /// is named.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = processes::command(BINARY);
        let tools = Tools::get().path("kubectl");
        command
            .args(arguments.iter().map(|a| self.here(a)))
            .current_dir(&self.directory)
            .env("PATH", tools.parent().expect("a directory"))
            .env("HOME", &self.directory)
            .env("KUBECONFIG", self.directory.join("kubeconfig"))
            .env_remove("DOCKER_CONFIG")
            .env_remove("SOURCE_DATE_EPOCH");
        if !arguments.iter().any(|a| a.starts_with("-n") || a.starts_with("--namespace") || *a == "-A") {
            command.args(["-n", self.namespace()]);
        }
        command
    }

    /// Runs it to its end; `NS` in stdin becomes the namespace.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Ended {
        let output = bed::run(&mut self.command(arguments), &self.here(stdin));
        Ended::of(&output, self.namespace())
    }

    /// The same, of a verb that succeeds and prints nothing on stdout. Returns
    /// stderr.
    pub fn does(&self, arguments: &[&str], stdin: &str) -> String {
        let ended = self.run(arguments, stdin);
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{arguments:?}: {}", ended.err);
        ended.err
    }

    /// Runs it and compares everything that it says. `NS` stands for the namespace.
    pub fn says(&self, arguments: &[&str], stdin: &str, code: i32, out: &str, err: &str) {
        let expected = Ended { code: Some(code), out: out.to_owned(), err: err.to_owned() };
        assert_eq!(self.run(arguments, stdin), expected, "{arguments:?}");
    }

    /// Starts it, with stdin from a file, and both streams kept.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("start the binary")
    }

    /// Waits for the end of what was started.
    pub fn end(&self, child: Child) -> Ended {
        Ended::of(&child.wait_with_output().expect("wait for the binary"), self.namespace())
    }

    pub async fn config_map(&self, name: &str) -> Option<Value> {
        self.story.object("v1", "configmaps", name).await
    }

    /// The ids that an inventory names, `NS` for the namespace; none when there is
    /// no inventory.
    pub async fn named(&self, inventory: &str) -> Vec<String> {
        let Some(map) = self.config_map(&format!("inv-{inventory}")).await else { return Vec::new() };
        let text = map["data"]["resources"].as_str().expect("resources");
        let entries: Vec<Value> = serde_json::from_str(text).expect("a list");
        let id = |e: &Value| e["id"].as_str().expect("an id").replace(self.namespace(), "NS");
        entries.iter().map(id).collect()
    }

    /// Does something, and returns the requests that this person sent meanwhile.
    pub fn requests(&self, act: impl FnOnce()) -> Vec<Request> {
        let mark = self.bed().audit().mark();
        act();
        self.bed().audit().since(mark, &self.user)
    }

    /// Takes all finalizers off an object, `configmap/x`.
    pub fn let_go(&self, object: &str) {
        let patch = json!({"metadata": {"finalizers": null}}).to_string();
        self.story.kubectl(&["patch", object, "--type=merge", "--patch", &patch], "");
    }
}

/// A ConfigMap as a document.
pub fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{v: '{value}'}}\n---\n")
}

/// One that something holds.
pub fn held(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, finalizers: [example.com/hold]}}\n---\n"
    )
}

/// A Deployment whose pods no node can take.
pub fn homeless(name: &str) -> String {
    deployment(name, "", "nodeSelector: {no: such}, ")
}

/// A Deployment whose pods fail.
pub fn failing(name: &str) -> String {
    deployment(name, ", testbed.supercargo.dev/pod: failed", "")
}

/// A Deployment of one pod, with more labels and more in the pod's spec: it fails soon
/// where these keep the pod from running.
pub fn deployment(name: &str, label: &str, spec: &str) -> String {
    let deadline = if label.is_empty() && spec.is_empty() { 600 } else { 1 };
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  progressDeadlineSeconds: {deadline}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}{label}}}}}
    spec: {{{spec}containers: [{{name: main, image: \"main:1\"}}]}}
---
"
    )
}
