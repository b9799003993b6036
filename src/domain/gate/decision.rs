//! The decisions of gates.

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::domain::outcome::ObjectFailure;

/// How many objects a message names.
const NAMED: usize = 3;

/// The decision of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The run may continue.
    Pass,
    /// The run has to wait. That is not a failure, and is not counted as one: what the gate
    /// waits for wakes the release.
    Wait(Blocker, WakeOn),
    /// The run fails.
    Refuse(Blocker),
}

/// Why a run is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// One of the closed set.
    pub reason: Reason,
    /// What is wrong, with what, and what to do.
    pub message: String,
    /// The message without the list of objects.
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
    /// A change of a dependency.
    Dependencies,
    /// A time.
    Time(Timestamp),
}

impl Blocker {
    /// A blocker without objects.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), headline: None, objects: Vec::new() }
    }

    /// A blocker with objects: the message names the first few, the list has all.
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
