//! A private Sigstore: Fulcio, Rekor v2, a certificate transparency log and a
//! timestamp authority as processes on loopback, with an issuer of one's own.
//!
//! Fulcio and Rekor are the real servers. The timestamp authority and the
//! transparency log are a few lines on the libraries of the real ones:
//! `tests/tools/sigstore` says why.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::issuer::Issuer;
use crate::processes::{self, Server};
use crate::tools::Tools;
use crate::{Registry, Signer, fetch, poll_until, ports};

const READY: Duration = Duration::from_secs(60);
// Before anything that these servers will sign.
const BEGIN: &str = "2020-01-01T00:00:00Z";

// A TimeStampReq (RFC 3161, section 2.4.1) of version 1 for a SHA-256, up to the
// hash and from it on: it asks for the certificate too.
const QUERY_HEAD: &[u8] = &[
    0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];
const QUERY_TAIL: &[u8] = &[0x01, 0x01, 0xff];

/// The path of the issuer whose subjects are addresses of mail.
pub const MAIL: &str = "mail";
/// Another one of the same kind.
pub const OTHER_MAIL: &str = "mail-of-others";
/// The path of the issuer whose subjects are URIs below its own address.
pub const WORKFLOW: &str = "workflow";

/// One Sigstore, gone when dropped.
pub struct Sigstore {
    directory: PathBuf,
    issuer: Issuer,
    fulcio: Part,
    rekor: Part,
    tsa: Part,
    ctlog: Part,
}

struct Part {
    url: String,
    server: Server,
}

/// Who signs, with what.
#[derive(Debug, Clone, Copy)]
pub struct Signing<'a> {
    /// The path of the issuer: [`MAIL`], [`OTHER_MAIL`] or [`WORKFLOW`].
    pub issuer: &'a str,
    /// The subject: an address of mail, or a URI.
    pub subject: &'a str,
    /// With an entry in the log.
    pub log: bool,
}

impl<'a> Signing<'a> {
    /// A person who signs with all that there is.
    pub fn person(subject: &'a str) -> Self {
        Signing { issuer: MAIL, subject, log: true }
    }
}

impl Part {
    fn start(name: &str, directory: &Path, port: u16, arguments: &[&str]) -> Part {
        let mut command = processes::command(Tools::sigstore().path(name));
        command.args(arguments).current_dir(directory).env("HOME", directory);
        let log = directory.join(format!("{name}.log"));
        Part { url: format!("http://127.0.0.1:{port}"), server: Server::start(name, &mut command, &log) }
    }

    fn wait(&mut self, name: &str) {
        let address = self.url.trim_start_matches("http://").to_owned();
        let server = &mut self.server;
        let alive = || {
            assert!(server.running(), "{}", server.tail());
            TcpStream::connect(&address).is_ok()
        };
        poll_until(&format!("{name} listens"), READY, alive, String::new);
    }

    fn get(&self, path: &str) -> String {
        let url = format!("{}{path}", self.url);
        let answer = fetch::send("GET", &url, &[], &[], fetch::Trust::default());
        assert_eq!(answer.code, 200, "{url}: {}\n{}", answer.text(), self.server.tail());
        answer.text()
    }
}

