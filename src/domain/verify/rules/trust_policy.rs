//! The trust policy: what the administrator requires of artifacts, by their repository.
//! A release can require more, but never less.
//!
//! Reading is in two steps, because files are not read here: a [`TrustPolicyDraft`] says
//! which files it names, and becomes a [`TrustPolicy`] with their content.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::declared::root;
use super::policy::{Policy, SignerIdentity, Trust, TrustedAuthority};
use crate::api::verify::OidcIdentity;
use crate::domain::artifact::prefix::Prefix;
use crate::domain::process::configuration::{self, Wrong, wrong};
use crate::domain::verify::key::PublicKey;
use crate::domain::verify::root::TrustRoot;

/// The largest trust policy, in bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// The largest file that one names, in bytes.
pub const MAX_NAMED_BYTES: usize = 1 << 20;
/// The most prefixes in one.
const MAX_PREFIXES: usize = 1024;

/// A trust policy whose files have not been read yet.
#[derive(Clone, Debug)]
pub struct TrustPolicyDraft(File);

/// What the administrator requires. The default requires nothing.
#[derive(Clone, Debug, Default)]
pub struct TrustPolicy {
    entries: Vec<(Prefix, Option<Arc<Policy>>)>,
}

/// What the trust policy says of a repository.
#[derive(Clone, Debug)]
pub enum PolicyDemand {
    /// No prefix fits.
    Nothing,
    /// Its artifacts need no signature, whatever else is required.
    Exempt,
    /// Its artifacts need to satisfy this.
    Signed(Arc<Policy>),
}

#[derive(Clone, Debug, Deserialize)]
struct File {
    #[serde(default)]
    registries: Vec<Registry>,
    #[serde(default)]
    exempt: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Registry {
    prefix: String,
    #[serde(flatten)]
    signer: Signer,
    #[serde(default)]
    authorities: Vec<Named>,
    #[serde(default)]
    threshold: Option<usize>,
    #[serde(default)]
    match_reference: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name: String,
    #[serde(flatten)]
    signer: Signer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signer {
    #[serde(default)]
    keys: Vec<Key>,
    #[serde(default)]
    identities: Vec<OidcIdentity>,
    #[serde(default)]
    trusted_root: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Key {
    name: String,
    #[serde(default)]
    pem: Option<String>,
    #[serde(default)]
    file: Option<String>,
}

type Files = BTreeMap<String, Vec<u8>>;

impl TrustPolicyDraft {
    /// Reads the YAML.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let document = configuration::read_document(text, MAX_POLICY_BYTES, "TrustPolicy")?;
        refuse_unknown(&document)?;
        let file: File = serde_json::from_value(document).map_err(|e| wrong("the file", e.to_string()))?;
        if file.registries.len() + file.exempt.len() > MAX_PREFIXES {
            return Err(wrong("registries", format!("has more than {MAX_PREFIXES} prefixes")));
        }
        Ok(Self(file))
    }

    /// The files that it names, relative to the directory that it is in.
    pub fn files(&self) -> BTreeSet<&str> {
        self.0
            .registries
            .iter()
            .flat_map(|r| std::iter::once(&r.signer).chain(r.authorities.iter().map(|a| &a.signer)))
            .flat_map(|s| s.keys.iter().filter_map(|k| k.file.as_deref()).chain(s.trusted_root.as_deref()))
            .collect()
    }

    /// Puts in the content of the files, by the names of [`TrustPolicyDraft::files`], and the
    /// root that is trusted by default.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn complete(&self, files: &Files, default: &Arc<TrustRoot>) -> Result<TrustPolicy, Wrong> {
        let mut entries: Vec<(Prefix, Option<Arc<Policy>>)> = Vec::new();
        let mut add = |field: String, prefix: &str, policy: Option<Arc<Policy>>| {
            let prefix = Prefix::parse(prefix).map_err(|problem| wrong(&field, problem))?;
            if entries.iter().any(|(other, _)| *other == prefix) {
                return Err(wrong(field, format!("duplicate prefix {prefix}")));
            }
            entries.push((prefix, policy));
            Ok(())
        };
        for (n, registry) in self.0.registries.iter().enumerate() {
            let policy = registry.policy(&format!("registries[{n}]"), files, default)?;
            add(format!("registries[{n}].prefix"), &registry.prefix, Some(Arc::new(policy)))?;
        }
        for (n, prefix) in self.0.exempt.iter().enumerate() {
            add(format!("exempt[{n}]"), prefix, None)?;
        }
        Ok(TrustPolicy { entries })
    }
}

impl TrustPolicy {
    /// What is required of a repository: by the longest prefix that matches. A demand
    /// without a port applies to every port, an exemption only to the default ones: another
    /// port may belong to another owner.
    pub fn demand(&self, registry: &str, path: &str) -> PolicyDemand {
        let fitting = self.entries.iter().filter_map(|(prefix, policy)| {
            let closeness = match policy {
                Some(_) => prefix.fits(registry, path),
                None => prefix.permits(registry, path),
            };
            closeness.map(|closeness| (closeness, policy))
        });
        match fitting.max_by_key(|(closeness, _)| *closeness) {
            None => PolicyDemand::Nothing,
            Some((_, None)) => PolicyDemand::Exempt,
            Some((_, Some(policy))) => PolicyDemand::Signed(Arc::clone(policy)),
        }
    }

