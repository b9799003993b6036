//! What gates say.

use crate::api::reason::Reason;
use crate::domain::outcome::ObjectFailure;

/// How many objects a message names.
const NAMED: usize = 3;

/// What a gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing stands against it.
    Pass,
    /// Not now. That is no failure, and is not counted as one: what the gate waits for wakes
    /// the release.
    Wait(Blocker, WakeOn),
    /// Not like this.
    Refuse(Blocker),
}

/// Why a release does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// One of the closed set.
    pub reason: Reason,
    /// What stands against it, on what, what to do.
    pub message: String,
    /// The message without the objects that follow it there.
    pub headline: Option<String>,
    /// The objects that it is about.
    pub objects: Vec<ObjectFailure>,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeOn {
    /// A change of the release: its spec, or an annotation.
    Release,
    /// Another tag in the registry.
    Registry,
    /// A change of an object of the release.
    Objects,
}

impl Blocker {
    /// One that is about no object.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), headline: None, objects: Vec::new() }
    }

    /// One that is about objects: a message with the first few, the rest in the list.
    pub fn about(reason: Reason, what: &str, objects: Vec<ObjectFailure>) -> Self {
        let s = if objects.len() == 1 { "" } else { "s" };
        let headline = format!("{what} {} object{s}", objects.len());
        let mut message = headline.clone();
        for object in objects.iter().take(NAMED) {
            message.push_str(&format!("; {}: {}", object.id, object.message));
        }
        if objects.len() > NAMED {
            message.push_str("; see status.failures for more");
        }
        Self { reason, message, headline: Some(headline), objects }
    }
}

impl Decision {
    /// Refuses for one reason.
    pub fn refuse(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refuse(Blocker::new(reason, message))
    }
}
