//! A layer's bytes to the manifests in it, in memory and within limits.
//!
//! Nothing is ever written to disk by an entry's name. Blocking: run it off
//! the async workers.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use super::error::OciError;
use super::limits::{ContentLimits, ZSTD_WINDOW_LOG};

mod extension;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const TAR_BLOCK: usize = 512;
/// How many names a message lists.
const SHOWN: usize = 8;

/// What to take out of a layer.
pub(super) struct Order {
    /// Normalised: no leading or trailing slash, empty for everything.
    pub path: String,
    /// The name for a layer that is one file, not an archive.
    pub title: Option<String>,
    /// What the concatenation of all files has to hash to, in lower case hex.
    pub checksum: Option<String>,
    pub limits: ContentLimits,
}

/// Brings `spec.path` into the form of entry names.
pub(super) fn normal_path(path: &str) -> Result<String, OciError> {
    let bad = || OciError::Spec(format!("path {path:?} has to be relative to the artifact, without \"..\""));
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return Err(bad());
    }
    let segments: Vec<&str> = path.split('/').filter(|s| !matches!(*s, "" | ".")).collect();
    if segments.contains(&"..") { Err(bad()) } else { Ok(segments.join("/")) }
}

/// Unpacks the layer. The files are in the archive's order, with their names
/// from its root.
pub(super) fn unpack(layer: &[u8], order: &Order) -> Result<Vec<(String, Bytes)>, OciError> {
    if layer.starts_with(&GZIP_MAGIC) {
        let mut decoder = flate2::bufread::GzDecoder::new(layer);
        let files = read_content(&mut decoder, order)?;
        if decoder.into_inner().is_empty() {
            return Ok(files);
        }
        return Err(OciError::invalid("there is data after the end of its gzip stream"));
    }
    if layer.starts_with(&ZSTD_MAGIC) {
        let broken = |_| OciError::invalid("its zstd stream cannot be read");
        let mut decoder = zstd::stream::read::Decoder::with_buffer(layer).map_err(broken)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
        return read_content(decoder, order);
    }
    read_content(layer, order)
}

/// Reads what is in the stream, to its very end: only there do the checks of
/// the compression hold.
fn read_content(stream: impl Read, order: &Order) -> Result<Vec<(String, Bytes)>, OciError> {
    let limited = Limited { inner: stream, left: order.limits.unpacked, hit: false };
    let mut reader = BufReader::with_capacity(32 << 10, limited);
    let result = read_stream(&mut reader, order);
    if reader.get_ref().hit {
        return Err(OciError::too_large(format!(
            "its layer holds more than {} bytes when unpacked",
            order.limits.unpacked
        )));
    }
    result
}

fn read_stream(reader: &mut BufReader<impl Read>, order: &Order) -> Result<Vec<(String, Bytes)>, OciError> {
    let mut head = [0u8; TAR_BLOCK];
    let filled = read_full(reader, &mut head).map_err(broken)?;
    let head = &head[..filled];
    if filled == 0 {
        return Err(OciError::invalid("its layer is empty"));
    }
    if is_tar(head) {
        return read_archive(io::Read::chain(head, reader), order);
    }
    read_single(head, reader, order)
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// Whether a first block is a tar header: its checksum is right, or it is the
/// zeros of an empty archive.
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

/// Walks the archive.
fn read_archive(stream: impl Read, order: &Order) -> Result<Vec<(String, Bytes)>, OciError> {
    let mut archive = Archive::new(stream);
    let mut found = Findings::default();
    let mut announced = None;
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        found.entries += 1;
        if found.entries > order.limits.entries {
            return Err(OciError::too_large(format!(
                "its archive has more than {} entries",
                order.limits.entries
            )));
        }
        let kind = entry.header().entry_type();
        if extension::is_extension(kind) {
            let name = extension::read(kind, &mut entry)?;
            if announced.is_some() && name.is_some() {
                return Err(OciError::invalid("its archive gives two names to one entry"));
            }
            announced = name.or(announced);
            continue;
        }
        let raw = announced.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let Some(name) = entry_name(&raw, &order.limits)? else {
            continue;
        };
        refuse_special(kind, &name)?;
        found.remember(&name, &order.path);
        if kind == EntryType::Directory {
            continue;
        }
        if !found.names.insert(name.clone()) {
            return Err(OciError::invalid(format!("entry {name:?} occurs twice")));
        }
        let keep = is_below(&name, &order.path) && is_manifest_name(&name);
        found.take(name, keep, &mut entry, order)?;
    }
    drain(archive.into_inner())?;
    found.finish(order)
}

#[derive(Default)]
struct Findings {
    entries: usize,
    names: HashSet<String>,
    tops: Vec<String>,
    below: bool,
    sum: Sha256,
    files: Vec<(String, Bytes)>,
}

impl Findings {
    fn remember(&mut self, name: &str, path: &str) {
        self.below = self.below || is_below(name, path);
        let top = name.split('/').next().unwrap_or_default();
        if self.tops.len() <= SHOWN && !self.tops.iter().any(|t| t == top) {
            self.tops.push(top.to_owned());
        }
    }

