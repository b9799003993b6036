//! Which tag a semver range selects.
//!
//! The ranges are those of the Go library Masterminds/semver v3, because that
//! is what Flux users write: `VersionReq` of the semver crate parses the same
//! text differently (`1.2` as a caret range, spaces as an error). The rules
//! below were compared with the Go library; the table in the tests has the
//! results. This module must not access a registry.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use semver::{BuildMetadata, Version};

use super::version_tag::{VersionTag, number, split, version_of};

/// Longest range that is read, in bytes; Masterminds has the same limit.
pub const MAX_RANGE_BYTES: usize = 512;
/// Most alternatives (`||`) in one range; Masterminds has the same limit.
pub const MAX_ALTERNATIVES: usize = 32;
/// Largest compiled tag filter, in bytes.
pub const MAX_FILTER_BYTES: usize = 1 << 20;

/// Why a range or a tag filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text is not a range.
    #[error("{range:?} is not a semver range: {why}")]
    Range {
        /// The range as written.
        range: String,
        /// What is wrong with it.
        why: String,
    },
    /// The text is not a regular expression of acceptable size.
    #[error("{pattern:?} is not a usable regular expression: {why}")]
    Filter {
        /// The expression as written.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
}

/// A semver range: alternatives of comparators that must all hold.
#[derive(Clone, Debug)]
pub struct Range {
    text: String,
    alternatives: Vec<Vec<Comparator>>,
}

/// A regular expression that a tag must match (unanchored, as in Flux) before
/// it is read as a version.
#[derive(Clone, Debug)]
pub struct TagFilter(Regex);

impl TagFilter {
    /// Compiles the expression.
    ///
    /// # Errors
    /// When it is not a regular expression, or one that compiles to more than
    /// [`MAX_FILTER_BYTES`].
    pub fn parse(pattern: &str) -> Result<Self, VersionError> {
        RegexBuilder::new(pattern).size_limit(MAX_FILTER_BYTES).build().map(Self).map_err(|e| {
            let why = match e {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                other => other.to_string().lines().last().unwrap_or_default().to_owned(),
            };
            VersionError::Filter { pattern: pattern.to_owned(), why }
        })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// How much of a comparator's version was written; the rest is a wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Nothing,
    Major,
    Minor,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

#[derive(Clone, Debug)]
struct Comparator {
    op: Op,
    base: Version,
    precision: Precision,
}

impl Range {
    /// Reads a range such as `>=1.0.0 <2.0.0`, `^1.2`, `1.x || 3 - 4.5`.
    ///
    /// # Errors
    /// Says which part is invalid.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let fail = |why: String| VersionError::Range { range: text.to_owned(), why };
        if text.len() > MAX_RANGE_BYTES {
            let range = text.chars().take(32).collect();
            return Err(VersionError::Range {
                range,
                why: format!("it is longer than {MAX_RANGE_BYTES} bytes"),
            });
        }
        let parts: Vec<&str> = text.split("||").collect();
        if parts.len() > MAX_ALTERNATIVES {
            return Err(fail(format!("it has more than {MAX_ALTERNATIVES} alternatives")));
        }
        let alternatives =
            parts.into_iter().map(parse_alternative).collect::<Result<Vec<_>, _>>().map_err(fail)?;
        Ok(Self { text: text.to_owned(), alternatives })
    }

    /// The range as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the version is in the range. A prerelease is only in an
    /// alternative that itself names one (`>=1.0.0-0`).
    pub(in crate::domain) fn matches(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| {
            let prereleases = all.iter().any(|c| !c.base.pre.is_empty());
            (prereleases || version.pre.is_empty()) && all.iter().all(|c| c.matches(version))
        })
    }

    /// The tag of the highest version in the range, of those that match the filter.
    /// Tags that are not versions are skipped. The answer does not depend on the registry's order:
    /// [`VersionTag`] says which of two tags with the same precedence wins.
    pub fn highest<'a>(
        &self,
        tags: impl IntoIterator<Item = &'a str>,
        filter: Option<&TagFilter>,
    ) -> Option<&'a str> {
        tags.into_iter()
            .filter(|tag| filter.is_none_or(|f| f.0.is_match(tag)))
            .filter_map(VersionTag::parse)
            .filter(|found| self.matches(&found.version))
            .max()
            .map(|found| found.tag)
    }
}

