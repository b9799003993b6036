//! Credential helpers, as Docker's config names them: which program has the credentials
//! for a repository, and what its answer means. The caller runs it.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::keyring::{Credential, Keyring, split_key};
use crate::oci::error::OciError;
use crate::oci::reference::Repository;

/// The prefix of the name of every helper.
const PREFIX: &str = "docker-credential-";
/// The user name that marks the secret as a refresh token.
const TOKEN_USER: &str = "<token>";
/// Docker Hub, as docker names it to its helpers.
const HUB: &str = "https://index.docker.io/v1/";

/// A helper, and its input.
#[derive(Clone, PartialEq, Eq)]
pub struct HelperCall {
    /// The program, to be found on PATH and run with the argument `get`.
    pub program: String,
    /// What it reads from its standard input.
    pub server: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Helpers {
    #[serde(default)]
    creds_store: String,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

impl HelperCall {
    /// The helper that a Docker config names for the repository: that of its registry,
    /// else the one for all. `None` also when the config cannot be read, which
    /// [`Keyring::add`] reports.
    ///
    /// # Errors
    /// When the helper's name is not the name of a program.
    pub fn of(docker_config: &[u8], repository: &Repository) -> Result<Option<Self>, OciError> {
        let Ok(helpers) = serde_json::from_slice::<Helpers>(docker_config) else {
            return Ok(None);
        };
        let own = helpers.cred_helpers.iter().find(|(key, _)| {
            let (host, path) = split_key(key);
            path.is_empty() && host == repository.registry()
        });
        let name = own.map_or(&helpers.creds_store, |(_, name)| name);
        if name.is_empty() {
            return Ok(None);
        }
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err(OciError::Secret(format!("{name:?} is not the name of a credential helper")));
        }
        let hub = repository.registry() == "docker.io";
        let server = if hub { HUB } else { repository.registry() };
        Ok(Some(Self { program: format!("{PREFIX}{name}"), server: server.to_owned() }))
    }

    /// What the helper printed, as the credentials of the registry. Without a
    /// secret there are none.
    ///
    /// # Errors
    /// When it is not the JSON that helpers print. Quotes nothing of it.
    pub fn read(&self, answer: &[u8], repository: &Repository) -> Result<Keyring, OciError> {
        let unusable = |_| OciError::Secret(format!("{} returned no valid credentials", self.program));
        let Answer { username, secret } = serde_json::from_slice(answer).map_err(unusable)?;
        let mut keyring = Keyring::default();
        if secret.is_empty() {
            return Ok(keyring);
        }
        keyring.insert(
            repository.registry(),
            match username == TOKEN_USER {
                true => Credential::Identity(secret),
                false => Credential::Password { username, password: secret },
            },
        );
        Ok(keyring)
    }
}

impl fmt::Debug for HelperCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} get < {}", self.program, self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_of_the_registry_goes_before_the_one_for_all() {
        let config = r#"{"credsStore": "desktop", "credHelpers": {
            "ghcr.io": "gh", "https://index.docker.io/v1/": "hub", "off.io": "", "bad.io": "../x", "path.io/team": "p"}}"#;
        let check = |config: &str, url: &str, expected: Option<&str>| {
            let call = HelperCall::of(config.as_bytes(), &Repository::parse(url).unwrap()).unwrap();
            assert_eq!(call.map(|call| format!("{call:?}")).as_deref(), expected, "{url}");
        };
        check(config, "oci://ghcr.io/a", Some("docker-credential-gh get < ghcr.io"));
        check(config, "oci://docker.io/a", Some("docker-credential-hub get < https://index.docker.io/v1/"));
        check(config, "oci://other.io:5000/a", Some("docker-credential-desktop get < other.io:5000"));
        check(config, "oci://path.io/team/a", Some("docker-credential-desktop get < path.io"));
        check(config, "oci://off.io/a", None);
        check("{}", "oci://a.io/a", None);
        check("[", "oci://a.io/a", None);
        let error =
            HelperCall::of(config.as_bytes(), &Repository::parse("oci://bad.io/a").unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "\"../x\" is not the name of a credential helper");
    }

    #[test]
    fn an_answer_is_a_password_a_token_or_none() {
        let repository = Repository::parse("oci://a.io/team/app").unwrap();
        let call = HelperCall { program: "docker-credential-x".into(), server: "a.io".into() };
        let check = |answer: &str, expected: Option<Credential>| {
            let keyring = call.read(answer.as_bytes(), &repository).unwrap();
            assert!(keyring.lookup(&repository).cloned() == expected, "{answer}");
            assert_eq!(keyring.covers(&repository), expected.is_some());
        };
        let password = Credential::Password { username: "u".into(), password: "p".into() };
        check(r#"{"ServerURL": "a.io", "Username": "u", "Secret": "p"}"#, Some(password));
        check(r#"{"Username": "<token>", "Secret": "t"}"#, Some(Credential::Identity("t".into())));
        check(r#"{"Username": "", "Secret": ""}"#, None);
        let error = call.read(b"hunter2", &repository).unwrap_err().to_string();
        assert_eq!(error, "docker-credential-x returned no valid credentials");
    }
}
