//! The parts of an artifact: manifests and indexes, layers, archives, encryption. Bytes
//! to files and files to bytes; nothing here knows a registry, or checks digests.

mod composition;
mod count;
pub(super) mod encryption;
mod index;
mod kind;
pub(super) mod layout;
mod offline;
mod pack;
pub(super) mod unpack;

pub use composition::{Composition, LayerUse};
pub use encryption::{Identities, Recipients};
pub use kind::ArtifactKind;
pub use offline::{content_of, unpack_layer, unpack_layers};
pub(super) use pack::MANIFEST_TYPE;
pub use pack::{Labels, Package, is_reserved, pack};
pub use unpack::Form;