impl Range {
    /// Whether the step from one tag to another is a downgrade within the range: a tag
    /// that is no longer in the range is not a reason to keep it. Builds of one version are in the
    /// order in which [`Self::highest`] prefers them; with and without a build is the same version.
    pub fn goes_back(&self, filter: Option<&TagFilter>, from: &str, to: &str) -> bool {
        let wanted = filter.is_none_or(|f| f.0.is_match(from));
        let (Some(from), Some(to)) = (version_of(from), version_of(to)) else { return false };
        let are_builds = !from.build.is_empty() && !to.build.is_empty();
        let order = to.cmp_precedence(&from);
        let order = if are_builds { order.then_with(|| to.build.cmp(&from.build)) } else { order };
        wanted && self.matches(&from) && order == Ordering::Less
    }
}

/// One alternative: comparators separated by spaces or single commas, and hyphen
/// ranges, which stand for two comparators.
fn parse_alternative(text: &str) -> Result<Vec<Comparator>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (op, after) = operator(rest);
        let after = after.trim_start();
        let (word, after) = after.split_at(after.find([' ', '\t', ',']).unwrap_or(after.len()));
        let comparator = Comparator::parse(op.unwrap_or(Op::Equal), word)?;
        let spaced = after.trim_start();
        let upper =
            spaced.strip_prefix('-').filter(|s| spaced.len() < after.len() && s.starts_with([' ', '\t']));
        rest = match upper {
            Some(upper) => {
                if op.is_some() {
                    return Err(format!("a hyphen range cannot have an operator before {word:?}"));
                }
                let upper = upper.trim_start();
                let (word, after) = upper.split_at(upper.find([' ', '\t', ',']).unwrap_or(upper.len()));
                found.push(Comparator { op: Op::GreaterEqual, ..comparator });
                found.push(Comparator::parse(Op::LessEqual, word)?);
                after.trim_start()
            }
            None => {
                found.push(comparator);
                spaced
            }
        };
        if rest.is_empty() {
            return Ok(found);
        }
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
        }
    }
}

/// The operator at the start of the text, if there is one, and what follows.
fn operator(text: &str) -> (Option<Op>, &str) {
    const OPERATORS: [(&str, Op); 11] = [
        (">=", Op::GreaterEqual),
        ("=>", Op::GreaterEqual),
        ("<=", Op::LessEqual),
        ("=<", Op::LessEqual),
        ("!=", Op::NotEqual),
        ("~>", Op::Tilde),
        ("=", Op::Equal),
        (">", Op::Greater),
        ("<", Op::Less),
        ("~", Op::Tilde),
        ("^", Op::Caret),
    ];
    OPERATORS
        .iter()
        .find_map(|(sign, op)| text.strip_prefix(sign).map(|rest| (Some(*op), rest)))
        .unwrap_or((None, text))
}

impl Comparator {
    fn parse(op: Op, word: &str) -> Result<Self, String> {
        if word.is_empty() {
            return Err("a version is missing".into());
        }
        let bad = || format!("{word:?} is not a version");
        let (numbers, pre, _) = split(word.strip_prefix('v').unwrap_or(word)).ok_or_else(bad)?;
        let parts: Vec<&str> = numbers.split('.').collect();
        if parts.len() > 3 {
            return Err(bad());
        }
        let mut found = [0u64; 3];
        let mut known = parts.len();
        for (at, part) in parts.iter().enumerate() {
            if matches!(*part, "x" | "X" | "*") {
                known = known.min(at);
            } else {
                let value = number(part).ok_or_else(bad)?;
                if at < known {
                    found[at] = value;
                }
            }
        }
        let precision = match known {
            0 => Precision::Nothing,
            1 => Precision::Major,
            2 => Precision::Minor,
            _ => Precision::Full,
        };
        let [major, minor, patch] = found;
        let base = Version { major, minor, patch, pre, build: BuildMetadata::EMPTY };
        Ok(Self { op, base, precision })
    }

    /// Whether the version satisfies this comparator; the caller decides whether
    /// prereleases are considered at all.
    fn matches(&self, version: &Version) -> bool {
        let Self { op, base, precision } = self;
        let order = version.cmp_precedence(base);
        let full = *precision == Precision::Full;
        match op {
            Op::Equal if full => order == Ordering::Equal,
            Op::Equal | Op::Tilde => order != Ordering::Less && self.tilde(version),
            Op::Caret => order != Ordering::Less && self.caret(version),
            Op::GreaterEqual => order != Ordering::Less,
            Op::Less => order == Ordering::Less,
            // A partial bound is a whole range: `>1.2` starts at 1.3.0.
            Op::Greater => match precision {
                Precision::Major => version.major > base.major,
                Precision::Minor => (version.major, version.minor) > (base.major, base.minor),
                Precision::Nothing | Precision::Full => order == Ordering::Greater,
            },
            Op::LessEqual => match precision {
                Precision::Full => order != Ordering::Greater,
                Precision::Major => version.major <= base.major,
                Precision::Minor | Precision::Nothing => {
                    (version.major, version.minor) <= (base.major, base.minor)
                }
            },
            Op::NotEqual => self.differs(version),
        }
    }

