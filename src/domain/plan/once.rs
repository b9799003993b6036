//! The objects of a plan that run once for a revision: they are set apart from those that are
//! applied.

use std::collections::BTreeMap;

use super::build::{Action, Plan, Step};
use crate::api::step::{StepPhase, StepStatus};
use crate::domain::objects::object::Object;
use crate::domain::plan::steps::{Hold, StepPolicy, is_about, record_of};

/// What is known of the steps of a revision.
#[derive(Clone, Copy, Debug)]
pub struct Once<'a> {
    /// The records of the status.
    pub records: &'a [StepStatus],
    /// The digest and options of the revision.
    pub key: &'a str,
    /// Whether the cluster has the complete result of the revision, or nothing is rolled out.
    pub is_over: bool,
    /// Whether objects of the steps of other revisions may be deleted.
    pub prunes_others: bool,
}

impl Plan {
    /// The steps of a phase, in order.
    pub fn once(&self, phase: StepPhase) -> impl Iterator<Item = &Step> {
        let is_of = move |step: &&Step| step.once.as_ref().is_some_and(|(policy, _)| policy.phase == phase);
        self.steps.iter().filter(is_of)
    }

    /// Whether a step of a phase is not done yet.
    pub fn runs(&self, phase: StepPhase) -> bool {
        self.once(phase).any(|step| step.action == Action::Run)
    }
}

/// Steps in the order of their waves. Those of one wave run together.
pub fn in_waves<'s>(steps: &[&'s Step]) -> Vec<Vec<&'s Step>> {
    let mut waves: BTreeMap<i32, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        let wave = step.once.as_ref().map_or(0, |(policy, _)| policy.wave);
        waves.entry(wave).or_default().push(step);
    }
    waves.into_values().collect()
}

/// Sets the steps of a plan apart: they are run instead of applied, and do not drift. What a newer
/// revision has begun to run is not deleted for an older one.
pub fn set_apart(plan: &mut Plan, once: Once<'_>) {
    for step in &mut plan.steps {
        let Ok(Some(policy)) = StepPolicy::of(&step.object) else { continue };
        let is_done =
            record_of(once.records, &step.id, once.key).is_some_and(|record| record.outcome.is_done());
        step.action = if once.is_over || is_done { Action::Keep } else { Action::Run };
        // Neither drift nor health of it matters: its outcome does.
        (step.drifted, step.done, step.anew) = (false, true, false);
        // An object of that name that has another template is replaced.
        step.force = Some(true);
        let mut manifest = step.object.value().clone();
        let hold = Hold::take(&step.id.group_kind(), &mut manifest);
        if let Ok(held) = Object::new(manifest) {
            step.object = held;
        }
        step.once = Some((policy, hold));
    }
    if !once.prunes_others {
        let others = |record: &&StepStatus| record.key != once.key;
        plan.leaving.retain(|leaving| {
            !once.records.iter().filter(others).any(|record| is_about(record, &leaving.id))
        });
    }
}

#[cfg(test)]
mod tests {

    use serde_json::json;

    use super::*;
    use crate::api::step::StepOutcome;
    use crate::domain::inventory::{Entries, Entry, Inventory};
    use crate::domain::objects::identity::ReleaseId;
    use crate::domain::plan::nothing::Nothing;
    use crate::domain::plan::{Correction, Purpose, build};

    fn job(name: &str, phase: Option<&str>) -> Object {
        let annotations = phase.map(|phase| json!({"supercargo.dev/step": phase})).unwrap_or(json!({}));
        Object::new(json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"ttlSecondsAfterFinished": 0},
            "metadata": {"name": name, "namespace": "n", "annotations": annotations}}))
        .unwrap()
    }

    fn record(name: &str, key: &str, outcome: StepOutcome) -> StepStatus {
        let (step, api_version) = (format!("Job/n/{name}"), "batch/v1".to_owned());
        StepStatus { step, api_version, key: key.to_owned(), outcome, ..StepStatus::default() }
    }

    fn plan(objects: Vec<Object>, before: &[&str]) -> Plan {
        let me = ReleaseId { namespace: "n".into(), name: "app".into() };
        let entries: Entries = before.iter().map(|name| (job(name, None).id(), Entry::default())).collect();
        let inventory = Inventory { entries, ..Inventory::default() };
        let purpose =
            Purpose { release: &me, mark: None, applied_key: "k", correction: Correction::All, ignore: &[] };
        build(purpose, objects, &inventory, &Nothing)
    }

    #[test]
    fn steps_are_run_until_they_are_done_and_never_written() {
        let check = |records: &[StepStatus], is_over: bool, expected: Action, runs: bool| {
            let mut plan = plan(vec![job("plain", None), job("step", Some("before"))], &[]);
            set_apart(&mut plan, Once { records, key: "k", is_over, prunes_others: true });
            let actions: Vec<Action> = plan.steps.iter().map(|s| s.action).collect();
            assert_eq!(actions, [Action::Write, expected], "{records:?}");
            assert_eq!((plan.runs(StepPhase::Before), plan.runs(StepPhase::After)), (runs, false));
            let sent = &plan.steps[1].object.value()["spec"];
            assert_eq!(*sent, json!({"suspend": true}), "it neither runs nor goes too early");
        };
        check(&[], false, Action::Run, true);
        check(&[], true, Action::Keep, false);
        check(&[record("step", "k", StepOutcome::Started)], false, Action::Run, true);
        check(&[record("step", "k", StepOutcome::Failed)], false, Action::Run, true);
        check(&[record("step", "k", StepOutcome::Succeeded)], false, Action::Keep, false);
        check(&[record("step", "j", StepOutcome::Succeeded)], false, Action::Run, true);
        check(&[record("other", "k", StepOutcome::Succeeded)], false, Action::Run, true);
    }

    #[test]
    fn only_what_a_later_step_sends_is_kept_once_the_rest_is_applied() {
        let check = |records: &[StepStatus], expected: [usize; 3]| {
            let objects = vec![job("plain", None), job("first", Some("before")), job("last", Some("after"))];
            let mut plan = plan(objects, &[]);
            set_apart(&mut plan, Once { records, key: "k", is_over: false, prunes_others: true });
            let before: Vec<_> = plan.steps.iter().map(|s| (s.id.clone(), s.object.id())).collect();
            let kept = plan.forget_sent();
            let after: Vec<_> = plan.steps.iter().map(|s| (s.id.clone(), s.object.id())).collect();
            assert_eq!(before, after, "they have their names");
            let fields = plan.steps.iter().map(|s| s.object.value().as_object().map_or(0, |o| o.len()));
            assert_eq!(fields.collect::<Vec<_>>(), expected);
            let last = plan.steps.iter().find(|s| s.object.value().get("spec").is_some());
            assert_eq!(kept, last.map_or(0, |s| s.object.bytes()));
            assert!(last.is_none() || kept > 300, "{kept}");
        };
        check(&[], [3, 4, 3]);
        check(&[record("last", "k", StepOutcome::Succeeded)], [3, 3, 3]);
    }

    #[test]
    fn what_a_newer_revision_runs_is_not_deleted_for_an_older_one() {
        let check = |prunes_others: bool, expected: &[&str]| {
            let mut plan = plan(Vec::new(), &["gone", "newer"]);
            let records = [record("newer", "j", StepOutcome::Started)];
            set_apart(&mut plan, Once { records: &records, key: "k", is_over: true, prunes_others });
            let mut names: Vec<&str> = plan.leaving.iter().map(|l| l.id.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
        };
        check(true, &["gone", "newer"]);
        check(false, &["gone"]);
    }
}
