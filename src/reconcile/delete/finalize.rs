//! Going away: what becomes of the objects of a release that is deleted.

use std::sync::Arc;

use crate::api::reason::Reason;
use crate::api::release::DeletionPolicy;
use crate::cluster::session::Identity;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Extent, settle};
use crate::domain::outcome::{Note, Outcome};
use crate::domain::plan::leaving;
use crate::domain::prune::Holder;
use crate::observe::labels::{Action, Phase};
use crate::reconcile::driver::{Ended, Run};
use crate::reconcile::live::view::View;
use crate::reconcile::phase::prune::{Deletion, Order, Removal, Removed, remove};
use crate::reconcile::source::access::{Failure, chain, failure, no_account};

/// What came of it.
pub struct Farewell {
    /// Whether the finalizer can go.
    pub done: bool,
    /// For the status, when it cannot.
    pub outcome: Outcome,
}

impl Run<'_> {
    /// Deletes the objects, or lets them be, as the deletion policy says.
    pub async fn finalize(&mut self) -> Farewell {
        self.context.wake(self.context.claims.want_nothing(&self.release.id));
        for _ in 0..3 {
            match Box::pin(self.farewell()).await {
                Ok(outcome) => return Farewell { done: true, outcome: *outcome },
                Err(Ended::Failed(outcome)) => return Farewell { done: false, outcome: *outcome },
                Err(Ended::Again) => self.memory.stored = None,
            }
        }
        let message = "the inventory is written by somebody else at the same time";
        Farewell { done: false, outcome: Outcome::failed(Reason::ApiServerUnavailable, message) }
    }

    async fn farewell(&mut self) -> Result<Box<Outcome>, Ended> {
        let context = self.context;
        // One that is only taken not to be there may be broken, or an older
        // release's of the same name: what it names must not be forgotten.
        if self.memory.stored.as_ref().is_none_or(|s| !s.exists()) {
            self.read_inventory().await?;
        }
        let mut notes = Vec::new();
        if self.memory.stored.as_ref().is_some_and(|s| s.exists() && !s.is_ours()) {
            // Another tool's, which the release has refused to take over.
            self.memory.stored = None;
            context.wake(context.claims.forget(&self.release.id));
            return Ok(Box::default());
        }
        let entries = self.memory.inventory.entries.len();
        let keeps = match self.release.deletion_policy {
            DeletionPolicy::Orphan => true,
            DeletionPolicy::MirrorPrune => !self.release.prune,
            DeletionPolicy::Delete | DeletionPolicy::WaitForTermination => false,
        };
        // Removing the definition of releases must not remove every workload. Where
        // nothing would be removed anyway, nobody has to be allowed to ask.
        let definition_goes = !keeps && entries > 0 && self.definition_goes().await?;
        if keeps || definition_goes || entries == 0 {
            if entries > 0 {
                let why = if definition_goes {
                    "the definition of releases is being deleted"
                } else {
                    "the deletion policy says so"
                };
                notes.push(note(format!("the release goes and leaves {}, because {why}", counted(entries))));
            }
        } else {
            self.delete_all(&mut notes).await?;
        }
        let Some(stored) = self.memory.stored.take() else { return Err(Ended::Again) };
        context.session.remove_inventory(&self.release.id, &stored).await?;
        // Nothing is left to do if the release itself cannot go yet.
        self.memory.inventory = Arc::default();
        context.wake(context.claims.forget(&self.release.id));
        Ok(Box::new(Outcome { notes, ..Outcome::default() }))
    }

    async fn definition_goes(&self) -> Result<bool, Ended> {
        self.context.session.definition_is_terminating().await.map_err(|error| {
            let hint = match error.is_forbidden() {
                true => {
                    "; allow the controller's own account to get it, or set spec.deletionPolicy to Orphan to \
                         leave the objects"
                }
                false => "",
            };
            let message = format!(
                "whether the definition of releases goes too, and its objects are to stay, is not known: {}{hint}",
                chain(&error)
            );
            failure(error.reason(), message).into()
        })
    }

    async fn delete_all(&mut self, notes: &mut Vec<Note>) -> Result<(), Ended> {
        let context = self.context;
        let release = self.release;
        let identity = context.identity(release);
        let dying = context.session.namespace_is_terminating(&release.id.namespace).await?;
        // Forgets the watch over another account.
        let session = self.session()?;
        if !self.account_is_there(&identity).await? {
            if dying {
                // A release never waits for its own namespace.
                notes.push(note(format!(
                    "{identity} went before the release with their namespace: objects in other namespaces stay"
                )));
                return Ok(());
            }
            if let Identity::ServiceAccount { namespace, name } = &identity {
                // Told when it is back.
                self.memory.watch_account(context, &release.id, namespace, name);
            }
            return Err(account_gone(release, &identity).into());
        }
        self.turn.take().await;
        let inventory = Arc::clone(&self.memory.inventory);
        let known = session.known_of(inventory.entries.keys().map(ObjectId::group_kind)).await?;
        let view = View::of(context, &session, self.memory, &known, inventory.entries.keys()).await?;
        let leaving = leaving(&inventory, |_| true);
        let everything = Order {
            release: &release.id,
            prune: true,
            deletion: Deletion::Real,
            // A release in a namespace that goes too holds nothing up.
            in_order: !dying,
            progress: self.progress,
            signals: None,
        };
        let started = std::time::Instant::now();
        let (order, leaving) = (everything, leaving.as_slice());
        let removal = Removal { context, session: &session, order, leaving, known: &known, view: &view };
        let removed = remove(removal).await;
        self.spent.add(Phase::Prune, started.elapsed());
        self.turn.give_back();
        self.settle_removed(removed, dying, notes).await
    }

    async fn account_is_there(&self, identity: &Identity) -> Result<bool, Ended> {
        match identity {
            Identity::Controller | Identity::User => Ok(true),
            Identity::ServiceAccount { namespace, name } => {
                Ok(self.context.session.account(namespace, name).await?.is_some())
            }
        }
    }

    /// Writes what is left into the inventory, and says whether that may be.
    async fn settle_removed(
        &mut self,
        removed: Removed,
        dying: bool,
        notes: &mut Vec<Note>,
    ) -> Result<(), Ended> {
        let Removed { fates, deleted, terminating, handed, holders, waiting, failures, notes: told, .. } =
            removed;
        self.context.metrics.objects(Action::Pruned, deleted);
        notes.extend(told);
        notes.push(note(match deleted {
            0 => "what was left of the release is gone".to_owned(),
            count => format!("deleted {}", counted(count)),
        }));
        let waits = self.release.deletion_policy == DeletionPolicy::WaitForTermination;
        let goes_too = |id: &&ObjectId| dying && id.namespace == self.release.id.namespace;
        let held: Vec<_> = terminating.iter().filter(|id| waits && !goes_too(id)).collect();
        // Until its heir has it, nobody else would know of it.
        let handed: Vec<_> = handed.iter().filter(|id| !goes_too(id)).collect();
        if failures.is_empty() && held.is_empty() && handed.is_empty() && waiting.is_empty() {
            return Ok(());
        }
        // In a dying namespace nothing can be written to the inventory but
        // removals, and those are safe to lose.
        let hold = self.hold();
        if let Some(mut stored) = self.memory.stored.take() {
            let mut is_known = true;
            let settled = settle(&stored.inventory, &fates, Extent::Partial);
            if settled != *stored.inventory {
                let written =
                    self.context.session.write_inventory(&self.release.id, &mut stored, settled, hold).await;
                if let Err(error) = written {
                    tracing::debug!(error = chain(&error), "the inventory could not be settled");
                    is_known = false;
                }
            }
            self.memory.remember(self.context, &self.release.id, stored);
            if !is_known {
                self.memory.stored = None;
            }
        }
        let (reason, message) = match failures.first() {
            None if !waiting.is_empty() => self.held_up(&holders, waiting.len()),
            Some(first) => (
                Reason::PruneFailed,
                format!(
                    "{} could not be deleted; {}: {}. Cure it, or set spec.deletionPolicy to Orphan to leave what is left",
                    counted(failures.len()),
                    first.id,
                    first.message
                ),
            ),
            None => {
                let (what, which) = match held.as_slice() {
                    [] => ("not yet with the release that takes over", &handed),
                    _ => ("still terminating", &held),
                };
                let names: Vec<String> = which.iter().take(3).map(ToString::to_string).collect();
                let message = format!("{} {what}: {}", counted(which.len()), names.join(", "));
                (Reason::TerminationPending, message)
            }
        };
        let mut failed = failure(reason, message);
        failed.failures = failures;
        failed.entries = Some(self.memory.inventory.entries.len());
        Err(failed.into())
    }
}

