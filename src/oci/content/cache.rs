//! Content kept by digest on disk, so that a restart does not pull everything
//! again.
//!
//! An entry belongs to a transport and a repository: one tenant's repository never serves
//! another's. And it serves only an access that the registry has granted that repository
//! and digest during this process (a *proof*); the cache does not bypass a registry's
//! authorization. What a registry returned to one access along with a digest (its
//! signatures) serves only that access. Bytes are hashed again on every read. A full or
//! read-only disk disables the cache, with one warning. Blocking calls run off the async
//! workers.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::oci::credentials::{Access, Fingerprint};
use crate::oci::limits::{MAX_ANSWER_BYTES, MAX_REMEMBERED};
use crate::oci::reference::{Digest, Repository};

/// The target of log lines. Filters use it, so it stays the same when a file moves.
const LOG: &str = "supercargo::oci::cache";
/// The layout below the cache directory; another number, another layout.
const LAYOUT: &str = "v1";
/// The size after eviction, in percent of the maximum.
const KEEP_PERCENT: u64 = 80;

/// The length of the hash before a remembered answer.
const SEAL_BYTES: usize = 32;

/// Hits and misses of the cache, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheEvent {
    /// A hit.
    Hit,
    /// A miss.
    Miss,
    /// The stored bytes did not match the digest; they were dropped.
    Corrupt,
    /// The new size of the cache, in bytes.
    Size(u64),
}

/// Receives the events of the cache.
pub type CacheObserver = Arc<dyn Fn(CacheEvent) + Send + Sync>;

/// The cache, and the proofs of access.
pub(in crate::oci) struct Cache {
    store: Option<Arc<Store>>,
    proofs: Mutex<Proofs>,
}

#[derive(Default)]
struct Proofs {
    seen: HashMap<Fingerprint, u64>,
    turn: u64,
}

struct Store {
    root: PathBuf,
    max_bytes: u64,
    used: AtomicU64,
    warned: AtomicBool,
    observer: Option<CacheObserver>,
}

impl Cache {
    /// Opens the directory; without one, nothing is kept on disk.
    pub fn new(dir: Option<&Path>, max_bytes: u64, observer: Option<CacheObserver>) -> Self {
        let store = dir.filter(|_| max_bytes > 0).map(|dir| {
            let store = Store {
                root: dir.join(LAYOUT),
                max_bytes,
                used: AtomicU64::new(0),
                warned: AtomicBool::new(false),
                observer,
            };
            store.open();
            Arc::new(store)
        });
        Self { store, proofs: Mutex::default() }
    }

    /// Records that the registry has granted this access the digest.
    pub fn prove(&self, access: &Access, repository: &Repository, digest: &Digest) {
        let key = proof_key(access, repository, digest);
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.turn += 1;
        let turn = proofs.turn;
        if proofs.seen.len() >= MAX_REMEMBERED && !proofs.seen.contains_key(&key) {
            let mut turns: Vec<u64> = proofs.seen.values().copied().collect();
            turns.sort_unstable();
            let oldest = turns.get(turns.len() / 4).copied().unwrap_or_default();
            proofs.seen.retain(|_, seen| *seen > oldest);
        }
        proofs.seen.insert(key, turn);
    }

    /// Whether there is such a proof; its use keeps it alive.
    pub fn is_proved(&self, access: &Access, repository: &Repository, digest: &Digest) -> bool {
        let key = proof_key(access, repository, digest);
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.turn += 1;
        let turn = proofs.turn;
        match proofs.seen.get_mut(&key) {
            Some(seen) => {
                *seen = turn;
                true
            }
            None => false,
        }
    }

