//! What a registry can make a push do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::oci::{
    Labels, Registry, RegistryOptions, Repository, RequestOutcome, RequestRecord, Tag, pack,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::liar::{Liar, access, options, reply, soon};

fn packed() -> supercargo::oci::Package {
    let labels = Labels { created: "2026-01-01T00:00:00Z".into(), ..Labels::default() };
    pack(b"kind: ConfigMap\n---\n", &labels).unwrap()
}

async fn push(liar: &Liar) -> Result<String, (Reason, String)> {
    let access = access(Some((&liar.host, "user", "sesame")));
    let tag = Tag::parse("1.0").unwrap();
    let pushed = soon(Registry::new(options()).push(&liar.repository(), &tag, &packed(), &access)).await;
    pushed.map(|digest| digest.to_string()).map_err(|e| (e.reason(), e.to_string()))
}

/// Wants Basic credentials and takes everything; uploads go to `location`.
fn accept(liar: &Liar, location: String) {
    liar.lie(move |seen| {
        if seen.authorization.is_none() {
            return Some(reply(401, &[("www-authenticate", "Basic realm=x")], ""));
        }
        match seen.method {
            Method::HEAD => Some(reply(404, &[], "")),
            Method::POST => Some(reply(202, &[("location", &location)], "")),
            Method::PUT => Some(reply(201, &[], "")),
            _ => None,
        }
    });
}

#[tokio::test]
async fn what_is_missing_is_uploaded_and_then_named() {
    let liar = Liar::start().await;
    accept(&liar, "/v2/team/app/blobs/uploads/1?state=abc".into());
    let digest = push(&liar).await.unwrap();
    assert_eq!(digest, packed().digest().to_string());
    let puts: Vec<_> = liar.seen().into_iter().filter(|s| s.method == Method::PUT).map(|s| s.path).collect();
    assert_eq!(puts.len(), 3);
    assert!(puts[0].starts_with("/v2/team/app/blobs/uploads/1?state=abc&digest=sha256%3A"), "{puts:?}");
    assert_eq!(puts[2], "/v2/team/app/manifests/1.0");
}

