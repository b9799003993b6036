//! Admission webhooks of one's own: one that denies, one that never answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::{Story, fetch};

/// What it does with a review.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Denies every object with a message.
    Deny(String),
    /// Accepts the connection and says nothing.
    Hang,
    /// The same, and the API server waits for so many seconds: 30 at most.
    HangFor(u32),
}

/// A validating webhook for the ConfigMaps and Secrets of a story that have the
/// label `webhook: "yes"`. Gone when dropped.
pub struct Webhook<'a> {
    story: &'a Story<'a>,
    name: String,
    port: u16,
    ended: Arc<AtomicBool>,
    held: Arc<AtomicUsize>,
}

impl<'a> Webhook<'a> {
    /// Starts the server and registers it; returns when the API server asks it.
    pub fn register(story: &'a Story<'a>, behaviour: Behaviour) -> Webhook<'a> {
        let authority = Authority::new("webhook");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port");
        let port = listener.local_addr().expect("a bound address").port();
        let (certificate, key) = authority.server().to_der();
        let tls = rustls::ServerConfig::builder_with_provider(fetch::provider())
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("a server configuration");
        let (tls, ended, held) = (Arc::new(tls), Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let timeout = if let Behaviour::HangFor(seconds) = behaviour { seconds } else { 2 };
        let (stop, holds) = (Arc::clone(&ended), Arc::clone(&held));
        std::thread::spawn(move || serve(&listener, &tls, &behaviour, &stop, &holds));
        let name = story.namespace().to_owned();
        let webhook = Webhook { story, name, port, ended, held };
        webhook.configure(&authority, timeout);
        webhook
    }

    /// How many requests it has let hang up to now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    fn configure(&self, authority: &Authority, timeout: u32) {
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": self.name},
            "webhooks": [{
                "name": format!("{}.example.com", self.name),
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": timeout,
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.story.namespace()}},
                "objectSelector": {"matchLabels": {"webhook": "yes"}},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps", "secrets"],
                    "operations": ["CREATE", "UPDATE"],
                }],
                "clientConfig": {
                    "url": format!("https://127.0.0.1:{}/", self.port),
                    "caBundle": STANDARD.encode(authority.certificate()),
                },
            }],
        });
        self.story.kubectl(&["create", "-f", "-"], &configuration.to_string());
        // The API server sees a new configuration a moment later.
        let probe = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "probe", "namespace": self.story.namespace(), "labels": {"webhook": "yes"}},
        });
        let asked = || {
            let arguments = ["create", "--dry-run=server", "--request-timeout=3s", "-f", "-"];
            !self.story.bed().try_kubectl(&arguments, &probe.to_string()).status.success()
        };
        crate::poll_until("the webhook is asked", crate::story::DEADLINE, asked, String::new);
    }
}

impl Drop for Webhook<'_> {
    fn drop(&mut self) {
        let kind = "validatingwebhookconfiguration";
        self.story.bed().try_kubectl(&["delete", kind, &self.name, "--ignore-not-found"], "");
        self.ended.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port))); // wakes it up
    }
}

fn serve(
    listener: &TcpListener,
    tls: &Arc<rustls::ServerConfig>,
    behaviour: &Behaviour,
    ended: &AtomicBool,
    held: &AtomicUsize,
) {
    let mut silent = Vec::new();
    for stream in listener.incoming().map_while(Result::ok) {
        if ended.load(Ordering::Relaxed) {
            return;
        }
        match behaviour {
            Behaviour::Hang | Behaviour::HangFor(_) => {
                silent.push(stream);
                held.store(silent.len(), Ordering::Relaxed);
            }
            Behaviour::Deny(message) => {
                let (tls, message) = (Arc::clone(tls), message.clone());
                // A client that goes away ends its thread.
                std::thread::spawn(move || drop(deny(stream, tls, &message)));
            }
        }
    }
}

fn deny(stream: TcpStream, tls: Arc<rustls::ServerConfig>, message: &str) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(tls).expect("a TLS connection");
    let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or_default();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let review: Value = serde_json::from_slice(&body)?;
        let answer = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {
                "uid": review["request"]["uid"],
                "allowed": false,
                "status": {"code": 403, "message": message},
            },
        })
        .to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        write!(stream.get_mut(), "{head} {}\r\n\r\n{answer}", answer.len())?;
        stream.get_mut().flush()?;
    }
}
