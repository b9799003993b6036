//! Values that several verbs take.

use std::time::Duration;

use crate::domain::schedule::parse_duration;

/// A wait that a person types.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}
