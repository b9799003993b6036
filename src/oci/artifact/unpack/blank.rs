//! Whether a layer has any file: an image has layers that only make a directory.

use std::io::{self, BufReader, Read};

use tar::{Archive, EntryType};

use super::extension::is_extension;
use super::layer::{TAR_BLOCK, decompressed, is_tar};
use super::order::StoredLayer;
use super::stream::{Limited, read_full};
use crate::oci::limits::ContentLimits;

/// Whether a layer has no file. It is read up to the first one. What cannot be read is not blank: reading
/// it all says why.
pub(in crate::oci) fn is_blank(layer: &StoredLayer, limits: &ContentLimits) -> bool {
    let Ok(inner) = decompressed(&layer.bytes) else { return false };
    let mut reader = BufReader::new(Limited { inner, left: limits.unpacked, hit: false });
    let mut head = [0u8; TAR_BLOCK];
    let Ok(filled) = read_full(&mut reader, &mut head) else { return false };
    let head = &head[..filled];
    filled == 0 || is_tar(head) && has_no_file(io::Read::chain(head, reader), limits.entries)
}

fn has_no_file(stream: impl Read, most: usize) -> bool {
    let mut archive = Archive::new(stream);
    let Ok(entries) = archive.entries() else { return false };
    let is_none = |kind: EntryType| kind == EntryType::Directory || is_extension(kind);
    let mut entries = entries.raw(true).take(most.saturating_add(1)).enumerate();
    entries.all(|(n, entry)| n < most && entry.is_ok_and(|entry| is_none(entry.header().entry_type())))
}
