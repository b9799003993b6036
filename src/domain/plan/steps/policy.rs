//! Which objects of a revision are steps, and what their annotations ask for.

use std::time::Duration;

use crate::api::keys;
use crate::api::step::{MAX_STEPS, StepPhase};
use crate::domain::objects::identity::{GroupKind, ObjectId};
use crate::domain::objects::object::Object;
use crate::domain::objects::placement::Placement;
use crate::domain::schedule::parse_duration;

/// The longest timeout and the most retries of a step.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const MAX_RETRIES: u32 = 10;

/// The kinds that run to an end and say so: their health rule calls them current only when they
/// have succeeded. A Pod is judged by its phase.
pub(super) const KINDS: &[(&str, &[&str])] = &[
    ("batch", &["Job"]),
    ("", &["Pod"]),
    ("argoproj.io", &["Workflow", "AnalysisRun"]),
    ("tekton.dev", &["PipelineRun", "TaskRun", "CustomRun"]),
    ("jobset.x-k8s.io", &["JobSet"]),
    ("batch.volcano.sh", &["Job"]),
    ("apps.kruise.io", &["BroadcastJob"]),
    ("kubeflow.org", &["PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob"]),
    ("ray.io", &["RayJob"]),
    ("velero.io", &["Backup", "Restore"]),
    ("kpack.io", &["Build"]),
    ("tower.ansible.com", &["AnsibleJob"]),
];

/// When the object of a step is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepCleanup {
    /// It stays until another revision runs the step or lacks it.
    #[default]
    Never,
    /// As soon as it has succeeded.
    OnSuccess,
    /// As soon as its outcome is recorded.
    Always,
}

/// What the annotations of a step ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepPolicy {
    /// When it runs.
    pub phase: StepPhase,
    /// Its wave among the steps of its phase.
    pub wave: i32,
    /// How long it may take; none is the timeout of the release.
    pub timeout: Option<Duration>,
    /// How often it is run again after a failure.
    pub retries: u32,
    /// When its object is deleted.
    pub cleanup: StepCleanup,
    /// Whether what it does outlives a way back to an earlier revision.
    pub side_effects: bool,
}

impl StepPolicy {
    /// The policy of an object; `None` when it is not a step.
    ///
    /// # Errors
    /// What is wrong with its annotations, and what to write instead.
    pub fn of(object: &Object) -> Result<Option<Self>, String> {
        let Some(phase) = object.annotation(keys::STEP) else { return unused(object).map(|()| None) };
        let wrong = |key: &str, value: &str, instead: &str| {
            let value: String = value.chars().take(64).collect();
            Err(format!("invalid annotation {key}: {value:?}; use {instead}"))
        };
        let phase = match phase {
            "before" => StepPhase::Before,
            "after" => StepPhase::After,
            other => return wrong(keys::STEP, other, "before or after"),
        };
        let mut policy = Self { phase, ..Self::default() };
        if !completes(&object.group_kind()) {
            return Err(format!(
                "a {} cannot be a step, because it does not run to an end: remove the annotation {}",
                object.kind(),
                keys::STEP
            ));
        }
        if object.is("", "Pod") && !matches!(restarts(object), Some("Never" | "OnFailure")) {
            return Err("a Pod that is a step needs spec.restartPolicy: Never or OnFailure".to_owned());
        }
        if object.annotation(keys::APPLY).is_some() {
            return Err(format!("a step cannot have the annotation {}: remove one of the two", keys::APPLY));
        }
        if object.annotation(keys::DEPENDS_ON).is_some() {
            return Err(format!(
                "a step has no dependencies: remove the annotation {}, and order steps by {}",
                keys::DEPENDS_ON,
                keys::WAVE
            ));
        }
        policy.wave = Placement::of(object)?.and_then(|place| place.wave).unwrap_or_default();
        if let Some(text) = object.annotation(keys::STEP_TIMEOUT) {
            match parse_duration(text) {
                Ok(timeout) if !timeout.is_zero() && timeout <= MAX_TIMEOUT => policy.timeout = Some(timeout),
                _ => return wrong(keys::STEP_TIMEOUT, text, "a duration of at most 24h, such as 30s or 10m"),
            }
        }
        if let Some(text) = object.annotation(keys::STEP_RETRIES) {
            match text.parse() {
                Ok(retries) if retries <= MAX_RETRIES => policy.retries = retries,
                _ => return wrong(keys::STEP_RETRIES, text, "a number from 0 to 10"),
            }
        }
        policy.side_effects = match object.annotation(keys::SIDE_EFFECTS) {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return wrong(keys::SIDE_EFFECTS, other, "true or false"),
        };
        policy.cleanup = match object.annotation(keys::STEP_CLEANUP) {
            None | Some("Never") => StepCleanup::Never,
            Some("OnSuccess") => StepCleanup::OnSuccess,
            Some("Always") => StepCleanup::Always,
            Some(other) => return wrong(keys::STEP_CLEANUP, other, "Never, OnSuccess or Always"),
        };
        Ok(Some(policy))
    }
}

/// Refuses annotations of steps that are not valid, and more steps than a status holds: each with
/// the object and what to do.
pub fn refused(objects: &[Object]) -> Vec<(ObjectId, String)> {
    let mut steps = 0;
    let mut refused = Vec::new();
    for object in objects {
        match StepPolicy::of(object) {
            Ok(None) => {}
            Ok(Some(_)) if steps < MAX_STEPS => steps += 1,
            Ok(Some(_)) => refused.push((object.id(), format!("a revision has at most {MAX_STEPS} steps"))),
            Err(why) => refused.push((object.id(), why)),
        }
    }
    refused
}

