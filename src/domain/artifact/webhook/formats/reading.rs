//! What is common to all formats: pushes, what was ignored and why, and malformed
//! bodies.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use crate::domain::artifact::webhook::push::{Host, Push, PushedRepository};
use crate::domain::artifact::webhook::sender::Sender;

/// The most pushes in one delivery. A sender with more of them sends several
/// deliveries.
pub const MAX_PUSHES: usize = 256;

/// What a delivery says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What was pushed, each once.
    pub pushes: BTreeSet<Push>,
    /// Why parts of it were ignored.
    pub ignored: BTreeSet<&'static str>,
}

/// Why a body is not a delivery. It quotes nothing that the sender wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON in the sender's format.
    #[error("the body is not a valid {sender} payload (line {line}, column {column}: {why})")]
    Form {
        /// The type.
        sender: &'static str,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// It has too many pushes.
    #[error("the body has more than {MAX_PUSHES} pushes")]
    TooMany,
}

/// What was pushed, as the sender names it.
#[derive(Clone, Copy, Default)]
pub(super) struct Pushed<'a> {
    pub tag: Option<&'a str>,
    pub digest: Option<&'a str>,
}

/// The parser of a delivery.
pub(super) struct Reading<'a> {
    sender: Sender,
    registry: Option<&'a Host>,
    body: &'a [u8],
    delivery: Delivery,
}

impl<'a> Reading<'a> {
    /// For a body. `registry` overrides the host that the sender names.
    pub fn new(sender: Sender, registry: Option<&'a Host>, body: &'a [u8]) -> Self {
        Self { sender, registry, body, delivery: Delivery::default() }
    }

    /// The result.
    pub fn done(self) -> Delivery {
        self.delivery
    }

    /// The body as a typed value.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_slice(self.body).map_err(|error| Malformed::Form {
            sender: self.sender.as_str(),
            line: error.line(),
            column: error.column(),
            why: match error.classify() {
                serde_json::error::Category::Data => "a field is missing or has the wrong type",
                serde_json::error::Category::Eof => "unexpected end of input",
                _ => "not valid JSON",
            },
        })
    }

    /// A push to a path on the configured registry, or on the host that the
    /// sender names.
    pub fn push(&mut self, host: &str, path: &str, pushed: Pushed<'_>) -> Result<(), Malformed> {
        let named = self.registry.cloned().or_else(|| Host::parse(host));
        match named.and_then(|host| PushedRepository::new(&host, path)) {
            None => self.ignore("a repository name is invalid"),
            Some(place) => {
                self.delivery.pushes.insert(Push::new(place, pushed.tag).of(pushed.digest));
            }
        }
        if self.delivery.pushes.len() > MAX_PUSHES { Err(Malformed::TooMany) } else { Ok(()) }
    }

    /// The same for `host/path`.
    pub fn push_to(&mut self, repository: &str, pushed: Pushed<'_>) -> Result<(), Malformed> {
        let (host, path) = repository.split_once('/').unwrap_or(("", repository));
        self.push(host, path, pushed)
    }

    /// Something is not a push.
    pub fn ignore(&mut self, why: &'static str) {
        self.delivery.ignored.insert(why);
    }
}

/// Without the tag or digest at its end: `host/path:tag` becomes `host/path`.
pub(super) fn without_tag(reference: &str) -> &str {
    let reference = reference.split_once('@').map_or(reference, |(name, _)| name);
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => reference,
    }
}
