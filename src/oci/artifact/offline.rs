//! What this room makes of bytes alone, without a registry: for whoever has them
//! already, and for the fuzz targets. Nothing here asks whether they are what a
//! digest names.

use bytes::Bytes;

use super::layout::Document;
use super::unpack::{self, Order, normal_path};
use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;
use crate::oci::reference::Digest;

/// Takes the files below a path out of a layer, as it is stored: in its order, by their names from
/// its root. Blocks; writes nothing to disk.
///
/// # Errors
/// When the path leads out of the layer, when that is no archive or document that
/// configuration may be in, or exceeds a limit.
pub fn unpack_layer(
    layer: &[u8],
    path: &str,
    limits: ContentLimits,
) -> Result<Vec<(String, Bytes)>, OciError> {
    let order = Order { path: normal_path(path)?, title: None, checksum: None, limits };
    unpack::unpack(layer, &order)
}

/// What a manifest or index leads to: of a manifest the layer with the
/// configuration and its size in bytes, of an index the manifest.
///
/// # Errors
/// When it is neither, or has no such part.
pub fn content_of(manifest: &[u8]) -> Result<(Digest, Option<u64>), OciError> {
    match Document::parse(manifest)? {
        Document::Manifest(manifest) => manifest.layer(None).map(|layer| (layer.digest, Some(layer.size))),
        Document::Index(index) => index.content().map(|digest| (digest, None)),
    }
}
