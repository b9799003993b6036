//! Unpacking of given bytes, without a registry: for content that is already here, and
//! for the fuzz targets. Nothing here checks digests.

use bytes::Bytes;

use super::layout::Document;
use super::unpack::{self, Order, normal_path};
use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;
use crate::oci::reference::Digest;

/// Takes the files below a path out of a layer, as it is stored: in its order, by their names from
/// its root; all files if a kustomization is at the path. Blocks; writes nothing to disk.
///
/// # Errors
/// When the path leads out of the layer, when the layer is not an archive or document
/// with configuration, or exceeds a limit.
pub fn unpack_layer(
    layer: &[u8],
    path: &str,
    limits: ContentLimits,
) -> Result<Vec<(String, Bytes)>, OciError> {
    let order = Order { path: normal_path(path)?, title: None, checksum: None, limits };
    unpack::unpack(layer, &order).map(|unpacked| unpacked.files)
}

/// The target of a manifest or index: of a manifest the layer with the configuration and
/// its size in bytes, of an index the manifest.
///
/// # Errors
/// When it is neither, or has no such part.
pub fn content_of(manifest: &[u8]) -> Result<(Digest, Option<u64>), OciError> {
    match Document::parse(manifest)? {
        Document::Manifest(manifest) => manifest.layer(None).map(|layer| (layer.digest, Some(layer.size))),
        Document::Index(index) => index.content().map(|digest| (digest, None)),
    }
}
