//! Tags that are versions, and their order.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

/// What stands for `+` in a tag: Helm writes it so.
const BUILD_SIGN: char = '_';

/// A tag that is a version. Of two with the same precedence, the greater one is the one without build
/// metadata, else the one with the greater build (numbers by their value), else the one that is written
/// as strict semver, else the later one in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain) struct VersionTag<'a> {
    /// The version.
    pub version: Version,
    /// The tag.
    pub tag: &'a str,
}

impl<'a> VersionTag<'a> {
    /// Reads a tag that is a version.
    pub fn parse(tag: &'a str) -> Option<Self> {
        Some(Self { version: version_of(tag)?, tag })
    }

    fn is_strict(&self) -> bool {
        Version::parse(&self.tag.replace(BUILD_SIGN, "+")).is_ok()
    }
}

impl Ord for VersionTag<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_plain = |it: &Self| it.version.build.is_empty();
        (self.version.cmp_precedence(&other.version))
            .then_with(|| is_plain(self).cmp(&is_plain(other)))
            .then_with(|| self.version.build.cmp(&other.version.build))
            .then_with(|| self.is_strict().cmp(&other.is_strict()))
            .then_with(|| self.tag.cmp(other.tag))
    }
}

impl PartialOrd for VersionTag<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Reads a tag as Flux does: an optional `v`, and all three numbers, of which leading zeros are
/// dropped. Fewer numbers are a date, a commit or a tag that moves, such as `20240115` and `1.4`. A `_`
/// stands for the `+` of build metadata, which no tag can have; with it, leading zeros are refused, as in
/// Helm.
pub(in crate::domain) fn version_of(tag: &str) -> Option<Version> {
    let text = tag.replace(BUILD_SIGN, "+");
    let (numbers, pre, build) = split(text.strip_prefix('v').unwrap_or(&text))?;
    let parts: Vec<&str> = numbers.split('.').collect();
    let [major, minor, patch] = <[&str; 3]>::try_from(parts).ok()?;
    let is_zero_led = |part: &&str| part.len() > 1 && part.starts_with('0');
    if !build.is_empty() && [major, minor, patch].iter().any(is_zero_led) {
        return None;
    }
    Some(Version { major: number(major)?, minor: number(minor)?, patch: number(patch)?, pre, build })
}

pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Splits a version into its numbers, prerelease and build metadata.
pub(super) fn split(text: &str) -> Option<(&str, Prerelease, BuildMetadata)> {
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) if !build.is_empty() => (rest, BuildMetadata::new(build).ok()?),
        Some(_) => return None,
        None => (text, BuildMetadata::EMPTY),
    };
    let (numbers, pre) = match rest.split_once('-') {
        Some((numbers, pre)) if !pre.is_empty() => (numbers, Prerelease::new(pre).ok()?),
        Some(_) => return None,
        None => (rest, Prerelease::EMPTY),
    };
    Some((numbers, pre, build))
}
