//! The cluster of a run's objects.

use std::sync::Arc;

use super::source::{ClusterConnection, connection};
use super::token;
use crate::api::reason::Reason;
use crate::cluster::session::{Identity, Session};
use crate::domain::release::Release;
use crate::domain::remote::source::ClusterSource;
use crate::reconcile::cache::place::PlaceCache;
use crate::reconcile::env::Env;
use crate::reconcile::env::target::TargetCluster;
use crate::reconcile::error::{RunFailure, chain, failure};

/// The cluster that the spec names, or why it cannot be reached. It takes no worker, and waits for no
/// other release. When the release is being deleted (`ends`) and its Secret is gone, or may not be read
/// any more, the connection of its last run is used.
pub async fn locate(env: &Env, release: &Release, cache: &mut PlaceCache, ends: bool) -> Arc<TargetCluster> {
    let Some(source) = &release.kube_config else {
        *cache = PlaceCache::default();
        return Arc::clone(&env.target);
    };
    match remote(env, release, source, cache, ends).await {
        Ok(target) => {
            let target = Arc::new(target);
            cache.target = Some(Arc::clone(&target));
            target
        }
        Err(why) => Arc::new(TargetCluster::away(cache.target.as_deref(), why)),
    }
}

async fn remote(
    env: &Env,
    release: &Release,
    source: &ClusterSource,
    cache: &mut PlaceCache,
    ends: bool,
) -> Result<TargetCluster, Box<RunFailure>> {
    let clusters = &env.clusters;
    if !clusters.settings.enabled {
        let message = "spec.kubeConfig: other clusters are not allowed by the administrator \
                       (--remote-clusters=Disabled): remove the field";
        return Err(failure(Reason::InvalidSpec, message));
    }
    let session = env.home_session(release).map_err(|error| failure(error.reason(), chain(&error)))?;
    match connection(env, release, source, &session, cache).await {
        Ok(connection) => connect(env, release, &connection, &session, cache).await?,
        // The objects in the other cluster can still be deleted. With a namespace, the right to read
        // the Secret may be deleted before the release.
        Err(gone) if ends && is_gone(gone.reason) && cache.member.is_some() => {}
        Err(other) => return Err(other),
    }
    let Some(member) = &cache.member else {
        return Err(failure(Reason::ClusterUnreachable, "the cluster of spec.kubeConfig is not connected"));
    };
    // What is deleted cannot be restored: it is certain which cluster answers.
    let target = clusters.target(&member.cluster, ends).await;
    target.map_err(|error| failure(error.reason(), chain(&error)))
}

fn is_gone(reason: Reason) -> bool {
    matches!(reason, Reason::SecretNotFound | Reason::ConfigMapNotFound | Reason::AccessDenied)
}

/// Connects, unless the release already uses that connection.
async fn connect(
    env: &Env,
    release: &Release,
    connection: &ClusterConnection,
    session: &Session,
    cache: &mut PlaceCache,
) -> Result<(), Box<RunFailure>> {
    if let (ClusterConnection::Trusting(_), Identity::User) = (connection, session.identity()) {
        // The author of the release chooses the account and the server: the person may do more.
        let message = "spec.kubeConfig.configMapRef: a command requests no tokens of accounts for another cluster; only a \
                       kubeconfig in a Secret (spec.kubeConfig.secretRef) is used";
        return Err(failure(Reason::AccessDenied, message));
    }
    let home = env.clusters.home(&env.session).await.map_err(|e| failure(e.reason(), chain(&e)))?;
    let Some(mark) = home else {
        let message = format!(
            "the id of this cluster cannot be read, which objects in another cluster carry: allow {} to get the \
             Namespace kube-system",
            env.session.identity()
        );
        return Err(failure(Reason::AccessDenied, message));
    };
    let fingerprint = match connection {
        ClusterConnection::Kubeconfig(access) => access.fingerprint(),
        // The token is that of an account, and was requested as another.
        ClusterConnection::Trusting(trusting) => {
            let account = release.service_account.as_deref().unwrap_or_default();
            format!("{}|{}|{account}", trusting.fingerprint(), session.identity())
        }
    };
    let of = (release.id.namespace.as_str(), fingerprint.as_str());
    let here = (&env.session, &env.target.reach()?.store, mark);
    let cluster = env.clusters.of(of, connection.access(), here, &env.wake).map_err(|error| {
        let message = format!("spec.kubeConfig: the connection cannot be used: {}", chain(&error));
        failure(Reason::SecretInvalid, message)
    })?;
    if let ClusterConnection::Trusting(trusting) = connection {
        token::begin(env, &cluster, trusting, release, session).await?;
    }
    if !cache.member.as_ref().is_some_and(|member| Arc::ptr_eq(&member.cluster, &cluster)) {
        cache.member = Some(cluster.join(&release.id));
    }
    Ok(())
}