    /// Reads one file: into memory if it is kept, else only past it.
    fn take(
        &mut self,
        name: String,
        keep: bool,
        entry: &mut impl File,
        order: &Order,
    ) -> Result<(), OciError> {
        let size = entry.size();
        if keep && size > order.limits.file {
            let limit = order.limits.file;
            return Err(OciError::too_large(format!("entry {name:?} is larger than {limit} bytes")));
        }
        if !keep && order.checksum.is_none() {
            return Ok(());
        }
        let mut content = Vec::new();
        let mut buffer = vec![0u8; 16 << 10];
        let mut read = 0u64;
        loop {
            let n = entry.read(&mut buffer).map_err(broken)?;
            if n == 0 {
                break;
            }
            read += n as u64;
            if order.checksum.is_some() {
                self.sum.update(&buffer[..n]);
            }
            if keep {
                content.extend_from_slice(&buffer[..n]);
            }
        }
        if read != size {
            return Err(OciError::invalid(format!("its archive ends within entry {name:?}")));
        }
        if keep {
            self.files.push((name, content.into()));
        }
        Ok(())
    }

    fn finish(self, order: &Order) -> Result<Vec<(String, Bytes)>, OciError> {
        check_sum(order.checksum.as_deref(), self.sum.finalize().as_slice())?;
        if !order.path.is_empty() && !self.below {
            return Err(path_missing(order, &self.tops));
        }
        if self.files.is_empty() && !self.names.is_empty() && order.path.is_empty() {
            let shown = shorten(&self.tops);
            return Err(OciError::invalid(format!(
                "it holds no YAML or JSON file, so it may be a container image; it holds {shown}"
            )));
        }
        Ok(self.files)
    }
}

/// What is needed of an archive entry.
trait File: Read {
    fn size(&self) -> u64;
}

impl<R: Read> File for tar::Entry<'_, R> {
    fn size(&self) -> u64 {
        tar::Entry::size(self)
    }
}

/// The entry's name from the archive's root; `None` for the root itself.
fn entry_name(raw: &[u8], limits: &ContentLimits) -> Result<Option<String>, OciError> {
    let shown: String = String::from_utf8_lossy(raw).chars().take(80).collect();
    let refuse = |why: &str| Err(OciError::invalid(format!("entry {shown:?} {why}")));
    if raw.len() > limits.name {
        return refuse("has too long a name");
    }
    let Ok(name) = std::str::from_utf8(raw) else {
        return refuse("has a name that is not UTF-8");
    };
    if name.starts_with('/') {
        return refuse("has an absolute name");
    }
    if name.contains('\\') || name.chars().any(char::is_control) {
        return refuse("has a backslash or a control character in its name");
    }
    let segments: Vec<&str> = name.split('/').filter(|s| !matches!(*s, "" | ".")).collect();
    if segments.contains(&"..") {
        return refuse("leaves the archive");
    }
    if segments.len() > limits.depth {
        return refuse("is nested too deep");
    }
    Ok((!segments.is_empty()).then(|| segments.join("/")))
}

fn refuse_special(kind: EntryType, name: &str) -> Result<(), OciError> {
    let what = match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => return Ok(()),
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        EntryType::GNUSparse => "a sparse file",
        _ => "of a type that configuration does not need",
    };
    Err(OciError::invalid(format!(
        "entry {name:?} is {what}; only plain files are accepted (is it a container image?)"
    )))
}

/// After the end of an archive only padding is accepted: what one reader
/// skips, another might read.
fn drain(stream: impl Read) -> Result<(), OciError> {
    let mut rest = BufReader::new(stream);
    loop {
        let chunk = rest.fill_buf().map_err(broken)?;
        if chunk.is_empty() {
            return Ok(());
        }
        if chunk.iter().any(|b| *b != 0) {
            return Err(OciError::invalid("there is data after the end of its archive"));
        }
        let len = chunk.len();
        rest.consume(len);
    }
}

pub(super) fn check_sum(wanted: Option<&str>, found: &[u8]) -> Result<(), OciError> {
    match wanted {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&hex::encode(found)) => Err(OciError::invalid(
            "checksum mismatch: its content is not what the checksum annotation was made for",
        )),
        _ => Ok(()),
    }
}

pub(super) fn is_below(name: &str, path: &str) -> bool {
    path.is_empty() || name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Names that can matter to a render; everything else is passed over.
fn is_manifest_name(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rsplit_once('.').map(|(_, e)| e);
    matches!(extension, Some("yaml" | "yml" | "json" | "age")) || file == "Kustomization"
}

fn path_missing(order: &Order, tops: &[String]) -> OciError {
    let shown = shorten(tops);
    OciError::invalid(format!("path ./{} is not in the artifact; it holds: {shown}", order.path))
}

fn shorten(names: &[String]) -> String {
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let names: Vec<String> = names.iter().take(SHOWN).map(|n| n.chars().take(60).collect()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") + more }
}

fn broken(error: io::Error) -> OciError {
    let why: String = error.to_string().chars().take(120).collect();
    OciError::invalid(format!("its layer cannot be unpacked: {why}"))
}

/// Ends a stream with an error once more than the limit was read, whatever
/// asked for it.
struct Limited<R> {
    inner: R,
    left: u64,
    hit: bool,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => {
                self.left = left;
                Ok(n)
            }
            None => {
                self.hit = true;
                Err(io::Error::other("limit reached"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
