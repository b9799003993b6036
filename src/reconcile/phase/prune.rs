//! The deletion of what left a revision, or of everything when its release goes
//! away, in reverse order.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;

use crate::api::reason::Reason;
use crate::cluster::delete::Deleted;
use crate::cluster::discovery::Known;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::Fate;
use crate::domain::outcome::{self, Note, ObjectFailure, Outcome};
use crate::domain::plan::{Leaving, Live, Plan};
use crate::domain::prune::{Foreign, Holder, Kept, Question, Verdict, judge};
use crate::domain::release::Origin;
use crate::domain::stage::{Stage, stage};
use crate::observe::labels::Phase;
use crate::reconcile::driver::{Ended, Run, Trigger};
use crate::reconcile::env::Context;
use crate::reconcile::live::view::View;
use crate::reconcile::parallel::ordered;
use crate::reconcile::phase::apply::Executed;
use crate::reconcile::phase::plan::ownership;
use crate::reconcile::phase::work::superseded;
use crate::reconcile::removal::hold::{held_up, hold_up};
use crate::reconcile::removal::terminating::{await_gone, held};
use crate::reconcile::scope::progress::{Change, Event, Progress};
use crate::reconcile::scope::signals::Signals;
use crate::reconcile::source::access::{chain, failure};

/// How often an object that changes between the look and the deletion is looked
/// at again.
const ATTEMPTS: usize = 3;

/// What came of a removal.
#[derive(Default)]
pub struct Removed {
    /// What became of each object.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// How many were deleted; some may still be terminating.
    pub deleted: usize,
    /// What was deleted just now, or would be, in that order.
    pub touched: Vec<ObjectId>,
    /// What is still terminating.
    pub terminating: Vec<ObjectId>,
    /// What of it holds up the rest.
    pub holders: Vec<Holder>,
    /// What is not deleted before those are gone.
    pub waiting: Vec<ObjectId>,
    /// What stays because another release may write it and waits for it.
    pub handed: Vec<ObjectId>,
    /// What could not be deleted.
    pub failures: Vec<ObjectFailure>,
    /// What was not ours, or was let go.
    pub notes: Vec<Note>,
    /// Whether somebody has ended it before its end. What it did not come to has
    /// no fate.
    pub interrupted: bool,
}

/// What a removal does where it comes to an object that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Deletes it.
    Real,
    /// Tells it as deleted, and deletes nothing.
    Foretold,
    /// Leaves it for later. What is gone by itself is found to be gone.
    Withheld,
}

/// Whose objects are removed, and whether they are.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The release.
    pub release: &'a ReleaseId,
    /// Whether anything is deleted at all.
    pub prune: bool,
    /// Whether what is to be deleted is.
    pub deletion: Deletion,
    /// Whether a stage waits for what of the stages before it is held by a finalizer:
    /// what clears that may go with it.
    pub in_order: bool,
    /// Who listens.
    pub progress: &'a dyn Progress,
    /// What ends it before its end. The operator's goes on: its next run would
    /// only begin anew.
    pub signals: Option<&'a Signals>,
}

impl Order<'_> {
    fn is_ended(&self) -> bool {
        self.signals.is_some_and(Signals::is_stopping)
    }
}