    /// The stored bytes of that size, if they exist and still match their digest. Bytes of another size
    /// are kept: they are right, and who asks for them is wrong. The caller has checked the proof before.
    pub async fn get_sized(
        &self,
        access: &Access,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Option<Bytes> {
        let read = move |store: &Store, path: &Path, digest: &Digest| match store
            .is_other_size(path, digest, size)
        {
            true => None,
            false => store.read(path, digest, size),
        };
        self.stored(access, repository, digest, read).await
    }

    /// The stored bytes, if they exist, still match their digest and do not exceed the
    /// limit. The caller has checked the proof before.
    pub async fn get(
        &self,
        access: &Access,
        repository: &Repository,
        digest: &Digest,
        limit: u64,
    ) -> Option<Bytes> {
        let read = move |store: &Store, path: &Path, digest: &Digest| store.read(path, digest, limit);
        self.stored(access, repository, digest, read).await
    }

    /// What `read` makes of the file of these bytes. Blocks a thread of its own.
    async fn stored(
        &self,
        access: &Access,
        repository: &Repository,
        digest: &Digest,
        read: impl FnOnce(&Store, &Path, &Digest) -> Option<Bytes> + Send + 'static,
    ) -> Option<Bytes> {
        let store = Arc::clone(self.store.as_ref()?);
        let path = store.path(access, repository, digest);
        let digest = digest.clone();
        tokio::task::spawn_blocking(move || read(&store, &path, &digest)).await.ok().flatten()
    }

    /// Stores bytes that were checked against their digest.
    pub async fn put(&self, access: &Access, repository: &Repository, digest: &Digest, bytes: Bytes) {
        let Some(store) = self.store.clone() else {
            return;
        };
        let path = store.path(access, repository, digest);
        let written = tokio::task::spawn_blocking(move || store.write(&path, &bytes)).await;
        drop(written);
    }

    /// What this access last received along with the digest. It is not content with a
    /// digest; a hash before it detects damage.
    pub async fn recall(&self, access: &Access, repository: &Repository, digest: &Digest) -> Option<Vec<u8>> {
        let store = Arc::clone(self.store.as_ref()?);
        let path = store.answer_path(access, repository, digest);
        tokio::task::spawn_blocking(move || store.read_sealed(&path)).await.ok().flatten()
    }

    /// Keeps what this access received, and replaces what it received before.
    pub async fn remember(&self, access: &Access, repository: &Repository, digest: &Digest, answer: Vec<u8>) {
        let Some(store) = self.store.clone().filter(|_| answer.len() as u64 <= MAX_ANSWER_BYTES) else {
            return;
        };
        let path = store.answer_path(access, repository, digest);
        let written = tokio::task::spawn_blocking(move || {
            if store.read_sealed(&path).as_ref() != Some(&answer) {
                store.remove(&path);
                store.write(&path, &[Sha256::digest(&answer).as_slice(), &answer].concat());
            }
        });
        drop(written.await);
    }
}

fn proof_key(access: &Access, repository: &Repository, digest: &Digest) -> Fingerprint {
    let mut hash = Sha256::new();
    hash.update(access.id());
    hash.update(repository.at(digest));
    hash.finalize().into()
}

impl Store {
    /// Measures the directory, and removes half-written files of a killed process.
    fn open(&self) {
        if let Err(e) = fs::create_dir_all(&self.root) {
            self.warn("create the cache directory", &e);
            return;
        }
        let mut used = 0;
        for entry in self.entries() {
            if entry.temporary {
                let _ = fs::remove_file(&entry.path);
            } else {
                used += entry.size;
            }
        }
        self.used.store(used, Ordering::Relaxed);
        self.report(CacheEvent::Size(used));
    }

    fn report(&self, event: CacheEvent) {
        if let Some(observer) = &self.observer {
            observer(event);
        }
    }

    fn path(&self, access: &Access, repository: &Repository, digest: &Digest) -> PathBuf {
        let mut scope = Sha256::new();
        scope.update(access.transport());
        scope.update(repository.to_string());
        self.root.join(hex::encode(scope.finalize())).join(digest.hex())
    }

    /// For one access, while content is shared by all with the same transport.
    fn answer_path(&self, access: &Access, repository: &Repository, digest: &Digest) -> PathBuf {
        let mut scope = Sha256::new();
        scope.update(access.id());
        scope.update("answer");
        scope.update(repository.to_string());
        self.root.join(hex::encode(scope.finalize())).join(digest.hex())
    }

