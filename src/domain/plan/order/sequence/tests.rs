//! Tables of tests for the explicit order of an apply.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::domain::inventory::Inventory;
use crate::domain::objects::identity::ReleaseId;
use crate::domain::objects::object::Object;
use crate::domain::plan::build::{Correction, Purpose, build};
use crate::domain::plan::nothing::Nothing;

fn planned(objects: Vec<Value>) -> Vec<Step> {
    let release = ReleaseId { namespace: "n".into(), name: "r".into() };
    let purpose =
        Purpose { release: &release, mark: None, applied_key: "k", correction: Correction::All, ignore: &[] };
    let objects = objects.into_iter().map(|object| Object::new(object).unwrap()).collect();
    build(purpose, objects, &Inventory::default(), &Nothing).steps
}

/// An object: its inventory id, its wave and its references; empty for none.
fn object((id, wave, on): (&str, &str, &str)) -> Value {
    let id = ObjectId::from_inventory_id(id).unwrap();
    let version = if id.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", id.group) };
    let mut annotations = json!({});
    if !wave.is_empty() {
        annotations["supercargo.dev/wave"] = wave.into();
    }
    if !on.is_empty() {
        annotations["config.kubernetes.io/depends-on"] = on.into();
    }
    let metadata = match id.namespace.as_str() {
        "" => json!({"name": id.name, "annotations": annotations}),
        namespace => json!({"name": id.name, "namespace": namespace, "annotations": annotations}),
    };
    json!({"apiVersion": version, "kind": id.kind, "metadata": metadata})
}

fn widgets(wave: &str, on: &str) -> Value {
    let id = "_widgets.example.com_apiextensions.k8s.io_CustomResourceDefinition";
    let mut definition = object((id, wave, on));
    definition["spec"] = json!({"group": "example.com", "names": {"kind": "Widget"}});
    definition
}

/// The rounds in which objects are applied, if each is healthy once it is applied, except those
/// whose name says otherwise; and how many are never applied.
fn rounds(objects: Vec<Value>) -> (Vec<Vec<String>>, usize) {
    let steps = planned(objects);
    let order = ExplicitOrder::of(&steps).unwrap();
    assert!(!order.is_empty());
    let mut stands = vec![Stand::Pending; steps.len()];
    let mut rounds = Vec::new();
    loop {
        let survey = order.survey(|n| stands[n]);
        if survey.ready.is_empty() {
            return (rounds, survey.waiting);
        }
        for &n in &survey.ready {
            stands[n] = match steps[n].id.name.as_str() {
                "slow" => Stand::Applied,
                "failed" => Stand::Failed,
                _ => Stand::Healthy,
            };
        }
        rounds.push(survey.ready.iter().map(|n| steps[*n].id.name.clone()).collect());
    }
}

fn check(objects: &[(&str, &str, &str)], expected: &[&[&str]], left: usize) {
    check_all(objects.iter().map(|o| object(*o)).collect(), expected, left);
}

fn check_all(objects: Vec<Value>, expected: &[&[&str]], left: usize) {
    let what = format!("{objects:?}");
    let expected: Vec<Vec<String>> =
        expected.iter().map(|round| round.iter().map(|name| (*name).to_owned()).collect()).collect();
    assert_eq!(rounds(objects), (expected, left), "{what}");
}

const SLOW: &str = "apps/namespaces/n/Deployment/slow";

#[test]
fn an_object_waits_for_all_of_the_lower_waves_and_for_what_it_names() {
    let (a, b, c) = ("n_a__ConfigMap", "n_b__ConfigMap", "n_c__ConfigMap");
    let slow = "n_slow_apps_Deployment";
    check(&[(a, "", ""), (b, "1", ""), (c, "-1", "")], &[&["c"], &["a"], &["b"]], 0);
    check(&[(a, "", "/namespaces/n/ConfigMap/b"), (b, "", ""), (c, "", "")], &[&["b", "c"], &["a"]], 0);
    // A wave of later stages comes before the next wave.
    check(&[(a, "", ""), (slow, "-1", ""), (c, "2", "")], &[&["slow"]], 2);
    // What is not healthy holds only what depends on it.
    check(&[(a, "", SLOW), (slow, "", ""), (c, "", "")], &[&["c", "slow"]], 1);
    let on_a = "/namespaces/n/ConfigMap/a";
    check(&[(a, "", ""), (b, "", on_a), (c, "", SLOW), (slow, "", "")], &[&["a", "slow"], &["b"]], 1);
    // Both annotations hold.
    check(&[(a, "", ""), (b, "1", on_a), (c, "1", ""), (slow, "", "")], &[&["a", "slow"]], 2);
}

