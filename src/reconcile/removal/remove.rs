//! The removal of objects in reverse order, a stage at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use super::hold::hold_up;
use super::removed::{Deletion, Removed, removal_reason};
use crate::api::reason::Reason;
use crate::cluster::delete::Deleted;
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Fate;
use crate::domain::outcome::{Note, ObjectFailure};
use crate::domain::plan::{Leaving, Live};
use crate::domain::prune::{Foreign, Kept, PruneQuestion, PruneVerdict, judge};
use crate::domain::stage::{Stage, stage};
use crate::reconcile::env::Env;
use crate::reconcile::error::chain;
use crate::reconcile::flow::parallel::ordered;
use crate::reconcile::live::owners;
use crate::reconcile::live::view::View;
use crate::reconcile::scope::progress::{ObjectChange, Progress, ProgressEvent};
use crate::reconcile::scope::signals::Signals;

/// Retries for an object that changes between read and deletion.
const ATTEMPTS: usize = 3;

/// The parameters of a removal.
#[derive(Clone, Copy)]
pub struct RemovalOrder<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// Whether anything is deleted at all.
    pub prune: bool,
    /// The objects that others were to take when the removal was checked. If they do not any more, a later
    /// run checks and deletes them.
    pub promised: &'a BTreeMap<ObjectId, ReleaseId>,
    /// Whether deletions are real.
    pub deletion: Deletion,
    /// Whether a stage waits for finalizers of the stages before it: the controller that removes
    /// them may be part of the stage.
    pub in_order: bool,
    /// The receiver of progress events.
    pub progress: &'a dyn Progress,
    /// What ends it early. A removal of the operator continues: its next run would only restart.
    pub signals: Option<&'a Signals>,
}

impl RemovalOrder<'_> {
    fn is_ended(&self) -> bool {
        self.signals.is_some_and(Signals::is_stopping)
    }
}

/// A removal of objects, with its inputs.
#[derive(Clone, Copy)]
pub struct Removal<'a> {
    /// The environment of the process.
    pub env: &'a Env,
    /// The session with the rights for it.
    pub session: &'a Session,
    /// The parameters.
    pub order: RemovalOrder<'a>,
    /// The objects, in order.
    pub leaving: &'a [Leaving],
    /// The API discovery.
    pub discovery: &'a Arc<ApiDiscovery>,
    /// The live objects.
    pub view: &'a View<'a>,
}

/// Removes objects in the given order, a stage at a time.
pub async fn remove(removal: Removal<'_>) -> Removed {
    let Removal { env, session, order, leaving, discovery, view } = removal;
    let mut removed = Removed::default();
    let mut looked_at = 0;
    for stage_now in Stage::ALL.into_iter().rev() {
        let batch = leaving.iter().filter(|l| stage(&l.id.group_kind()) == stage_now);
        if order.in_order && batch.clone().next().is_some() {
            hold_up(session, discovery, leaving, stage_now, looked_at, &mut removed).await;
            looked_at = removed.terminating.len();
            if !removed.waiting.is_empty() {
                break;
            }
        }
        let mut answers = ordered(batch.map(|l| async move {
            if order.is_ended() {
                return (l, None);
            }
            let answer = remove_one(env, session, order, l, discovery, view).await;
            // Without deletions there is nothing to check.
            let later = order.deletion == Deletion::Withheld && matches!(answer, Answer::Failed(_));
            (l, Some(if later { Answer::Later } else { answer }))
        }));
        while let Some((leaving, answer)) = answers.next().await {
            let Some(answer) = answer else {
                removed.interrupted = true;
                continue;
            };
            if matches!(answer, Answer::Deleted | Answer::Held) {
                order.progress.report(ProgressEvent::Object(&leaving.id, ObjectChange::Deleted));
                removed.touched.push(leaving.id.clone());
            }
            let other = match &answer {
                // The owner in the labels may not be a release.
                Answer::Foreign(Foreign::OtherOwner(other)) => {
                    match owners::may_know(env, session, order.release, other, false).await {
                        true => other.to_string(),
                        false => "another release".to_owned(),
                    }
                }
                Answer::Kept(Kept::HandedOver(other)) => {
                    owners::name(env, session, order.release, other, false).await
                }
                _ => String::new(),
            };
            settle(leaving, answer, &other, &mut removed);
        }
    }
    removed
}

