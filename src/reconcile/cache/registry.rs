//! Access to the registry of a release, and its last answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::reason::Reason;
use crate::cluster::accounts::{self, Account, SecretData};
use crate::domain::identity::ReleaseId;
use crate::oci::Access;
use crate::reconcile::env::Env;
use crate::reconcile::scope::revision::Held;

/// Access to the registry, and its last answer.
#[derive(Default)]
pub struct RegistryCache {
    /// Watches over the Secrets that the spec names.
    pub secrets: BTreeMap<String, accounts::WatchedObject<SecretData>>,
    /// The watch over the ServiceAccount.
    pub account: Option<accounts::WatchedObject<Account>>,
    /// Access to the registry, from the last run.
    pub access: Option<Arc<Access>>,
    /// Why the last request to the registry failed.
    pub stale: Option<(Reason, String)>,
    /// What the release does not follow, if the registry offers a downgrade.
    pub held: Option<Held>,
    /// The generation and the requested run for which the registry last answered or failed.
    pub answered: Option<(i64, Option<String>)>,
    /// Whether a request to the registry was interrupted by something more urgent.
    pub resolve_due: bool,
}

impl RegistryCache {
    /// Forgets what was read with the rights of the previous account.
    pub fn forget_identity(&mut self) {
        self.secrets.clear();
        (self.account, self.access) = (None, None);
    }

    /// The watch over the account, which notifies the release of every change.
    pub fn watch_account(
        &mut self,
        env: &Env,
        release: &ReleaseId,
        namespace: &str,
        name: &str,
    ) -> &mut accounts::WatchedObject<Account> {
        let watch = || env.session.watch_account(namespace, name, env.notifier(release));
        self.account.get_or_insert_with(watch)
    }
}
