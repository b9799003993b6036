//! Manifests to a plain OCI image that everything reads: supercargo, Flux,
//! Kustomizer 2.x, crane, container registries.
//!
//! The same input gives the same digest; time is an argument.

use std::collections::BTreeMap;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::encryption::{EXTENSION, SCHEME};
use super::{Digest, OciError, Recipients};

pub(super) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The one file of an artifact, under the name that Kustomizer gave it.
const FILE: &str = "all.yaml";

/// What is said about an artifact.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// When it was made, RFC 3339 in UTC with whole seconds.
    pub created: String,
    /// Where its source is.
    pub source: Option<String>,
    /// Which revision of the source it is.
    pub revision: Option<String>,
    /// Further annotations; they do not override those above.
    pub annotations: BTreeMap<String, String>,
    /// Who can read it; absent: everybody who can read the repository. An
    /// encrypted artifact has another digest every time.
    pub recipients: Option<Recipients>,
}

/// An artifact, ready to be pushed.
#[derive(Clone, Debug)]
pub struct Package {
    pub(super) manifest: Bytes,
    pub(super) blobs: Vec<(Digest, Bytes)>,
}

impl Package {
    /// The digest that it will have in the registry.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// Packs a stream of YAML documents, each ended by `---`.
///
/// # Errors
/// Only when archive or compression fail, which in memory they do not.
pub fn pack(yaml: &[u8], labels: &Labels) -> Result<Package, OciError> {
    let failed = |e: io::Error| OciError::Spec(format!("the artifact cannot be packed: {e}"));
    let tar = match &labels.recipients {
        Some(recipients) => archive(&format!("{FILE}{EXTENSION}"), &recipients.encrypt(yaml)?),
        None => archive(FILE, yaml),
    };
    let tar = tar.map_err(failed)?;
    let layer: Bytes = compress(&tar).map_err(failed)?.into();
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

/// The annotations. Kustomizer does not pull without its three.
fn annotations(yaml: &[u8], labels: &Labels) -> BTreeMap<String, String> {
    let Labels { created, source, revision, annotations, recipients } = labels;
    let mut all = annotations.clone();
    let checksum = hex::encode(Sha256::digest(yaml));
    let version = env!("CARGO_PKG_VERSION");
    let mut set = |key: &str, value: &str| all.insert(key.to_owned(), value.to_owned());
    for owner in ["supercargo.dev", "kustomizer.dev"] {
        set(&format!("{owner}/version"), version);
        // Of the plain content also when that is encrypted: Kustomizer wants it so.
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
    // Time and operating system would make the digest depend on where and when.
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    encoder.write_all(tar)?;
    encoder.finish()
}
