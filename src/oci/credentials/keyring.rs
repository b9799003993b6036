//! Credentials from `kubernetes.io/dockerconfigjson` Secrets and in Docker's own config
//! file, and which of them match a repository.
//!
//! Keys are matched as the kubelet matches them: by host, with `*` for a whole or a part
//! of a host label, by port, and by path; the longest path wins. One difference is
//! deliberate: a path matches whole segments, so a key for `host/team` does not match
//! `host/team-b`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::oci::error::OciError;
use crate::oci::reference::Repository;

/// Longest value of a Secret that is read as a Docker config, in bytes.
const MAX_CONFIG_BYTES: usize = 1 << 20;

/// The credential of one key of a config.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::oci) enum Credential {
    /// For Basic authentication, and for a token service that takes it.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: String,
    },
    /// A refresh token, which only a token service understands.
    Identity(String),
    /// A bearer token for the registry itself.
    Token(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(***)",
            Self::Identity(_) => "Identity(***)",
            Self::Token(_) => "Token(***)",
        })
    }
}

/// Credentials by registry and path.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

#[derive(Clone, Debug)]
struct Key {
    host: String,
    path: String,
    credential: Credential,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    auths: std::collections::BTreeMap<String, Entry>,
}

#[derive(Default, Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl Keyring {
    /// Adds the credentials of one Docker config; earlier ones win over equal
    /// keys of later ones.
    ///
    /// # Errors
    /// When the bytes are not a Docker config. The message quotes nothing of
    /// the content.
    pub fn add(&mut self, docker_config: &[u8]) -> Result<(), OciError> {
        if docker_config.len() > MAX_CONFIG_BYTES {
            return Err(OciError::Secret(format!(
                "the docker config is larger than {MAX_CONFIG_BYTES} bytes"
            )));
        }
        let config: Config = serde_json::from_slice(docker_config).map_err(|e| {
            let at = (e.line(), e.column());
            OciError::Secret(format!(
                "the docker config is not valid JSON or has a wrong type (line {}, column {})",
                at.0, at.1
            ))
        })?;
        for (name, entry) in config.auths {
            let (host, path) = split_key(&name);
            if let Some(credential) = entry.credential(&name)? {
                self.keys.push(Key { host, path, credential });
            }
        }
        Ok(())
    }

    /// The same of a Secret of the older type `kubernetes.io/dockercfg`: what is
    /// below `auths` in the newer one.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_dockercfg(&mut self, dockercfg: &[u8]) -> Result<(), OciError> {
        self.add(&[b"{\"auths\":", dockercfg, b"}"].concat())
    }

    /// Adds a user and password for one registry.
    pub fn add_password(&mut self, registry: &str, username: &str, password: &str) {
        let credential =
            Credential::Password { username: username.to_owned(), password: password.to_owned() };
        self.insert(registry, credential);
    }

    /// Adds a credential for one registry, before all others.
    pub(in crate::oci) fn insert(&mut self, registry: &str, credential: Credential) {
        let (host, path) = split_key(registry);
        self.keys.insert(0, Key { host, path, credential });
    }

    /// Whether there is a credential for the repository.
    pub fn covers(&self, repository: &Repository) -> bool {
        self.lookup(repository).is_some()
    }

    /// Whether there is no credential at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The credential for the repository: that with the longest matching path,
    /// then that whose host is written without wildcards, then the first.
    pub(in crate::oci) fn lookup(&self, repository: &Repository) -> Option<&Credential> {
        self.keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.matches(repository))
            .max_by_key(|(at, key)| (key.path.len(), !key.host.contains('*'), usize::MAX - at))
            .map(|(_, key)| &key.credential)
    }

    /// Feeds everything that distinguishes this keyring into a hash.
    pub(in crate::oci) fn feed(&self, hash: &mut Sha256) {
        for Key { host, path, credential } in &self.keys {
            let parts: [&str; 3] = match credential {
                Credential::Password { username, password } => ["password", username, password],
                Credential::Identity(token) => ["identity", token, ""],
                Credential::Token(token) => ["token", token, ""],
            };
            for part in [host, path].into_iter().map(String::as_str).chain(parts) {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
    }
}

impl Entry {
    fn credential(self, name: &str) -> Result<Option<Credential>, OciError> {
        let Self { mut username, mut password, auth, identitytoken, registrytoken } = self;
        if !registrytoken.is_empty() {
            return Ok(Some(Credential::Token(registrytoken)));
        }
        if !identitytoken.is_empty() {
            return Ok(Some(Credential::Identity(identitytoken)));
        }
        if username.is_empty() && password.is_empty() && !auth.is_empty() {
            let bad = || {
                OciError::Secret(format!(
                    "auth of {name:?} in the docker config is not base64 of user:password"
                ))
            };
            let auth = auth.trim();
            let bytes = STANDARD.decode(auth).or_else(|_| STANDARD_NO_PAD.decode(auth)).map_err(|_| bad())?;
            let text = String::from_utf8(bytes).map_err(|_| bad())?;
            let (user, pass) = text.split_once(':').ok_or_else(bad)?;
            username = user.to_owned();
            password = pass.trim_end_matches('\0').to_owned();
        }
        let empty = username.is_empty() && password.is_empty();
        Ok((!empty).then_some(Credential::Password { username, password }))
    }
}

/// A key is a host, perhaps with a scheme and a path; `/v1` and `/v2` are API
/// roots that old clients wrote, not paths.
pub(in crate::oci) fn split_key(name: &str) -> (String, String) {
    let bare = name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let path = path.trim_end_matches('/');
    let path = match path {
        "v1" | "v2" => "",
        other => other.strip_prefix("v1/").or_else(|| other.strip_prefix("v2/")).unwrap_or(other),
    };
    let host = host.to_ascii_lowercase();
    let hub = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"].contains(&host.as_str());
    (if hub { "docker.io".to_owned() } else { host }, path.to_owned())
}

impl Key {
    fn matches(&self, repository: &Repository) -> bool {
        let path = repository.path();
        let path_ok = self.path.is_empty()
            || path
                .strip_prefix(self.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        path_ok && host_matches(&self.host, repository.registry())
    }
}

fn host_matches(pattern: &str, host: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == host;
    }
    let (pattern, pattern_port) = pattern.split_once(':').unwrap_or((pattern, ""));
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    let (patterns, labels): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern_port == port
        && patterns.len() == labels.len()
        && patterns.iter().zip(labels).all(|(pattern, label)| label_matches(pattern, label))
}

/// A glob with `*` over one host label.
fn label_matches(pattern: &str, label: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == label;
    };
    let Some(mut left) = label.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(config: &str) -> Keyring {
        let mut keyring = Keyring::default();
        keyring.add(config.as_bytes()).unwrap();
        keyring
    }

    #[test]
    fn the_longest_matching_key_wins() {
        let keyring = keyring(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnA="},
                "ghcr.io": {"username": "host", "password": "p"},
                "ghcr.io/team": {"username": "team", "password": "p"},
                "https://ghcr.io/v2/team/app/": {"username": "app", "password": "p"},
                "*.azurecr.io": {"username": "wild", "password": "p"},
                "one.azurecr.io": {"username": "exact", "password": "p"},
                "a*c.b*.io:5000": {"username": "parts", "password": "p"},
                "empty.io": {}
            }}"#,
        );
        let check = |url: &str, expected: Option<&str>| {
            let user = match keyring.lookup(&Repository::parse(url).unwrap()) {
                Some(Credential::Password { username, .. }) => Some(username.as_str()),
                _ => None,
            };
            assert_eq!(user, expected, "{url}");
        };
        check("oci://docker.io/nginx", Some("hub"));
        check("oci://ghcr.io/other", Some("host"));
        check("oci://ghcr.io/team/x", Some("team"));
        check("oci://ghcr.io/team", Some("team"));
        check("oci://ghcr.io/team-b/x", Some("host"));
        check("oci://ghcr.io/team/app/x", Some("app"));
        check("oci://two.azurecr.io/x", Some("wild"));
        check("oci://one.azurecr.io/x", Some("exact"));
        check("oci://a.b.azurecr.io/x", None);
        check("oci://azurecr.io/x", None);
        check("oci://abc.bad.io:5000/x", Some("parts"));
        check("oci://abc.bad.io:5001/x", None);
        check("oci://empty.io/x", None);
        check("oci://evil.com/ghcr.io", None);
    }

    #[test]
    fn every_form_of_credential_is_read_and_none_is_printed() {
        let keyring = keyring(
            r#"{"auths": {
                "a.io": {"auth": "dXNlcjpwYTpzc3NlY3JldA=="},
                "b.io": {"identitytoken": "idsecret"},
                "c.io": {"registrytoken": "regsecret"}
            }, "credsStore": "desktop"}"#,
        );
        let of = |url: &str| keyring.lookup(&Repository::parse(url).unwrap()).cloned();
        let password = Credential::Password { username: "user".into(), password: "pa:sssecret".into() };
        assert_eq!(of("oci://a.io/x"), Some(password));
        assert_eq!(of("oci://b.io/x"), Some(Credential::Identity("idsecret".into())));
        assert_eq!(of("oci://c.io/x"), Some(Credential::Token("regsecret".into())));
        assert!(!format!("{keyring:?}").contains("secret"));
    }

    #[test]
    fn the_older_type_of_secret_is_read_too() {
        let mut keyring = Keyring::default();
        keyring.add_dockercfg(br#"{"a.io": {"username": "user", "password": "p"}}"#).unwrap();
        assert!(keyring.covers(&Repository::parse("oci://a.io/x").unwrap()));
        for wrong in ["", "{", "[]", r#"{}, "auths": {}"#] {
            assert!(Keyring::default().add_dockercfg(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_broken_config_is_an_error_that_quotes_nothing() {
        for config in ["{", r#"{"auths": {"a.io": {"auth": "%%secret%%"}}}"#, r#"{"auths": "secret"}"#] {
            let error = Keyring::default().add(config.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
