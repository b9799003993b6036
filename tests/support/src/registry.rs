//! A real registry: CNCF distribution on a directory, or one in memory that has the
//! referrers API.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::{Authority, Identity};
use crate::fetch::{self, Answer, Trust};
use crate::processes::{self, Server};
use crate::tools::Tools;
use crate::{poll_until, ports};

const READY: Duration = Duration::from_secs(30);

/// The users of a registry that asks for credentials: name, password, and the
/// bcrypt hash of the password (cost 4), the only kind that the registry reads.
pub const USERS: [(&str, &str, &str); 2] = [
    ("alice", "alice-password", "$2a$04$zVOFDOKKmmt81vI/aVsOvuTHQj1.jroXS0SCFZYwvAsv7PjybJguG"),
    ("bob", "bob-password", "$2a$04$wFqKBgVNO6.ctU9njJyQ6.Qlgg9gkw5s7.VOYUVvifs025ndeR.xK"),
];

/// What kind of registry. The default is plain HTTP for everybody.
#[derive(Default)]
pub struct Options<'a> {
    /// Ask for the credentials of one of [`USERS`].
    pub credentials: bool,
    /// Serve TLS with a certificate of this CA.
    pub tls: Option<&'a Authority>,
    /// With TLS, admit only clients with a certificate of the same CA.
    pub client_certificates: bool,
    /// Send the registry's notifications there.
    pub notify: Option<Notify>,
    /// Another registry, which has the referrers API of OCI 1.1. None of the other
    /// options goes with it; what was pushed is gone when it stops.
    pub referrers: bool,
}

/// Where a registry tells of pushes.
pub struct Notify {
    /// The URL.
    pub url: String,
    /// The header `Authorization`.
    pub authorization: String,
}

/// One registry, gone when dropped.
pub struct Registry {
    directory: PathBuf,
    port: u16,
    authority: Option<String>,
    identity: Option<Identity>,
    credentials: bool,
    referrers: bool,
    server: Mutex<Option<Server>>,
}

/// One line of the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `GET`, `HEAD`, `PUT`, …
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The HTTP status of the answer.
    pub code: u16,
}

/// A place in the access log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

impl Registry {
    /// A registry on plain HTTP without credentials.
    pub fn plain() -> Registry {
        Registry::start(&Options::default())
    }

    /// A registry with the referrers API, on plain HTTP without credentials.
    pub fn with_referrers() -> Registry {
        Registry::start(&Options { referrers: true, ..Options::default() })
    }

    /// Whether it has the referrers API.
    pub fn has_referrers(&self) -> bool {
        self.referrers
    }

