//! A layer as it is stored: compressed or not, an archive or one file.

use std::io::{self, BufReader, Read};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::archive::{Keep, read_archive};
use super::order::{Form, Order, Unpacked, check_sum, is_below, is_manifest_name, path_missing};
use super::stream::{Limited, broken, read_full};
use crate::oci::error::OciError;
use crate::oci::limits::ZSTD_WINDOW_LOG;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const TAR_BLOCK: usize = 512;

/// Unpacks the layer. The files are in the archive's order, with their names
/// from its root. Where the path has a kustomization, they are all files: it is read a second time
/// for that, so that the other files of usual artifacts are not held in memory.
pub(in crate::oci) fn unpack(layer: &[u8], order: &Order) -> Result<Unpacked, OciError> {
    if let Some(files) = read_layer(layer, order, Keep::Manifests)? {
        return Ok(Unpacked { files, form: Form::Manifests });
    }
    let files = read_layer(layer, order, Keep::Everything)?.unwrap_or_default();
    Ok(Unpacked { files, form: Form::Kustomization { directory: order.path.clone() } })
}

/// Unpacks all files of the layer, whatever is at the path.
pub(in crate::oci::artifact) fn unpack_everything(
    layer: &[u8],
    order: &Order,
) -> Result<Vec<(String, Bytes)>, OciError> {
    Ok(read_layer(layer, order, Keep::Everything)?.unwrap_or_default())
}

type Files = Option<Vec<(String, Bytes)>>;

fn read_layer(layer: &[u8], order: &Order, keep: Keep) -> Result<Files, OciError> {
    if layer.starts_with(&GZIP_MAGIC) {
        let mut decoder = flate2::bufread::GzDecoder::new(layer);
        let files = read_content(&mut decoder, order, keep)?;
        if decoder.into_inner().is_empty() {
            return Ok(files);
        }
        return Err(OciError::invalid("there is data after the end of its gzip stream"));
    }
    if layer.starts_with(&ZSTD_MAGIC) {
        let broken = |_| OciError::invalid("its zstd stream cannot be read");
        let mut decoder = zstd::stream::read::Decoder::with_buffer(layer).map_err(broken)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
        return read_content(decoder, order, keep);
    }
    read_content(layer, order, keep)
}

/// Reads the stream to its end: only there are the checksums of the compression checked.
fn read_content(stream: impl Read, order: &Order, keep: Keep) -> Result<Files, OciError> {
    let limited = Limited { inner: stream, left: order.limits.unpacked, hit: false };
    let mut reader = BufReader::with_capacity(32 << 10, limited);
    let result = read_stream(&mut reader, order, keep);
    if reader.get_ref().hit {
        return Err(OciError::too_large(format!(
            "its layer holds more than {} bytes when unpacked",
            order.limits.unpacked
        )));
    }
    result
}

fn read_stream(reader: &mut BufReader<impl Read>, order: &Order, keep: Keep) -> Result<Files, OciError> {
    let mut head = [0u8; TAR_BLOCK];
    let filled = read_full(reader, &mut head).map_err(broken)?;
    let head = &head[..filled];
    if filled == 0 {
        return Err(OciError::invalid("its layer is empty"));
    }
    if is_tar(head) {
        return read_archive(io::Read::chain(head, reader), order, keep);
    }
    read_single(head, reader, order).map(Some)
}

/// Whether a first block is a tar header: with a valid checksum, or the zeros of an empty
/// archive.
fn is_tar(head: &[u8]) -> bool {
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

/// A layer that is one YAML file, as `oras push` and `flux push` of a single
/// file make it.
fn read_single(head: &[u8], reader: &mut impl Read, order: &Order) -> Result<Vec<(String, Bytes)>, OciError> {
    let mut content = head.to_vec();
    let limit = order.limits.file;
    reader.take(limit.saturating_add(1)).read_to_end(&mut content).map_err(broken)?;
    if content.len() as u64 > limit {
        return Err(OciError::too_large(format!("its file is larger than {limit} bytes")));
    }
    let text = std::str::from_utf8(&content).ok().filter(|t| !t.contains('\0'));
    if text.is_none() {
        return Err(OciError::invalid("its layer is neither an archive nor YAML"));
    }
    check_sum(order.checksum.as_deref(), Sha256::digest(&content).as_slice())?;
    let titled = order.title.as_deref().and_then(|t| t.rsplit('/').next()).filter(|t| is_manifest_name(t));
    let name = titled.unwrap_or("all.yaml").to_owned();
    if !is_below(&name, &order.path) {
        return Err(path_missing(order, &[name]));
    }
    Ok(vec![(name, content.into())])
}
