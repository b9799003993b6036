//! Health that a release describes by expressions, and objects that it waits for by name.

use serde_json::{Value, json};
use supercargo_testbed::{Profiles, story};

use crate::scene::{Scene, config_map, message};

const PROFILES: Profiles = Profiles::First("what an expression says does not depend on rights");

/// The definition of Widgets whose schema names its fields.
const VERSION: &str = "
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
          status:
            type: object
            properties:
              heat: {type: integer}
              broken: {type: boolean}
              notes: {type: array, items: {type: object, properties: {text: {type: string}}}}
";

fn widget(group: &str, name: &str, size: u8) -> String {
    format!("---\napiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: {name}}}\nspec: {{size: {size}}}\n")
}

/// Does what the controller of Widgets would do.
fn says(scene: &Scene<'_>, name: &str, status: Value) {
    let patch = json!({"status": status}).to_string();
    let widgets = format!("widgets.{}", scene.group());
    scene.story.kubectl(&["patch", &widgets, name, "--subresource=status", "--type=merge", "-p", &patch], "");
}

async fn begin(name: &str) -> Scene<'static> {
    let scene = Scene::begin(name).await;
    scene.story.kubectl(&["apply", "-f", "-"], &scene.widgets(VERSION));
    let definition = format!("crd/widgets.{}", scene.group());
    scene.story.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &definition], "");
    scene
}

fn end(scene: &Scene<'_>) {
    scene.story.kubectl(&["delete", &format!("crd/widgets.{}", scene.group()), "--wait=false"], "");
}

#[story]
async fn an_expression_decides_when_a_custom_resource_is_healthy() {
    let scene = begin("health-cel").await;
    let (group, namespace) = (scene.group(), scene.namespace().to_owned());
    let api = format!("{group}/v1");
    scene.push("app", "1", &widget(&group, "w", 1));
    let rules = json!([{"apiVersion": api, "kind": "Widget",
        "failed": "has(status.broken) && status.broken", "current": "status.heat >= 30"}]);
    scene.create("app", json!({"wait": true, "timeout": "10m", "healthCheckExprs": rules}));
    scene.wait_message("app", "Unknown", &format!("Waiting for 1 of 1 object: Widget/{namespace}/w")).await;
    // The built-in rules would call this current.
    says(&scene, "w", json!({"heat": 20}));
    says(&scene, "w", json!({"heat": 31, "broken": false}));
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(message(&ready, "Healthy"), "All objects are healthy");

    // It is judged by the same expressions later.
    says(&scene, "w", json!({"heat": 3}));
    let cold = format!("Widget/{namespace}/w: current is not true: status.heat >= 30");
    scene.wait_says("app", "Healthy", &[&cold]).await;

    // A failed object ends the wait at once.
    scene.upgrade("app", "2", &widget(&group, "w", 2));
    scene.wait_message("app", "Unknown", "Waiting for 1 of 1 object").await;
    says(&scene, "w", json!({"broken": true}));
    let failed = scene.story.wait_condition("app", "Ready", "False", "HealthCheckFailed").await;
    let why = format!("Widget/{namespace}/w: failed is true: has(status.broken) && status.broken");
    assert!(message(&failed, "Ready").contains(&why), "{failed:#}");

    // Other expressions judge anew what is applied, and a kind that is ignored is never waited for.
    let rules = json!([{"apiVersion": api, "kind": "Widget", "ignore": true}]);
    scene.change("app", json!({"healthCheckExprs": rules}));
    scene.story.wait_ready("app", "2@").await;
    end(&scene);
}

