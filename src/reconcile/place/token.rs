//! The tokens for a cluster that accepts those of a ServiceAccount: renewed before they end.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::release::Release;
use crate::domain::remote::provider::TrustingCluster;
use crate::reconcile::env::clusters::RemoteCluster;
use crate::reconcile::error::{RunFailure, chain, failure};

/// When a renewal that has failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// The shortest time between two renewals.
const SHORTEST: Duration = Duration::from_secs(10);

/// The account of the tokens.
#[derive(Clone)]
struct Account {
    /// As the release, in the operator's own cluster.
    session: Session,
    namespace: String,
    name: String,
    audiences: Vec<String>,
}

/// Gives the cluster its first token, and renews it as long as the cluster is used.
///
/// # Errors
/// When there is no token.
pub async fn begin(
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
        namespace: release.id.namespace.clone(),
        name: name.clone(),
        audiences: trusting.audiences.clone(),
    };
    let renewed = cluster.token.get_or_init(Mutex::default);
    let mut has_token = renewed.lock().await;
    if *has_token {
        return Ok(());
    }
    let lasts = account.renew(cluster).await?;
    *has_token = true;
    tokio::spawn(keep(Arc::downgrade(cluster), account, lasts));
    Ok(())
}

impl Account {
    /// Sets a new token, and returns after which time the next one is due.
    async fn renew(&self, cluster: &RemoteCluster) -> Result<Duration, Box<RunFailure>> {
        let Self { session, namespace, name, audiences } = self;
        let token = session.account_token(namespace, name, audiences).await.map_err(|error| {
            let hint = match error.is_forbidden() {
                true => format!("; allow {} to create serviceaccounts/token of it", session.identity()),
                false => String::new(),
            };
            let message =
                format!("cannot get a token of ServiceAccount/{namespace}/{name}: {}{hint}", chain(&error));
            failure(error.reason(), message)
        })?;
        cluster.reach.session.set_token(&token.token).map_err(|e| failure(e.reason(), chain(&e)))?;
        let left = token.expiration_timestamp.duration_since(Timestamp::now());
        Ok(Duration::try_from(left).unwrap_or_default().mul_f64(0.7).max(SHORTEST))
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
