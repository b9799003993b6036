//! The file with the receivers of notifications.

use std::collections::BTreeSet;

use super::file::{FileKind, NamedFiles};
use crate::domain::configuration::Wrong;
use crate::domain::notify::config::{MAX_CONFIG_BYTES, MAX_NAMED_BYTES, NotifyConfig, NotifyDraft};

/// The file of kind `NotifyConfig`.
pub struct NotifyFile;

impl FileKind for NotifyFile {
    type Content = NotifyConfig;
    const NAME: &'static str = "configuration of notifications";
    const MOST: usize = MAX_CONFIG_BYTES;
    const MOST_NAMED: usize = MAX_NAMED_BYTES;

    fn names(&self, text: &str) -> Result<BTreeSet<String>, Wrong> {
        Ok(NotifyDraft::parse(text)?.files().into_iter().map(str::to_owned).collect())
    }

    fn read(&self, text: &str, files: &NamedFiles) -> Result<NotifyConfig, Wrong> {
        NotifyDraft::parse(text)?.complete(files)
    }

    fn count(config: &NotifyConfig) -> usize {
        config.receivers.len()
    }
}
