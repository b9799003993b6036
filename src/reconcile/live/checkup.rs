//! Looks at the health of objects: one GET for each whose judgement is missing or
//! out of date, and none for the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::discovery::{Known, Resource};
use crate::cluster::session::Session;
use crate::cluster::store::Watched;
use crate::domain::health::{Board, Sight, has_rule};
use crate::domain::identity::ObjectId;
use crate::domain::outcome::{Outcome, Verdict};
use crate::reconcile::driver::{Revision, Run};
use crate::reconcile::env::{Memory, synced};
use crate::reconcile::parallel::unordered;
use crate::reconcile::source::access::chain;

/// Objects of one revision, and what is known of their health.
#[derive(Default)]
pub struct Checkup {
    /// The revision and its options.
    key: String,
    resources: BTreeMap<ObjectId, Arc<Resource>>,
    /// What is known.
    pub board: Board,
    /// What Ready says while they are healthy.
    pub ready: String,
}

impl Checkup {
    /// Of nothing yet.
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), ..Self::default() }
    }

    /// Says in the outcome of a run that found the revision applied how its objects
    /// are now.
    pub fn tell(&mut self, outcome: &mut Outcome) {
        let health = self.board.assessment();
        if let Verdict::Ready { message } = &outcome.verdict {
            self.ready.clone_from(message);
            if health.status == Some(false) {
                outcome.failures = self.board.unhealthy();
                outcome.verdict = Verdict::Failed { reason: health.reason, message: health.message.clone() };
            }
        }
        outcome.health = Some(health);
    }

    /// Adds an object.
    pub fn add(&mut self, id: &ObjectId, resource: Arc<Resource>) {
        self.resources.insert(id.clone(), resource);
        self.board.add(id.clone());
    }

    /// Keeps the objects that are still wanted.
    pub fn retain(&mut self, wanted: impl Fn(&ObjectId) -> bool) {
        self.resources.retain(|id, _| wanted(id));
        self.board.retain(wanted);
    }

    /// Judges an object by an answer that is at hand.
    pub fn judge(&mut self, id: &ObjectId, answer: Option<&Value>) {
        self.board.judge(id, answer, Timestamp::now());
    }

    /// The objects that have to be asked for, by what the watches show now.
    pub fn outdated(&self, watches: &[Arc<Watched>]) -> Vec<ObjectId> {
        self.board.outdated(|id| sight(watches, id), Timestamp::now())
    }

    /// Those of them whose watch shows that they have changed, and those whose
    /// judgement time alone may change.
    pub fn changed(&self, watches: &[Arc<Watched>]) -> Vec<ObjectId> {
        let now = Timestamp::now();
        let mut changed = self.outdated(watches);
        changed.retain(|id| sight(watches, id) != Sight::Unwatched || self.board.is_due(id, now));
        changed
    }

    /// Gets objects and judges them.
    pub async fn look(&mut self, session: &Session, ids: Vec<ObjectId>) {
        let due = ids.into_iter().filter_map(|id| Some((self.resources.get(&id).cloned()?, id)));
        let mut answers = unordered(due.map(|(resource, id)| async move {
            let answer = session.get(&resource, &id).await;
            (id, answer)
        }));
        while let Some((id, answer)) = answers.next().await {
            let now = Timestamp::now();
            match answer.and_then(|answer| answer.json::<Value>()) {
                Ok(object) => self.board.judge(&id, Some(&object), now),
                Err(error) if error.is_not_found() => self.board.judge(&id, None, now),
                Err(error) if error.is_transient() => self.board.unanswered(&id, &chain(&error), now),
                Err(error) => self.board.refused(&id, &chain(&error), now),
            }
        }
    }
}

/// What the watches show of an object.
fn sight(watches: &[Arc<Watched>], id: &ObjectId) -> Sight {
    match synced(watches, id) {
        Some(watch) => Sight::Watched(watch.record(id).map(|record| record.version)),
        None => Sight::Unwatched,
    }
}

/// Whether a watch shows the object now.
pub fn is_watched(memory: &Memory, id: &ObjectId) -> bool {
    sight(&memory.watches, id) != Sight::Unwatched
}

impl Run<'_> {
    /// Brings up to date what is known of the health of the applied objects, where
    /// the release wants to be healthy.
    pub async fn check_health(&mut self, session: &Session, known: &Known, revision: &Revision) {
        let before = self.memory.checkup.take().filter(|checkup| checkup.key == revision.key);
        if !self.release.wait {
            return;
        }
        let mut checkup = before.unwrap_or_else(|| Checkup::new(&revision.key));
        let inventory = Arc::clone(&self.memory.inventory);
        let judged = |id: &ObjectId| inventory.claims(id) && !self.memory.has_run_to_its_end(id);
        checkup.retain(judged);
        for id in inventory.claimed().filter(|id| has_rule(&id.group_kind()) && judged(id)) {
            let version = inventory.entries.get(id).map_or("", |entry| entry.version.as_str());
            let kind = id.group_kind();
            if let Some(resource) = known.served(&kind, version) {
                checkup.add(id, resource);
            }
        }
        let outdated = checkup.outdated(&self.memory.watches);
        if !outdated.is_empty() {
            self.turn.take().await;
            checkup.look(session, outdated).await;
            self.turn.give_back();
        }
        self.memory.checkup = Some(checkup);
    }
}
