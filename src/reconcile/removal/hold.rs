//! What a finalizer holds of a removal, and what waits for it.

use std::sync::Arc;

use futures::StreamExt;

use crate::api::reason::Reason;
use crate::cluster::discovery::Known;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::outcome::{Note, ObjectFailure};
use crate::domain::plan::Leaving;
use crate::domain::release::Origin;
use crate::domain::stage::{Stage, stage};
use crate::reconcile::driver::Run;
use crate::reconcile::parallel::ordered;
use crate::reconcile::phase::apply::Executed;
use crate::reconcile::phase::prune::{Removal, Removed, remove};
use crate::reconcile::removal::terminating::{Waiter, await_gone, holder_of};
use crate::reconcile::source::access::{chain, failure};

impl Removal<'_> {
    /// Waits for what holds up the rest, as long as that may take, and goes on, stage
    /// by stage.
    pub async fn go_on(self, waiter: &Waiter<'_>, removed: &mut Removed) {
        while !removed.holders.is_empty() && removed.failures.is_empty() {
            let holders: Vec<ObjectId> = removed.holders.iter().map(|h| h.id.clone()).collect();
            await_gone(waiter, self.session, self.known, self.leaving, removed, &holders).await;
            if waiter.signals.is_stopping() {
                removed.interrupted = true;
                return;
            }
            if removed.terminating.iter().any(|id| holders.contains(id)) {
                return;
            }
            let waiting = std::mem::take(&mut removed.waiting);
            let rest: Vec<Leaving> =
                self.leaving.iter().filter(|l| waiting.contains(&l.id)).cloned().collect();
            let more = remove(Removal { leaving: &rest, ..self }).await;
            removed.fates.extend(more.fates);
            removed.deleted += more.deleted;
            removed.touched.extend(more.touched);
            removed.terminating.extend(more.terminating);
            removed.handed.extend(more.handed);
            removed.failures.extend(more.failures);
            removed.notes.extend(more.notes);
            removed.interrupted |= more.interrupted;
            removed.holders = more.holders;
            removed.waiting = more.waiting;
        }
    }
}

/// Looks whether something of the stages before is held by a finalizer, and lets the
/// stage and those after it wait for that. The first `looked_at` of what is terminating
/// were looked at before: what is being deleted gets no new finalizer.
pub async fn hold_up(
    session: &Session,
    known: &Arc<Known>,
    leaving: &[Leaving],
    stage_now: Stage,
    looked_at: usize,
    removed: &mut Removed,
) {
    let new = removed.terminating.get(looked_at..).unwrap_or_default();
    let looks = leaving.iter().filter(|l| new.contains(&l.id));
    let looks = looks.map(|l| async move { (l.id.clone(), holder_of(session, known, l).await) });
    let looks: Vec<_> = ordered(looks).collect().await;
    let mut is_unknown = false;
    for (id, look) in looks {
        match look {
            Ok(holder) => removed.holders.extend(holder),
            // Who may delete it and not look at it cannot wait for it.
            Err(error) if error.is_forbidden() => {}
            Err(error) => {
                is_unknown = true;
                let message = format!("what holds it is not known: {}", chain(&error));
                removed.failures.push(ObjectFailure { id, reason: Reason::PruneFailed, message });
            }
        }
    }
    if is_unknown || !removed.holders.is_empty() {
        let rest = leaving.iter().filter(|l| stage(&l.id.group_kind()) <= stage_now);
        removed.waiting = rest.map(|l| l.id.clone()).collect();
        removed.fates.extend(removed.waiting.iter().map(|id| (id.clone(), Fate::Remains)));
    }
}

/// Says what holds up the deletion of the rest; that it has failed once it takes
/// longer than the release waits for anything.
pub fn held_up(run: &Run<'_>, removed: &Removed, executed: &mut Executed) {
    let Some((first, rest)) = removed.holders.split_first() else { return };
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    let count = removed.waiting.len();
    let them = if count == 1 {
        "1 object that left is".to_owned()
    } else {
        format!("{count} objects that left are")
    };
    let told = format!("{them} deleted after {first}{more}");
    let now = jiff::Timestamp::now();
    if !removed.holders.iter().any(|h| h.is_overdue(run.release.timeout, now)) {
        if run.release.origin == Origin::CommandLine {
            let message = format!("{told}: the inventory names what is left, run the same again to go on");
            executed.notes.push(Note { reason: Reason::TerminationPending, message });
        }
        executed.held_up = Some(told);
        return;
    }
    let word = run.release.origin.word("spec.timeout", "--timeout");
    let headline = format!(
        "{told}, and that takes longer than {word} ({}s): see to what has to clear it, or take it off",
        run.release.timeout.as_secs()
    );
    executed.ended = Some(failure(Reason::PruneFailed, headline).into());
}
