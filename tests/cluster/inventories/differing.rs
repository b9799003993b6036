//! `diff`: what an apply would change, by kubectl diff's exit codes, and nothing
//! that only the server writes.

use std::io::Read;

use supercargo_testbed::{Profiles, story};

use super::hand::{Hand, config_map, deployment};

const PROFILES: Profiles = Profiles::First("commands under the user's own rights");

fn diff(hand: &Hand, stdin: &str, code: i32, out: &str) {
    hand.says(&["diff", "-i", "app", "-f", "-"], stdin, code, out, "");
}

const DRIFT: &str = "► ConfigMap/NS/a drifted
@@ -1,6 +1,6 @@
 apiVersion: v1
 data:
-  v: \"1\"
+  v: \"2\"
 kind: ConfigMap
 metadata:
   labels:
";

fn number(name: &str, value: u32) -> String {
    config_map(name, &value.to_string())
}

#[story]
async fn b7_exit_codes_are_those_of_kubectl_diff_and_prune_shows_what_would_go() {
    let hand = Hand::begin("hand-b7").await;
    let app = number("a", 1) + &number("leaves", 1);
    diff(&hand, &app, 1, "► ConfigMap/NS/a created\n► ConfigMap/NS/leaves created\n");
    hand.does(&["apply", "-i", "app", "-f", "-"], &app);
    let requests = hand.requests(|| {
        diff(&hand, &app, 0, "");
        diff(&hand, &number("a", 2), 1, DRIFT);
        hand.says(
            &["diff", "inventory", "app", "--prune", "-f", "-"],
            &number("a", 2),
            1,
            &format!("{DRIFT}► ConfigMap/NS/leaves deleted\n"),
            "",
        );
    });
    let writes: Vec<String> = requests.iter().filter(|r| r.writes()).map(|r| r.summary()).collect();
    assert_eq!(writes, Vec::<String>::new());
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndota: {}\n";
    hand.says(
        &["diff", "-i", "app", "-f", "-"],
        &(number("a", 2) + broken),
        2,
        DRIFT,
        "error: dry run failed for 1 object(s), an apply would write nothing:\n  ConfigMap/NS/b: failed to create \
         typed patch object (NS/b; /v1, Kind=ConfigMap): .dota: field not declared in schema\n",
    );
    for wrong in [&["diff", "-i", "app", "-f", "nope.yaml"] as &[&str], &["diff", "-i", "app"]] {
        assert_eq!(hand.run(wrong, "").code, Some(2), "{wrong:?}");
    }
    let json = hand.run(&["diff", "-i", "app", "-o", "json", "-f", "-"], &number("a", 2));
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(
        (json[0]["object"].as_str(), json[0]["change"].as_str()),
        (Some("ConfigMap/NS/a"), Some("drifted"))
    );
}

