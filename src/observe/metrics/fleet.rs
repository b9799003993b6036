//! The state of the releases that this replica reconciles: all together, and each by its name. Kept
//! from the statuses and written at the scrape, so that the series of a release end with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, MetricFamily};

use super::super::labels::{ReadyState, WaitingGate};
use super::catalog::{
    INVENTORY_ENTRIES, LAST_SUCCESS, MetricEntry, RELEASE, RELEASE_APPROVAL, RELEASE_DRIFTED,
    RELEASE_ENTRIES, RELEASE_INFO, RELEASE_LAST_SUCCESS, RELEASE_READY, RELEASE_READY_SINCE,
    RELEASE_SUSPENDED, RELEASES, WAITING,
};
use super::make::{Maker, descriptions, family, sample, whole};
use crate::api::reason::Reason;
use crate::api::status::{ReleaseStatus, VerifiedBy, condition};
use crate::domain::identity::ReleaseId;

/// Bytes of a signer's label: a certificate may have any text.
const MAX_SIGNER: usize = 128;
/// Bytes of a revision's label: a tag has at most 128, and a digest follows. The status could be
/// written by another client.
const MAX_REVISION: usize = 256;

/// The releases.
#[derive(Clone)]
pub(super) struct Fleet(Arc<Inner>);

struct Inner {
    /// None while this replica does not work on releases.
    board: Mutex<Option<Board>>,
    each: AtomicBool,
    descriptions: Vec<Desc>,
}

#[derive(Default)]
struct Board {
    releases: BTreeMap<ReleaseId, Sample>,
    last_success: Option<i64>,
}

/// The sample of one release.
#[derive(Default)]
struct Sample {
    ready: bool,
    reason: &'static str,
    state: Option<ReadyState>,
    gate: Option<WaitingGate>,
    suspended: bool,
    drifted: bool,
    entries: i64,
    revision: String,
    /// Empty: the same as the applied one.
    attempted: String,
    /// None until there was a run.
    generation: Option<i64>,
    signer: String,
    /// Since when Ready has its status.
    ready_since: Option<i64>,
    last_success: Option<i64>,
    asks_since: Option<i64>,
}

impl Fleet {
    pub fn new(make: &Maker) -> Result<Self, prometheus::Error> {
        let entries: Vec<MetricEntry> =
            [RELEASES, WAITING, INVENTORY_ENTRIES, LAST_SUCCESS].iter().chain(RELEASE).copied().collect();
        let descriptions = descriptions(&entries)?;
        let fleet =
            Self(Arc::new(Inner { board: Mutex::default(), each: AtomicBool::new(true), descriptions }));
        make.registry.register(Box::new(fleet.clone()))?;
        Ok(fleet)
    }

