//! Signatures as they lie in a registry: reading them, and putting others there.
//!
//! cosign keeps them in two ways: the older in the layers of an image under the
//! tag `sha256-HEX.sig`, the newer (a Sigstore bundle) in a manifest that refers to
//! what it signs. A registry without the referrers API has those in an index under
//! the tag `sha256-HEX`, which the client that pushes keeps.

use serde_json::{Map, Value, json};

use crate::Registry;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const ACCEPT: [(&str, &str); 2] = [("accept", MANIFEST), ("accept", INDEX)];

/// The media type of a Sigstore bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The media type of the older format's payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The predicate of a signature in a bundle.
pub const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// One signature of the older format.
#[derive(Debug, Clone)]
pub struct SigLayer {
    /// What is signed: JSON that names the digest.
    pub payload: Vec<u8>,
    /// `dev.cosignproject.cosign/signature` and the like.
    pub annotations: Map<String, Value>,
}

/// The tag of a digest: `sha256-HEX` and what follows.
pub fn tag(digest: &str, suffix: &str) -> String {
    format!("{}{suffix}", digest.replace(':', "-"))
}

impl Registry {
    /// A manifest or an index.
    pub fn manifest(&self, repository: &str, reference: &str) -> Value {
        self.try_manifest(repository, reference)
            .unwrap_or_else(|| panic!("no manifest {repository}:{reference}"))
    }

    /// The same, or nothing where there is none.
    pub fn try_manifest(&self, repository: &str, reference: &str) -> Option<Value> {
        let answer = self.send("GET", &format!("/v2/{repository}/manifests/{reference}"), &ACCEPT, &[]);
        (answer.code == 200).then(|| serde_json::from_slice(&answer.body).expect("a manifest is JSON"))
    }

    /// A blob.
    pub fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        let answer = self.send("GET", &format!("/v2/{repository}/blobs/{digest}"), &[], &[]);
        assert_eq!(answer.code, 200, "{repository}@{digest}: {}", answer.text());
        answer.body.to_vec()
    }

    /// The descriptors of what refers to a digest.
    pub fn referrers(&self, repository: &str, digest: &str) -> Vec<Value> {
        let index = if self.has_referrers() {
            let answer = self.send("GET", &format!("/v2/{repository}/referrers/{digest}"), &[], &[]);
            serde_json::from_slice(&answer.body).expect("the API answers with an index")
        } else {
            self.try_manifest(repository, &tag(digest, "")).unwrap_or_default()
        };
        index["manifests"].as_array().cloned().unwrap_or_default()
    }

    /// The Sigstore bundles of a digest.
    pub fn bundles(&self, repository: &str, digest: &str) -> Vec<Value> {
        let of = |descriptor: &Value| {
            let manifest = self.manifest(repository, descriptor["digest"].as_str()?);
            let layer = &manifest["layers"][0];
            (layer["mediaType"] == BUNDLE).then(|| {
                let bytes = self.blob(repository, layer["digest"].as_str().expect("a digest"));
                serde_json::from_slice(&bytes).expect("a bundle is JSON")
            })
        };
        self.referrers(repository, digest).iter().filter_map(of).collect()
    }

    /// Attaches a bundle to a digest, as cosign does; whatever the bundle says.
    pub fn attach_bundle(&self, repository: &str, digest: &str, bundle: &Value) {
        let annotations = json!({
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": SIGN_PREDICATE,
        });
        self.attach(repository, digest, BUNDLE, bundle.to_string().as_bytes(), &annotations);
    }

    /// Attaches anything to a digest, and returns the digest of the manifest that refers
    /// to it.
    pub fn attach(
        &self,
        repository: &str,
        digest: &str,
        kind: &str,
        bytes: &[u8],
        annotations: &Value,
    ) -> String {
        let subject = self.send("GET", &format!("/v2/{repository}/manifests/{digest}"), &ACCEPT, &[]);
        assert_eq!(subject.code, 200, "{repository}@{digest}: {}", subject.text());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": kind,
            "config": {"mediaType": EMPTY, "digest": self.push_blob(repository, b"{}"), "size": 2},
            "layers": [{"mediaType": kind, "digest": self.push_blob(repository, bytes), "size": bytes.len()}],
            "subject": {
                "mediaType": subject.header("content-type").expect("the registry says what it is"),
                "digest": digest,
                "size": subject.body.len(),
            },
            "annotations": annotations,
        });
        let name = crate::registry::digest(&serde_json::to_vec(&manifest).expect("JSON"));
        self.push_manifest(repository, &name, &manifest);
        if !self.has_referrers() {
            let descriptor = json!({
                "mediaType": MANIFEST, "digest": name, "size": manifest.to_string().len(),
                "artifactType": kind, "annotations": annotations,
            });
            let mut all = self.referrers(repository, digest);
            all.push(descriptor);
            self.push_index(repository, &tag(digest, ""), &all);
        }
        name
    }

    /// Pushes an index of these descriptors.
    pub fn push_index(&self, repository: &str, tag: &str, manifests: &[Value]) -> String {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.push_manifest(repository, tag, &index)
    }

    /// The signatures of the older format that a digest has.
    pub fn sig_layers(&self, repository: &str, digest: &str) -> Vec<SigLayer> {
        let Some(manifest) = self.try_manifest(repository, &tag(digest, ".sig")) else {
            return Vec::new();
        };
        let layers = manifest["layers"].as_array().expect("an image has layers");
        let read = |layer: &Value| SigLayer {
            payload: self.blob(repository, layer["digest"].as_str().expect("a digest")),
            annotations: layer["annotations"].as_object().cloned().unwrap_or_default(),
        };
        layers.iter().map(read).collect()
    }

    /// Puts an image of these signatures in the place of what is there.
    pub fn push_sig_layers(&self, repository: &str, digest: &str, layers: &[SigLayer]) {
        let descriptor = |layer: &SigLayer| {
            json!({
                "mediaType": SIMPLE_SIGNING,
                "digest": self.push_blob(repository, &layer.payload),
                "size": layer.payload.len(),
                "annotations": layer.annotations,
            })
        };
        let descriptors: Vec<Value> = layers.iter().map(descriptor).collect();
        let diffs: Vec<&Value> = descriptors.iter().map(|layer| &layer["digest"]).collect();
        let config = json!({
            "architecture": "", "os": "", "created": "0001-01-01T00:00:00Z", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.push_blob(repository, config.as_bytes()),
                "size": config.len(),
            },
            "layers": descriptors,
        });
        self.push_manifest(repository, &tag(digest, ".sig"), &manifest);
    }
}
