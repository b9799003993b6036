//! The ground under the tests of verification: real signatures of every kind, on
//! both kinds of registry, that real cosign accepts.

use serde_json::json;
use supercargo_testbed::signer::{Algorithm, Format};
use supercargo_testbed::sigstore::{MAIL, Signing, WORKFLOW};
use supercargo_testbed::{Profiles, Registry, Signer, Sigstore, evidence, processes, story};

const PROFILES: Profiles = Profiles::First("no operator runs: the ground under the tests of verification");

const YAML: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n";

/// cosign's answer, and what it said.
fn cosign(registry: &Registry, arguments: &[&str]) -> Result<String, String> {
    let output = registry.run("cosign", &[&["verify", "--allow-http-registry"][..], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

#[story]
fn every_kind_of_key_signs_in_both_formats_on_both_registries() {
    for registry in [Registry::plain(), Registry::with_referrers()] {
        for algorithm in Algorithm::ALL {
            let signer = Signer::new(algorithm);
            let key = signer.public().display().to_string();
            for format in [Format::Sig, Format::Bundle] {
                let repository = format!("{algorithm:?}-{format:?}").to_lowercase();
                let digest = registry.push_yaml(&repository, "1", YAML);
                let reference = format!("{}/{repository}@{digest}", registry.host());
                signer.sign(&registry, &reference, format, &[]);
                let bundles = registry.bundles(&repository, &digest).len();
                let layers = registry.sig_layers(&repository, &digest).len();
                let expected = if format == Format::Sig { (0, 1) } else { (1, 0) };
                assert_eq!((bundles, layers), expected, "{repository}");
                let hash = format!("--signature-digest-algorithm={}", algorithm.hash());
                let verified =
                    cosign(&registry, &["--insecure-ignore-tlog", &hash, "--key", &key, &reference]);
                // cosign 3.1 signs with Ed25519ph and verifies Ed25519: it refuses its own.
                let expected = algorithm != Algorithm::Ed25519;
                assert_eq!(verified.is_ok(), expected, "{repository} {verified:?}");
            }
        }
    }
}

#[story]
fn an_attestation_is_something_else_than_a_signature() {
    let (registry, signer) = (Registry::with_referrers(), Signer::new(Algorithm::P256));
    let digest = registry.push_yaml("app", "1", YAML);
    let predicate = processes::directory("predicate").join("predicate.json");
    std::fs::write(&predicate, json!({"scanner": "nothing found"}).to_string()).expect("write a file");
    let reference = format!("{}/app@{digest}", registry.host());
    signer.attest(&registry, &reference, "https://example.com/scan/v1", &predicate);
    let bundles = registry.bundles("app", &digest);
    assert_eq!(bundles.len(), 1);
    assert_eq!(bundles[0]["mediaType"], evidence::BUNDLE);
}

#[story]
fn a_person_and_a_workflow_sign_without_a_key() {
    let sigstore = Sigstore::shared();
    let registry = Registry::with_referrers();
    let root = sigstore.trusted_root().display().to_string();
    let check = |repository: &str, issuer: &str, subject: &str, stranger: &str| {
        let digest = registry.push_yaml(repository, "1", YAML);
        let reference = format!("{}/{repository}@{digest}", registry.host());
        sigstore.sign(&registry, &reference, &Signing { issuer, ..Signing::person(subject) });
        let issuer = sigstore.issuer(issuer);
        let verify = |identity: &str| {
            let who = ["--certificate-identity", identity, "--certificate-oidc-issuer", &issuer];
            let how = ["--trusted-root", &root, "--use-signed-timestamps", &reference];
            cosign(&registry, &[&who[..], &how].concat())
        };
        assert_eq!(verify(subject).map(drop), Ok(()), "{subject}");
        let refused = verify(stranger).expect_err("cosign refuses a stranger");
        assert!(refused.contains("no matching CertificateIdentity found"), "{refused}");
    };
    check("person", MAIL, "alice@example.com", "alice@example.co");
    let workflow = sigstore.workflow("team/release.yaml");
    check("workflow", WORKFLOW, &workflow, &format!("{workflow}x"));
}
