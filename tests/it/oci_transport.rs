//! Who gets to see credentials, how often and how long a registry is asked.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::domain::version::{Range, TagFilter};
use supercargo::oci::{
    Access, AccessParts, Keyring, Observer, Registry, RegistryOptions, Repository, RequestRecord, Wanted,
};

use crate::liar::{Liar, access, options, pull, reply, resolve, soon};

const YAML: &str = "kind: ConfigMap\n";

/// Makes the server want a bearer token, which it gives to user:sesame.
fn guard(liar: &Liar, generation: &'static str) {
    let realm = format!(r#"Bearer realm="http://{}/token",service="registry""#, liar.host);
    let given = AtomicUsize::new(0);
    liar.lie(move |seen| {
        if seen.path.starts_with("/token") {
            let known = seen.authorization.as_deref() == Some("Basic dXNlcjpzZXNhbWU=");
            let asked = seen.path.contains("scope=repository%3Ateam%2Fapp%3Apull")
                && seen.path.contains("service=registry");
            if !known || !asked {
                return Some(reply(401, &[], ""));
            }
            let n = given.fetch_add(1, Ordering::SeqCst);
            return Some(reply(200, &[], format!(r#"{{"token":"{generation}{n}","expires_in":300}}"#)));
        }
        let current = format!("Bearer {generation}{}", given.load(Ordering::SeqCst).wrapping_sub(1));
        (seen.authorization.as_deref() != Some(&current))
            .then(|| reply(401, &[("www-authenticate", &realm)], ""))
    });
}

#[tokio::test]
async fn a_tag_costs_one_head() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    guard(&liar, "old");
    let registry = Registry::new(options());
    let access = access(Some((&liar.host, "user", "sesame")));
    soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
    let first = liar.asked();
    assert_eq!(first.len(), 3, "challenge, token, answer: {first:?}");
    soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
    assert_eq!(liar.asked(), ["HEAD manifests/1.0"]);
}

#[tokio::test]
async fn every_request_is_told_to_the_observer() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    guard(&liar, "old");
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&told);
    let observer: Observer = Arc::new(move |record: &RequestRecord| {
        sink.lock().unwrap().push(format!("{} {} {:?}", record.method, record.host, record.outcome));
    });
    let registry = Registry::new(RegistryOptions { observer: Some(observer), ..options() });
    let access = access(Some((&liar.host, "user", "sesame")));
    soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
    let nobody = Repository::parse("oci://127.0.0.1:1/app").unwrap();
    soon(resolve(&registry, &nobody, "1.0", &access)).await.unwrap_err();
    let host = &liar.host;
    let mut expected = vec![
        format!("HEAD {host} Status(401)"),
        format!("GET {host} Status(200)"),
        format!("HEAD {host} Status(200)"),
    ];
    expected.extend(vec!["HEAD 127.0.0.1:1 ConnectFailed".to_owned(); 3]);
    assert_eq!(*told.lock().unwrap(), expected);
}

#[tokio::test]
async fn an_identity_token_is_traded_for_a_token() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let realm = format!(r#"Bearer realm="http://{}/token",service="registry""#, liar.host);
    liar.lie(move |seen| {
        if seen.path == "/token" {
            let expected = "grant_type=refresh_token&service=registry&scope=repository%3Ateam%2Fapp%3Apull\
                            &client_id=supercargo&refresh_token=s%26cret";
            let right = seen.method == Method::POST && seen.body == expected && seen.authorization.is_none();
            return Some(if right {
                reply(200, &[], r#"{"access_token":"t"}"#)
            } else {
                reply(400, &[], "")
            });
        }
        let known = seen.authorization.as_deref() == Some("Bearer t");
        (!known).then(|| reply(401, &[("www-authenticate", &realm)], ""))
    });
    let mut keyring = Keyring::default();
    keyring
        .add(format!(r#"{{"auths":{{"{}":{{"identitytoken":"s&cret"}}}}}}"#, liar.host).as_bytes())
        .unwrap();
    let access = Access::new(AccessParts { keyring, insecure: true, ..AccessParts::default() });
    let registry = Registry::new(options());
    soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    guard(&liar, "old");
    let registry = Registry::new(options());
    let access = access(Some((&liar.host, "user", "sesame")));
    soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
    // From now on another token is current than the one that is remembered.
    liar.repent();
    guard(&liar, "new");
    liar.asked();
    soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
    let asked = liar.asked();
    assert_eq!(asked.len(), 3, "refused, token, answer: {asked:?}");
}

#[tokio::test]
async fn wrong_credentials_are_denied_and_not_shown() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    guard(&liar, "old");
    let registry = Registry::new(options());
    for credentials in [None, Some((liar.host.as_str(), "user", "hunter2"))] {
        let error =
            soon(resolve(&registry, &liar.repository(), "1.0", &access(credentials))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(!error.to_string().contains("scope="), "{error}");
    }
}

#[tokio::test]
async fn another_release_does_not_use_the_token() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    guard(&liar, "old");
    let registry = Registry::new(options());
    let good = access(Some((&liar.host, "user", "sesame")));
    soon(resolve(&registry, &liar.repository(), "1.0", &good)).await.unwrap();
    soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
}

#[tokio::test]
async fn a_realm_elsewhere_gets_nothing() {
    let liar = Liar::start().await;
    let registry = Registry::new(options());
    for realm in [
        "http://registry.example.test/token",
        "https://registry.example.test/token",
        "http://169.254.169.254/t",
    ] {
        liar.repent();
        let challenge = format!(r#"Bearer realm="{realm}""#);
        liar.lie(move |_| Some(reply(401, &[("www-authenticate", &challenge)], "")));
        let access = access(Some((&liar.host, "user", "sesame")));
        let error = soon(resolve(&registry, &liar.repository(), "1.0", &access)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");
        assert!(error.to_string().contains("token service"), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_elsewhere_carries_no_credentials() {
    let (liar, cdn) = (Liar::start().await, Liar::start().await);
    let layer = liar.artifact("1.0", YAML);
    cdn.lie(|_| Some(reply(200, &[], YAML)));
    let target = format!("http://{}/signed?x=y", cdn.host);
    liar.lie(move |seen| match &seen.authorization {
        None => Some(reply(401, &[("www-authenticate", "Basic realm=x")], "")),
        Some(_) => seen.path.contains("blobs/").then(|| reply(307, &[("location", &target)], "")),
    });
    let registry = Registry::new(options());
    let access = access(Some((&liar.host, "user", "sesame")));
    let artifact = soon(pull(&registry, &liar.repository(), "1.0", &access)).await.unwrap();
    assert_eq!(artifact.digest, layer);
    assert!(liar.seen().iter().any(|seen| seen.authorization.is_some()));
    let there = cdn.seen();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].authorization, None);
}

#[tokio::test]
async fn promise_7_redirects_end() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let registry = Registry::new(options());
    let here = format!("http://{}/v2/team/app/blobs/again", liar.host);
    for (target, says) in [
        (here.as_str(), "more than 5 times"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://[fe80::1]/", "link-local"),
        ("file:///etc/passwd", "over file"),
        ("http://[", "without a location"),
    ] {
        liar.repent();
        liar.asked();
        let target = target.to_owned();
        liar.lie(move |seen| seen.path.contains("blobs/").then(|| reply(302, &[("location", &target)], "")));
        let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(liar.asked().len() <= 8);
    }
}

#[tokio::test]
async fn a_busy_registry_is_asked_again_but_not_for_long() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let check = async |status: u16, retry_after: Option<&'static str>, times: usize| {
        let registry = Registry::new(options());
        liar.repent();
        liar.asked();
        liar.lie(move |_| {
            let headers: Vec<_> = retry_after.iter().map(|v| ("retry-after", *v)).collect();
            Some(reply(status, &headers, ""))
        });
        let error = soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
        assert_eq!(liar.asked().len(), times, "{status} {retry_after:?}");
    };
    check(429, None, 3).await;
    check(429, Some("99999"), 1).await;
    check(503, Some("0"), 3).await;
    check(500, None, 3).await;
    check(501, None, 1).await;
    check(429, Some("Wed, 21 Oct 2099 07:28:00 GMT"), 1).await;
    check(429, Some("Wed, 21 Oct 2015 07:28:00 GMT"), 3).await;
    check(429, Some("-1"), 3).await;

    liar.repent();
    let failures = AtomicUsize::new(0);
    liar.lie(move |_| (failures.fetch_add(1, Ordering::SeqCst) < 2).then(|| reply(502, &[], "")));
    let registry = Registry::new(options());
    soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap();
}

#[tokio::test]
async fn who_is_told_to_wait_does_not_ask_again_and_others_may() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let registry = Registry::new(options());
    liar.lie(|seen| seen.authorization.is_none().then(|| reply(429, &[("retry-after", "3600")], "")));
    let anonymous = access(None);
    let error = soon(resolve(&registry, &liar.repository(), "1.0", &anonymous)).await.unwrap_err();
    assert!(error.to_string().contains("answered 429"), "{error}");
    assert_eq!(liar.asked().len(), 1);
    for _ in 0..3 {
        let error = soon(resolve(&registry, &liar.repository(), "1.0", &anonymous)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable);
        assert!(error.to_string().ends_with("it limits the request rate (Retry-After)"), "{error}");
    }
    assert!(liar.asked().is_empty(), "it limits the request rate");
    // Another release has an account of its own, and nobody has told it anything.
    liar.repent();
    let other = access(Some((&liar.host, "user", "sesame")));
    soon(resolve(&registry, &liar.repository(), "1.0", &other)).await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_of_one_slow_nobody_down() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let registry = Registry::new(options());
    liar.lie(|seen| seen.authorization.is_none().then(|| reply(401, &[("retry-after", "3600")], "")));
    for _ in 0..2 {
        let error = soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::AuthenticationFailed);
    }
    assert_eq!(liar.asked().len(), 2);
}

#[tokio::test]
async fn an_answer_is_told_from_its_status() {
    let liar = Liar::start().await;
    let registry = Registry::new(options());
    for (status, reason) in [
        (401, Reason::AuthenticationFailed),
        (403, Reason::AuthenticationFailed),
        (404, Reason::ArtifactNotFound),
        (418, Reason::RegistryUnavailable),
    ] {
        liar.repent();
        liar.lie(move |_| Some(reply(status, &[], "")));
        let error = soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{status}: {error}");
    }
}

#[tokio::test]
async fn a_registry_without_head_is_asked_with_get() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.0", YAML);
    liar.lie(|seen| (seen.method == Method::HEAD).then(|| reply(405, &[], "")));
    let registry = Registry::new(options());
    assert_eq!(soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap(), digest);
}

fn semver(range: &str, filter: Option<&str>) -> Wanted {
    Wanted::Semver {
        range: Range::parse(range).unwrap(),
        filter: filter.map(|f| TagFilter::parse(f).unwrap()),
    }
}

#[tokio::test]
async fn tags_are_read_page_by_page() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.2.0", YAML);
    liar.artifact("1.3.0", "kind: Secret\n");
    liar.lie(|seen| {
        let next = [("link", r#"</v2/team/app/tags/list?n=1000&last=1.0.0>; rel="next""#)];
        match seen.path.as_str() {
            "/v2/team/app/tags/list?n=1000" => Some(reply(200, &next, r#"{"tags":["latest","1.0.0"]}"#)),
            "/v2/team/app/tags/list?n=1000&last=1.0.0" => {
                Some(reply(200, &[], r#"{"tags":["1.2.0","1.3.0-rc.1","1.3.0","bad tag","../x"]}"#))
            }
            _ => None,
        }
    });
    let registry = Registry::new(options());
    let (repository, access) = (liar.repository(), access(None));
    let found = soon(registry.resolve(&repository, &semver("<1.3.0", None), &access)).await.unwrap();
    assert_eq!(found.digest, digest);
    assert_eq!(found.revision, format!("1.2.0@{digest}"));
    assert_eq!(liar.asked().len(), 3);
    let error = soon(registry.resolve(&repository, &semver("1.x", Some("^v")), &access)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NoMatchingTag);
    assert_eq!(
        error.to_string(),
        format!("{repository} has no tag that matches semver \"1.x\" with semverFilter \"^v\"")
    );
}

#[tokio::test]
async fn full_pages_without_a_link_are_continued() {
    let liar = Liar::start().await;
    liar.artifact("2.0.0", YAML);
    let page: Vec<String> = (0..1000).map(|n| format!("\"1.0.{n}\"")).collect();
    let page = format!(r#"{{"tags":[{}]}}"#, page.join(","));
    liar.lie(move |seen| match seen.path.as_str() {
        "/v2/team/app/tags/list?n=1000" => Some(reply(200, &[], page.clone())),
        "/v2/team/app/tags/list?n=1000&last=1.0.999" => Some(reply(200, &[], r#"{"tags":["2.0.0"]}"#)),
        _ => None,
    });
    let registry = Registry::new(options());
    let found = soon(registry.resolve(&liar.repository(), &semver("*", None), &access(None))).await.unwrap();
    assert_eq!(found.tag.unwrap().as_str(), "2.0.0");
}

#[tokio::test]
async fn promise_7_tag_lists_end() {
    let liar = Liar::start().await;
    let registry = Registry::new(options());
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    liar.lie(move |_| {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        let link = format!(r#"</v2/team/app/tags/list?last=p{n}>; rel="next""#);
        Some(reply(200, &[("link", &link)], r#"{"tags":["1.0.0"]}"#))
    });
    let any = semver("*", None);
    let error = soon(registry.resolve(&liar.repository(), &any, &access(None))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArtifactTooLarge, "{error}");
    assert_eq!(count.swap(0, Ordering::SeqCst), 12);

    // A new tag on each page.
    liar.repent();
    let counter = Arc::clone(&count);
    liar.lie(move |_| {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        let link = format!(r#"</v2/team/app/tags/list?last=p{n}>; rel="next""#);
        Some(reply(200, &[("link", &link)], format!(r#"{{"tags":["1.0.{n}"]}}"#)))
    });
    let error = soon(registry.resolve(&liar.repository(), &any, &access(None))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArtifactTooLarge, "{error}");
    assert!(error.to_string().contains("it has more than 1000 pages of tags"), "{error}");
    assert_eq!(count.swap(0, Ordering::SeqCst), 1000);

    // Pages that are long and have a new tag each.
    liar.repent();
    let counter = Arc::clone(&count);
    let padding = format!("\"{}\"", "~".repeat(3 << 20));
    liar.lie(move |_| {
        let n = counter.fetch_add(1, Ordering::SeqCst);
        let link = format!(r#"</v2/team/app/tags/list?last=p{n}>; rel="next""#);
        Some(reply(200, &[("link", &link)], format!(r#"{{"tags":["1.0.{n}",{padding}]}}"#)))
    });
    let error = soon(registry.resolve(&liar.repository(), &any, &access(None))).await.unwrap_err();
    assert!(error.to_string().contains("the list of its tags is longer than 16777216 bytes"), "{error}");
    assert_eq!(count.load(Ordering::SeqCst), 6);

    for (link, says) in [
        (r#"</v2/team/app/tags/list?n=1000>; rel="next""#, "back to itself"),
        (r#"<http://registry.example.test/v2/x>; rel="next""#, "another host"),
        (r#"</admin>; rel="next""#, "another host"),
    ] {
        liar.repent();
        liar.lie(move |_| Some(reply(200, &[("link", link)], r#"{"tags":[]}"#)));
        let error = soon(registry.resolve(&liar.repository(), &any, &access(None))).await.unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn a_silent_registry_delays_nobody_else() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap();
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let registry = Registry::new(RegistryOptions { idle_timeout: Duration::from_secs(10), ..options() });
    let stuck = Repository::parse(&format!("oci://{host}/team/app")).unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (registry, stuck) = (registry.clone(), stuck.clone());
            tokio::spawn(async move { resolve(&registry, &stuck, "1.0", &access(None)).await })
        })
        .collect();
    // The connection stands in the listener's queue: accepted by the kernel,
    // never answered.
    let (accepted, _) = soon(silent.accept()).await.unwrap();
    soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap();
    // Whoever had to wait for the others would have come to an end after them.
    assert!(waiting.iter().all(|task| !task.is_finished()), "all of them still wait");
    let mut reasons = HashSet::new();
    for task in waiting {
        let error = soon(task).await.unwrap().unwrap_err();
        assert_eq!(error.reason(), Reason::RegistryUnavailable, "{error}");
        reasons.insert(error.to_string());
    }
    assert_eq!(
        reasons.into_iter().collect::<Vec<_>>(),
        [format!("registry {host} is unavailable: no answer in time")]
    );
    drop(accepted);
}
