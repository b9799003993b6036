//! How much the patches of one release or file may use while they are read: memory
//! for their texts and for their expressions. The limits are for all of them
//! together, because a release can have hundreds of each.

use regex::{Regex, RegexBuilder};

use crate::domain::manifest::budget::Budget;

/// The most memory that one compiled expression takes, in bytes.
pub const MAX_REGEX_BYTES: usize = 64 << 10;

/// The most memory that all compiled expressions take, in bytes.
pub const MAX_REGEXES_BYTES: u64 = 8 << 20;

/// The longest text of an expression, in bytes.
pub const MAX_REGEX_TEXT: usize = 253;

/// How much memory the texts of all patches may use, in bytes: an estimate. With
/// aliases, a short text can expand to a lot of data.
const MAX_DECODED: u64 = 4 << 20;

/// More than the texts and the expressions of most specs need, in bytes.
const SMALL_DECODED: u64 = 128 << 10;
const SMALL_REGEXES: u64 = 512 << 10;

/// What an expression with groups may use in addition: it gets a table for them.
const GROUPS_BYTES: u64 = 32 << 10;

/// What is left of the limits.
#[derive(Debug)]
pub struct Allowance {
    pub(super) decoded: Budget,
    expressions: Budget,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { decoded: Budget::new(MAX_DECODED), expressions: Budget::new(MAX_REGEXES_BYTES) }
    }
}

impl Allowance {
    /// The most that can be spent, in bytes.
    pub const MOST: u64 = MAX_DECODED + MAX_REGEXES_BYTES;

    /// What most specs need.
    pub fn small() -> Self {
        Self { decoded: Budget::new(SMALL_DECODED), expressions: Budget::new(SMALL_REGEXES) }
    }

    /// The same parts of so many bytes, if these are less.
    pub fn within(bytes: u64) -> Self {
        let of = |part: u64| Budget::new(part * bytes.min(Self::MOST) / Self::MOST);
        Self { decoded: of(MAX_DECODED), expressions: of(MAX_REGEXES_BYTES) }
    }

    /// Whether it was used up.
    pub fn exhausted(&self) -> bool {
        self.decoded.exhausted() || self.expressions.exhausted()
    }

    /// What was spent, in bytes.
    pub fn spent(&self) -> u64 {
        self.decoded.spent() + self.expressions.spent()
    }
}

/// Why a text is not a usable expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It does not parse, or needs too much memory.
    Invalid,
    /// All together need too much memory.
    Together,
}

impl Refused {
    /// The message about a text; `wanted` says what it is not.
    pub(super) fn describe(self, text: &str, wanted: &str) -> String {
        match self {
            Self::Invalid => format!("{text:?} {wanted}"),
            Self::Together => format!(
                "all regular expressions together need more than {} MiB; use simpler or fewer ones",
                MAX_REGEXES_BYTES >> 20
            ),
        }
    }
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    regex: Regex,
    /// About how much memory it uses, in bytes.
    bytes: usize,
}

impl Expression {
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The most steps that it takes to match a text: each byte may be compared with
    /// every state.
    pub(super) fn steps(&self, text: &str) -> u64 {
        const STATE_BYTES: usize = 32;
        (self.bytes / STATE_BYTES) as u64 * (text.len() as u64 + 1)
    }
}

impl Allowance {
    /// An expression that has to match the whole text.
    pub(super) fn anchored(&mut self, text: &str) -> Result<Expression, String> {
        if text.len() > MAX_REGEX_TEXT {
            return Err(format!("the expression is longer than {MAX_REGEX_TEXT} bytes"));
        }
        let compiled = self.compiled(&format!("^(?:{text})$"));
        compiled.map_err(|why| why.describe(text, "is not a valid regular expression, or is too large"))
    }

    pub(super) fn compiled(&mut self, pattern: &str) -> Result<Expression, Refused> {
        let (regex, bytes) = smallest(pattern).ok_or(Refused::Invalid)?;
        let groups = if regex.captures_len() > 1 { GROUPS_BYTES } else { 0 };
        if !self.expressions.spend(bytes as u64 + groups) {
            return Err(Refused::Together);
        }
        Ok(Expression { regex, bytes })
    }
}

/// The expression, and about how much memory it uses: a compiled expression does not
/// report it, but a limit can be set.
fn smallest(pattern: &str) -> Option<(Regex, usize)> {
    let within = |bytes: usize| {
        let built = RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(MAX_REGEX_BYTES).build();
        built.ok().map(|regex| (regex, bytes))
    };
    (0..=6).rev().map(|halves| MAX_REGEX_BYTES >> halves).find_map(within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_measured() {
        let check = |text: &str, most: usize| {
            let bytes = Allowance::default().anchored(text).unwrap().bytes;
            assert!(bytes <= most, "{text}: {bytes}");
        };
        check("web", 1 << 10);
        check("web-.*", 4 << 10);
        check("(web|api)-[a-z0-9]+", 4 << 10);
        check("\\w+-config", 64 << 10);
        check("team-[^-]+-\\d+", 16 << 10);
    }

    #[test]
    fn one_expression_and_all_together_have_a_limit() {
        let mut allowance = Allowance::default();
        let error = allowance.anchored("(a{100}){100}").unwrap_err();
        assert_eq!(error, "\"(a{100}){100}\" is not a valid regular expression, or is too large");
        let large = "a{1000}";
        let count = (0..10_000).take_while(|_| allowance.anchored(large).is_ok()).count();
        assert!((100..1000).contains(&count), "{count}");
        let error = allowance.anchored(large).unwrap_err();
        assert_eq!(error, "all regular expressions together need more than 8 MiB; use simpler or fewer ones");
    }

    #[test]
    fn as_many_ordinary_expressions_as_fields_fit() {
        let mut allowance = Allowance::default();
        for _ in 0..128 {
            for text in ["apps", "v1", "Deployment|StatefulSet", "(web|api)-.*", "team-.*"] {
                allowance.anchored(text).unwrap();
            }
            allowance.compiled("^registry.example.com/team/app(?::[a-zA-Z0-9_.{}-]*)?$").unwrap();
        }
    }
}
