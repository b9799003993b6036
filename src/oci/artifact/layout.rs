//! The shape of manifests and indexes, and which part is the configuration. Pure: bytes
//! in, descriptors out.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::kind::{ArtifactKind, Marks, TITLE};
use super::unpack::LayerHint;
use crate::domain::message::List;
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_LAYERS, MAX_TITLE_BYTES};
use crate::oci::reference::Digest;

/// Every manifest type in `Accept`. Without it a registry may answer with docker schema
/// 1, or with an error.
pub(in crate::oci) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

const MANIFEST_TYPES: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
pub(super) const INDEX_TYPES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// The annotation of a layer that oras has made of a directory.
pub(super) const UNPACK: &str = "io.deis.oras.content.unpack";
const HELM_CONTENT: &str = "application/vnd.cncf.helm.chart.";
/// The layer of a chart with its files. Other layers, such as the provenance file, are no content.
const HELM_CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
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
    pub(super) platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
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
    artifact_type: Option<String>,
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
    pub(super) config_type: String,
    pub(super) artifact_type: Option<String>,
    pub layers: Vec<RawDescriptor>,
    /// The digest of its subject, as written.
    pub subject: Option<String>,
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests.
pub(in crate::oci) struct Index(pub Vec<RawDescriptor>);

/// A layer that was chosen.
#[derive(Clone, Debug)]
pub(in crate::oci) struct Layer {
    pub digest: Digest,
    pub size: u64,
    pub title: Option<String>,
    /// Its place among all layers, from 1. Checksum annotations are about the first: their writers
    /// know only that one.
    pub position: usize,
    /// Place and digest, for messages.
    pub name: String,
    /// What the manifest says that it is.
    pub hint: LayerHint,
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
                artifact_type: raw.artifact_type,
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

impl Document {
    /// The same for the manifest or index of an artifact, which lists no more than is of use.
    pub fn content(bytes: &[u8]) -> Result<Self, OciError> {
        super::count::check(bytes)?;
        Self::parse(bytes)
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

impl Manifest {
    /// The layers to unpack, in their order: those of the wanted media type, else those that are an
    /// archive or YAML; only the first of them, unless all are wanted.
    pub fn chosen(&self, wanted: Option<&str>, all: bool) -> Result<Vec<Layer>, OciError> {
        let kind = self.kind();
        if kind == ArtifactKind::Helm {
            return self.chart(wanted);
        }
        if kind == ArtifactKind::TimoniModule {
            return Err(OciError::invalid(
                "it is a Timoni module; build it (timoni build) and push the manifests instead",
            ));
        }
        let mut places = self.matching(wanted);
        if !all {
            // Files of other kinds may come with the manifests, with the media type of an archive.
            let named = |at: &usize| self.layers.get(*at).is_none_or(|layer| !is_other_file(layer));
            let first = places.iter().copied().find(named).or(places.first().copied());
            places = first.into_iter().collect();
        }
        if places.is_empty() {
            return Err(OciError::invalid(format!(
                "it is {kind}, and has no layer {}",
                self.missing(wanted)
            )));
        }
        if places.len() > MAX_LAYERS {
            let why = format!(
                "it has {} layers with content, more than {MAX_LAYERS}; push fewer layers, or set layers: First",
                places.len()
            );
            return Err(OciError::too_large(why));
        }
        let layers = places.into_iter().filter_map(|at| self.layers.get(at).map(|layer| (at, layer)));
        layers.map(|(at, layer)| Layer::of(at, layer, wanted)).collect()
    }

    /// The layer of a chart.
    fn chart(&self, wanted: Option<&str>) -> Result<Vec<Layer>, OciError> {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != HELM_CHART) {
            return Err(OciError::Spec(format!(
                "it is a Helm chart, which has its files in the layer {HELM_CHART}; remove layerSelector ({wanted})"
            )));
        }
        let mut charts = self.layers.iter().enumerate().filter(|(_, layer)| layer.media_type == HELM_CHART);
        match (charts.next(), charts.next()) {
            (Some((at, layer)), None) => Ok(vec![Layer::of(at, layer, None)?]),
            (Some(_), Some(_)) => Err(OciError::invalid("it is a Helm chart with several layers of files")),
            (None, _) => Err(OciError::invalid(format!(
                "it has the configuration of a Helm chart, and no layer {HELM_CHART}"
            ))),
        }
    }

    /// The layers after the only one that is chosen, in their order: they take its place where it has no
    /// files.
    pub fn others(&self, wanted: Option<&str>, chosen: &[Layer]) -> Vec<Layer> {
        if self.kind() == ArtifactKind::Helm {
            return Vec::new();
        }
        let after = chosen.last().map_or(0, |layer| layer.position);
        let later = self.matching(wanted).into_iter().filter(|at| *at >= after);
        let layers = later.filter_map(|at| self.layers.get(at).map(|layer| (at, layer)));
        let usable = layers.filter(|(_, layer)| !is_other_file(layer));
        usable.filter_map(|(at, layer)| Layer::of(at, layer, wanted).ok()).take(MAX_LAYERS).collect()
    }

    /// What has made it.
    pub fn kind(&self) -> ArtifactKind {
        ArtifactKind::of(&Marks {
            types: [self.artifact_type.as_deref().unwrap_or_default(), &self.config_type],
            is_noted: |key: &str| self.annotations.contains_key(key),
            of_layers: |key| self.layers.iter().filter_map(move |layer| layer.annotation(key)),
        })
    }

    /// The places of the layers that can be unpacked.
    fn matching(&self, wanted: Option<&str>) -> Vec<usize> {
        let is_one = |layer: &RawDescriptor| match wanted {
            Some(wanted) => layer.media_type == wanted,
            None => is_content(&layer.media_type),
        };
        let matching = self.layers.iter().enumerate().filter(|(_, layer)| is_one(layer));
        matching.map(|(at, _)| at).collect()
    }

    /// Which layer is missing, which are there, and what to do.
    fn missing(&self, wanted: Option<&str>) -> String {
        let mut types: Vec<String> = Vec::new();
        for layer in &self.layers {
            let shown = shown(&layer.media_type);
            if !types.contains(&shown) && types.len() <= MAX_LAYERS {
                types.push(shown);
            }
        }
        let found = match types.is_empty() {
            true => "no layers".to_owned(),
            false => List::Names.few(&types, SHOWN),
        };
        match wanted {
            Some(wanted) => format!("of type {wanted:?}; it has {found}"),
            None if types.is_empty() => format!("that is an archive or YAML; it has {found}"),
            None => format!(
                "that is an archive or YAML; it has {found}; if one of them is, name it in layerSelector.mediaType"
            ),
        }
    }
}

impl Layer {
    fn of(at: usize, layer: &RawDescriptor, wanted: Option<&str>) -> Result<Self, OciError> {
        let digest = digest(&layer.digest)?;
        let title = layer.annotation(TITLE);
        if let Some(long) = title.filter(|title| title.len() > MAX_TITLE_BYTES) {
            return Err(OciError::invalid(format!(
                "the title of layer {} has {} bytes, more than {MAX_TITLE_BYTES}",
                at + 1,
                long.len()
            )));
        }
        Ok(Self {
            name: format!("layer {} ({digest})", at + 1),
            digest,
            size: layer.size,
            title: title.map(str::to_owned),
            position: at + 1,
            hint: hint(layer, wanted),
        })
    }
}

impl RawDescriptor {
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// Text from a manifest as a message shows it.
pub(super) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// The extensions of manifests.
const MANIFESTS: [&str; 4] = ["yaml", "yml", "json", "age"];
/// The extensions of archives, which may hold manifests.
const ARCHIVES: [&str; 5] = ["tar", "tgz", "gz", "zst", "zstd"];

/// The extension of the file that is a layer: `oras push` gives every file the media type of an archive.
fn extension(layer: &RawDescriptor) -> Option<&str> {
    let is_directory = layer.annotation(UNPACK) == Some("true");
    let file = layer.annotation(TITLE).filter(|_| !is_directory)?.rsplit('/').next()?;
    file.rsplit_once('.').map(|(_, extension)| extension)
}

/// Whether a layer is a file that is no manifest, by its title.
fn is_other_file(layer: &RawDescriptor) -> bool {
    extension(layer).is_some_and(|name| !MANIFESTS.contains(&name) && !ARCHIVES.contains(&name))
}

/// What a layer is, as its manifest and the selection say.
fn hint(layer: &RawDescriptor, wanted: Option<&str>) -> LayerHint {
    let is_selected = wanted.is_some_and(|wanted| !is_content(wanted));
    let is_file = extension(layer).is_some_and(|name| !MANIFESTS.contains(&name));
    match () {
        () if is_selected || is_yaml(&layer.media_type) => LayerHint::Manifests,
        // A selected type of archive means all of them.
        () if is_file && (wanted.is_none() || is_other_file(layer)) => LayerHint::OtherFile,
        () => LayerHint::Content,
    }
}

pub(super) fn digest(text: &str) -> Result<Digest, OciError> {
    Digest::parse(text).map_err(|_| OciError::invalid("its manifest contains a malformed digest"))
}

/// A media type without its parameters.
fn base(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type names YAML.
fn is_yaml(media_type: &str) -> bool {
    ["yaml", ".yml"].iter().any(|suffix| base(media_type).ends_with(suffix))
}

/// Whether a layer of this type can hold manifests. Its real content is detected from its
/// first bytes.
fn is_content(media_type: &str) -> bool {
    let base = base(media_type);
    if base.starts_with(HELM_CONTENT) {
        return false;
    }
    const SUFFIXES: [&str; 7] =
        [".tar", ".tar+gzip", ".tar.gzip", ".tar+gz", ".tar.gz", ".tar+zstd", ".tar.zstd"];
    const EXACT: [&str; 5] = [
        "application/x-tar",
        "application/gzip",
        "application/x-gzip",
        "application/vnd.cncf.flux.content.v1",
        "application/vnd.cncf.flux.content.v1.json",
    ];
    is_yaml(&base) || SUFFIXES.iter().any(|s| base.ends_with(s)) || EXACT.contains(&base.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::artifact::composition::Composition;

    const HEX: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn layer_of(manifest: &Value, wanted: Option<&str>) -> Result<u64, String> {
        match Document::parse(manifest.to_string().as_bytes()).map_err(|e| e.to_string())? {
            Document::Manifest(m) => {
                m.chosen(wanted, false).map(|layers| layers[0].size).map_err(|e| e.to_string())
            }
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
            "application/vnd.cncf.flux.content.v1.json",
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
    fn all_layers_with_content_are_chosen_in_their_order() {
        let tar = "application/vnd.oci.image.layer.v1.tar";
        let check = |types: &[(&str, &str)], wanted: Option<&str>, all: bool, expected: &[usize]| {
            let names: Vec<&str> = types.iter().map(|(media_type, _)| *media_type).collect();
            let mut manifest = with_layers(&names);
            for (layer, (_, title)) in manifest["layers"].as_array_mut().unwrap().iter_mut().zip(types) {
                layer["annotations"] = match title.strip_suffix('/') {
                    Some(directory) => json!({TITLE: directory, UNPACK: "true"}),
                    None if title.is_empty() => json!({}),
                    None => json!({TITLE: title}),
                };
            }
            let Ok(Document::Manifest(manifest)) = Document::parse(manifest.to_string().as_bytes()) else {
                panic!("no manifest")
            };
            let layers = manifest.chosen(wanted, all).unwrap();
            let places: Vec<usize> = layers.iter().map(|layer| layer.position).collect();
            assert_eq!(places, expected, "{types:?} {wanted:?}");
        };
        let yaml = "text/yaml";
        check(&[("a/b", ""), (tar, ""), (yaml, "")], None, true, &[2, 3]);
        check(&[("a/b", ""), (tar, ""), (yaml, "")], None, false, &[2]);
        check(&[(yaml, ""), (tar, ""), (yaml, "")], Some(yaml), true, &[1, 3]);
        check(&[("a/b", ""), ("a/b", "")], Some("a/b"), true, &[1, 2]);
        // oras gives every file the type of an archive: its name says that it is no manifest.
        check(
            &[(tar, "README.md"), (tar, "x/logo.png"), (tar, "app.yaml"), (tar, "b.yaml")],
            None,
            false,
            &[3],
        );
        check(&[(tar, "README.md"), (tar, "app.yaml")], None, true, &[1, 2]);
        check(&[(tar, "README.md"), (tar, "app-1.2/")], None, false, &[2]);
        check(&[(tar, "README.md"), (tar, "Kustomization")], None, false, &[2]);
        check(&[(tar, "README.md"), (tar, "LICENSE.md")], None, false, &[1]);
    }

    #[test]
    fn a_layer_is_what_its_type_and_title_say() {
        let (tar, yaml) = ("application/vnd.oci.image.layer.v1.tar", "application/yaml");
        let check = |media_type: &str, title: &str, wanted: Option<&str>, expected: LayerHint| {
            let mut manifest = with_layers(&[media_type]);
            manifest["layers"][0]["annotations"] = match title.strip_suffix('/') {
                Some(directory) => json!({TITLE: directory, UNPACK: "true"}),
                None if title.is_empty() => json!({}),
                None => json!({TITLE: title}),
            };
            let Ok(Document::Manifest(manifest)) = Document::parse(manifest.to_string().as_bytes()) else {
                panic!("no manifest")
            };
            let layers = manifest.chosen(wanted, true).unwrap();
            assert_eq!(layers[0].hint, expected, "{media_type} {title:?} {wanted:?}");
        };
        check(tar, "", None, LayerHint::Content);
        check(tar, "a.yaml", None, LayerHint::Content);
        check(tar, "app", None, LayerHint::Content);
        check(tar, "app-1.2/", None, LayerHint::Content);
        check(tar, "README.md", None, LayerHint::OtherFile);
        check(tar, "x/chart.tgz", None, LayerHint::OtherFile);
        check(tar, "chart.tgz", Some(tar), LayerHint::Content);
        check(tar, "README.md", Some(tar), LayerHint::OtherFile);
        check(yaml, "app.conf", None, LayerHint::Manifests);
        check(yaml, "", Some(yaml), LayerHint::Manifests);
        check("a/b", "app", Some("a/b"), LayerHint::Manifests);
    }

    #[test]
    fn two_thousand_layers_are_too_many_to_merge() {
        let manifest = with_layers(&["text/yaml"; 2000]).to_string();
        let Ok(Document::Manifest(manifest)) = Document::parse(manifest.as_bytes()) else {
            panic!("no manifest")
        };
        let says = "it has 2000 layers with content, more than 128; push fewer layers, or set layers: First";
        assert!(manifest.chosen(None, true).unwrap_err().to_string().contains(says));
        assert_eq!(manifest.chosen(None, false).unwrap().len(), 1);
        let composition = Composition::of(&manifest, None, &[]);
        assert_eq!((composition.layers.len(), composition.more_layers), (MAX_LAYERS, 2000 - MAX_LAYERS));
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
        check(
            with(
                "config",
                json!({"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": HEX, "size": 2}),
            ),
            "Helm chart",
        );
        check(
            with("layers", json!([{"mediaType": "text/yaml", "digest": "sha256:../../x", "size": 1}])),
            "malformed",
        );
        check(with("layers", json!([{"mediaType": "text/yaml", "digest": HEX, "size": -1}])), "not valid");
        check(
            with_layers(&["a/b", "c/d"]),
            "it has a/b, c/d; if one of them is, name it in layerSelector.mediaType",
        );
    }
}
