//! One thing that may be a signature: what it claims, and who stands behind it.

use super::bundle;
use super::evidence::{Content, Found, SimpleSigning};
use super::judge::Subject;
use super::key::PublicKey;
use super::policy::{Policy, Trust};
use super::proof::{Format, Signer};
use super::simple_signing;
use super::text::harmless;
use jiff::Timestamp;

/// The longest place that a message names, in bytes.
const MAX_PLACE: usize = 90;

/// What a signature says that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The digest of the manifest.
    pub digest: String,
    /// The repository, where it names one.
    pub reference: Option<String>,
}

/// Why something is not a signature that counts; a fragment that follows its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Flaw {
    /// It is something else, and says so.
    #[error("{0}")]
    Other(String),
    /// It is damaged, forged or for something else.
    #[error("{0}")]
    Invalid(String),
    /// It may be good, and nobody who is asked for has made it.
    #[error("{0}")]
    Untrusted(String),
}

impl Flaw {
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    pub(super) fn untrusted(text: impl Into<String>) -> Self {
        Self::Untrusted(text.into())
    }
}

/// Who made a signature, and when, where that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub signer: Signer,
    pub signed_at: Option<Timestamp>,
}

/// A signature that was read, of which nothing has been verified.
pub(super) struct Candidate<'a> {
    pub place: String,
    pub claim: Claim,
    form: Form<'a>,
}

enum Form<'a> {
    Simple { found: &'a SimpleSigning, signature: Vec<u8> },
    Bundle(Box<bundle::Read>),
}

impl<'a> Candidate<'a> {
    /// Reads what was found, and whether it is for the subject.
    pub(super) fn read(found: &'a Found, subject: Subject<'_>, policy: &Policy) -> Result<Self, Flaw> {
        let (claim, form) = match &found.content {
            Content::SimpleSigning(found) => {
                let claim = simple_signing::claim(&found.payload)?;
                (claim, Form::Simple { found, signature: simple_signing::signature(found)? })
            }
            Content::Bundle(bytes) => {
                let (claim, read) = bundle::read(bytes)?;
                (claim, Form::Bundle(Box::new(read)))
            }
        };
        if claim.digest != subject.digest {
            return Err(Flaw::invalid(format!("is for another digest, {}", harmless(&claim.digest, 80))));
        }
        if policy.match_reference {
            same_repository(claim.reference.as_deref(), subject.repository)?;
        }
        Ok(Self { place: place(found), claim, form })
    }

    /// Who of those whom `trust` names has made it.
    pub(super) fn witness(&self, trust: &Trust) -> Result<Witness, Flaw> {
        match trust {
            Trust::Keys(keys) => self.signed_by(keys).map(|key| Witness {
                signer: Signer::Key {
                    name: key.name().to_owned(),
                    fingerprint: key.fingerprint().to_owned(),
                },
                signed_at: None,
            }),
            Trust::Keyless { .. } => {
                Err(Flaw::untrusted("is signed by a key, and identities are trusted here"))
            }
        }
    }

    fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Result<&'k PublicKey, Flaw> {
        let (found, signature) = match &self.form {
            Form::Bundle(read) => return read.signed_by(keys),
            Form::Simple { found, signature } => (found, signature),
        };
        if let Some(key) = keys.iter().find(|key| key.signed(&found.payload, signature)) {
            return Ok(key);
        }
        Err(Flaw::untrusted(if found.certificate.is_some() {
            "is keyless, and keys are trusted here"
        } else if keys.iter().any(PublicKey::is_ed25519) {
            "is signed by a key that is not trusted, or was changed; cosign 3 signs images with \
             Ed25519 keys in a form that its own verify refuses too"
        } else {
            "is signed by a key that is not trusted, or was changed"
        }))
    }

    pub(super) fn format(&self) -> Format {
        match self.form {
            Form::Simple { .. } => Format::SimpleSigning,
            Form::Bundle(_) => Format::Bundle,
        }
    }
}

/// Where something was found, for messages.
pub(super) fn place(found: &Found) -> String {
    harmless(&found.place, MAX_PLACE)
}

/// That a reference names the repository, whatever its tag and digest.
fn same_repository(reference: Option<&str>, repository: &str) -> Result<(), Flaw> {
    let Some(reference) = reference else {
        return Err(Flaw::invalid(
            "names no repository, as cosign's bundles do not, and matchReference asks for one",
        ));
    };
    let named = reference.split_once('@').map_or(reference, |(named, _)| named);
    let path = named.rfind('/').map_or(0, |at| at + 1);
    let named = named[path..].find(':').map_or(named, |at| &named[..path + at]);
    if docker_hub(named) == docker_hub(repository) {
        return Ok(());
    }
    Err(Flaw::invalid(format!("is for the repository {}, and matchReference is set", harmless(named, 120))))
}

/// Docker Hub has three names.
fn docker_hub(repository: &str) -> (&str, &str) {
    match repository.split_once('/') {
        Some(("docker.io" | "index.docker.io" | "registry-1.docker.io", path)) => ("docker.io", path),
        Some((host, path)) => (host, path),
        None => (repository, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_name_repositories() {
        let check = |reference: Option<&str>, repository: &str, expected: bool| {
            assert_eq!(
                same_repository(reference, repository).is_ok(),
                expected,
                "{reference:?} {repository}"
            );
        };
        check(Some("r.io/acme/app"), "r.io/acme/app", true);
        check(Some("r.io:5000/acme/app:1.0@sha256:00"), "r.io:5000/acme/app", true);
        check(Some("r.io:5000/acme/app"), "r.io/acme/app", false);
        check(Some("r.io/acme/app-evil"), "r.io/acme/app", false);
        check(Some("r.io/acme/app/x"), "r.io/acme/app", false);
        check(Some("index.docker.io/library/nginx"), "docker.io/library/nginx", true);
        check(Some("docker.io.evil.io/library/nginx"), "docker.io/library/nginx", false);
        check(Some("localhost:5000"), "localhost", true);
        check(None, "r.io/acme/app", false);
    }
}
