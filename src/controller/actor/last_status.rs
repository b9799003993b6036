//! The status of a release as it was written last, in little memory while the release is at rest.

use std::sync::Arc;

use crate::api::status::ReleaseStatus;
use crate::domain::kept::Packed;

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
    /// What a run has left. The same status as before is not packed again.
    pub(super) fn set(&mut self, status: Arc<ReleaseStatus>) {
        if self.open.as_ref().is_none_or(|open| !Arc::ptr_eq(open, &status)) {
            *self = status.into();
        }
    }

    /// The status. From now on it is in use.
    pub(super) fn open(&mut self) -> &Arc<ReleaseStatus> {
        let packed = &self.packed;
        self.open.get_or_insert_with(|| Arc::new(packed.as_ref().and_then(read).unwrap_or_default()))
    }

    /// Whether it is in use.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether no status was read yet.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.packed.is_none()
    }

    /// Packs it. One that would not read as it is stays open: nothing of it may be lost.
    pub(super) fn pack(&mut self) {
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
        // A run that has changed nothing leaves what it got.
        let same = Arc::clone(last.open());
        last.set(same);
        assert!(last.packed.is_some());
        last.set(Arc::default());
        assert!(last.packed.is_none());
        last.pack();
        assert_eq!(**last.open(), ReleaseStatus::default());
    }
}
