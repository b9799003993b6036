//! What a registry stores for a digest that may be a signature: bytes that nothing
//! has verified yet.

use crate::api::reason::Reason;

/// The most signatures that are judged for one digest; a refusal says how many there
/// are.
pub const MAX_JUDGED: usize = 192;

/// Everything that was found for one digest, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// What may be signatures.
    pub found: Vec<Found>,
    /// What exists and could not be read, and why; for messages, because a missing
    /// signature may be among it.
    pub skipped: Vec<String>,
    /// A temporary error that prevented reading a part of it: then a missing signature
    /// proves nothing.
    pub setback: Option<(Reason, String)>,
}

/// Something that may be a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it is kept, for messages: a tag and layer, or the digest of a referrer.
    pub place: String,
    /// What it is.
    pub content: Content,
}

/// What may be a signature, by the form that it is stored in.
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
    /// `dev.sigstore.cosign/bundle`: its entry in Rekor, JSON.
    pub bundle: Option<String>,
    /// `dev.sigstore.cosign/rfc3161timestamp`: the timestamp of an authority, JSON.
    pub timestamp: Option<String>,
}