#[test]
fn what_others_are_built_on_comes_with_the_first_wave() {
    let (namespace, a) = (("_n__Namespace", "", ""), ("n_a__ConfigMap", "-3", ""));
    let account = ("n_me__ServiceAccount", "", "");
    check(&[namespace, a, account, ("n_b__ConfigMap", "", "")], &[&["n", "me", "a"], &["b"]], 0);
    // An object waits for the namespace that waits.
    let waits = ("_n__Namespace", "", "apps/namespaces/m/Deployment/slow");
    check(&[waits, ("n_a__ConfigMap", "", ""), ("m_slow_apps_Deployment", "", "")], &[&["slow"]], 2);
    check(
        &[("_n__Namespace", "1", ""), ("n_a__ConfigMap", "1", ""), ("m_b__ConfigMap", "", "")],
        &[&["b"], &["n", "a"]],
        0,
    );
    let widget = object(("n_w_example.com_Widget", "-1", ""));
    check_all(vec![widgets("", ""), widget], &[&["widgets.example.com", "w"]], 0);
    let widget = object(("n_w_example.com_Widget", "", ""));
    check_all(
        vec![widgets("", "apps/namespaces/m/Deployment/b"), widget, object(("m_b_apps_Deployment", "", ""))],
        &[&["b"], &["widgets.example.com", "w"]],
        0,
    );
}

#[test]
fn a_survey_says_what_is_waited_for() {
    let steps = planned(vec![
        object(("n_a__ConfigMap", "1", "")),
        object(("n_b__ConfigMap", "", SLOW)),
        object(("n_failed_apps_Deployment", "", "")),
        object(("n_slow_apps_Deployment", "", "")),
        object(("n_x_apps_Deployment", "2", "")),
    ]);
    let order = ExplicitOrder::of(&steps).unwrap();
    let survey = |stands: [Stand; 5]| order.survey(|n| stands[n]);
    use Stand::{Applied, Failed, Healthy, Pending};
    let check = |stands: [Stand; 5], ready: &[usize], needed: &[usize], awaited: &[usize], is_stuck: bool| {
        let waiting = stands.iter().filter(|s| **s == Pending).count() - ready.len();
        let (ready, needed, awaited) = (ready.to_vec(), needed.to_vec(), awaited.to_vec());
        assert_eq!(survey(stands), Survey { ready, waiting, needed, awaited, is_stuck }, "{stands:?}");
    };
    check([Pending; 5], &[2, 3], &[], &[], false);
    check([Pending, Pending, Applied, Applied, Pending], &[], &[2, 3], &[2, 3], false);
    check([Pending, Pending, Applied, Healthy, Pending], &[1], &[2, 3], &[2], false);
    // One branch has failed, and the other goes on.
    check([Pending, Pending, Failed, Applied, Pending], &[], &[2, 3], &[2, 3], false);
    check([Pending, Healthy, Failed, Healthy, Pending], &[], &[1, 2, 3], &[2], true);
    check([Pending, Pending, Healthy, Failed, Pending], &[], &[2, 3], &[3], true);
    check([Healthy, Healthy, Healthy, Healthy, Pending], &[4], &[], &[], false);
    check([Healthy; 5], &[], &[], &[], false);
}

