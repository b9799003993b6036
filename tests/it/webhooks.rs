//! The port of webhooks, as strangers and broken senders meet it. There is no API
//! server: what is refused here needs none.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use supercargo_testbed::processes::{self, Server};
use supercargo_testbed::{ports, within};

use crate::cli::program;

const SECRET: &str = "0123456789abcdef-first";
const OTHER: &str = "0123456789abcdef-other";
/// Long enough for every limit of the server, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// A controller that receives webhooks.
struct Receiving {
    server: Server,
    address: String,
    config: PathBuf,
}

/// All types of senders, each under its own name, with one secret.
fn config(secret: &str) -> String {
    let types = ["distribution", "dockerhub", "github", "harbor", "quay", "acr", "generic"];
    let receivers = types.map(|kind| json!({"name": kind, "type": kind, "secret": secret})).to_vec();
    json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig", "receivers": receivers})
        .to_string()
}

fn controller(directory: &Path, arguments: &[&str]) -> std::process::Command {
    let kubeconfig = directory.join("kubeconfig");
    // Nobody listens there.
    let cluster = json!({"name": "c", "cluster": {"server": format!("http://127.0.0.1:{}", ports::free())}});
    let context = json!({"name": "c", "context": {"cluster": "c", "user": "u"}});
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context],
        "users": [{"name": "u", "user": {}}], "current-context": "c",
    });
    std::fs::write(&kubeconfig, text.to_string()).unwrap();
    let mut command = program(&["controller"]);
    command
        .arg(format!("--metrics-addr=127.0.0.1:{}", ports::free()))
        .arg(format!("--cache-dir={}", directory.join("cache").display()))
        .args(arguments)
        .env("KUBECONFIG", kubeconfig);
    command
}

