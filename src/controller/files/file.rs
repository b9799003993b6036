//! A configuration file of the administrator: read at the start, and again when it or a file that
//! it names changes. An invalid version is reported, and the previous one stays in use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use crate::controller::error::FileError;
use crate::domain::configuration::Wrong;
use crate::observe::labels::Load;
use crate::reconcile::error::chain;

/// How often the file is checked. A mounted ConfigMap or Secret takes up to a minute to change
/// anyway.
const LOOK: Duration = Duration::from_secs(2);

/// The files that another names, by these names.
pub type NamedFiles = BTreeMap<String, Vec<u8>>;

/// The kind of a file.
pub trait FileKind {
    /// Its parsed content.
    type Content;
    /// Its name in messages.
    const NAME: &'static str;
    /// Its largest size, in bytes.
    const MOST: usize;
    /// The largest size of a file that it names, in bytes.
    const MOST_NAMED: usize;

    /// The files that it names, relative to the directory that it is in.
    fn names(&self, text: &str) -> Result<BTreeSet<String>, Wrong>;

    /// Parses it, with these files.
    fn read(&self, text: &str, files: &NamedFiles) -> Result<Self::Content, Wrong>;

    /// How many parts it has, for the log.
    fn count(content: &Self::Content) -> usize;
}

/// A configuration file.
pub struct File<K: FileKind> {
    path: PathBuf,
    kind: K,
    /// The last version, or the error.
    seen: Result<(String, NamedFiles), String>,
    sender: watch::Sender<Arc<K::Content>>,
}

impl<K: FileKind> File<K> {
    /// Reads it.
    ///
    /// # Errors
    /// When it cannot be read, or is invalid.
    pub async fn open(path: PathBuf, kind: K) -> Result<Self, FileError> {
        let version = read(&path, &kind).await?;
        let content = parse(&path, &kind, &version)?;
        tracing::info!(file = %path.display(), entries = K::count(&content), "loaded the {}", K::NAME);
        Ok(Self { path, kind, seen: Ok(version), sender: watch::Sender::new(Arc::new(content)) })
    }

    /// The content in use.
    pub fn content(&self) -> watch::Receiver<Arc<K::Content>> {
        self.sender.subscribe()
    }

    /// Follows its changes until the process ends.
    pub async fn follow(mut self, loaded: impl Fn(Load)) {
        loop {
            tokio::time::sleep(LOOK).await;
            let version = read(&self.path, &self.kind).await;
            let seen = version.as_ref().map(Clone::clone).map_err(|e| chain(e));
            if seen == self.seen {
                continue;
            }
            self.seen = seen;
            match version.and_then(|version| parse(&self.path, &self.kind, &version)) {
                Ok(content) => {
                    tracing::info!(entries = K::count(&content), "reloaded the {}", K::NAME);
                    loaded(Load::Loaded);
                    self.sender.send_replace(Arc::new(content));
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(error, "cannot use the new {}; keeping the previous one", K::NAME);
                    loaded(Load::Failed);
                }
            }
        }
    }
}

async fn read<K: FileKind>(path: &Path, kind: &K) -> Result<(String, NamedFiles), FileError> {
    let text = bounded(path, K::MOST).await?;
    let invalid = |source| FileError::Invalid { path: path.to_owned(), source };
    let text = String::from_utf8(text).map_err(|_| FileError::Text(path.to_owned()))?;
    let mut files = BTreeMap::new();
    let directory = path.parent().unwrap_or(Path::new(""));
    for name in kind.names(&text).map_err(invalid)? {
        let content = bounded(&directory.join(&name), K::MOST_NAMED).await?;
        files.insert(name, content);
    }
    Ok((text, files))
}

fn parse<K: FileKind>(
    path: &Path,
    kind: &K,
    (text, files): &(String, NamedFiles),
) -> Result<K::Content, FileError> {
    kind.read(text, files).map_err(|source| FileError::Invalid { path: path.to_owned(), source })
}

/// Reads a file of at most so many bytes.
///
/// # Errors
/// When it cannot be read, or is larger.
pub async fn bounded(path: &Path, most: usize) -> Result<Vec<u8>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() > most {
        return Err(FileError::TooLarge { path: path.to_owned(), most });
    }
    Ok(bytes)
}
