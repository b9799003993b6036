//! What the cases are made of: signatures by real cosign, and ways to edit them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use supercargo_testbed::evidence::{SIGN_PREDICATE, SigLayer};
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::sigstore::{OTHER_MAIL, Signing, WORKFLOW};
use supercargo_testbed::{Registry, Signer, Sigstore, processes};

use super::With;

const APP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: default}\n";
const OTHER: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other, namespace: default}\n";

/// The payload of a bundle.
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";
/// What signs without a key.
pub(super) const ALICE: &str = "alice@example.com";

/// The digests that there are in every repository.
#[derive(Clone)]
pub(super) struct Digests {
    pub(super) app: String,
    pub(super) index: String,
}

/// The app, and an index that lists it; the same digests everywhere.
pub(super) fn push_subjects(registry: &Registry, repository: &str) -> Digests {
    let app = registry.push_yaml(repository, "app", APP);
    let size = serde_json::to_vec(&registry.manifest(repository, &app)).expect("JSON").len();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let listed = json!({"mediaType": media_type, "digest": app, "size": size});
    Digests { index: registry.push_index(repository, "index", &[listed]), app }
}

type Sigs = BTreeMap<String, SigLayer>;
type Bundles = BTreeMap<String, Value>;

/// Signatures of the app, if nothing else is said.
pub(super) struct Material {
    pub(super) digests: Digests,
    /// The digest of another artifact.
    pub(super) other: String,
    /// A key of each kind.
    pub(super) signers: Vec<(Algorithm, Signer)>,
    /// One that nobody trusts.
    pub(super) stranger: Signer,
    sigs: Sigs,
    bundles: Bundles,
    pub(super) sigstore: &'static Sigstore,
    /// Another Sigstore.
    pub(super) foreign: Sigstore,
}

impl Material {
    /// Signs everything, on this registry.
    pub(super) fn make(registry: &Registry) -> Material {
        let digests = push_subjects(registry, "material");
        let other = registry.push_yaml("material", "other", OTHER);
        let signers = Algorithm::ALL.map(|algorithm| (algorithm, Signer::new(algorithm))).into();
        let material = Material {
            digests,
            other,
            signers,
            stranger: Signer::new(Algorithm::P256),
            sigs: Sigs::new(),
            bundles: Bundles::new(),
            sigstore: Sigstore::shared(),
            foreign: Sigstore::start(),
        };
        // The log of Rekor takes its time over each signature.
        let ((sigs, mut bundles), keyless) = std::thread::scope(|scope| {
            let keys = scope.spawn(|| material.sign_with_keys(registry));
            let keyless = material.sign_without_keys(registry);
            (keys.join().expect("cosign signs"), keyless)
        });
        bundles.extend(keyless);
        Material { sigs, bundles, ..material }
    }

    /// The key that most cases trust.
    pub(super) fn signer(&self) -> &Signer {
        &self.signers[0].1
    }

    /// Trust in that key.
    pub(super) fn key(&self) -> With {
        With::Key { file: self.signer().public(), hash: "sha256" }
    }

    /// A signature of the older format, by its name.
    pub(super) fn sig(&self, name: &str) -> SigLayer {
        self.sigs.get(name).unwrap_or_else(|| panic!("no signature {name}")).clone()
    }

    /// A bundle, by its name.
    pub(super) fn bundle(&self, name: &str) -> Value {
        self.bundles.get(name).unwrap_or_else(|| panic!("no bundle {name}")).clone()
    }

    fn sign_with_keys(&self, registry: &Registry) -> (Sigs, Bundles) {
        let (app, index, other) = (self.digests.app.clone(), self.digests.index.clone(), self.other.clone());
        let (mut sigs, mut bundles) = (Sigs::new(), Bundles::new());
        let mut sign = |name: &str, signer: &Signer, digest: &str, format: Format, more: &[&str]| {
            let repository = subjects_for(registry, &format!("{name}-{format:?}"));
            let reference = format!("{}/{repository}@{digest}", registry.host());
            signer.sign(registry, &reference, format, more);
            match format {
                Format::Sig => {
                    let layers = registry.sig_layers(&repository, digest);
                    drop(sigs.insert(name.to_owned(), layers[0].clone()));
                }
                Format::Bundle => {
                    let found = registry.bundles(&repository, digest);
                    drop(bundles.insert(name.to_owned(), found[0].clone()));
                }
            }
        };
        for format in [Format::Sig, Format::Bundle] {
            for (algorithm, signer) in &self.signers {
                sign(&format!("{algorithm:?}"), signer, &app, format, &[]);
            }
            let signer = &self.signers[0].1;
            sign("stranger", &self.stranger, &app, format, &[]);
            sign("other", signer, &other, format, &[]);
            sign("index", signer, &index, format, &[]);
            sign("annotated", signer, &app, format, &["-a", "team=a"]);
        }
        let elsewhere = ["--sign-container-identity", "registry.example.com/elsewhere"];
        sign("elsewhere", &self.signers[0].1, &app, Format::Sig, &elsewhere);
        bundles.insert("attestation".into(), attest(registry, self.signer(), &app));
        (sigs, bundles)
    }

