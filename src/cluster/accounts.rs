//! ServiceAccounts, and the Secrets and ConfigMaps that a spec names: watched by name where the identity
//! is allowed to, so that a rotation takes effect at once; read on demand otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use zeroize::Zeroize;

use super::collections::watch::{Event, ListSelection, State, run};
use super::error::ApiError;
use super::kinds::resource::escape;
use super::session::{Call, JSON, Session};
use crate::domain::identity::ReleaseId;
use crate::domain::release::inputs::InputData;

/// How long a run waits for the first list of a watch.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// The data of a Secret. Its `Debug` shows no value, and what it held is wiped
/// when it is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names of its image pull Secrets.
    pub pull_secrets: Vec<String>,
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

    /// Watches a ConfigMap by name, as this identity.
    pub fn watch_config_map(
        &self,
        namespace: &str,
        name: &str,
        subscriber: Subscriber,
    ) -> WatchedObject<InputData> {
        let collection = format!("/api/v1/namespaces/{namespace}/configmaps");
        self.watch_named(&collection, name, subscriber, parse_config_map)
    }

    /// Watches a Secret by name, as this identity.
    pub fn watch_secret(
        &self,
        namespace: &str,
        name: &str,
        subscriber: Subscriber,
    ) -> WatchedObject<SecretData> {
        self.watch_named(&format!("/api/v1/namespaces/{namespace}/secrets"), name, subscriber, parse_secret)
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
            parse_account,
        )
    }

    pub(super) fn watch_named<T>(
        &self,
        collection: &str,
        name: &str,
        subscriber: Subscriber,
        parse: fn(&str) -> Option<T>,
    ) -> WatchedObject<T>
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        let selection = ListSelection {
            path: collection.to_owned(),
            query: format!("fieldSelector=metadata.name%3D{name}"),
            metadata_only: false,
        };
        let value = Arc::new(RwLock::new(None));
        let (state, receiver) = watch::channel(State::Syncing);
        let mut observer = NamedObserver { value: Arc::clone(&value), parse, seen: false, state, subscriber };
        let task = tokio::spawn(run(self.clone(), selection, move |event| observer.observe(event)));
        WatchedObject { value, state: receiver, task }
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

/// The receiver that is notified of a change.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// The release to report.
    pub release: ReleaseId,
    /// The channel.
    pub sender: mpsc::UnboundedSender<ReleaseId>,
}

/// One object that is watched by its name. The watch ends when this is dropped.
pub struct WatchedObject<T> {
    value: Arc<RwLock<Option<T>>>,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl<T> Drop for WatchedObject<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T: Clone> WatchedObject<T> {
    /// The object as it is now: `Ok(None)` when it does not exist.
    ///
    /// # Errors
    /// How the watch is, when it is not synced: the object has to be read on demand.
    pub async fn current(&self) -> Result<Option<T>, State> {
        let mut state = self.state.clone();
        let settled = tokio::time::timeout(SYNC_TIMEOUT, state.wait_for(|s| *s != State::Syncing)).await;
        let settled = match settled {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => State::NotServed,
            Err(_) => State::Syncing,
        };
        match settled {
            State::Synced => Ok(self.value.read().unwrap_or_else(PoisonError::into_inner).clone()),
            other => Err(other),
        }
    }
}

struct NamedObserver<T> {
    value: Arc<RwLock<Option<T>>>,
    parse: fn(&str) -> Option<T>,
    seen: bool,
    state: watch::Sender<State>,
    subscriber: Subscriber,
}

impl<T: Clone + PartialEq> NamedObserver<T> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Listing => self.seen = false,
            Event::Present(text) => {
                self.seen = true;
                self.replace((self.parse)(text));
            }
            Event::Absent(_) => self.replace(None),
            Event::Listed => {
                if !self.seen {
                    self.replace(None);
                }
                // A run that could not watch it has read it by name, some time before.
                match self.state.send_replace(State::Synced) {
                    State::Denied(_) | State::NotServed => self.notify(),
                    State::Syncing | State::Synced => {}
                }
            }
            Event::Following => {}
            Event::Failed(state) => {
                self.state.send_replace(state);
            }
        }
    }

    fn replace(&self, value: Option<T>) {
        let mut current = self.value.write().unwrap_or_else(PoisonError::into_inner);
        if *current == value {
            return;
        }
        *current = value;
        drop(current);
        // The first list is no change: the run that asked for it waits.
        if *self.state.borrow() == State::Synced {
            self.notify();
        }
    }

    fn notify(&self) {
        // The receiver is gone while the process ends.
        let _ = self.subscriber.sender.send(self.subscriber.release.clone());
    }
}
