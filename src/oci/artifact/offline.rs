//! Unpacking of given bytes, without a registry: for content that is already here, and
//! for the fuzz targets. Nothing here checks digests.

use bytes::Bytes;

use super::layout::Document;
use super::unpack::{self, Order, StoredLayer, normal_path};
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
    unpack_layers(&[layer], path, limits)
}

/// The same of several layers, which are merged in their order.
///
/// # Errors
/// As for one layer, and when a file is in two of them.
pub fn unpack_layers(
    layers: &[&[u8]],
    path: &str,
    limits: ContentLimits,
) -> Result<Vec<(String, Bytes)>, OciError> {
    let order = Order { path: normal_path(path)?, checksum: None, limits, is_merged: layers.len() > 1 };
    let stored = layers.iter().enumerate().map(|(n, layer)| StoredLayer {
        name: format!("layer {}", n + 1),
        position: n + 1,
        ..StoredLayer::alone(Bytes::copy_from_slice(layer))
    });
    let stored: Vec<StoredLayer> = stored.collect();
    unpack::unpack(&stored, &order).map(|unpacked| unpacked.files)
}

/// The target of a manifest or index: of a manifest the layer with the configuration and
/// its size in bytes, of an index the manifest.
///
/// # Errors
/// When it is neither, or has no such part.
pub fn content_of(manifest: &[u8]) -> Result<(Digest, Option<u64>), OciError> {
    match Document::content(manifest)? {
        Document::Manifest(manifest) => {
            let layer = manifest.chosen(None, false)?.into_iter().next();
            let layer = layer.ok_or_else(|| OciError::invalid("it has no layers"))?;
            Ok((layer.digest, Some(layer.size)))
        }
        Document::Index(index) => index.content().map(|child| (child.digest, None)),
    }
}
