//! Entries of an archive that describe the entry after them: GNU long names and PAX
//! headers.
//!
//! The tar crate would read these itself, but into memory without a limit. Only a name is
//! accepted in them. A PAX size is refused, because it is needed only above 8 GiB and
//! readers disagree about it (RUSTSEC-2025-0110, RUSTSEC-2026-0068).

use std::io::Read;

use tar::EntryType;

use super::stream::broken;
use crate::oci::error::OciError;

/// Longest extension that is read, in bytes.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;

/// Whether an entry is about the next one.
pub(super) fn is_extension(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
    )
}

/// Reads an extension; returns the next entry's name, if it has one.
pub(super) fn read(kind: EntryType, entry: &mut impl Read) -> Result<Option<Vec<u8>>, OciError> {
    let mut content = Vec::new();
    entry.take(MAX_EXTENSION_BYTES + 1).read_to_end(&mut content).map_err(broken)?;
    if content.len() as u64 > MAX_EXTENSION_BYTES {
        let why = format!("its archive has a header of more than {MAX_EXTENSION_BYTES} bytes");
        return Err(OciError::too_large(why));
    }
    match kind {
        EntryType::GNULongName => {
            let end = content.iter().position(|b| *b == 0).unwrap_or(content.len());
            if content.split_off(end).iter().any(|b| *b != 0) {
                return Err(OciError::invalid("its archive has a name with a NUL in it"));
            }
            Ok(Some(content))
        }
        // The target of a link; links themselves are refused.
        EntryType::GNULongLink => Ok(None),
        _ => {
            let name = pax_name(&content)?;
            match (kind, name) {
                (EntryType::XGlobalHeader, Some(_)) => {
                    Err(OciError::invalid("its archive has one name for all entries"))
                }
                (_, name) => Ok(name),
            }
        }
    }
}

/// The `path` record of a PAX header: `<length> <key>=<value>` and a newline,
/// where the length counts the whole record.
fn pax_name(mut records: &[u8]) -> Result<Option<Vec<u8>>, OciError> {
    let malformed = || OciError::invalid("its archive has a malformed PAX header");
    let mut name = None;
    while !records.is_empty() {
        let space = records.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
        let digits = records.get(..space).and_then(|d| std::str::from_utf8(d).ok());
        let length: usize = digits.and_then(|d| d.parse().ok()).ok_or_else(malformed)?;
        let record = records.get(space + 1..length).ok_or_else(malformed)?;
        let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
        match record.split_at(equals) {
            (b"path", _) if name.is_some() => {
                return Err(OciError::invalid("its archive names an entry twice in one PAX header"));
            }
            (b"path", value) => name = Some(value.iter().skip(1).copied().collect()),
            (b"size", _) => return Err(OciError::invalid("its archive states the size of an entry twice")),
            (key, _) if key.starts_with(b"GNU.sparse.") => {
                return Err(OciError::invalid("its archive contains a sparse file"));
            }
            _ => {}
        }
        records = records.get(length..).ok_or_else(malformed)?;
    }
    Ok(name)
}
