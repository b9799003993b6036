//! The entry of this room: what all requests to a registry share, and how it is made. The
//! requests are above it, each in its room: `pull/`, `push.rs`, `evidence/`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::auth::{Sessions, TokenHost, Variables};
use super::content::{Cache, CacheObserver, Mirror, Mirrors, Rooms};
use super::credentials::Access;
use super::limits::{
    CONNECT_TIMEOUT, ContentLimits, DEFAULT_CACHE_BYTES, IDLE_TIMEOUT, MAX_LARGE_EVIDENCE, MAX_UNPACKING,
};
use super::reference::Repository;
use super::transport::{Hosts, Meter, Observer, Transport, TransportOptions};
use crate::domain::capacity::Capacity;

/// The options of a [`Registry`].
#[derive(Clone)]
pub struct RegistryOptions {
    /// The user agent of requests.
    pub user_agent: String,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may go without progress.
    pub idle_timeout: Duration,
    /// Bounds on the content of an artifact.
    pub limits: ContentLimits,
    /// How much memory artifacts can use, all together and each.
    pub capacity: Capacity,
    /// The directory of the cache; absent: no cache.
    pub cache_dir: Option<PathBuf>,
    /// The size of the cache, in bytes.
    pub cache_max_size: u64,
    /// Receives every request.
    pub observer: Option<Observer>,
    /// Receives the events of the cache.
    pub cache_observer: Option<CacheObserver>,
    /// Receives every transfer of content.
    pub meter: Option<Meter>,
    /// The mirrors, by prefix.
    pub mirrors: Vec<Mirror>,
    /// Token services on hosts of another domain than their registry.
    pub token_hosts: Vec<TokenHost>,
    /// The environment variables with the cloud identity of this process.
    pub variables: Variables,
    /// Addresses for names; the system resolves the others.
    pub hosts: Hosts,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("supercargo/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            limits: ContentLimits::default(),
            capacity: Capacity::default(),
            cache_dir: None,
            cache_max_size: DEFAULT_CACHE_BYTES,
            observer: None,
            cache_observer: None,
            meter: None,
            mirrors: Vec::new(),
            token_hosts: Vec::new(),
            variables: Arc::new(|name| std::env::var(name).ok()),
            hosts: Hosts::default(),
        }
    }
}

/// The registries, as this process sees them: one instance per process, cheap to clone.
///
/// # Guarantees
///
/// Every method that sends requests guarantees:
///
/// - Every read has a limit, and no answer stalls for longer than the options allow. `limits.rs`
///   lists the limits.
/// - An idempotent request is retried after a temporary failure, a few times.
/// - Credentials go to their host, and to its token service if that is on the same host, of the
///   same owner, or allowed by the options.
/// - No registry redirects this process to a host that is nearer to it than that registry.
/// - No error contains a credential, and none changes while its cause is the same.
///
/// # Caveats
///
/// Tokens, proofs of access, and hosts that limit the request rate are kept in memory, for all
/// clones. A new process starts without them.
///
/// The future of a method may be dropped. Its request ends with it, and its slots and memory are
/// free again.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<Inner>);

/// The shared state of all requests.
pub(super) struct Inner {
    pub transport: Transport,
    pub sessions: Sessions,
    pub cache: Cache,
    pub mirrors: Mirrors,
    /// Slots for unpacking a layer.
    pub unpacking: Semaphore,
    /// Slots for reading large evidence.
    pub large_evidence: Semaphore,
    pub limits: ContentLimits,
    pub rooms: Rooms,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// Prepares clients and limits; sends nothing.
    ///
    /// # Caveats
    ///
    /// It reads the environment's proxies once, and measures the cache directory, which
    /// blocks. An unusable directory means no cache, and one warning.
    pub fn new(options: RegistryOptions) -> Self {
        let RegistryOptions {
            user_agent,
            connect_timeout,
            idle_timeout,
            limits,
            capacity,
            cache_dir,
            cache_max_size,
            observer,
            cache_observer,
            meter,
            mirrors,
            token_hosts,
            variables,
            hosts,
        } = options;
        let transport = Transport::new(TransportOptions {
            user_agent,
            connect_timeout,
            idle_timeout,
            observer,
            meter,
            hosts,
        });
        let sessions = Sessions::new(token_hosts, variables);
        let cache = Cache::new(cache_dir.as_deref(), cache_max_size, cache_observer);
        let mirrors = Mirrors::new(mirrors);
        let unpacking = Semaphore::new(MAX_UNPACKING);
        let large_evidence = Semaphore::new(MAX_LARGE_EVIDENCE);
        let rooms = Rooms::new(capacity);
        let inner = Inner { transport, sessions, cache, mirrors, unpacking, large_evidence, limits, rooms };
        Self(Arc::new(inner))
    }

    /// The most memory for one artifact, where a budget of the administrator for each namespace lowers it.
    pub fn bounded_most(&self) -> Option<u64> {
        self.0.rooms.bounded_most()
    }

    /// Whether the registry answers now, with any answer; without a retry.
    ///
    /// A refusal is an answer, so no credentials are sent. A server error is not, nor is a rate
    /// limit.
    pub async fn answers(&self, repository: &Repository, access: &Access) -> bool {
        self.0.transport.answers(repository, access).await
    }
}
