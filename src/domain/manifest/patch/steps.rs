//! How much work patches may be: steps are taken of a budget.

use crate::domain::manifest::budget::Budget;

/// How much may be looked at while objects are patched: an estimate, in steps of
/// some nanoseconds each. It ends what would keep a processor for minutes.
pub const MAX_STEPS: u64 = 8 << 30;

/// What is said when the steps are used up.
pub(super) const TOO_MUCH_WORK: &str = "the patches and images are too much work for so many objects; \
     write fewer, name objects rather than choose them, or split the artifact";

/// Steps to see who an object is.
pub(super) const LOOK: u64 = 64;

/// Takes steps.
pub(super) fn spend(steps: &mut Budget, count: u64) -> Result<(), String> {
    if steps.spend(count) { Ok(()) } else { Err(TOO_MUCH_WORK.into()) }
}
