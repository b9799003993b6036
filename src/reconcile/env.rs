//! What a run works with: what all releases share, and what one remembers.

pub mod claims;
pub mod returning;
pub mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use crate::api::reason::Reason;
use crate::cluster::State;
use crate::cluster::accounts::{self, Account, SecretData, Told};
use crate::cluster::inventory::{Stored, Taken};
use crate::cluster::session::{Identity, Session};
use crate::cluster::store::{Store, Watched};
use crate::domain::allowed::Allowed;
use crate::domain::drift::{Contest, disturbance};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::{Entry, Inventory};
use crate::domain::live::Record;
use crate::domain::outcome::Note;
use crate::domain::release::Release;
use crate::domain::verify::floor::Floor;
use crate::domain::verify::root::TrustRoot;
use crate::observe::metrics::Metrics;
use crate::oci::{Access, Registry};
use crate::reconcile::cache::rollout::Rollout;
use crate::reconcile::env::claims::Claims;
use crate::reconcile::env::returning::Returning;
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::live::ended::Asked;
use crate::reconcile::phase::admit::pin::Pinned;
use crate::reconcile::phase::admit::{Distrusted, Trusted};

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
    /// What the administrator demands of artifacts.
    pub trust: Trust,
    /// Which registries releases may name.
    pub allowed: Allowed,
    /// Where a release is told that something it names or waits for changed.
    pub wake: mpsc::UnboundedSender<ReleaseId>,
    /// The registries that are away.
    pub returning: Returning,
}

/// What the administrator demands of artifacts.
pub struct Trust {
    /// By their repository; the file that it comes from may change.
    pub floor: watch::Receiver<Arc<Floor>>,
    /// By whose word keyless signatures are believed where nothing else is said.
    pub root: Arc<TrustRoot>,
    /// Whether every artifact has to be verified.
    pub required: bool,
    /// How often what was verified is verified again.
    pub interval: Duration,
}

impl Default for Trust {
    fn default() -> Self {
        let (_, floor) = watch::channel(Arc::default());
        Self {
            floor,
            root: Arc::new(TrustRoot::public_good()),
            required: false,
            interval: Duration::from_secs(3600),
        }
    }
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

/// The watch that shows an object as it is now.
pub fn synced<'w>(watches: &'w [Arc<Watched>], id: &ObjectId) -> Option<&'w Arc<Watched>> {
    watches.iter().find(|w| w.covers(id) && w.state() == State::Synced)
}

/// What decides whether an object that left stays: its uid, none when it is gone, whose
/// it is, whether it opts out, and whether it is being deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    uid: Option<String>,
    owner: Option<ReleaseId>,
    prune_disabled: bool,
    deleting: bool,
}

impl Mark {
    /// Of what is known of an object now.
    pub fn of(record: Option<&Record>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            uid: Some(record.uid.clone()),
            owner: record.owner.clone(),
            prune_disabled: record.prune_disabled,
            deleting: record.deleting,
        })
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
    /// What that takes of the memory for inventories.
    pub taken: Arc<Taken>,
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
    /// Pods that were asked for, because their metadata does not say whether they
    /// have run to their end.
    pub asked: HashMap<ObjectId, Asked>,
    /// Objects that have run to their end and do not exist any more, with their uids, as
    /// the API server has said: a watch does not tell a deletion from a lost label.
    pub gone: HashMap<ObjectId, String>,
    /// Objects that left and stay, as the last look found them.
    pub left: HashMap<ObjectId, Mark>,
    /// Jobs that have to end before the release can go on.
    pub awaited: BTreeSet<ObjectId>,
    /// Objects that were found changed and are not put back.
    pub drifted: BTreeSet<ObjectId>,
    /// What kept the registry from being asked the last time.
    pub stale: Option<(Reason, String)>,
    /// Why the release stays although the range has another newest tag.
    pub held: Option<String>,
    /// The revision that was verified last.
    pub trusted: Option<Trusted>,
    /// The revision that was refused last.
    pub distrusted: Option<Distrusted>,
    /// The container images of the revision that was verified last.
    pub pinned: Option<Pinned>,
    /// What is to be told at the end of the run.
    pub notes: Vec<Note>,
    /// What was told of the reference, the last of each reason.
    pub told: Vec<Note>,
    /// The revision that is brought, or was last.
    pub rollout: Rollout,
    /// What is known of the health of the objects, where that matters.
    pub checkup: Option<Checkup>,
    /// Watches that were not synced when the last run looked.
    pub blind: Vec<Arc<Watched>>,
    /// Objects that no watch showed when the last run looked, and that may not be read.
    pub unread: BTreeSet<ObjectId>,
    /// For which generation and which wish for a run the registry was asked last, and has
    /// answered or failed.
    pub answered: Option<(i64, Option<String>)>,
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
            match self.inventory.entries.get(id) {
                None => false,
                // It was deleted, given to another, or changed its mind about staying.
                Some(entry) if entry.left => self.left.get(id) != self.mark(id).as_ref(),
                Some(entry) => self.differs(id, entry),
            }
        })
    }

    /// Whether one that is still part of the release is disturbed: what must not wait.
    pub fn is_urgent(&self, id: &ObjectId, now: Timestamp) -> bool {
        let left = self.inventory.entries.get(id).is_some_and(|entry| entry.left);
        // Nothing can be put back before it is gone.
        let going = self.mark(id).is_some_and(|mark| mark.deleting);
        !left && !going && self.is_disturbed(std::iter::once(id), now)
    }

    fn mark(&self, id: &ObjectId) -> Option<Mark> {
        synced(&self.watches, id).map(|watch| Mark::of(watch.record(id).as_ref()))
    }

    /// Whether an object is not as the apply left it that the entry records, as far as
    /// its watch knows.
    pub fn differs(&self, id: &ObjectId, entry: &Entry) -> bool {
        let Some(watch) = synced(&self.watches, id) else { return false };
        let (record, applied) = (watch.record(id), self.versions.get(id).copied().unwrap_or_default());
        let unsure = record.is_none() && self.may_be_unlabelled(id, entry);
        unsure || disturbance(entry, record.as_ref(), applied).is_some()
    }

    /// The watch over the account, which tells the release of every change.
    pub fn watch_account(
        &mut self,
        context: &Context,
        release: &ReleaseId,
        namespace: &str,
        name: &str,
    ) -> &mut accounts::Watched<Account> {
        let watch = || context.session.watch_account(namespace, name, context.told(release));
        self.account.get_or_insert_with(watch)
    }

    /// Takes over an inventory that was read or written.
    pub fn remember(&mut self, context: &Context, release: &ReleaseId, stored: Stored) {
        self.inventory = Arc::clone(&stored.inventory);
        self.taken = Arc::clone(&stored.taken);
        context.wake(context.claims.publish(release, &self.inventory));
        self.stored = Some(stored);
    }
}
