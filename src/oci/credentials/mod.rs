//! How a release reaches its registry: credentials, certificates and a proxy, and their
//! fingerprint. Values: nothing here sends a request, or knows how a cloud issues
//! credentials.

mod access;
mod cloud;
mod credential_helper;
mod keyring;
mod proxy;

pub(super) use access::Fingerprint;
pub use access::{Access, AccessParts};
pub(super) use cloud::{CloudRegistry, Ecr, registries_of};
pub use credential_helper::HelperCall;
pub use keyring::Keyring;
pub(super) use keyring::{Credential, split_key};
pub use proxy::Proxy;
