//! Who must not see the page, and what nobody can make it show.

use std::time::Duration;

use serde_json::{Value, json};
use supercargo_testbed::fetch::{Answer, Trust, send};
use supercargo_testbed::{Profiles, Story, story};

use super::window::{Ui, Window, of_admin};
use crate::scene::release;
use crate::shell::Shell;

const PROFILES: Profiles = Profiles::First("the page reads with the rights of a person");

fn get(ui: &Ui, path: &str, headers: &[(&str, &str)]) -> Answer {
    send("GET", &format!("{}{path}", ui.origin()), headers, b"", Trust::default())
}

/// A release without an operator, and a status that somebody wrote.
fn written(story: &Story<'_>, name: &str, status: &Value) {
    let spec = json!({"suspend": false});
    story.apply(&release(story.namespace(), name, "oci://127.0.0.1:1/app", spec).to_string());
    let patch = json!({"status": status}).to_string();
    story.kubectl(&["patch", "oar", name, "--subresource=status", "--type=merge", "-p", &patch], "");
}

#[story]
async fn a_link_opens_the_page_once_and_nobody_else_gets_in() {
    let story = Story::begin("page-link").await;
    let ui = of_admin(&story);
    // Without the cookie there is nothing, under no name.
    for path in ["/", "/releases", "/release/a/b", "/live/wrong", "/live/release/a/b", "/nothing"] {
        let answer = get(&ui, path, &[]);
        assert_eq!(answer.code, 401, "{path}");
        assert!(!answer.text().contains(story.namespace()), "{path}: {}", answer.text());
    }
    assert_eq!(get(&ui, "/enter?token=guess", &[]).code, 403);
    let entered = get(&ui, &format!("/enter?token={}", ui.token()), &[]);
    let cookie = entered.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict; Path=/"), "{cookie}");
    assert_eq!(get(&ui, &format!("/enter?token={}", ui.token()), &[]).code, 403, "a second time");
    let cookie = cookie.split(';').next().expect("its value");
    let first = get(&ui, "/", &[("cookie", cookie)]);
    assert_eq!(first.code, 200, "{}", first.text());
    // Another name that leads here, as with DNS rebinding.
    let rebound = get(&ui, "/", &[("cookie", cookie), ("host", "evil.example")]);
    assert_eq!((rebound.code, rebound.header("set-cookie")), (421, None));
    // The headers of every answer.
    for answer in [&entered, &first, &rebound, &get(&ui, "/assets/page.js", &[]), &get(&ui, "/", &[])] {
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(first.header("cache-control"), Some("no-store"));
    // The token and the cookie are printed nowhere but in the link.
    let output = ui.output();
    assert_eq!(output.matches(ui.token()).count(), 1, "{output}");
    assert!(!output.contains(cookie.split_once('=').expect("a value").1), "{output}");
    // No address but one of loopback.
    let said = Shell::admin(&story).run(&["ui", "--addr", "0.0.0.0:0"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("must be an address of loopback"), "{}", said.err);
}

#[story]
async fn the_token_is_in_no_later_address_and_other_pages_cannot_reach_in() {
    let story = Story::begin("page-origin").await;
    let ui = of_admin(&story);
    let window = Window::entered(&ui).await;
    assert_eq!(window.address().await, format!("{}/", ui.origin()));
    assert_eq!(window.run("return document.referrer").await, "");
    assert_eq!(window.run("return document.cookie").await, "", "no script reads the cookie");
    window.run("history.back()").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!window.address().await.contains("token"), "{}", window.address().await);
    // A page on another port of the same host: it is the same site, but not the same origin.
    let other = Ui::start(&Shell::admin(&story), &["-n", story.namespace()]);
    window.goto(&other.link).await;
    window.wait("the other page is open", "return location.pathname === '/'").await;
    let script = format!(
        "return fetch('{}/', {{credentials: 'include', mode: 'no-cors'}}).then(() => 'read', () => 'refused')",
        ui.origin()
    );
    assert_eq!(window.run(&script).await, "refused", "the policy of the page sends nothing elsewhere");
    window.close().await;
}

#[story]
async fn what_others_write_is_text() {
    let story = Story::begin("page-hostile").await;
    let evil =
        "</pre></code><script>window.hacked=1</script><img src=x onerror=\"window.hacked=2\"> \u{202e}gpj";
    let attribute = "\" onmouseover=\"window.hacked=3\" x=\"javascript:window.hacked=4";
    let digest = format!("sha256:{}", "a".repeat(64));
    let time = "2026-01-01T00:00:00Z";
    let now = jiff::Timestamp::now().to_string();
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "HealthTimeout", "message": evil, "lastTransitionTime": time});
    let field = json!({"path": evil, "before": evil, "after": attribute});
    written(
        &story,
        "hostile",
        &json!({
            "conditions": [condition("Ready", "False"), condition("Verified", "True")],
            "lastAppliedRevision": format!("{attribute}@{digest}"),
            "lastAttemptedRevision": evil,
            "heldRevision": evil,
            "artifact": {"revision": evil, "digest": digest, "source": "javascript:window.hacked=5", "sourceRevision": evil,
                "verifiedBy": [{"format": evil, "subject": attribute, "issuer": evil}],
                "images": [{"name": evil, "pinned": evil, "signer": attribute}]},
            "history": [{"revision": evil, "digest": digest, "appliedAt": attribute, "outcome": evil, "reason": evil,
                "signer": attribute, "changes": {"created": 1, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}},
                {"revision": evil, "digest": digest, "appliedAt": now, "outcome": "Failed", "reason": evil, "signer": attribute,
                "changes": {"created": 1, "configured": 0, "unchanged": 0, "pruned": 0, "failed": 0}}],
            "failures": [{"object": evil, "reason": attribute, "message": evil}],
            "plan": {"revision": evil, "hash": attribute, "since": evil, "counts": {"created": 1, "configured": 0, "recreated": 0,
                "pruned": 0, "handedOver": 0, "run": 0, "unknown": 0},
                "changes": [{"object": evil, "action": attribute, "digest": "d", "detail": evil, "fields": [field]}]},
        }),
    );
    story.kubectl(&["annotate", "oar", "hostile", &format!("supercargo.dev/pin={evil}")], "");
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "hostile", "namespace": story.namespace()},
        "type": "Warning", "reason": attribute, "message": evil, "lastTimestamp": time,
        "involvedObject": {"kind": "OCIArtifactRelease", "name": "hostile", "namespace": story.namespace()}});
    story.apply(&event.to_string());
    let ui = of_admin(&story);
    let window = Window::entered(&ui).await;
    let clean = "return document.querySelectorAll('main script, main img, main iframe, main [onerror], main [onmouseover], \
        main [x]:not(rect), main [href^=javascript]').length + (window.hacked || 0)";
    let namespace = story.namespace();
    for path in [
        "/",
        "/releases",
        "/releases?q=%22%3E%3Cscript%3Ewindow.hacked%3D6%3C%2Fscript%3E&namespace=%22x",
        &format!("/release/{namespace}/hostile"),
        "/release/%3Cscript%3E/x",
    ] {
        window.goto(&format!("{}{path}", ui.origin())).await;
        window.wait("the page is there", "return !!document.querySelector('#content')").await;
        assert_eq!(
            window.run(clean).await,
            0,
            "{path}: {}",
            window.run("return document.body.innerHTML").await
        );
    }
    // The latest rollouts are of the names and reasons that others have written.
    window.goto(&format!("{}/fleet", ui.origin())).await;
    window.wait_text("<script>window.hacked=1</script>").await;
    assert_eq!(window.run(clean).await, 0, "{}", window.run("return document.body.innerHTML").await);
    // What comes later is text, too.
    window.goto(&format!("{}/release/{namespace}/hostile", ui.origin())).await;
    window.wait_text("<script>window.hacked=1</script>").await;
    window
        .wait("the stream is open", "return !!document.body.dataset.updated || document.hidden === false")
        .await;
    let later = json!({"conditions": [{"type": "Ready", "status": "False", "reason": "HealthTimeout",
        "message": format!("later {evil}"), "lastTransitionTime": time}]});
    let patch = json!({"status": later}).to_string();
    story.kubectl(&["patch", "oar", "hostile", "--subresource=status", "--type=merge", "-p", &patch], "");
    window.wait_text("later </pre></code><script>").await;
    assert_eq!(window.run(clean).await, 0);
    assert!(!window.text().await.contains('\u{202e}'), "no text turns its direction around");
    window.close().await;
}

