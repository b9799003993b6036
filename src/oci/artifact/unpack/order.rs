//! What to take out of a layer, and what is missing.

use bytes::Bytes;

use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;

/// The extension of an encrypted file.
pub(in crate::oci::artifact) const EXTENSION: &str = ".age";
/// How many names a message lists.
pub(super) const SHOWN: usize = 8;

/// The directory of a bundle's lock.
const IMGPKG: &str = ".imgpkg";

/// What to take out of layers.
pub(in crate::oci) struct Order {
    /// Normalised: no leading or trailing slash, empty for everything.
    pub path: String,
    /// The expected hash of the concatenation of all files of the first layer, in lower case hex.
    pub checksum: Option<String>,
    /// For all layers together.
    pub limits: ContentLimits,
    /// Whether all layers of the artifact are asked for, also if there is only one.
    pub is_merged: bool,
}

/// A layer as it is stored.
#[derive(Debug)]
pub(in crate::oci) struct StoredLayer {
    pub bytes: Bytes,
    /// The name for a layer that is one file, not an archive.
    pub title: Option<String>,
    /// For messages: its place among all layers of the manifest, from 1, and its digest.
    pub name: String,
    /// The same place.
    pub position: usize,
    /// What the manifest says that it is.
    pub hint: LayerHint,
}

/// What a manifest says that a layer is. The bytes decide where it does not matter among several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::oci) enum LayerHint {
    /// An archive, or a file.
    #[default]
    Content,
    /// A file, by its title, which is no manifest: also if it is an archive.
    OtherFile,
    /// Manifests, by its media type, whatever its title.
    Manifests,
}

impl StoredLayer {
    /// The only layer of its artifact.
    pub fn alone(bytes: Bytes) -> Self {
        Self { bytes, title: None, name: "layer 1".to_owned(), position: 1, hint: LayerHint::Content }
    }
}

/// What was taken out of layers.
#[derive(Debug)]
pub(in crate::oci) struct Unpacked {
    /// The files, layer by layer, in the archive's order, by their names from its root.
    pub files: Vec<(String, Bytes)>,
    /// Where a kustomization is at the path.
    pub form: Form,
}

/// What the files of an artifact are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Manifests: the files below the selected path that are named like one.
    #[default]
    Manifests,
    /// All files of the artifact. The selected path holds a kustomization, which has to be built.
    Kustomization {
        /// The selected path: from the artifact's root, without a slash at its ends, empty for the
        /// root itself.
        directory: String,
    },
    /// All files of a Helm chart, which has to be rendered.
    Chart,
}

impl Form {
    /// The form of an artifact of which these files are known.
    pub(in crate::oci::artifact) fn at<'n>(path: &str, names: impl IntoIterator<Item = &'n str>) -> Self {
        match names.into_iter().any(|name| is_kustomization(name, path)) {
            true => Self::Kustomization { directory: path.to_owned() },
            false => Self::Manifests,
        }
    }
}

/// Normalises `spec.path` to the form of entry names.
pub(in crate::oci) fn normal_path(path: &str) -> Result<String, OciError> {
    let bad = || OciError::Spec(format!("path {path:?} must be relative to the artifact, without \"..\""));
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return Err(bad());
    }
    let segments: Vec<&str> = path.split('/').filter(|s| !matches!(*s, "" | ".")).collect();
    if segments.contains(&"..") { Err(bad()) } else { Ok(segments.join("/")) }
}

pub(in crate::oci::artifact) fn check_sum(wanted: Option<&str>, found: &[u8]) -> Result<(), OciError> {
    match wanted {
        Some(wanted) if !wanted.eq_ignore_ascii_case(&hex::encode(found)) => {
            Err(OciError::invalid("checksum mismatch: its content does not match its checksum annotation"))
        }
        _ => Ok(()),
    }
}

pub(in crate::oci::artifact) fn is_below(name: &str, path: &str) -> bool {
    path.is_empty() || name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Names that a render can need; everything else is skipped.
pub(in crate::oci::artifact) fn is_manifest_name(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rsplit_once('.').map(|(_, e)| e);
    matches!(extension, Some("yaml" | "yml" | "json" | "age")) || file == "Kustomization"
}

/// Whether it is the kustomization of that directory; it can be encrypted.
pub(super) fn is_kustomization(name: &str, directory: &str) -> bool {
    let (parent, file) = name.rsplit_once('/').unwrap_or(("", name));
    let file = file.strip_suffix(EXTENSION).unwrap_or(file);
    parent == directory && matches!(file, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

/// Whether it is of the lock that Carvel's imgpkg puts into a bundle, which no cluster knows.
pub(in crate::oci::artifact) fn is_lock(name: &str, path: &str) -> bool {
    is_below(name, IMGPKG) && !is_below(path, IMGPKG)
}

pub(in crate::oci::artifact) fn path_missing(path: &str, tops: &[String]) -> OciError {
    let shown = shorten(tops);
    OciError::invalid(format!("path ./{path} is not in the artifact; it contains: {shown}"))
}

pub(in crate::oci::artifact) fn no_manifests(tops: &[String]) -> OciError {
    let shown = shorten(tops);
    OciError::invalid(format!(
        "it contains no YAML or JSON file (is it a container image?); it contains {shown}"
    ))
}

/// Adds the first part of a name to those that a message lists.
pub(in crate::oci::artifact) fn add_top(tops: &mut Vec<String>, name: &str) {
    let top = name.split('/').next().unwrap_or_default();
    if tops.len() <= SHOWN && !tops.iter().any(|known| known == top) {
        tops.push(top.to_owned());
    }
}

pub(super) fn shorten(names: &[String]) -> String {
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let names: Vec<String> = names.iter().take(SHOWN).map(|n| n.chars().take(60).collect()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") + more }
}
