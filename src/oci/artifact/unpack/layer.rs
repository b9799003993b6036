//! A layer as it is stored: compressed or not, an archive or one file.

use std::io::{self, BufReader, Read};

use sha2::{Digest as _, Sha256};

use super::archive::{Keep, Part, Reading, entry_name, read_archive};
use super::order::{LayerHint, StoredLayer, check_sum, is_below, is_kustomization, is_manifest_name};
use super::stream::{Limited, broken, read_full};
use crate::oci::error::OciError;
use crate::oci::limits::ZSTD_WINDOW_LOG;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
pub(super) const TAR_BLOCK: usize = 512;

/// Reads one layer.
pub(super) fn read_layer(layer: &StoredLayer, reading: &Reading<'_>) -> Result<Part, OciError> {
    let bytes: &[u8] = &layer.bytes;
    if is_one_file(layer, reading) {
        return read_content(bytes, layer, reading);
    }
    if bytes.starts_with(&GZIP_MAGIC) {
        let mut decoder = flate2::bufread::GzDecoder::new(bytes);
        let found = read_content(&mut decoder, layer, reading)?;
        if decoder.into_inner().is_empty() {
            return Ok(found);
        }
        return Err(OciError::invalid("there is data after the end of its gzip stream"));
    }
    if bytes.starts_with(&ZSTD_MAGIC) {
        return read_content(zstd_decoder(bytes)?, layer, reading);
    }
    read_content(bytes, layer, reading)
}

/// Whether one of several layers is a file that is no manifest, whatever its bytes look like.
fn is_one_file(layer: &StoredLayer, reading: &Reading<'_>) -> bool {
    reading.order.is_merged && layer.hint == LayerHint::OtherFile
}

/// A layer without its compression. What follows the end of the stream is not checked.
pub(super) fn decompressed(bytes: &[u8]) -> Result<Box<dyn Read + '_>, OciError> {
    Ok(match () {
        () if bytes.starts_with(&GZIP_MAGIC) => Box::new(flate2::bufread::GzDecoder::new(bytes)),
        () if bytes.starts_with(&ZSTD_MAGIC) => Box::new(zstd_decoder(bytes)?),
        () => Box::new(bytes),
    })
}

fn zstd_decoder(bytes: &[u8]) -> Result<zstd::stream::read::Decoder<'_, &[u8]>, OciError> {
    let broken = |_| OciError::invalid("its zstd stream cannot be read");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(broken)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
    Ok(decoder)
}

/// Reads the stream to its end: only there are the checksums of the compression checked.
fn read_content(stream: impl Read, layer: &StoredLayer, reading: &Reading<'_>) -> Result<Part, OciError> {
    let most = reading.left.unpacked;
    let limited = Limited { inner: stream, left: most, hit: false };
    let mut reader = BufReader::with_capacity(32 << 10, limited);
    let result = read_stream(&mut reader, layer, reading);
    let limited = reader.get_ref();
    if limited.hit {
        let total = reading.order.limits.unpacked;
        return Err(OciError::too_large(match reading.order.is_merged {
            true => format!("its layers hold more than {total} bytes when unpacked"),
            false => format!("its layer holds more than {total} bytes when unpacked"),
        }));
    }
    let unpacked = most.saturating_sub(limited.left);
    result.map(|found| Part { unpacked, ..found })
}

fn read_stream(
    reader: &mut BufReader<impl Read>,
    layer: &StoredLayer,
    reading: &Reading<'_>,
) -> Result<Part, OciError> {
    let mut head = [0u8; TAR_BLOCK];
    let filled = read_full(reader, &mut head).map_err(broken)?;
    let head = &head[..filled];
    // Among several, it is an empty file.
    if filled == 0 && !(reading.order.is_merged && layer.title.is_some()) {
        return Err(OciError::invalid("its layer is empty"));
    }
    if is_tar(head) && !is_one_file(layer, reading) {
        return read_archive(io::Read::chain(head, reader), reading);
    }
    read_single(head, reader, layer, reading)
}

/// Whether a first block is a tar header: with a valid checksum, or the zeros of an empty
/// archive.
pub(super) fn is_tar(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; TAR_BLOCK]>::try_from(head) else {
        return false;
    };
    if block.iter().all(|b| *b == 0) {
        return true;
    }
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, b)| u32::from(if (148..156).contains(&at) { b' ' } else { *b }))
        .sum();
    header.cksum().is_ok_and(|stored| stored == sum)
}

/// A layer that is one file, as `oras push` and `flux push` of a single file make it. One of
/// several layers has its name from the artifact's root in its title, and may be another file than a
/// manifest.
fn read_single(
    head: &[u8],
    reader: &mut impl Read,
    layer: &StoredLayer,
    reading: &Reading<'_>,
) -> Result<Part, OciError> {
    let Reading { order, keep, .. } = *reading;
    let mut content = head.to_vec();
    let limit = order.limits.file;
    reader.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(broken)?;
    if content.len() as u64 > limit {
        return Err(OciError::too_large(format!("its file is larger than {limit} bytes")));
    }
    if reading.left.entries == 0 {
        return Err(OciError::too_large(format!(
            "its layers have more than {} entries",
            order.limits.entries
        )));
    }
    check_sum(reading.checksum, Sha256::digest(&content).as_slice())?;
    let title = layer.title.as_deref();
    let mut name = match order.is_merged {
        false => {
            let file = title.and_then(|title| title.rsplit('/').next()).filter(|file| is_manifest_name(file));
            let titled = file.map(|file| entry_name(file.as_bytes(), &order.limits)).transpose()?;
            titled.flatten().unwrap_or_else(|| "all.yaml".to_owned())
        }
        true => {
            let titled = title.map(|title| entry_name(title.as_bytes(), &order.limits)).transpose()?;
            titled.flatten().unwrap_or_else(|| format!("layer-{}.yaml", layer.position))
        }
    };
    // Its media type says what it is, and a file without the extension of a manifest would be left out.
    if layer.hint == LayerHint::Manifests && !is_manifest_name(&name) {
        name.push_str(".yaml");
    }
    let text = std::str::from_utf8(&content).ok().filter(|t| !t.contains('\0'));
    if text.is_none() && is_manifest_name(&name) {
        return Err(OciError::invalid("its layer is neither an archive nor YAML"));
    }
    let mut found = Part { entries: 1, ..Part::default() };
    found.remember(&name, &order.path);
    found.names.insert(name.clone());
    found.tree = order.is_merged && keep == Keep::Manifests && is_kustomization(&name, &order.path);
    let is_kept = keep == Keep::Everything || is_below(&name, &order.path) && is_manifest_name(&name);
    if is_kept && !found.tree {
        found.files.push((name, content.into()));
    }
    Ok(found)
}
