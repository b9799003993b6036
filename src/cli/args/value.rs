//! Values that several verbs take.

use std::time::Duration;

use crate::domain::schedule::parse_duration;

/// On or off, in the words that kubectl takes (Go's strconv.ParseBool).
pub(in crate::cli) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A wait that a person types.
pub(in crate::cli) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|e| e.to_string())
}