impl Sigstore {
    /// The one that the tests of this process share. It is cheap: about a second.
    pub fn shared() -> &'static Sigstore {
        static SIGSTORE: OnceLock<Sigstore> = OnceLock::new();
        SIGSTORE.get_or_init(Sigstore::start)
    }

    /// Starts another one, that nobody who trusts the shared one trusts.
    pub fn start() -> Sigstore {
        let directory = processes::directory("sigstore");
        let write = |name: &str, content: &str| {
            std::fs::write(directory.join(name), content).expect("write a file");
        };
        for (name, algorithm) in [("rekor", &PKCS_ED25519), ("ctlog", &PKCS_ECDSA_P256_SHA256)] {
            let key = KeyPair::generate_for(algorithm).expect("generate a key");
            write(&format!("{name}.key"), &key.serialize_pem());
            write(&format!("{name}.pub"), &key.public_key_pem());
        }
        let issuer = Issuer::start();
        write("fulcio.json", &issuers(&issuer).to_string());
        let port = ports::free();
        let ctlog = Part::start("ctlog", &directory, port, &[&format!("127.0.0.1:{port}"), "ctlog.key"]);
        let port = ports::free();
        let tsa = Part::start("tsa", &directory, port, &[&format!("127.0.0.1:{port}")]);
        let fulcio = start_fulcio(&directory, &ctlog.url);
        let rekor = start_rekor(&directory);
        let mut sigstore = Sigstore { directory, issuer, fulcio, rekor, tsa, ctlog };
        sigstore.ctlog.wait("ctlog");
        sigstore.tsa.wait("tsa");
        sigstore.fulcio.wait("fulcio");
        sigstore.rekor.wait("rekor-server");
        sigstore.describe();
        sigstore
    }

    // Writes the trusted root and the signing configuration.
    fn describe(&self) {
        let chains: Value = serde_json::from_str(&self.fulcio.get("/api/v2/trustBundle")).expect("JSON");
        let certificates = chains["chains"][0]["certificates"].as_array().expect("a chain");
        let chain: String = certificates.iter().map(|c| c.as_str().expect("PEM")).collect();
        self.write("fulcio.pem", &chain);
        self.write("tsa.pem", &self.tsa.get("/api/v1/timestamp/certchain"));
        let file = |name: &str| self.directory.join(name).display().to_string();
        self.cosign(&[
            "trusted-root",
            "create",
            &format!("--fulcio=url={},certificate-chain={}", self.fulcio.url, file("fulcio.pem")),
            &format!(
                "--rekor=url={},public-key={},start-time={BEGIN},origin=127.0.0.1",
                self.rekor.url,
                file("rekor.pub")
            ),
            &format!("--ctfe=url={},public-key={},start-time={BEGIN}", self.ctlog.url, file("ctlog.pub")),
            &format!("--tsa=url={}/api/v1/timestamp,certificate-chain={}", self.tsa.url, file("tsa.pem")),
            &format!("--out={}", self.trusted_root().display()),
        ]);
    }

    /// The trusted root: all four parts.
    pub fn trusted_root(&self) -> PathBuf {
        self.directory.join("trusted-root.json")
    }

    /// A copy of it with a change, in a new file.
    pub fn trusted_root_with(&self, change: impl FnOnce(&mut Value)) -> PathBuf {
        let text = std::fs::read(self.trusted_root()).expect("read a file");
        let mut root = serde_json::from_slice(&text).expect("JSON");
        change(&mut root);
        let path = processes::directory("root").join("trusted-root.json");
        std::fs::write(&path, root.to_string()).expect("write a file");
        path
    }

    /// Without one part: `tlogs`, `ctlogs`, `timestampAuthorities` or
    /// `certificateAuthorities`.
    pub fn trusted_root_without(&self, part: &str) -> PathBuf {
        self.trusted_root_with(|root| {
            root.as_object_mut().expect("an object").remove(part).expect("the root has this part");
        })
    }

    /// What `cosign sign --signing-config` wants to know.
    pub fn signing_config(&self, signing: &Signing<'_>) -> PathBuf {
        let service = |url: &str, version: u32| json!([{"url": url, "majorApiVersion": version, "validFor": {"start": BEGIN}, "operator": "testbed"}]);
        let mut config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(&self.fulcio.url, 1),
            "oidcUrls": service(&self.issuer.url(signing.issuer), 1),
        });
        if signing.log {
            config["rekorTlogUrls"] = service(&self.rekor.url, 2);
            config["rekorTlogConfig"] = json!({"selector": "ANY"});
        }
        config["tsaUrls"] = service(&format!("{}/api/v1/timestamp", self.tsa.url), 1);
        config["tsaConfig"] = json!({"selector": "ANY"});
        let path = processes::directory("signing").join("config.json");
        std::fs::write(&path, config.to_string()).expect("write a file");
        path
    }

    /// A certificate of Fulcio for a key of one's own: PEM, the leaf first.
    pub fn certificate(&self, signer: &Signer, issuer: &str, subject: &str) -> Vec<String> {
        let request = json!({
            "credentials": {"oidcIdentityToken": self.issuer.token(issuer, subject)},
            "publicKeyRequest": {
                "publicKey": {"content": signer.public_pem()},
                "proofOfPossession": STANDARD.encode(signer.sign_bytes(subject.as_bytes())),
            },
        });
        let url = format!("{}/api/v2/signingCert", self.fulcio.url);
        let headers = [("content-type", "application/json")];
        let body = request.to_string();
        let answer = fetch::send("POST", &url, &headers, body.as_bytes(), fetch::Trust::default());
        assert_eq!(answer.code, 200, "{}", answer.text());
        let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let chain = answer["signedCertificateEmbeddedSct"]["chain"]["certificates"].as_array();
        let chain = chain.expect("Fulcio answers with a certificate that holds an SCT");
        chain.iter().map(|pem| pem.as_str().expect("PEM").to_owned()).collect()
    }

    /// A timestamp of these bytes (RFC 3161, the whole answer, DER), of now and that
    /// much later (`1h`) or earlier (`-3m`).
    pub fn timestamp(&self, bytes: &[u8], shift: &str) -> Vec<u8> {
        let mut query = QUERY_HEAD.to_vec();
        query.extend(Sha256::digest(bytes));
        query.extend(QUERY_TAIL);
        let url = format!("{}/shifted/{shift}/api/v1/timestamp", self.tsa.url);
        let headers = [("content-type", "application/timestamp-query")];
        let answer = fetch::send("POST", &url, &headers, &query, fetch::Trust::default());
        assert_eq!(answer.code, 200, "{}", answer.text());
        answer.body.to_vec()
    }

    /// The URL of an issuer, by its path: what `--certificate-oidc-issuer` wants.
    pub fn issuer(&self, path: &str) -> String {
        self.issuer.url(path)
    }

    /// A token of the issuer [`MAIL`].
    pub fn token(&self, mail: &str) -> String {
        self.issuer.token(MAIL, mail)
    }

    /// A subject of the issuer [`WORKFLOW`]: its address and this path.
    pub fn workflow(&self, path: &str) -> String {
        self.issuer.url(path)
    }

    /// Signs `REPOSITORY@DIGEST` without a key; with cosign's words when that fails.
    pub fn try_sign(&self, registry: &Registry, reference: &str, signing: &Signing<'_>) -> Output {
        let config = self.signing_config(signing);
        // In a file: cosign takes a token that it cannot read for the name of one.
        let token = config.with_file_name("token");
        std::fs::write(&token, self.issuer.token(signing.issuer, signing.subject)).expect("write a file");
        let [config, token, root] =
            [config, token, self.trusted_root()].map(|path| path.display().to_string());
        registry.run(
            "cosign",
            &[
                "sign",
                "--yes",
                "--allow-http-registry",
                "--signing-config",
                &config,
                "--identity-token",
                &token,
                "--trusted-root",
                &root,
                reference,
            ],
        )
    }

    /// The same; panics when it fails.
    pub fn sign(&self, registry: &Registry, reference: &str, signing: &Signing<'_>) {
        let output = self.try_sign(registry, reference, signing);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.directory.join(name), content).expect("write a file");
    }

    fn cosign(&self, arguments: &[&str]) {
        let mut command: Command = processes::command(Tools::get().path("cosign"));
        command.args(arguments).current_dir(&self.directory).env("HOME", &self.directory);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("run cosign");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn issuers(issuer: &Issuer) -> Value {
    let of =
        |path: &str, kind: &str| json!({"IssuerURL": issuer.url(path), "ClientID": "sigstore", "Type": kind});
    let mut workflow = of(WORKFLOW, "uri");
    workflow["SubjectDomain"] = json!(issuer.url("").trim_end_matches('/'));
    json!({"OIDCIssuers": {
        (issuer.url(MAIL)): of(MAIL, "email"),
        (issuer.url(OTHER_MAIL)): of(OTHER_MAIL, "email"),
        (issuer.url(WORKFLOW)): workflow,
    }})
}

fn start_fulcio(directory: &Path, ctlog: &str) -> Part {
    let port = ports::free();
    let [http, grpc, metrics] = [port, ports::free(), ports::free()].map(|port| port.to_string());
    Part::start(
        "fulcio",
        directory,
        port,
        &[
            "serve",
            "--ca=ephemeralca",
            "--config-path=fulcio.json",
            "--host=127.0.0.1",
            "--grpc-host=127.0.0.1",
            "--port",
            &http,
            "--grpc-port",
            &grpc,
            // Otherwise it is opened in /var/run.
            "--legacy-unix-domain-socket=fulcio.sock",
            // On every address, the one exception to loopback: it takes no host. What it
            // serves there is counts of requests.
            "--metrics-port",
            &metrics,
            "--ct-log-url",
            ctlog,
        ],
    )
}

fn start_rekor(directory: &Path) -> Part {
    let port = ports::free();
    let [http, grpc, metrics] = [port, ports::free(), ports::free()].map(|port| port.to_string());
    Part::start(
        "rekor-server",
        directory,
        port,
        &[
            // The origin of its checkpoints; clients expect the host of its URL.
            "serve",
            "--hostname=127.0.0.1",
            "--storage-dir=log",
            "--signer-filepath=rekor.key",
            "--checkpoint-interval=1s",
            "--batch-max-age=50ms",
            "--http-address=127.0.0.1",
            "--grpc-address=127.0.0.1",
            "--http-port",
            &http,
            "--grpc-port",
            &grpc,
            "--http-metrics-port",
            &metrics,
        ],
    )
}
