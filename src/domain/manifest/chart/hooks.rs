//! What becomes of the hooks of a chart, and of its other annotations for Helm: the same operations as
//! of every other object.
//!
//! Hooks before the rest (`pre-install`, `pre-upgrade`) become waves and not steps: what they need, such
//! as their ServiceAccount, is a hook as well, and has to exist before they run. Hooks after the rest
//! become steps.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::api::keys;
use crate::domain::manifest::decode::Decoded;
use crate::domain::objects::object::Object;
use crate::domain::plan::steps::completes;

/// Helm's annotations.
const HOOK: &str = "helm.sh/hook";
const WEIGHT: &str = "helm.sh/hook-weight";
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
const RESOURCE_POLICY: &str = "helm.sh/resource-policy";

/// Where an object belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is no hook, or what applies it is decided already.
    Plain,
    /// Before the rest, for each revision.
    Before(i64),
    /// Before the rest, once in the life of the release.
    Once(i64),
    /// After the rest.
    After(i64),
    /// It belongs to what Helm alone does.
    Nowhere,
}

/// Gives hooks their place and leaves out what has none. `run` identifies the revision and its options: a
/// hook runs once for it.
///
/// # Errors
/// Each hook for which there is no place, and what to do.
pub fn arrange(objects: Vec<Decoded>, skips_hooks: bool, run: &str) -> Result<Vec<Decoded>, Vec<String>> {
    let mut problems = Vec::new();
    let mut placed = Vec::with_capacity(objects.len());
    for mut decoded in objects {
        keep(&mut decoded.object);
        match place(&decoded.object) {
            Ok(Place::Nowhere) => {}
            Ok(place) if skips_hooks && place != Place::Plain => {}
            Ok(place) => placed.push((place, decoded)),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let weights = |of: fn(Place) -> Option<i64>| -> BTreeSet<i64> {
        placed.iter().filter_map(|(place, _)| of(*place)).collect()
    };
    let before = weights(|place| match place {
        Place::Before(weight) | Place::Once(weight) => Some(weight),
        _ => None,
    });
    let after = weights(|place| if let Place::After(weight) = place { Some(weight) } else { None });
    let wave = |weight| rank(&before, weight) - i64::try_from(before.len()).unwrap_or_default();
    for (place, Decoded { object, .. }) in &mut placed {
        match *place {
            Place::Before(weight) => run_before(object, wave(weight), run),
            Place::Once(weight) => run_once(object, wave(weight)),
            Place::After(weight) => run_after(object, rank(&after, weight)),
            Place::Plain | Place::Nowhere => {}
        }
    }
    Ok(placed.into_iter().map(|(_, decoded)| decoded).collect())
}

fn rank(weights: &BTreeSet<i64>, weight: i64) -> i64 {
    i64::try_from(weights.range(..weight).count()).unwrap_or_default()
}

/// Whether it is a hook that Helm alone runs, such as a test.
pub(super) fn is_left_out(object: &Object) -> bool {
    place(object) == Ok(Place::Nowhere)
}

/// Whether it is a Job that runs before the rest for each revision.
pub fn runs_for_revision(object: &Object) -> bool {
    let run = format!("/spec/template/metadata/annotations/{}", keys::HOOK_RUN.replace('/', "~1"));
    object.is("batch", "Job") && object.value().pointer(&run).is_some()
}

/// The place that Helm's annotations ask for.
fn place(object: &Object) -> Result<Place, String> {
    let Some(hook) = object.annotation(HOOK) else { return Ok(Place::Plain) };
    // The author, or a patch of the release, has decided.
    if object.annotation(keys::STEP).is_some() || object.annotation(keys::WAVE).is_some() {
        return Ok(Place::Plain);
    }
    let (mut before, mut upgrades, mut after) = (false, false, false);
    for event in hook.split(',').map(str::trim) {
        match event.to_ascii_lowercase().as_str() {
            "pre-install" => before = true,
            "pre-upgrade" => (before, upgrades) = (true, true),
            "post-install" | "post-upgrade" => after = true,
            // Deletion, rollback and `helm test`; what Helm does not know does not come here.
            _ => {}
        }
    }
    let weight = object.annotation(WEIGHT).and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    let runs = completes(&object.group_kind());
    let shown = || hook.chars().take(80).collect::<String>();
    match (before, after) {
        (true, true) if runs => Err(format!(
            "{}: {HOOK}: {:?} runs before the other objects and after them, and an object is applied once; choose with \
             a patch (spec.patches) that sets the annotation {}: before or after",
            object.id(),
            shown(),
            keys::STEP
        )),
        (true, _) if runs && !upgrades => Ok(Place::Once(weight)),
        (true, _) if runs && !object.is("batch", "Job") => Err(format!(
            "{}: {HOOK}: {:?} runs for each revision, and of the hooks before the other objects only a Job does so; \
             make it a step with a patch (spec.patches) that sets the annotation {}: before",
            object.id(),
            shown(),
            keys::STEP
        )),
        (true, _) => Ok(Place::Before(weight)),
        // What is no program is there when the programs run.
        (false, true) if runs => Ok(Place::After(weight)),
        (false, true) => Ok(Place::Plain),
        (false, false) => Ok(Place::Nowhere),
    }
}

/// `helm.sh/resource-policy: keep`: it is never deleted.
fn keep(object: &mut Object) {
    let keeps =
        object.annotation(RESOURCE_POLICY).is_some_and(|policy| policy.trim().eq_ignore_ascii_case("keep"));
    if keeps && object.annotation(keys::PRUNE).is_none() {
        object.set_annotation(keys::PRUNE, keys::DISABLED);
    }
}

/// Before all objects that are no hooks. A Job has another template in each revision, so that it runs
/// again: as any changed Job, once the one before it has finished. With force, a migration would be
/// ended in the middle.
fn run_before(object: &mut Object, wave: i64, run: &str) {
    object.set_annotation(keys::WAVE, &wave.to_string());
    if !object.is("batch", "Job") {
        return;
    }
    let template = object.value_mut().pointer_mut("/spec/template").and_then(Value::as_object_mut);
    let Some(template) = template else { return };
    let metadata = mapping(template, "metadata");
    let Some(annotations) = metadata.map(|metadata| mapping(metadata, "annotations")) else { return };
    if let Some(annotations) = annotations {
        annotations.insert(keys::HOOK_RUN.to_owned(), run.into());
    }
}

/// Before all objects that are no hooks, unless it is there. What is there is the record that it has run,
/// so it does not delete itself.
fn run_once(object: &mut Object, wave: i64) {
    object.set_annotation(keys::WAVE, &wave.to_string());
    if object.annotation(keys::APPLY).is_some() {
        return;
    }
    object.set_annotation(keys::APPLY, "IfNotPresent");
    if let Some(spec) = object.value_mut().pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("ttlSecondsAfterFinished");
    }
}

fn mapping<'m>(parent: &'m mut Map<String, Value>, field: &str) -> Option<&'m mut Map<String, Value>> {
    let value = parent.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// Once, after all objects are healthy.
