//! Many pages of many persons: what they cost the API server, and that one person does not take the page from others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use supercargo_testbed::proxy::{Fate, Moment, Seen};
use supercargo_testbed::{Profiles, story};

use super::shared::{Cluster, READ};

const PROFILES: Profiles = Profiles::First("the page acts with the rights of a person");

/// How long anything may take.
const SOON: Duration = Duration::from_secs(30);

fn reviews_token(seen: &Seen) -> bool {
    seen.path.contains("/tokenreviews")
}

fn reviews_rights(seen: &Seen) -> bool {
    seen.path.contains("/subjectaccessreviews")
}

/// Many requests at the same time, as of a browser with many tabs; the codes of their answers.
fn tabs(cluster: &Cluster, token: &str) -> Vec<u16> {
    let bearer = format!("Bearer {token}");
    std::thread::scope(|scope| {
        let get = || cluster.get("/releases", &[("authorization", &bearer)]).code;
        let all: Vec<_> = (0..8).map(|_| scope.spawn(get)).collect();
        all.into_iter().map(|one| one.join().expect("an answer")).collect()
    })
}

#[story]
async fn pages_share_reviews_and_say_what_is_not_checked_yet() {
    let (cluster, proxy) = Cluster::behind_proxy("page-reviews").await;
    let token = cluster.token("amara", READ);
    // The review of all namespaces is answered, and those of each are not.
    proxy.forget();
    proxy.hold_from(2, Moment::Before, reviews_rights);
    assert_eq!(tabs(&cluster, &token), [200; 8]);
    // All of them together: who somebody is, the review of all namespaces, and one for each.
    assert_eq!((proxy.count(reviews_token), proxy.count(reviews_rights)), (1, 3));
    let window = cluster.signed_in(&token).await;
    window.wait_text("2 namespaces are not checked yet").await;
    assert!(!window.text().await.contains("You see no release"), "{}", window.text().await);
    assert_eq!(window.violations().await, Vec::<String>::new());
    // The answers come, and the page shows what they allow by itself.
    proxy.pass_all();
    proxy.release();
    window.wait_text("1 release").await;
    window.wait("no note is left", "return !document.querySelector('.partial')").await;
    assert!(!window.text().await.contains("theirs"), "{}", window.text().await);
    window.close().await;

    // A refused token costs one review, however often it is sent.
    proxy.forget();
    for _ in 0..3 {
        assert_eq!(tabs(&cluster, "guess"), [401; 8]);
    }
    assert_eq!((proxy.count(reviews_token), proxy.count(reviews_rights)), (1, 0));
}

#[story]
async fn reviews_without_an_answer_are_said_and_made_again() {
    let (cluster, proxy) = Cluster::behind_proxy("page-stuck").await;
    let token = cluster.token("amara", READ);
    let refusal =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "message": "away"});
    proxy.rule(move |seen| match reviews_rights(seen) {
        true => Fate::Answer(500, refusal.to_string()),
        false => Fate::Pass,
    });
    let window = cluster.signed_in(&token).await;
    window.wait_text("2 namespaces are not checked yet: the API server does not say").await;
    proxy.pass_all();
    window.wait_text("1 release").await;
    window.close().await;
}

/// A stream of changes, and the first event in it.
struct Stream {
    _connection: TcpStream,
    first: String,
}

impl Stream {
    fn open(cluster: &Cluster, token: &str) -> Stream {
        let accept = "accept: text/event-stream\r\n";
        let head = format!(
            "GET /live/releases HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n{accept}"
        );
        let mut connection = send(cluster, &format!("{head}\r\n"));
        let mut first = Vec::new();
        let mut part = [0; 4096];
        loop {
            let count = connection.read(&mut part).expect("an event");
            first.extend_from_slice(&part[..count]);
            let text = String::from_utf8_lossy(&first).into_owned();
            if count == 0 || text.contains("data: ") {
                return Stream { _connection: connection, first: text };
            }
        }
    }

