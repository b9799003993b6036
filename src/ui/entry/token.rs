//! A token of the cluster, by which a request is known, and why a request may see nothing.

use std::sync::Arc;

use crate::cluster::error::ApiError;

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
}
