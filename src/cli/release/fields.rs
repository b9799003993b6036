//! Fields of a release, and their colours.

use crate::cli::print::color::Tone;
pub(super) use crate::domain::shown::fields::{condition_of, id, source, text, why};

/// The colour of a condition's status.
pub(super) fn tone(status: &str) -> Tone {
    match status {
        "True" => Tone::Good,
        "False" => Tone::Bad,
        _ => Tone::Pending,
    }
}