#[test]
fn an_impossible_order_is_refused_in_words() {
    let check = |objects: Vec<Value>, expected: &[&str]| {
        let failures = ExplicitOrder::of(&planned(objects)).map(|_| ()).unwrap_err();
        let said: Vec<String> = failures.iter().map(|f| format!("{} {}", f.id, f.message)).collect();
        assert_eq!(said, expected);
    };
    let (on_a, on_b) = ("/namespaces/n/ConfigMap/a", "/namespaces/n/ConfigMap/b");
    let (a, b) = ("n_a__ConfigMap", "n_b__ConfigMap");
    check(vec![object((a, "", on_a))], &["ConfigMap/n/a is in a cycle: ConfigMap/n/a depends on itself"]);
    check(
        vec![object((a, "", on_b)), object((b, "", on_a))],
        &["ConfigMap/n/a is in a cycle: ConfigMap/n/a depends on ConfigMap/n/b; ConfigMap/n/b depends on \
           ConfigMap/n/a"],
    );
    check(
        vec![object((a, "-1", on_b)), object((b, "1", ""))],
        &[
            "ConfigMap/n/a is in a cycle: ConfigMap/n/a depends on ConfigMap/n/b; ConfigMap/n/b (wave 1) waits for \
           ConfigMap/n/a (wave -1)",
        ],
    );
    check(
        vec![
            object(("_n__Namespace", "", "apps/namespaces/n/Deployment/x")),
            object(("n_x_apps_Deployment", "", "")),
        ],
        &[
            "Namespace/n is in a cycle: Namespace/n depends on Deployment/n/x; Deployment/n/x needs Namespace/n",
        ],
    );
    check(
        vec![widgets("", "example.com/namespaces/n/Widget/w"), object(("n_w_example.com_Widget", "", ""))],
        &["CustomResourceDefinition/widgets.example.com is in a cycle: \
           CustomResourceDefinition/widgets.example.com depends on Widget/n/w; Widget/n/w needs \
           CustomResourceDefinition/widgets.example.com"],
    );
    check(
        vec![object(("_n__Namespace", "1", "")), object((a, "", ""))],
        &[
            "Namespace/n is in a cycle: Namespace/n (wave 1) waits for ConfigMap/n/a (wave 0); ConfigMap/n/a needs \
           Namespace/n",
        ],
    );
    check(
        vec![object((a, "", "/namespaces/n/ConfigMap/z,/ConfigMap/b")), object((b, "", ""))],
        &[
            "ConfigMap/n/a depends on ConfigMap/b, which this revision does not apply; the reference to \
             ConfigMap/n/b is /namespaces/n/ConfigMap/b",
            "ConfigMap/n/a depends on ConfigMap/n/z, which this revision does not apply",
        ],
    );
    check(
        vec![object((a, "x", "")), object((b, "", "y"))],
        &[
            "ConfigMap/n/a invalid annotation supercargo.dev/wave: \"x\"; use an integer from -10000 to 10000",
            "ConfigMap/n/b invalid annotation config.kubernetes.io/depends-on: \"y\"; use \
             <group>/namespaces/<namespace>/<kind>/<name> or <group>/<kind>/<name>, with an empty group for the core \
             kinds",
        ],
    );
}

#[test]
fn without_annotations_there_is_no_explicit_order() {
    let steps = planned(vec![object(("n_a__ConfigMap", "", "")), object(("n_b_apps_Deployment", "", ""))]);
    assert!(ExplicitOrder::of(&steps).unwrap().is_empty());
    assert!(ExplicitOrder::of(&[]).unwrap().is_empty());
}

#[test]
fn corrected_drift_does_not_wait() {
    let mut steps =
        planned(vec![object(("n_a__ConfigMap", "1", "")), object(("n_slow_apps_Deployment", "", ""))]);
    steps[0].drifted = true;
    let order = ExplicitOrder::of(&steps).unwrap();
    let survey = order.survey(|n| if n == 0 { Stand::Pending } else { Stand::Applied });
    assert_eq!(survey.ready, [0]);
}

#[test]
fn ten_thousand_objects_in_waves_are_cheap() {
    let names: Vec<(String, String)> =
        (0..10_000).map(|n| (format!("n_a{n}__ConfigMap"), (n % 100).to_string())).collect();
    let steps = planned(names.iter().map(|(id, wave)| object((id, wave, ""))).collect());
    let started = Instant::now();
    let order = ExplicitOrder::of(&steps).unwrap();
    let edges: usize = order.waits.iter().map(Vec::len).sum();
    assert!(edges < 3 * steps.len(), "{edges}");
    let survey = order.survey(|_| Stand::Pending);
    assert_eq!((survey.ready.len(), survey.waiting), (100, 9_900));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn steps_are_in_no_wave_of_the_rest() {
    use crate::domain::plan::{Once, Plan, set_apart};
    let mut step = object(("n_s_batch_Job", "", ""));
    step["metadata"]["annotations"]["supercargo.dev/step"] = "before".into();
    let on = "batch/namespaces/n/Job/s";
    let early = object(("n_a__ConfigMap", "-1", on));
    let mut plan =
        Plan { steps: planned(vec![step, early, object(("n_b__ConfigMap", "", ""))]), ..Plan::default() };
    set_apart(&mut plan, Once { records: &[], key: "k", is_over: false, prunes_others: true });
    assert!(ExplicitOrder::of(&plan.steps).is_ok());
}
