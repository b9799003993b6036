//! How one release reaches its registry, and what tells it from others.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::auth::Keyring;
use super::proxy::Proxy;
use crate::api::release::RegistryProvider;

/// What an [`Access`] is made of.
#[derive(Clone, Default)]
pub struct AccessParts {
    /// Credentials.
    pub keyring: Keyring,
    /// PEM certificates trusted besides the system's.
    pub ca: Option<Vec<u8>>,
    /// PEM certificate chain and PEM private key shown to the registry.
    pub client_cert: Option<(Vec<u8>, Vec<u8>)>,
    /// Plain HTTP instead of HTTPS.
    pub insecure: bool,
    /// The proxy to go through, to every host; otherwise that of the
    /// environment, and none to this machine.
    pub proxy: Option<Proxy>,
    /// The cloud that has credentials for its registries, where the keyring has
    /// none. Those are this process', not the release's.
    pub provider: RegistryProvider,
}

/// The credentials and the transport settings of one release. Its fingerprint
/// decides which tokens and which cached content it may use.
#[derive(Clone)]
pub struct Access {
    parts: AccessParts,
    fingerprint: Fingerprint,
    transport: Fingerprint,
}

pub(super) type Fingerprint = [u8; 32];

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
        Self { fingerprint: whole.finalize().into(), transport, parts }
    }

    /// No credentials, the system's certificates, HTTPS.
    pub fn anonymous() -> Self {
        Self::new(AccessParts::default())
    }

    /// The way to another repository: with other credentials, if there are some;
    /// and unless that is `at_home`, in the registry that this way is for, without
    /// what is meant for that alone, certificates and plain HTTP.
    #[must_use]
    pub fn towards(&self, keyring: Option<Keyring>, at_home: bool) -> Self {
        let mut parts = self.parts.clone();
        if let Some(keyring) = keyring {
            parts.keyring = keyring;
        }
        if !at_home {
            (parts.ca, parts.client_cert, parts.insecure) = (None, None, false);
        }
        Self::new(parts)
    }

    /// A hash over credentials and transport settings; says nothing about
    /// either, and changes with both.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.fingerprint)
    }

    pub(super) fn id(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The hash over the transport settings alone.
    pub(super) fn transport(&self) -> Fingerprint {
        self.transport
    }

    pub(super) fn parts(&self) -> &AccessParts {
        &self.parts
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.parts.insecure { "http" } else { "https" }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}