/// Refuses an option of steps on an object that is none.
fn unused(object: &Object) -> Result<(), String> {
    let options = [keys::STEP_TIMEOUT, keys::STEP_RETRIES, keys::STEP_CLEANUP, keys::SIDE_EFFECTS];
    match options.into_iter().find(|key| object.annotation(key).is_some()) {
        Some(key) => Err(format!("the annotation {key} needs {}: before or after", keys::STEP)),
        None => Ok(()),
    }
}

/// Whether objects of the kind run to an end, and say so.
pub fn completes(kind: &GroupKind) -> bool {
    KINDS.iter().any(|(group, kinds)| *group == kind.group && kinds.contains(&kind.kind.as_str()))
}

fn restarts(pod: &Object) -> Option<&str> {
    pod.value().pointer("/spec/restartPolicy")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(version: &str, kind: &str, annotations: Value) -> Object {
        let metadata = json!({"name": "a", "namespace": "b", "annotations": annotations});
        Object::new(json!({"apiVersion": version, "kind": kind, "metadata": metadata})).unwrap()
    }

    #[test]
    fn what_annotations_ask_for() {
        let check = |annotations: Value, expected: Result<Option<StepPolicy>, &str>| {
            let found = StepPolicy::of(&object("batch/v1", "Job", annotations.clone()));
            assert_eq!(found, expected.map_err(str::to_owned), "{annotations}");
        };
        let before = StepPolicy::default();
        check(json!({}), Ok(None));
        check(json!({"supercargo.dev/step": "before"}), Ok(Some(before.clone())));
        check(
            json!({"supercargo.dev/step": "after", "supercargo.dev/step-timeout": "1m30s",
                   "supercargo.dev/step-retries": "3", "supercargo.dev/step-cleanup": "OnSuccess"}),
            Ok(Some(StepPolicy {
                phase: StepPhase::After,
                wave: 0,
                timeout: Some(Duration::from_secs(90)),
                retries: 3,
                cleanup: StepCleanup::OnSuccess,
                side_effects: false,
            })),
        );
        let marked =
            |value: &str| json!({"supercargo.dev/step": "before", "supercargo.dev/side-effects": value});
        check(marked("true"), Ok(Some(StepPolicy { side_effects: true, ..before.clone() })));
        check(marked("false"), Ok(Some(before.clone())));
        check(
            marked("yes"),
            Err(r#"invalid annotation supercargo.dev/side-effects: "yes"; use true or false"#),
        );
        check(
            json!({"supercargo.dev/step": "Before"}),
            Err(r#"invalid annotation supercargo.dev/step: "Before"; use before or after"#),
        );
        let wrong = |key: &str, value: &str| json!({"supercargo.dev/step": "before", format!("supercargo.dev/step-{key}"): value});
        for timeout in ["", "soon", "0s", "25h"] {
            let why = format!(
                "invalid annotation supercargo.dev/step-timeout: {timeout:?}; use a duration of at most 24h, such as 30s or 10m"
            );
            check(wrong("timeout", timeout), Err(&why));
        }
        for retries in ["-1", "11", "many"] {
            let why = format!(
                "invalid annotation supercargo.dev/step-retries: {retries:?}; use a number from 0 to 10"
            );
            check(wrong("retries", retries), Err(&why));
        }
        check(
            wrong("cleanup", "always"),
            Err(
                r#"invalid annotation supercargo.dev/step-cleanup: "always"; use Never, OnSuccess or Always"#,
            ),
        );
        check(
            json!({"supercargo.dev/step-retries": "1"}),
            Err("the annotation supercargo.dev/step-retries needs supercargo.dev/step: before or after"),
        );
        check(
            json!({"supercargo.dev/step": "before", "supercargo.dev/wave": "-2"}),
            Ok(Some(StepPolicy { wave: -2, ..before })),
        );
        check(
            json!({"supercargo.dev/step": "before", "supercargo.dev/wave": "first"}),
            Err(r#"invalid annotation supercargo.dev/wave: "first"; use an integer from -10000 to 10000"#),
        );
        check(
            json!({"supercargo.dev/step": "before", "config.kubernetes.io/depends-on": "batch/namespaces/b/Job/c"}),
            Err(
                "a step has no dependencies: remove the annotation config.kubernetes.io/depends-on, and order \
                 steps by supercargo.dev/wave",
            ),
        );
        check(
            json!({"supercargo.dev/step": "before", "supercargo.dev/apply": "IfNotPresent"}),
            Err("a step cannot have the annotation supercargo.dev/apply: remove one of the two"),
        );
    }

    #[test]
    fn only_what_runs_to_an_end_is_a_step() {
        let check = |version: &str, kind: &str, expected: bool| {
            let found = StepPolicy::of(&object(version, kind, json!({"supercargo.dev/step": "before"})));
            assert_eq!(found.is_ok(), expected, "{kind}: {found:?}");
        };
        check("batch/v1", "Job", true);
        check("argoproj.io/v1alpha1", "Workflow", true);
        check("tekton.dev/v1", "PipelineRun", true);
        check("batch/v1", "CronJob", false);
        check("v1", "ConfigMap", false);
        check("apps/v1", "Deployment", false);
        check("example.com/v1", "Job", false);
        // Without a restart policy it never ends.
        check("v1", "Pod", false);
    }

    #[test]
    fn a_revision_has_a_bounded_number_of_steps() {
        let check = |count: usize, expected: usize| {
            let steps = vec![object("batch/v1", "Job", json!({"supercargo.dev/step": "before"})); count];
            assert_eq!(refused(&steps).len(), expected, "{count}");
        };
        check(MAX_STEPS, 0);
        check(MAX_STEPS + 2, 2);
    }
}
