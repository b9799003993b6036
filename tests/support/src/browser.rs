//! A real browser, driven by its own driver: Chromium and chromedriver, as Debian has them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::processes::{self, Server};
use crate::tools::Environment;
use crate::{fetch, poll_until, ports, repository};

/// How long the driver, and the page, may take to start.
const START: Duration = Duration::from_secs(30);
/// What is missing, and the cure.
const MISSING: &str = "the tests of the page run in a real browser: install chromium and chromedriver \
                       (on Debian: apt-get install chromium chromium-driver)";

/// A running driver: each session with it is a browser with a profile of its own.
#[derive(Debug)]
pub struct Driver {
    server: Server,
    port: u16,
}

impl Driver {
    /// Starts one. Panics with what to install where there is none.
    pub fn start() -> Driver {
        let (driver, _) = programs();
        let port = ports::free();
        let directory = processes::directory("browser");
        let log = directory.join("chromedriver.log");
        let mut command = processes::command(driver);
        command.arg(format!("--port={port}")).env("HOME", &directory).env("TMPDIR", &directory);
        let server = Server::start("chromedriver", &mut command, &log);
        let driver = Driver { server, port };
        let status = format!("{}/status", driver.url());
        let ready = || {
            let answer = fetch::try_send("GET", &status, &[], b"", fetch::Trust::default());
            answer.is_ok_and(|answer| answer.code == 200)
        };
        poll_until("chromedriver is ready", START, ready, || driver.server.tail());
        driver
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The capabilities of a session: headless, and as root without Chromium's own sandbox.
    pub fn capabilities(&self, more: &[&str]) -> serde_json::Map<String, serde_json::Value> {
        let (_, browser) = programs();
        let usual =
            ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"];
        let arguments: Vec<&str> = usual.iter().chain(more).copied().collect();
        let options = serde_json::json!({"binary": browser, "args": arguments});
        serde_json::Map::from_iter([("goog:chromeOptions".to_owned(), options)])
    }
}

/// The link that `supercargo ui` prints, once it has.
pub fn link_of(ui: &Server) -> String {
    poll_until("ui prints its link", START, || ui.log().contains("/enter?token="), || ui.tail());
    let text = ui.log();
    text.lines().find(|line| line.starts_with("http://127.0.0.1:")).expect("a link").to_owned()
}

/// The driver and the browser.
fn programs() -> (PathBuf, PathBuf) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find = |names: &[&str]| {
        let places =
            std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        places.into_iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("{MISSING}"))
    };
    (find(&["chromedriver"]), find(&["chromium", "chromium-browser", "google-chrome"]))
}

/// The script of axe-core, which checks a page for accessibility: installed once, by npm, into the user's cache.
pub fn axe() -> &'static str {
    static AXE: OnceLock<String> = OnceLock::new();
    AXE.get_or_init(|| {
        let module = repository().join("tests/tools/axe");
        let lock = std::fs::read(module.join("package-lock.json")).expect("read package-lock.json");
        let key = hex::encode(&Sha256::digest(&lock)[..8]);
        let installed = Environment::current().cache.join("tools").join(format!("axe-{key}"));
        let script = installed.join("node_modules/axe-core/axe.min.js");
        if !script.is_file() {
            std::fs::create_dir_all(&installed).expect("create a directory");
            for file in ["package.json", "package-lock.json"] {
                std::fs::copy(module.join(file), installed.join(file)).expect("copy a file");
            }
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
                .current_dir(&installed);
            let output = npm.output().expect("axe-core is installed by npm: install Node.js");
            assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
        }
        std::fs::read_to_string(script).expect("read axe.min.js")
    })
}