    /// How many prefixes it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no prefixes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl PolicyDemand {
    /// Identifies the demand: different demands have different fingerprints.
    pub fn fingerprint(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Exempt => "exempt".to_owned(),
            Self::Signed(policy) => policy.fingerprint(),
        }
    }
}

impl Registry {
    fn policy(&self, field: &str, files: &Files, default: &Arc<TrustRoot>) -> Result<Policy, Wrong> {
        let alone = self.signer.authorities("", field, files, default)?;
        if alone.is_empty() == self.authorities.is_empty() {
            let problem =
                "needs keys, identities or authorities; authorities cannot be combined with the others";
            return Err(wrong(field, problem));
        }
        let origin = format!("the trust policy for {}", self.prefix);
        let match_reference = self.match_reference;
        if self.authorities.is_empty() {
            // One signature is enough.
            if self.threshold.is_some() {
                return Err(wrong(format!("{field}.threshold"), "needs authorities"));
            }
            return Ok(Policy { origin, authorities: alone, threshold: 1, match_reference });
        }
        if self.signer.trusted_root.is_some() {
            return Err(wrong(
                format!("{field}.trustedRoot"),
                "not allowed with authorities: set it in each of them",
            ));
        }
        let mut authorities: Vec<TrustedAuthority> = Vec::new();
        for (n, named) in self.authorities.iter().enumerate() {
            let field = format!("{field}.authorities[{n}]");
            let mut of_it = named.signer.authorities(&named.name, &field, files, default)?;
            let (Some(authority), true) = (of_it.pop(), of_it.is_empty()) else {
                return Err(wrong(field, "needs exactly one of keys and identities"));
            };
            if named.name.is_empty() || authorities.iter().any(|a| a.name == named.name) {
                return Err(wrong(format!("{field}.name"), "needs a unique name"));
            }
            authorities.push(authority);
        }
        let threshold = self.threshold.unwrap_or(authorities.len());
        if !(1..=authorities.len()).contains(&threshold) {
            let problem = format!("must be 1 to {}, not {threshold}", authorities.len());
            return Err(wrong(format!("{field}.threshold"), problem));
        }
        Ok(Policy { origin, authorities, threshold, match_reference })
    }
}

impl Signer {
    /// One authority for the keys and one for the identities, if there are any.
    fn authorities(
        &self,
        name: &str,
        field: &str,
        files: &Files,
        default: &Arc<TrustRoot>,
    ) -> Result<Vec<TrustedAuthority>, Wrong> {
        let mut found = Vec::new();
        let content = |field: &str, file: &str| {
            files.get(file).ok_or_else(|| wrong(field, format!("file {file:?} not found")))
        };
        if !self.keys.is_empty() {
            let mut keys = Vec::new();
            for (n, written) in self.keys.iter().enumerate() {
                let field = format!("{field}.keys[{n}]");
                let pem = match (&written.pem, &written.file) {
                    (Some(pem), None) => pem.as_bytes(),
                    (None, Some(file)) => content(&field, file)?,
                    _ => return Err(wrong(field, "needs exactly one of pem and file")),
                };
                keys.push(PublicKey::parse(&written.name, pem).map_err(|problem| wrong(field, problem))?);
            }
            found.push(TrustedAuthority { name: name.to_owned(), trust: Trust::Keys(keys) });
        }
        if self.identities.is_empty() {
            return match &self.trusted_root {
                None => Ok(found),
                Some(_) => Err(wrong(format!("{field}.trustedRoot"), "needs identities")),
            };
        }
        let mut identities = Vec::new();
        for (n, written) in self.identities.iter().enumerate() {
            let parsed = SignerIdentity::parse(written);
            identities.push(parsed.map_err(|problem| wrong(format!("{field}.identities[{n}]"), problem))?);
        }
        let place = format!("{field}.trustedRoot");
        let file = self.trusted_root.as_deref().map(|file| content(&place, file)).transpose()?;
        let root = root(file.map(Vec::as_slice), default).map_err(|problem| wrong(place, problem))?;
        found.push(TrustedAuthority { name: name.to_owned(), trust: Trust::Keyless { identities, root } });
        Ok(found)
    }
}

/// Refuses unknown fields: a misspelled one would require less than intended. Serde
/// cannot do that for flattened structures.
fn refuse_unknown(document: &Value) -> Result<(), Wrong> {
    const FILE: &[&str] = &["apiVersion", "kind", "metadata", "registries", "exempt"];
    const REGISTRY: &[&str] =
        &["prefix", "keys", "identities", "trustedRoot", "authorities", "threshold", "matchReference"];
    const AUTHORITY: &[&str] = &["name", "keys", "identities", "trustedRoot"];
    let check = configuration::refuse_unknown;
    let each = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    check("the file", document, FILE)?;
    for (n, registry) in each(document, "registries").iter().enumerate() {
        let place = format!("registries[{n}]");
        check(&place, registry, REGISTRY)?;
        for (m, authority) in each(registry, "authorities").iter().enumerate() {
            check(&format!("{place}.authorities[{m}]"), authority, AUTHORITY)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