    fn sign_without_keys(&self, registry: &Registry) -> Bundles {
        let sigstore = self.sigstore;
        let workflow = sigstore.workflow("team/release.yaml");
        let alice = Signing::person(ALICE);
        let (app, other) = (self.digests.app.clone(), self.other.clone());
        let mut bundles = Bundles::new();
        let mut sign = |name: &str, by: &Sigstore, digest: &str, signing: Signing<'_>| {
            let repository = subjects_for(registry, name);
            by.sign(registry, &format!("{}/{repository}@{digest}", registry.host()), &signing);
            bundles.insert(name.to_owned(), registry.bundles(&repository, digest)[0].clone());
        };
        sign("alice", sigstore, &app, alice);
        sign("alice-again", sigstore, &app, alice);
        sign("alice-other", sigstore, &other, alice);
        sign("bob", sigstore, &app, Signing::person("bob@example.com"));
        sign("dotted", sigstore, &app, Signing::person("alice@mail-example.com"));
        sign("other-issuer", sigstore, &app, Signing { issuer: OTHER_MAIL, ..alice });
        sign("workflow", sigstore, &app, Signing { issuer: WORKFLOW, subject: &workflow, ..alice });
        sign("no-log", sigstore, &app, Signing { log: false, ..alice });
        sign("foreign", &self.foreign, &app, alice);
        for (name, shift) in [("in-time", "1s"), ("late", "1h"), ("early", "-4m")] {
            let mut bundle = bundles["alice"].clone();
            let stamp = sigstore.timestamp(&decode(&bundle["dsseEnvelope"]["signatures"][0]["sig"]), shift);
            let stamps = json!({"rfc3161Timestamps": [{"signedTimestamp": STANDARD.encode(stamp)}]});
            bundle["verificationMaterial"]["timestampVerificationData"] = stamps;
            bundles.insert(name.to_owned(), bundle);
        }
        bundles
    }

    /// A bundle that no cosign makes: this payload of that type, signed well.
    pub(super) fn forge(&self, signer: &Signer, kind: &str, payload: &[u8]) -> Value {
        let mut signed = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
        signed.extend(payload);
        let mut bundle = self.bundle("P256");
        bundle["dsseEnvelope"] = json!({
            "payload": STANDARD.encode(payload),
            "payloadType": kind,
            "signatures": [{"sig": STANDARD.encode(signer.sign_bytes(&signed))}],
        });
        bundle
    }

    /// A signature of the older format that no cosign makes.
    pub(super) fn forge_sig(&self, signer: &Signer, payload: &[u8]) -> SigLayer {
        let mut layer = self.sig("P256");
        let signature = STANDARD.encode(signer.sign_bytes(payload));
        layer.annotations.insert(SIGNATURE.into(), json!(signature));
        layer.payload = payload.to_vec();
        layer
    }

    /// What cosign signs in a bundle.
    pub(super) fn statement(&self, digests: &[&str]) -> Value {
        let subject = |digest: &&str| json!({"digest": {"sha256": digest.trim_start_matches("sha256:")}});
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": digests.iter().map(subject).collect::<Vec<_>>(),
            "predicateType": SIGN_PREDICATE,
            "predicate": {},
        })
    }
}

/// Where the older format keeps its signature.
pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The bytes of a base64 string inside.
pub(super) fn decode(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("a string")).expect("base64")
}

/// Replaces base64 by that of its bytes with one bit of the last byte turned.
pub(super) fn flip(value: &mut Value) {
    let mut bytes = decode(value);
    *bytes.last_mut().expect("it is not empty") ^= 1;
    *value = json!(STANDARD.encode(bytes));
}

// A repository with everything that is signed.
fn subjects_for(registry: &Registry, name: &str) -> String {
    let repository = format!("material/{}", name.to_lowercase());
    push_subjects(registry, &repository);
    registry.push_yaml(&repository, "other", OTHER);
    repository
}

fn attest(registry: &Registry, signer: &Signer, digest: &str) -> Value {
    let repository = subjects_for(registry, "attestation");
    let predicate = processes::directory("predicate").join("predicate.json");
    std::fs::write(&predicate, r#"{"scanner": "nothing found"}"#).expect("write a file");
    let reference = format!("{}/{repository}@{digest}", registry.host());
    signer.attest(registry, &reference, "https://example.com/scan/v1", &predicate);
    registry.bundles(&repository, digest)[0].clone()
}
