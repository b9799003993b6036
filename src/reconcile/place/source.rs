//! What the spec says of another cluster: read as the release, in the operator's own cluster.

use crate::api::reason::Reason;
use crate::cluster::by_name::Keeps;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::release::Release;
use crate::domain::remote::kubeconfig::{RemoteAccess, RemoteReach};
use crate::domain::remote::provider::TrustingCluster;
use crate::domain::remote::source::ClusterSource;
use crate::reconcile::cache::place::{PlaceCache, WatchedSource};
use crate::reconcile::env::Env;
use crate::reconcile::error::{RunFailure, failure};
use crate::reconcile::source::access::unread;

/// The connection to another cluster.
pub enum ClusterConnection {
    /// With its own credentials.
    Kubeconfig(RemoteAccess),
    /// With tokens of a ServiceAccount.
    Trusting(TrustingCluster),
}

impl ClusterConnection {
    /// The API server.
    pub fn access(&self) -> &RemoteAccess {
        match self {
            Self::Kubeconfig(access) => access,
            Self::Trusting(cluster) => &cluster.access,
        }
    }
}

/// Reads the connection. `session` is the release's in the operator's own cluster. The object is
/// watched from now on, if that is allowed.
///
/// # Errors
/// When the object is missing, cannot be read, or is invalid.
pub async fn connection(
    env: &Env,
    release: &Release,
    source: &ClusterSource,
    session: &Session,
    cache: &mut PlaceCache,
) -> Result<ClusterConnection, Box<RunFailure>> {
    let (namespace, reach) = (&release.id.namespace, env.clusters.settings.reach);
    let (kind, name, field) = source.named();
    let is_same = |(identity, of, _): &_| identity == session.identity() && of == source;
    if !cache.watched.as_deref().is_some_and(is_same) {
        let (subscriber, keeps) = (env.notifier(&release.id), Keeps::default());
        let watched = match source {
            ClusterSource::Secret { .. } => {
                WatchedSource::Secret(session.watch_secret(namespace, name, subscriber, &keeps))
            }
            ClusterSource::ConfigMap { .. } => {
                WatchedSource::ConfigMap(session.watch_config_map(namespace, name, subscriber, &keeps))
            }
        };
        cache.watched = Some(Box::new((session.identity().clone(), source.clone(), watched)));
    }
    let unread = |error: &ApiError| unread(&format!("{kind}/{namespace}/{name}"), session, error);
    let missing = || {
        let message = format!("{kind}/{namespace}/{name}, named by spec.{field}, does not exist");
        let reason = match source {
            ClusterSource::Secret { .. } => Reason::SecretNotFound,
            ClusterSource::ConfigMap { .. } => Reason::ConfigMapNotFound,
        };
        failure(reason, message)
    };
    let bad = |problem: &dyn std::fmt::Display| {
        let message = format!("{kind}/{namespace}/{name}, named by spec.{field}: {problem}");
        let reason = match source {
            ClusterSource::Secret { .. } => Reason::SecretInvalid,
            ClusterSource::ConfigMap { .. } => Reason::InvalidSpec,
        };
        failure(reason, message)
    };
    match (cache.watched.as_deref().map(|(_, _, watched)| watched), source) {
        (Some(WatchedSource::Secret(watched)), ClusterSource::Secret { key, .. }) => {
            let secret = session.watched_secret(watched, (namespace, name)).await;
            let secret = secret.map_err(|error| unread(&error))?.ok_or_else(missing)?;
            let keys = match key {
                Some(key) => vec![key.as_str()],
                None => vec!["value", "value.yaml"],
            };
            let text = keys.iter().find_map(|key| secret.0.get(*key));
            let text = text.ok_or_else(|| bad(&format!("it has no key {}", keys.join(" or "))))?;
            kubeconfig(text, reach).map_err(|problem| bad(&problem))
        }
        (Some(WatchedSource::ConfigMap(watched)), ClusterSource::ConfigMap { .. }) => {
            let map = session.watched_config_map(watched, (namespace, name)).await;
            let map = map.map_err(|error| unread(&error))?.ok_or_else(missing)?;
            let read = TrustingCluster::read(&map.0, reach).map_err(|problem| bad(&problem));
            read.map(ClusterConnection::Trusting)
        }
        // The watch was just started for this source.
        _ => Err(missing()),
    }
}

fn kubeconfig(text: &[u8], reach: RemoteReach) -> Result<ClusterConnection, String> {
    RemoteAccess::read(text, reach).map(ClusterConnection::Kubeconfig).map_err(|problem| problem.to_string())
}
