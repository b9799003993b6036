//! What a rule is.

use jiff::Timestamp;

use super::fields::Fields;
use super::verdict::Health;

/// Judges an object of one kind by its fields. Time is an argument: some objects are only
/// given so long.
pub type Rule = fn(Fields<'_>, Timestamp) -> Health;
