//! What a run works with: what all releases share, and what one remembers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::claims::Claims;
use crate::api::reason::Reason;
use crate::cluster::State;
use crate::cluster::accounts::{self, Account, SecretData, Told};
use crate::cluster::inventory::Stored;
use crate::cluster::session::{Identity, Session};
use crate::cluster::store::{Store, Watched};
use crate::domain::drift::{Contest, disturbance};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Inventory;
use crate::domain::release::Release;
use crate::observe::metrics::Metrics;
use crate::oci::{Access, Registry};

/// Objects that are dry-run, applied or deleted at once for one release.
pub const PARALLEL: usize = 48;

/// What all releases share.
pub struct Context {
    /// The API server, as the controller.
    pub session: Session,
    /// The metadata watches.
    pub store: Store,
    /// The registries.
    pub registry: Registry,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Which release has which object.
    pub claims: Claims,
    /// The ServiceAccount of releases that name none.
    pub default_service_account: Option<String>,
    /// Where a release is told that something it names or waits for changed.
    pub wake: mpsc::UnboundedSender<ReleaseId>,
}

impl Context {
    /// Who is told when something that a release names changes.
    pub fn told(&self, release: &ReleaseId) -> Told {
        Told { release: release.clone(), sender: self.wake.clone() }
    }

    /// Tells releases to look again.
    pub fn wake(&self, releases: impl IntoIterator<Item = ReleaseId>) {
        for release in releases {
            // Nobody listens any more while the process ends.
            let _ = self.wake.send(release);
        }
    }

    /// With whose rights a release's objects and Secrets are handled.
    pub fn identity(&self, release: &Release) -> Identity {
        match release.service_account.as_ref().or(self.default_service_account.as_ref()) {
            Some(name) => {
                Identity::ServiceAccount { namespace: release.id.namespace.clone(), name: name.clone() }
            }
            None => self.session.identity().clone(),
        }
    }
}

/// What one release remembers between its runs. Nothing of it is needed for
/// correctness: all of it can be read again.
#[derive(Default)]
pub struct Memory {
    /// The inventory as last read or written; `None` until it is read.
    pub stored: Option<Stored>,
    /// The same, as the directory of claims has it.
    pub inventory: Arc<Inventory>,
    /// Watches over the kinds of the inventory, by kind and namespace.
    pub watches: Vec<Arc<Watched>>,
    /// Watches over the Secrets that the spec names.
    pub secrets: BTreeMap<String, accounts::Watched<SecretData>>,
    /// The watch over the ServiceAccount.
    pub account: Option<accounts::Watched<Account>>,
    /// Whose rights the above were made for.
    pub identity: Option<Identity>,
    /// How the registry is reached, as of the last run.
    pub access: Option<Arc<Access>>,
    /// Resource versions that our last applies answered with, for objects whose
    /// watch may lag behind.
    pub versions: HashMap<ObjectId, u64>,
    /// Objects that others keep changing.
    pub contests: HashMap<ObjectId, Contest>,
    /// What kept the registry from being asked the last time.
    pub stale: Option<(Reason, String)>,
    /// Whether a look at the registry was cut short by something more urgent.
    pub resolve_due: bool,
}

impl Memory {
    /// The objects whose correction is not held back now, of those given.
    pub fn uncontested<'a>(
        &self,
        ids: impl Iterator<Item = &'a ObjectId>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a ObjectId> {
        ids.filter(move |id| self.contests.get(*id).is_none_or(|c| c.paused_until(now).is_none()))
    }

    /// When a fight has to be looked at next; none when there is none.
    pub fn next_correction(&self, now: Timestamp) -> Option<Timestamp> {
        self.contests.values().filter_map(|c| c.next_look(now)).min()
    }

    /// Whether one of the objects is not as our last apply left it, as far as
    /// its watch knows.
    pub fn is_disturbed<'a>(&self, ids: impl Iterator<Item = &'a ObjectId>, now: Timestamp) -> bool {
        self.uncontested(ids, now).any(|id| {
            let Some(entry) = self.inventory.entries.get(id).filter(|e| !e.left) else {
                // One that left was deleted, or changed its mind about staying.
                return self.inventory.entries.contains_key(id);
            };
            let Some(watch) = self.watches.iter().find(|w| w.covers(id) && w.state() == State::Synced) else {
                return false;
            };
            let applied = self.versions.get(id).copied().unwrap_or_default();
            disturbance(entry, watch.record(id).as_ref(), applied).is_some()
        })
    }

    /// Takes over an inventory that was read or written.
    pub fn remember(&mut self, context: &Context, release: &ReleaseId, stored: Stored) {
        self.inventory = Arc::clone(&stored.inventory);
        context.wake(context.claims.publish(release, &self.inventory));
        self.stored = Some(stored);
    }
}
