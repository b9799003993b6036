//! The trust policy of the administrator: read at the start, and again when its
//! file changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::error::PolicyError;
use crate::domain::verify::floor::{Draft, Floor, MAX_NAMED_BYTES, MAX_POLICY_BYTES};
use crate::domain::verify::root::TrustRoot;
use crate::observe::labels::Load;
use crate::observe::metrics::Metrics;
use crate::pipeline::acquire::chain;

/// How often the file is looked at. A mounted ConfigMap takes up to a minute to
/// change anyway.
const LOOK: Duration = Duration::from_secs(2);

/// The text of the policy, and the files that it names.
type Files = (String, BTreeMap<String, Vec<u8>>);

/// The file of a trust policy.
pub struct PolicyFile {
    path: PathBuf,
    /// What was read last, or why it was not.
    seen: Result<Files, String>,
    /// What is trusted by default.
    root: Arc<TrustRoot>,
    sender: watch::Sender<Arc<Floor>>,
}

impl PolicyFile {
    /// Reads it.
    ///
    /// # Errors
    /// When it cannot be read, or makes no sense.
    pub async fn open(path: PathBuf, root: Arc<TrustRoot>) -> Result<Self, PolicyError> {
        let version = read(&path).await?;
        let floor = parse(&path, &version, &root)?;
        tracing::info!(file = %path.display(), prefixes = floor.len(), "the trust policy is in force");
        Ok(Self { path, seen: Ok(version), root, sender: watch::Sender::new(Arc::new(floor)) })
    }

    /// What is in force.
    pub fn floor(&self) -> watch::Receiver<Arc<Floor>> {
        self.sender.subscribe()
    }

    /// Looks after it until the process ends. A version that makes no sense is
    /// told of, and the one before stays in force.
    pub async fn follow(mut self, metrics: Arc<Metrics>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let version = read(&self.path).await;
            let seen = version.as_ref().map(Clone::clone).map_err(|e| chain(e));
            if seen == self.seen {
                continue;
            }
            self.seen = seen;
            match version.and_then(|version| parse(&self.path, &version, &self.root)) {
                Ok(floor) => {
                    tracing::info!(prefixes = floor.len(), "the trust policy has changed");
                    metrics.policy_loaded(Load::Loaded);
                    self.sender.send_replace(Arc::new(floor));
                }
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "the trust policy cannot be used; the one before stays"
                    );
                    metrics.policy_loaded(Load::Failed);
                }
            }
        }
    }
}

async fn read(path: &Path) -> Result<Files, PolicyError> {
    let text = bounded(path, MAX_POLICY_BYTES).await?;
    let invalid = |source| PolicyError::Invalid { path: path.to_owned(), source };
    let text = String::from_utf8(text).map_err(|_| PolicyError::Text(path.to_owned()))?;
    let draft = Draft::parse(&text).map_err(invalid)?;
    let mut files = BTreeMap::new();
    let directory = path.parent().unwrap_or(Path::new(""));
    for name in draft.files() {
        files.insert(name.to_owned(), bounded(&directory.join(name), MAX_NAMED_BYTES).await?);
    }
    Ok((text, files))
}

fn parse(path: &Path, (text, files): &Files, root: &Arc<TrustRoot>) -> Result<Floor, PolicyError> {
    let floor = Draft::parse(text).and_then(|draft| draft.complete(files, root));
    floor.map_err(|source| PolicyError::Invalid { path: path.to_owned(), source })
}

/// Reads the root that is trusted by default: that of a file, else the one of the
/// public good instance as it was when this program was built. Says how old it is.
///
/// # Errors
/// When the file cannot be read, or is no trusted root.
pub async fn default_root(file: Option<&Path>) -> Result<Arc<TrustRoot>, PolicyError> {
    let root = match file {
        Some(path) => TrustRoot::parse(&bounded(path, MAX_NAMED_BYTES).await?)
            .map_err(|problem| PolicyError::Root { path: path.to_owned(), problem })?,
        None => TrustRoot::public_good(),
    };
    let newest = root.newest_part().map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
    match file {
        Some(path) => {
            tracing::info!(file = %path.display(), newest, "keyless signatures are judged by this root")
        }
        None => {
            tracing::info!(newest, "keyless signatures are judged by the public good root that is built in")
        }
    }
    Ok(Arc::new(root))
}

async fn bounded(path: &Path, most: usize) -> Result<Vec<u8>, PolicyError> {
    let unreadable = |source| PolicyError::Unreadable { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() > most {
        return Err(PolicyError::TooLarge { path: path.to_owned(), most });
    }
    Ok(bytes)
}
