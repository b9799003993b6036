//! The signatures that a spec requires, before the Secrets that it names are read, and
//! the policy with their content.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::images::{ImagePolicies, ImageSigners, Pattern};
use super::policy::{Policy, SignerIdentity, Trust, TrustedAuthority};
use crate::api::reason::Reason;
use crate::api::verify::{ImageMode, OidcIdentity, Verify};
use crate::domain::verify::key;
use crate::domain::verify::proof::Refusal;
use crate::domain::verify::root::TrustRoot;

/// The key of a trusted root in a Secret.
const ROOT_KEY: &str = "trusted_root.json";

/// The data of Secrets, by their names.
pub type Secrets = BTreeMap<String, BTreeMap<String, Vec<u8>>>;

/// Whose signatures a spec requires.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Who may sign.
    pub authorities: Vec<DeclaredAuthority>,
    /// How many of them must sign.
    pub threshold: usize,
    /// Whether a signature for another repository is refused.
    pub match_reference: bool,
    /// Which container images must be signed.
    pub images: Option<ImageRules>,
}

/// One who may sign. If there is only one, its name is empty.
#[derive(Clone, Debug)]
pub struct DeclaredAuthority {
    /// Its name.
    pub name: String,
    /// The field of the spec, for messages.
    pub field: String,
    /// Whose signatures count for it.
    pub trust: DeclaredTrust,
}

/// Whose signature counts.
#[derive(Clone, Debug)]
pub enum DeclaredTrust {
    /// Signatures of a key in this Secret.
    Keys(String),
    /// Signatures of one of these identities.
    Keyless {
        /// Who.
        identities: Vec<SignerIdentity>,
        /// The Secret with the trusted root; without one the public good instance.
        root: Option<String>,
    },
}

/// Which container images must be signed.
#[derive(Clone, Debug)]
pub struct ImageRules {
    /// What one without a signature leads to.
    pub mode: ImageMode,
    /// The first that matches counts.
    pub rules: Vec<ImageRule>,
    /// Patterns of images that need none.
    pub exempt: Vec<String>,
}

/// Who must sign images.
#[derive(Clone, Debug)]
pub struct ImageRule {
    /// A pattern of repositories.
    pub pattern: String,
    /// The field of the spec, for messages.
    pub field: String,
    /// Who must sign; if absent, the signers of the artifact.
    pub trust: Option<DeclaredTrust>,
}

/// An invalid field of `spec.verify`: its path below `verify`, and the problem.
pub type InvalidVerify = (String, String);

impl Declared {
    /// Reads `spec.verify`.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn parse(spec: &Verify) -> Result<Self, InvalidVerify> {
        let single = trust(
            "",
            spec.secret_ref.as_ref().map(|r| &r.name),
            &spec.match_oidc_identity,
            spec.trusted_root_secret_ref.as_ref().map(|r| &r.name),
        )?;
        let mut authorities: Vec<DeclaredAuthority> = single
            .map(|trust| DeclaredAuthority { name: String::new(), field: "verify".to_owned(), trust })
            .into_iter()
            .collect();
        for (n, authority) in spec.authorities.iter().enumerate() {
            let field = format!("authorities[{n}]");
            let trust = trust(
                &format!("{field}."),
                authority.secret_ref.as_ref().map(|r| &r.name),
                &authority.match_oidc_identity,
                authority.trusted_root_secret_ref.as_ref().map(|r| &r.name),
            )?;
            let none = || (field.clone(), "needs secretRef or matchOIDCIdentity".to_owned());
            let trust = trust.ok_or_else(none)?;
            authorities.push(DeclaredAuthority {
                name: authority.name.clone(),
                field: format!("verify.{field}"),
                trust,
            });
        }
        if authorities.is_empty() {
            return Err((
                String::new(),
                "needs exactly one of secretRef, matchOIDCIdentity and authorities".into(),
            ));
        }
        let threshold = spec.threshold.map_or(Ok(authorities.len()), |n| {
            usize::try_from(n).ok().filter(|n| (1..=authorities.len()).contains(n)).ok_or(n)
        });
        let threshold = threshold
            .map_err(|n| ("threshold".to_owned(), format!("must be 1 to {}, not {n}", authorities.len())))?;
        Ok(Self { threshold, match_reference: spec.match_reference, images: images(spec)?, authorities })
    }

    /// The Secrets that it names, each once and with the field that names it.
    pub fn secrets(&self) -> BTreeMap<&str, String> {
        let rules = self.images.iter().flat_map(|i| &i.rules);
        let rules = rules.filter_map(|r| Some((&r.field, r.trust.as_ref()?)));
        let all = self.authorities.iter().map(|a| (&a.field, &a.trust)).chain(rules);
        all.filter_map(|(field, trust)| Some((trust.secret()?, trust.field(field)))).collect()
    }

    /// The policy with the content of the Secrets, which must all exist, and the root that
    /// is trusted by default.
    ///
    /// # Errors
    /// The first Secret with invalid content.
    pub fn policy(&self, secrets: &Secrets, default: &Arc<TrustRoot>) -> Result<Policy, Refusal> {
        let authorities = self.authorities.iter().map(|declared| {
            let trust = declared.trust.with(&declared.field, secrets, default)?;
            Ok(TrustedAuthority { name: declared.name.clone(), trust })
        });
        Ok(Policy {
            origin: "spec.verify".to_owned(),
            authorities: authorities.collect::<Result<_, Refusal>>()?,
            threshold: self.threshold,
            match_reference: self.match_reference,
        })
    }
}

