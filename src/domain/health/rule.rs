//! What a rule is.

use jiff::Timestamp;

use super::fields::Fields;
use super::verdict::Health;

/// Judges an object of one kind by its fields. The time is an argument, because some
/// objects have only a limited time.
pub type Rule = fn(Fields<'_>, Timestamp) -> Health;
