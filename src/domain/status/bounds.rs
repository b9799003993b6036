//! The bounds of what a status holds.

use jiff::Timestamp;

use crate::api::status::MAX_MESSAGE;
use crate::domain::artifact::digest::shortened;

/// Timestamps of the API have whole seconds.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A message as the status keeps it: digests are shortened, and it is cut at
/// [`MAX_MESSAGE`] bytes, on a character's boundary.
pub fn bounded(message: &str) -> String {
    let message = shortened(message);
    if message.len() <= MAX_MESSAGE {
        return message;
    }
    let mut end = MAX_MESSAGE - 4;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &message[..end])
}
