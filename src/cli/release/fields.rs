//! Fields of a release, and their colours.

use crate::cli::print::color::Tone;
pub(super) use crate::domain::shown::fields::{condition_of, id, source, text, why};

/// The replica of the operator that works on a release, where replicas share the releases: the name of
/// its pod, without the word that tells its processes apart.
pub(super) fn replica(release: &serde_json::Value) -> &str {
    let holder = text(release, "/status/owner/holder");
    holder.rsplit_once('_').map_or(holder, |(name, _)| name)
}

/// The colour of a condition's status.
pub(super) fn tone(status: &str) -> Tone {
    match status {
        "True" => Tone::Good,
        "False" => Tone::Bad,
        _ => Tone::Pending,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_replica_has_the_name_of_its_pod() {
        let check = |holder: &str, expected: &str| {
            let release = json!({"status": {"owner": {"holder": holder, "term": 2}}});
            assert_eq!(replica(&release), expected, "{holder}");
        };
        check("supercargo-7d9f5-x2k_0f3a", "supercargo-7d9f5-x2k");
        check("a_b_0f3a", "a_b");
        check("other", "other");
        check("", "");
        assert_eq!(replica(&json!({})), "");
    }
}