    /// Starts one and returns when it answers.
    pub fn start(options: &Options<'_>) -> Registry {
        let directory = processes::directory("registry");
        let port = ports::free();
        let config = configure(&directory, port, options);
        std::fs::write(directory.join("config.yml"), config.to_string()).expect("write a file");
        let registry = Registry {
            directory,
            port,
            authority: options.tls.map(|authority| authority.certificate().to_owned()),
            identity: options
                .tls
                .filter(|_| options.client_certificates)
                .map(|ca| ca.client("testbed", None)),
            credentials: options.credentials,
            referrers: options.referrers,
            server: Mutex::new(None),
        };
        registry.write_client_files();
        registry.resume();
        registry
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT`, or `https:` with TLS.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// The CA of its certificate, PEM, when it serves TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// A certificate that it accepts from a client, when it asks for one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Kills it: connections are refused. What was pushed stays.
    pub fn stop(&self) {
        *self.server.lock().expect("lock") = None;
    }

    /// Starts it again on the same port.
    pub fn resume(&self) {
        let mut command = self.command();
        let mut server = Server::start("registry", &mut command, &self.log_path());
        let mut alive = || {
            assert!(server.running(), "{}", server.tail());
            std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        };
        poll_until("the registry listens", READY, &mut alive, String::new);
        *self.server.lock().expect("lock") = Some(server);
    }

    fn command(&self) -> Command {
        if self.referrers {
            let mut command = processes::command(Tools::sigstore().path("referrers"));
            command.arg(self.host());
            return command;
        }
        let mut command = processes::command(Tools::get().path("registry"));
        command
            .args(["serve"])
            .arg(self.directory.join("config.yml"))
            // Otherwise it tries to send traces to a collector.
            .env("OTEL_TRACES_EXPORTER", "none");
        command
    }

    /// Freezes it: connections are accepted by the kernel and never answered.
    pub fn freeze(&self) {
        self.server.lock().expect("lock").as_ref().expect("the registry runs").freeze();
    }

    /// Ends [`Registry::freeze`].
    pub fn thaw(&self) {
        self.server.lock().expect("lock").as_ref().expect("the registry runs").thaw();
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        Mark(self.read_log().len())
    }

    /// The requests answered after `mark`, in order.
    pub fn since(&self, mark: Mark) -> Vec<Access> {
        self.read_log().get(mark.0..).unwrap_or_default().lines().filter_map(access).collect()
    }

    /// The same, of one repository only: tests that share a registry use
    /// repositories of their own.
    pub fn of_repository(&self, mark: Mark, repository: &str) -> Vec<Access> {
        let prefix = format!("/v2/{repository}/");
        self.since(mark).into_iter().filter(|access| access.path.starts_with(&prefix)).collect()
    }

    /// Runs crane with this registry's CA and alice's credentials (it knows no
    /// client certificates), and returns its output. Panics with what it said when it fails.
    pub fn crane(&self, arguments: &[&str]) -> String {
        self.succeed("crane", arguments)
    }

    /// Runs cosign in the same way. Its keys have an empty password.
    pub fn cosign(&self, arguments: &[&str]) -> String {
        self.succeed("cosign", arguments)
    }

    fn succeed(&self, tool: &str, arguments: &[&str]) -> String {
        let output = self.run(tool, arguments);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{tool} {}: {err}", arguments.join(" "));
        out.into_owned()
    }

    /// Runs one of the test bed's programs with this registry's CA and alice's
    /// credentials.
    pub fn run(&self, tool: &str, arguments: &[&str]) -> Output {
        let mut command = processes::command(Tools::get().path(tool));
        command.args(arguments).env("DOCKER_CONFIG", &self.directory).env("COSIGN_PASSWORD", "");
        if self.authority.is_some() {
            command.env("SSL_CERT_FILE", self.directory.join("ca.crt"));
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("run a program")
    }

    /// Pushes one blob and returns its digest.
    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], &[]);
        assert_eq!(begun.code, 202, "{}", begun.text());
        let location = begun.header("location").expect("the registry names the upload");
        let separator = if location.contains('?') { '&' } else { '?' };
        let target = format!("{}{separator}digest={digest}", location.trim_start_matches(&self.url()));
        let done = self.send("PUT", &target, &[("content-type", "application/octet-stream")], bytes);
        assert_eq!(done.code, 201, "{}", done.text());
        digest
    }

    /// Pushes a manifest under a tag and returns its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> String {
        let media_type = manifest["mediaType"].as_str().expect("the manifest has a media type").to_owned();
        let bytes = serde_json::to_vec(manifest).expect("a manifest is JSON");
        let path = format!("/v2/{repository}/manifests/{tag}");
        let done = self.send("PUT", &path, &[("content-type", &media_type)], &bytes);
        assert_eq!(done.code, 201, "{}", done.text());
        digest(&bytes)
    }

    /// Pushes an artifact of one layer and returns its digest: what oras pushes.
    pub fn push_layer(&self, repository: &str, tag: &str, media_type: &str, layer: &[u8]) -> String {
        let config = b"{}";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.empty.v1+json",
                "digest": self.push_blob(repository, config),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": media_type,
                "digest": self.push_blob(repository, layer),
                "size": layer.len(),
            }],
        });
        self.push_manifest(repository, tag, &manifest)
    }

    /// Pushes YAML as it is, in a layer `application/yaml`.
    pub fn push_yaml(&self, repository: &str, tag: &str, yaml: &str) -> String {
        self.push_layer(repository, tag, "application/yaml", yaml.as_bytes())
    }

    /// Any request, with alice's credentials and a client certificate where they are
    /// asked for.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{}:{}", USERS[0].0, USERS[0].1)));
        let mut all = headers.to_vec();
        if self.credentials {
            all.push(("authorization", &authorization));
        }
        fetch::send(method, &format!("{}{path}", self.url()), &all, body, self.trust())
    }

    fn trust(&self) -> Trust<'_> {
        Trust { authority: self.authority(), identity: self.identity() }
    }

    /// A `config.json` (also the value of a pull Secret) for one of [`USERS`].
    pub fn docker_config(&self, user: &str, password: &str) -> String {
        let auth = STANDARD.encode(format!("{user}:{password}"));
        json!({"auths": {(self.host()): {"auth": auth}}}).to_string()
    }

    /// All it has printed.
    pub fn read_log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("registry.log")
    }

    fn write_client_files(&self) {
        let config =
            if self.credentials { self.docker_config(USERS[0].0, USERS[0].1) } else { "{}".to_owned() };
        std::fs::write(self.directory.join("config.json"), config).expect("write a file");
        if let Some(authority) = &self.authority {
            std::fs::write(self.directory.join("ca.crt"), authority).expect("write a file");
        }
    }
}

/// `sha256:` and the hash of the bytes.
pub fn digest(bytes: &[u8]) -> String {
    use sha2::Digest;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

fn configure(directory: &Path, port: u16, options: &Options<'_>) -> Value {
    let mut http = json!({"addr": format!("127.0.0.1:{port}"), "secret": "testbed"});
    if let Some(authority) = options.tls {
        let (certificate, key) = authority.server().write(directory, "server");
        http["tls"] = json!({"certificate": certificate, "key": key});
        if options.client_certificates {
            http["tls"]["clientcas"] = json!([directory.join("ca.crt")]);
        }
    }
    let mut config = json!({
        "version": "0.1",
        // JSON, so that no line of it looks like one of the access log.
        "log": {"level": "info", "formatter": "json"},
        "storage": {
            "filesystem": {"rootdirectory": directory.join("storage")},
            "delete": {"enabled": true},
            "maintenance": {"uploadpurging": {"enabled": false}},
        },
        "http": http,
    });
    if options.credentials {
        let users: String = USERS.iter().map(|(name, _, hash)| format!("{name}:{hash}\n")).collect();
        let path = directory.join("htpasswd");
        std::fs::write(&path, users).expect("write a file");
        config["auth"] = json!({"htpasswd": {"realm": "testbed", "path": path}});
    }
    if let Some(Notify { url, authorization }) = &options.notify {
        let headers = json!({"Authorization": [authorization]});
        config["notifications"] = json!({"endpoints": [{
            "name": "test", "url": url, "headers": headers, "timeout": "2s", "threshold": 3, "backoff": "1s",
        }]});
    }
    config
}

// `127.0.0.1 - - [TIME] "GET /v2/ HTTP/1.1" 200 2 "" "agent"`; anything else in
// the log is none.
fn access(line: &str) -> Option<Access> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = request.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let code = rest.split(' ').next()?.parse().ok()?;
    Some(Access { method, path, code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_access_log_and_nothing_else() {
        let check = |line: &str, expected: Option<(&str, &str, u16)>| {
            let found = access(line);
            let found = found.as_ref().map(|a| (a.method.as_str(), a.path.as_str(), a.code));
            assert_eq!(found, expected, "{line}");
        };
        check(
            r#"127.0.0.1 - - [22/Nov/2026:21:00:00 +0000] "HEAD /v2/app/manifests/1.0.0 HTTP/1.1" 200 481 "" "supercargo""#,
            Some(("HEAD", "/v2/app/manifests/1.0.0", 200)),
        );
        check(r#"{"level":"info","msg":"listening on 127.0.0.1:5000"}"#, None);
        check("", None);
    }
}
