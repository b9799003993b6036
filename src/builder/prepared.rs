//! What a program needs to build something.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::cache::BuildKey;
use super::program::BuildProgram;
use crate::domain::manifest::chart::ClusterCapabilities;

/// What is built, after a look at it.
pub(super) struct Prepared {
    /// The program.
    pub program: BuildProgram,
    /// How it is run.
    pub variant: Variant,
    /// How it is run to see whether that makes a difference.
    pub wide: Option<Variant>,
    /// What it reads.
    pub files: Vec<(String, Bytes)>,
    /// Whether values of Secrets may be in its messages.
    pub has_secrets: bool,
    /// What is run, for messages.
    pub shown: String,
    /// How it runs again, to see whether the output is the same; absent where it must be.
    pub repeats: Option<Repeats>,
}

/// How something runs a second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    /// Whether that is in another second, because the time may be in the output.
    pub later: bool,
    /// How often it runs in addition, because two outcomes of chance may be the same.
    pub more: usize,
}

impl Prepared {
    /// The way that answers for the cluster as it is.
    pub fn asked(&self) -> &Variant {
        self.wide.as_ref().unwrap_or(&self.variant)
    }
}

/// A way to run a program.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The hash of all that decides about the output.
    pub key: BuildKey,
    /// What the cluster can, as the program gets it.
    pub capabilities: Option<Arc<ClusterCapabilities>>,
}

/// A hash of parts, none of which can pass for another one.
#[derive(Clone)]
pub(super) struct KeyHash(Sha256);

impl KeyHash {
    /// One for a program.
    pub fn new(program: BuildProgram) -> Self {
        let mut hash = Self(Sha256::new());
        hash.part(program.name().as_bytes());
        hash
    }

    pub fn part(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub fn key(self) -> BuildKey {
        self.0.finalize().into()
    }
}
