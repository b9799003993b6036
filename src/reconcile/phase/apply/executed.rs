//! What the writes of a plan have done so far.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::api::reason::Reason;
use crate::api::status::Changes;
use crate::cluster::apply::AppliedObject;
use crate::domain::health::listed;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate, Whose};
use crate::domain::live::JobRun;
use crate::domain::outcome::{Assessment, Note, ObjectFailure};
use crate::domain::plan::{Action, Plan, Step};
use crate::reconcile::cache::cluster::ClusterCache;
use crate::reconcile::error::{ReconcileError, RunFailure};
use crate::reconcile::phase::preflight::dry_run::Ready;
use crate::reconcile::scope::progress::ObjectChange;

/// What was done.
#[derive(Default)]
pub struct Executed {
    /// The fate of each object.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// How many were changed, and how.
    pub changes: Changes,
    /// The objects that failed.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// The change of each object that was written.
    pub done: BTreeMap<ObjectId, ObjectChange>,
    /// Objects whose drift was corrected.
    pub corrected: Vec<ObjectId>,
    /// The health, after a wait.
    pub health: Option<Assessment>,
    /// What ended the run early.
    pub ended: Option<ReconcileError>,
    /// Whether the cluster has the whole revision.
    pub applied: bool,
    /// The answers of the API server, for kinds with a health rule.
    pub answers: BTreeMap<ObjectId, Bytes>,
}

impl Executed {
    /// The fates that are known before the first write.
    pub fn begin(plan: &Plan, cache: &ClusterCache, notes: Vec<Note>) -> Self {
        let mut executed = Self { notes, ..Self::default() };
        for step in &plan.steps {
            let fate = match step.action {
                Action::Write => Some(Fate::NotAttempted),
                Action::Keep if step.only_if_absent => {
                    let before = cache.inventory.entries.get(&step.id);
                    before.map(|e| Fate::Applied(e.left_alone(step.live.clone(), &step.version, &step.hash)))
                }
                Action::Keep | Action::Run => None,
            };
            executed.changes.unchanged += i32::from(step.action == Action::Keep);
            executed.fates.extend(fate.map(|f| (step.id.clone(), f)));
        }
        executed
    }

    /// Records an object whose content was left as it is.
    pub fn note_left(
        &mut self,
        cache: &ClusterCache,
        step: &Step,
        ready: &Ready,
        whose: Whose,
        change: ObjectChange,
    ) {
        self.done.insert(step.id.clone(), change);
        let before = cache.inventory.entries.get(&step.id);
        let live = ready.live.as_ref().map(|(uid, _)| uid.as_str());
        let fate = whose.fate(before, live, &step.version, &step.hash);
        self.fates.insert(step.id.clone(), fate);
    }

    /// Counts an applied object and records its state.
    pub fn note(
        &mut self,
        cache: &mut ClusterCache,
        step: &Step,
        ready: &Ready,
        applied: AppliedObject,
        recreated: bool,
    ) {
        let same = ready.live.as_ref().is_some_and(|(_, version)| *version == applied.record.version);
        let change = match () {
            () if recreated => ObjectChange::Recreated,
            () if !applied.created && !same => ObjectChange::Configured,
            () if applied.created => ObjectChange::Created,
            () => ObjectChange::Unchanged,
        };
        self.changes.created += i32::from(change == ObjectChange::Created);
        self.changes.configured +=
            i32::from(matches!(change, ObjectChange::Configured | ObjectChange::Recreated));
        self.changes.unchanged += i32::from(change == ObjectChange::Unchanged);
        self.done.insert(step.id.clone(), change);
        if step.drifted && !same {
            self.corrected.push(step.id.clone());
        }
        cache.versions.insert(step.id.clone(), applied.record.version);
        let entry = Entry {
            version: step.version.clone(),
            uid: Some(applied.record.uid),
            hash: Some(step.hash.clone()),
            fields: Some(applied.record.fields).filter(|_| !step.only_if_absent),
            retained: false,
            done: applied.record.run == JobRun::Completed,
        };
        self.fates.insert(step.id.clone(), Fate::Applied(entry));
    }
    /// Records that objects are not healthy; returns the error that says so.
    pub fn unhealthy(
        &mut self,
        reason: Reason,
        headline: String,
        failures: Vec<ObjectFailure>,
    ) -> ReconcileError {
        let message = listed(&headline, failures.iter().map(|f| (&f.id, f.message.as_str())));
        self.failures = failures;
        self.health = Some(Assessment { status: Some(false), reason, message: message.clone() });
        let failed = RunFailure { headline: Some(headline), ..RunFailure::new(reason, message) };
        ReconcileError::Failed(Box::new(failed))
    }
}
