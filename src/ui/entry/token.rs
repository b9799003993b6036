//! A token of the cluster, by which a request is known, and why a request may see nothing.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::error::ApiError;

/// What is remembered of a token.
pub type TokenHash = [u8; 32];

/// A token. It is shown nowhere.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// The longest one, in bytes: a header of a request is at most twice as long.
    const MOST: usize = 16 << 10;

    /// From a header, or from what a person has pasted; none for what cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        (!text.is_empty() && text.len() <= Self::MOST && is_plain).then(|| Self(text.into()))
    }

    /// The token itself.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// By what it is remembered.
    pub fn hash(&self) -> TokenHash {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// When it expires by its own account; none for a token that does not say it. Nothing is verified: the API server
    /// does that.
    pub fn expires(&self) -> Option<Timestamp> {
        let claims = URL_SAFE_NO_PAD.decode(self.0.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        // It may have a fraction.
        let since_epoch = Duration::try_from_secs_f64(claims.get("exp")?.as_f64()?).ok()?;
        Timestamp::from_second(i64::try_from(since_epoch.as_secs()).ok()?).ok()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// Why a request may see nothing.
#[derive(Debug)]
pub enum EntryRefusal {
    /// It is known by nothing, or by what counts no more.
    Unknown,
    /// Whether it may is not known: the API server gives no answer, or does not let the operator ask.
    NoAnswer(ApiError),
}

impl From<ApiError> for EntryRefusal {
    fn from(error: ApiError) -> Self {
        Self::NoAnswer(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_shown_nowhere() {
        let check = |text: &str, expected: Option<&str>| {
            let token = Token::parse(text);
            assert_eq!(token.as_ref().map(Token::secret), expected, "{text:?}");
            assert!(!format!("{token:?}").contains("eyJ"));
        };
        check(" eyJa.b.c\n", Some("eyJa.b.c"));
        check("", None);
        check("two words", None);
        check("eyJ\r\nx: y", None);
        check("é", None);
        check(&"a".repeat(20 << 10), None);
    }

    #[test]
    fn a_token_says_when_it_expires_or_nothing() {
        let check = |claims: &str, expected: Option<i64>| {
            let token = format!("eyJ.{}.c", URL_SAFE_NO_PAD.encode(claims));
            let found = Token::parse(&token).unwrap().expires().map(Timestamp::as_second);
            assert_eq!(found, expected, "{claims}");
        };
        check(r#"{"exp": 1700000000, "sub": "a"}"#, Some(1_700_000_000));
        check(r#"{"exp": 1700000000.5}"#, Some(1_700_000_000));
        check(r#"{"exp": "soon"}"#, None);
        check(r#"{"exp": 1e300}"#, None);
        check("{}", None);
        check("nonsense", None);
        for token in ["plain", "a.b", "a.!!.c", "a..c"] {
            assert_eq!(Token::parse(token).unwrap().expires(), None, "{token}");
        }
    }
}
