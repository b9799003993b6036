//! What an actor keeps of its release between its runs: there are thousands of actors, and most of them are at rest.

use std::sync::Arc;
use std::time::Duration;

use super::Actor;
use crate::api::status::ReleaseStatus;
use crate::controller::health_watch::RestingRelease;
use crate::controller::specs::Parsed;
use crate::domain::observed::{KeptRelease, ObservedRelease, Packed};
use crate::domain::release::Release;

/// How long after its last work a release is at rest: several changes in a row are handled without packing in between.
pub(super) const SETTLES_AFTER: Duration = Duration::from_secs(1);

/// The status as it was written last. It is empty before the first run: thousands of actors may wait for theirs.
#[derive(Default)]
pub(super) struct LastStatus {
    /// While it is in use.
    open: Option<Arc<ReleaseStatus>>,
    /// Once it was at rest.
    packed: Option<Packed>,
}

impl From<Arc<ReleaseStatus>> for LastStatus {
    fn from(status: Arc<ReleaseStatus>) -> Self {
        Self { open: Some(status), packed: None }
    }
}

impl LastStatus {
    /// The status. From now on it is in use.
    pub(super) fn open(&mut self) -> &Arc<ReleaseStatus> {
        let packed = &self.packed;
        self.open.get_or_insert_with(|| Arc::new(packed.as_ref().and_then(read).unwrap_or_default()))
    }

    fn is_empty(&self) -> bool {
        self.open.is_none() && self.packed.is_none()
    }

    /// Packs it. One that would not read as it is stays open: nothing of it may be lost.
    fn pack(&mut self) {
        let Some(open) = &self.open else { return };
        if self.packed.is_none() {
            let packed = serde_json::to_string(&**open).ok().map(|text| Packed::of(&text));
            self.packed = packed.filter(|packed| read(packed).is_some_and(|same| same == **open));
        }
        if self.packed.is_some() {
            self.open = None;
        }
    }
}

fn read(packed: &Packed) -> Option<ReleaseStatus> {
    serde_json::from_str(&packed.text()).ok()
}

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
            self.status = Arc::new(open.resource.status.clone().unwrap_or_default()).into();
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
        self.opened.is_some() || self.status.open.is_some() || self.spec.is_unsettled()
    }

    /// The release is at rest.
    pub(super) fn settle(&mut self) {
        self.opened = None;
        self.status.pack();
        self.spec.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_at_rest_is_the_same_when_it_is_needed_again() {
        let status = ReleaseStatus {
            observed_generation: Some(7),
            short_revision: Some("1@sha256:0123".into()),
            more_failures: Some(3),
            ..ReleaseStatus::default()
        };
        assert!(LastStatus::default().is_empty());
        let mut last = LastStatus::from(Arc::new(status.clone()));
        for _ in 0..2 {
            last.pack();
            assert!(last.open.is_none() && last.packed.is_some() && !last.is_empty());
            assert_eq!(**last.open(), status);
            assert!(last.open.is_some());
        }
        last = Arc::new(ReleaseStatus::default()).into();
        last.pack();
        assert_eq!(**last.open(), ReleaseStatus::default());
    }
}