    fn with(&self, what: impl FnOnce(&mut Option<Board>)) {
        what(&mut self.0.board.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn with_release(&self, id: &ReleaseId, what: impl FnOnce(&mut Sample) -> Option<i64>) {
        self.with(|board| {
            let Some(board) = board else { return };
            let Some(sample) = board.releases.get_mut(id) else { return };
            let success = what(sample);
            board.last_success = board.last_success.max(success);
        });
    }

    /// This replica works on releases now, or does not any more.
    pub fn work(&self, works: bool) {
        self.with(|board| *board = works.then(|| board.take().unwrap_or_default()));
    }

    pub fn each_release(&self, shown: bool) {
        self.0.each.store(shown, Ordering::Relaxed);
    }

    pub fn release_appeared(&self, id: &ReleaseId, suspended: bool, status: &ReleaseStatus) {
        self.with(|board| {
            if let Some(board) = board {
                board.releases.insert(id.clone(), Sample::default());
            }
        });
        self.release_reported(id, suspended, status);
    }

    pub fn release_reported(&self, id: &ReleaseId, suspended: bool, status: &ReleaseStatus) {
        self.with_release(id, |sample| {
            sample.update(suspended, status);
            sample.last_success
        });
    }

    pub fn release_succeeded(&self, id: &ReleaseId, now: Timestamp) {
        self.with_release(id, |sample| {
            sample.last_success = sample.last_success.max(Some(now.as_second()));
            sample.last_success
        });
    }

    pub fn release_gone(&self, id: &ReleaseId) {
        self.with(|board| {
            if let Some(board) = board {
                board.releases.remove(id);
            }
        });
    }
}

impl Sample {
    fn update(&mut self, suspended: bool, status: &ReleaseStatus) {
        let find = |name: &str| status.condition(name);
        let ready = find(condition::READY);
        self.ready_since = ready.map(|c| c.last_transition_time.0.as_second());
        self.ready = ready.is_some_and(|c| c.status == "True");
        self.state = Some(match ready.map(|c| c.status.as_str()) {
            _ if suspended => ReadyState::Suspended,
            Some("True") => ReadyState::Ready,
            Some("False") => ReadyState::NotReady,
            _ => ReadyState::Unknown,
        });
        self.gate = match ready.and_then(|c| Reason::named(&c.reason)) {
            Some(Reason::DependentsDeleting) => Some(WaitingGate::Dependents),
            _ if suspended => Some(WaitingGate::Suspend),
            Some(Reason::ApprovalRequired) => Some(WaitingGate::Approval),
            Some(Reason::DependencyNotReady) => Some(WaitingGate::Dependencies),
            Some(Reason::OutsideWindow) => Some(WaitingGate::Window),
            Some(Reason::RevisionTooYoung) => Some(WaitingGate::Age),
            Some(Reason::PromotionPending) => Some(WaitingGate::Promotion),
            Some(Reason::QuotaExceeded) => Some(WaitingGate::Quota),
            Some(Reason::RolledBack | Reason::Frozen) => Some(WaitingGate::Quarantine),
            Some(Reason::Progressing) => None,
            _ => status.held_revision.as_ref().map(|_| WaitingGate::Downgrade),
        };
        self.reason = reason(ready.map(|c| c.reason.as_str()));
        self.suspended = suspended;
        self.drifted = find(condition::DRIFTED).is_some_and(|c| c.status == "True");
        self.asks_since = asks_since(status);
        self.entries = status.inventory.as_ref().map_or(0, |i| i64::from(i.entries.max(0)));
        let applied = cut(status.last_applied_revision.as_deref().unwrap_or_default(), MAX_REVISION);
        let attempted =
            status.artifact.as_ref().filter(|a| Some(&a.revision) == status.last_applied_revision.as_ref());
        match attempted {
            Some(artifact) => self.signer = artifact.verified_by.first().map(signer).unwrap_or_default(),
            // The applied one is the same, also after failed attempts.
            None if applied == self.revision => {}
            None => self.signer = String::new(),
        }
        self.revision = applied;
        let attempted = status.last_attempted_revision.as_ref();
        let other = attempted.filter(|attempted| Some(*attempted) != status.last_applied_revision.as_ref());
        self.attempted = other.map(|revision| cut(revision, MAX_REVISION)).unwrap_or_default();
        self.generation = status.observed_generation;
        self.last_success = self.last_success.max(known_success(status));
    }
}

/// Since when a plan waits for approval.
fn asks_since(status: &ReleaseStatus) -> Option<i64> {
    let plan = status.plan.as_ref().filter(|plan| plan.approved.is_none())?;
    plan.since.parse::<Timestamp>().ok().map(|since| since.as_second())
}

/// The time of the last success in a status: since when Ready is True, or when a revision was
/// applied.
fn known_success(status: &ReleaseStatus) -> Option<i64> {
    let ready = status.condition(condition::READY).filter(|c| c.status == "True");
    let ready = ready.map(|c| c.last_transition_time.0.as_second());
    let well = status.history.iter().filter(|h| h.outcome != "Failed");
    let applied = well.filter_map(|h| h.applied_at.parse::<Timestamp>().ok()).map(|at| at.as_second());
    applied.chain(ready).max()
}

/// A reason as a label: of the closed set, even if another client wrote the status.
fn reason(given: Option<&str>) -> &'static str {
    let Some(given) = given else { return Reason::Progressing.as_str() };
    Reason::ALL.iter().map(|reason| reason.as_str()).find(|reason| *reason == given).unwrap_or("other")
}

fn signer(by: &VerifiedBy) -> String {
    cut(by.subject.as_deref().or(by.key.as_deref()).unwrap_or_default(), MAX_SIGNER)
}

/// At most this many bytes, cut at a character boundary.
fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max - 3;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

impl Board {
    /// The metrics of all releases together.
    fn together(&self) -> Vec<MetricFamily> {
        let count = |state: &ReadyState| self.releases.values().filter(|s| s.state == Some(*state)).count();
        let states = ReadyState::ALL.iter();
        let states = states.map(|state| sample(&RELEASES, &[state.as_str()], whole(count(state))));
        let waiting = |gate: &WaitingGate| self.releases.values().filter(|s| s.gate == Some(*gate)).count();
        let gates = WaitingGate::ALL.iter();
        let gates = gates.map(|gate| sample(&WAITING, &[gate.as_str()], whole(waiting(gate))));
        let entries = self.releases.values().map(|s| s.entries).sum();
        let success = self.last_success.map(|at| sample(&LAST_SUCCESS, &[], at));
        vec![
            family(&RELEASES, states.collect()),
            family(&WAITING, gates.collect()),
            family(&INVENTORY_ENTRIES, vec![sample(&INVENTORY_ENTRIES, &[], entries)]),
            family(&LAST_SUCCESS, success.into_iter().collect()),
        ]
    }

