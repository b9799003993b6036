//! Checks the health of objects: one GET for each whose judgement is missing or out of date, and
//! none for the others.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use litemap::LiteMap;
use serde_json::Value;

use crate::api::reason::Reason;
use crate::cluster::discovery::Resource;
use crate::cluster::session::Session;
use crate::cluster::store::Watched;
use crate::domain::health::{Board, ClassAnswer, ClassQuestion, RuleSet, Sight, is_default_class};
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::message::List;
use crate::domain::outcome::{Outcome, Verdict};
use crate::reconcile::error::chain;
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::live::watched::sight;

/// How many objects the status names.
const NAMED: usize = 3;
/// How many classes are read to find the default one.
const CLASSES: usize = 250;

/// Objects of one revision, and what is known of their health.
#[derive(Default)]
pub struct Checkup {
    /// The revision and its options.
    pub key: String,
    resources: LiteMap<ObjectId, Arc<Resource>>,
    /// The judgements.
    pub board: Board,
    /// What Ready says while they are healthy.
    pub ready: String,
    /// The claims whose class was read since they were.
    classed: BTreeSet<ObjectId>,
    /// What the last look did not get an answer for: the reason and the message.
    unanswered: Option<(Reason, String)>,
    /// How many looks in a row got no answer of their cluster.
    away: u32,
}

impl Checkup {
    /// An empty checkup.
    pub fn new(key: &str, rules: RuleSet) -> Self {
        Self { key: key.to_owned(), board: Board::new(rules), ..Self::default() }
    }

    /// Adds the health of the objects to the outcome of a run that found the revision applied.
    pub fn report(&mut self, outcome: &mut Outcome) {
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

    /// Whether the object was added.
    pub fn has(&self, id: &ObjectId) -> bool {
        self.resources.contains_key(id)
    }

    /// Keeps the objects that are still wanted.
    pub fn retain(&mut self, wanted: impl Fn(&ObjectId) -> bool) {
        self.resources.retain(|id, _| wanted(id));
        self.board.retain(wanted);
    }

    /// The objects of a revision that are not healthy yet, for the status.
    pub fn waiting_message(&self, revision: &str) -> String {
        let waiting: Vec<&ObjectId> = self.board.waiting().map(|(id, _)| id).collect();
        let (count, total) = (waiting.len(), self.resources.len());
        let objects = if total == 1 { "object" } else { "objects" };
        let waiting = List::Names.few(waiting, NAMED);
        format!("Waiting for {count} of {total} {objects}: {waiting} (revision {revision})")
    }

    /// Judges an object by an answer.
    pub fn judge(&mut self, id: &ObjectId, answer: Option<&Value>) {
        let reports = self.resources.get(id).map(|resource| resource.reports).unwrap_or_default();
        self.board.judge(id, reports, answer, Timestamp::now());
    }

    /// The objects that have to be read, by what the watches show now.
    pub fn outdated(&self, watches: &[Arc<Watched>]) -> Vec<ObjectId> {
        self.board.outdated(|id| sight(watches, id), Timestamp::now())
    }

    /// Those of them whose watch shows a change, and those whose judgement may change with time.
    pub fn changed(&self, watches: &[Arc<Watched>]) -> Vec<ObjectId> {
        let now = Timestamp::now();
        let mut changed = self.outdated(watches);
        changed.retain(|id| sight(watches, id) != Sight::Unwatched || self.board.is_due(id, now));
        changed
    }

    /// Gets objects and judges them.
    pub async fn look(&mut self, session: &Session, ids: Vec<ObjectId>) {
        for id in &ids {
            self.classed.remove(id);
        }
        let is_look = !ids.is_empty();
        let (mut unanswered, mut is_answered) = (None, false);
        let due = ids.into_iter().filter_map(|id| Some((self.resources.get(&id).cloned()?, id)));
        let mut answers = unordered(due.map(|(resource, id)| async move {
            let answer = session.get(&resource, &id).await;
            (id, resource.reports, answer)
        }));
        while let Some((id, reports, answer)) = answers.next().await {
            let now = Timestamp::now();
            match answer.and_then(|answer| answer.json::<Value>()) {
                Ok(object) => {
                    is_answered = true;
                    self.board.judge(&id, reports, Some(&object), now);
                }
                Err(error) if error.is_not_found() => {
                    is_answered = true;
                    self.board.judge(&id, reports, None, now);
                }
                Err(error) if error.is_transient() => {
                    let why = chain(&error);
                    self.board.unanswered(&id, &why, now);
                    unanswered = Some((error.reason(), why));
                }
                Err(error) => self.board.refused(&id, &chain(&error), now),
            }
        }
        drop(answers);
        if is_look {
            let is_away = matches!(unanswered, Some((Reason::ClusterUnreachable, _))) && !is_answered;
            self.away = if is_away { self.away + 1 } else { 0 };
            self.unanswered = unanswered;
        }
        self.look_at_classes(session).await;
    }

    /// Why the awaited objects cannot be judged: the last read of one of them was not answered.
    pub fn unjudgeable(&self) -> Option<&(Reason, String)> {
        let is_unsure = self.board.needed().any(|(id, _)| self.board.is_unsure(id));
        self.unanswered.as_ref().filter(|_| is_unsure)
    }

    /// Whether another cluster answers no look any more. One look alone says little.
    pub fn is_away(&self) -> bool {
        self.away > 1
    }

    /// Reads the StorageClasses that decide about claims, once for all claims that were read.
    async fn look_at_classes(&mut self, session: &Session) {
        let mut questions: Vec<(ClassQuestion, Vec<ObjectId>)> = Vec::new();
        for (id, question) in self.board.class_questions() {
            if !self.classed.insert(id.clone()) {
                continue;
            }
            match questions.iter_mut().find(|(other, _)| *other == question) {
                Some((_, claims)) => claims.push(id),
                None => questions.push((question, vec![id])),
            }
        }
        for (question, claims) in questions {
            let answer = class_of(session, &question).await;
            for id in claims {
                self.board.class_is(&id, answer, Timestamp::now());
            }
        }
    }
}

async fn class_of(session: &Session, question: &ClassQuestion) -> ClassAnswer {
    let kind = GroupKind::new("storage.k8s.io", "StorageClass");
    let Ok(discovery) = session.discovery().await else { return ClassAnswer::Unknown };
    let Some(resource) = discovery.preferred(&kind) else { return ClassAnswer::Unknown };
    match question {
        ClassQuestion::Named(name) => match session.get(&resource, &resource.id("", name)).await {
            Ok(_) => ClassAnswer::Exists,
            Err(error) if error.is_not_found() => ClassAnswer::Missing,
            Err(_) => ClassAnswer::Unknown,
        },
        ClassQuestion::Default => match session.first_metadata(&resource, None, "", CLASSES).await {
            Ok(classes) if classes.iter().any(is_default_class) => ClassAnswer::Exists,
            Ok(classes) if classes.len() < CLASSES => ClassAnswer::Missing,
            Ok(_) | Err(_) => ClassAnswer::Unknown,
        },
    }
}
