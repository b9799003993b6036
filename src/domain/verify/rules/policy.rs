//! Whose signatures are required, with keys and roots.

use std::sync::Arc;

use regex::Regex;
use sha2::{Digest, Sha256};

use crate::api::verify::OidcIdentity;
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::root::TrustRoot;

/// The most memory that one compiled expression takes, in bytes.
const MAX_REGEX_BYTES: usize = 64 << 10;

/// Whose signatures are required.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Where it is configured, for messages: `spec.verify`, or the prefix of the trust policy.
    pub origin: String,
    /// Who may sign.
    pub authorities: Vec<TrustedAuthority>,
    /// How many of them must sign; at least one.
    pub threshold: usize,
    /// Whether a signature for another repository is refused.
    pub match_reference: bool,
}

/// One who may sign.
#[derive(Clone, Debug)]
pub struct TrustedAuthority {
    /// Its name.
    pub name: String,
    /// Whose signatures count for it.
    pub trust: Trust,
}

/// Whose signatures count for an authority.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Signatures of one of these keys; there is at least one.
    Keys(Vec<PublicKey>),
    /// Signatures of one of these identities; there is at least one.
    Keyless {
        /// The identities.
        identities: Vec<SignerIdentity>,
        /// The root that their certificates are trusted by.
        root: Arc<TrustRoot>,
    },
}

/// The signer of a keyless signature: two expressions that match the whole text.
#[derive(Clone, Debug)]
pub struct SignerIdentity {
    issuer: Regex,
    subject: Regex,
    written: OidcIdentity,
}

impl SignerIdentity {
    /// Compiles both expressions; each has to match the whole text.
    ///
    /// # Errors
    /// Which of them is invalid or too large.
    pub fn parse(written: &OidcIdentity) -> Result<Self, String> {
        Self::named(written, "issuer", "subject")
    }

    /// The same, with other names for the expressions of issuer and subject.
    ///
    /// # Errors
    /// Which of them is invalid or too large.
    pub fn named(written: &OidcIdentity, issuer: &str, subject: &str) -> Result<Self, String> {
        let compile = |name: &str, text: &str| {
            // A group of its own: `a|b` must not match `ax`.
            let built =
                regex::RegexBuilder::new(&format!(r"\A(?:{text})\z")).size_limit(MAX_REGEX_BYTES).build();
            // Compiled alone first: `)|(` is invalid, and would be valid in a group.
            let alone = regex::RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build();
            match (alone, built, text.is_empty()) {
                (Ok(_), Ok(regex), false) => Ok(regex),
                _ => Err(format!("{name}: {text:?} is not a valid regular expression, or is too large")),
            }
        };
        Ok(Self {
            issuer: compile(issuer, &written.issuer)?,
            subject: compile(subject, &written.subject)?,
            written: written.clone(),
        })
    }

    /// Whether issuer and subject match.
    pub fn fits(&self, issuer: &str, subject: &str) -> bool {
        self.issuer.is_match(issuer) && self.subject.is_match(subject)
    }

    /// As it is written.
    pub fn written(&self) -> &OidcIdentity {
        &self.written
    }
}

impl Policy {
    /// The origin of a policy from the flags of the program.
    pub const COMMAND_LINE: &str = "the command line";

    /// The name of `match_reference` where the policy is written.
    pub(in crate::domain::verify) fn match_reference_name(&self) -> &'static str {
        if self.origin == Self::COMMAND_LINE { "--match-reference" } else { "matchReference" }
    }

    /// The keys that it trusts.
    pub(in crate::domain::verify) fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.authorities.iter().flat_map(|authority| match &authority.trust {
            Trust::Keys(keys) => keys.as_slice(),
            Trust::Keyless { .. } => &[],
        })
    }

    /// Whether it trusts identities.
    pub(in crate::domain::verify) fn is_keyless(&self) -> bool {
        self.authorities.iter().any(|authority| matches!(authority.trust, Trust::Keyless { .. }))
    }

    /// Identifies the policy with all keys and roots: different policies have different
    /// fingerprints. Reveals nothing about them.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut feed = |part: &str| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        feed(&format!("{} {}", self.threshold, self.match_reference));
        for authority in &self.authorities {
            feed(&authority.name);
            match &authority.trust {
                Trust::Keys(keys) => {
                    keys.iter().for_each(|key| feed(&format!("{} {}", key.name(), key.fingerprint())))
                }
                Trust::Keyless { identities, root } => {
                    feed(root.fingerprint());
                    for identity in identities {
                        feed(&identity.written.issuer);
                        feed(&identity.written.subject);
                    }
                }
            }
        }
        hex::encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_match_whole() {
        let check = |pattern: &str, text: &str, expected: bool| {
            let written = OidcIdentity { issuer: "https://a".into(), subject: pattern.into() };
            assert_eq!(
                SignerIdentity::parse(&written).unwrap().fits("https://a", text),
                expected,
                "{pattern} {text}"
            );
        };
        check("https://github.com/acme/app", "https://github.com/acme/app", true);
        check("https://github.com/acme/app", "https://github.com/acme/app-evil", false);
        check("^https://github.com/acme/app.*$", "https://github.com/acme/app-evil", true);
        check("a|b", "ax", false);
        check("a|b", "b", true);
        check("(?m)a$", "a\nb", false);
        check("a", "a\n", false);
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for wrong in ["(", ")|(", "", "(a{1000}){1000}"] {
            let written = OidcIdentity { issuer: wrong.into(), subject: "x".into() };
            assert!(SignerIdentity::parse(&written).unwrap_err().starts_with("issuer: "), "{wrong}");
        }
    }
}
