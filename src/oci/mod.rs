//! Bytes by digest, within limits: references, credentials, the transport to
//! registries, the cache, and the packing and unpacking of artifacts. This room
//! knows nothing of Kubernetes and decides nothing about trust.

mod artifact;
mod auth;
mod cache;
mod content;
mod credentials;
mod download;
mod error;
mod evidence;
mod fetched;
mod limits;
mod mirror;
mod push;
mod reference;
mod registry;
mod room;
mod tags;
mod transport;

pub use artifact::{Identities, Labels, Package, Recipients, content_of, is_reserved, pack, unpack_layer};
pub use auth::{TokenHost, Variables};
pub use cache::{CacheEvent, CacheObserver};
pub use credentials::{Access, AccessParts, HelperCall, Keyring, Proxy};
pub use error::OciError;
pub use fetched::{Artifact, Resolved, Selection};
pub use limits::ContentLimits;
pub use mirror::Mirror;
pub use reference::{Digest, Reference, Repository, Tag, Wanted};
pub use registry::{Registry, RegistryOptions};
pub use room::{Queue, Room, Size};
pub use transport::{Advance, Hosts, Meter, Observer, Outcome, RequestRecord, speaks_tls};