#[story]
async fn a_person_sees_what_their_rights_show() {
    let story = Story::begin("page-rights").await;
    let secret = story.another_namespace("page-secret");
    written(&story, "ours", &json!({}));
    let theirs = release(&secret, "theirs", "oci://127.0.0.1:1/app", json!({})).to_string();
    story.bed().kubectl(&["apply", "-f", "-"], &theirs);
    let rules =
        "[{apiGroups: [supercargo.dev], resources: [ociartifactreleases], verbs: [get, list, watch]}]";
    let shell = Shell::with_rights(&story, "page-reader", rules);
    let ui = Ui::start(&shell, &[]);
    assert!(ui.output().contains("you cannot list the releases of all namespaces"), "{}", ui.output());
    let window = Window::entered(&ui).await;
    window.goto(&format!("{}/releases", ui.origin())).await;
    window.wait_text("ours").await;
    assert!(!window.text().await.contains("theirs"));
    // What cannot be read says so, and the rest is shown.
    window.goto(&format!("{}/release/{}/ours", ui.origin(), story.namespace())).await;
    window.wait_text("Cannot read events").await;
    window.wait_text("Cannot be read").await;
    window.goto(&format!("{}/release/{secret}/theirs", ui.origin())).await;
    window.wait_text("cannot get resource").await;
    window.close().await;
}
