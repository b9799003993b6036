//! The entries of a tar archive. Only plain files and directories are accepted, each with
//! a name inside of the archive.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

use super::extension;
use super::order::{Order, add_top, check_sum, is_below, is_kustomization, is_lock, is_manifest_name};
use super::stream::broken;
use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;

/// Walks the archive.
pub(super) fn read_archive(stream: impl Read, reading: &Reading<'_>) -> Result<Part, OciError> {
    let Reading { order, left, keep, .. } = *reading;
    let is_merged = order.is_merged;
    let mut archive = Archive::new(stream);
    let mut found = Part::default();
    let mut announced = None;
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if extension::is_extension(kind) {
            let name = extension::read(kind, &mut entry)?;
            if announced.is_some() && name.is_some() {
                return Err(OciError::invalid("its archive gives two names to one entry"));
            }
            announced = name.or(announced);
            continue;
        }
        found.entries += 1;
        if found.entries > left.entries {
            let most = order.limits.entries;
            return Err(OciError::too_large(match is_merged {
                true => format!("its layers have more than {most} entries"),
                false => format!("its archive has more than {most} entries"),
            }));
        }
        let raw = announced.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let Some(name) = entry_name(&raw, &order.limits)? else {
            continue;
        };
        refuse_special(kind, &name)?;
        if is_merged && name.rsplit('/').next().is_some_and(|file| file.starts_with(WHITEOUT)) {
            return Err(OciError::invalid(format!(
                "entry {name:?} deletes a file of an earlier layer; with layers: All, layers can only add files \
                 (squash the image)"
            )));
        }
        found.remember(&name, &order.path);
        if kind == EntryType::Directory {
            continue;
        }
        if !found.names.insert(name.clone()) {
            return Err(OciError::invalid(format!("entry {name:?} occurs twice")));
        }
        let keep = match keep {
            Keep::Everything => true,
            Keep::Manifests if found.tree => false,
            Keep::Manifests if is_kustomization(&name, &order.path) => {
                (found.tree, found.files) = (true, Vec::new());
                false
            }
            Keep::Manifests => {
                is_below(&name, &order.path) && is_manifest_name(&name) && !is_lock(&name, &order.path)
            }
        };
        found.take(name, keep, &mut entry, reading)?;
    }
    drain(archive.into_inner())?;
    check_sum(reading.checksum, found.sum.clone().finalize().as_slice())?;
    Ok(found)
}

/// What the layers of container images call a file that is deleted (OCI image specification, layer.md).
const WHITEOUT: &str = ".wh.";

/// Which files of an archive are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The manifests below the path.
    Manifests,
    /// All files.
    Everything,
}

/// How a layer is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub order: &'a Order,
    /// The expected hash of all files of the layer.
    pub checksum: Option<&'a str>,
    /// What earlier layers have left of the limits.
    pub left: ContentLimits,
    pub keep: Keep,
}

/// What was found in a layer.
#[derive(Default)]
pub(super) struct Part {
    pub entries: usize,
    /// How many bytes it has when unpacked.
    pub unpacked: u64,
    /// The names of all files.
    pub names: HashSet<String>,
    /// The first names at the root.
    pub tops: Vec<String>,
    /// Whether something is at the path.
    pub below: bool,
    /// Whether a kustomization is at the path, and only manifests were asked for.
    pub tree: bool,
    /// The hash of all files, where one is expected.
    pub sum: Sha256,
    /// The files that are kept.
    pub files: Vec<(String, Bytes)>,
}

impl Part {
    pub fn remember(&mut self, name: &str, path: &str) {
        self.below = self.below || is_below(name, path);
        add_top(&mut self.tops, name);
    }

    /// Reads one file: into memory if it is kept, else it is skipped.
    fn take(
        &mut self,
        name: String,
        keep: bool,
        entry: &mut impl File,
        reading: &Reading<'_>,
    ) -> Result<(), OciError> {
        let Reading { order, checksum, .. } = *reading;
        let size = entry.size();
        if keep && size > order.limits.file {
            let limit = order.limits.file;
            return Err(OciError::too_large(format!("entry {name:?} is larger than {limit} bytes")));
        }
        if !keep && checksum.is_none() {
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
            if checksum.is_some() {
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
}

/// The needed fields of an archive entry.
trait File: Read {
    fn size(&self) -> u64;
}

impl<R: Read> File for tar::Entry<'_, R> {
    fn size(&self) -> u64 {
        tar::Entry::size(self)
    }
}

/// The entry's name from the archive's root; `None` for the root itself.
pub(super) fn entry_name(raw: &[u8], limits: &ContentLimits) -> Result<Option<String>, OciError> {
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
        return refuse("points outside of the archive");
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
        _ => "of an unsupported type",
    };
    Err(OciError::invalid(format!(
        "entry {name:?} is {what}; only plain files are accepted (is it a container image?)"
    )))
}

/// After the end of an archive only padding is accepted: another reader might read what
/// this one skips.
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
