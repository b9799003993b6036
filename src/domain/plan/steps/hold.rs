//! How the object of a step is created so that it cannot run before the status names it, and
//! cannot be removed before its outcome is recorded.

use serde_json::{Map, Value, json};

use crate::domain::objects::identity::GroupKind;

/// What keeps an object of a kind from running: a value at a JSON pointer that its controller
/// waits for.
struct Brake {
    group: &'static str,
    kind: &'static str,
    pointer: &'static str,
    value: fn() -> Value,
}

const fn brake(
    group: &'static str,
    kind: &'static str,
    pointer: &'static str,
    value: fn() -> Value,
) -> Brake {
    Brake { group, kind, pointer, value }
}

fn suspended() -> Value {
    Value::Bool(true)
}

const BRAKES: &[Brake] = &[
    brake("batch", "Job", "/spec/suspend", suspended),
    brake("", "Pod", "/spec/schedulingGates", || json!([{"name": "supercargo.dev/step"}])),
    brake("argoproj.io", "Workflow", "/spec/suspend", suspended),
    brake("tekton.dev", "PipelineRun", "/spec/status", || "PipelineRunPending".into()),
    brake("jobset.x-k8s.io", "JobSet", "/spec/suspend", suspended),
    brake("ray.io", "RayJob", "/spec/suspend", suspended),
];

/// The fields by which an object deletes itself some time after it has finished.
const LIFETIMES: [&str; 3] =
    ["/spec/ttlSecondsAfterFinished", "/spec/ttlStrategy", "/spec/runPolicy/ttlSecondsAfterFinished"];

/// What is held back of a manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hold {
    /// The pointer and value that keep it from running, and the manifest's own value.
    brake: Option<(&'static str, Value, Value)>,
    /// The pointers and values of its lifetime.
    lifetimes: Vec<(&'static str, Value)>,
}

impl Hold {
    /// Takes out of a manifest what would remove the object, and adds what keeps it from running.
    pub fn take(kind: &GroupKind, manifest: &mut Value) -> Self {
        let mut hold = Self::default();
        for pointer in LIFETIMES {
            if let Some(value) = parent(manifest, pointer, false).and_then(|(map, key)| map.remove(key))
                && !value.is_null()
            {
                hold.lifetimes.push((pointer, value));
            }
        }
        let brake = BRAKES.iter().find(|b| b.group == kind.group && b.kind == kind.kind);
        if let Some(brake) = brake {
            let (value, own) =
                ((brake.value)(), manifest.pointer(brake.pointer).cloned().unwrap_or_default());
            // Someone else releases an object whose manifest holds it already.
            let is_free = own.is_null() || own == false || own == "";
            if let Some((map, key)) = parent(manifest, brake.pointer, true).filter(|_| is_free) {
                map.insert(key.to_owned(), value.clone());
                hold.brake = Some((brake.pointer, value, own));
            }
        }
        hold
    }

    /// Whether an object that was created and never released has not run.
    pub fn holds(&self) -> bool {
        self.brake.is_some()
    }

    /// Whether a live object is still held.
    pub fn is_held(&self, live: &Value) -> bool {
        self.brake.as_ref().is_some_and(|(pointer, value, _)| live.pointer(pointer) == Some(value))
    }

    /// The merge patch that lets the object run, if it still has that uid.
    pub fn release(&self, uid: &str) -> Option<Value> {
        let (pointer, _, own) = self.brake.as_ref()?;
        Some(patch(uid, [(*pointer, own.clone())]))
    }

    /// The merge patch that gives the object its lifetime again, if it still has that uid.
    pub fn expire(&self, uid: &str) -> Option<Value> {
        (!self.lifetimes.is_empty()).then(|| patch(uid, self.lifetimes.iter().cloned()))
    }

    /// Whether a live object lacks its lifetime.
    pub fn lacks_lifetime(&self, live: &Value) -> bool {
        self.lifetimes.iter().any(|(pointer, value)| live.pointer(pointer) != Some(value))
    }
}

/// Whether an object is held by what some release has set, whatever its manifest was.
pub(super) fn is_braked(live: &Value) -> bool {
    let group = live["apiVersion"].as_str().and_then(|v| v.split_once('/')).map_or("", |(group, _)| group);
    BRAKES
        .iter()
        .filter(|b| b.group == group && live["kind"] == b.kind)
        .any(|b| live.pointer(b.pointer) == Some(&(b.value)()))
}

fn patch(uid: &str, fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut patch = json!({"metadata": {"uid": uid}});
    for (pointer, value) in fields {
        if let Some((map, key)) = parent(&mut patch, pointer, true) {
            map.insert(key.to_owned(), value);
        }
    }
    patch
}

/// The mapping that has the last key of a pointer, and that key.
fn parent<'v, 'p>(
    value: &'v mut Value,
    pointer: &'p str,
    create: bool,
) -> Option<(&'v mut Map<String, Value>, &'p str)> {
    let (path, key) = pointer.rsplit_once('/')?;
    let mut at = value;
    for part in path.split('/').skip(1) {
        let map = at.as_object_mut()?;
        at = match create {
            true => map.entry(part).or_insert_with(|| json!({})),
            false => map.get_mut(part)?,
        };
    }
    Some((at.as_object_mut()?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(spec: Value) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": spec})
    }

    fn check(
        group: &str,
        kind: &str,
        manifest: Value,
        sent: Value,
        release: Option<Value>,
        expire: Option<Value>,
    ) {
        let mut changed = manifest.clone();
        let hold = Hold::take(&GroupKind::new(group, kind), &mut changed);
        assert_eq!((&changed, hold.release("u"), hold.expire("u")), (&sent, release, expire), "{manifest}");
        assert_eq!((hold.is_held(&changed), is_braked(&changed)), (hold.holds(), is_braked(&sent)));
    }

    #[test]
    fn what_is_held_back_of_a_manifest() {
        let with = |spec: Value| Some(json!({"metadata": {"uid": "u"}, "spec": spec}));
        check(
            "batch",
            "Job",
            job(json!({"ttlSecondsAfterFinished": 0, "backoffLimit": 1})),
            job(json!({"suspend": true, "backoffLimit": 1})),
            with(json!({"suspend": null})),
            with(json!({"ttlSecondsAfterFinished": 0})),
        );
        check(
            "batch",
            "Job",
            job(json!({"suspend": false})),
            job(json!({"suspend": true})),
            with(json!({"suspend": false})),
            None,
        );
        // A queue releases it.
        check("batch", "Job", job(json!({"suspend": true})), job(json!({"suspend": true})), None, None);
        check(
            "",
            "Pod",
            json!({"apiVersion": "v1", "kind": "Pod", "spec": {}}),
            json!({"apiVersion": "v1", "kind": "Pod", "spec": {"schedulingGates": [{"name": "supercargo.dev/step"}]}}),
            with(json!({"schedulingGates": null})),
            None,
        );
        check(
            "argoproj.io",
            "Workflow",
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {"ttlStrategy": {"secondsAfterSuccess": 1}}}),
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {"suspend": true}}),
            with(json!({"suspend": null})),
            with(json!({"ttlStrategy": {"secondsAfterSuccess": 1}})),
        );
        // A kind without a brake, and a manifest of another shape.
        let run = json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "spec": {}});
        check("tekton.dev", "TaskRun", run.clone(), run, None, None);
        let odd = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": 1});
        check("batch", "Job", odd.clone(), odd, None, None);
    }
}