    /// The metrics for each release.
    fn each(&self) -> Vec<MetricFamily> {
        let all = |entry: &MetricEntry, sample_of: &dyn Fn(&ReleaseId, &Sample) -> Option<proto::Metric>| {
            family(entry, self.releases.iter().filter_map(|(id, sample)| sample_of(id, sample)).collect())
        };
        let named = |entry: MetricEntry, value: fn(&Sample) -> Option<i64>| {
            all(&entry, &|id, s| Some(sample(&entry, &[&id.name, &id.namespace], value(s)?)))
        };
        vec![
            all(&RELEASE_INFO, &|id, s| {
                let attempted = if s.attempted.is_empty() { &s.revision } else { &s.attempted };
                let generation = s.generation.map(|number| number.to_string()).unwrap_or_default();
                let labels = [&id.name, &id.namespace, attempted, &generation, &s.revision, &s.signer];
                Some(sample(&RELEASE_INFO, &labels.map(String::as_str), 1))
            }),
            all(&RELEASE_READY, &|id, s| {
                Some(sample(&RELEASE_READY, &[s.reason, &id.name, &id.namespace], i64::from(s.ready)))
            }),
            named(RELEASE_READY_SINCE, |s| s.ready_since),
            named(RELEASE_SUSPENDED, |s| Some(i64::from(s.suspended))),
            named(RELEASE_DRIFTED, |s| Some(i64::from(s.drifted))),
            named(RELEASE_LAST_SUCCESS, |s| s.last_success),
            named(RELEASE_APPROVAL, |s| s.asks_since),
            named(RELEASE_ENTRIES, |s| Some(s.entries)),
        ]
    }
}

impl Collector for Fleet {
    fn desc(&self) -> Vec<&Desc> {
        self.0.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let board = self.0.board.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(board) = board.as_ref() else { return Board::default().together() };
        let mut families = board.together();
        if self.0.each.load(Ordering::Relaxed) {
            families.extend(board.each());
        }
        families
    }
}

#[cfg(test)]
#[path = "fleet/tests.rs"]
mod tests;
