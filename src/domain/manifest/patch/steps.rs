//! Limits the work of patches: steps are subtracted from a budget.

use crate::domain::manifest::budget::Budget;

/// The most steps while objects are patched: an estimate, with some nanoseconds for
/// each step. It stops patches that would use a processor for minutes.
pub const MAX_STEPS: u64 = 8 << 30;

/// The message when the steps are used up.
pub(super) const TOO_MUCH_WORK: &str = "the patches and images are too expensive for so many objects; use \
                                        fewer, select objects by name, or split the artifact";

/// Steps to look up the identity of an object.
pub(super) const LOOK: u64 = 64;

/// Subtracts steps from the budget.
pub(super) fn spend(steps: &mut Budget, count: u64) -> Result<(), String> {
    if steps.spend(count) { Ok(()) } else { Err(TOO_MUCH_WORK.into()) }
}
