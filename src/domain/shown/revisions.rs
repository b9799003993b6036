//! Revisions of the past: how a person names one, and which one a way back means.

use crate::api::keys;
use crate::api::status::{HistoryEntry, ReleaseStatus};
use crate::domain::artifact::digest::is_digest;
use crate::domain::ledger::KnownRevision;

/// How many digits of a digest are enough to name it.
const DIGITS: usize = 8;

/// The revision that a person names: by its tag, `tag@digest`, its digest or the first digits of it,
/// or its number in the history.
///
/// # Errors
/// Why there is no such revision.
pub fn named(history: &[HistoryEntry], name: &str) -> Result<KnownRevision, String> {
    let known = |entry: &HistoryEntry| KnownRevision::named(&entry.revision);
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_part = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let is_it = |entry: &&HistoryEntry| {
        let tag = entry.revision.split_once('@').map(|(tag, _)| tag);
        let digest = entry.digest.strip_prefix("sha256:").unwrap_or(&entry.digest);
        entry.revision == name || tag == Some(name) || is_part && digest.starts_with(digits)
    };
    if let Some(found) = history.iter().find(is_it).and_then(known) {
        return Ok(found);
    }
    // A tag may be a number, too.
    let number = name.trim_start_matches('#').parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if let Some(found) = number.and_then(|n| history.get(n)).and_then(known) {
        return Ok(found);
    }
    match name.rsplit('@').next().filter(|digest| is_digest(digest)) {
        Some(_) => KnownRevision::named(name).ok_or_else(|| format!("{name} is not a revision")),
        None => Err(format!(
            "revision {name} is not in the history; name one of `supercargo history release`, or a digest sha256:…"
        )),
    }
}

/// The revision to go back to: the named one, or the last good one before the applied one.
///
/// # Errors
/// Why there is none.
pub fn rollback_target(status: &ReleaseStatus, to: Option<&str>) -> Result<KnownRevision, String> {
    let target = match to {
        Some(name) => named(&status.history, name)?,
        None => {
            let applied = status.last_applied_revision.as_deref().unwrap_or_default();
            let digest = applied.rsplit('@').next().unwrap_or_default();
            let mut earlier = status.history.iter().filter(|e| e.outcome != "Failed" && e.digest != digest);
            let earlier = earlier.next().and_then(|entry| KnownRevision::named(&entry.revision));
            earlier.ok_or("there is no earlier revision in the history; name a digest with --to")?
        }
    };
    match status.quarantine.iter().find(|entry| entry.digest == target.digest) {
        Some(entry) => Err(format!(
            "revision {} is quarantined ({}); to try it again, annotate the release with {}={}",
            target.name,
            entry.reason,
            keys::RETRY,
            entry.digest
        )),
        None => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rollback::QuarantineEntry;

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    #[test]
    fn a_revision_is_named_as_it_is_shown() {
        let entry = |tag: &str, digit: char| HistoryEntry {
            revision: format!("{tag}@{}", digest(digit)),
            digest: digest(digit),
            ..HistoryEntry::default()
        };
        let history = [entry("1.1.0", 'a'), entry("1.0.0", 'b'), entry("1.0.0", 'c'), entry("1", 'd')];
        let check = |name: &str, expected: Option<usize>| {
            let found = named(&history, name).ok().map(|known| known.name);
            assert_eq!(found, expected.map(|n| history[n].revision.clone()), "{name}");
        };
        check("1.1.0", Some(0));
        check("1.0.0", Some(1));
        check(&history[2].revision, Some(2));
        check(&digest('c'), Some(2));
        check("sha256:cccccccc", Some(2));
        check("cccccccc", Some(2));
        check("ccc", None);
        // A tag wins over a number.
        check("1", Some(3));
        check("2", Some(1));
        check("#1", Some(0));
        check("5", None);
        check("0", None);
        check("2.0.0", None);
        // What is not in the history needs a digest.
        let other = named(&history, &digest('e')).map(|known| known.digest);
        assert_eq!(other, Ok(digest('e')));
        let other = named(&history, &format!("0.9.0@{}", digest('e'))).map(|known| known.name);
        assert_eq!(other, Ok(format!("0.9.0@{}", digest('e'))));
    }

    #[test]
    fn the_target_is_the_last_good_revision_before_the_applied_one() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let entry = |tag: &str, digit: &str, outcome: &str| HistoryEntry {
            revision: format!("{tag}@{}", digest(digit)),
            digest: digest(digit),
            outcome: outcome.to_owned(),
            ..HistoryEntry::default()
        };
        let status = ReleaseStatus {
            last_applied_revision: Some(format!("1.2@{}", digest("a"))),
            history: vec![
                entry("1.2", "a", "Healthy"),
                entry("1.3", "d", "Failed"),
                entry("1.1", "b", "Healthy"),
                entry("1.0", "c", "Applied"),
            ],
            quarantine: vec![QuarantineEntry { digest: digest("d"), ..QuarantineEntry::default() }],
            ..ReleaseStatus::default()
        };
        let check = |to: Option<&str>, expected: Result<&str, &str>| {
            let found = rollback_target(&status, to).map(|known| known.name);
            match expected {
                Ok(tag) => assert!(found.as_ref().is_ok_and(|name| name.starts_with(tag)), "{found:?}"),
                Err(says) => assert!(found.as_ref().is_err_and(|why| why.contains(says)), "{found:?}"),
            }
        };
        check(None, Ok("1.1@"));
        check(Some("1.0"), Ok("1.0@"));
        check(Some("#1"), Ok("1.2@"));
        check(Some("1.3"), Err("is quarantined"));
        check(Some("2.0"), Err("is not in the history"));
        let none = ReleaseStatus::default();
        assert!(rollback_target(&none, None).is_err_and(|why| why.contains("no earlier revision")));
    }
}
