//! How a command reads artifacts.

use crate::cli::args::ReadingArgs;
use crate::cluster::session::Session;

/// How the content of an artifact is read.
#[derive(Clone, Copy)]
pub(in crate::cli) struct ArtifactReading<'a> {
    /// The options.
    pub keys: &'a ReadingArgs,
    /// The cluster that a chart is rendered for, if one is at hand.
    pub session: Option<&'a Session>,
}

impl<'a> From<&'a ReadingArgs> for ArtifactReading<'a> {
    fn from(keys: &'a ReadingArgs) -> Self {
        Self { keys, session: None }
    }
}
