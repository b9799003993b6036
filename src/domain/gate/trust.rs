//! An artifact that nobody says anything about, where every artifact is verified.

use super::facts::{Decision, Facts};
use crate::api::reason::Reason;

/// Who has to have signed an artifact.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// How many policies ask for signatures.
    pub policies: usize,
    /// Whether the administrator exempts the repository.
    pub is_exempt: bool,
    /// Whether every artifact has to be verified.
    pub required: bool,
}

/// Refuses an artifact for which nothing says who has to have signed it. Whether those
/// have who do is judged by `domain::verify`, with the evidence.
pub fn decide(facts: &Facts<'_>) -> Decision {
    match facts.demands {
        Some(Demands { policies: 0, is_exempt: false, required: true }) => {
            let message = format!(
                "nothing says who has to have signed {}: the controller verifies every artifact \
                 (--require-verification), so set spec.verify",
                facts.release.url
            );
            Decision::refuse(Reason::VerificationRequired, message)
        }
        _ => Decision::Pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests::{held, release};

    #[test]
    fn where_every_artifact_is_verified_somebody_has_to_say_by_whom() {
        let check = |policies: usize, is_exempt: bool, required: bool, refused: bool| {
            let demands = Some(Demands { policies, is_exempt, required });
            let found = held(decide(&Facts { demands, ..Facts::of(&release()) }));
            assert_eq!(found.map(|(reason, _)| reason), refused.then_some(Reason::VerificationRequired));
        };
        check(0, false, true, true);
        check(0, true, true, false);
        check(0, false, false, false);
        check(1, false, true, false);
    }
}
