//! ServiceAccounts, and the Secrets and ConfigMaps that a spec names: watched by name where the identity
//! is allowed to, so that a rotation takes effect at once; read on demand otherwise.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroize;

use super::collections::by_name::{Keeps, ObjectContent, Subscriber, WatchReading, WatchedObject};
use super::error::ApiError;
use super::kinds::resource::escape;
use super::session::{Call, JSON, Session};
use crate::domain::release::inputs::InputData;

/// The data of a Secret. Its `Debug` shows no value, and what it held is wiped
/// when it is dropped.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SecretData(pub BTreeMap<String, Vec<u8>>);

impl Drop for SecretData {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

impl std::fmt::Debug for SecretData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What is needed of a ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Names of its image pull Secrets.
    pub pull_secrets: Vec<String>,
}

impl ObjectContent for SecretData {
    fn bytes(&self) -> u64 {
        self.0.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

impl ObjectContent for InputData {
    fn bytes(&self) -> u64 {
        self.bytes() as u64
    }
}

impl ObjectContent for Account {
    fn bytes(&self) -> u64 {
        self.pull_secrets.iter().map(|name| name.len() as u64).sum()
    }
}

#[derive(Deserialize)]
struct RawSecret {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawConfigMap {
    #[serde(default)]
    data: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAccount {
    #[serde(default)]
    metadata: RawMetadata,
    #[serde(default)]
    image_pull_secrets: Option<Vec<RawReference>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct RawReference {
    #[serde(default)]
    name: String,
}

fn parse_secret(text: &str) -> Option<SecretData> {
    let raw: RawSecret = serde_json::from_str(text).ok()?;
    let data = raw.data.unwrap_or_default();
    let decoded = data.into_iter().filter_map(|(k, v)| Some((k, STANDARD.decode(v).ok()?)));
    Some(SecretData(decoded.collect()))
}

fn parse_config_map(text: &str) -> Option<InputData> {
    let raw: RawConfigMap = serde_json::from_str(text).ok()?;
    let data = raw.data.unwrap_or_default();
    Some(InputData(data.into_iter().map(|(key, value)| (key, value.into_bytes())).collect()))
}

/// `None` for one that is being deleted too: it must not be used any more.
fn parse_account(text: &str) -> Option<Account> {
    let raw: RawAccount = serde_json::from_str(text).ok()?;
    if raw.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let pull_secrets = raw.image_pull_secrets.unwrap_or_default().into_iter().map(|r| r.name);
    Some(Account { pull_secrets: pull_secrets.filter(|n| !n.is_empty()).collect() })
}

impl Session {
    /// A ServiceAccount; `None` when it does not exist or is being deleted. The API
    /// server impersonates accounts that do not exist, so this is checked before every
    /// run that writes.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn account(&self, namespace: &str, name: &str) -> Result<Option<Account>, ApiError> {
        let uri = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
        match self.call(Call::get(uri)).await {
            Ok(answer) => {
                let text = std::str::from_utf8(&answer.body).map_err(ApiError::answer)?;
                Ok(parse_account(text))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The annotations of a ServiceAccount; `None` when it does not exist.
    ///
    /// # Errors
    /// When the identity may not read it, or the API server does not answer.
    pub async fn account_annotations(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, ApiError> {
        #[derive(Deserialize)]
        struct Raw {
            metadata: Annotated,
        }
        #[derive(Deserialize)]
        struct Annotated {
            #[serde(default)]
            annotations: BTreeMap<String, String>,
        }
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}", escape(namespace), escape(name));
        match self.call(Call::get(path)).await {
            Ok(answer) => Ok(Some(answer.json::<Raw>()?.metadata.annotations)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A Secret; `None` when it does not exist.
    ///
    /// # Errors
    /// When the identity may not read it, or the API server does not answer.
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<SecretData>, ApiError> {
        match self.call(Call::get(format!("/api/v1/namespaces/{namespace}/secrets/{name}"))).await {
            Ok(answer) => {
                let text = std::str::from_utf8(&answer.body).map_err(ApiError::answer)?;
                let secret = parse_secret(text).ok_or_else(|| ApiError::Answer("not a Secret".into()))?;
                Ok(Some(secret))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The text data of a ConfigMap; `None` when it does not exist.
    ///
    /// # Errors
    /// When the identity may not read it, or the API server does not answer.
    pub async fn config_map_data(&self, namespace: &str, name: &str) -> Result<Option<InputData>, ApiError> {
        match self.call(Call::get(format!("/api/v1/namespaces/{namespace}/configmaps/{name}"))).await {
            Ok(answer) => {
                let text = std::str::from_utf8(&answer.body).map_err(ApiError::answer)?;
                let data = parse_config_map(text);
                data.map(Some).ok_or_else(|| ApiError::Answer("not a ConfigMap".into()))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A Secret as its watch shows it, or as it is read now where that shows nothing.
    ///
    /// # Errors
    /// As [`Session::secret`].
    pub async fn watched_secret(
        &self,
        watched: &WatchedObject<SecretData>,
        (namespace, name): (&str, &str),
    ) -> Result<Option<SecretData>, ApiError> {
        match watched.current().await {
            Ok(secret) => Ok(secret),
            Err(_) => self.secret(namespace, name).await,
        }
    }

    /// The same for a ConfigMap.
    ///
    /// # Errors
    /// As [`Session::config_map_data`].
    pub async fn watched_config_map(
        &self,
        watched: &WatchedObject<InputData>,
        (namespace, name): (&str, &str),
    ) -> Result<Option<InputData>, ApiError> {
        match watched.current().await {
            Ok(data) => Ok(data),
            Err(_) => self.config_map_data(namespace, name).await,
        }
    }

    /// Watches a ConfigMap by name, as this identity.
    pub fn watch_config_map(
        &self,
        namespace: &str,
        name: &str,
        subscriber: Subscriber,
        keeps: &Keeps,
    ) -> WatchedObject<InputData> {
        let collection = format!("/api/v1/namespaces/{namespace}/configmaps");
        self.watch_named(
            &collection,
            name,
            subscriber,
            WatchReading { parse: parse_config_map, keeps: keeps.clone() },
        )
    }

    /// Watches a Secret by name, as this identity.
    pub fn watch_secret(
        &self,
        namespace: &str,
        name: &str,
        subscriber: Subscriber,
        keeps: &Keeps,
    ) -> WatchedObject<SecretData> {
        let collection = format!("/api/v1/namespaces/{namespace}/secrets");
        self.watch_named(
            &collection,
            name,
            subscriber,
            WatchReading { parse: parse_secret, keeps: keeps.clone() },
        )
    }

    /// Watches a ServiceAccount by name, as this identity.
    pub fn watch_account(
        &self,
        namespace: &str,
        name: &str,
        subscriber: Subscriber,
    ) -> WatchedObject<Account> {
        self.watch_named(
            &format!("/api/v1/namespaces/{namespace}/serviceaccounts"),
            name,
            subscriber,
            WatchReading { parse: parse_account, keeps: Keeps::default() },
        )
    }
}

/// How long a token lasts, in seconds. The API server may give it another time.
const LIFETIME: u64 = 3600;

/// A token of a ServiceAccount.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountToken {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expiration_timestamp: Timestamp,
}

impl Drop for AccountToken {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

#[derive(Deserialize)]
struct Answer {
    status: AccountToken,
}

impl Session {
    /// A new token of a ServiceAccount for these audiences.
    ///
    /// # Errors
    /// When the account does not exist, or this identity may not create its tokens.
    pub async fn account_token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[String],
    ) -> Result<AccountToken, ApiError> {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", escape(namespace), escape(name));
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": LIFETIME},
        });
        let body = request.to_string().into_bytes().into();
        let answer = self.call(Call::with_body(Method::POST, path, JSON, body)).await?;
        Ok(answer.json::<Answer>()?.status)
    }
}
