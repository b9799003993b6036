//! What is common to all forms: pushes, what was left out and why, and what is
//! none of it.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use crate::domain::artifact::webhook::push::{Host, Push, PushedRepository};
use crate::domain::artifact::webhook::sender::Sender;

/// The most pushes in one delivery. A sender with more of them in one moment
/// sends several.
pub const MAX_PUSHES: usize = 256;

/// What a delivery says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// What was pushed, each once.
    pub pushes: BTreeSet<Push>,
    /// Why parts of it are about nothing that is to be done.
    pub ignored: BTreeSet<&'static str>,
}

/// Why something is no delivery. Nothing that the sender wrote is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON of the sender's form.
    #[error("it is not the JSON that a sender of type {sender} writes (line {line}, column {column}: {why})")]
    Form {
        /// The type.
        sender: &'static str,
        /// Where.
        line: usize,
        /// Where.
        column: usize,
        /// What.
        why: &'static str,
    },
    /// It tells of too much.
    #[error("it tells of more than {MAX_PUSHES} pushes")]
    TooMany,
}

/// What was pushed, as the sender names it.
#[derive(Clone, Copy, Default)]
pub(super) struct Pushed<'a> {
    pub tag: Option<&'a str>,
    pub digest: Option<&'a str>,
}

/// What is read of a delivery, while it is read.
pub(super) struct Reading<'a> {
    sender: Sender,
    registry: Option<&'a Host>,
    body: &'a [u8],
    delivery: Delivery,
}

impl<'a> Reading<'a> {
    /// Of a body. `registry` goes before what the sender says of its host.
    pub fn new(sender: Sender, registry: Option<&'a Host>, body: &'a [u8]) -> Self {
        Self { sender, registry, body, delivery: Delivery::default() }
    }

    /// What was read.
    pub fn done(self) -> Delivery {
        self.delivery
    }

    /// The body in a form.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        serde_json::from_slice(self.body).map_err(|error| Malformed::Form {
            sender: self.sender.as_str(),
            line: error.line(),
            column: error.column(),
            why: match error.classify() {
                serde_json::error::Category::Data => "a field is missing, or of another type",
                serde_json::error::Category::Eof => "it ends too early",
                _ => "it is not JSON",
            },
        })
    }

    /// A push to a path on the configured registry, or on the host that the
    /// sender names.
    pub fn push(&mut self, host: &str, path: &str, pushed: Pushed<'_>) -> Result<(), Malformed> {
        let named = self.registry.cloned().or_else(|| Host::parse(host));
        match named.and_then(|host| PushedRepository::new(&host, path)) {
            None => self.ignore("a repository is named as no registry has one"),
            Some(place) => {
                self.delivery.pushes.insert(Push::new(place, pushed.tag).of(pushed.digest));
            }
        }
        if self.delivery.pushes.len() > MAX_PUSHES { Err(Malformed::TooMany) } else { Ok(()) }
    }

    /// The same of `host/path`.
    pub fn push_to(&mut self, repository: &str, pushed: Pushed<'_>) -> Result<(), Malformed> {
        let (host, path) = repository.split_once('/').unwrap_or(("", repository));
        self.push(host, path, pushed)
    }

    /// Something is about no push.
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
