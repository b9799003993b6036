//! Which cloud has credentials for which registry, and for how long they are
//! kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::call::{Caller, POD, Variables};
use super::{aws, azure, gcp};
use crate::api::release::RegistryProvider;
use crate::oci::auth::context::RequestContext;
use crate::oci::credentials::{CloudRegistry, Credential, registries_of};
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_CLOUD_REGISTRIES, MAX_CLOUD_TOKEN_LIFE};
use crate::oci::reference::Zone;
use crate::oci::transport::Transport;

/// The end of a token's lifetime that is not used.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// Shortest use of a token, so that none is fetched for every request.
const LEAST: Duration = Duration::from_secs(30);

/// A credential, and until when it is used.
#[derive(Clone)]
pub(in crate::oci::auth) struct Given {
    pub credential: Credential,
    pub until: Instant,
}

type Key = (RegistryProvider, String);
/// The first caller fetches it; the others wait.
type Shelf = Arc<tokio::sync::Mutex<Option<Given>>>;

/// The credentials that the clouds gave to this process.
pub(in crate::oci::auth) struct Providers {
    variables: Variables,
    held: Mutex<HashMap<Key, Shelf>>,
}

impl Providers {
    pub fn new(variables: Variables) -> Self {
        Self { variables, held: Mutex::default() }
    }

    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// The credential of the access' provider for the registry, whose challenge came from
    /// that zone; `None` without a provider.
    ///
    /// # Errors
    /// When the registry is not one of that cloud, when its connection must not carry the
    /// pod's credentials, or when the cloud returns none.
    pub async fn credential(
        &self,
        transport: &Transport,
        context: RequestContext<'_>,
        zone: Zone,
    ) -> Result<Option<Given>, OciError> {
        let parts = context.access.parts();
        if parts.provider == RegistryProvider::Generic {
            return Ok(None);
        }
        let (provider, registry) = (parts.provider, context.repository.registry());
        let (variables, subject) = (&self.variables, context.subject);
        let caller = Caller { transport, variables, subject, whose: POD };
        let target = CloudRegistry::of(provider, registry).ok_or_else(|| {
            caller.denied(&format!(
                "the provider {provider} has no credentials for {registry}: {}",
                registries_of(provider)
            ))
        })?;
        // The identity belongs to the process, not to the release: the author of a
        // release must not be able to read it from the wire.
        if (parts.insecure || parts.ca.is_some()) && zone != Zone::Loopback {
            return Err(caller.denied(&format!(
                "credentials of the provider {provider} are not sent over plain HTTP, nor to a server that only the \
                 release's own ca.crt trusts"
            )));
        }
        let shelf = self.shelf((provider, target.key(registry)));
        let mut held = shelf.lock().await;
        if let Some(given) = held.as_ref().filter(|given| given.until > Instant::now()) {
            return Ok(Some(given.clone()));
        }
        let (credential, life) = match &target {
            CloudRegistry::Aws(ecr) => aws::credential(caller, ecr).await?,
            CloudRegistry::Azure => azure::credential(caller, registry, context.access).await?,
            CloudRegistry::Gcp => gcp::credential(caller).await?,
        };
        let given = Given { credential, until: Instant::now() + kept(life) };
        *held = Some(given.clone());
        Ok(Some(given))
    }

    /// The registry rejected the credential; the next one is fetched again.
    pub async fn forget(&self, context: RequestContext<'_>) {
        let (provider, registry) = (context.access.parts().provider, context.repository.registry());
        if let Some(target) = CloudRegistry::of(provider, registry) {
            *self.shelf((provider, target.key(registry))).lock().await = None;
        }
    }

    fn shelf(&self, key: Key) -> Shelf {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_CLOUD_REGISTRIES && !held.contains_key(&key) {
            held.clear();
        }
        Arc::clone(held.entry(key).or_default())
    }
}

/// How long to use a credential with this lifetime.
fn kept(life: Duration) -> Duration {
    life.min(MAX_CLOUD_TOKEN_LIFE).saturating_sub(MARGIN).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promise_7_no_credential_is_kept_for_ever() {
        let check = |life: u64, expected: u64| {
            assert_eq!(kept(Duration::from_secs(life)), Duration::from_secs(expected), "{life}");
        };
        check(0, 30);
        check(300, 30);
        check(3600, 3300);
        check(12 * 3600, 12 * 3600 - 300);
        check(u64::MAX, 12 * 3600 - 300);
    }

    #[test]
    fn promise_7_registries_of_clouds_are_not_remembered_for_ever() {
        let providers = Providers::new(Arc::new(|_| None));
        for n in 0..MAX_CLOUD_REGISTRIES * 3 {
            providers.shelf((RegistryProvider::Azure, format!("r{n}.azurecr.io")));
            assert!(providers.held.lock().unwrap().len() <= MAX_CLOUD_REGISTRIES);
        }
    }
}
