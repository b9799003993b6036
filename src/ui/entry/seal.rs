//! A token in a cookie, so that every replica knows the person: sealed, with a key that only the replicas have, with its
//! end and for one host.
//!
//! A cookie goes to every port of its host. With `kubectl port-forward`, that is every local server that the person
//! visits. So the cookie is not the token: it opens this page, and nothing at the API server.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::hosts::without_port;
use super::token::Token;
use crate::reconcile::env::plan_keys::random;

/// What the key is for: another use of the same secret has another key.
const PURPOSE: &[u8] = b"supercargo page cookie 2";
/// The longest token in a cookie, in bytes: browsers keep cookies of 4096.
pub const MAX_TOKEN: usize = 2900;
/// How long a cookie counts: a working day.
pub const LIFE: SignedDuration = SignedDuration::from_hours(12);
/// The bytes of its end, before the token.
const END: usize = size_of::<i64>();

/// What a cookie has.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The token of the person.
    pub token: Token,
    /// When the cookie counts no more, in whole seconds.
    pub ends: Timestamp,
}

impl Sealed {
    /// For a token that has just been accepted: it counts for [`LIFE`], and not longer than the token.
    pub fn of(token: Token, now: Timestamp) -> Self {
        let longest = now.saturating_add(LIFE).unwrap_or(now);
        let ends = token.expires().map_or(longest, |expires| expires.min(longest));
        Self { token, ends }
    }
}

/// Seals tokens.
pub struct SealKey(LessSafeKey);

impl SealKey {
    /// From the secret that all replicas share; none where the system has no such cipher.
    pub fn of(secret: &[u8]) -> Option<Self> {
        let key = Sha256::new().chain_update(PURPOSE).chain_update(secret).finalize();
        Some(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?)))
    }

    /// The value of a cookie for a host; none for a token that is too long.
    pub fn seal(&self, sealed: &Sealed, host: &str) -> Option<String> {
        let token = sealed.token.secret().as_bytes();
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut bytes = [&sealed.ends.as_second().to_be_bytes()[..], token].concat();
        let nonce = random::<NONCE_LEN>().ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, bound_to(host), &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// What a cookie has that this host has got; none for one that was not sealed with this key, or that has ended.
    pub fn open(&self, cookie: &str, host: &str, now: Timestamp) -> Option<Sealed> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.0.open_in_place(nonce, bound_to(host), sealed).ok()?;
        let (end, token) = opened.split_first_chunk::<END>()?;
        let ends = Timestamp::from_second(i64::from_be_bytes(*end)).ok()?;
        let token = Token::parse(std::str::from_utf8(token).ok()?)?;
        (now < ends).then_some(Sealed { token, ends })
    }
}

/// What has to be the same when a cookie is opened. The port is not part of it: browsers send cookies to every port.
fn bound_to(host: &str) -> Aad<Vec<u8>> {
    Aad::from([PURPOSE, without_port(host).to_ascii_lowercase().as_bytes()].join(&0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOST: &str = "page.example.com";

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn token(text: &str) -> Token {
        Token::parse(text).unwrap()
    }

    fn expiring(seconds: i64) -> Token {
        let claims = json!({"exp": now().as_second() + seconds}).to_string();
        token(&format!("eyJ.{}.c", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn a_cookie_opens_the_page_of_every_replica_and_shows_no_token() {
        let (one, other) = (SealKey::of(&[1; 32]).unwrap(), SealKey::of(&[1; 32]).unwrap());
        let sealed = Sealed::of(token("eyJhbGciOi.body.signature"), now());
        let cookie = one.seal(&sealed, HOST).unwrap();
        assert!(!cookie.contains("body") && cookie.bytes().all(|b| b.is_ascii_graphic() && b != b';'));
        assert_eq!(other.open(&cookie, HOST, now()).unwrap().token.secret(), sealed.token.secret());
        assert_ne!(one.seal(&sealed, HOST).unwrap(), cookie);
        let check = |cookie: &str| assert!(one.open(cookie, HOST, now()).is_none(), "{cookie}");
        check("");
        check("AAAA");
        check(sealed.token.secret());
        check(&cookie[1..]);
        check(&format!("{}A", &cookie[..cookie.len() - 2]));
        check(&SealKey::of(&[2; 32]).unwrap().seal(&sealed, HOST).unwrap());
        // A cookie is kept by every browser, or there is none.
        let long = |count: usize| one.seal(&Sealed::of(token(&"a".repeat(count)), now()), HOST);
        assert!(long(MAX_TOKEN).is_some_and(|cookie| cookie.len() < 4000));
        assert!(long(MAX_TOKEN + 1).is_none());
    }

    #[test]
    fn a_cookie_ends_after_a_day_of_work_or_with_its_token() {
        let key = SealKey::of(&[1; 32]).unwrap();
        let check = |token: Token, after: i64, expected: bool| {
            let cookie = key.seal(&Sealed::of(token.clone(), now()), HOST).unwrap();
            let found = key.open(&cookie, HOST, now() + SignedDuration::from_secs(after));
            assert_eq!(found.is_some(), expected, "{} {after}", token.secret());
        };
        let day = 12 * 3600;
        check(token("opaque"), 0, true);
        check(token("opaque"), day - 1, true);
        check(token("opaque"), day, false);
        check(expiring(600), 599, true);
        check(expiring(600), 600, false);
        check(expiring(10 * day), day - 1, true);
        check(expiring(10 * day), day, false);
        check(expiring(-1), 0, false);
    }

    #[test]
    fn a_cookie_is_of_one_host_on_any_port() {
        let key = SealKey::of(&[1; 32]).unwrap();
        let check = |from: &str, to: &str, expected: bool| {
            let cookie = key.seal(&Sealed::of(token("opaque"), now()), from).unwrap();
            assert_eq!(key.open(&cookie, to, now()).is_some(), expected, "{from} {to}");
        };
        check("page.example.com", "page.example.com", true);
        check("page.example.com:8443", "Page.Example.com", true);
        check("page.example.com", "other.example.com", false);
        check("page.example.com", "", false);
        check("localhost:9494", "localhost:9595", true);
        check("localhost:9494", "127.0.0.1:9494", false);
        check("[::1]:9494", "[::1]", true);
    }
}
