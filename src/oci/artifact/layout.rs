//! The shape of manifests and indexes, and which part is the configuration. Pure: bytes
//! in, descriptors out.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::oci::error::OciError;
use crate::oci::reference::Digest;

/// Every manifest type in `Accept`. Without it a registry may answer with docker schema
/// 1, or with an error.
pub(in crate::oci) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const HELM_CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const HELM_CONTENT: &str = "application/vnd.cncf.helm.chart.";
/// How many names a message lists.
const SHOWN: usize = 5;

/// A reference from one stored object to another.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::oci) struct RawDescriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default)]
    pub artifact_type: Option<String>,
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
    #[serde(default)]
    subject: Option<Subject>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// A manifest or an index, by its content.
pub(in crate::oci) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// The content of an artifact.
pub(in crate::oci) struct Manifest {
    config_type: String,
    pub layers: Vec<RawDescriptor>,
    /// The digest of its subject, as written.
    pub subject: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests.
pub(in crate::oci) struct Index(pub Vec<RawDescriptor>);

/// The layer that was chosen.
#[derive(Debug)]
pub(in crate::oci) struct Layer {
    pub digest: Digest,
    pub size: u64,
    pub title: Option<String>,
    /// Whether checksum annotations are about this layer: their writers know only the
    /// first.
    pub first: bool,
}

impl Document {
    /// Reads a manifest or an index. Bytes that could be read as both are refused,
    /// whatever their content type (CVE-2021-41190).
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        // Serde would also read the fields from an array, by position.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(OciError::invalid("its manifest is not a JSON object"));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(|e| {
            OciError::invalid(format!("its manifest is not valid (line {}, column {})", e.line(), e.column()))
        })?;
        if raw.schema_version == 1 {
            return Err(OciError::invalid(
                "its manifest is docker schema 1; push it again with a current client",
            ));
        }
        if raw.schema_version != 2 {
            return Err(OciError::invalid(format!(
                "its manifest has schemaVersion {}, not 2",
                raw.schema_version
            )));
        }
        let said = |types: &[&str]| raw.media_type.as_deref().is_none_or(|t| types.contains(&t));
        match (raw.layers, raw.manifests) {
            (Some(_), Some(_)) => {
                Err(OciError::invalid("its manifest has both layers and manifests, which is ambiguous"))
            }
            (Some(layers), None) if said(&MANIFEST_TYPES) => Ok(Self::Manifest(Manifest {
                config_type: raw.config.map(|c| c.media_type).unwrap_or_default(),
                layers,
                subject: raw.subject.map(|subject| subject.digest),
                annotations: raw.annotations.unwrap_or_default(),
            })),
            (None, Some(manifests)) if said(&INDEX_TYPES) => Ok(Self::Index(Index(manifests))),
            (None, None) => Err(OciError::invalid("its manifest has neither layers nor manifests")),
            _ => {
                let shown: String = raw.media_type.unwrap_or_default().chars().take(100).collect();
                Err(OciError::invalid(format!(
                    "its manifest has the media type {shown:?}, which does not match its content"
                )))
            }
        }
    }
}

/// The media type with which a stored document must be written back.
pub(in crate::oci) fn media_type(bytes: &[u8]) -> Result<String, OciError> {
    let raw: Raw =
        serde_json::from_slice(bytes).map_err(|_| OciError::invalid("its manifest is not valid"))?;
    let implied = match Document::parse(bytes)? {
        Document::Manifest(_) => MANIFEST_TYPES[0],
        Document::Index(_) => INDEX_TYPES[0],
    };
    Ok(raw.media_type.unwrap_or_else(|| implied.to_owned()))
}

