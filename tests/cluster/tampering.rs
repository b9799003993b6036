//! No bit of a signature that matters can be turned. cosign signs, every single bit
//! is turned, and every turned copy is judged.

use serde_json::Value;
use supercargo::domain::verify::evidence::{Content, Evidence, Found, SimpleSigning};
use supercargo::domain::verify::judge::{Subject, judge};
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::{Policy, Trust, TrustedAuthority};
use supercargo::domain::verify::proof::Proof;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::{Profiles, Registry, Signer, story};

const PROFILES: Profiles = Profiles::First("what is trusted is decided before any right is used");

const YAML: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n";
const REPOSITORY: &str = "registry.example.com/app";

/// One signed artifact, and who is trusted.
struct Signed {
    digest: String,
    policy: Policy,
}

impl Signed {
    fn new(digest: &str, trust: Trust) -> Self {
        let authorities = vec![TrustedAuthority { name: "signer".to_owned(), trust }];
        let origin = "spec.verify".to_owned();
        let policy = Policy { origin, authorities, threshold: 1, match_reference: false };
        Signed { digest: digest.to_owned(), policy }
    }

    fn by(digest: &str, signer: &Signer) -> Self {
        let key = PublicKey::parse("cosign.pub", signer.public_pem().as_bytes()).expect("a public key");
        Signed::new(digest, Trust::Keys(vec![key]))
    }

    fn judge(&self, content: Content) -> Option<Proof> {
        let found = vec![Found { place: "here".to_owned(), content }];
        let evidence = Evidence { found, ..Evidence::default() };
        judge(&self.policy, Subject { repository: REPOSITORY, digest: &self.digest }, &evidence).ok()
    }

    /// Turns every bit of `bytes`. Where a bit lies within one of the texts that
    /// matter, nothing may count any more; elsewhere it may, and say the same.
    fn turn(&self, name: &str, bytes: &[u8], matters: &[&str], content: impl Fn(Vec<u8>) -> Content) {
        let good = self.judge(content(bytes.to_vec()));
        assert!(good.is_some(), "{name}: cosign's own counts");
        let text = std::str::from_utf8(bytes).expect("JSON is text");
        let place = |part: &&str| {
            let start = text.find(part).unwrap_or_else(|| panic!("{name}: no {part}"));
            start..start + part.len()
        };
        let places: Vec<_> = matters.iter().map(place).collect();
        for at in 0..bytes.len() {
            let matters = places.iter().any(|place| place.contains(&at));
            for bit in 0..8 {
                let mut turned = bytes.to_vec();
                turned[at] ^= 1 << bit;
                if let Some(proof) = self.judge(content(turned)) {
                    assert!(!matters, "{name}: byte {at}, bit {bit} is turned, and it counts");
                    assert_eq!(
                        Some(&proof),
                        good.as_ref(),
                        "{name}: byte {at}, bit {bit} changes what is said"
                    );
                }
            }
        }
    }
}

fn text<'v>(bundle: &'v Value, pointer: &str) -> &'v str {
    bundle.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}"))
}

#[story]
fn no_bit_of_a_signature_by_a_key_can_be_turned() {
    let registry = Registry::with_referrers();
    for algorithm in [Algorithm::P256, Algorithm::P384, Algorithm::P521, Algorithm::Rsa2048] {
        let name = format!("{algorithm:?}").to_lowercase();
        let digest = registry.push_yaml(&name, "1", YAML);
        let reference = format!("{}/{name}@{digest}", registry.host());
        let signer = Signer::new(algorithm);
        let signed = Signed::by(&digest, &signer);
        for format in [Format::Sig, Format::Bundle] {
            signer.sign(&registry, &reference, format, &[]);
        }
        let layer = registry.sig_layers(&name, &digest).pop().expect("a signature");
        let signature = layer.annotations["dev.cosignproject.cosign/signature"].as_str().expect("text");
        let whole = |payload: Vec<u8>, signature: &str| {
            let signature = signature.to_owned();
            Content::SimpleSigning(SimpleSigning { payload, signature, ..SimpleSigning::default() })
        };
        let payload = std::str::from_utf8(&layer.payload).expect("JSON is text");
        signed.turn(&name, &layer.payload, &[payload], |turned| whole(turned, signature));
        signed.turn(&name, signature.as_bytes(), &[signature], |turned| {
            whole(layer.payload.clone(), &String::from_utf8_lossy(&turned))
        });
        let bundle = registry.bundles(&name, &digest).pop().expect("a bundle");
        let bytes = bundle.to_string();
        let envelope =
            ["/dsseEnvelope/payload", "/dsseEnvelope/payloadType", "/dsseEnvelope/signatures/0/sig"];
        let matters = envelope.map(|pointer| text(&bundle, pointer));
        signed.turn(&name, bytes.as_bytes(), &matters, Content::Bundle);
    }
}
