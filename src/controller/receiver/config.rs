//! The file with the receivers.

use std::collections::BTreeSet;

use crate::controller::files::{FileKind, NamedFiles};
use crate::domain::configuration::Wrong;
use crate::domain::webhook::config::{Draft, MAX_CONFIG_BYTES, MAX_SECRET_BYTES};
use crate::domain::webhook::receiver::Receiver;

/// The file of kind `WebhookConfig`.
pub struct WebhookFile;

impl FileKind for WebhookFile {
    type Content = Vec<Receiver>;
    const NAME: &'static str = "configuration of webhooks";
    const MOST: usize = MAX_CONFIG_BYTES;
    const MOST_NAMED: usize = MAX_SECRET_BYTES;

    fn names(&self, text: &str) -> Result<BTreeSet<String>, Wrong> {
        Ok(Draft::parse(text)?.files().into_iter().map(str::to_owned).collect())
    }

    fn read(&self, text: &str, files: &NamedFiles) -> Result<Vec<Receiver>, Wrong> {
        Draft::parse(text)?.complete(files)
    }

    fn count(receivers: &Vec<Receiver>) -> usize {
        receivers.len()
    }
}
