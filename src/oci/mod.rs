//! Bytes by digest, within limits: references, credentials, the transport to registries,
//! the cache, and the packing and unpacking of artifacts. This room knows nothing about
//! Kubernetes and does not decide about trust.
//!
//! Inside, each line imports only from the lines below it, not from its own:
//!
//! ```text
//! evidence, push, cluster
//! pull
//! registry
//! auth
//! transport, content, artifact
//! credentials
//! reference
//! error, limits
//! ```

mod artifact;
mod auth;
mod cluster;
mod content;
mod credentials;
mod error;
mod evidence;
mod limits;
mod pull;
mod push;
mod reference;
mod registry;
mod transport;

pub use artifact::{
    ArtifactKind, Composition, Form, Identities, Labels, LayerUse, Package, Recipients, content_of,
    is_reserved, pack, unpack_layer, unpack_layers,
};
pub use auth::{Assertion, TokenHost, Variables, WorkloadPool};
pub use cluster::CloudError;
pub use content::{CacheEvent, CacheObserver, Mirror, Queue, Room, Size};
pub use credentials::{Access, AccessParts, HelperCall, Keyring, Proxy};
pub use error::{Denial, OciError, Outage};
pub use limits::ContentLimits;
pub use pull::{Artifact, Resolved, Selection, StrayTag};
pub use reference::{ArtifactReference, Digest, Repository, Tag, Wanted};
pub use registry::{Registry, RegistryOptions};
pub use transport::{Advance, Hosts, Meter, Observer, RequestOutcome, RequestRecord, speaks_tls};
