//! What a registry keeps for a digest that may say who has signed it: bytes,
//! of which nothing has been believed yet.

use crate::api::reason::Reason;

/// The most signatures that are judged for one digest; further ones are named in a
/// refusal.
pub const MAX_JUDGED: usize = 192;

/// Everything that was found for one digest, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What may be signatures.
    pub found: Vec<Found>,
    /// What was there and could not be looked at, and why; for messages, because
    /// a signature that is missing may be among it.
    pub skipped: Vec<String>,
    /// What kept a part of it from being read, if that may pass: then nothing
    /// follows from a signature that is not among what was found.
    pub setback: Option<(Reason, String)>,
}

/// One thing that may be a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is kept, for messages: a tag and layer, or the digest of a referrer.
    pub place: String,
    /// What it is.
    pub content: Content,
}

/// What may be a signature, by the form that it is kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A layer of type `application/vnd.dev.cosign.simplesigning.v1+json` and its
    /// annotations (cosign's `SIGNATURE_SPEC.md`).
    SimpleSigning(SimpleSigning),
    /// A Sigstore bundle of media type `application/vnd.dev.sigstore.bundle…+json`,
    /// as it was read.
    Bundle(Vec<u8>),
}

/// A signature in cosign's older form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleSigning {
    /// The bytes that were signed.
    pub payload: Vec<u8>,
    /// `dev.cosignproject.cosign/signature`: the signature, base64.
    pub signature: String,
    /// `dev.sigstore.cosign/certificate`: the signer's certificate, PEM.
    pub certificate: Option<String>,
    /// `dev.sigstore.cosign/chain`: the certificates above it, PEM.
    pub chain: Option<String>,
    /// `dev.sigstore.cosign/bundle`: what Rekor said about it, JSON.
    pub bundle: Option<String>,
    /// `dev.sigstore.cosign/rfc3161timestamp`: what a timestamp authority said, JSON.
    pub timestamp: Option<String>,
}
