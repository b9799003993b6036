//! A token in a cookie, so that every replica knows the person: sealed, with a key that only the replicas have.
//!
//! A cookie goes to every port of its host. With `kubectl port-forward`, that is every local server that the person
//! visits. So the cookie is not the token: it opens this page, and nothing at the API server.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::token::Token;
use crate::reconcile::env::plan_keys::random;

/// What the key is for: another use of the same secret has another key.
const PURPOSE: &[u8] = b"supercargo page cookie 1";
/// The longest token in a cookie, in bytes: browsers keep cookies of 4096.
pub const MAX_TOKEN: usize = 2900;

/// Seals tokens.
pub struct SealKey(LessSafeKey);

impl SealKey {
    /// From the secret that all replicas share; none where the system has no such cipher.
    pub fn of(secret: &[u8]) -> Option<Self> {
        let key = Sha256::new().chain_update(PURPOSE).chain_update(secret).finalize();
        Some(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?)))
    }

    /// The value of a cookie; none for a token that is too long.
    pub fn seal(&self, token: &Token) -> Option<String> {
        let mut bytes = token.secret().as_bytes().to_vec();
        if bytes.len() > MAX_TOKEN {
            return None;
        }
        let nonce = random::<NONCE_LEN>().ok()?;
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(PURPOSE), &mut bytes).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat()))
    }

    /// The token of a cookie; none for one that was not sealed with this key.
    pub fn open(&self, cookie: &str) -> Option<Token> {
        let mut bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let token = self.0.open_in_place(nonce, Aad::from(PURPOSE), sealed).ok()?;
        Token::parse(std::str::from_utf8(token).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_opens_the_page_of_every_replica_and_shows_no_token() {
        let (one, other) = (SealKey::of(&[1; 32]).unwrap(), SealKey::of(&[1; 32]).unwrap());
        let token = Token::parse("eyJhbGciOi.body.signature").unwrap();
        let cookie = one.seal(&token).unwrap();
        assert!(!cookie.contains("body") && cookie.bytes().all(|b| b.is_ascii_graphic() && b != b';'));
        assert_eq!(other.open(&cookie).unwrap().secret(), token.secret());
        assert_ne!(one.seal(&token).unwrap(), cookie);
        let check = |cookie: &str| assert!(one.open(cookie).is_none(), "{cookie}");
        check("");
        check("AAAA");
        check(token.secret());
        check(&cookie[1..]);
        check(&format!("{}A", &cookie[..cookie.len() - 2]));
        check(&SealKey::of(&[2; 32]).unwrap().seal(&token).unwrap());
        // A cookie is kept by every browser, or there is none.
        let long = |count: usize| one.seal(&Token::parse(&"a".repeat(count)).unwrap());
        assert!(long(MAX_TOKEN).is_some_and(|cookie| cookie.len() < 4000));
        assert!(long(MAX_TOKEN + 1).is_none());
    }
}
