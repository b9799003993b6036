//! How one release reaches its registry, and the fingerprint of that.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::cloud::CloudRegistry;
use super::keyring::Keyring;
use super::proxy::Proxy;
use crate::api::release::RegistryProvider;
use crate::oci::reference::Repository;

/// The parts of an [`Access`].
#[derive(Clone, Default)]
pub struct AccessParts {
    /// Credentials.
    pub keyring: Keyring,
    /// PEM certificates that are trusted in addition to the system's.
    pub ca: Option<Vec<u8>>,
    /// PEM certificate chain and PEM private key shown to the registry.
    pub client_cert: Option<(Vec<u8>, Vec<u8>)>,
    /// Plain HTTP instead of HTTPS.
    pub insecure: bool,
    /// The proxy to go through, to every host; otherwise that of the
    /// environment, and none to this machine.
    pub proxy: Option<Proxy>,
    /// The cloud that provides credentials for its registries, where the keyring has
    /// none. They belong to this process, not to the release.
    pub provider: RegistryProvider,
}

/// The credentials and the transport settings of one release. Its fingerprint
/// decides which tokens and which cached content it may use.
#[derive(Clone)]
pub struct Access {
    parts: AccessParts,
    fingerprint: Fingerprint,
    transport: Fingerprint,
    /// See [`Self::home`].
    home: Option<String>,
}

pub(in crate::oci) type Fingerprint = [u8; 32];

impl Access {
    /// Computes the fingerprints once; an access does not change afterwards.
    pub fn new(parts: AccessParts) -> Self {
        let mut tls = Sha256::new();
        let (cert, key) = parts.client_cert.as_ref().map_or((&[][..], &[][..]), |(c, k)| (c, k));
        let proxy = parts.proxy.as_ref().map_or([""; 3], Proxy::parts).map(str::as_bytes);
        let own = [parts.ca.as_deref().unwrap_or_default(), cert, key, &[u8::from(parts.insecure)]];
        for part in own.into_iter().chain(proxy) {
            tls.update((part.len() as u64).to_be_bytes());
            tls.update(part);
        }
        let transport: Fingerprint = tls.finalize().into();
        let mut whole = Sha256::new();
        whole.update(transport);
        whole.update(parts.provider.to_string());
        parts.keyring.feed(&mut whole);
        Self { fingerprint: whole.finalize().into(), transport, home: None, parts }
    }

    /// No credentials, the system's certificates, HTTPS.
    pub fn anonymous() -> Self {
        Self::new(AccessParts::default())
    }

    /// The access to another repository, derived from this one: with other credentials,
    /// if given. For another registry, the settings of the first are dropped:
    /// certificates, plain HTTP and a provider that does not serve it; and it must not be
    /// nearer to this process than the first registry, because the release has not named
    /// it.
    #[must_use]
    pub fn towards(&self, keyring: Option<Keyring>, there: &Repository, home: &Repository) -> Self {
        let mut parts = self.parts.clone();
        if let Some(keyring) = keyring {
            parts.keyring = keyring;
        }
        if there.registry() == home.registry() {
            return Self::new(parts);
        }
        (parts.ca, parts.client_cert, parts.insecure) = (None, None, false);
        parts.provider = Self::provider_at(parts.provider, there);
        let mut access = Self::new(parts);
        let home = home.api_host().to_owned();
        let guest = Sha256::new().chain_update(access.fingerprint).chain_update(&home);
        (access.fingerprint, access.home) = (guest.finalize().into(), Some(home));
        access
    }

    /// The provider, where it has credentials for the repository; otherwise none.
    pub fn provider_at(provider: RegistryProvider, repository: &Repository) -> RegistryProvider {
        let serves = CloudRegistry::serves(provider, repository.registry());
        if serves { provider } else { RegistryProvider::Generic }
    }

    /// The registry of the release that leads to another one, with its port if any;
    /// `None` where the release itself names the registry.
    pub(in crate::oci) fn home(&self) -> Option<&str> {
        self.home.as_deref()
    }

    /// A hash over credentials and transport settings; it reveals neither, and changes
    /// with both.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.fingerprint)
    }

    /// The transport: a hash over the transport settings alone.
    pub fn way(&self) -> String {
        hex::encode(self.transport)
    }

    pub(in crate::oci) fn id(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The hash over the transport settings alone.
    pub(in crate::oci) fn transport(&self) -> Fingerprint {
        self.transport
    }

    pub(in crate::oci) fn parts(&self) -> &AccessParts {
        &self.parts
    }

    pub(in crate::oci) fn scheme(&self) -> &'static str {
        if self.parts.insecure { "http" } else { "https" }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elsewhere_the_provider_serves_only_its_own_registries() {
        let home = Repository::parse("oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/app").unwrap();
        let check = |there: &str, provider: RegistryProvider, named: bool| {
            let parts =
                AccessParts { provider: RegistryProvider::Aws, insecure: true, ..AccessParts::default() };
            let (own, there) = (Access::new(parts), Repository::parse(there).unwrap());
            let access = own.towards(None, &there, &home);
            assert_eq!((access.parts.provider, access.home().is_none()), (provider, named), "{there}");
            assert_eq!((access.parts.insecure, access.id() == own.id()), (named, named), "{there}");
        };
        check("oci://123456789012.dkr.ecr.eu-west-1.amazonaws.com/web", RegistryProvider::Aws, true);
        check("oci://210987654321.dkr.ecr.eu-west-1.amazonaws.com/web", RegistryProvider::Aws, false);
        check("oci://ghcr.io/web", RegistryProvider::Generic, false);
        check(
            "oci://evil.example/123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            RegistryProvider::Generic,
            false,
        );
    }
}