fn run_after(object: &mut Object, wave: i64) {
    object.set_annotation(keys::STEP, "after");
    if wave != 0 {
        object.set_annotation(keys::WAVE, &wave.to_string());
    }
    let policy = object.annotation(DELETE_POLICY).unwrap_or_default().to_ascii_lowercase();
    let deletes = |when: &str| policy.split(',').any(|one| one.trim() == when);
    let cleanup = match (deletes("hook-succeeded"), deletes("hook-failed")) {
        (true, true) => "Always",
        (true, false) => "OnSuccess",
        (false, _) => return,
    };
    if object.annotation(keys::STEP_CLEANUP).is_none() {
        object.set_annotation(keys::STEP_CLEANUP, cleanup);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::manifest::decode::Origin;

    fn object(kind: &str, name: &str, annotations: &Value) -> Decoded {
        let (version, spec) = match kind {
            "Job" => ("batch/v1", json!({"template": {"spec": {"restartPolicy": "Never"}}})),
            "Pod" => ("v1", json!({"restartPolicy": "Never"})),
            _ => ("v1", json!({})),
        };
        let metadata = json!({"name": name, "annotations": annotations});
        let value = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec});
        let origin = Origin { file: "a".into(), document: 1, line: 1 };
        Decoded { object: Object::new(value).unwrap(), origin }
    }

    fn hook(kind: &str, name: &str, events: &str, weight: &str) -> Decoded {
        object(kind, name, &json!({"helm.sh/hook": events, "helm.sh/hook-weight": weight}))
    }

    /// `name wave step apply force prune cleanup run` of each object.
    fn shown(objects: Vec<Decoded>) -> Vec<String> {
        let objects = arrange(objects, false, "r1").unwrap();
        let shown = objects.iter().map(|Decoded { object, .. }| {
            let keys = [keys::WAVE, keys::STEP, keys::APPLY, keys::FORCE, keys::PRUNE, keys::STEP_CLEANUP];
            let run = object.value().pointer("/spec/template/metadata/annotations/supercargo.dev~1hook-run");
            let values =
                keys.map(|key| object.annotation(key)).into_iter().chain([run.and_then(Value::as_str)]);
            let values: Vec<&str> = values.map(|value| value.unwrap_or("-")).collect();
            format!("{} {}", object.name(), values.join(" "))
        });
        shown.collect()
    }

    #[test]
    fn hooks_before_the_rest_are_waves_by_their_weight() {
        let objects = vec![
            object("ConfigMap", "plain", &json!({})),
            hook("Job", "migrate", "pre-install,pre-upgrade", "5"),
            hook("ServiceAccount", "account", "pre-install", "-5"),
            hook("Job", "second", "pre-upgrade", "5"),
            hook("ConfigMap", "settings", "pre-install", "no number"),
        ];
        let expected = [
            "plain - - - - - - -",
            "migrate -1 - - - - - r1",
            "account -3 - - - - - -",
            "second -1 - - - - - r1",
            "settings -2 - - - - - -",
        ];
        assert_eq!(shown(objects), expected);
    }

    #[test]
    fn what_runs_before_the_first_revision_alone_is_applied_unless_it_is_there() {
        let events = |more: Value| {
            let mut annotations = json!({"helm.sh/hook": "pre-install"});
            annotations.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let mut seed = object("Job", "seed", &annotations);
            seed.object.value_mut()["spec"]["ttlSecondsAfterFinished"] = 60.into();
            seed
        };
        let check = |seed: Decoded, expected: &str, ttl: bool| {
            let arranged = arrange(vec![seed.clone()], false, "r1").unwrap();
            let spec = &arranged[0].object.value()["spec"];
            assert_eq!(spec.get("ttlSecondsAfterFinished").is_some(), ttl, "{expected}");
            assert!(!runs_for_revision(&arranged[0].object));
            assert_eq!(shown(vec![seed]), [expected]);
        };
        check(events(json!({})), "seed -1 - IfNotPresent - - - -", false);
        check(events(json!({"supercargo.dev/apply": "Override"})), "seed -1 - Override - - - -", true);
        check(hook("Pod", "seed", "pre-install", "0"), "seed -1 - IfNotPresent - - - -", false);
        for events in ["pre-upgrade", "pre-install,pre-upgrade"] {
            let arranged = arrange(vec![hook("Job", "migrate", events, "0")], false, "r1").unwrap();
            assert!(runs_for_revision(&arranged[0].object), "{events}");
        }
    }

    #[test]
    fn what_cannot_run_again_is_refused() {
        for (kind, events) in [("Pod", "pre-upgrade"), ("Pod", "pre-install,pre-upgrade")] {
            let found = arrange(vec![hook(kind, "a", events, "0")], false, "r1").unwrap_err();
            let expected = format!(
                "{kind}/a: helm.sh/hook: {events:?} runs for each revision, and of the hooks before the other objects \
                 only a Job does so; make it a step with a patch (spec.patches) that sets the annotation \
                 supercargo.dev/step: before"
            );
            assert_eq!(found, [expected]);
        }
        let decided = json!({"helm.sh/hook": "pre-upgrade", "supercargo.dev/step": "before"});
        assert_eq!(shown(vec![object("Pod", "a", &decided)]), ["a - before - - - - -"]);
    }

    #[test]
    fn hooks_after_the_rest_are_steps_by_their_weight() {
        let with = |policy: &str| {
            object(
                "Job",
                "check",
                &json!({"helm.sh/hook": "post-install", "helm.sh/hook-delete-policy": policy}),
            )
        };
        let check = |objects: Vec<Decoded>, expected: &[&str]| assert_eq!(shown(objects), expected);
        check(
            vec![hook("Job", "b", "post-install, post-upgrade", "3"), hook("Pod", "a", "post-upgrade", "-1")],
            &["b 1 after - - - - -", "a - after - - - - -"],
        );
        check(vec![with("before-hook-creation")], &["check - after - - - - -"]);
        check(vec![with("before-hook-creation,hook-succeeded")], &["check - after - - - OnSuccess -"]);
        check(vec![with("hook-succeeded, hook-failed")], &["check - after - - - Always -"]);
        check(vec![hook("ServiceAccount", "account", "post-install", "0")], &["account - - - - - - -"]);
        check(vec![hook("ConfigMap", "both", "pre-install,post-install", "0")], &["both -1 - - - - - -"]);
    }

    #[test]
    fn what_helm_alone_does_is_left_out() {
        for events in
            ["test", "test-success", "pre-delete", "post-delete,post-rollback", "pre-rollback", "crd-install"]
        {
            assert_eq!(shown(vec![hook("Job", "a", events, "0")]), [""; 0], "{events}");
        }
        assert_eq!(shown(vec![hook("Job", "a", "pre-delete,post-upgrade", "0")]), ["a - after - - - - -"]);
        let objects = vec![hook("Job", "a", "post-install", "0"), object("ConfigMap", "b", &json!({}))];
        let left = arrange(objects, true, "r1").unwrap();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_would_run_twice_is_refused_unless_it_is_decided() {
        let found =
            arrange(vec![hook("Job", "a", "post-install,pre-upgrade", "0")], false, "r1").unwrap_err();
        let expected = "Job/a: helm.sh/hook: \"post-install,pre-upgrade\" runs before the other objects and after them, \
                        and an object is applied once; choose with a patch (spec.patches) that sets the annotation \
                        supercargo.dev/step: before or after";
        assert_eq!(found, [expected]);
        let decided = json!({"helm.sh/hook": "post-install,pre-upgrade", "supercargo.dev/step": "after"});
        assert_eq!(shown(vec![object("Job", "a", &decided)]), ["a - after - - - - -"]);
    }

    #[test]
    fn what_helm_keeps_is_kept() {
        let keeping = |extra: &str| json!({"helm.sh/resource-policy": "keep", "supercargo.dev/prune": extra});
        assert_eq!(
            shown(vec![object("ConfigMap", "a", &json!({"helm.sh/resource-policy": "keep"}))]),
            ["a - - - - disabled - -"]
        );
        assert_eq!(shown(vec![object("ConfigMap", "a", &keeping("enabled"))]), ["a - - - - enabled - -"]);
        assert_eq!(
            shown(vec![object("ConfigMap", "a", &json!({"helm.sh/resource-policy": "drop"}))]),
            ["a - - - - - - -"]
        );
    }
}
