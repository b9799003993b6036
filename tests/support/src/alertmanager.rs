//! A real Alertmanager that notifies nobody.

use std::time::Duration;

use serde_json::Value;

use crate::fetch::{self, Trust};
use crate::processes::{self, Server};
use crate::tools::Tools;
use crate::{bed, poll_until, ports};

const READY: Duration = Duration::from_secs(60);

/// A running Alertmanager; killed when dropped.
#[derive(Debug)]
pub struct Alertmanager {
    // Ended when dropped.
    _server: Server,
    url: String,
}

impl Alertmanager {
    /// Starts one, and returns when it answers.
    pub fn start() -> Alertmanager {
        Alertmanager::on(ports::free())
    }

    /// Starts one on this port.
    pub fn on(port: u16) -> Alertmanager {
        let directory = processes::directory("alertmanager");
        let address = format!("127.0.0.1:{port}");
        let configuration = directory.join("alertmanager.yml");
        let text = r#"{"route": {"receiver": "none"}, "receivers": [{"name": "none"}]}"#;
        std::fs::write(&configuration, text).expect("write a file");
        let mut command = processes::command(Tools::alertmanager().path("alertmanager"));
        command
            .arg(bed::flag("--config.file", &configuration))
            .arg(bed::flag("--storage.path", &directory.join("data")))
            .arg("--cluster.listen-address=")
            .arg(format!("--web.listen-address={address}"));
        let mut server = Server::start("alertmanager", &mut command, &directory.join("alertmanager.log"));
        let url = format!("http://{address}");
        let ready = || {
            assert!(server.running(), "Alertmanager ended\n{}", server.tail());
            std::net::TcpStream::connect(&address).is_ok()
                && fetch::send("GET", &format!("{url}/-/ready"), &[], &[], Trust::default()).code == 200
        };
        poll_until("Alertmanager is ready", READY, ready, String::new);
        Alertmanager { _server: server, url }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The alerts that stand now.
    pub fn alerts(&self) -> Vec<Value> {
        let url = format!("{}/api/v2/alerts?active=true", self.url);
        let answer = fetch::send("GET", &url, &[], &[], Trust::default());
        assert_eq!(answer.code, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("a list of alerts")
    }
}