/// Deletes what left the revision, and completes the run.
pub async fn prune(
    run: &mut Run<'_>,
    session: &Session,
    plan: &Plan,
    view: View<'_>,
    executed: &mut Executed,
) {
    let started = std::time::Instant::now();
    let by_hand = run.release.origin == Origin::CommandLine;
    // A revision that is not complete may be one that is not healthy, or that the spec
    // has left: who only puts it back deletes nothing for it.
    let deletion = match run.trigger {
        Trigger::Restore if !executed.was_complete => Deletion::Withheld,
        _ => Deletion::Real,
    };
    let order = Order {
        release: &run.release.id,
        prune: run.release.prune,
        deletion,
        in_order: run.release.prune && deletion == Deletion::Real,
        progress: run.progress,
        signals: by_hand.then_some(run.signals),
    };
    let kinds = plan.leaving.iter().map(|l| l.id.group_kind());
    let removed = match session.known_of(kinds).await {
        Ok(known) => {
            let (context, leaving) = (run.context, plan.leaving.as_slice());
            let removal = Removal { context, session, order, leaving, known: &known, view: &view };
            let mut removed = remove(removal).await;
            if by_hand && run.release.wait {
                removal.go_on(&run.waiter(), &mut removed).await;
            }
            if removed.interrupted {
                executed.ended = Some(interrupted(&removed));
            } else if by_hand && run.release.wait {
                if removed.waiting.is_empty() {
                    let all = removed.terminating.clone();
                    await_gone(&run.waiter(), session, &known, &plan.leaving, &mut removed, &all).await;
                }
                executed.ended = not_gone(run, session, &known, plan, &removed).await;
            }
            removed
        }
        Err(error) => {
            executed.ended = Some(Ended::from(error));
            return;
        }
    };
    run.spent.add(Phase::Prune, started.elapsed());
    if executed.ended.is_none() {
        held_up(run, &removed, executed);
    }
    let Removed { fates, deleted, terminating, failures, notes, interrupted, .. } = removed;
    let skipped = executed.fates.values().any(|f| *f == Fate::NotAttempted);
    executed.complete = terminating.is_empty() && failures.is_empty() && !skipped && !interrupted;
    executed.changes.pruned = i32::try_from(deleted).unwrap_or(i32::MAX);
    executed.changes.failed += i32::try_from(failures.len()).unwrap_or(i32::MAX);
    executed.fates.extend(fates);
    executed.notes.extend(notes);
    if let Some(first) = failures.first() {
        let count = failures.len();
        let s = if count == 1 { "" } else { "s" };
        let headline = format!("{count} object{s} that left could not be deleted");
        let message = format!("{headline}; {}: {}", first.id, first.message);
        let mut failed = failure(Reason::PruneFailed, message);
        failed.headline = Some(headline);
        executed.ended = Some(failed.into());
    }
    executed.failures.extend(failures);
}

/// What a person is told who ended it before everything that left was deleted.
fn interrupted(removed: &Removed) -> Ended {
    let headline = format!(
        "everything is applied, {} object(s) that left it were deleted until now, and the inventory names the rest; \
         run the same again to go on",
        removed.deleted
    );
    let outcome =
        Outcome { verdict: outcome::Verdict::Superseded, headline: Some(headline), ..Outcome::default() };
    Ended::Failed(Box::new(outcome))
}

/// What a person is told whose wait for what was deleted came to no end.
async fn not_gone(
    run: &Run<'_>,
    session: &Session,
    known: &Arc<Known>,
    plan: &Plan,
    removed: &Removed,
) -> Option<Ended> {
    if removed.terminating.is_empty() {
        return None;
    }
    if run.signals.is_stopping() {
        return Some(superseded());
    }
    let headline = format!("not gone within --timeout ({}s)", run.release.timeout.as_secs());
    let mut failed = failure(Reason::PruneFailed, headline.clone());
    failed.headline = Some(headline);
    failed.failures = held(session, known, &plan.leaving, removed).await;
    Some(failed.into())
}

/// A removal of objects, and what it is done with.
#[derive(Clone, Copy)]
pub struct Removal<'a> {
    /// What all releases share.
    pub context: &'a Context,
    /// With whose rights.
    pub session: &'a Session,
    /// Whose objects, and how.
    pub order: Order<'a>,
    /// Which, in order.
    pub leaving: &'a [Leaving],
    /// What is served.
    pub known: &'a Arc<Known>,
    /// What is seen of them.
    pub view: &'a View<'a>,
}

/// Removes objects in the order they come in, a stage at a time.
pub async fn remove(removal: Removal<'_>) -> Removed {
    let Removal { context, session, order, leaving, known, view } = removal;
    let mut removed = Removed::default();
    let mut looked_at = 0;
    for stage_now in Stage::ALL.into_iter().rev() {
        let batch = leaving.iter().filter(|l| stage(&l.id.group_kind()) == stage_now);
        if order.in_order && batch.clone().next().is_some() {
            hold_up(session, known, leaving, stage_now, looked_at, &mut removed).await;
            looked_at = removed.terminating.len();
            if !removed.waiting.is_empty() {
                break;
            }
        }
        let mut answers = ordered(batch.map(|l| async move {
            if order.is_ended() {
                return (l, None);
            }
            let answer = remove_one(context, session, order, l, known, view).await;
            // Who deletes nothing needs to find out nothing.
            let later = order.deletion == Deletion::Withheld && matches!(answer, Answer::Failed(_));
            (l, Some(if later { Answer::Later } else { answer }))
        }));
        while let Some((leaving, answer)) = answers.next().await {
            let Some(answer) = answer else {
                removed.interrupted = true;
                continue;
            };
            if matches!(answer, Answer::Deleted | Answer::Held) {
                order.progress.tell(Event::Object(&leaving.id, Change::Deleted));
                removed.touched.push(leaving.id.clone());
            }
            let other = match &answer {
                // What the labels say need not be a release.
                Answer::Foreign(Foreign::OtherOwner(other)) => {
                    match ownership::may_know(context, session, order.release, other, false).await {
                        true => other.to_string(),
                        false => "another release".to_owned(),
                    }
                }
                Answer::Kept(Kept::HandedOver(other)) => {
                    ownership::name(context, session, order.release, other, false).await
                }
                _ => String::new(),
            };
            settle(leaving, answer, &other, &mut removed);
        }
    }
    removed
}

