//! What to take out of a layer, and what is missing.

use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;

/// How many names a message lists.
pub(super) const SHOWN: usize = 8;

/// What to take out of a layer.
pub(in crate::oci) struct Order {
    /// Normalised: no leading or trailing slash, empty for everything.
    pub path: String,
    /// The name for a layer that is one file, not an archive.
    pub title: Option<String>,
    /// The expected hash of the concatenation of all files, in lower case hex.
    pub checksum: Option<String>,
    pub limits: ContentLimits,
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
pub(super) fn is_manifest_name(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or_default();
    let extension = file.rsplit_once('.').map(|(_, e)| e);
    matches!(extension, Some("yaml" | "yml" | "json" | "age")) || file == "Kustomization"
}

pub(super) fn path_missing(order: &Order, tops: &[String]) -> OciError {
    let shown = shorten(tops);
    OciError::invalid(format!("path ./{} is not in the artifact; it contains: {shown}", order.path))
}

pub(super) fn shorten(names: &[String]) -> String {
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let names: Vec<String> = names.iter().take(SHOWN).map(|n| n.chars().take(60).collect()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") + more }
}
