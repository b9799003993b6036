//! The tokens for a cluster that accepts those of a ServiceAccount, or what a cloud gives for one: renewed
//! before they end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::api::reason::Reason;
use crate::cluster::accounts::AccountToken;
use crate::cluster::session::Session;
use crate::domain::release::Release;
use crate::domain::remote::cloud::{CloudLogin, ClusterProvider};
use crate::domain::remote::provider::TrustingCluster;
use crate::oci::{Assertion, Registry};
use crate::reconcile::env::Env;
use crate::reconcile::env::clusters::RemoteCluster;
use crate::reconcile::error::{RunFailure, chain, failure};

/// When a renewal that has failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// The part of a token's time after which it is renewed.
const USED: f64 = 0.7;
/// The shortest time between two renewals.
const SHORTEST: Duration = Duration::from_secs(10);

/// The account of the tokens, and what they are exchanged for.
#[derive(Clone)]
struct Account {
    /// As the release, in the operator's own cluster.
    session: Session,
    /// As the operator, there.
    own: Session,
    registry: Registry,
    namespace: String,
    name: String,
    provider: ClusterProvider,
    audiences: Option<Vec<String>>,
}

/// Gives the cluster its first token, and renews it as long as the cluster is used. A token that was
/// rejected is replaced now.
///
/// # Errors
/// When there is no token.
pub async fn begin(
    env: &Env,
    cluster: &Arc<RemoteCluster>,
    trusting: &TrustingCluster,
    release: &Release,
    session: &Session,
) -> Result<(), Box<RunFailure>> {
    let name = trusting.service_account.as_ref().or(release.service_account.as_ref());
    let Some(name) = name else {
        let message = "spec.kubeConfig.configMapRef: names no account: set serviceAccountName in the ConfigMap, or \
                       spec.serviceAccountName";
        return Err(failure(Reason::InvalidSpec, message));
    };
    let account = Account {
        session: session.clone(),
        own: env.session.clone(),
        registry: env.registry.clone(),
        namespace: release.id.namespace.clone(),
        name: name.clone(),
        provider: trusting.provider.clone(),
        audiences: trusting.audiences.clone(),
    };
    let renewed = cluster.token.get_or_init(Mutex::default);
    let mut has_token = renewed.lock().await;
    // One that is rejected before its end may be of an account that was created again.
    if *has_token && !cluster.reach.session.is_rejected() {
        return Ok(());
    }
    let lasts = account.renew(cluster).await?;
    if !std::mem::replace(&mut *has_token, true) {
        tokio::spawn(keep(Arc::downgrade(cluster), account, lasts));
    }
    Ok(())
}

impl Account {
    /// Sets a new token, and returns after which time the next one is due.
    async fn renew(&self, cluster: &RemoteCluster) -> Result<Duration, Box<RunFailure>> {
        let token = self.token().await?;
        cluster.reach.session.set_token(&token.token).map_err(|e| failure(e.reason(), chain(&e)))?;
        let left = token.expiration_timestamp.duration_since(Timestamp::now());
        Ok(Duration::try_from(left).unwrap_or_default().mul_f64(USED).max(SHORTEST))
    }

    /// A token for the API server.
    async fn token(&self) -> Result<AccountToken, Box<RunFailure>> {
        let Self { namespace, name, registry, .. } = self;
        let login = self.login().await?;
        let pool = match &self.audiences {
            Some(_) => None,
            None => Some(registry.own_pool().await.map_err(|error| self.refused(&error))?),
        };
        let own = pool.as_ref().map(|pool| vec![pool.of_token.clone()]);
        let audiences = self.audiences.as_ref().or(own.as_ref()).map(Vec::as_slice).unwrap_or_default();
        let token = self.session.account_token(namespace, name, audiences).await.map_err(|error| {
            let hint = match error.is_forbidden() {
                true => format!("; allow {} to create serviceaccounts/token of it", self.session.identity()),
                false => String::new(),
            };
            let message =
                format!("cannot get a token of ServiceAccount/{namespace}/{name}: {}{hint}", chain(&error));
            failure(error.reason(), message)
        })?;
        let Some(login) = login else { return Ok(token) };
        let exchange = pool.as_ref().map(|pool| pool.of_exchange.as_str());
        let audience = exchange.or(audiences.first().map(String::as_str)).unwrap_or_default();
        let assertion = Assertion { account: (namespace, name), audience, token: &token.token };
        let given = registry.cluster_token(&login, &assertion).await;
        let (token, life) = given.map_err(|error| self.refused(&error))?;
        let life = SignedDuration::try_from(life).unwrap_or(SignedDuration::ZERO);
        let expiration_timestamp = Timestamp::now().saturating_add(life).unwrap_or(Timestamp::MAX);
        Ok(AccountToken { token, expiration_timestamp })
    }

    /// The identity in the cloud, as the account's annotations name it now.
    async fn login(&self) -> Result<Option<CloudLogin>, Box<RunFailure>> {
        let Self { namespace, name, .. } = self;
        if self.provider == ClusterProvider::Generic {
            return Ok(None);
        }
        let read = self.own.account_annotations(namespace, name).await;
        let annotations = read.map_err(|error| failure(error.reason(), chain(&error)))?;
        let Some(annotations) = annotations else {
            let message =
                format!("ServiceAccount/{namespace}/{name}, named by spec.kubeConfig, does not exist");
            return Err(failure(Reason::ServiceAccountNotFound, message));
        };
        self.provider.login(&annotations).map_err(|why| self.refused(&why))
    }

    fn refused(&self, why: &dyn std::fmt::Display) -> Box<RunFailure> {
        let Self { namespace, name, .. } = self;
        let message = format!("no token of the cloud for ServiceAccount/{namespace}/{name}: {why}");
        failure(Reason::ClusterUnreachable, message)
    }
}

/// Renews until nobody uses the cluster any more.
async fn keep(cluster: Weak<RemoteCluster>, account: Account, mut pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(cluster) = cluster.upgrade() else { return };
        pause = account.renew(&cluster).await.unwrap_or_else(|failed| {
            tracing::warn!(error = failed.message, "cannot renew the token for another cluster; retrying");
            AGAIN
        });
    }
}