    fn follows(&self) -> bool {
        self.first.starts_with("HTTP/1.1 200") && self.first.contains("id: ")
    }

    fn is_busy(&self) -> bool {
        self.first.starts_with("HTTP/1.1 200")
            && self
                .first
                .contains("event: busy\ndata: Too many pages are open: this one does not follow changes.")
    }
}

/// A connection on which this was sent.
fn send(cluster: &Cluster, text: &str) -> TcpStream {
    let address = cluster.page.strip_prefix("http://localhost").expect("an address");
    let mut connection = TcpStream::connect(format!("127.0.0.1{address}")).expect("a connection");
    connection.set_read_timeout(Some(SOON)).expect("a limit");
    connection.write_all(text.as_bytes()).expect("the request is sent");
    connection
}

#[story]
async fn one_person_leaves_streams_for_others() {
    let cluster = Cluster::begin("page-streams", &[]).await;
    let (hog, other) = (cluster.token("hog", READ), cluster.token("other", READ));
    let theirs = Stream::open(&cluster, &other);
    assert!(theirs.follows(), "{}", theirs.first);
    let mut open: Vec<Stream> = (0..32).map(|_| Stream::open(&cluster, &hog)).collect();
    assert!(open.iter().all(Stream::follows));
    for _ in 0..300 {
        let more = Stream::open(&cluster, &hog);
        assert!(more.is_busy(), "{}", more.first);
    }
    let bearer = format!("Bearer {hog}");
    let plain = cluster.get("/live/releases", &[("authorization", &bearer)]);
    assert_eq!(plain.code, 429, "{}", plain.text());
    // Others have theirs, and everyone has pages.
    assert!(Stream::open(&cluster, &other).follows());
    assert_eq!(cluster.get("/releases", &[("authorization", &bearer)]).code, 200);
    // A page of this person says it.
    let window = cluster.signed_in(&hog).await;
    window
        .wait(
            "the page says that it does not follow changes",
            "return document.querySelector('#connection').innerText.includes('Too many pages are open')",
        )
        .await;
    window.close().await;
    // A page that is closed gives its place back.
    open.pop();
    let again = async || Stream::open(&cluster, &hog).follows().then_some(());
    cluster.scene.story.wait_for("a place is free", again).await;
}

#[story]
async fn a_form_that_does_not_come_ends_its_connection() {
    let cluster = Cluster::begin("page-slow", &[]).await;
    let head = "POST /sign-in HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost\r\ncontent-length: 100\r\n\r\ntoken=";
    let mut connection = send(&cluster, head);
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[story]
async fn a_key_that_is_replaced_is_used_and_earlier_cookies_count() {
    let cluster = Cluster::begin("page-key", &[]).await;
    let story = &cluster.scene.story;
    let token = cluster.token("amara", READ);
    let cookie = cluster.cookie(&token);
    let opens = |cookie: &str| cluster.get("/releases", &[("cookie", cookie)]).code == 200;
    assert!(opens(&cookie));
    let secrets = || story.kubectl(&["get", "secrets", "-o", "name"], "");
    let is_key = |name: &&str| name.ends_with("-plan-key");
    let name = secrets().lines().find(is_key).expect("the Secret with the key").to_owned();
    story.kubectl(&["delete", &name], "");
    // A cookie that no key opens is a reason to read it again.
    let read = async || {
        assert!(!opens("supercargo=guess"));
        secrets().lines().any(|name| is_key(&name)).then_some(())
    };
    story.wait_for("the key is made again", read).await;
    assert!(opens(&cookie), "the cookie of the key before");
    assert!(opens(&cluster.cookie(&token)));
    // Another replica knows the new key alone.
    let mut cluster = cluster;
    cluster.scene.restart();
    assert!(cluster.get("/releases", &[("cookie", &cookie)]).code == 401);
}