impl Receiving {
    fn start() -> Receiving {
        let directory = processes::directory("receiving");
        let config_path = directory.join("webhooks.yaml");
        std::fs::write(&config_path, config(SECRET)).unwrap();
        let address = format!("127.0.0.1:{}", ports::free());
        let arguments = [
            format!("--webhook-addr={address}"),
            format!("--webhook-config={}", config_path.display()),
            "--leader-election-namespace=none".to_owned(),
        ];
        let mut command = controller(&directory, &arguments.each_ref().map(String::as_str));
        let server = Server::start("supercargo controller", &mut command, &directory.join("log"));
        let receiving = Receiving { server, address, config: config_path };
        let up = within(PATIENCE, || TcpStream::connect(&receiving.address).is_ok());
        assert!(up, "{}", receiving.server.log());
        receiving
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends these bytes and reads until the other side closes.
    fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may be closed before all of it is sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn request(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut head =
            format!("{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        Reply::read(&self.raw(&[head.as_bytes(), b"\r\n", body].concat()))
    }

    fn bearer(&self, name: &str, secret: &str, body: &str) -> Reply {
        let authorization = format!("Bearer {secret}");
        self.request(&format!("POST /hook/{name}"), &[("authorization", &authorization)], body.as_bytes())
    }

    fn github(&self, body: &str) -> Reply {
        let signature = sign(SECRET, body);
        self.request("POST /hook/github", &[("x-hub-signature-256", &signature)], body.as_bytes())
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Reply {
    code: u16,
    head: String,
    body: String,
}

impl Reply {
    fn read(text: &str) -> Reply {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Reply { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    #[track_caller]
    fn expect(&self, code: u16, body: &str) {
        assert!(self.code == code && self.body.contains(body), "{self:?} is not {code} {body:?}");
    }
}

fn sign(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, text.as_bytes())))
}

/// The path of a sender that can prove nothing else.
fn secret_path(name: &str) -> String {
    format!("/hook/{}", sign(SECRET, name).trim_start_matches("sha256="))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn strangers_are_told_nothing_not_even_which_receivers_there_are() {
    let receiving = Receiving::start();
    let post = |path: &str, headers: &[(&str, &str)]| {
        receiving.request(&format!("POST {path}"), headers, b"{\"events\": []}")
    };
    let stranger = post("/hook/nobody", &[]);
    stranger.expect(401, "unknown receiver or invalid credentials");
    assert!(stranger.head.contains("www-authenticate: bearer"), "{stranger:?}");
    let date =
        |reply: &Reply| reply.head.lines().filter(|l| !l.starts_with("date:")).collect::<Vec<_>>().join("\n");
    let same = |reply: Reply| assert_eq!((date(&reply), &reply.body), (date(&stranger), &stranger.body));
    let old = (now() - 400).to_string();
    let (signed, old_signed) =
        (sign(OTHER, "{\"events\": []}"), sign(SECRET, &format!("{old}.{{\"events\": []}}")));
    for name in ["distribution", "harbor", "acr", "github", "generic", "dockerhub", "quay", ""] {
        let path = format!("/hook/{name}");
        same(post(&path, &[]));
        same(post(&path, &[("authorization", &format!("Bearer {OTHER}"))]));
        same(post(&path, &[("authorization", &format!("Basic {SECRET}"))]));
        same(post(&path, &[("x-hub-signature-256", &signed)]));
        same(post(&path, &[("supercargo-timestamp", &old), ("supercargo-signature", &old_signed)]));
    }
    same(post(&secret_path("another"), &[]));
    receiving.request("POST /", &[], b"").expect(404, "");
    receiving.request("POST /metrics", &[], b"").expect(404, "");
    receiving.request("GET /hook/distribution", &[], b"").expect(405, "");
    let log = receiving.server.log();
    assert!(log.contains("rejected webhooks"), "{log}");
    let lines = log.lines().filter(|line| line.contains("rejected webhooks")).count();
    assert!(lines < 20, "strangers write the log: {lines} lines\n{log}");
    for secret in [SECRET, OTHER, &secret_path("quay"), &secret_path("dockerhub")] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn senders_that_are_known_are_told_what_became_of_it() {
    let receiving = Receiving::start();
    let nothing = r#""triggered":[]"#;
    receiving.bearer("distribution", SECRET, r#"{"events": []}"#).expect(200, nothing);
    let pull = r#"{"events": [{"action": "pull", "target": {}}]}"#;
    receiving.bearer("distribution", SECRET, pull).expect(200, "is not a push");
    receiving.bearer("harbor", SECRET, r#"{"type": "DELETE_ARTIFACT"}"#).expect(200, "is not a push");
    receiving.bearer("acr", SECRET, r#"{"action": "ping"}"#).expect(200, "it is a ping");
    receiving.github(r#"{"zen": "a", "hook_id": 1}"#).expect(200, "it is a ping");
    receiving.github(r#"{"zen": "a", "hook_id": 1}"#).expect(200, "duplicate delivery");
    let quay = format!("POST {}", secret_path("quay"));
    for _ in 0..2 {
        receiving.request(&quay, &[], br#"{"docker_url": "quay.io/a/b"}"#).expect(200, "is not a push");
    }
    let time = now().to_string();
    for (body, expected) in [("[]", nothing), ("[]", "duplicate delivery"), ("[ ]", nothing)] {
        let signature = sign(SECRET, &format!("{time}.{body}"));
        let headers = [("supercargo-timestamp", time.as_str()), ("supercargo-signature", &signature)];
        receiving.request("POST /hook/generic", &headers, body.as_bytes()).expect(200, expected);
    }
    // A push is for the API server, which is away: the sender has to come again, and
    // then it is not taken for a repetition.
    let push = r#"{"repository": {"repo_name": "acme/app"}, "push_data": {"tag": "1"}}"#;
    for _ in 0..2 {
        let reply = receiving.request(&format!("POST {}", secret_path("dockerhub")), &[], push.as_bytes());
        reply.expect(503, "the API server");
        assert!(reply.head.contains("retry-after: 5"), "{reply:?}");
    }
}

#[test]
fn bodies_and_heads_have_bounds() {
    let receiving = Receiving::start();
    let authorization = format!("authorization: Bearer {SECRET}");
    for body in ["", "{}", "null", "{\"events\": 7}", "\u{0}", "{\"events\": [{}]}", "events=1"] {
        receiving.bearer("distribution", SECRET, body).expect(400, "the body is not a valid ");
    }
    let deep = format!("{{\"events\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    receiving.bearer("distribution", SECRET, &deep).expect(400, "the body is not a valid ");
    let event = r#"{"action": "push", "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "repository": "r", "tag": "TAG"}, "request": {"host": "h.io"}}"#;
    let events: Vec<String> = (0..300).map(|n| event.replace("TAG", &n.to_string())).collect();
    let many = format!("{{\"events\": [{}]}}", events.join(","));
    receiving.bearer("distribution", SECRET, &many).expect(400, "more than 256 pushes");
    let large = format!("{{\"events\": [], \"x\": \"{}\"}}", "x".repeat(1 << 20));
    receiving.bearer("distribution", SECRET, &large).expect(413, "too large");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let chunked = format!(
        "POST /hook/distribution HTTP/1.1\r\nhost: h\r\n{authorization}\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(20)
    );
    Reply::read(&receiving.raw(chunked.as_bytes())).expect(413, "too large");
    // What is no HTTP, or too much of it, ends the connection and nothing else.
    let long = format!("POST /hook/distribution HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("POST /hook/distribution HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for bytes in [long.as_bytes(), many.as_bytes(), b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n"] {
        let code = Reply::read(&receiving.raw(bytes)).code;
        assert!([0, 400, 431].contains(&code), "{code}");
    }
    receiving.bearer("distribution", SECRET, r#"{"events": []}"#).expect(200, "triggered");
}

#[test]
fn who_is_slow_or_silent_keeps_nobody_out() {
    let receiving = Receiving::start();
    // More than there may be at once.
    let silent: Vec<TcpStream> = (0..300).map(|_| receiving.connect()).collect();
    // As many as are read at once of those whose signature may be one until all is read.
    let head = format!(
        "POST /hook/github HTTP/1.1\r\nhost: h\r\nx-hub-signature-256: {}\r\ncontent-length: 1000\r\n\r\n{{",
        sign(OTHER, "")
    );
    let start = Instant::now();
    let slow: Vec<TcpStream> = (0..16)
        .map(|_| {
            let mut stream = receiving.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let taken = || receiving.bearer("distribution", SECRET, r#"{"events": []}"#).code == 200;
    assert!(within(PATIENCE, taken), "{}", receiving.server.log());
    for mut stream in slow {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 408") || answer.is_empty(), "{answer}");
    }
    for mut stream in silent {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn strangers_with_slow_bodies_leave_room_for_who_has_proven_who_it_is() {
    let receiving = Receiving::start();
    let head = format!(
        "POST /hook/github HTTP/1.1\r\nhost: h\r\nx-hub-signature-256: {}\r\ncontent-length: 1000\r\n\r\n{{",
        sign(OTHER, "")
    );
    let slow: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = receiving.connect();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    receiving.bearer("distribution", SECRET, r#"{"events": []}"#).expect(200, "triggered");
    let quay = format!("POST {}", secret_path("quay"));
    receiving.request(&quay, &[], br#"{"docker_url": "quay.io/a/b"}"#).expect(200, "triggered");
    drop(slow);
}

#[test]
fn who_is_sent_to_while_the_process_ends_is_still_answered() {
    let mut receiving = Receiving::start();
    receiving.server.signal("TERM");
    let asked = || receiving.server.log().contains("shutting down");
    assert!(within(PATIENCE, asked), "{}", receiving.server.log());
    receiving.bearer("distribution", SECRET, r#"{"events": []}"#).expect(200, "triggered");
    assert_eq!(receiving.server.stop(PATIENCE), Some(0), "{}", receiving.server.log());
}

#[test]
fn a_flood_of_one_sender_is_told_to_wait_and_another_is_not() {
    let receiving = Receiving::start();
    let mut refused = None;
    for n in 0..20_000 {
        let reply = receiving.github(&format!("{{\"zen\": \"{n}\"}}"));
        if reply.code == 429 {
            refused = Some((n, reply));
            break;
        }
        reply.expect(200, "it is a ping");
    }
    let (n, reply) = refused.expect("there is a limit");
    assert!(n >= 200 && reply.head.contains("retry-after: 1"), "{n} {reply:?}");
    receiving.bearer("distribution", SECRET, r#"{"events": []}"#).expect(200, "triggered");
    let again = || receiving.github("{\"zen\": \"later\"}").code == 200;
    assert!(within(PATIENCE, again), "it goes on after a while");
}

#[test]
fn a_changed_secret_is_in_force_soon_and_a_broken_file_never() {
    let receiving = Receiving::start();
    let code = |secret: &str| receiving.bearer("distribution", secret, r#"{"events": []}"#).code;
    assert_eq!((code(SECRET), code(OTHER)), (200, 401));
    std::fs::write(&receiving.config, config(OTHER)).unwrap();
    assert!(within(PATIENCE, || code(OTHER) == 200), "{}", receiving.server.log());
    assert_eq!(code(SECRET), 401);
    std::fs::write(&receiving.config, config("short")).unwrap();
    let told = || receiving.server.log().contains("keeping the previous one");
    assert!(within(PATIENCE, told), "{}", receiving.server.log());
    assert_eq!(code(OTHER), 200);
    assert!(!receiving.server.log().contains(OTHER), "{}", receiving.server.log());
}

#[test]
fn a_configuration_that_makes_no_sense_ends_the_start() {
    let directory = processes::directory("receiving");
    let path = directory.join("webhooks.yaml");
    let check = |text: Option<Value>, arguments: &[&str], code: i32, expected: &str| {
        if let Some(text) = &text {
            std::fs::write(&path, text.to_string()).unwrap();
        }
        let output = controller(&directory, arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(expected) && !told.contains(SECRET), "{told}");
    };
    let at = format!("--webhook-config={}", path.display());
    let both = ["--webhook-addr=127.0.0.1:0", at.as_str()];
    check(None, &both[..1], 2, "--webhook-config");
    check(None, &both[1..], 2, "--webhook-addr");
    check(None, &both, 1, "cannot use the configuration of webhooks");
    let file = |receiver: Value| json!({"apiVersion": "supercargo.dev/v1alpha1", "kind": "WebhookConfig", "receivers": [receiver]});
    let unknown = file(json!({"name": "a", "type": "gitlab", "secret": SECRET}));
    check(Some(unknown), &both, 1, "receivers[0].type: \"gitlab\" is not one of");
    let absent = file(json!({"name": "a", "type": "acr", "secretFile": "absent"}));
    check(Some(absent), &both, 1, "absent");
    let good = file(json!({"name": "a", "type": "acr", "secret": SECRET}));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("--webhook-addr={}", taken.local_addr().unwrap());
    check(Some(good), &[&address, &at], 1, "for webhooks: choose another --webhook-addr");
}