#[tokio::test]
async fn an_upload_elsewhere_carries_no_credentials() {
    let (liar, elsewhere) = (Liar::start().await, Liar::start().await);
    elsewhere.lie(|_| Some(reply(201, &[], "")));
    // Another host has to be reached over HTTPS; plain HTTP is refused.
    accept(&liar, format!("http://{}/upload", elsewhere.host));
    let (reason, message) = push(&liar).await.unwrap_err();
    assert_eq!(reason, Reason::RegistryUnavailable, "{message}");
    assert!(elsewhere.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn a_registry_that_stores_something_else_is_noticed() {
    let liar = Liar::start().await;
    liar.lie(|seen| match (&seen.method, seen.path.contains("/manifests/")) {
        (&Method::PUT, true) => Some(reply(201, &[("docker-content-digest", "sha256:beef")], "")),
        (&Method::HEAD, _) => Some(reply(200, &[], "")),
        _ => None,
    });
    assert_eq!(push(&liar).await.unwrap_err().0, Reason::DigestMismatch);
}

#[tokio::test]
async fn refusals_are_told() {
    let liar = Liar::start().await;
    for (location, status, expected) in
        [("", 202, Reason::RegistryUnavailable), ("/x", 403, Reason::AuthenticationFailed)]
    {
        liar.repent();
        liar.lie(move |seen| match seen.method {
            Method::POST => {
                Some(reply(status, &[("location", location)], r#"{"errors":[{"code":"DENIED"}]}"#))
            }
            _ => Some(reply(404, &[], "")),
        });
        let (reason, message) = push(&liar).await.unwrap_err();
        assert_eq!(reason, expected, "{message}");
        assert!(!message.contains("sesame"), "{message}");
    }
}

/// Takes blobs after so many refusals of each request that begins an upload, and
/// the manifest after as many.
fn hesitate(liar: &Liar, refusals: usize, status: u16, manifest_too: bool) {
    let (posts, puts) = (AtomicUsize::new(0), AtomicUsize::new(0));
    liar.lie(move |seen| {
        let again = |count: &AtomicUsize| count.fetch_add(1, Ordering::SeqCst) < refusals;
        match (&seen.method, seen.path.contains("/manifests/")) {
            (&Method::HEAD, false) => Some(reply(404, &[], "")),
            (&Method::POST, _) if again(&posts) => Some(reply(status, &[("retry-after", "0")], "")),
            (&Method::POST, _) => Some(reply(202, &[("location", "/v2/team/app/blobs/uploads/1")], "")),
            (&Method::PUT, true) if manifest_too && again(&puts) => {
                Some(reply(status, &[("retry-after", "0")], ""))
            }
            (&Method::PUT, _) => Some(reply(201, &[], "")),
            _ => None,
        }
    });
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for status in [429, 500, 502, 503, 504] {
        let liar = Liar::start().await;
        hesitate(&liar, 3, status, true);
        push(&liar).await.unwrap();
    }
    // The registry knows when it will be better, and that is too long.
    let liar = Liar::start().await;
    liar.lie(|seen| (seen.method == Method::POST).then(|| reply(429, &[("retry-after", "3600")], "")));
    assert_eq!(push(&liar).await.unwrap_err().0, Reason::RegistryUnavailable);
    assert_eq!(liar.asked().iter().filter(|asked| asked.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn a_push_that_fails_says_what_became_of_the_tag() {
    let check = async |liar: &Liar, expected: &str| {
        let message = push(liar).await.unwrap_err().1;
        assert_eq!(message, expected.replace("HOST", &liar.host));
        liar.asked()
    };
    // A blob: the manifest was not even sent.
    let liar = Liar::start().await;
    hesitate(&liar, 9, 503, false);
    let asked = check(&liar, "HOST/team/app:1.0 was not published; the tag is unchanged").await;
    assert!(asked.iter().all(|asked| !asked.contains("manifests")), "{asked:?}");
    // The manifest: the tag still means something else.
    let liar = Liar::start().await;
    liar.artifact("1.0", "a: b\n");
    liar.lie(|seen| match (&seen.method, seen.path.contains("/manifests/")) {
        (&Method::PUT, true) => Some(reply(503, &[("retry-after", "0")], "")),
        (&Method::HEAD, false) => Some(reply(200, &[], "")),
        _ => None,
    });
    check(&liar, "HOST/team/app:1.0 was not published; the tag is unchanged").await;
    // Nobody knows.
    liar.lie(|seen| {
        (seen.method == Method::HEAD && seen.path.contains("/manifests/")).then(|| reply(401, &[], ""))
    });
    check(&liar, "cannot tell whether HOST/team/app:1.0 was published; push it again, which is safe").await;
}

#[tokio::test]
async fn an_answer_that_was_lost_is_no_failure() {
    let liar = Liar::start().await;
    let digest = packed().digest().to_string();
    let told = digest.clone();
    liar.lie(move |seen| match (&seen.method, seen.path.contains("/manifests/")) {
        (&Method::PUT, true) => Some(reply(504, &[("retry-after", "0")], "")),
        (&Method::HEAD, true) => Some(reply(200, &[("docker-content-digest", &told)], "")),
        (&Method::HEAD, false) => Some(reply(200, &[], "")),
        _ => None,
    });
    assert_eq!(push(&liar).await.unwrap(), digest);
}

/// How much of an upload a slow registry reads at a time, in bytes.
const SIP: usize = 64 << 10;
/// The pause after that.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers requests on one connection, and reads the bodies of uploads at leisure:
/// only so many bytes of them.
async fn sip(mut stream: TcpStream, most: usize) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let (mut left, mut taken, mut sip) = (length.unwrap_or(0), 0, vec![0; SIP]);
        while left > 0 {
            if taken >= most {
                std::future::pending::<()>().await;
            }
            let piece = left.min(SIP);
            stream.read_exact(&mut sip[..piece]).await.ok()?;
            (left, taken) = (left - piece, taken + piece);
            if head.starts_with("put ") {
                tokio::time::sleep(PAUSE).await;
            }
        }
        let answer = match head.split(' ').next() {
            Some("head") => "404 Not Found\r\n",
            Some("post") => "202 Accepted\r\nlocation: /v2/team/app/blobs/uploads/1\r\n",
            _ => "201 Created\r\n",
        };
        let answer = format!("HTTP/1.1 {answer}content-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Pushes some MiB that cannot be compressed to a registry that reads so many
/// bytes of each upload slowly; how it ended, the outcomes of the uploads, and
/// the longest that one took.
async fn push_slowly(
    idle_timeout: Duration,
    most: usize,
) -> (Result<(), String>, Vec<RequestOutcome>, Duration) {
    let socket = TcpSocket::new_v4().unwrap();
    // The kernel is not to take the upload for the registry.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(16).unwrap();
    let host = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(sip(stream, most));
        }
    });
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    });
    let package = pack(&noise.take(8 << 20).collect::<Vec<_>>(), &Labels::default()).unwrap();
    let puts: Arc<std::sync::Mutex<Vec<(RequestOutcome, Duration)>>> = Arc::default();
    let sink = Arc::clone(&puts);
    let observer = move |record: &RequestRecord| {
        if record.method == "PUT" {
            sink.lock().unwrap().push((record.outcome, record.elapsed));
        }
    };
    let options = RegistryOptions { idle_timeout, observer: Some(Arc::new(observer)), ..options() };
    let repository = Repository::parse(&format!("oci://{host}/team/app")).unwrap();
    let (registry, tag) = (Registry::new(options), Tag::parse("1.0").unwrap());
    let pushed = soon(registry.push(&repository, &tag, &package, &access(None))).await;
    server.abort();
    let puts = std::mem::take(&mut *puts.lock().unwrap());
    let longest = puts.iter().map(|(_, elapsed)| *elapsed).max().unwrap_or_default();
    let pushed = pushed.map(drop).map_err(|e| format!("{e}: {:?}", std::error::Error::source(&e)));
    (pushed, puts.into_iter().map(|(outcome, _)| outcome).collect(), longest)
}

#[tokio::test]
async fn a_slow_upload_may_take_longer_than_silence() {
    let idle = Duration::from_secs(1);
    let (pushed, outcomes, longest) = push_slowly(idle, usize::MAX).await;
    assert_eq!(pushed, Ok(()), "{outcomes:?}");
    assert_eq!(outcomes, [RequestOutcome::Status(201); 3]);
    assert!(longest > idle, "the test is too fast to tell anything: {longest:?}");
}

#[tokio::test]
async fn an_upload_that_stands_still_ends() {
    let started = Instant::now();
    let (pushed, outcomes, _) = push_slowly(Duration::from_millis(300), SIP).await;
    let error = pushed.unwrap_err();
    assert!(error.contains("was not published") && error.contains("no answer in time"), "{error}");
    assert_eq!(outcomes, [RequestOutcome::TimedOut; 4]);
    assert!(started.elapsed() < Duration::from_secs(30));
}
