//! The result of a verification: the evidence that counted, not only a yes.

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::status::VerifiedBy;

/// The signatures that satisfied a policy, for one digest. Only
/// [`judge`](super::judge::judge) makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    pub(super) digest: String,
    pub(super) signatures: Vec<Signature>,
}

/// A signature that counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The authority of the policy that it counted for.
    pub authority: String,
    /// Who made it.
    pub signer: Signer,
    /// The form that it is stored in.
    pub format: Format,
    /// When it was made, if a log or a timestamp authority proves it.
    pub signed_at: Option<Timestamp>,
    /// The reference that it claims to be for: shown, not trusted.
    pub reference: Option<String>,
    /// Where it was found.
    pub place: String,
}

/// Who made a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The owner of a key.
    Key {
        /// The name that it is trusted under.
        name: String,
        /// `sha256:` of its DER form.
        fingerprint: String,
    },
    /// A subject that an issuer has authenticated.
    Identity {
        /// The issuer.
        issuer: String,
        /// The subject.
        subject: String,
    },
}

/// The form that a signature is stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Cosign's older form.
    SimpleSigning,
    /// A Sigstore bundle.
    Bundle,
}

/// Why nothing counted, or not enough.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For condition, event and metric.
    pub reason: Reason,
    /// What was found, and how to fix it.
    pub message: String,
}

impl Proof {
    /// The digest that it is about.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The signatures that counted.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }
}

impl Signature {
    /// As the status shows it; with the authority if there are `several`.
    pub fn shown(&self, several: bool) -> VerifiedBy {
        let mut shown = VerifiedBy {
            authority: several.then(|| self.authority.clone()),
            format: self.format.as_str().to_owned(),
            signed_at: self.signed_at.map(|at| at.to_string()),
            reference: self.reference.clone(),
            ..VerifiedBy::default()
        };
        match &self.signer {
            Signer::Key { name, fingerprint } => shown.key = Some(format!("{name} {fingerprint}")),
            Signer::Identity { issuer, subject } => {
                shown.issuer = Some(issuer.clone());
                shown.subject = Some(subject.clone());
            }
        }
        shown
    }
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key { name, fingerprint } => write!(f, "key {name} ({fingerprint})"),
            Self::Identity { issuer, subject } => write!(f, "{subject} ({issuer})"),
        }
    }
}

impl Format {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SimpleSigning => "simplesigning",
            Self::Bundle => "bundle",
        }
    }
}
