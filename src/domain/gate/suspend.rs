//! A release that its owner has suspended.

use super::decision::{Blocker, Decision, WakeOn};
use super::facts::Facts;
use crate::api::reason::Reason;

/// Holds a suspended release until the spec changes, or a person requests one run.
pub fn decide(facts: &Facts<'_>) -> Decision {
    match facts.release.suspend && !facts.is_asked {
        true => {
            let message = "the release is suspended (spec.suspend)";
            Decision::Wait(Blocker::new(Reason::Suspended, message), WakeOn::Release)
        }
        false => Decision::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests::release;

    #[test]
    fn a_person_may_ask_for_a_run_all_the_same() {
        let check = |suspend: bool, is_asked: bool, passes: bool| {
            let mut release = release();
            release.suspend = suspend;
            let decision = decide(&Facts { is_asked, ..Facts::of(&release) });
            assert_eq!(decision == Decision::Pass, passes, "{suspend} {is_asked}");
        };
        check(false, false, true);
        check(true, false, false);
        check(true, true, true);
    }
}