    fn read_sealed(&self, path: &Path) -> Option<Vec<u8>> {
        let file = File::open(path).ok()?;
        let mut bytes = Vec::new();
        let _ = (&file).take(MAX_ANSWER_BYTES + SEAL_BYTES as u64).read_to_end(&mut bytes).ok()?;
        let Some((_, answer)) = bytes
            .split_at_checked(SEAL_BYTES)
            .filter(|(seal, answer)| *seal == Sha256::digest(answer).as_slice())
        else {
            self.remove(path);
            return None;
        };
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Some(answer.to_vec())
    }

    /// Whether the stored bytes match their digest and have another size than the one that is asked for.
    /// They are not held in memory, because nothing is reserved for them.
    fn is_other_size(&self, path: &Path, digest: &Digest, size: u64) -> bool {
        let Ok(mut file) = File::open(path) else { return false };
        if file.metadata().is_ok_and(|meta| meta.len() == size) {
            return false;
        }
        let is_whole = digest.is_of_stream(&mut file).unwrap_or(false);
        if is_whole {
            self.report(CacheEvent::Miss);
        }
        is_whole
    }

    fn read(&self, path: &Path, digest: &Digest, limit: u64) -> Option<Bytes> {
        let Ok(file) = File::open(path) else {
            self.report(CacheEvent::Miss);
            return None;
        };
        let mut bytes = Vec::new();
        let read = (&file).take(limit.saturating_add(1)).read_to_end(&mut bytes);
        if read.is_err() || bytes.len() as u64 > limit || !digest.is_of(&bytes) {
            tracing::warn!(target: LOG, %digest, "a cached file is damaged; fetching it again");
            self.report(CacheEvent::Corrupt);
            self.remove(path);
            return None;
        }
        // The time of the last use decides what is evicted first.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        self.report(CacheEvent::Hit);
        Some(bytes.into())
    }

    fn write(&self, path: &Path, bytes: &[u8]) {
        let size = bytes.len() as u64;
        if size > self.max_bytes || path.exists() {
            return;
        }
        match persist(path, bytes) {
            Ok(()) => {
                let used = self.used.fetch_add(size, Ordering::Relaxed) + size;
                if used > self.max_bytes {
                    self.evict();
                }
                self.report(CacheEvent::Size(self.used.load(Ordering::Relaxed)));
            }
            Err(e) => self.warn("write to the cache", &e),
        }
    }

    fn remove(&self, path: &Path) {
        let size = fs::metadata(path).map_or(0, |m| m.len());
        if fs::remove_file(path).is_ok() {
            let _ = self
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |u| Some(u.saturating_sub(size)));
            self.report(CacheEvent::Size(self.used.load(Ordering::Relaxed)));
        }
    }

    /// Removes the least recently used until there is room again.
    fn evict(&self) {
        let mut entries: Vec<Entry> = self.entries().into_iter().filter(|e| !e.temporary).collect();
        entries.sort_by_key(|e| e.used);
        let mut total: u64 = entries.iter().map(|e| e.size).sum();
        let goal = self.max_bytes / 100 * KEEP_PERCENT;
        for entry in entries {
            if total <= goal {
                break;
            }
            if fs::remove_file(&entry.path).is_ok() {
                total = total.saturating_sub(entry.size);
            }
            if let Some(scope) = entry.path.parent() {
                // Succeeds only when it is empty.
                let _ = fs::remove_dir(scope);
            }
        }
        self.used.store(total, Ordering::Relaxed);
    }

    fn entries(&self) -> Vec<Entry> {
        let list = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
        let scopes = list(&self.root).filter(|s| s.file_type().is_ok_and(|t| t.is_dir()));
        scopes.flat_map(|scope| list(&scope.path()).filter_map(|file| Entry::read(&file))).collect()
    }

    fn warn(&self, what: &str, error: &io::Error) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(target: LOG, dir = %self.root.display(), %error, "cannot {what}; continuing without it (logged once)");
        }
    }
}

struct Entry {
    path: PathBuf,
    size: u64,
    used: SystemTime,
    temporary: bool,
}