    fn tilde(&self, version: &Version) -> bool {
        let base = &self.base;
        // Masterminds treats `~0.0.0` as "anything", like `*`.
        let anything = matches!(self.precision, Precision::Nothing | Precision::Full)
            && (base.major, base.minor, base.patch) == (0, 0, 0);
        anything
            || version.major == base.major
                && (self.precision == Precision::Major || version.minor == base.minor)
    }

    fn caret(&self, version: &Version) -> bool {
        let base = &self.base;
        if base.major > 0 || self.precision == Precision::Major {
            version.major == base.major
        } else if base.minor > 0 || self.precision == Precision::Minor {
            (version.major, version.minor) == (0, base.minor)
        } else {
            (version.major, version.minor, version.patch) == (0, 0, base.patch)
        }
    }

    fn differs(&self, version: &Version) -> bool {
        let base = &self.base;
        match self.precision {
            Precision::Full | Precision::Nothing => version.cmp_precedence(base) != Ordering::Equal,
            Precision::Major => version.major != base.major,
            Precision::Minor => {
                (version.major, version.minor) != (base.major, base.minor) || version.pre != base.pre
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tags that every range of [`TABLE`] is tried on.
    const TAGS: &str = "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 2.0.0-rc.1 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9";

    /// What Masterminds/semver v3.5.0 answers: the tags in the range, or `ERR`.
    const TABLE: &[(&str, &str)] = &[
        ("1.2", "1.2.0 1.2.3 1.2.4+b 01.2.9"),
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("=1.2.3", "1.2.3"),
        ("= 1.2", "1.2.0 1.2.3 1.2.4+b 01.2.9"),
        ("1", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("1.x", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("1.X.3", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("1.2.*", "1.2.0 1.2.3 1.2.4+b 01.2.9"),
        (
            "*",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        (
            "x",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        (">=1.0.0 <2.0.0", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        (">=1.0.0, <2.0.0", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        (">=1.0.0,<2.0.0", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        (">= 1.0.0 , < 2.0.0", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("=>1.0.0 =<1.3.0", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        (">1 || <0.3", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 2.0.0 2.3.9 2.4.0 11.1.0"),
        (">1.2", "1.3.0 2.0.0 2.3.9 2.4.0 11.1.0"),
        (">1", "2.0.0 2.3.9 2.4.0 11.1.0"),
        (
            ">*",
            "0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        (">1.2.3", "1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9"),
        ("<=1", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("<=1.2", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 01.2.9"),
        ("<=1.2.3", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3"),
        ("<=*", "0.0.0 0.0.3 0.0.4"),
        ("<1.2", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0"),
        ("<2", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        (">=1.2", "1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9"),
        ("1.2 - 2.3", "1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 01.2.9"),
        ("1.2.0 - 2.3.0", "1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 01.2.9"),
        ("1 - 2", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 01.2.9"),
        ("v1.0 - v1.3 || 11", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 11.1.0 01.2.9"),
        (
            "!=1.2.3",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("!=1.2", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0"),
        ("!=1", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 2.0.0 2.3.9 2.4.0 11.1.0"),
        (
            "!=*",
            "0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("!=1.2.x", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0"),
        ("~1", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("~1.2", "1.2.0 1.2.3 1.2.4+b 01.2.9"),
        ("~1.2.3", "1.2.3 1.2.4+b 01.2.9"),
        ("~>1.2", "1.2.0 1.2.3 1.2.4+b 01.2.9"),
        (
            "~0.0.0",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("~0", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9"),
        ("~0.0", "0.0.0 0.0.3 0.0.4"),
        (
            "~*",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("^1", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("^1.2.3", "1.2.3 1.2.4+b 1.3.0 01.2.9"),
        ("^0.2.3", "0.2.3 0.2.9"),
        ("^0.2", "0.2.3 0.2.9"),
        ("^0.0.3", "0.0.3"),
        ("^0.0", "0.0.0 0.0.3 0.0.4"),
        ("^0", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9"),
        ("^*", "0.0.0"),
        ("^0.0.0", "0.0.0"),
        (
            ">=1.0.0-0",
            "1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 2.0.0-rc.1 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("^1.0.0-0", "1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 01.2.9"),
        ("~1.2.3-0", "1.2.3-alpha 1.2.3 1.2.4+b 01.2.9"),
        (">=1.0.0-0 <1.3.0-0", "1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 01.2.9"),
        (
            ">=1.0.0-0 <2.0.0",
            "1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 2.0.0-rc.1 01.2.9",
        ),
        ("1.2.3-alpha", "1.2.3-alpha"),
        (
            "!=1.2.3-alpha",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 2.0.0-rc.1 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        (
            "<2.0.0-0",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 01.2.9",
        ),
        (
            "*-0",
            "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9 1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 2.0.0-rc.1 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("1.x-0", "1.0.0-0 1.0.0-rc.1 1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 01.2.9"),
        ("~1.2-0", "1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 01.2.9"),
        ("^0-0", "0.0.0 0.0.3 0.0.4 0.1.0 0.2.3 0.2.9"),
        ("1.0.0 - 2.0.0-rc.1", "1.0.0 1.2.0 1.2.3-alpha 1.2.3 1.2.4+b 1.3.0-beta.2 1.3.0 2.0.0-rc.1 01.2.9"),
        (
            ">=1.0.0 || >=2.0.0-0",
            "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0-rc.1 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9",
        ),
        ("1.2.4+b", "1.2.4+b"),
        ("1.2.4+c", "1.2.4+b"),
        ("", "ERR"),
        (" ", "ERR"),
        (",", "ERR"),
        ("1.2.3,", "ERR"),
        ("1.2.3,,1.2", "ERR"),
        (">=1.0.0<2.0.0", "ERR"),
        (">=", "ERR"),
        ("a", "ERR"),
        ("1.2.3.4", "ERR"),
        ("1.a", "ERR"),
        ("1x", "ERR"),
        ("1.2.3-", "ERR"),
        ("01.2.3", "1.2.3"),
        ("1.2.3-01", "ERR"),
        ("||", "ERR"),
        ("1 ||", "ERR"),
        (">1 - 2", "ERR"),
        ("1.2 -2.3", "ERR"),
        ("1.2- 2.3", "ERR"),
        ("99999999999999999999", "ERR"),
        ("=1.2.3 =1.2.3", "1.2.3"),
        (" >=1.0.0 ", "1.0.0 1.2.0 1.2.3 1.2.4+b 1.3.0 2.0.0 2.3.9 2.4.0 11.1.0 01.2.9"),
    ];

    fn matching(range: &str) -> String {
        let Ok(range) = Range::parse(range) else {
            return "ERR".to_owned();
        };
        let tags = TAGS.split(' ').filter(|t| version_of(t).is_some_and(|v| range.matches(&v)));
        tags.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ranges_mean_what_masterminds_says() {
        let wrong: Vec<String> = TABLE
            .iter()
            .filter(|(range, expected)| matching(range) != *expected)
            .map(|(range, expected)| format!("{range:?}: {} instead of {expected}", matching(range)))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_highest_tag_does_not_depend_on_the_order() {
        let check = |range: &str, filter: Option<&str>, tags: &[&str], expected: Option<&str>| {
            let range = Range::parse(range).unwrap();
            let filter = filter.map(|f| TagFilter::parse(f).unwrap());
            for turn in 0..tags.len().max(1) {
                let mut tags = tags.to_vec();
                let by = turn % tags.len().max(1);
                tags.rotate_left(by);
                assert_eq!(range.highest(tags, filter.as_ref()), expected);
            }
        };
        check("*", None, &[], None);
        check("1.x", None, &["latest", "1.2.0", "1.10.0", "1.9.0", "2.0.0"], Some("1.10.0"));
        check("*", None, &["v1.2.0", "1.2.0", "1.2", "v1.2"], Some("1.2.0"));
        check("*", None, &["v1.2.0", "01.2.0"], Some("v1.2.0"));
        check("*", None, &["v2025.02.03", "2025.1.9"], Some("v2025.02.03"));
        // Dates, commits and tags that move are no versions.
        for tag in [
            "20240115",
            "1234567",
            "v3",
            "1.9",
            "v1.9",
            "20240115_abc123",
            "1_0",
            "1.9_a",
            "01.9.0_a",
            "1.9.00_a",
        ] {
            check(">=1.0.0", None, &[tag, "1.4.0"], Some("1.4.0"));
            check(">=1.0.0-0", None, &[tag], None);
        }
        check("*", None, &["sha256-abc.sig", "main", "2024-01-01"], None);
        // Build metadata: no tag has a `+`, and no build is newer than another by its precedence.
        check("1.x", None, &["1.2.0", "1.2.0_b"], Some("1.2.0"));
        check("1.x", None, &["v1.2.0", "1.2.0_b"], Some("v1.2.0"));
        check("1.x", None, &["1.2.0_b.9", "1.2.0_b.10", "1.2.0_a.11"], Some("1.2.0_b.10"));
        check("1.x", None, &["1.2.0_1", "v1.2.0_1"], Some("1.2.0_1"));
        check("1.x", None, &["1.2.0", "1.2.1_b"], Some("1.2.1_b"));
        check("1.x", None, &["1.2.0-rc.1_b", "1.1.0_b"], Some("1.1.0_b"));
        check(">=1.2.0-0", None, &["1.2.0-rc.1_b", "1.1.0_b"], Some("1.2.0-rc.1_b"));
        check("1.2.0+a", None, &["1.2.0_b", "1.2.0_a"], Some("1.2.0_b"));
        check("1.x", Some("_a$"), &["1.2.0_a", "1.2.0_b", "1.2.0"], Some("1.2.0_a"));
        check("1.x", Some("^[0-9.]+$"), &["1.2.1_b", "1.2.0"], Some("1.2.0"));
        check("*", None, &["1.2.0_a_b", "1.2.0_", "_1.2.0", "1.0.0_0", "latest_1"], Some("1.0.0_0"));
        // A text is in alphabetical order, a number by its value.
        check("1.x", None, &["1.2.0_b9", "1.2.0_b10"], Some("1.2.0_b9"));
        check(">=1.0.0", Some("^[0-9.]+$"), &["1.2.0", "v1.3.0", "1.4.0-rc.1"], Some("1.2.0"));
        check(
            ">=1.0.0-0",
            Some("-rc"),
            &["1.2.0", "1.1.0-rc.1", "1.1.0-rc.10", "1.1.0-rc.9"],
            Some("1.1.0-rc.10"),
        );
    }

    #[test]
    fn older_within_the_range_goes_back() {
        let check = |range: &str, filter: Option<&str>, from: &str, to: &str, expected: bool| {
            let range = Range::parse(range).unwrap();
            let filter = filter.map(|f| TagFilter::parse(f).unwrap());
            assert_eq!(range.goes_back(filter.as_ref(), from, to), expected, "{from} {to}");
        };
        check("1.x", None, "1.2.0", "1.1.0", true);
        check("1.x", None, "1.2.0", "1.3.0", false);
        check("1.x", None, "1.2.0", "1.2.0", false);
        check("1.x", None, "v1.2.0", "1.2.0", false);
        check("1.x", None, "1.10.0", "v1.9.0", true);
        check("1.x", None, "1.10", "1.9.0", false);
        // Another build of the same version.
        check("1.x", None, "1.2.0_b.9", "1.2.0_b.8", true);
        check("1.x", None, "1.2.0_b.9", "v1.2.0_b.10", false);
        check("1.x", None, "1.2.0_b.9", "1.2.0_b.9", false);
        check("1.x", None, "1.2.0", "1.2.0_b", false);
        check("1.x", None, "1.2.0_b", "1.2.0", false);
        check("1.x", None, "1.2.0_b", "1.1.0_c", true);
        check(">=1.0.0-0", None, "1.2.0", "1.2.0-rc.1", true);
        // The range, or the filter, excludes the applied tag.
        check("1.x", None, "2.0.0", "1.9.0", false);
        check(">=1", Some("^1[.]"), "2.0.0", "1.9.0", false);
        check("1.x", None, "1.2.0-rc.1", "1.1.0", false);
        check("*", None, "latest", "1.0.0", false);
        check("*", None, "1.0.0", "latest", false);
    }

    #[test]
    fn hostile_text_is_refused() {
        assert!(Range::parse(&"1".repeat(MAX_RANGE_BYTES + 1)).is_err());
        assert!(Range::parse(&"1||".repeat(MAX_ALTERNATIVES + 1)).is_err());
        assert!(TagFilter::parse("(").is_err());
        assert!(TagFilter::parse(r"\w{1000}{1000}").is_err());
    }
}
