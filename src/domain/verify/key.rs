//! Public keys that are trusted, and what counts as a signature by them.
//!
//! The algorithms are those that cosign 3.1.3 writes and verifies: ECDSA with the
//! hash of the curve's strength, or SHA-256 as cosign 2 took for every curve;
//! RSA PKCS #1 v1.5 with SHA-256; Ed25519 over the message itself. Cosign 3 signs
//! images by an Ed25519 key in the prehashed form, which its own `verify` refuses,
//! and so do we.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA256_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::pem;
use super::text::printable;
use crate::domain::message::List;

/// The largest file of a key, in bytes. The PEM of an RSA key of 8192 bits has 1,424.
const MAX_KEY_BYTES: usize = 64 << 10;
/// The most keys of one Secret: each signature is checked with each key.
const MAX_KEYS: usize = 32;
/// What the name of a key file ends in.
const SUFFIX: &str = ".pub";

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EDWARDS25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A public key and the name that it is trusted under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    fingerprint: String,
    kind: Kind,
    /// The `subjectPublicKey` of its DER form.
    point: Vec<u8>,
    hint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

impl PublicKey {
    /// Reads a key: PEM, `PUBLIC KEY`, one of ECDSA P-256, P-384 and P-521, Ed25519
    /// and RSA of 2048 to 8192 bits.
    ///
    /// # Errors
    /// A fragment that says what the file is instead.
    pub fn parse(name: &str, pem: &[u8]) -> Result<Self, String> {
        if pem.len() > MAX_KEY_BYTES {
            return Err(format!("is larger than {MAX_KEY_BYTES} bytes"));
        }
        let text = std::str::from_utf8(pem).map_err(|_| "is not PEM".to_owned())?;
        let mut blocks = pem::blocks(text)?.into_iter();
        let (block, further) = (blocks.next(), blocks.len());
        let Some(block) = block else {
            return Err("is not PEM: a public key starts with -----BEGIN PUBLIC KEY-----".to_owned());
        };
        match block.label.as_str() {
            "PUBLIC KEY" if further > 0 => {
                Err(format!("has {} keys: put each one in its own file", further + 1))
            }
            "PUBLIC KEY" => Self::from_der(name, block.der.as_deref().unwrap_or_default()),
            label if label.contains("PRIVATE KEY") => {
                Err("is a private key: use the public key (cosign public-key --key FILE)".to_owned())
            }
            "CERTIFICATE" => Err("is a certificate, not a public key \
                (openssl x509 -in FILE -noout -pubkey)"
                .to_owned()),
            "RSA PUBLIC KEY" => Err("is an RSA key in PKCS #1 form \
                (openssl rsa -RSAPublicKey_in -in FILE -pubout)"
                .to_owned()),
            label => Err(format!("is {:?}, not a public key", printable(label, 40))),
        }
    }

    fn from_der(name: &str, der: &[u8]) -> Result<Self, String> {
        let spki = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|_| "is not a public key: its content is damaged".to_owned())?;
        let kind = match (spki.algorithm.oid, spki.algorithm.parameters_oid().ok()) {
            (EC, Some(P256)) => Kind::P256,
            (EC, Some(P384)) => Kind::P384,
            (EC, Some(P521)) => Kind::P521,
            (EC, curve) => {
                let curve = curve.map_or_else(|| "unnamed".to_owned(), |oid| oid.to_string());
                return Err(format!("is on the unsupported curve {curve}: use P-256, P-384 or P-521"));
            }
            (EDWARDS25519, None) if spki.algorithm.parameters.is_none() => Kind::Ed25519,
            (RSA, _) if spki.algorithm.parameters.is_none_or(|p| p.is_null()) => Kind::Rsa,
            (oid, _) => {
                return Err(format!("has the unsupported key type {oid}: use ECDSA, Ed25519 or RSA"));
            }
        };
        let point = spki.subject_public_key.as_bytes().unwrap_or_default().to_vec();
        let sound = ParsedPublicKey::new(kind.algorithms()[0], &point).is_ok() && kind.is_plain(&point);
        if !sound {
            return Err(match kind {
                Kind::Rsa => "is an RSA key that is damaged or does not have 2048 to 8192 bits".to_owned(),
                _ => "is not a public key: its content is damaged".to_owned(),
            });
        }
        let digest = Sha256::digest(der);
        Ok(Self {
            name: name.to_owned(),
            fingerprint: format!("sha256:{}", hex::encode(digest)),
            kind,
            point,
            hint: STANDARD.encode(digest),
        })
    }

    /// The name that it is trusted under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `sha256:` of its DER form.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// What cosign writes into a bundle to name the key.
    pub(super) fn hint(&self) -> &str {
        &self.hint
    }

    /// Whether it made this signature of this message.
    pub(super) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.kind.algorithms().iter().any(|algorithm| {
            ParsedPublicKey::new(*algorithm, &self.point)
                .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
        })
    }

    pub(super) fn is_ed25519(&self) -> bool {
        self.kind == Kind::Ed25519
    }
}

impl Kind {
    fn algorithms(self) -> &'static [&'static dyn VerificationAlgorithm] {
        match self {
            Self::P256 => &[&ECDSA_P256_SHA256_ASN1],
            Self::P384 => &[&ECDSA_P384_SHA384_ASN1, &ECDSA_P384_SHA256_ASN1],
            Self::P521 => &[&ECDSA_P521_SHA512_ASN1, &ECDSA_P521_SHA256_ASN1],
            Self::Ed25519 => &[&ED25519],
            Self::Rsa => &[&RSA_PKCS1_2048_8192_SHA256],
        }
    }

    /// Accepts only one form of a key, so that it has one fingerprint: uncompressed points.
    /// Checks RSA sizes, which otherwise are checked only when a signature is verified.
    fn is_plain(self, point: &[u8]) -> bool {
        match self {
            Self::P256 | Self::P384 | Self::P521 => point.first() == Some(&4),
            Self::Ed25519 => true,
            Self::Rsa => rsa_bits(point).is_some_and(|bits| (2048..=8192).contains(&bits)),
        }
    }
}

/// The length of the modulus of a PKCS #1 key.
fn rsa_bits(point: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(point).ok()?;
    let modulus = reader.sequence(|numbers| {
        let modulus = UintRef::decode(numbers)?.as_bytes().to_vec();
        UintRef::decode(numbers)?;
        Ok(modulus)
    });
    let modulus = modulus.ok().filter(|_| reader.is_finished())?;
    let first = modulus.first()?;
    Some(modulus.len() * 8 - first.leading_zeros() as usize)
}

/// The keys of a Secret: every file whose name ends in `.pub`, and no other.
///
/// # Errors
/// When there is none, or for the first invalid key: a key that cannot be read is not
/// skipped, because its author expects it to be trusted.
pub fn keys<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Vec<PublicKey>, String> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_unstable();
    let (trusted, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|(name, _)| name.ends_with(SUFFIX));
    if trusted.is_empty() {
        let held = match others.as_slice() {
            [] => "it is empty".to_owned(),
            held => {
                let named = List::Names.few_as(held, 1, |(name, _)| format!("{:?}", printable(name, 60)));
                format!("it has {named}")
            }
        };
        return Err(format!("has no public key (no name ends in {SUFFIX}); {held}"));
    }
    if trusted.len() > MAX_KEYS {
        return Err(format!("has {} public keys; at most {MAX_KEYS} are allowed", trusted.len()));
    }
    let parse = |(name, pem): &(&str, &[u8])| {
        PublicKey::parse(name, pem).map_err(|e| format!("{:?} {e}", printable(name, 60)))
    };
    trusted.iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
