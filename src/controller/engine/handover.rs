//! Which releases this replica works on, and how it gets and gives them.

use std::sync::Arc;

use super::life::supervise;
use super::{Engine, Handle, awaited_here};
use crate::api::release::OCIArtifactRelease;
use crate::controller::latest::Latest;
use crate::controller::replicas::{MoveResult, Moved, carry_out};
use crate::domain::identity::ReleaseId;
use crate::domain::replicas::Duty;
use crate::observe::labels::Handover;
use crate::reconcile::scope::signals::Signals;

impl Engine {
    pub(super) fn decide_all(&mut self) {
        let ids: Vec<ReleaseId> = self.table.ids().cloned().collect();
        for id in ids {
            self.decide(&id);
        }
    }

    /// Begins what this replica has to do about a release.
    pub(super) fn decide(&mut self, id: &ReleaseId) {
        let is_at_work = self.handles.contains_key(id);
        let to = match self.table.duty(id, is_at_work) {
            Some(Duty::Work) if !is_at_work => return self.work(id),
            Some(Duty::HandOver(to)) => Some(to),
            Some(Duty::Take) => None,
            Some(Duty::Leave) if is_at_work => None,
            Some(Duty::Work | Duty::Leave) | None => return,
        };
        if let Some(handle) = self.handles.remove(id) {
            // Its last run ends first.
            handle.signals.stop();
            self.table.leaves(id, handle.number);
            return;
        }
        if let Some(asked) = self.table.plan_move(id, to.as_ref()) {
            let (session, members) =
                (self.shared.env.session.clone(), Arc::clone(&self.coordination.members));
            self.moves.spawn(carry_out(session, members, asked));
        }
    }

    fn work(&mut self, id: &ReleaseId) {
        let Some(seen) = self.table.seen(id).cloned() else { return };
        let Ok(OCIArtifactRelease { spec, status, .. }) = seen.open().map(|open| open.resource) else {
            return;
        };
        self.shared.env.metrics.release_appeared(id, spec.suspend, &status.unwrap_or_default());
        let latest = Latest::new(seen);
        let signals = Arc::new(Signals::default());
        let shared = Arc::clone(&self.shared);
        self.numbers += 1;
        let number = self.numbers;
        let life = supervise(shared, id.clone(), latest.clone(), Arc::clone(&signals));
        let ended = id.clone();
        self.running.insert(number);
        self.shared.env.dependencies.set_elsewhere(id, false);
        self.actors.spawn(async move {
            life.await;
            (ended, number)
        });
        self.handles.insert(id.clone(), Handle { number, signals, latest });
    }

    /// An actor has ended.
    pub(super) fn ended(&mut self, id: &ReleaseId, number: u64) {
        self.running.remove(&number);
        if self.table.has_left(id, number) {
            self.let_go(id);
            self.decide(id);
        }
    }

    /// Forgets what the runs of a release have left in the memory of the process.
    fn let_go(&self, id: &ReleaseId) {
        let env = &self.shared.env;
        // It may be gone.
        let open = self.table.seen(id).and_then(|seen| seen.open().ok());
        env.wake(env.target.claims.hand_over(id, open.as_ref().map(awaited_here).unwrap_or_default()));
        env.wake(env.clusters.forget(id));
        env.dependencies.step_back(id);
        env.metrics.release_gone(id);
    }

    /// A move to another owner has ended.
    pub(super) fn moved(&mut self, Moved { id, uid, result }: Moved) {
        let owner = match &result {
            MoveResult::Done(owner) => Some(owner),
            MoveResult::NotKept | MoveResult::Later => None,
        };
        if !self.table.moved(&id, &uid, owner) {
            // One after it of the same name may have waited for that.
            return self.decide(&id);
        }
        match result {
            MoveResult::Done(owner) => {
                let direction = match Some(&owner.holder) == self.coordination.holder.as_ref() {
                    true => Handover::Taken,
                    false => Handover::Given,
                };
                tracing::debug!(release = %id, owner = owner.holder, term = owner.term, "has a new owner");
                self.shared.env.metrics.release_moved(direction);
            }
            MoveResult::NotKept if self.table.owners_are_not_kept() => {
                tracing::error!(
                    "the definition of OCIArtifactRelease in the cluster is older than this operator and keeps \
                     no owners: only the leader works; apply the current definition and restart the operator"
                );
                self.decide_all();
            }
            MoveResult::NotKept | MoveResult::Later => {}
        }
        // Its event may have come before the answer.
        self.decide(&id);
    }

    /// A release is gone.
    pub(super) fn absent(&mut self, id: &ReleaseId) {
        let is_known = self.table.absent(id);
        let is_leaving = self.table.is_left(id);
        let handle = self.handles.remove(id);
        if !is_known && handle.is_none() {
            return;
        }
        if let Some(handle) = &handle {
            handle.signals.stop();
            if self.running.contains(&handle.number) {
                self.table.leaves(id, handle.number);
            }
            if handle.latest.get().deleted_at.is_none() {
                tracing::info!(
                    release = %id,
                    "no longer reconciled: it is gone, or its labels do not match the selector; its objects are kept"
                );
            }
        }
        let env = &self.shared.env;
        env.wake(env.target.claims.forget(id));
        env.wake(env.clusters.forget(id));
        env.notify(env.dependencies.absent(id));
        if handle.is_some() || is_leaving {
            env.metrics.release_gone(id);
        }
    }
}
