//! Something that may be a signature: what it claims, and who made it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;

use super::claim::{Claim, Flaw, Subject};
use super::keyless::Vouched;
use super::{bundle, simple_signing};
use crate::domain::verify::evidence::{Content, Found};
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::proof::{Format, Signer};
use crate::domain::verify::root::TrustRoot;
use crate::domain::verify::rules::policy::{Policy, SignerIdentity, Trust};
use crate::domain::verify::text::printable;

/// The longest place that a message names, in bytes.
const MAX_PLACE: usize = 90;

/// Who made a signature, and when, if that is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::domain::verify) struct Witness {
    pub signer: Signer,
    pub signed_at: Option<Timestamp>,
    /// Every name of the certificate.
    subjects: Vec<String>,
}

impl Witness {
    /// Whether both are the same signer, which counts once: the same key under any name,
    /// or an identity of the same issuer with a name in common.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.signer, &other.signer) {
            (Signer::Key { fingerprint, .. }, Signer::Key { fingerprint: others, .. }) => {
                fingerprint == others
            }
            (Signer::Identity { issuer, .. }, Signer::Identity { issuer: others, .. }) => {
                issuer == others && self.subjects.iter().any(|name| other.subjects.contains(name))
            }
            _ => false,
        }
    }
}

/// A parsed signature that has not been verified.
pub(in crate::domain::verify) struct Candidate<'a> {
    pub place: String,
    pub claim: Claim,
    form: Form<'a>,
    /// The results by the fingerprint of the root: several authorities may trust one root.
    vouched: RefCell<Vec<(String, Result<Vouched, Flaw>)>>,
}

enum Form<'a> {
    Simple(simple_signing::Read<'a>),
    Bundle(Box<bundle::Read>),
}

impl<'a> Candidate<'a> {
    /// Parses what was found, and checks whether it is for the subject.
    pub(in crate::domain::verify) fn read(
        found: &'a Found,
        subject: Subject<'_>,
        policy: &Policy,
    ) -> Result<Self, Flaw> {
        let (claim, form) = unpanicked(|| match &found.content {
            Content::SimpleSigning(found) => {
                simple_signing::read(found).map(|(claim, read)| (claim, Form::Simple(read)))
            }
            Content::Bundle(bytes) => {
                bundle::read(bytes).map(|(claim, read)| (claim, Form::Bundle(Box::new(read))))
            }
        })?;
        if claim.digest != subject.digest {
            return Err(Flaw::invalid(format!("is for another digest: {}", printable(&claim.digest, 80))));
        }
        if policy.match_reference {
            same_repository(claim.reference.as_deref(), subject.repository).map_err(Flaw::Elsewhere)?;
        }
        Ok(Self { place: place(found), claim, form, vouched: RefCell::default() })
    }

    /// Which of the signers that `trust` names has made it.
    pub(in crate::domain::verify) fn witness(&self, trust: &Trust) -> Result<Witness, Flaw> {
        match trust {
            Trust::Keys(keys) => unpanicked(|| self.signed_by(keys)).map(|key| Witness {
                signer: Signer::Key {
                    name: key.name().to_owned(),
                    fingerprint: key.fingerprint().to_owned(),
                },
                signed_at: None,
                subjects: Vec::new(),
            }),
            Trust::Keyless { identities, root } => {
                let vouched = self.vouched(root)?;
                let (issuer, subject) = fitting(identities, &vouched)?;
                let signer = Signer::Identity { issuer: issuer.to_owned(), subject: subject.to_owned() };
                let subjects = vouched.names.subjects.clone();
                Ok(Witness { signer, signed_at: Some(vouched.at), subjects })
            }
        }
    }

    fn signed_by<'k>(&self, keys: &'k [PublicKey]) -> Result<&'k PublicKey, Flaw> {
        match &self.form {
            Form::Simple(read) => read.signed_by(keys),
            Form::Bundle(read) => read.signed_by(keys),
        }
    }

    fn vouched(&self, root: &TrustRoot) -> Result<Vouched, Flaw> {
        let known = |(fingerprint, _): &&(String, _)| fingerprint == root.fingerprint();
        if let Some((_, known)) = self.vouched.borrow().iter().find(known) {
            return known.clone();
        }
        let vouched = unpanicked(|| match &self.form {
            Form::Simple(read) => read.vouched(root),
            Form::Bundle(read) => read.vouched(root, &self.claim.digest),
        });
        self.vouched.borrow_mut().push((root.fingerprint().to_owned(), vouched.clone()));
        vouched
    }

    pub(in crate::domain::verify) fn format(&self) -> Format {
        match self.form {
            Form::Simple(_) => Format::SimpleSigning,
            Form::Bundle(_) => Format::Bundle,
        }
    }
}

/// A panic of a library on untrusted bytes becomes a refusal of these bytes only.
fn unpanicked<T>(work: impl FnOnce() -> Result<T, Flaw>) -> Result<T, Flaw> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Flaw::invalid("cannot be read: it is damaged")))
}

/// The name that matches one of the identities.
fn fitting<'v>(identities: &[SignerIdentity], vouched: &'v Vouched) -> Result<(&'v str, &'v str), Flaw> {
    let names = &vouched.names;
    let fits = |subject: &&String| identities.iter().any(|one| one.fits(&names.issuer, subject));
    if let Some(subject) = names.subjects.iter().find(fits) {
        return Ok((&names.issuer, subject));
    }
    let subjects = names.subjects.join(", ");
    Err(Flaw::untrusted(format!(
        "is signed by {} of {}, who is not trusted",
        printable(&subjects, 80),
        printable(&names.issuer, 80)
    )))
}

/// Where something was found, for messages.
pub(in crate::domain::verify) fn place(found: &Found) -> String {
    printable(&found.place, MAX_PLACE)
}

/// Checks that a reference names the repository, with any tag and digest.
fn same_repository(reference: Option<&str>, repository: &str) -> Result<(), String> {
    let Some(reference) = reference else {
        return Err("does not name a repository (bundles never do)".to_owned());
    };
    let named = reference.split_once('@').map_or(reference, |(named, _)| named);
    let path = named.rfind('/').map_or(0, |at| at + 1);
    let named = named[path..].find(':').map_or(named, |at| &named[..path + at]);
    if docker_hub(named) == docker_hub(repository) {
        return Ok(());
    }
    Err(format!("is for the repository {}", printable(named, 120)))
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
    fn a_panic_is_a_refusal() {
        let found: Result<(), Flaw> = unpanicked(|| panic!("over a stranger's bytes"));
        assert!(found.unwrap_err().to_string().contains("damaged"));
    }

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
