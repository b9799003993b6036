//! Bytes by digest, within limits: references, credentials, the transport to
//! registries, the cache, and the packing and unpacking of artifacts. This room
//! knows nothing of Kubernetes and decides nothing about trust.

mod access;
mod artifact;
mod auth;
mod cache;
mod challenge;
mod client;
mod content;
mod credential_helper;
mod download;
mod encryption;
mod error;
mod evidence;
mod layout;
mod limits;
mod link;
mod mirror;
mod offline;
mod pace;
mod pack;
mod probe;
mod provider;
mod proxy;
mod push;
mod reference;
mod registry;
mod reply;
mod resolver;
mod tags;
mod token;
mod token_hosts;
mod transport;
mod unpack;
mod upload;
mod zone;

pub use access::{Access, AccessParts};
pub use artifact::{Artifact, Resolved, Selection};
pub use auth::Keyring;
pub use cache::{CacheEvent, CacheObserver};
pub use credential_helper::HelperCall;
pub use encryption::{Identities, Recipients};
pub use error::OciError;
pub use limits::ContentLimits;
pub use mirror::Mirror;
pub use offline::{content_of, unpack_layer};
pub use pack::{Labels, Package, is_reserved, pack};
pub use probe::speaks_tls;
pub use provider::Variables;
pub use proxy::Proxy;
pub use reference::{Digest, Reference, Repository, Tag, Wanted};
pub use registry::{Registry, RegistryOptions};
pub use resolver::Hosts;
pub use token_hosts::TokenHost;
pub use transport::{Advance, Meter, Observer, Outcome, RequestRecord};
