//! A release as its notifications need it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::domain::identity::ReleaseId;
use crate::domain::notify::declared::DeclaredReceiver;

/// A release as its notifications need it.
#[derive(Clone, Copy)]
pub struct ReleaseView<'a> {
    /// Its name.
    pub id: &'a ReleaseId,
    /// Its uid.
    pub uid: &'a str,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The URL of its artifact.
    pub url: &'a str,
    /// The receivers that it names, if any.
    pub own: Option<&'a OwnReceivers<'a>>,
}

/// The receivers that a release names.
pub struct OwnReceivers<'a> {
    /// What it says of them.
    pub declared: &'a [DeclaredReceiver],
    /// Reads their Secrets.
    pub secrets: Arc<dyn SecretReader>,
}

/// Reads the Secrets that a release names, with the rights of that release.
pub trait SecretReader: Send + Sync {
    /// The data of a Secret.
    ///
    /// # Errors
    /// Why it cannot be read, for the people of the release.
    fn read<'s>(&'s self, name: &'s str) -> BoxFuture<'s, Result<BTreeMap<String, Vec<u8>>, String>>;
}