/// What came of one object.
enum Answer {
    Deleted,
    /// It was deleted just now, and something holds it.
    Held,
    /// It was deleted before, and something still holds it.
    Terminating,
    /// It is deleted by a later run.
    Later,
    Gone,
    Kept(Kept),
    Foreign(Foreign),
    Failed(ApiError),
}

async fn remove_one(
    context: &Context,
    session: &Session,
    order: Order<'_>,
    leaving: &Leaving,
    known: &Arc<Known>,
    view: &View<'_>,
) -> Answer {
    let id = &leaving.id;
    let kind = id.group_kind();
    // A kind that is not served, nor defined, has no objects any more.
    let Some(resource) = known.served(&kind, &leaving.entry.version) else {
        return session.is_undefined(&kind).await.map_or_else(Answer::Failed, |()| Answer::Gone);
    };
    let heir = context.claims.heir(id).filter(|heir| heir != order.release);
    let question = Question { release: order.release, prune: order.prune, heir: heir.as_ref() };
    let mut record = view.record(id);
    // What no watch shows under anybody's labels may still be there without
    // them: it is asked for by name before it counts as gone.
    // Whether its heir has it already has to be true now.
    let mut ask = record.is_none() || !view.known(id) || heir.is_some();
    for _ in 0..ATTEMPTS {
        if ask {
            record = match session.get_record(&resource, id).await {
                Ok(record) => record,
                Err(error) => return Answer::Failed(error),
            };
        }
        match judge(question, &leaving.entry, record.as_ref()) {
            Verdict::Gone => return Answer::Gone,
            Verdict::Keep(Kept::Terminating) => return Answer::Terminating,
            Verdict::Keep(why) => return Answer::Kept(why),
            Verdict::Drop(why) => return Answer::Foreign(why),
            Verdict::Delete { .. } if order.deletion == Deletion::Foretold => return Answer::Deleted,
            Verdict::Delete { .. } if order.deletion == Deletion::Withheld => return Answer::Later,
            Verdict::Delete { uid, version } => match session.delete(&resource, id, &uid, version).await {
                Ok(Deleted::Gone) => return Answer::Deleted,
                Ok(Deleted::Terminating) => return Answer::Held,
                Ok(Deleted::Changed) => ask = true,
                Err(error) => return Answer::Failed(error),
            },
        }
    }
    Answer::Failed(ApiError::Restless(ATTEMPTS))
}

/// `other` names the other release that the answer is about.
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
        Answer::Kept(Kept::OptedOut | Kept::PruneOff) => Fate::Left,
        Answer::Kept(Kept::HandedOver(_)) => {
            removed.handed.push(id.clone());
            if !leaving.entry.left {
                let message = format!("{id} is not deleted: {other} takes it over");
                removed.notes.push(Note { reason: Reason::OwnershipConflict, message });
            }
            Fate::Left
        }
        Answer::Foreign(why) => {
            let message = format!("{id} is not deleted and leaves the inventory: {}", why.told(other));
            removed.notes.push(Note { reason: Reason::OwnershipConflict, message });
            Fate::Dropped
        }
        Answer::Failed(error) => {
            let message = match error.is_forbidden() {
                true => format!("it may not be deleted: {}", chain(&error)),
                false => chain(&error),
            };
            removed.failures.push(ObjectFailure { id: id.clone(), reason: Reason::PruneFailed, message });
            Fate::Remains
        }
    };
    removed.fates.insert(id, fate);
}