impl ImageRules {
    /// The policies with the content of the Secrets, which must all exist. Rules without
    /// signers use the policy of the artifact.
    ///
    /// # Errors
    /// The first invalid pattern, or Secret with invalid content.
    pub fn policies(
        &self,
        secrets: &Secrets,
        artifacts: &Policy,
        default: &Arc<TrustRoot>,
    ) -> Result<ImagePolicies, Refusal> {
        let pattern = |text: &str, field: &str| {
            let wrong = |e| Refusal { reason: Reason::InvalidSpec, message: format!("spec.{field}: {e}") };
            Pattern::parse(text).map_err(wrong)
        };
        let exempt = self.exempt.iter().map(|text| pattern(text, "verify.images.exempt"));
        let rules = self.rules.iter().map(|rule| {
            let policy = match &rule.trust {
                None => artifacts.clone(),
                Some(trust) => Policy {
                    origin: format!("spec.{}", rule.field),
                    authorities: vec![TrustedAuthority {
                        name: String::new(),
                        trust: trust.with(&rule.field, secrets, default)?,
                    }],
                    threshold: 1,
                    match_reference: false,
                },
            };
            let pattern = pattern(&rule.pattern, &format!("{}.match", rule.field))?;
            Ok(ImageSigners { pattern, policies: vec![policy] })
        });
        Ok(ImagePolicies {
            exempt: exempt.collect::<Result<_, _>>()?,
            rules: rules.collect::<Result<_, Refusal>>()?,
        })
    }
}

impl DeclaredTrust {
    /// The Secret that it names.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::Keys(secret) => Some(secret),
            Self::Keyless { root, .. } => root.as_deref(),
        }
    }

    /// The path of the field that names the Secret, below `below`.
    fn field(&self, below: &str) -> String {
        match self {
            Self::Keys(_) => format!("{below}.secretRef"),
            Self::Keyless { .. } => format!("{below}.trustedRootSecretRef"),
        }
    }

    /// The trust with the content of the Secrets, which must all exist.
    ///
    /// # Errors
    /// When its Secret has invalid content.
    pub fn with(&self, below: &str, secrets: &Secrets, default: &Arc<TrustRoot>) -> Result<Trust, Refusal> {
        let data = self.secret().map(|name| (name, secrets.get(name)));
        let wrong = |problem: String| {
            let name = self.secret().unwrap_or_default();
            let message = format!("Secret {name}, named by spec.{}, {problem}", self.field(below));
            Refusal { reason: Reason::SecretInvalid, message }
        };
        match (self, data) {
            (Self::Keys(_), data) => {
                let files = data.and_then(|(_, data)| data).into_iter().flatten();
                let files = files.map(|(name, content)| (name.as_str(), content.as_slice()));
                key::keys(files).map(Trust::Keys).map_err(wrong)
            }
            (Self::Keyless { identities, .. }, data) => {
                let file = match data {
                    None => None,
                    Some((_, data)) => {
                        let file = data.and_then(|data| data.get(ROOT_KEY)).filter(|f| !f.is_empty());
                        Some(file.ok_or_else(|| wrong(format!("has no {ROOT_KEY}")))?)
                    }
                };
                let parsed = root(file.map(Vec::as_slice), default);
                let root = parsed.map_err(|e| wrong(format!("has a {ROOT_KEY} that {e}")))?;
                Ok(Trust::Keyless { identities: identities.clone(), root })
            }
        }
    }
}

/// The trusted root of a file, or the one that is trusted by default.
///
/// # Errors
/// A fragment that says what is wrong with it.
pub(super) fn root(file: Option<&[u8]>, default: &Arc<TrustRoot>) -> Result<Arc<TrustRoot>, String> {
    match file {
        Some(file) => TrustRoot::parse(file).map(Arc::new),
        None => Ok(Arc::clone(default)),
    }
}

fn trust(
    below: &str,
    secret: Option<&String>,
    identities: &[OidcIdentity],
    root: Option<&String>,
) -> Result<Option<DeclaredTrust>, InvalidVerify> {
    match (secret, identities) {
        (Some(_), [_, ..]) => Err((
            format!("{below}secretRef"),
            "cannot be combined with matchOIDCIdentity: set one of them".into(),
        )),
        (Some(secret), []) => Ok(Some(DeclaredTrust::Keys(secret.clone()))),
        (None, []) => Ok(None),
        (None, written) => {
            let parsed = written.iter().enumerate().map(|(n, one)| {
                SignerIdentity::parse(one).map_err(|e| (format!("{below}matchOIDCIdentity[{n}]"), e))
            });
            let identities = parsed.collect::<Result<_, _>>()?;
            Ok(Some(DeclaredTrust::Keyless { identities, root: root.cloned() }))
        }
    }
}

fn images(spec: &Verify) -> Result<Option<ImageRules>, InvalidVerify> {
    let Some(images) = &spec.images else { return Ok(None) };
    let mut rules = Vec::new();
    for (n, policy) in images.policies.iter().enumerate() {
        let field = format!("images.policies[{n}]");
        let trust = trust(
            &format!("{field}."),
            policy.secret_ref.as_ref().map(|r| &r.name),
            &policy.match_oidc_identity,
            policy.trusted_root_secret_ref.as_ref().map(|r| &r.name),
        )?;
        rules.push(ImageRule { pattern: policy.r#match.0.clone(), field: format!("verify.{field}"), trust });
    }
    let exempt = images.exempt.iter().map(|pattern| pattern.0.clone()).collect();
    Ok(Some(ImageRules { mode: images.mode, rules, exempt }))
}
