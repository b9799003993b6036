//! What an artifact consists of, and what of it is used: for people.

use super::kind::{ArtifactKind, TITLE};
use super::layout::{Layer, Manifest, shown};
use crate::oci::limits::MAX_LAYERS;

/// What an artifact consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Composition {
    /// What has made it.
    pub kind: ArtifactKind,
    /// Its type, as the manifest says, or the one of its config.
    pub media_type: String,
    /// The manifest of an image index that is used, and why that one.
    pub child: Option<String>,
    /// Its layers, the first of them if there are many.
    pub layers: Vec<LayerUse>,
    /// How many layers are not listed.
    pub more_layers: usize,
    /// How many layers could have manifests, and are not used because one layer is.
    pub unused_layers: usize,
}

/// A layer of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerUse {
    /// Its digest, as the manifest says.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes, as it is stored.
    pub size: u64,
    /// Its file or directory.
    pub title: Option<String>,
    /// Whether its content is used.
    pub is_used: bool,
}

impl Composition {
    /// Whether it is what Supercargo and Kustomizer push: one layer, which is used.
    pub fn is_usual(&self) -> bool {
        let is_ours = matches!(self.kind, ArtifactKind::Supercargo | ArtifactKind::Kustomizer);
        is_ours && self.child.is_none() && matches!(self.layers.as_slice(), [only] if only.is_used)
    }

    /// Which layers are used after all, and how many are not.
    pub(in crate::oci) fn settle(&mut self, used: &[Layer], unused: usize) {
        for (at, layer) in self.layers.iter_mut().enumerate() {
            layer.is_used = used.iter().any(|used| used.position == at + 1);
        }
        self.unused_layers = unused;
    }

    /// That of a manifest of which these layers are used.
    pub(in crate::oci) fn of(manifest: &Manifest, child: Option<String>, used: &[Layer]) -> Self {
        let layers = manifest.layers.iter().take(MAX_LAYERS).enumerate().map(|(at, layer)| LayerUse {
            digest: shown(&layer.digest),
            media_type: shown(&layer.media_type),
            size: layer.size,
            title: layer.annotation(TITLE).map(shown),
            is_used: used.iter().any(|layer| layer.position == at + 1),
        });
        let layers: Vec<LayerUse> = layers.collect();
        let stated = manifest.artifact_type.as_deref().filter(|stated| !stated.is_empty());
        Self {
            kind: manifest.kind(),
            media_type: shown(stated.unwrap_or(&manifest.config_type)),
            child,
            more_layers: manifest.layers.len() - layers.len(),
            unused_layers: 0,
            layers,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::oci::artifact::layout::Document;

    #[test]
    fn the_manifest_says_what_has_made_it() {
        let check = |config: &str, extra: Value, layer: Value, expected: ArtifactKind| {
            let digest = format!("sha256:{}", "a".repeat(64));
            let config = json!({"mediaType": config, "digest": digest, "size": 2});
            let layer = json!({"mediaType": "x", "digest": digest, "size": 2, "annotations": layer});
            let mut manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
            for (key, value) in extra.as_object().unwrap() {
                manifest[key] = value.clone();
            }
            let Ok(Document::Manifest(manifest)) = Document::parse(manifest.to_string().as_bytes()) else {
                panic!("no manifest")
            };
            assert_eq!(manifest.kind(), expected, "{config}");
        };
        let docker = "application/vnd.docker.container.image.v1+json";
        let image = "application/vnd.oci.image.config.v1+json";
        let (empty, timoni) = ("application/vnd.oci.empty.v1+json", "application/vnd.timoni.config.v1+json");
        let none = || json!({});
        let title = || json!({TITLE: "a.yaml"});
        check(
            docker,
            json!({"annotations": {"kustomizer.dev/checksum": "x"}}),
            none(),
            ArtifactKind::Kustomizer,
        );
        let both = json!({"annotations": {"kustomizer.dev/checksum": "x", "supercargo.dev/checksum": "x"}});
        check(image, both, none(), ArtifactKind::Supercargo);
        check(docker, none(), none(), ArtifactKind::Docker);
        check(image, none(), none(), ArtifactKind::Image);
        check(image, none(), title(), ArtifactKind::Files);
        check(empty, json!({"artifactType": "application/vnd.acme+json"}), title(), ArtifactKind::Files);
        check(empty, none(), none(), ArtifactKind::Other);
        check("application/vnd.cncf.flux.config.v1+json", none(), none(), ArtifactKind::Flux);
        check(
            empty,
            json!({"artifactType": "application/vnd.cncf.flux.config.v1+json"}),
            none(),
            ArtifactKind::Flux,
        );
        check("application/vnd.cncf.helm.config.v1+json", none(), none(), ArtifactKind::Helm);
        check(timoni, none(), none(), ArtifactKind::Timoni);
        check(timoni, none(), json!({"sh.timoni.content.type": "module"}), ArtifactKind::TimoniModule);
    }
}