#[story]
async fn drift_by_a_hand_is_shown_and_put_back_by_the_next_apply() {
    let hand = Hand::begin("hand-drift").await;
    let app = number("a", 2);
    hand.does(&["apply", "-i", "app", "-f", "-"], &app);
    hand.story.kubectl(&["patch", "configmap", "a", "--type=merge", "-p", r#"{"data":{"v":"1"}}"#], "");
    diff(&hand, &app, 1, DRIFT);
    let told = hand.does(&["apply", "-i", "app", "-f", "-"], &app);
    let put_back = "ConfigMap/NS/a configured\nwarning: Corrected drift: ConfigMap/NS/a\n";
    assert!(told.ends_with(put_back), "{told}");
    diff(&hand, &app, 0, "");
    hand.story.kubectl(&["delete", "configmap", "a"], "");
    diff(&hand, &app, 1, "► ConfigMap/NS/a created\n");
}

#[story]
async fn b8_a_namespace_and_a_kind_that_come_with_the_set_are_no_error() {
    let hand = Hand::begin("hand-b8").await;
    let fresh = hand.story.reserve_namespace("hand-b8-fresh");
    let group = format!("{fresh}.example.com");
    let set = format!(
        "apiVersion: v1
kind: Namespace
metadata: {{name: {fresh}}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  names: {{kind: Widget, plural: widgets}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
---
apiVersion: {group}/v1
kind: Widget
metadata: {{name: w, namespace: {fresh}}}
spec: {{size: 1}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: c, namespace: {fresh}}}
"
    );
    let each = |what: &str| {
        format!(
            "► CustomResourceDefinition/widgets.{group} {what}\n► Namespace/{fresh} {what}\n► ConfigMap/{fresh}/c \
             {what}\n► Widget/{fresh}/w {what}\n"
        )
    };
    diff(&hand, &set, 1, &each("created"));
    let told = hand.does(&["apply", "-i", "app", "--wait", "-f", "-"], &set);
    assert!(told.contains(&format!("Widget/{fresh}/w created\n")), "{told}");
    diff(&hand, &set, 0, "");
    hand.does(&["delete", "-i", "app"], "");
}

#[story]
async fn b10_what_only_the_server_writes_is_no_difference() {
    let hand = Hand::begin("hand-b10").await;
    hand.does(&["apply", "-i", "app", "--wait", "-f", "-"], &deployment("web", "", ""));
    diff(
        &hand,
        &deployment("web", "", "").replace("main:1", "main:2"),
        1,
        "► Deployment/NS/web drifted
@@ -26,7 +26,7 @@
         app: web
     spec:
       containers:
-      - image: main:1
+      - image: main:2
         imagePullPolicy: IfNotPresent
         name: main
         resources: {}
",
    );
    // Written by others, and not by us: no drift, whatever it is.
    hand.story.kubectl(&["annotate", "deployment", "web", "example.com/note=hand"], "");
    hand.story.kubectl(&["rollout", "restart", "deployment", "web"], "");
    diff(&hand, &deployment("web", "", ""), 0, "");
}

#[story]
async fn replicas_that_an_autoscaler_of_the_set_writes_are_no_drift() {
    let hand = Hand::begin("hand-hpa").await;
    let web = deployment("web", "", "").replace("spec:\n  progress", "spec:\n  replicas: 1\n  progress");
    assert!(web.contains("replicas: 1"));
    let set = web
        + "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 4
  metrics:
    - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}
    - {type: Resource, resource: {name: memory, target: {type: Utilization, averageUtilization: 80}}}
";
    hand.does(&["apply", "-i", "app", "-f", "-"], &set);
    hand.story.kubectl(&["scale", "deployment", "web", "--replicas=3"], "");
    diff(&hand, &set, 0, "");
    let told = hand.does(&["apply", "-i", "app", "-f", "-"], &set);
    assert!(told.contains("Deployment/NS/web unchanged\n"), "{told}");
    let web = hand.story.object("apps/v1", "deployments", "web").await.expect("it exists");
    assert_eq!(web["spec"]["replicas"], 3);
}

#[story]
async fn no_value_of_a_secret_is_shown() {
    let hand = Hand::begin("hand-secret").await;
    let secret = |more: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s, annotations: {{note: hunter2}}}}\nstringData: {{same: \
             hunter2{more}}}\n"
        )
    };
    hand.does(&["apply", "-i", "app", "-f", "-"], &secret(", gone: hunter3, other: hunter4"));
    let ended = hand.run(&["diff", "-i", "app", "-f", "-"], &secret(", other: hunter5, new: hunter6"));
    assert_eq!(ended.code, Some(1));
    let encoded = ["aHVudGVy"; 1];
    for value in ["hunter3", "hunter4", "hunter5", "hunter6"].iter().chain(&encoded) {
        assert!(!ended.out.contains(value) && !ended.err.contains(value), "{ended:?}");
    }
    for key in ["gone", "other", "new"] {
        assert!(ended.out.contains(key), "{}", ended.out);
    }
    let invalid = "apiVersion: v1\nkind: Secret\nmetadata: {name: t}\ndata: {password: 'hunter2!'}\n";
    for verb in ["diff", "apply"] {
        let ended = hand.run(&[verb, "-i", "app", "-f", "-"], invalid);
        assert!(ended.err.contains("Secret/NS/t: the API server rejects it (message hidden"), "{ended:?}");
        assert!(!ended.err.contains("hunter") && !ended.out.contains("hunter"), "{ended:?}");
    }
}

#[story]
async fn whoever_stops_reading_is_no_error() {
    let hand = Hand::begin("hand-pipe").await;
    let all: String = (0..400).map(|n| number(&format!("{}-{n}", "x".repeat(200)), 1)).collect();
    hand.file("all.yaml", &all);
    let mut child = hand.start(&["diff", "-i", "app", "-f", "all.yaml"]);
    let mut first = [0; 10];
    let mut out = child.stdout.take().expect("a pipe");
    out.read_exact(&mut first).expect("something is printed");
    drop(out);
    let ended = hand.end(child);
    // What was read until then is a difference.
    assert_eq!((ended.code, ended.err.as_str()), (Some(1), ""));
}

#[story]
async fn a_namespace_that_only_a_flag_makes_is_told_of() {
    let hand = Hand::begin("hand-no-ns").await;
    let fresh = hand.story.reserve_namespace("hand-no-ns-fresh");
    let namespace = ["-n", fresh.as_str()];
    let warning =
        format!("warning: namespace {fresh} does not exist; create it with apply --create-namespace\n");
    let created = format!("► ConfigMap/{fresh}/a created\n");
    let with = |arguments: &[&'static str]| [arguments, &["-i", "app", "-f", "-"]].concat();
    let all = |arguments: &[&'static str]| -> Vec<String> {
        with(arguments).iter().chain(&namespace).map(|a| (*a).to_owned()).collect()
    };
    let says = |arguments: &[&'static str], code: i32, out: &str, err: &str| {
        let all = all(arguments);
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        hand.says(&all, &number("a", 1), code, out, err);
    };
    says(&["diff"], 1, &created, &warning);
    let dry = format!("building inventory...\nConfigMap/{fresh}/a created (server dry run)\n");
    says(&["apply", "--dry-run"], 0, "", &(dry.clone() + &warning));
    says(&["apply", "--dry-run", "--create-namespace"], 0, "", &dry);
    let applying = "building inventory...\napplying 1 manifest(s)...\n";
    says(
        &["apply"],
        1,
        "",
        &format!(
            "{applying}error: nothing applied, dry run failed for 1 object:\n  ConfigMap/{fresh}/a: namespaces \
             \"{fresh}\" not found (--create-namespace creates it)\n"
        ),
    );
    says(&["apply", "--create-namespace"], 0, "", &format!("{applying}ConfigMap/{fresh}/a created\n"));
    says(&["apply", "--create-namespace"], 0, "", &format!("{applying}ConfigMap/{fresh}/a unchanged\n"));
}
