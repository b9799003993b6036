//! The order for the launcher.

use serde::{Deserialize, Serialize};

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
    /// The arguments of the binary that make it the launcher of this order.
    ///
    /// # Errors
    /// Never for an order of strings and numbers.
    pub fn arguments(&self) -> Result<[String; 2], serde_json::Error> {
        Ok([VERB.to_owned(), serde_json::to_string(self)?])
    }
}
