//! Which senders are accepted, and which are not.

use super::*;

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef";

fn receiver(sender: Sender) -> Receiver {
    let name = sender.as_str().to_owned();
    Receiver { name, sender, secret: Secret::new(SECRET), registry: None, namespaces: None }
}

fn sign(key: &[u8], parts: &[&[u8]]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    format!("sha256={}", hex::encode(hmac::sign(&key, &parts.concat())))
}

#[test]
fn a_bearer_needs_the_whole_secret() {
    let check = |authorization: Option<&str>, expected: bool| {
        for sender in [Sender::Distribution, Sender::Harbor, Sender::Acr] {
            let headers = Headers { authorization: authorization.map(str::as_bytes), ..Headers::default() };
            assert_eq!(receiver(sender).admits(&headers, b"{}", NOW), expected, "{authorization:?}");
            assert_eq!(receiver(sender).may_admit(&headers, NOW), expected, "{authorization:?}");
        }
    };
    check(Some("Bearer 0123456789abcdef"), true);
    check(Some("bearer 0123456789abcdef"), true);
    check(Some("Bearer 0123456789abcde"), false);
    check(Some("Bearer 0123456789abcdef "), false);
    check(Some("Bearer "), false);
    check(Some("0123456789abcdef"), false);
    check(Some("Basic 0123456789abcdef"), false);
    check(Some(""), false);
    check(None, false);
}

#[test]
fn github_signs_the_body() {
    let check = |signature: Option<&str>, expected: bool| {
        let headers = Headers { hub_signature: signature.map(str::as_bytes), ..Headers::default() };
        assert_eq!(receiver(Sender::GitHub).admits(&headers, b"{}", NOW), expected, "{signature:?}");
    };
    let good = sign(SECRET, &[b"{}"]);
    check(Some(&good), true);
    check(Some(&sign(SECRET, &[b"{ }"])), false);
    check(Some(&sign(b"another secret..", &[b"{}"])), false);
    check(Some(&good[..good.len() - 2]), false);
    check(Some(&good.replace("sha256=", "sha1=")), false);
    check(Some("sha256="), false);
    check(Some(""), false);
    check(None, false);
    // The example of GitHub's documentation.
    let known = Receiver { secret: Secret::new(b"It's a Secret to Everybody"), ..receiver(Sender::GitHub) };
    let signature = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let headers = Headers { hub_signature: Some(signature), ..Headers::default() };
    assert!(known.admits(&headers, b"Hello, World!", NOW));
}

#[test]
fn a_generic_sender_signs_a_time_that_is_now() {
    let check = |timestamp: Option<&str>, signature: Option<&str>, expected: bool| {
        let headers = Headers {
            timestamp: timestamp.map(str::as_bytes),
            signature: signature.map(str::as_bytes),
            ..Headers::default()
        };
        assert_eq!(receiver(Sender::Generic).admits(&headers, b"{}", NOW), expected, "{timestamp:?}");
    };
    let signed = |timestamp: &str| sign(SECRET, &[timestamp.as_bytes(), b".{}"]);
    for timestamp in ["1800000000", "1800000000.123456789", "1799999700", "1800000300"] {
        check(Some(timestamp), Some(&signed(timestamp)), true);
    }
    for timestamp in ["1799999699", "1800000301", "", "-1", "1800000000.", "now", "99999999999999999999"] {
        check(Some(timestamp), Some(&signed(timestamp)), false);
    }
    let long = format!("1800000000.{}", "0".repeat(40));
    check(Some(&long), Some(&signed(&long)), false);
    check(Some("1800000000"), Some(&signed("1800000001")), false);
    check(Some("1800000000"), Some(&sign(SECRET, &[b"{}"])), false);
    check(Some("1800000000"), None, false);
    check(None, Some(&sign(SECRET, &[b".{}"])), false);
}

#[test]
fn paths_that_are_secrets_cannot_be_guessed_from_the_name() {
    let all: Vec<Receiver> = Sender::ALL.iter().map(|(sender, _)| receiver(*sender)).collect();
    for receiver in &all {
        let found = find(&all, &receiver.path()).map(|r| r.name.as_str());
        assert_eq!(found, Some(receiver.name.as_str()));
        let secret = receiver.sender.proof() == SenderProof::Path;
        assert_eq!(find(&all, &format!("/hook/{}", receiver.name)).is_none(), secret, "{}", receiver.name);
    }
    // printf %s quay | openssl dgst -sha256 -hmac 0123456789abcdef
    let quay = "/hook/dc33d08ef13506b37ca112e4c1d31f2988abb16da05949154d7db680184a8625";
    assert_eq!(receiver(Sender::Quay).path(), quay);
    for path in ["/hook/", "/hook/nobody", "/", "", "/hook/distribution/", "/hook/distribution?x"] {
        assert!(find(&all, path).is_none(), "{path}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let shown = format!("{:?}", receiver(Sender::Generic));
    assert!(!shown.contains("0123456789") && !shown.contains("48, 49"), "{shown}");
}

#[test]
fn namespaces_restrict() {
    let mut receiver = receiver(Sender::Generic);
    assert!(receiver.reaches("apps"));
    receiver.namespaces = Some(BTreeSet::from(["apps".to_owned()]));
    assert!(receiver.reaches("apps") && !receiver.reaches("other"));
}
