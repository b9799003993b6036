//! The gates, in the order in which they are asked.

use super::facts::{Decision, Facts};
use super::{downgrade, empty, inventory, ownership, registry, suspend, trust};

/// A gate.
type Gate = fn(&Facts<'_>) -> Decision;

/// All of them. A new one is a file beside these, a field of [`Facts`] where it asks
/// about something new, and a line here.
const GATES: &[Gate] = &[
    suspend::decide,
    registry::decide,
    inventory::decide,
    trust::decide,
    downgrade::decide,
    empty::decide,
    ownership::decide,
    #[cfg(test)]
    tests::frozen,
];

/// What the first gate says that does not let the run pass.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let decisions = GATES.iter().map(|gate| gate(facts));
    decisions.into_iter().find(|decision| *decision != Decision::Pass).unwrap_or(Decision::Pass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;
    use crate::domain::gate::WakeOn;
    use crate::domain::gate::tests::release;
    use crate::domain::release::Release;

    /// A gate that only tests have: what a new one takes.
    pub(super) fn frozen(facts: &Facts<'_>) -> Decision {
        match facts.release.labels.get("frozen").map(String::as_str) {
            Some("true") => Decision::refuse(Reason::InvalidSpec, "frozen"),
            _ => Decision::Pass,
        }
    }

    fn suspended(suspend: bool, frozen: &str) -> Release {
        let mut release = release();
        release.suspend = suspend;
        release.labels.insert("frozen".to_owned(), frozen.to_owned());
        release
    }

    #[test]
    fn the_first_gate_that_holds_decides() {
        let check = |release: Release, expected: Option<&str>| {
            let held = match decide(&Facts::of(&release)) {
                Decision::Pass => None,
                Decision::Wait(hold, WakeOn::Release) => Some(hold.reason.to_string()),
                Decision::Wait(hold, _) | Decision::Refuse(hold) => Some(hold.message),
            };
            assert_eq!(held.as_deref(), expected);
        };
        check(suspended(false, "false"), None);
        check(suspended(false, "true"), Some("frozen"));
        check(suspended(true, "true"), Some("Suspended"));
    }
}
