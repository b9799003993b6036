//! How the registry of a release is reached, and what it said last.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::reason::Reason;
use crate::cluster::accounts::{self, Account, SecretData};
use crate::domain::identity::ReleaseId;
use crate::oci::Access;
use crate::reconcile::env::Env;

/// How the registry is reached, and what it said last.
#[derive(Default)]
pub struct RegistryCache {
    /// Watches over the Secrets that the spec names.
    pub secrets: BTreeMap<String, accounts::WatchedObject<SecretData>>,
    /// The watch over the ServiceAccount.
    pub account: Option<accounts::WatchedObject<Account>>,
    /// How the registry is reached, as of the last run.
    pub access: Option<Arc<Access>>,
    /// What kept the registry from being asked the last time.
    pub stale: Option<(Reason, String)>,
    /// Why the release stays although the range has another newest tag.
    pub held: Option<String>,
    /// For which generation and which wish for a run the registry was asked last, and has
    /// answered or failed.
    pub answered: Option<(i64, Option<String>)>,
    /// Whether a look at the registry was cut short by something more urgent.
    pub resolve_due: bool,
}

impl RegistryCache {
    /// What was read with the rights of an account is not read with another's.
    pub fn forget_identity(&mut self) {
        self.secrets.clear();
        (self.account, self.access) = (None, None);
    }

    /// The watch over the account, which tells the release of every change.
    pub fn watch_account(
        &mut self,
        env: &Env,
        release: &ReleaseId,
        namespace: &str,
        name: &str,
    ) -> &mut accounts::WatchedObject<Account> {
        let watch = || env.session.watch_account(namespace, name, env.told(release));
        self.account.get_or_insert_with(watch)
    }
}
