//! Manifests to a plain OCI image that all tools can read: supercargo, Flux, Kustomizer
//! 2.x, crane, container registries.
//!
//! The same input gives the same digest; time is an argument.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::encryption::{Recipients, SCHEME};
use super::unpack::EXTENSION;
use crate::oci::error::OciError;
use crate::oci::limits::ContentLimits;
use crate::oci::reference::Digest;

pub(in crate::oci) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The one file of an artifact, with the name that Kustomizer uses.
const FILE: &str = "all.yaml";

/// The prefixes of the annotations of an artifact.
const OWNERS: [&str; 2] = ["supercargo.dev", "kustomizer.dev"];

/// The metadata of an artifact.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// When it was made, RFC 3339 in UTC with whole seconds.
    pub created: String,
    /// The URL of its source.
    pub source: Option<String>,
    /// The revision of the source.
    pub revision: Option<String>,
    /// Further annotations; they do not override those above, see [`is_reserved`].
    pub annotations: BTreeMap<String, String>,
    /// The keys that can read it; absent: it is not encrypted. An encrypted artifact has
    /// a different digest every time.
    pub recipients: Option<Recipients>,
}

/// Whether an annotation is reserved for us, because readers depend on it.
pub fn is_reserved(key: &str) -> bool {
    let set = ["created", "source", "revision"];
    OWNERS.iter().any(|owner| key.strip_prefix(owner).is_some_and(|rest| rest.starts_with('/')))
        || key.strip_prefix("org.opencontainers.image.").is_some_and(|rest| set.contains(&rest))
}

/// An artifact, ready to be pushed.
#[derive(Clone, Debug)]
pub struct Package {
    pub(in crate::oci) manifest: Bytes,
    pub(in crate::oci) blobs: Vec<(Digest, Bytes)>,
}

impl Package {
    /// The digest that it will have in the registry.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// Packs a stream of YAML documents, each ended by `---`. Sends nothing, and does not read the
/// documents.
///
/// # Guarantees
///
/// The same input gives the same digest, except with [`Labels::recipients`].
///
/// # Errors
/// When it is larger than can be pulled ([`ContentLimits`]). Archive and compression do
/// not fail in memory.
pub fn pack(yaml: &[u8], labels: &Labels) -> Result<Package, OciError> {
    pack_within(yaml, labels, &ContentLimits::default())
}

fn pack_within(yaml: &[u8], labels: &Labels, limits: &ContentLimits) -> Result<Package, OciError> {
    let failed = |e: io::Error| OciError::Spec(format!("cannot pack the artifact: {e}"));
    fits("YAML", yaml, limits.file)?;
    let tar = match &labels.recipients {
        Some(recipients) => {
            let sealed = recipients.encrypt(yaml)?;
            fits("encrypted YAML", &sealed, limits.file)?;
            archive(&format!("{FILE}{EXTENSION}"), &sealed)
        }
        None => archive(FILE, yaml),
    };
    let tar = tar.map_err(failed)?;
    let layer: Bytes = compress(&tar).map_err(failed)?.into();
    fits("layer", &layer, limits.layer)?;
    let config: Bytes = json!({
        "created": labels.created,
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&tar).as_str()]},
        "history": [{"created": labels.created, "created_by": "supercargo"}],
    })
    .to_string()
    .into();
    let (config_digest, layer_digest) = (Digest::of(&config), Digest::of(&layer));
    let manifest: Bytes = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": config_digest.as_str(), "size": config.len()},
        "layers": [{"mediaType": LAYER_TYPE, "digest": layer_digest.as_str(), "size": layer.len()}],
        "annotations": annotations(yaml, labels),
    })
    .to_string()
    .into();
    Ok(Package { manifest, blobs: vec![(layer_digest, layer), (config_digest, config)] })
}

/// Refuses what could not be pulled.
fn fits(what: &str, bytes: &[u8], limit: u64) -> Result<(), OciError> {
    if bytes.len() as u64 <= limit {
        return Ok(());
    }
    let why = format!(
        "its {what} has {} bytes, more than the limit of {limit}; split it into several artifacts",
        bytes.len()
    );
    Err(OciError::TooLarge { subject: "the artifact".to_owned(), why })
}

/// The annotations. Kustomizer does not pull without its three.
fn annotations(yaml: &[u8], labels: &Labels) -> BTreeMap<String, String> {
    let Labels { created, source, revision, annotations, recipients } = labels;
    let mut all = annotations.clone();
    let checksum = hex::encode(Sha256::digest(yaml));
    let version = env!("CARGO_PKG_VERSION");
    let mut set = |key: &str, value: &str| all.insert(key.to_owned(), value.to_owned());
    for owner in OWNERS {
        set(&format!("{owner}/version"), version);
        // Of the plain content also when that is encrypted: Kustomizer requires it.
        set(&format!("{owner}/checksum"), &checksum);
        if recipients.is_some() {
            set(&format!("{owner}/encrypted"), SCHEME);
        }
    }
    set("kustomizer.dev/created", created);
    set("org.opencontainers.image.created", created);
    for (key, value) in [("source", source), ("revision", revision)] {
        if let Some(value) = value {
            set(&format!("org.opencontainers.image.{key}"), value);
        }
    }
    all
}

fn archive(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    let mut builder = Builder::new(Vec::new());
    builder.append_data(&mut header, name, content)?;
    builder.into_inner()
}

fn compress(tar: &[u8]) -> io::Result<Vec<u8>> {
    // Without time and operating system, so that the digest does not depend on them. The
    // fastest level, as in Kustomizer: the others take most of the time of a push.
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::fast());
    encoder.write_all(tar)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use age::x25519::Identity;

    use super::*;

    #[test]
    fn what_nobody_could_pull_is_not_packed() {
        let key = Identity::generate().to_public().to_string();
        let check = |bytes: usize, encrypted: bool, file: u64, layer: u64, expected: Option<&str>| {
            let recipients = encrypted.then(|| Recipients::parse(key.as_bytes()).unwrap());
            let labels = Labels { recipients, ..Labels::default() };
            let limits = ContentLimits { file, layer, ..ContentLimits::default() };
            let packed = pack_within(&vec![b'a'; bytes], &labels, &limits).map(drop);
            let message = packed.map_err(|e| e.to_string()).err();
            match expected {
                Some(part) => {
                    let message = message.unwrap_or_default();
                    assert!(
                        message.starts_with(&format!("the artifact is too large: its {part}")),
                        "{message}"
                    );
                }
                None => assert_eq!(message, None),
            }
        };
        check(1000, false, 1000, 1000, None);
        check(1001, false, 1000, 1000, Some("YAML has 1001 bytes, more than the limit of 1000"));
        check(1000, true, 1000, 9000, Some("encrypted YAML has "));
        check(1000, false, 1000, 20, Some("layer has "));
        assert!(pack(&vec![b'a'; (32 << 20) + 1], &Labels::default()).is_err());
    }

    #[test]
    fn annotations_that_readers_go_by_are_ours() {
        for key in ["supercargo.dev/checksum", "kustomizer.dev/encrypted", "org.opencontainers.image.created"]
        {
            assert!(is_reserved(key), "{key}");
        }
        for key in ["org.opencontainers.image.title", "supercargo.developers/x", "team"] {
            assert!(!is_reserved(key), "{key}");
        }
    }
}
