//! A person in front of the page: `supercargo ui` with the rights of somebody, and a browser.

use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use supercargo_testbed::Story;
use supercargo_testbed::browser::{Driver, axe, link_of};
use supercargo_testbed::processes::{self, Server};

use crate::shell::Shell;

/// How long anything on the page may take.
const SOON: Duration = Duration::from_secs(60);

/// `supercargo ui`, running.
pub struct Ui {
    server: Server,
    /// The link that it has printed.
    pub link: String,
}

impl Ui {
    /// Starts it in a shell, for the namespace of the shell's story.
    pub fn start(shell: &Shell, arguments: &[&str]) -> Ui {
        let log = processes::directory("ui").join("output");
        let mut command = shell.command(&[&["ui"], arguments].concat());
        command.env("RUST_LOG", "trace");
        let server = Server::start("supercargo ui", &mut command, &log);
        let link = link_of(&server);
        Ui { server, link }
    }

    /// The address of the page, without a slash at its end.
    pub fn origin(&self) -> &str {
        self.link.split("/enter").next().expect("an address")
    }

    /// The token of the link.
    pub fn token(&self) -> &str {
        self.link.split_once("token=").expect("a token").1
    }

    /// All that it has printed.
    pub fn output(&self) -> String {
        self.server.log()
    }
}

/// A browser.
pub struct Window {
    client: Client,
    _driver: Driver,
}

impl Window {
    /// A new browser with an empty profile.
    pub async fn open() -> Window {
        Window::with(&[]).await
    }

    /// The same with more arguments of Chromium.
    pub async fn with(arguments: &[&str]) -> Window {
        let driver = Driver::start();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(driver.capabilities(arguments));
        let client = builder.connect(&driver.url()).await.expect("start a browser");
        client.set_window_size(1280, 900).await.expect("set the size of the window");
        Window { client, _driver: driver }
    }

    /// A browser that has opened the link.
    pub async fn entered(ui: &Ui) -> Window {
        let window = Window::open().await;
        window.goto(&ui.link).await;
        window
            .wait(
                "the first view",
                "return location.pathname === '/' && !!document.querySelector('#content')",
            )
            .await;
        window
    }

    /// Goes to an address.
    pub async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    /// Makes the window that large.
    pub async fn resize(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("set the size of the window");
    }

    /// The address that is shown.
    pub async fn address(&self) -> String {
        self.client.current_url().await.expect("an address").to_string()
    }

    /// Runs a script and returns its value.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Runs a script in the nth frame of the page, and returns its value.
    pub async fn in_frame(&self, nth: u16, script: &str) -> Value {
        self.client.enter_frame(nth).await.expect("a frame");
        let value = self.run(script).await;
        self.client.enter_parent_frame().await.expect("the page around it");
        value
    }

    /// Waits until a script returns true.
    pub async fn wait(&self, what: &str, script: &str) {
        let begin = std::time::Instant::now();
        // While a page is being left, there is nothing that runs scripts.
        while self.client.execute(script, Vec::new()).await.ok() != Some(Value::Bool(true)) {
            if begin.elapsed() > SOON {
                panic!("{what}: not within {SOON:?}\n{}\n{}", self.address().await, self.text().await);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the content of the page shows a text.
    pub async fn wait_text(&self, text: &str) {
        let script = format!("return document.querySelector('#content').innerText.includes({})", json!(text));
        self.wait(&format!("the page shows {text:?}"), &script).await;
    }

    /// The text of the content.
    pub async fn text(&self) -> String {
        let text = self.run("return (document.querySelector('main') || document.body).innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on what a selector finds first: once more where it has just been replaced.
    pub async fn click(&self, selector: &str) {
        let mut last = String::new();
        for _ in 0..10 {
            let clicked = async { self.client.find(Locator::Css(selector)).await?.click().await };
            match clicked.await {
                Ok(()) => return,
                Err(error) if error.is_stale_element_reference() => last = error.to_string(),
                Err(error) => panic!("click on {selector}: {error}\n{}", self.text().await),
            }
        }
        panic!("click on {selector}: {last}");
    }

    /// Types into what a selector finds first; `\u{e007}` is Enter.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let found = self.client.find(Locator::Css(selector)).await;
        let element = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
        element.send_keys(text).await.unwrap_or_else(|error| panic!("type into {selector}: {error}"));
    }

    /// What axe finds on the page, by rule and place.
    pub async fn violations(&self) -> Vec<String> {
        self.run(axe()).await;
        let script = "const done = arguments[arguments.length - 1]; \
            axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations.flatMap(one => \
            one.nodes.map(node => `${one.id}: ${node.target} ${node.failureSummary}`))), error => done([String(error)]))";
        let found = self.client.execute_async(script, Vec::new()).await.expect("axe runs");
        found
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| one.as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Writes a picture of the window into the directory that `SUPERCARGO_SCREENSHOTS` names, if it names one.
    pub async fn picture(&self, name: &str) {
        let Some(directory) = std::env::var_os("SUPERCARGO_SCREENSHOTS") else { return };
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(std::path::Path::new(&directory).join(format!("{name}.png")), png)
            .expect("write a picture");
    }

    /// Ends the browser.
    pub async fn close(self) {
        // The driver ends it otherwise, too.
        let _ = self.client.close().await;
    }
}

/// The page of the admin, for the namespace of a story.
pub fn of_admin(story: &Story<'_>) -> Ui {
    Ui::start(&Shell::admin(story), &["-n", story.namespace()])
}
