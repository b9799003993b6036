//! Admission webhooks of one's own: one that denies, one that changes, one that never answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::certificates::Authority;
use crate::{Story, fetch};

/// The annotation of [`Behaviour::Stamp`].
const STAMP: &str = "example.com/stamp";

/// What it does with a review.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// Denies every object with a message.
    Deny(String),
    /// Admits every object with an annotation `example.com/stamp` of its own.
    Stamp,
    /// Admits every object. While the flag is set, it changes that annotation to the same value for
    /// all. Each request turns the flag over.
    StampSometimes(Arc<AtomicBool>),
    /// Accepts the connection and says nothing.
    Hang,
    /// The same, and the API server waits for so many seconds: 30 at most.
    HangFor(u32),
}

/// A webhook for the ConfigMaps and Secrets of a story that have the
/// label `webhook: "yes"`. Gone when dropped.
pub struct Webhook<'a> {
    story: &'a Story<'a>,
    name: String,
    kind: &'static str,
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
        let kind = match behaviour {
            Behaviour::Stamp | Behaviour::StampSometimes(_) => "MutatingWebhookConfiguration",
            _ => "ValidatingWebhookConfiguration",
        };
        std::thread::spawn(move || serve(&listener, &tls, &behaviour, &stop, &holds));
        let name = story.namespace().to_owned();
        let webhook = Webhook { story, name, kind, port, ended, held };
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
            "kind": self.kind,
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
            let arguments = [&arguments[..], &["-o", "yaml"]].concat();
            let output = self.story.bed().try_kubectl(&arguments, &probe.to_string());
            !output.status.success() || String::from_utf8_lossy(&output.stdout).contains(STAMP)
        };
        crate::poll_until("the webhook is asked", crate::story::DEADLINE, asked, String::new);
    }
}

impl Drop for Webhook<'_> {
    fn drop(&mut self) {
        self.story.bed().try_kubectl(&["delete", self.kind, &self.name, "--ignore-not-found"], "");
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
            Behaviour::Deny(_) | Behaviour::Stamp | Behaviour::StampSometimes(_) => {
                let (tls, behaviour) = (Arc::clone(tls), behaviour.clone());
                // A client that goes away ends its thread.
                std::thread::spawn(move || drop(answer(stream, tls, &behaviour)));
            }
        }
    }
}

fn answer(stream: TcpStream, tls: Arc<rustls::ServerConfig>, behaviour: &Behaviour) -> std::io::Result<()> {
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
            "response": response(&review, behaviour),
        })
        .to_string();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        write!(stream.get_mut(), "{head} {}\r\n\r\n{answer}", answer.len())?;
        stream.get_mut().flush()?;
    }
}

/// What the API server is told about an object.
fn response(review: &Value, behaviour: &Behaviour) -> Value {
    static STAMPS: AtomicUsize = AtomicUsize::new(0);
    let uid = &review["request"]["uid"];
    if let Behaviour::Deny(message) = behaviour {
        return json!({"uid": uid, "allowed": false, "status": {"code": 403, "message": message}});
    }
    let mut stamp = STAMPS.fetch_add(1, Ordering::Relaxed).to_string();
    if let Behaviour::StampSometimes(flag) = behaviour {
        if !flag.fetch_not(Ordering::Relaxed) {
            return json!({"uid": uid, "allowed": true});
        }
        stamp = "made-up".to_owned();
    }
    let metadata = &review["request"]["object"]["metadata"];
    let patch = match metadata["annotations"].is_object() {
        true => json!([{"op": "add", "path": "/metadata/annotations/example.com~1stamp", "value": stamp}]),
        false => json!([{"op": "add", "path": "/metadata/annotations", "value": {STAMP: stamp}}]),
    };
    json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string())})
}