impl Entry {
    fn read(file: &fs::DirEntry) -> Option<Self> {
        let meta = file.metadata().ok().filter(fs::Metadata::is_file)?;
        let temporary = file.file_name().to_string_lossy().starts_with('.');
        Some(Self { path: file.path(), size: meta.len(), used: meta.modified().ok()?, temporary })
    }
}

/// Writes to a temporary name and renames: a reader sees all or nothing.
fn persist(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::create_dir_all(dir)?;
    let mut file = tempfile::Builder::new().prefix(".tmp").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_are_reported() {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let events = || std::mem::take(&mut *answer.lock().unwrap());
        let listener = Arc::clone(&answer);
        let observer: CacheObserver = Arc::new(move |event| listener.lock().unwrap().push(event));
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path()), 100, Some(Arc::clone(&observer)));
        let repository = Repository::parse("oci://h.io/a").unwrap();
        let access = Access::anonymous();
        let content = Bytes::from_static(&[7; 60]);
        let digest = Digest::of(&content);
        let get = async || cache.get(&access, &repository, &digest, 1000).await;
        assert_eq!(get().await, None);
        cache.put(&access, &repository, &digest, content.clone()).await;
        assert_eq!(get().await, Some(content));
        assert_eq!(events(), [CacheEvent::Size(0), CacheEvent::Miss, CacheEvent::Size(60), CacheEvent::Hit]);
        // Another process on the same directory finds the content.
        drop(Cache::new(Some(dir.path()), 100, Some(observer)));
        assert_eq!(events(), [CacheEvent::Size(60)]);
        let path = cache.store.as_ref().unwrap().path(&access, &repository, &digest);
        fs::write(path, [8; 60]).unwrap();
        assert_eq!(get().await, None);
        assert_eq!(events(), [CacheEvent::Corrupt, CacheEvent::Size(0)]);
    }

    /// What a manifest says of the size does not decide whether the bytes are damaged.
    #[tokio::test]
    async fn bytes_of_another_size_are_neither_served_nor_dropped() {
        let answer = Arc::new(Mutex::new(Vec::new()));
        let events = || std::mem::take(&mut *answer.lock().unwrap());
        let listener = Arc::clone(&answer);
        let observer: CacheObserver = Arc::new(move |event| listener.lock().unwrap().push(event));
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(dir.path()), 1000, Some(observer));
        let repository = Repository::parse("oci://h.io/a").unwrap();
        let access = Access::anonymous();
        let content = Bytes::from_static(&[7; 60]);
        let digest = Digest::of(&content);
        cache.put(&access, &repository, &digest, content.clone()).await;
        events();
        let get = async |size: u64| cache.get_sized(&access, &repository, &digest, size).await;
        for size in [0, 59, 61, u64::MAX] {
            assert_eq!((get(size).await, events()), (None, vec![CacheEvent::Miss]), "{size}");
        }
        assert_eq!((get(60).await, events()), (Some(content), vec![CacheEvent::Hit]));
        let path = cache.store.as_ref().unwrap().path(&access, &repository, &digest);
        for damaged in [&[7; 59][..], &[7; 61], &[8; 60]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!((get(60).await, path.exists()), (None, false));
            assert_eq!(events()[0], CacheEvent::Corrupt);
            assert_eq!((get(60).await, events()), (None, vec![CacheEvent::Miss]));
        }
    }

    #[test]
    fn proofs_are_bounded_and_the_used_ones_stay() {
        let cache = Cache::new(None, 0, None);
        let repository = Repository::parse("oci://h.io/a").unwrap();
        let access = Access::anonymous();
        let digest = |n: usize| Digest::of(&n.to_be_bytes());
        cache.prove(&access, &repository, &digest(0));
        for n in 1..3 * MAX_REMEMBERED {
            cache.prove(&access, &repository, &digest(n));
            assert!(cache.is_proved(&access, &repository, &digest(0)), "{n}");
        }
        assert!(cache.proofs.lock().unwrap().seen.len() <= MAX_REMEMBERED);
        assert!(cache.is_proved(&access, &repository, &digest(3 * MAX_REMEMBERED - 1)));
        assert!(!cache.is_proved(&access, &repository, &digest(1)));
    }
}
