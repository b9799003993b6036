//! Another cluster: its API server is called with what a release gives, and only while it answers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{HeaderValue, Request};
use kube::Config;
use kube::config::AuthInfo;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use tokio::sync::watch;

use super::body::RequestBody;
use super::breaker::Remote;
use super::transport::{ApiTransport, Lane};
use super::{Call, Identity, Session, Shared};
use crate::cluster::error::ApiError;
use crate::domain::message::chain;
use crate::domain::remote::kubeconfig::{RemoteAccess, RemoteReach};

/// How often a cluster that is away is probed, and how long an answer may take.
const PROBE: Duration = Duration::from_secs(5);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first answer of a cluster may take.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// The longest answer of another cluster that is read: a release may name any server.
const MAX_ANSWER: usize = 16 << 20;
/// How much of what it says is repeated, in characters.
const MAX_SAID: usize = 300;
/// The longest uid that is believed, in bytes: inventories and labels contain it.
const MAX_UID: usize = 128;
/// The Namespace whose uid identifies a cluster.
const SYSTEM: &str = "/api/v1/namespaces/kube-system";

#[derive(Deserialize)]
struct Named {
    metadata: Uid,
}

#[derive(Deserialize)]
struct Uid {
    uid: String,
}

impl Session {
    /// Another cluster, managed from that of this session. `mark` is the id of this cluster, which
    /// objects there carry. Nothing is sent yet.
    ///
    /// # Errors
    /// When certificates or credentials cannot be used.
    pub fn remote(&self, access: &RemoteAccess, reach: RemoteReach, mark: &str) -> Result<Self, ApiError> {
        let own = Arc::new(Identity::Kubeconfig);
        let remote = Remote::new(&access.server);
        let transport = ApiTransport::new(config(access)?, Some(reach))?;
        if let Some(times) = self.shared.fence.times() {
            transport.limit_transit(times.sending);
        }
        let shared = Shared {
            remote: Some(remote),
            mark: Some(mark.into()),
            // Another replica that leads writes there, too.
            fence: Arc::clone(&self.shared.fence),
            ..Shared::new(transport, Arc::clone(&self.shared.metrics), self.shared.inventories.clone(), own)
        };
        Ok(Self {
            shared: Arc::new(shared),
            identity: Arc::new(Identity::Kubeconfig),
            user: None,
            tenant: None,
            bounds: self.bounds.clone(),
        })
    }

    /// The URL of the API server of another cluster.
    pub fn server(&self) -> Option<&str> {
        self.shared.remote.as_ref().map(|remote| &*remote.server)
    }

    /// Sets the token for another cluster.
    ///
    /// # Errors
    /// When it is not valid in a header.
    pub fn set_token(&self, token: &str) -> Result<(), ApiError> {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(ApiError::configuration)?;
        value.set_sensitive(true);
        if let Some(remote) = &self.shared.remote {
            remote.set_authorization(value);
        }
        Ok(())
    }

    /// Whether another cluster rejects the token that was set last.
    pub fn is_rejected(&self) -> bool {
        self.shared.remote.as_ref().is_some_and(Remote::is_rejected)
    }

    /// Follows whether another cluster is away; `None` for the process's own.
    pub fn follow(&self) -> Option<watch::Receiver<bool>> {
        self.shared.remote.as_ref().map(|remote| remote.breaker.follow())
    }

    /// Why nothing is sent to another cluster now.
    ///
    /// # Errors
    /// Its last failure.
    pub fn check_reachable(&self) -> Result<(), ApiError> {
        let Some(remote) = &self.shared.remote else { return Ok(()) };
        match remote.breaker.failure() {
            Some(why) => Err(remote.away(&why)),
            None => Ok(()),
        }
    }

    /// The uid of the Namespace kube-system, which identifies a cluster; `None` where this identity
    /// may not read it.
    ///
    /// # Errors
    /// When there is no answer, or none of an API server.
    pub async fn cluster_uid(&self) -> Result<Option<String>, ApiError> {
        let asked = tokio::time::timeout(FIRST_ANSWER, self.call(Call::get(SYSTEM))).await;
        match asked {
            Ok(Ok(answer)) => match answer.json::<Named>() {
                Ok(Named { metadata: Uid { uid } }) if is_uid(&uid) => Ok(Some(uid)),
                Ok(_) => {
                    Err(self.unidentified(ApiError::answer("the uid of its Namespace kube-system is no uid")))
                }
                Err(error) => Err(self.unidentified(error)),
            },
            Ok(Err(error)) if error.is_forbidden() || error.is_not_found() => Ok(None),
            Ok(Err(error)) => Err(self.unidentified(error)),
            Err(_) => Err(self.of_cluster(ApiError::Timeout(FIRST_ANSWER))),
        }
    }

    /// How often another cluster was away; 0 for the process's own.
    pub fn outages(&self) -> u64 {
        self.shared.remote.as_ref().map_or(0, |remote| remote.breaker.outages())
    }

    /// The error of an answer that does not identify its cluster. A gateway that answers instead of
    /// another cluster says nothing about the objects of a release: the cluster is away.
    fn unidentified(&self, error: ApiError) -> ApiError {
        match (&self.shared.remote, self.of_cluster(error)) {
            (_, away @ ApiError::Away { .. }) => away,
            (Some(remote), other) => remote.away(&said(&chain(&other))),
            (None, other) => other,
        }
    }

