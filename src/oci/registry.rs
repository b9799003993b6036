//! The door of this room: what all that ask a registry share, and how it is made. What
//! asks stands above it, each in its room: `pull/`, `push.rs`, `evidence/`.

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

/// How a [`Registry`] behaves.
#[derive(Clone)]
pub struct RegistryOptions {
    /// What requests say they come from.
    pub user_agent: String,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may go without progress.
    pub idle_timeout: Duration,
    /// Bounds on the content of an artifact.
    pub limits: ContentLimits,
    /// How much memory artifacts may take, all together and each.
    pub capacity: Capacity,
    /// Where content is kept; absent: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// How much of it is kept, in bytes.
    pub cache_max_size: u64,
    /// Is told of every request.
    pub observer: Option<Observer>,
    /// Is told what the cache has.
    pub cache_observer: Option<CacheObserver>,
    /// Is told of every transfer of content.
    pub meter: Option<Meter>,
    /// Where content is read first, by prefix.
    pub mirrors: Vec<Mirror>,
    /// Token services on hosts that have nothing to do with their registry's.
    pub token_hosts: Vec<TokenHost>,
    /// The environment variables in which the clouds say who this process is.
    pub variables: Variables,
    /// Addresses for names; the system's resolver knows the others.
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

/// The registries, as this process sees them: one of it a process, cheap to
/// clone.
///
/// # Guarantees
///
/// Every method that asks a registry keeps to this:
///
/// - No read is without a bound, and no answer goes without progress for longer than the options
///   say. `limits.rs` lists the bounds.
/// - A question that may be asked twice is asked again after a failure that may pass, a few times.
/// - Credentials go to the host that they are for, and to its token service if that is its own, of
///   the same owner, or allowed by the options.
/// - No registry sends this process to what is nearer to it than that registry is.
/// - No error quotes a credential, and none changes while its cause is the same.
///
/// # Caveats
///
/// Tokens, which access has been let in to what, and which host wants to be left alone are kept in
/// memory, for all clones. A new process asks again.
///
/// The future of a method may be dropped. Its request ends with it, and its places among requests
/// and in memory are free again.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<Inner>);

/// What all that ask a registry share.
pub(super) struct Inner {
    pub transport: Transport,
    pub sessions: Sessions,
    pub cache: Cache,
    pub mirrors: Mirrors,
    /// Places for those that unpack a layer.
    pub unpacking: Semaphore,
    /// Places for those that read much that may be signatures.
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
    /// It reads the environment's proxies once, and takes stock of the cache directory, which
    /// blocks. A directory that cannot be used means no cache, and one warning.
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

    /// Whether the registry answers now, whatever it says: asked once.
    ///
    /// A refusal is an answer, so that no credentials are sent. An error of the server is none, nor
    /// is its wish to be left alone.
    pub async fn answers(&self, repository: &Repository, access: &Access) -> bool {
        self.0.transport.answers(repository, access).await
    }
}
