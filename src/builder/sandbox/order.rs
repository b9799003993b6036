//! The order for the launcher.

use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::builder::limits::ARGUMENT_BYTES;

/// The hidden verb of the binary that is the launcher.
pub(super) const VERB: &str = "sandbox";

/// How a program is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// Completely, or it does not run.
    Required,
    /// As far as the kernel can.
    BestEffort,
}

/// A program, and what it may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LaunchOrder {
    /// The program, as an absolute path.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The only directory that it may read, as an absolute path. It is its working directory.
    pub directory: String,
    /// Its memory, in bytes.
    pub memory: u64,
    /// Its processor time, in seconds.
    pub cpu_seconds: u64,
    /// How it is confined.
    pub confinement: Confinement,
    /// The process that waits for it: it ends with it.
    pub parent: u32,
}

impl LaunchOrder {
    /// The arguments of the binary that make it the launcher of this order: the verb, and the order in
    /// parts, because the kernel limits the length of one argument.
    ///
    /// # Errors
    /// Never for an order of strings and numbers.
    pub fn arguments(&self) -> Result<Vec<String>, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        let mut arguments = vec![VERB.to_owned(), String::new()];
        for character in text.chars() {
            if arguments.last().is_some_and(|last| last.len() > ARGUMENT_BYTES) {
                arguments.push(String::new());
            }
            arguments.iter_mut().next_back().into_iter().for_each(|last| last.push(character));
        }
        Ok(arguments)
    }

    /// The order of the arguments after the verb.
    pub(super) fn of(parts: impl Iterator<Item = OsString>) -> Option<Self> {
        let text: Vec<u8> = parts.flat_map(|part| part.as_encoded_bytes().to_vec()).collect();
        serde_json::from_slice(&text).ok()
    }
}
