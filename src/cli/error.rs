//! Why a command ended without doing what was asked.

use std::error::Error;
use std::io;

use super::exit;
use crate::oci::OciError;

/// The failure of a command.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An argument cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read, or is not what it should be.
    #[error("{0}")]
    Input(String),
    /// The registry or the artifact.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// Output could not be written.
    #[error("cannot write output")]
    Output(#[source] io::Error),
}

impl CliError {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Oci(OciError::Spec(_)) => exit::USAGE,
            // Whoever read the output has seen enough of it.
            Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe => exit::SUCCESS,
            _ => exit::FAILURE,
        }
    }

    /// The message with its causes, for people.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(inner) = cause {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = inner.source();
        }
        text
    }
}
