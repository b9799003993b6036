//! Which kinds the API server serves: asked once, and again when one is not known.

use std::sync::{Arc, PoisonError};

use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, Session};
use crate::domain::identity::GroupKind;

pub use super::known::Known;
pub use super::resource::Resource;

/// The aggregated form (KEP-3352, stable since Kubernetes 1.30): two requests
/// for all groups.
const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

impl Session {
    /// What is served, as of the last look; looks when nothing is known yet.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn known(&self) -> Result<Arc<Known>, ApiError> {
        let known = self.snapshot();
        if known.is_empty() { self.rediscover(&known).await } else { Ok(known) }
    }

    pub(in crate::cluster) fn snapshot(&self) -> Arc<Known> {
        Arc::clone(&self.shared.discovery.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is served, with a new look when the last one did not show one of the
    /// kinds: its definition may have been installed since.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn known_of(&self, kinds: impl Iterator<Item = GroupKind>) -> Result<Arc<Known>, ApiError> {
        self.known_where(kinds, |known, kind| known.preferred(kind).is_some()).await
    }

    /// The same for kinds in certain versions: a known kind may have got a new one
    /// since.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn known_in(
        &self,
        kinds: impl Iterator<Item = (GroupKind, String)>,
    ) -> Result<Arc<Known>, ApiError> {
        self.known_where(kinds, |known, (kind, version)| known.resource(kind, version).is_some()).await
    }

    async fn known_where<T>(
        &self,
        mut wanted: impl Iterator<Item = T>,
        is_known: impl Fn(&Known, &T) -> bool,
    ) -> Result<Arc<Known>, ApiError> {
        let known = self.known().await?;
        match wanted.all(|one| is_known(&known, &one)) {
            true => Ok(known),
            false => self.rediscover(&known).await,
        }
    }

    /// Looks again, because `stale` did not know something. Many callers at
    /// once look once.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn rediscover(&self, stale: &Arc<Known>) -> Result<Arc<Known>, ApiError> {
        let _one = self.shared.discovery.refresh.lock().await;
        let current = self.snapshot();
        if !Arc::ptr_eq(&current, stale) {
            return Ok(current);
        }
        let session = self.as_process();
        let mut known = Known::default();
        for root in ["/api", "/apis"] {
            let answer = session.call(Call { accept: ACCEPT, ..Call::get(root) }).await?;
            known.add(answer.json()?);
        }
        let known = Arc::new(known);
        *self.shared.discovery.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        Ok(known)
    }
}
