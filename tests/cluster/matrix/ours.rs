//! Our verdict on an artifact: what the operator and the commands come to.

use supercargo::api::verify::OidcIdentity;
use supercargo::domain::verify::key::PublicKey;
use supercargo::domain::verify::policy::{Policy, SignerIdentity, Trust, TrustedAuthority};
use supercargo::domain::verify::root::TrustRoot;
use supercargo::oci::{Access, AccessParts, Digest, Registry, RegistryOptions, Repository};
use supercargo::reconcile::trust::evidence::{self, VerifyTarget};

use supercargo_testbed::processes;

use super::With;
use crate::scene::BINARY;

/// What `supercargo verify artifact` comes to: it ends with 0, or with 1 where it
/// refuses. Any other way of ending fails the test.
pub(super) fn command(reference: &str, with: &With) -> bool {
    let mut command = processes::command(BINARY);
    command.args(["verify", "artifact", &format!("oci://{reference}")]);
    match with {
        With::Key { file, .. } => command.arg("--key").arg(file),
        With::Identity { identity, issuer, root, .. } => command
            .args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "--trusted-root"])
            .arg(root),
    };
    let output = command.output().expect("run supercargo");
    match output.status.code() {
        Some(0) => true,
        Some(1) => false,
        code => panic!("{reference}: {code:?}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Whether we accept the reference, and who has signed or why not. Only a refusal
/// that is about signatures is one: anything else fails the test.
pub(super) fn verdict(reference: &str, with: &With) -> (bool, String) {
    let policy = match policy(with) {
        Ok(policy) => policy,
        Err(refused) => return (false, refused),
    };
    let (repository, digest) = reference.split_once('@').expect("a reference with a digest");
    let repository = Repository::parse(&format!("oci://{repository}")).expect("a repository");
    let digest = Digest::parse(digest).expect("a digest");
    let access = Access::new(AccessParts { insecure: true, ..AccessParts::default() });
    let registry = Registry::new(RegistryOptions::default());
    let target = VerifyTarget { repository: &repository, digest: &digest, access: &access };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(evidence::verify(&registry, target, &[policy])) {
        Ok(proofs) => (true, format!("{proofs:?}")),
        Err(failure) => {
            assert!(failure.reason.is_distrust(), "{reference}: {failure:?}");
            (false, format!("{:?}: {}", failure.reason, failure.message))
        }
    }
}

// A root that cannot be used is a refusal too, as the commands have it.
fn policy(with: &With) -> Result<Policy, String> {
    let trust = match with {
        With::Key { file, .. } => {
            let pem = std::fs::read(file).expect("read a file");
            Trust::Keys(vec![PublicKey::parse("cosign.pub", &pem).expect("a public key")])
        }
        With::Identity { identity, issuer, root, .. } => {
            // Both are meant as they stand.
            let [issuer, subject] = [issuer, identity].map(|text| regex::escape(text));
            let identity = SignerIdentity::parse(&OidcIdentity { issuer, subject }).expect("an identity");
            let root = TrustRoot::parse(&std::fs::read(root).expect("read a file"))?;
            Trust::Keyless { identities: vec![identity], root: root.into() }
        }
    };
    let authorities = vec![TrustedAuthority { name: "signer".to_owned(), trust }];
    Ok(Policy { origin: "spec.verify".to_owned(), authorities, threshold: 1, match_reference: false })
}
