//! The tags of a repository, for people.

use super::version::Range;
use super::version_tag::VersionTag;

/// The prefix that cosign and the referrers fallback put before the digest that they
/// are attached to.
const ATTACHED: &str = "sha256-";
/// Hex digits of a digest.
const DIGITS: usize = 64;

/// The tags that name artifacts, and their versions; newest version first, then tags
/// that are not versions, in reverse alphabetical order. With a range, only the
/// versions in it. What is attached to an artifact (signatures, attestations, SBOMs,
/// lists of referrers) is omitted.
pub fn newest_first<'a>(tags: impl IntoIterator<Item = &'a str>, range: Option<&Range>) -> Vec<&'a str> {
    // `None` is less than any version.
    let mut found: Vec<(Option<VersionTag<'_>>, &str)> = tags
        .into_iter()
        .filter(|tag| !is_attached(tag))
        .map(|tag| (VersionTag::parse(tag), tag))
        .filter(|(version, _)| {
            range.is_none_or(|range| version.as_ref().is_some_and(|it| range.matches(&it.version)))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, tag)| tag).collect()
}

/// Whether a tag names something attached to an artifact: `sha256-<64 hex digits>` and
/// any suffix.
pub fn is_attached(tag: &str) -> bool {
    let digits = tag.strip_prefix(ATTACHED).and_then(|rest| rest.get(..DIGITS));
    digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_first_and_the_newest_before_all() {
        let signature = format!("sha256-{}.sig", "a".repeat(64));
        let referrers = format!("sha256-{}", "b".repeat(64));
        let tags = [
            "latest",
            "1.9.0",
            "v1.10.0",
            "1.10.0-rc.1",
            "main",
            "2",
            &signature,
            &referrers,
            "sha256-short",
            "0.1",
            "1.10.0_b",
        ];
        let check = |range: Option<&str>, expected: &[&str]| {
            let range = range.map(|r| Range::parse(r).unwrap());
            assert_eq!(newest_first(tags, range.as_ref()), expected, "{range:?}");
        };
        check(
            None,
            &["v1.10.0", "1.10.0_b", "1.10.0-rc.1", "1.9.0", "sha256-short", "main", "latest", "2", "0.1"],
        );
        check(Some("1.x"), &["v1.10.0", "1.10.0_b", "1.9.0"]);
        check(Some(">=1.0.0-0 <2"), &["v1.10.0", "1.10.0_b", "1.10.0-rc.1", "1.9.0"]);
        check(Some(">3"), &[]);
    }
}
