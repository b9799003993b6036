//! A gate that only tests use: it shows what a new one needs, which is this file, and the
//! module and the line in `gate.rs`.

use super::decision::Decision;
use super::facts::Facts;
use crate::api::reason::Reason;

/// Refuses a release with the label `frozen: "true"`.
pub fn decide(facts: &Facts<'_>) -> Decision {
    match facts.release.labels.get("frozen").map(String::as_str) {
        Some("true") => Decision::refuse(Reason::InvalidSpec, "frozen"),
        _ => Decision::Pass,
    }
}
