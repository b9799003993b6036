//! Which kinds the API server serves: read once, and again when one is not known.

use std::sync::{Arc, PoisonError};

use serde::Deserialize;

use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, Session};
use crate::domain::identity::GroupKind;
use crate::domain::manifest::chart::{ClusterCapabilities, is_version};

pub use super::resource::Resource;
pub use super::served::ApiDiscovery;

/// The aggregated form (KEP-3352, stable since Kubernetes 1.30): two requests
/// for all groups.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServerVersion {
    git_version: String,
}

impl Session {
    /// The served kinds, as last read; reads them when nothing is known yet.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn discovery(&self) -> Result<Arc<ApiDiscovery>, ApiError> {
        let discovery = self.snapshot();
        if discovery.is_empty() { self.rediscover(&discovery).await } else { Ok(discovery) }
    }

    pub(in crate::cluster) fn snapshot(&self) -> Arc<ApiDiscovery> {
        Arc::clone(&self.shared.discovery.latest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The served kinds, read again when one of the kinds is missing: its definition may
    /// have been installed since.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn discovery_of(
        &self,
        kinds: impl Iterator<Item = GroupKind>,
    ) -> Result<Arc<ApiDiscovery>, ApiError> {
        self.discovery_where(kinds, |discovery, kind| discovery.preferred(kind).is_some()).await
    }

    /// The same for kinds in certain versions: a known kind may have got a new one
    /// since.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn known_in(
        &self,
        kinds: impl Iterator<Item = (GroupKind, String)>,
    ) -> Result<Arc<ApiDiscovery>, ApiError> {
        self.discovery_where(kinds, |discovery, (kind, version)| discovery.resource(kind, version).is_some())
            .await
    }

    /// What the cluster can, read now: a chart may ask for what was installed a moment ago.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn capabilities(&self) -> Result<ClusterCapabilities, ApiError> {
        let discovery = self.rediscover(&self.snapshot()).await?;
        let answer = self.as_process().call(Call::get("/version")).await?;
        let ServerVersion { git_version } = answer.json()?;
        if !is_version(&git_version) {
            return Err(ApiError::unreachable("the API server names no version of Kubernetes".to_owned()));
        }
        Ok(ClusterCapabilities {
            kube_version: git_version,
            api_versions: discovery.versions().map(str::to_owned).collect(),
        })
    }

    async fn discovery_where<T>(
        &self,
        mut wanted: impl Iterator<Item = T>,
        serves: impl Fn(&ApiDiscovery, &T) -> bool,
    ) -> Result<Arc<ApiDiscovery>, ApiError> {
        let discovery = self.discovery().await?;
        match wanted.all(|one| serves(&discovery, &one)) {
            true => Ok(discovery),
            false => self.rediscover(&discovery).await,
        }
    }

    /// Reads again, because `stale` lacks a kind. Concurrent callers share one read.
    ///
    /// # Errors
    /// When the API server gives no answer.
    pub async fn rediscover(&self, stale: &Arc<ApiDiscovery>) -> Result<Arc<ApiDiscovery>, ApiError> {
        let _one = self.shared.discovery.refresh.lock().await;
        let current = self.snapshot();
        if !Arc::ptr_eq(&current, stale) {
            return Ok(current);
        }
        let session = self.as_process().unbounded();
        let mut discovery = ApiDiscovery::default();
        for root in ["/api", "/apis"] {
            let answer = session.call(Call { accept: ACCEPT, ..Call::get(root) }).await?;
            discovery.add(answer.json()?);
        }
        let discovery = Arc::new(discovery);
        *self.shared.discovery.latest.write().unwrap_or_else(PoisonError::into_inner) =
            Arc::clone(&discovery);
        Ok(discovery)
    }
}
