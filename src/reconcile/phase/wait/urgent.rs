//! What is more urgent than a wait for health: drift, and a newer revision.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use crate::api::release::DriftMode;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate};
use crate::domain::plan::{Plan, Step};
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::cache::drift::Sightings;
use crate::reconcile::cache::registry::RegistryCache;
use crate::reconcile::phase::resolve::destination;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::Update;
use crate::reconcile::source::access::access;
use crate::reconcile::source::reference::{repository, wanted};

/// How long the registry may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What ends a wait for something more urgent.
pub struct Urgent<'w> {
    /// The run.
    pub scope: &'w Scope<'w>,
    /// The revision that it waits for.
    pub update: &'w Update<'w>,
    /// What is known of the objects.
    pub seen: Sightings<'w>,
    /// The objects of the plan as the applies left them.
    pub entries: HashMap<ObjectId, Entry>,
}

impl Urgent<'_> {
    /// Whether one of the changed objects has drifted. Another run corrects it, and continues the
    /// wait.
    pub fn is_drifted(&self) -> bool {
        let Self { scope, seen, entries, .. } = self;
        let touched = scope.signals.take_touched_of(|id| entries.contains_key(id));
        if !scope.policy.repeats || scope.release.drift != DriftMode::Correct {
            return false;
        }
        let differs = |id: &ObjectId| entries.get(id).is_some_and(|entry| seen.cluster.differs(id, entry));
        let now = Timestamp::now();
        let drifted = seen.drift.correctable(touched.iter(), now).find(|id| differs(id));
        let Some(drifted) = drifted else { return false };
        // The next run reads the signal again.
        scope.signals.touch(drifted.clone());
        true
    }

    /// Whether the reference resolves to another digest now, which may be applied.
    pub async fn is_newer(&self, registry: &mut RegistryCache) -> bool {
        let (scope, Update { session, ledger, revision }) = (self.scope, *self.update);
        let release = scope.release;
        // One that would wait itself does not end the wait; only a person can name one that does not.
        if release.override_window.is_none() && release.holds_back("", Timestamp::now()) {
            return false;
        }
        let (Ok(repository), Ok(wanted)) = (repository(scope.release), wanted(scope.release)) else {
            return false;
        };
        let Ok(access) = access(scope, session, registry).await else { return false };
        let resolving = scope.env.registry.resolve(&repository, &wanted, &access);
        match tokio::time::timeout(ANSWER, resolving).await {
            Ok(Ok(resolved)) => destination(release, ledger, resolved)
                // A revision that has failed before is not followed, and ends the wait.
                .map_or(true, |wanted| {
                    let waits = || release.holds_back(wanted.digest.as_str(), Timestamp::now());
                    wanted.digest != revision.digest && (wanted.held.is_some() || !waits())
                }),
            // The registry is unavailable: continue the wait for the applied revision.
            Ok(Err(_)) | Err(_) => false,
        }
    }
}

/// The objects of the plan as the applies left them.
pub fn applied_entries(
    cluster: &ClusterCache,
    plan: &Plan,
    fates: &BTreeMap<ObjectId, Fate>,
) -> HashMap<ObjectId, Entry> {
    let entry = |step: &Step| match fates.get(&step.id) {
        Some(Fate::Applied(entry)) => Some(entry.clone()),
        Some(_) => None,
        None => cluster.inventory.entries.get(&step.id).cloned(),
    };
    plan.steps.iter().filter_map(|step| Some((step.id.clone(), entry(step)?))).collect()
}
