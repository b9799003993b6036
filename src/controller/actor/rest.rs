//! What an actor keeps of its release between its runs: there are thousands of actors, and most of them are at rest.

use std::sync::Arc;
use std::time::Duration;

use super::Actor;
use crate::controller::health_watch::RestingRelease;
use crate::controller::specs::Parsed;
use crate::domain::kept::KeptRelease;
use crate::domain::observed::ObservedRelease;
use crate::domain::release::Release;

/// How long after its last work a release is at rest: several changes in a row are handled without packing in between.
pub(super) const SETTLES_AFTER: Duration = Duration::from_secs(1);

impl Actor {
    /// The release as it is now.
    pub(super) fn seen(&self) -> Option<Arc<ObservedRelease>> {
        let kept = self.latest.get();
        self.open_as(&kept)
    }

    /// The same, for a run: it stays open until the release is at rest.
    pub(super) fn look(&mut self) -> Option<Arc<ObservedRelease>> {
        let kept = self.latest.get();
        let open = self.open_as(&kept)?;
        self.opened = Some((kept, Arc::clone(&open)));
        if self.status.is_empty() {
            let status = open.resource.status.clone().unwrap_or_default();
            self.mailbox.knows(&status.notification_failures);
            self.stand_again(&status);
            self.status = Arc::new(status).into();
        }
        Some(open)
    }

    fn open_as(&self, kept: &Arc<KeptRelease>) -> Option<Arc<ObservedRelease>> {
        match &self.opened {
            Some((of, open)) if Arc::ptr_eq(of, kept) => Some(Arc::clone(open)),
            _ => kept.open().ok().map(Arc::new),
        }
    }

    /// What is kept of a release, as its run has completed it, until its next run.
    pub(super) fn resting(&self, parsed: &Parsed, complete: &Arc<Release>) -> RestingRelease {
        match &self.opened {
            Some((kept, _)) if parsed.is_all_of(complete) => RestingRelease::AsSpec(Arc::clone(kept)),
            _ => RestingRelease::Completed(parsed.at_rest(complete, self.caches.inputs.redaction())),
        }
    }

    /// Whether something is open that is not needed at rest.
    pub(super) fn is_unsettled(&self) -> bool {
        self.opened.is_some() || self.status.is_open() || self.spec.is_unsettled()
    }

    /// The release is at rest.
    pub(super) fn settle(&mut self) {
        self.opened = None;
        self.status.pack();
        self.spec.settle();
    }
}
