//! What the known registries do differently, replayed; docs/registries.md has
//! the table.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use supercargo::api::reason::Reason;
use supercargo::domain::version::Range;
use supercargo::oci::{Registry, Wanted};

use crate::liar::{Liar, access, options, pull, reply, resolve, soon};

const YAML: &str = "kind: ConfigMap\n";

fn semver(range: &str) -> Wanted {
    Wanted::Semver { range: Range::parse(range).unwrap(), filter: None }
}

#[tokio::test]
async fn hub_counts_pulls_and_says_so() {
    let liar = Liar::start().await;
    let body =
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
    liar.lie(move |_| {
        let headers = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "0;w=21600")];
        Some(reply(429, &headers, body))
    });
    // A HEAD has no body, a GET has; the code is for people.
    let registry = Registry::new(options());
    let digest = supercargo::oci::Digest::of(b"x");
    let fetched = soon(registry.fetch(&liar.repository(), &digest, &access(None), &Default::default())).await;
    let error = fetched.unwrap_err();
    assert_eq!(error.reason(), Reason::RegistryUnavailable);
    assert!(error.to_string().contains("429 (TOOMANYREQUESTS)"), "{error}");
}

#[tokio::test]
async fn ghcr_wants_a_token_of_everybody() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    let challenge = format!(
        r#"Bearer realm="http://{}/token",service="ghcr.io",scope="repository:user/image:pull""#,
        liar.host
    );
    liar.lie(move |seen| {
        if seen.path.starts_with("/token") {
            let anonymous = seen.authorization.is_none();
            return Some(reply(if anonymous { 200 } else { 403 }, &[], r#"{"token":"djE6Og=="}"#));
        }
        let open = seen.authorization.as_deref() == Some("Bearer djE6Og==");
        (!open).then(|| reply(401, &[("www-authenticate", &challenge)], ""))
    });
    soon(pull(&Registry::new(options()), &liar.repository(), "1.0", &access(None))).await.unwrap();
    // The scope is ours, whatever the challenge says.
    let asked = liar.asked();
    assert!(asked.iter().any(|a| a.contains("scope=repository%3Ateam%2Fapp%3Apull")), "{asked:?}");
}

#[tokio::test]
async fn a_registry_without_referrers_has_none() {
    let page = "<!DOCTYPE html><title>404</title>";
    for (status, body) in [(404, ""), (404, page), (405, ""), (406, page)] {
        let liar = Liar::start().await;
        let digest = liar.artifact("1.0", YAML);
        let kind = [("content-type", "text/html")];
        liar.lie(move |seen| seen.path.contains("/referrers/").then(|| reply(status, &kind, body)));
        let registry = Registry::new(options());
        let evidence = soon(registry.evidence(&liar.repository(), &digest, &access(None))).await.unwrap();
        assert!(evidence.found.is_empty() && evidence.skipped.is_empty(), "{status} {body}: {evidence:?}");
        // The tag that stands in for the list was asked for.
        let tag = format!("manifests/{}", digest.as_str().replace(':', "-"));
        assert!(liar.asked().iter().any(|asked| asked.ends_with(&tag)), "{status}");
    }
}

#[tokio::test]
async fn an_error_page_in_html_is_no_message() {
    let liar = Liar::start().await;
    let page = "<!DOCTYPE html><title>Unicorn</title>";
    for status in [404, 500, 403] {
        liar.repent();
        liar.lie(move |_| Some(reply(status, &[("content-type", "text/html"), ("retry-after", "99")], page)));
        let registry = Registry::new(options());
        let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
        assert!(!error.to_string().contains("Unicorn"), "{error}");
    }
    liar.repent();
    liar.lie(move |_| Some(reply(200, &[("content-type", "text/html")], page)));
    let registry = Registry::new(options());
    let error = soon(pull(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ArtifactInvalid, "{error}");
}

#[tokio::test]
async fn ecr_denies_a_login_that_has_run_out() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    liar.lie(|seen| match (&seen.authorization, &seen.method) {
        (None, _) => {
            Some(reply(401, &[("www-authenticate", r#"Basic realm="https://ecr/",service="ecr""#)], ""))
        }
        (Some(_), _) => Some(reply(
            403,
            &[],
            r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#,
        )),
    });
    let access = access(Some((&liar.host, "AWS", "token")));
    let error =
        soon(resolve(&Registry::new(options()), &liar.repository(), "1.0", &access)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::AuthenticationFailed, "{error}");
}

#[tokio::test]
async fn redirects_within_the_host_keep_the_credentials() {
    let (liar, storage) = (Liar::start().await, Liar::start().await);
    liar.artifact("1.0", YAML);
    let signed = format!("http://{}/signed?X-Goog-Signature=x", storage.host);
    storage.lie(|seen| Some(reply(if seen.authorization.is_none() { 200 } else { 400 }, &[], YAML)));
    liar.lie(move |seen| {
        if seen.authorization.is_none() {
            return Some(reply(401, &[("www-authenticate", "Basic realm=x")], ""));
        }
        match seen.path.as_str() {
            "/artifacts-downloads/x" => Some(reply(302, &[("location", &signed)], "")),
            path if path.contains("/blobs/") => {
                Some(reply(302, &[("location", "/artifacts-downloads/x")], ""))
            }
            _ => None,
        }
    });
    let access = access(Some((&liar.host, "oauth2accesstoken", "token")));
    soon(pull(&Registry::new(options()), &liar.repository(), "1.0", &access)).await.unwrap();
    assert_eq!(storage.seen().len(), 1);
}

#[tokio::test]
async fn quay_pages_by_its_own_parameter() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.2.0", YAML);
    liar.lie(|seen| {
        let next = r#"</v2/team/app/tags/list?n=1000&next_page=gAAAAABk>; rel="next""#;
        match seen.path.as_str() {
            "/v2/team/app/tags/list?n=1000" => {
                Some(reply(200, &[("link", next)], r#"{"name":"team/app","tags":["1.0.0"]}"#))
            }
            "/v2/team/app/tags/list?n=1000&next_page=gAAAAABk" => {
                Some(reply(200, &[], r#"{"name":"team/app","tags":["1.2.0"]}"#))
            }
            _ => None,
        }
    });
    let registry = Registry::new(options());
    let found = soon(registry.resolve(&liar.repository(), &semver("1.x"), &access(None))).await.unwrap();
    assert_eq!(found.digest, digest);
}

#[tokio::test]
async fn quay_gives_a_hundred_tags_a_page() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.0.14999", YAML);
    liar.lie(|seen| {
        let page = seen.path.strip_prefix("/v2/team/app/tags/list?")?;
        let page: usize = page.split_once("next_page=").map_or(Some(0), |(_, page)| page.parse().ok())?;
        let tags: Vec<String> = (0..100).map(|n| format!("\"1.0.{}\"", page * 100 + n)).collect();
        let body = format!(r#"{{"tags":[{}]}}"#, tags.join(","));
        let next = format!(r#"</v2/team/app/tags/list?n=1000&next_page={}>; rel="next""#, page + 1);
        Some(if page == 149 { reply(200, &[], body) } else { reply(200, &[("link", &next)], body) })
    });
    let registry = Registry::new(options());
    let found = soon(registry.resolve(&liar.repository(), &semver("1.x"), &access(None))).await.unwrap();
    assert_eq!(found.digest, digest);
}

#[tokio::test]
async fn registry_2_sends_all_tags_whatever_is_asked_for() {
    let registry = Registry::new(options());
    for count in [999, 1000, 1001, 2500] {
        let liar = Liar::start().await;
        let highest = format!("1.0.{}", count - 1);
        let digest = liar.artifact(&highest, YAML);
        // Its order is that of a directory.
        let tags: Vec<String> = (0..count).map(|n| format!("\"1.0.{}\"", (n * 17 + 3) % count)).collect();
        let tags = format!(r#"{{"tags":[{}]}}"#, tags.join(","));
        liar.lie(move |seen| seen.path.contains("/tags/list").then(|| reply(200, &[], tags.clone())));
        let found = soon(registry.resolve(&liar.repository(), &semver("1.x"), &access(None))).await.unwrap();
        assert_eq!(found.digest, digest, "{count}");
        let asked = liar.asked().iter().filter(|asked| asked.contains("tags/list")).count();
        assert_eq!(asked, if count == 1000 { 2 } else { 1 }, "{count}");
    }
}

#[tokio::test]
async fn a_registry_that_refuses_the_size_of_a_page_is_asked_without_it() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.2.0", YAML);
    liar.lie(|seen| match seen.path.as_str() {
        "/v2/team/app/tags/list?n=1000" => {
            Some(reply(400, &[], r#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}"#))
        }
        "/v2/team/app/tags/list" => Some(reply(200, &[], r#"{"tags":["1.2.0"]}"#)),
        _ => None,
    });
    let registry = Registry::new(options());
    let found = soon(registry.resolve(&liar.repository(), &semver("1.x"), &access(None))).await.unwrap();
    assert_eq!(found.digest, digest);
    // Once only.
    liar.repent();
    liar.lie(|seen| seen.path.contains("/tags/list").then(|| reply(400, &[], "")));
    liar.asked();
    soon(registry.resolve(&liar.repository(), &semver("1.x"), &access(None))).await.unwrap_err();
    assert_eq!(liar.asked(), ["GET tags/list?n=1000", "GET tags/list"]);
}

#[tokio::test]
async fn harbor_gives_shorter_pages_and_relative_links() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.2.0", YAML);
    liar.lie(|seen| {
        let next = r#"</v2/team/app/tags/list?last=1.0.0&n=100>; rel="next""#;
        match seen.path.as_str() {
            "/v2/team/app/tags/list?n=1000" => Some(reply(200, &[("link", next)], r#"{"tags":["1.0.0"]}"#)),
            "/v2/team/app/tags/list?last=1.0.0&n=100" => Some(reply(200, &[], r#"{"tags":["1.2.0"]}"#)),
            _ => None,
        }
    });
    let registry = Registry::new(options());
    let found = soon(registry.resolve(&liar.repository(), &semver("1.x"), &access(None))).await.unwrap();
    assert_eq!(found.digest, digest);
}

#[tokio::test]
async fn names_of_robots_are_sent_as_they_are() {
    for (user, encoded) in [
        ("robot$project+name", "Basic cm9ib3QkcHJvamVjdCtuYW1lOnBAJCQ6dyUyMA=="),
        ("team+robot", "Basic dGVhbStyb2JvdDpwQCQkOnclMjA="),
    ] {
        let liar = Liar::start().await;
        liar.artifact("1.0", YAML);
        let challenge =
            format!(r#"Bearer realm="http://{}/service/token",service="harbor-registry""#, liar.host);
        liar.lie(move |seen| {
            if seen.path.starts_with("/service/token") {
                let right = seen.authorization.as_deref() == Some(encoded);
                return Some(reply(if right { 200 } else { 401 }, &[], r#"{"token":"t","access_token":""}"#));
            }
            let open = seen.authorization.as_deref() == Some("Bearer t");
            (!open).then(|| reply(401, &[("www-authenticate", &challenge)], ""))
        });
        let access = access(Some((&liar.host, user, "p@$$:w%20")));
        soon(resolve(&Registry::new(options()), &liar.repository(), "1.0", &access)).await.unwrap();
    }
}

#[tokio::test]
async fn artifactory_leaves_out_the_digest() {
    let liar = Liar::start().await;
    let digest = liar.artifact("1.0", YAML);
    liar.lie(|seen| (seen.method == Method::HEAD).then(|| reply(200, &[("etag", "\"x\"")], "")));
    let registry = Registry::new(options());
    assert_eq!(soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap(), digest);
}

#[tokio::test]
async fn a_login_that_has_run_out_is_renewed_by_its_own_lifetime() {
    let liar = Liar::start().await;
    liar.artifact("1.0", YAML);
    // A lifetime of 0, and one beyond every clock.
    for life in ["0", "18446744073709551615", "-1", "\"60\""] {
        liar.repent();
        liar.asked();
        let given = AtomicUsize::new(0);
        let challenge = format!(r#"Bearer realm="http://{}/token",service="x""#, liar.host);
        liar.lie(move |seen| {
            if seen.path.starts_with("/token") {
                given.fetch_add(1, Ordering::SeqCst);
                return Some(reply(200, &[], format!(r#"{{"token":"t","expires_in":{life}}}"#)));
            }
            let open = seen.authorization.as_deref() == Some("Bearer t");
            (!open).then(|| reply(401, &[("www-authenticate", &challenge)], ""))
        });
        let registry = Registry::new(options());
        let first = soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await;
        assert_eq!(first.is_ok(), life.parse::<u64>().is_ok(), "{life}");
        if first.is_ok() {
            liar.asked();
            soon(resolve(&registry, &liar.repository(), "1.0", &access(None))).await.unwrap();
            assert_eq!(liar.asked(), ["HEAD manifests/1.0"], "{life}: no token for every request");
        }
    }
}