    /// The error as one of its cluster. One without an answer ends all requests to another cluster
    /// until a probe is answered.
    pub(super) fn of_cluster(&self, error: ApiError) -> ApiError {
        let Some(remote) = &self.shared.remote else { return error };
        match &error {
            ApiError::Unreachable(_) | ApiError::Timeout(_) => {
                let why = chain(&error);
                open(&self.shared, remote, &why);
                remote.away(&remote.breaker.failure().unwrap_or_else(|| why.into()))
            }
            ApiError::Status(status) if status.code == 401 || error.is_transient() => {
                let why = said(&status.message);
                if status.code == 401 {
                    remote.reject();
                }
                if matches!(status.code, 502..=504) && remote.breaker.suspect() {
                    // A load balancer answers for a dead API server, and an API server for a dead
                    // aggregated one.
                    tokio::spawn(confirm(Arc::downgrade(&self.shared), why.clone()));
                }
                remote.away(&why)
            }
            ApiError::Answer(_) => remote.away(&chain(&error)),
            _ => error,
        }
    }

    /// The longest answer to a call that is read.
    pub(super) fn most(&self, call: &Call) -> usize {
        let most = if self.shared.remote.is_some() { call.most.min(MAX_ANSWER) } else { call.most };
        self.bounds.as_ref().map_or(most, |bounds| most.min(bounds.most()))
    }

    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        self.shared.bearer.clone().or_else(|| self.shared.remote.as_ref()?.authorization())
    }
}

/// Whether a text can be the uid of an object.
fn is_uid(text: &str) -> bool {
    (1..=MAX_UID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// What a server says, in one line.
fn said(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(MAX_SAID).collect()
}

/// Ends requests to a cluster until it answers.
fn open(shared: &Arc<Shared>, remote: &Remote, why: &str) {
    if remote.breaker.open(why) {
        tracing::warn!(server = &*remote.server, why, "a cluster is away");
        tokio::spawn(probe(Arc::downgrade(shared)));
    }
}

/// Asks the API server itself whether it answers.
async fn confirm(shared: Weak<Shared>, why: String) {
    let Some(shared) = shared.upgrade() else { return };
    let Some(remote) = &shared.remote else { return };
    let answers = tokio::time::timeout(PROBE_TIMEOUT, answers(&shared)).await.unwrap_or(false);
    remote.breaker.asked();
    if !answers {
        open(&shared, remote, &why);
    }
}

/// Probes a cluster until it answers, or nobody needs it any more.
async fn probe(shared: Weak<Shared>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let answers = tokio::time::timeout(PROBE_TIMEOUT, answers(&strong)).await.unwrap_or(false);
        if let Some(remote) = strong.remote.as_ref().filter(|_| answers) {
            tracing::info!(server = &*remote.server, "a cluster is back");
            remote.breaker.close();
            return;
        }
        drop(strong);
        tokio::time::sleep(PROBE.mul_f64(0.8 + 0.4 * fastrand::f64())).await;
    }
}

/// Whether the API server answers, whatever it thinks of the question.
async fn answers(shared: &Shared) -> bool {
    let Ok(request) = Request::get("/version").body(RequestBody::default()) else { return false };
    let answered = shared.transport.send(Lane::Request, request).await;
    answered.is_ok_and(|(_, response)| response.status().as_u16() < 500)
}

/// The configuration of a client.
fn config(access: &RemoteAccess) -> Result<Config, ApiError> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let mut config = Config::new(access.server.parse().map_err(ApiError::configuration)?);
    config.tls_server_name.clone_from(&access.server_name);
    if let Some(pem) = &access.authority {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let found: Vec<Vec<u8>> =
            found.map_err(ApiError::configuration)?.into_iter().map(|der| der.to_vec()).collect();
        if found.is_empty() {
            return Err(ApiError::configuration("the CA contains no certificate"));
        }
        config.root_cert = Some(found);
    }
    let mut auth = AuthInfo::default();
    if let Some((certificate, key)) = &access.certificate {
        auth.client_certificate_data = Some(STANDARD.encode(certificate));
        auth.client_key_data = Some(STANDARD.encode(key).into());
    }
    auth.token = access.token.clone().map(Into::into);
    if let Some((user, password)) = &access.basic {
        (auth.username, auth.password) = (Some(user.clone()), Some(password.clone().into()));
    }
    config.auth_info = auth;
    let proxy = access.proxy.as_ref().map(|proxy| proxy.url().parse()).transpose();
    config.proxy_url = proxy.map_err(ApiError::configuration)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_short_and_plain() {
        for (text, expected) in [
            ("7f3c9a52-1f0e-4a7b-9d55-0c2f6a1b8e34", true),
            ("A1", true),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("a\n", false),
            ("é", false),
        ] {
            assert_eq!(is_uid(text), expected, "{text}");
        }
        assert!(is_uid(&"a".repeat(MAX_UID)));
        assert!(!is_uid(&"a".repeat(MAX_UID + 1)));
    }
}
