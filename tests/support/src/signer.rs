//! Keys of every kind that cosign reads, and signing with them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, RsaKeySize, SigningKey,
};

use crate::tools::Tools;
use crate::{Registry, processes};

/// What kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: what `cosign generate-key-pair` makes.
    P256,
    /// ECDSA on P-384 with SHA-384.
    P384,
    /// ECDSA on P-521 with SHA-512.
    P521,
    /// Ed25519.
    Ed25519,
    /// RSA with PKCS #1 v1.5 and SHA-256, 2048 bits.
    Rsa2048,
    /// The same, 3072 bits.
    Rsa3072,
    /// The same, 4096 bits.
    Rsa4096,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Algorithm; 7] = [
        Algorithm::P256,
        Algorithm::P384,
        Algorithm::P521,
        Algorithm::Ed25519,
        Algorithm::Rsa2048,
        Algorithm::Rsa3072,
        Algorithm::Rsa4096,
    ];

    /// The hash that cosign signs with, by the name that `cosign verify
    /// --signature-digest-algorithm` wants; without that flag it assumes SHA-256 and refuses its own
    /// signatures with the other two curves.
    pub fn hash(self) -> &'static str {
        match self {
            Algorithm::P384 => "sha384",
            Algorithm::P521 => "sha512",
            _ => "sha256",
        }
    }

    fn generate(self) -> KeyPair {
        let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
        let key = match self {
            Algorithm::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            Algorithm::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            Algorithm::P521 => KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512),
            Algorithm::Ed25519 => KeyPair::generate_for(&PKCS_ED25519),
            Algorithm::Rsa2048 => rsa(RsaKeySize::_2048),
            Algorithm::Rsa3072 => rsa(RsaKeySize::_3072),
            Algorithm::Rsa4096 => rsa(RsaKeySize::_4096),
        };
        key.expect("generate a key")
    }
}

/// How a signature is kept in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The older one: an image under the tag `sha256-HEX.sig`.
    Sig,
    /// A Sigstore bundle v0.3 that refers to what it signs.
    Bundle,
}

/// A key pair, in files that cosign reads.
pub struct Signer {
    directory: PathBuf,
    key: KeyPair,
}

impl Signer {
    /// A new key.
    pub fn new(algorithm: Algorithm) -> Signer {
        let directory = processes::directory("signer");
        let key = algorithm.generate();
        std::fs::write(directory.join("plain.pem"), key.serialize_pem()).expect("write a file");
        std::fs::write(directory.join("cosign.pub"), key.public_key_pem()).expect("write a file");
        let output = processes::command(Tools::get().path("cosign"))
            .args(["import-key-pair", "--key", "plain.pem", "--output-key-prefix", "imported"])
            .current_dir(&directory)
            .env("COSIGN_PASSWORD", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .expect("run cosign");
        assert!(output.status.success(), "{algorithm:?}: {}", String::from_utf8_lossy(&output.stderr));
        Signer { directory, key }
    }

    /// The public key, a file of PEM: what `--key` wants.
    pub fn public(&self) -> PathBuf {
        self.directory.join("cosign.pub")
    }

    /// The same as text: what goes into a Secret.
    pub fn public_pem(&self) -> String {
        self.key.public_key_pem()
    }

    /// cosign's form of the private key (its password is empty).
    pub fn private(&self) -> PathBuf {
        self.directory.join("imported.key")
    }

    /// Signs bytes as cosign would, for what cosign would not sign.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        self.key.sign(bytes).expect("sign")
    }

    /// Signs `REPOSITORY@DIGEST` with cosign, with more of its flags.
    pub fn sign(&self, registry: &Registry, reference: &str, format: Format, more: &[&str]) {
        let bundle = match format {
            Format::Sig => "--new-bundle-format=false",
            Format::Bundle => "--new-bundle-format=true",
        };
        self.run(registry, &[&["sign", bundle][..], more, &[reference]].concat());
    }

    /// Attests a predicate, a file of JSON, of that type.
    pub fn attest(&self, registry: &Registry, reference: &str, kind: &str, predicate: &Path) {
        let predicate = predicate.display().to_string();
        self.run(registry, &["attest", "--type", kind, "--predicate", &predicate, reference]);
    }

    fn run(&self, registry: &Registry, arguments: &[&str]) {
        let key = self.private().display().to_string();
        let (command, rest) = arguments.split_first().expect("a command");
        let fixed = [
            "--key",
            &key,
            "--yes",
            "--allow-http-registry",
            "--tlog-upload=false",
            "--use-signing-config=false",
        ];
        registry.cosign(&[&[*command][..], &fixed, rest].concat());
    }
}