#[story]
async fn a_misspelt_field_is_an_error_before_anything_is_written() {
    let scene = begin("cel-misspelt").await;
    let (group, namespace) = (scene.group(), scene.namespace().to_owned());
    let api = format!("{group}/v1");
    let manifests = format!("{}---\n{}", config_map("a", "one"), widget(&group, "w", 1));
    scene.push("app", "1", &manifests);
    let rules = |current: &str| json!([{"apiVersion": api, "kind": "Widget", "current": current}]);
    let spec = json!({"wait": true, "timeout": "10m", "healthCheckExprs": rules("status.notes.all(n, n.txt != '')")});
    scene.create("app", spec);
    let refused = scene.story.wait_condition("app", "Ready", "False", "InvalidCELExpression").await;
    let said = message(&refused, "Ready");
    assert_eq!(
        said,
        format!(
            "spec.healthCheckExprs[0].current: there is no field status.notes[].txt: did you mean text? (schema of \
             Widget.{group}/v1)"
        )
    );
    let stalled = message(&refused, "Stalled");
    assert_eq!(stalled, said);
    assert_eq!(scene.config_map("a").await, None);

    // A new definition that the artifact brings counts, not the one that is served.
    let wider = VERSION.replace("{text: {type: string}}", "{text: {type: string}, txt: {type: string}}");
    scene.upgrade("app", "2", &format!("{}{manifests}", scene.widgets(&wider)));
    scene.wait_message("app", "Unknown", &format!("Widget/{namespace}/w")).await;
    says(&scene, "w", json!({"notes": [{"txt": "x"}]}));
    scene.story.wait_ready("app", "2@").await;

    // A field of a kind of Kubernetes, whose schema has references.
    let rules = json!([{"apiVersion": "v1", "kind": "ConfigMap", "current": "imutable"}]);
    scene.change("app", json!({"healthCheckExprs": rules}));
    scene.upgrade("app", "3", &format!("{}{}", scene.widgets(&wider), config_map("a", "two")));
    let says = "spec.healthCheckExprs[0].current: there is no field imutable: did you mean immutable? (schema of ConfigMap/v1)";
    scene.wait_message("app", "False", says).await;
    end(&scene);
}

#[story]
async fn only_named_objects_are_waited_for_without_wait() {
    let scene = begin("health-named").await;
    let (group, namespace) = (scene.group(), scene.namespace().to_owned());
    let api = format!("{group}/v1");
    let both = format!("{}{}", widget(&group, "waits", 1), widget(&group, "other", 1));
    scene.push("app", "1", &both);
    // One of the artifact, and one that something else brings.
    let named = |name: &str| json!({"apiVersion": api, "kind": "Widget", "name": name});
    let spec = json!({"timeout": "10m", "healthChecks": [named("waits"), named("later")],
        "healthCheckExprs": [{"apiVersion": api, "current": "status.heat > 0"}]});
    scene.create("app", spec);
    let waits = format!("Waiting for 2 of 2 objects: Widget/{namespace}/later, Widget/{namespace}/waits");
    scene.wait_message("app", "Unknown", &waits).await;
    scene.story.kubectl(&["apply", "-f", "-"], &widget(&group, "later", 1));
    for name in ["waits", "later"] {
        says(&scene, name, json!({"heat": 1}));
    }
    let ready = scene.story.wait_ready("app", "1@").await;
    assert_eq!(message(&ready, "Healthy"), "All objects are healthy");

    let gone = json!({"apiVersion": "nowhere.example.com/v1", "kind": "Gadget", "name": "g"});
    scene.change("app", json!({"healthChecks": [gone]}));
    scene.upgrade("app", "2", &format!("{both}---\n{}", config_map("a", "one")));
    let says = format!(
        "cannot check the health of objects in spec.healthChecks; Gadget/{namespace}/g: the API server does not serve \
         this kind in version v1"
    );
    scene.wait_message("app", "False", &says).await;
    end(&scene);
}

#[story]
async fn what_is_no_expression_stalls() {
    let scene = Scene::begin("cel-refused").await;
    scene.push("app", "1", &config_map("a", "one"));
    let spec =
        json!({"wait": true, "healthCheckExprs": [{"apiVersion": "a.b/v1", "current": "status.ready =="}]});
    scene.create("app", spec);
    let stalled = scene.story.wait_condition("app", "Stalled", "True", "InvalidSpec").await;
    let said = message(&stalled, "Stalled");
    assert!(
        said.starts_with("spec.healthCheckExprs[0].current: ") && said.contains("at character"),
        "{said}"
    );
    assert_eq!(scene.config_map("a").await, None);
}