impl Index {
    /// The manifest with the configuration: the only one that is not an attestation, else
    /// the one with the platform by which Kustomizer marks configuration.
    pub fn content(&self) -> Result<Digest, OciError> {
        let attestation = |d: &RawDescriptor| {
            let marked = |a: &BTreeMap<String, String>| a.contains_key("vnd.docker.reference.type");
            d.annotations.as_ref().is_some_and(marked)
                || d.platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown")
        };
        let candidates: Vec<_> = self.0.iter().filter(|d| !attestation(d)).collect();
        let mut named = candidates.iter().filter(|d| {
            d.platform.as_ref().is_some_and(|p| p.os == "kustomizer" && p.architecture == "yaml")
        });
        let chosen = match (candidates.as_slice(), named.next(), named.next()) {
            ([only], _, _) => *only,
            (_, Some(one), None) => *one,
            (several, _, _) => {
                return Err(OciError::invalid(format!(
                    "it is an image index with {} manifests, and none is marked as the configuration; push a single \
                     manifest, or set spec.ref.digest to the digest of one",
                    several.len()
                )));
            }
        };
        if INDEX_TYPES.contains(&chosen.media_type.as_str()) {
            return Err(OciError::invalid("it is an image index within an image index"));
        }
        digest(&chosen.digest)
    }
}

impl Manifest {
    /// The layer to unpack: the one of the wanted media type, else the first
    /// that is an archive or YAML.
    pub fn layer(&self, wanted: Option<&str>) -> Result<Layer, OciError> {
        if self.config_type == HELM_CONFIG {
            return Err(OciError::invalid(
                "it is a Helm chart; render it (helm template) and push the manifests instead",
            ));
        }
        let at = match wanted {
            Some(wanted) => self.layers.iter().position(|l| l.media_type == wanted),
            None => self.layers.iter().position(|l| is_content(&l.media_type)),
        };
        let Some((at, layer)) = at.and_then(|at| self.layers.get(at).map(|layer| (at, layer))) else {
            let mut types: Vec<_> =
                self.layers.iter().map(|l| l.media_type.chars().take(100).collect::<String>()).collect();
            types.dedup();
            let more = if types.len() > SHOWN { ", …" } else { "" };
            types.truncate(SHOWN);
            let found = if types.is_empty() { "no layers".to_owned() } else { types.join(", ") + more };
            let wanted = wanted.map_or("that is an archive or YAML".to_owned(), |w| format!("of type {w:?}"));
            return Err(OciError::invalid(format!("it has no layer {wanted}; it has {found}")));
        };
        let title = layer.annotations.as_ref().and_then(|a| a.get("org.opencontainers.image.title")).cloned();
        Ok(Layer { digest: digest(&layer.digest)?, size: layer.size, title, first: at == 0 })
    }
}

fn digest(text: &str) -> Result<Digest, OciError> {
    Digest::parse(text).map_err(|_| OciError::invalid("its manifest contains a malformed digest"))
}