/// The result for one object.
enum Answer {
    Deleted,
    /// It was deleted now, and has finalizers.
    Held,
    /// It was deleted before, and still has finalizers.
    Terminating,
    /// It is deleted by a later run.
    Later,
    Gone,
    Kept(Kept),
    Foreign(Foreign),
    Failed(ApiError),
}

async fn remove_one(
    env: &Env,
    session: &Session,
    order: RemovalOrder<'_>,
    leaving: &Leaving,
    discovery: &Arc<ApiDiscovery>,
    view: &View<'_>,
) -> Answer {
    let id = &leaving.id;
    let kind = id.group_kind();
    // A kind that is neither served nor defined has no objects any more.
    let Some(resource) = discovery.served(&kind, &leaving.entry.version) else {
        return session.is_undefined(&kind).await.map_or_else(Answer::Failed, |()| Answer::Gone);
    };
    let pending_owner = env.target.claims.other_pending_owner(order.release, id);
    let pending_owner = pending_owner.or_else(|| order.promised.get(id).cloned());
    let question =
        PruneQuestion { release: order.release, prune: order.prune, pending_owner: pending_owner.as_ref() };
    let mut record = view.record(id);
    // An object that no watch shows with owner labels may still exist without them: it is fetched
    // by name before it counts as gone. It is also fetched if it has a pending owner, to see the
    // current labels.
    let mut ask = record.is_none() || !view.is_observed(id) || pending_owner.is_some();
    for _ in 0..ATTEMPTS {
        if ask {
            record = match session.get_record(&resource, id).await {
                Ok(record) => record,
                Err(error) => return Answer::Failed(error),
            };
        }
        match judge(question, &leaving.entry, record.as_ref()) {
            PruneVerdict::Gone => return Answer::Gone,
            PruneVerdict::Keep(Kept::Terminating) => return Answer::Terminating,
            PruneVerdict::Keep(why) => return Answer::Kept(why),
            PruneVerdict::Drop(why) => return Answer::Foreign(why),
            PruneVerdict::Delete { .. } if order.deletion == Deletion::Planned => return Answer::Deleted,
            PruneVerdict::Delete { .. } if order.deletion == Deletion::Withheld => return Answer::Later,
            PruneVerdict::Delete { uid, version } => match session.delete(&resource, id, &uid, version).await
            {
                Ok(Deleted::Gone) => return Answer::Deleted,
                Ok(Deleted::Terminating) => return Answer::Held,
                Ok(Deleted::Changed) => ask = true,
                Err(error) => return Answer::Failed(error),
            },
        }
    }
    Answer::Failed(ApiError::ConflictRetriesExhausted(ATTEMPTS))
}

/// `other` is the name of the other release in the answer.
fn settle(leaving: &Leaving, answer: Answer, other: &str, removed: &mut Removed) {
    let id = leaving.id.clone();
    let fate = match answer {
        Answer::Deleted => {
            removed.deleted += 1;
            Fate::Gone
        }
        Answer::Gone => Fate::Gone,
        Answer::Held => {
            removed.deleted += 1;
            removed.terminating.push(id.clone());
            Fate::Remains
        }
        Answer::Terminating => {
            removed.terminating.push(id.clone());
            Fate::Remains
        }
        Answer::Later | Answer::Kept(Kept::Terminating) => Fate::Remains,
        Answer::Kept(Kept::OptedOut | Kept::PruneOff) => Fate::Retained,
        Answer::Kept(Kept::HandedOver(_)) => {
            removed.handed.push(id.clone());
            if !leaving.entry.retained {
                let message = format!("{id} is not deleted: {other} takes it over");
                removed.notes.push(Note { reason: Reason::OwnershipConflict, message });
            }
            Fate::Retained
        }
        Answer::Foreign(why) => {
            let message = format!("{id} is not deleted and leaves the inventory: {}", why.describe(other));
            removed.notes.push(Note { reason: Reason::OwnershipConflict, message });
            Fate::Dropped
        }
        Answer::Failed(error) => {
            let message = match error.is_forbidden() {
                true => format!("cannot delete it: {}", chain(&error)),
                false => chain(&error),
            };
            let reason = removal_reason(&error);
            removed.failures.push(ObjectFailure { id: id.clone(), reason, message });
            Fate::Remains
        }
    };
    removed.fates.insert(id, fate);
}
