//! A range whose newest tag is older than what is applied.

use super::decision::{Blocker, Decision, WakeOn};
use super::facts::Facts;
use crate::api::reason::Reason;

/// Keeps the applied revision while the newest tag is older and the spec does not allow
/// a downgrade.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(step) = facts.step.filter(|step| step.is_back(facts)) else { return Decision::Pass };
    if facts.release.allow_downgrade {
        return Decision::Pass;
    }
    let message = format!(
        "downgrade from {} to {} refused, the newest tag is older: set spec.ref.allowDowngrade to allow it",
        step.from, step.to
    );
    Decision::Wait(Blocker::new(Reason::DowngradeRefused, message), WakeOn::Registry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::artifact::wanted::WantedVersion;
    use crate::domain::gate::facts::TagStep;
    use crate::domain::gate::tests::{held, release};

    #[test]
    fn only_a_range_that_may_goes_back() {
        let range = || WantedVersion::Semver { range: ">=1.0.0".to_owned(), filter: None };
        let check = |wanted: WantedVersion, allow: bool, from: &str, to: &str, expected: bool| {
            let mut release = release();
            (release.wanted, release.allow_downgrade) = (wanted, allow);
            let facts = Facts { step: Some(TagStep { from, to }), ..Facts::of(&release) };
            let found = held(decide(&facts)).map(|(reason, _)| reason);
            assert_eq!(found, expected.then_some(Reason::DowngradeRefused), "{from} {to}");
        };
        check(range(), false, "1.2.0", "1.1.0", true);
        check(range(), true, "1.2.0", "1.1.0", false);
        check(range(), false, "1.1.0", "1.2.0", false);
        check(range(), false, "1.1.0", "1.1.0", false);
        // A tag in the spec is an explicit choice.
        check(WantedVersion::Tag("1.1.0".to_owned()), false, "1.2.0", "1.1.0", false);
    }
}
