//! Looks at the health of objects: one GET for each whose judgement is missing or
//! out of date, and none for the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::discovery::Resource;
use crate::cluster::session::Session;
use crate::cluster::store::Watched;
use crate::domain::health::{Board, RuleSet, Sight};
use crate::domain::identity::ObjectId;
use crate::domain::outcome::{Outcome, Verdict};
use crate::reconcile::error::chain;
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::live::watched::sight;

/// Objects of one revision, and what is known of their health.
#[derive(Default)]
pub struct Checkup {
    /// The revision and its options.
    pub key: String,
    resources: BTreeMap<ObjectId, Arc<Resource>>,
    /// What is known.
    pub board: Board,
    /// What Ready says while they are healthy.
    pub ready: String,
}

impl Checkup {
    /// Of nothing yet.
    pub fn new(key: &str, rules: RuleSet) -> Self {
        Self { key: key.to_owned(), board: Board::new(rules), ..Self::default() }
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
