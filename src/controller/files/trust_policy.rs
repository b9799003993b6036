//! The trust policy of the administrator, and the root that is trusted by
//! default.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::file::{FileKind, NamedFiles, bounded};
use crate::controller::error::FileError;
use crate::domain::configuration::Wrong;
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::trust_policy::{MAX_NAMED_BYTES, MAX_POLICY_BYTES, TrustPolicy, TrustPolicyDraft};

/// The file of a trust policy.
pub struct TrustPolicyFile {
    /// The default trusted root.
    pub root: Arc<TrustRoot>,
}

impl FileKind for TrustPolicyFile {
    type Content = TrustPolicy;
    const NAME: &'static str = "trust policy";
    const MOST: usize = MAX_POLICY_BYTES;
    const MOST_NAMED: usize = MAX_NAMED_BYTES;

    fn names(&self, text: &str) -> Result<BTreeSet<String>, Wrong> {
        Ok(TrustPolicyDraft::parse(text)?.files().into_iter().map(str::to_owned).collect())
    }

    fn read(&self, text: &str, files: &NamedFiles) -> Result<TrustPolicy, Wrong> {
        TrustPolicyDraft::parse(text)?.complete(files, &self.root)
    }

    fn count(trust_policy: &TrustPolicy) -> usize {
        trust_policy.len()
    }
}

/// Reads the default trusted root: that of a file, or the public good one that is built in. Returns
/// its age.
///
/// # Errors
/// When the file cannot be read, or is not a trusted root.
pub async fn default_root(file: Option<&Path>) -> Result<Arc<TrustRoot>, FileError> {
    let root = match file {
        Some(path) => TrustRoot::parse(&bounded(path, MAX_NAMED_BYTES).await?)
            .map_err(|problem| FileError::Root { path: path.to_owned(), problem })?,
        None => TrustRoot::public_good(),
    };
    let newest = root.newest_part().map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    match file {
        Some(path) => {
            tracing::info!(file = %path.display(), newest, "using this root for keyless signatures")
        }
        None => {
            tracing::info!(newest, "using the built-in public good root for keyless signatures")
        }
    }
    Ok(Arc::new(root))
}
