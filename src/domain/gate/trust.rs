//! An artifact without a configured signer, where every artifact is verified.

use super::decision::Decision;
use super::facts::{Demands, Facts};
use crate::api::reason::Reason;

/// Refuses an artifact for which no signer is configured. Whether a configured signer has
/// signed it is judged by `domain::verify`, with the evidence.
pub fn decide(facts: &Facts<'_>) -> Decision {
    match facts.demands {
        Some(Demands { policies: 0, is_exempt: false, required: true }) => {
            let message = format!(
                "no signer is configured for {}, and the controller verifies every artifact \
                 (--require-verification): set spec.verify",
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
    fn without_signers_a_required_verification_is_refused() {
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
