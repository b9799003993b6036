//! The rollout of a revision, which may take several runs.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use tokio::time::Instant;

use super::approval::AwaitedApproval;
use super::cluster::ClusterCache;
use crate::api::status::Changes;
use crate::domain::identity::ObjectId;
use crate::domain::live::JobRun;
use crate::reconcile::live::checkup::Checkup;
use crate::reconcile::scope::revision::Revision;

/// The current or last rollout, and what it waits for.
#[derive(Default)]
pub struct RolloutCache {
    /// Its progress.
    pub progress: Rollout,
    /// The known health of its objects, where that matters.
    pub checkup: Option<Checkup>,
    /// Jobs that have to finish before the release can continue.
    pub awaited: BTreeSet<ObjectId>,
    /// The plan that waits for approval.
    pub approval: Option<Box<AwaitedApproval>>,
}

impl RolloutCache {
    /// Whether one of the changed objects is a Job that a refused revision waits for: that revision
    /// may be applied now.
    pub fn is_released(&self, cluster: &ClusterCache, touched: &HashSet<ObjectId>) -> bool {
        let mut awaited = touched.iter().filter(|id| self.awaited.contains(*id));
        awaited.any(|id| cluster.record(id).is_none_or(|record| record.run != JobRun::On))
    }

    /// Whether one of the changed objects makes the plan that waits for approval another one.
    pub fn is_outdated(&self, cluster: &ClusterCache, touched: &HashSet<ObjectId>) -> bool {
        self.approval.as_ref().is_some_and(|awaited| awaited.seen.differ(cluster, touched))
    }
}

/// The progress of a rollout from one run to the next.
#[derive(Debug, Default)]
pub struct Rollout {
    /// The revision and its options.
    key: String,
    /// The name of the revision.
    name: String,
    /// When its first run began.
    began: Option<Timestamp>,
    /// Whether it is complete: later writes only correct drift.
    over: bool,
    /// When the wait for health began. A run that continues the wait gets only the time that is
    /// left.
    waits_since: Option<Instant>,
    /// What its interrupted runs have written.
    written: Changes,
    /// Set after an interrupted run, with the generation of that run.
    resume: Option<Box<(i64, Revision)>>,
}

impl Rollout {
    /// A run of a revision begins; `settled` says whether the inventory is its complete result.
    /// Returns whether the rollout is still in progress.
    pub fn begin(&mut self, key: &str, name: &str, settled: bool) -> bool {
        if self.key != key {
            *self = Self { key: key.to_owned(), began: Some(Timestamp::now()), ..Self::default() };
        }
        name.clone_into(&mut self.name);
        self.over |= settled;
        !self.over
    }

    /// The revision and its options.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// When its first run began.
    pub fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// The name of the revision.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Since when its health is waited for.
    pub fn waits_since(&mut self, now: Instant) -> Instant {
        *self.waits_since.get_or_insert(now)
    }

    /// A run begins that does not continue the wait: it gets its full time.
    pub fn wait_anew(&mut self) {
        self.waits_since = None;
    }

    /// Its run was interrupted and wrote this; the next one continues, as long as the spec has this
    /// generation.
    pub fn cut_short(&mut self, changes: &Changes, revision: &Revision, generation: i64) {
        self.written = changes.after(&self.written);
        self.resume = Some(Box::new((generation, revision.clone())));
    }

    /// The revision of the interrupted run, if that was for this generation.
    pub fn resumed(&self, generation: i64) -> Option<&Revision> {
        self.resume.as_deref().filter(|(of, _)| *of == generation).map(|(_, revision)| revision)
    }

    /// The registry has answered: this revision is wanted, or none is available. No other rollout
    /// continues.
    pub fn wanted(&mut self, key: Option<&str>) {
        self.resume.take_if(|resume| Some(resume.1.key.as_str()) != key);
    }

    /// Its run has ended. Returns its changes, together with those of the interrupted runs before.
    pub fn end(&mut self, changes: Option<Changes>, well: bool) -> Option<Changes> {
        (self.waits_since, self.resume) = (None, None);
        self.over |= well;
        let before = std::mem::take(&mut self.written);
        match changes {
            None if !before.wrote() => None,
            changes => Some(changes.unwrap_or_default().after(&before)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;
    use std::time::Duration;

    fn wrote(created: i32) -> Changes {
        Changes { created, ..Changes::default() }
    }

    #[test]
    fn a_revision_is_brought_once_and_then_put_back() {
        let mut rollout = Rollout::default();
        assert!(rollout.begin("a", "1", false));
        assert_eq!(rollout.end(Some(wrote(1)), false), Some(wrote(1)));
        assert!(rollout.begin("a", "1", false), "it has failed and is tried again");
        rollout.end(None, true);
        assert!(!rollout.begin("a", "1", false), "a drift correction that was cut off has unsettled it");
        assert!(rollout.begin("b", "1", false));
        assert!(rollout.begin("a", "1", false), "going back is a rollout too");
        assert!(!Rollout::default().begin("a", "1", true), "a process before this one has brought it");
    }

    #[test]
    fn a_run_that_goes_on_has_the_time_and_the_counts_of_the_one_before() {
        let mut rollout = Rollout::default();
        let (first, later) = (Instant::now(), Instant::now() + Duration::from_secs(5));
        let digest = Digest::of(b"a");
        let revision =
            Revision { name: "1@a".into(), digest, key: "a".into(), stale: None, held: None, stray: None };
        rollout.begin("a", "1", false);
        assert_eq!(rollout.waits_since(first), first);
        rollout.wait_anew();
        assert_eq!(rollout.waits_since(later), later, "a newer spec has its own time");
        rollout.wait_anew();
        assert_eq!(rollout.waits_since(first), first);
        rollout.cut_short(&wrote(2), &revision, 7);
        assert!(rollout.resumed(7).is_some());
        assert!(rollout.resumed(8).is_none(), "a newer spec may want another");
        rollout.wanted(Some("a"));
        assert!(rollout.resumed(7).is_some());
        for other in [Some("b"), None] {
            rollout.cut_short(&wrote(0), &revision, 7);
            rollout.wanted(other);
            assert!(rollout.resumed(7).is_none(), "{other:?}");
        }
        rollout.cut_short(&wrote(0), &revision, 7);
        rollout.begin("a", "1", false);
        assert_eq!(rollout.waits_since(later), first);
        assert_eq!(rollout.end(Some(wrote(1)), false), Some(wrote(3)));
        assert_eq!(rollout.waits_since(later), later, "a retry has its own time");
        assert_eq!(rollout.end(None, true), None);
        assert!(rollout.resumed(7).is_none());
    }
}
