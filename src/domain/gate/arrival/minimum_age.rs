//! The age of a new revision.

use crate::api::reason::Reason;
use crate::domain::gate::decision::{Blocker, Decision, WakeOn};
use crate::domain::gate::facts::Facts;

/// Holds a new revision until it has the age that the spec requires: from the proven time of its
/// signature, or else from the time at which the release saw it first. The time that the artifact
/// says of itself does not count: its publisher chooses it.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some((arrival, age)) = facts.arrival.zip(facts.release.guards.minimum_age) else {
        return Decision::Pass;
    };
    if arrival.is_known {
        return Decision::Pass;
    }
    let born = arrival.signed_at.unwrap_or(arrival.first_seen);
    let Ok(at) = born.checked_add(age) else { return Decision::Pass };
    if arrival.now >= at {
        return Decision::Pass;
    }
    let revision = arrival.revision;
    let message = match arrival.signed_at {
        Some(_) => format!(
            "revision {revision} is younger than spec.minimumAge: it was signed at {born}, and may be applied at {at}"
        ),
        None => format!(
            "revision {revision} is younger than spec.minimumAge: it was first seen at {born}, and may be applied at {at}"
        ),
    };
    Decision::Wait(Blocker::new(Reason::RevisionTooYoung, message), WakeOn::Time(at))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::gate::facts::ArrivalFacts;
    use crate::domain::gate::tests::{arrival, release};

    #[test]
    fn the_age_counts_from_a_proven_signature_or_from_the_first_sight() {
        let first_seen = "2026-12-01T10:00:00Z".parse().unwrap();
        let check = |now: &str, signed: Option<&str>, is_known: bool, expected: Option<&str>| {
            let mut release = release();
            release.guards.minimum_age = Some(Duration::from_secs(3600));
            let signed_at = signed.map(|at| at.parse().unwrap());
            let facts = ArrivalFacts { first_seen, signed_at, is_known, ..arrival(now) };
            let found = match decide(&Facts { arrival: Some(facts), ..Facts::of(&release) }) {
                Decision::Wait(blocker, WakeOn::Time(at)) => Some(format!("{at}: {}", blocker.message)),
                _ => None,
            };
            assert_eq!(found.as_deref(), expected, "{now} {signed:?}");
        };
        let seen = "2026-12-01T11:00:00Z: revision 1@sha256:a is younger than spec.minimumAge: it was first seen at \
                    2026-12-01T10:00:00Z, and may be applied at 2026-12-01T11:00:00Z";
        check("2026-12-01T10:59:59Z", None, false, Some(seen));
        check("2026-12-01T11:00:00Z", None, false, None);
        let signed = "2026-12-01T12:00:00Z: revision 1@sha256:a is younger than spec.minimumAge: it was signed at \
                      2026-12-01T11:00:00Z, and may be applied at 2026-12-01T12:00:00Z";
        check("2026-12-01T11:30:00Z", Some("2026-12-01T11:00:00Z"), false, Some(signed));
        check("2026-12-01T10:00:00Z", Some("2026-11-01T11:00:00Z"), false, None);
        check("2026-12-01T10:00:00Z", None, true, None);
        assert_eq!(
            decide(&Facts { arrival: Some(arrival("2026-12-01T10:00:00Z")), ..Facts::of(&release()) }),
            Decision::Pass
        );
    }
}
