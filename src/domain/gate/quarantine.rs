//! A revision that has failed before.

use super::decision::{Blocker, Decision, WakeOn};
use super::facts::Facts;
use crate::api::keys;
use crate::api::reason::Reason;

/// Does not follow a quarantined revision: the revision before it is kept, or nothing is written.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(entry) = facts.quarantined else { return Decision::Pass };
    let release = &facts.release.id;
    let cure = format!(
        "publish another revision, or try this one again: `kubectl -n {} annotate --overwrite oar {} {}={}`",
        release.namespace,
        release.name,
        keys::RETRY,
        entry.digest
    );
    let (revision, reason, cause) = (&entry.revision, &entry.reason, &entry.message);
    match (&entry.frozen, &entry.back_to) {
        (None, Some(back_to)) => {
            let message = format!(
                "Rolled back to {back_to}: revision {revision} has failed ({reason}: {cause}); {cure}"
            );
            Decision::Wait(Blocker::new(Reason::RolledBack, message), WakeOn::Registry)
        }
        (frozen, _) => {
            let why = frozen.as_deref().unwrap_or("there is no earlier revision to go back to");
            let message = format!(
                "Nothing is written any more: revision {revision} has failed ({reason}: {cause}), and {why}; {cure}"
            );
            Decision::refuse(Reason::Frozen, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::rollback::QuarantineEntry;
    use crate::domain::gate::decide as all;
    use crate::domain::release::Release;

    #[test]
    fn a_revision_that_has_failed_is_not_followed() {
        let release = Release::default();
        let check = |entry: Option<(Option<&str>, Option<&str>)>, expected: Option<(Reason, &str)>| {
            let entry = entry.map(|(back_to, frozen)| QuarantineEntry {
                revision: "2@b".into(),
                digest: "b".into(),
                reason: "HealthTimeout".into(),
                message: "not healthy".into(),
                back_to: back_to.map(str::to_owned),
                frozen: frozen.map(str::to_owned),
                ..QuarantineEntry::default()
            });
            let found = all(&Facts { quarantined: entry.as_ref(), ..Facts::of(&release) });
            match (found, expected) {
                (Decision::Pass, None) => {}
                (Decision::Wait(found, _) | Decision::Refuse(found), Some((reason, says))) => {
                    assert_eq!(found.reason, reason);
                    assert!(found.message.starts_with(says), "{}", found.message);
                }
                (found, expected) => panic!("{found:?} {expected:?}"),
            }
        };
        let failed = "revision 2@b has failed (HealthTimeout: not healthy)";
        check(None, None);
        check(
            Some((Some("1@a"), None)),
            Some((Reason::RolledBack, &format!("Rolled back to 1@a: {failed}; "))),
        );
        let frozen = |why: &str| format!("Nothing is written any more: {failed}, and {why}; publish another");
        check(Some((Some("1@a"), Some("why"))), Some((Reason::Frozen, &frozen("why"))));
        check(Some((None, Some("why"))), Some((Reason::Frozen, &frozen("why"))));
        check(None, None);
    }
}
