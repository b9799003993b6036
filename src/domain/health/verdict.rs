//! The answer of every health rule.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::api::reason::Reason;
use crate::domain::objects::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;

/// The most bytes of a message. Conditions of other controllers may be long (they
/// quote admission errors); a status that lists twenty of them must remain small.
pub(super) const MAX_MESSAGE: usize = 512;

/// The states of kstatus, and one for objects that a person has suspended; without `Unknown` and `NotFound`: those are facts
/// about the read, not about the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HealthState {
    /// The object is in the state that its spec describes.
    Current,
    /// Its controller is still working, or waiting for something.
    InProgress,
    /// Its controller has given up, or it cannot become healthy without a change.
    Failed,
    /// Its controller leaves it as it is until a person wants it to go on. A wait does not
    /// wait for it.
    Suspended,
    /// It is being deleted.
    Terminating,
}

impl HealthState {
    /// Whether a wait for health ends with it: an object that a person has suspended is as
    /// that person wants it.
    pub fn is_healthy(self) -> bool {
        matches!(self, Self::Current | Self::Suspended)
    }

    /// The word for people and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "Current",
            Self::InProgress => "InProgress",
            Self::Failed => "Failed",
            Self::Suspended => "Suspended",
            Self::Terminating => "Terminating",
        }
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The health of an object, with a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The state.
    pub state: HealthState,
    /// A lowercase fragment that follows the object's name, at most 512 bytes.
    /// It changes only when the object's status does.
    pub message: String,
    /// When the judgement changes only because time passes: a caller that waits for
    /// events has to judge again at this time.
    pub changes_at: Option<Timestamp>,
}

impl Health {
    pub(super) fn new(state: HealthState, message: impl Into<String>) -> Self {
        Self { state, message: bounded(message.into()), changes_at: None }
    }

    pub(super) fn current(message: impl Into<String>) -> Self {
        Self::new(HealthState::Current, message)
    }

    pub(super) fn in_progress(message: impl Into<String>) -> Self {
        Self::new(HealthState::InProgress, message)
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(HealthState::Failed, message)
    }

    pub(super) fn suspended(message: impl Into<String>) -> Self {
        Self::new(HealthState::Suspended, message)
    }

    pub(super) fn until(mut self, at: Timestamp) -> Self {
        self.changes_at = Some(at);
        self
    }
}

/// While the object is younger than `grace`: the time at which it no longer is. An
/// object without a creation time, or with one in the future, is not young; a wrong
/// clock must not make a wait endless.
pub(super) fn young_until(
    created: Option<Timestamp>,
    grace: SignedDuration,
    now: Timestamp,
) -> Option<Timestamp> {
    let created = created?;
    let end = created.checked_add(grace).ok()?;
    let in_the_future = created.duration_since(now) > grace;
    (now < end && !in_the_future).then_some(end)
}

fn bounded(message: String) -> String {
    cut(message, MAX_MESSAGE)
}

/// At most so many bytes of a text, at the end of a character.
pub(super) fn cut(mut message: String, most: usize) -> String {
    if message.len() > most {
        let mut end = most.saturating_sub('…'.len_utf8());
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push('…');
    }
    message
}

/// Objects that fail a run, for that reason.
pub fn failures_of<'a>(
    reason: Reason,
    objects: impl Iterator<Item = (&'a ObjectId, &'a Health)>,
) -> Vec<ObjectFailure> {
    let failure = |(id, health): (&ObjectId, &Health)| ObjectFailure {
        id: id.clone(),
        reason,
        message: health.message.clone(),
    };
    objects.map(failure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_end_on_a_character() {
        for length in [0, 511, 512, 513, 5000] {
            let message = bounded("ä".repeat(length));
            assert!(message.len() <= MAX_MESSAGE, "{length}");
            assert_eq!(message.ends_with('…'), length * 2 > MAX_MESSAGE, "{length}");
        }
    }

    #[test]
    fn youth_ends() {
        let check = |created: Option<&str>, expected: Option<&str>| {
            let now = "2026-01-01T00:00:10Z".parse().unwrap();
            let created = created.map(|t| t.parse().unwrap());
            let expected = expected.map(|t| t.parse().unwrap());
            assert_eq!(young_until(created, SignedDuration::from_secs(5), now), expected, "{created:?}");
        };
        check(None, None);
        check(Some("2026-01-01T00:00:09Z"), Some("2026-01-01T00:00:14Z"));
        check(Some("2026-01-01T00:00:05Z"), None);
        check(Some("2026-01-01T00:00:12Z"), Some("2026-01-01T00:00:17Z"));
        check(Some("2026-01-01T00:01:00Z"), None);
    }
}
