//! docs/workflow.md, typed from top to bottom: a registry with passwords and
//! TLS, a cluster, cosign. What the page shows is what the commands print.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::Regex;
use supercargo_testbed::certificates::Authority;
use supercargo_testbed::registry::{Options, Registry, USERS};
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Bed, Profiles, processes, repository, story};

use super::scene::BINARY;

const PROFILES: Profiles = Profiles::First("the commands of docs/workflow.md, under the user's own rights");

const PAGE: &str = "docs/workflow.md";
/// The registry of the page.
const REGISTRY: &str = "ghcr.io/acme";

/// A command of the page, and what the page says that it prints.
struct Step {
    command: String,
    shown: String,
}

/// A shell in a directory with a copy of the samples.
struct Terminal {
    directory: PathBuf,
    exports: Vec<String>,
    path: String,
    kubeconfig: PathBuf,
    authority: PathBuf,
    registry: String,
}

impl Terminal {
    fn new(bed: &Bed, registry: &Registry, authority: &Authority) -> Terminal {
        let directory = processes::directory("workflow");
        let root = directory.join("root.pem");
        fs::write(&root, authority.certificate()).expect("write the CA");
        let tools = Tools::get().path("kubectl").parent().expect("a directory");
        let ours = Path::new(BINARY).parent().expect("a directory");
        let path = format!("{}:{}:/usr/bin:/bin", ours.display(), tools.display());
        let registry = format!("{}/acme", registry.host());
        let kubeconfig = bed.admin_kubeconfig_path();
        let mut terminal =
            Terminal { directory, exports: Vec::new(), path, kubeconfig, authority: root, registry };
        terminal.begin_anew();
        terminal
    }

    /// The samples as they are in the repository, and nothing exported.
    fn begin_anew(&mut self) {
        self.exports.clear();
        let samples = Command::new("cp")
            .args(["-r", "--parents", "config/samples"])
            .arg(&self.directory)
            .current_dir(repository())
            .status();
        assert!(samples.expect("run cp").success());
    }

    /// Types a command. What it prints is made to look like the page.
    fn run(&mut self, command: &str) -> String {
        if command.starts_with("export ") {
            self.exports.push(command.replace(REGISTRY, &self.registry));
            return String::new();
        }
        let script = format!("set -u\n{}\n{command}", self.exports.join("\n"));
        // Both streams into one file, so that their lines stay in order.
        let said = self.directory.join("said");
        let file = fs::File::create(&said).expect("create a file");
        let status = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&self.directory)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.directory)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("SSL_CERT_FILE", &self.authority)
            .env("COSIGN_PASSWORD", "")
            .env("REGISTRY_TOKEN", USERS[0].1)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("clone a file handle"))
            .stderr(file)
            .status()
            .expect("run bash");
        let said = fs::read_to_string(said).expect("read a file");
        let compares = command.contains("supercargo diff");
        assert!(status.success() || (compares && status.code() == Some(1)), "{command}\n{status}\n{said}");
        let said = said.replace(&self.registry, REGISTRY).replace(&self.directory.display().to_string(), "~");
        let host = self.registry.trim_end_matches("/acme");
        said.replace(host, REGISTRY.trim_end_matches("/acme"))
    }
}

/// The commands in the console blocks of the page.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            // Blocks without a prompt are not for this test.
            _ if steps.is_empty() && !line.starts_with("$ ") => inside = false,
            _ => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: String::new() }),
                (None, Some(step)) if step.command.ends_with('\\') => {
                    step.command.push('\n');
                    step.command.push_str(line);
                }
                (None, Some(step)) => {
                    step.shown.push_str(line);
                    step.shown.push('\n');
                }
                (None, None) => panic!("{line:?} comes before any command"),
            },
        }
    }
    steps
}

/// Without what is another in every run.
fn alike(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, same) in [
        ("[0-9a-f]{64}", "DIGEST"),
        (r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME"),
        // The width of a column follows the registry's name.
        (r"\b   +\b", "   "),
    ] {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, same).into_owned();
    }
    text
}

/// The page with what the commands have printed now.
fn rewritten(page: &str, printed: &[String]) -> String {
    let mut result = String::new();
    let (mut inside, mut continues) = (false, false);
    let mut printed = printed.iter();
    for line in page.lines() {
        let command = inside && (line.starts_with("$ ") || continues);
        if inside && !command && line != "```" {
            continue;
        }
        writeln!(result, "{line}").expect("write to a string");
        continues = command && line.ends_with('\\');
        if command && !continues {
            result.push_str(printed.next().map_or("", String::as_str));
        }
        inside = line == "```console" || (inside && line != "```");
    }
    result
}

#[story]
async fn the_page_of_the_workflow_shows_what_its_commands_print() {
    // A cluster of its own: the page lists all inventories.
    let bed = Bed::start();
    let authority = Authority::new("workflow");
    let registry =
        Registry::start(&Options { credentials: true, tls: Some(&authority), ..Options::default() });
    let page = fs::read_to_string(repository().join(PAGE)).expect("read the page");
    let steps = steps(&page);
    assert!(steps.len() > 20, "{} commands", steps.len());
    let mut terminal = Terminal::new(&bed, &registry, &authority);
    let printed: Vec<String> = steps.iter().map(|step| terminal.run(&step.command)).collect();
    if std::env::var_os("UPDATE_WORKFLOW").is_some() {
        fs::write(repository().join(PAGE), rewritten(&page, &printed)).expect("write the page");
        return;
    }
    // What other programs print is theirs, and not always in one order.
    let ours = steps.iter().zip(&printed).filter(|(step, _)| step.command.starts_with("supercargo "));
    for (step, printed) in ours {
        assert_eq!(
            alike(printed),
            alike(&step.shown),
            "$ {}\nprints something else than {PAGE} shows; UPDATE_WORKFLOW=1 writes it anew",
            step.command
        );
    }
}