/// Whether a layer of this type can hold manifests. Its real content is detected from its
/// first bytes.
fn is_content(media_type: &str) -> bool {
    let base = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if base.starts_with(HELM_CONTENT) {
        return false;
    }
    const SUFFIXES: [&str; 9] =
        [".tar", ".tar+gzip", ".tar.gzip", ".tar+gz", ".tar.gz", ".tar+zstd", ".tar.zstd", "yaml", ".yml"];
    const EXACT: [&str; 4] = [
        "application/x-tar",
        "application/gzip",
        "application/x-gzip",
        "application/vnd.cncf.flux.content.v1",
    ];
    SUFFIXES.iter().any(|s| base.ends_with(s)) || EXACT.contains(&base.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HEX: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn layer_of(manifest: &Value, wanted: Option<&str>) -> Result<u64, String> {
        match Document::parse(manifest.to_string().as_bytes()).map_err(|e| e.to_string())? {
            Document::Manifest(m) => m.layer(wanted).map(|l| l.size).map_err(|e| e.to_string()),
            Document::Index(_) => Err("an index".into()),
        }
    }

    fn with_layers(types: &[&str]) -> Value {
        let layers: Vec<_> = (1..)
            .zip(types)
            .map(|(size, media_type)| json!({"mediaType": media_type, "digest": HEX, "size": size}))
            .collect();
        json!({"schemaVersion": 2, "config": {"mediaType": "x", "digest": HEX, "size": 2}, "layers": layers})
    }

    #[test]
    fn the_layer_is_chosen_by_its_type() {
        let check = |types: &[&str], wanted: Option<&str>, expected: Option<u64>| {
            assert_eq!(layer_of(&with_layers(types), wanted).ok(), expected, "{types:?} {wanted:?}");
        };
        for content in [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+zstd",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.cncf.flux.content.v1.tar+gzip",
            "application/vnd.cncf.flux.content.v1.yaml",
            "application/vnd.cncf.flux.content.v1.yml",
            "application/vnd.cncf.flux.content.v1",
            "application/vnd.timoni.content.v1.tar+gzip",
            "application/yaml",
            "application/x-yaml; charset=utf-8",
            "text/yaml",
            "application/vnd.acme.manifests+yaml",
        ] {
            check(&["application/spdx+json", content], None, Some(2));
        }
        check(&["application/yaml", "text/yaml"], Some("text/yaml"), Some(2));
        check(&["application/yaml"], Some("text/yaml"), None);
        check(&["application/vnd.dev.cosign.simplesigning.v1+json"], None, None);
        check(&["application/vnd.cncf.helm.chart.content.v1.tar+gzip"], None, None);
        check(&[], None, None);
    }

    #[test]
    fn what_is_refused_says_what_it_is() {
        let check = |manifest: Value, says: &str| {
            let error = layer_of(&manifest, None).unwrap_err();
            assert!(error.contains(says), "{error:?} does not say {says:?}");
        };
        let with = |key: &str, value: Value| {
            let mut manifest = with_layers(&["application/yaml"]);
            manifest[key] = value;
            manifest
        };
        check(with("manifests", json!([])), "both layers and manifests");
        check(
            with("mediaType", json!("application/vnd.oci.image.index.v1+json")),
            "does not match its content",
        );
        check(with("schemaVersion", json!(1)), "docker schema 1");
        check(with("schemaVersion", json!(3)), "schemaVersion 3");
        check(json!({"schemaVersion": 2}), "neither layers nor manifests");
        check(json!([]), "not a JSON object");
        check(with("config", json!({"mediaType": HELM_CONFIG, "digest": HEX, "size": 2})), "Helm chart");
        check(
            with("layers", json!([{"mediaType": "text/yaml", "digest": "sha256:../../x", "size": 1}])),
            "malformed",
        );
        check(with("layers", json!([{"mediaType": "text/yaml", "digest": HEX, "size": -1}])), "not valid");
        check(with_layers(&["a/b", "c/d"]), "it has a/b, c/d");
    }

    #[test]
    fn an_index_has_one_content() {
        let child = |n: u8, extra: Value| {
            let mut child = json!({"mediaType": MANIFEST_TYPES[0], "digest": digest_of(n), "size": 1});
            for (key, value) in extra.as_object().unwrap() {
                child[key] = value.clone();
            }
            child
        };
        let check = |children: &[Value], expected: Result<u8, &str>| {
            let index = json!({"schemaVersion": 2, "manifests": children}).to_string();
            let Ok(Document::Index(index)) = Document::parse(index.as_bytes()) else { panic!("no index") };
            match (index.content(), expected) {
                (Ok(found), Ok(n)) => assert_eq!(found.as_str(), digest_of(n)),
                (Err(e), Err(says)) => assert!(e.to_string().contains(says), "{e}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        };
        let attestation = json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}});
        let unknown = json!({"platform": {"os": "unknown", "architecture": "unknown"}});
        let ours = json!({"platform": {"os": "kustomizer", "architecture": "yaml"}});
        let linux = json!({"platform": {"os": "linux", "architecture": "amd64"}});
        check(&[child(1, json!({}))], Ok(1));
        check(&[child(1, linux.clone()), child(2, attestation), child(3, unknown)], Ok(1));
        check(&[child(1, linux.clone()), child(2, ours.clone())], Ok(2));
        check(&[child(1, linux.clone()), child(2, linux)], Err("2 manifests"));
        check(&[child(1, ours.clone()), child(2, ours)], Err("2 manifests"));
        check(&[], Err("0 manifests"));
        check(&[child(1, json!({"mediaType": INDEX_TYPES[0]}))], Err("within an image index"));
    }

    fn digest_of(n: u8) -> String {
        format!("sha256:{}", n.to_string().repeat(64))
    }
}
