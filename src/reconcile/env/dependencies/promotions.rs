//! Releases that wait for other releases to have a revision first.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::release::OCIArtifactRelease;
use crate::domain::gate::Unpromoted;
use crate::domain::identity::ReleaseId;
use crate::domain::release::PromotionRule;
use crate::domain::release::promotion::unpromoted;

/// Who waits for whom.
#[derive(Default)]
pub(super) struct Promotions {
    waiting: HashMap<ReleaseId, Waiting>,
    by_source: HashMap<ReleaseId, BTreeSet<ReleaseId>>,
}

struct Waiting {
    digest: String,
    rules: Arc<[PromotionRule]>,
    /// What the last run of the release found.
    found: Vec<Unpromoted>,
}

impl Promotions {
    /// A release waits, with what it has found.
    pub(super) fn wait(
        &mut self,
        id: &ReleaseId,
        digest: &str,
        rules: &Arc<[PromotionRule]>,
        found: &[Unpromoted],
    ) {
        self.forget(id);
        for rule in rules.iter() {
            self.by_source.entry(rule.id.clone()).or_default().insert(id.clone());
        }
        let (digest, rules, found) = (digest.to_owned(), Arc::clone(rules), found.to_vec());
        self.waiting.insert(id.clone(), Waiting { digest, rules, found });
    }

    /// A release does not wait any more.
    pub(super) fn forget(&mut self, id: &ReleaseId) {
        let Some(before) = self.waiting.remove(id) else { return };
        for rule in before.rules.iter() {
            if let Some(waiting) = self.by_source.get_mut(&rule.id) {
                waiting.remove(id);
                if waiting.is_empty() {
                    self.by_source.remove(&rule.id);
                }
            }
        }
    }

    /// The releases for which the change of another one makes a difference.
    pub(super) fn changed(
        &self,
        source: &ReleaseId,
        resource: Option<&OCIArtifactRelease>,
        now: Timestamp,
    ) -> BTreeSet<ReleaseId> {
        let waiting = self.by_source.get(source).into_iter().flatten();
        let differs = |id: &&ReleaseId| {
            self.waiting.get(*id).is_some_and(|waiting| {
                let rules = waiting.rules.iter().filter(|rule| rule.id == *source);
                let after: Vec<Unpromoted> =
                    rules.filter_map(|rule| judged(rule, &waiting.digest, resource, now)).collect();
                let before = waiting.found.iter().filter(|one| one.id == *source);
                !before.eq(after.iter())
            })
        };
        waiting.filter(differs).cloned().collect()
    }
}

/// Whether a release has not had a digest for long enough.
pub(super) fn judged(
    rule: &PromotionRule,
    digest: &str,
    resource: Option<&OCIArtifactRelease>,
    now: Timestamp,
) -> Option<Unpromoted> {
    let (words, until) = unpromoted(rule, digest, resource, now)?;
    Some(Unpromoted { id: rule.id.clone(), words, until })
}
