//! A look at what the inventory names, before anything is fetched.

use std::sync::Arc;

use jiff::Timestamp;

use crate::api::release::DriftMode;
use crate::cluster::discovery::Known;
use crate::cluster::session::Session;
use crate::domain::drift::{Disturbance, disturbance};
use crate::domain::identity::ObjectId;
use crate::domain::live::Record;
use crate::domain::plan::Live;
use crate::reconcile::driver::{Ended, Run};
use crate::reconcile::env::Mark;
use crate::reconcile::live::view::View;

/// What a look at the inventory's objects found.
#[derive(Default)]
pub struct Look {
    /// What was applied and is not as the apply left it.
    pub drifted: Vec<(ObjectId, Disturbance)>,
    /// Whether an object that was left may be deleted now, or is gone.
    pub leftovers: bool,
    /// Whether there is one of which no apply has told yet.
    pub unmade: bool,
    /// Whether an object does not exist, whatever drift leads to.
    pub missing: bool,
    /// Whether an object may not be looked at whose drift is corrected: nothing but an
    /// apply says more of it.
    pub unseen: bool,
    /// Pods that may have run to their end, which their metadata does not say.
    pub pods: Vec<(ObjectId, Record)>,
}

impl Run<'_> {
    /// What is not as the last apply left it.
    pub async fn look(&mut self, session: &Session, known: &Arc<Known>) -> Result<Look, Ended> {
        let inventory = Arc::clone(&self.memory.inventory);
        let view = View::of(self.context, session, self.memory, known, inventory.entries.keys()).await?;
        let mut look = Look::default();
        self.memory.left.clear();
        let now = Timestamp::now();
        for (id, entry) in &inventory.entries {
            let record = view.record(id);
            if entry.left {
                self.memory.left.insert(id.clone(), Mark::of(record.as_ref()));
                let opted_out = record.as_ref().is_some_and(|r| r.prune_disabled);
                let taken = record.as_ref().is_some_and(|r| r.owner.as_ref() != Some(&self.release.id));
                look.leftovers |= record.is_none() || taken || (self.release.prune && !opted_out);
                continue;
            }
            if record.is_none() && self.memory.ended_as(id, entry) {
                // It is gone since it ended, and the inventory does not say so yet.
                continue;
            }
            look.unseen |= self.release.drift == DriftMode::Correct && !view.known(id);
            // One that was to be made anew, by a run that was cut off; or somebody else
            // wrote this inventory.
            look.unmade |= entry.uid.is_none();
            look.missing |= record.is_none() && view.known(id) && !entry.done;
            let asks = |record: &&Record| self.memory.may_have_succeeded(id, entry, record);
            look.pods.extend(record.as_ref().filter(asks).map(|record| (id.clone(), record.clone())));
            let applied = self.memory.versions.get(id).copied().unwrap_or_default();
            if record.as_ref().is_some_and(|r| r.version >= applied) {
                self.memory.versions.remove(id);
            }
            let held_back = self.memory.contests.get(id).is_some_and(|c| c.paused_until(now).is_some());
            let drifts = self.release.drift != DriftMode::Off && view.known(id) && !held_back;
            if let Some(how) = disturbance(entry, record.as_ref(), applied).filter(|_| drifts) {
                look.drifted.push((id.clone(), how));
            }
        }
        Ok(look)
    }
}
