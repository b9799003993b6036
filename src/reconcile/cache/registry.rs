//! Access to the registry of a release, and its last answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::reason::Reason;
use crate::cluster::accounts::{Account, SecretData};
use crate::cluster::by_name::WatchedObject;
use crate::domain::identity::ReleaseId;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::Release;
use crate::domain::verdict::{FailureClass, classify};
use crate::oci::Access;
use crate::reconcile::env::Env;
use crate::reconcile::scope::revision::Held;

/// Access to the registry, and its last answer.
#[derive(Default)]
pub struct RegistryCache {
    /// Watches over the Secrets that the spec names.
    pub secrets: BTreeMap<String, WatchedObject<SecretData>>,
    /// The watch over the ServiceAccount.
    pub account: Option<WatchedObject<Account>>,
    /// Access to the registry, from the last run.
    pub access: Option<Arc<Access>>,
    /// Why the last request to the registry failed.
    pub stale: Option<Box<(Reason, String)>>,
    /// What the release does not follow, if the registry offers a downgrade.
    pub held: Option<Box<Held>>,
    /// The revision whose tag names another digest than the spec has with it, and what it names.
    pub stray: Option<(String, String)>,
    /// The generation and the requested run for which the registry last answered or failed.
    pub answered: Option<(i64, Option<String>)>,
    /// Whether a request to the registry was interrupted by something more urgent.
    pub resolve_due: bool,
    /// Whether the current rollout is finished before the revision that the registry offers.
    pub is_first: bool,
    /// A rollout that is not finished first any more.
    pub given_up: Option<GivenUp>,
}

/// A rollout that the revision that the registry offers does not wait for any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The generation of the spec.
    pub generation: i64,
    /// The revision and its options.
    pub key: String,
    /// Whether it is tried again after the other revision was looked at.
    pub is_retried: bool,
}

impl RegistryCache {
    /// The run of a revision has ended so. If it was to be finished before the revision that the registry
    /// offers, that one is looked at next, except where the same trouble would meet it, too.
    /// `is_complete` says whether nothing is left of it.
    pub fn ended(&mut self, generation: i64, key: &str, outcome: &Outcome, is_complete: bool) {
        if !self.is_first {
            return;
        }
        let given_up = |is_retried| Some(GivenUp { generation, key: key.to_owned(), is_retried });
        match (&outcome.verdict, classify(outcome)) {
            (Verdict::Superseded | Verdict::AsBefore | Verdict::Suspended, _) => {}
            (Verdict::Failed { reason, .. }, FailureClass::Environment) => {
                // They meet every revision.
                let is_common = reason.is_without_answer() || *reason == Reason::RegistryUnavailable;
                self.given_up = given_up(true).filter(|_| !is_common);
            }
            // Objects still terminate.
            (Verdict::Ready { .. } | Verdict::Failed { reason: Reason::RolledBack, .. }, _)
                if !is_complete =>
            {
                self.given_up = given_up(true);
            }
            (Verdict::Ready { .. } | Verdict::Failed { .. } | Verdict::Waiting { .. }, _) => {
                (self.given_up, self.resolve_due) = (given_up(false), true);
            }
        }
    }

    /// Whether a rollout is not finished first. One that the environment has kept from that gets
    /// another try after the newest revision was looked at, which cannot come while a window is closed.
    pub fn has_given_up(&mut self, release: &Release, key: &str) -> bool {
        let it = |given: &GivenUp| given.generation == release.generation && given.key == key;
        let Some(given) = self.given_up.clone().filter(it) else { return false };
        if given.is_retried {
            self.given_up = None;
        }
        !(given.is_retried && release.is_closed(Timestamp::now()))
    }

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
    ) -> &mut WatchedObject<Account> {
        let watch = || env.session.watch_account(namespace, name, env.notifier(release));
        self.account.get_or_insert_with(watch)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_offered_does_not_wait_for_ever_for_a_rollout_that_has_begun() {
        let check_end = |verdict: Verdict, is_complete: bool, is_next: bool, given_up: Option<bool>| {
            let outcome = Outcome { verdict: verdict.clone(), ..Outcome::default() };
            let mut first = RegistryCache { is_first: true, ..RegistryCache::default() };
            first.ended(3, "key", &outcome, is_complete);
            assert_eq!(first.resolve_due, is_next, "{verdict:?}");
            let expected = |is_retried| GivenUp { generation: 3, key: "key".into(), is_retried };
            assert_eq!(first.given_up, given_up.map(expected), "{verdict:?}");
            let mut only = RegistryCache::default();
            only.ended(3, "key", &outcome, is_complete);
            assert!(!only.resolve_due && only.given_up.is_none(), "{verdict:?}");
        };
        let check = |verdict, is_next, given_up| check_end(verdict, true, is_next, given_up);
        let failed = |reason| Verdict::Failed { reason, message: "m".into() };
        check_end(Verdict::Ready { message: "still deleting".into() }, false, false, Some(true));
        check_end(failed(Reason::RolledBack), false, false, Some(true));
        check_end(failed(Reason::HealthTimeout), false, true, Some(false));
        check(Verdict::Ready { message: "m".into() }, true, Some(false));
        check(failed(Reason::RolledBack), true, Some(false));
        check(failed(Reason::SignatureInvalid), true, Some(false));
        check(failed(Reason::HealthTimeout), true, Some(false));
        check(Verdict::Waiting { reason: Reason::ApprovalRequired, message: "m".into() }, true, Some(false));
        check(failed(Reason::ArtifactNotFound), false, Some(true));
        check(failed(Reason::AccessDenied), false, Some(true));
        check(failed(Reason::ApiServerUnavailable), false, None);
        check(failed(Reason::RegistryUnavailable), false, None);
        check(Verdict::Superseded, false, None);
    }

    #[test]
    fn a_rollout_that_the_environment_keeps_from_its_end_is_tried_again() {
        let release = |schedule: serde_json::Value| {
            let resource = json!({
                "apiVersion": "supercargo.dev/v1alpha1", "kind": "OCIArtifactRelease",
                "metadata": {"name": "app", "namespace": "team", "generation": 3},
                "spec": {"url": "oci://r.io/app", "prune": true, "minimumAge": "1h", "schedule": schedule},
            });
            Release::parse(&serde_json::from_value(resource).unwrap()).unwrap()
        };
        let check = |schedule: serde_json::Value, is_retried: bool, expected: [bool; 2]| {
            let given_up = GivenUp { generation: 3, key: "key".into(), is_retried };
            let mut cache = RegistryCache { given_up: Some(given_up), ..RegistryCache::default() };
            let release = release(schedule);
            assert!(!cache.has_given_up(&release, "other"));
            let found = [(); 2].map(|()| cache.has_given_up(&release, "key"));
            assert_eq!(found, expected);
        };
        let closed = || json!([{"cron": "* * * * *", "duration": "1h", "deny": true}]);
        // The other revision may be old enough by now: each has its turn.
        check(json!([]), true, [true, false]);
        // It cannot come, whatever else.
        check(closed(), true, [false, false]);
        check(closed(), false, [true, true]);
    }
}