impl Run<'_> {
    /// What keeps the rest of the objects, and what to do about it.
    fn held_up(&self, holders: &[Holder], waiting: usize) -> (Reason, String) {
        let timeout = self.release.timeout;
        let now = jiff::Timestamp::now();
        let overdue = holders.iter().any(|h| h.is_overdue(timeout, now));
        let reason = if overdue { Reason::PruneFailed } else { Reason::TerminationPending };
        let names: Vec<String> = holders.iter().take(3).map(ToString::to_string).collect();
        let late = match overdue {
            true => format!(
                ", and that takes longer than spec.timeout ({}s): see to what has to clear it, take it off, or set \
                 spec.deletionPolicy to Orphan to leave what is left",
                timeout.as_secs()
            ),
            false => String::new(),
        };
        (reason, format!("{} deleted after {}{late}", are(waiting), names.join("; ")))
    }
}

fn are(objects: usize) -> String {
    if objects == 1 { "1 object is".to_owned() } else { format!("{objects} objects are") }
}

fn counted(objects: usize) -> String {
    if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") }
}

fn note(message: String) -> Note {
    Note { reason: Reason::Deleting, message }
}

fn account_gone(release: &crate::domain::release::Release, identity: &Identity) -> Failure {
    let mut gone = no_account(release, identity);
    if let crate::domain::outcome::Verdict::Failed { message, .. } = &mut gone.verdict {
        *message = format!(
            "{identity} does not exist, so the release's objects cannot be deleted with its rights: restore it, \
             or set spec.deletionPolicy to Orphan to leave the objects"
        );
    }
    gone
}
