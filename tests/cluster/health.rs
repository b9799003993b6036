//! The health rules on what real controllers write. The tables beside the rules
//! hold every case; here it is shown that the statuses are what they assume.

use jiff::Timestamp;
use serde_json::Value;
use supercargo::domain::health::{Health, HealthState, RuleSet};
use supercargo_testbed::{Bed, Profiles, Story, story};

const PROFILES: Profiles = Profiles::First("no operator runs: what controllers write is judged");

const OBJECTS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: good}
spec:
  replicas: 2
  selector: {matchLabels: {app: good}}
  template:
    metadata: {labels: {app: good}}
    spec: {containers: [{name: web, image: web:1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: none}
spec:
  replicas: 0
  selector: {matchLabels: {app: none}}
  template:
    metadata: {labels: {app: none}}
    spec: {containers: [{name: web, image: web:1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: late}
spec:
  progressDeadlineSeconds: 2
  minReadySeconds: 1
  selector: {matchLabels: {app: late}}
  template:
    metadata: {labels: {app: late, testbed.supercargo.dev/pod: failed}}
    spec: {containers: [{name: web, image: web:1}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: good}
spec:
  serviceName: good
  replicas: 2
  selector: {matchLabels: {app: set}}
  template:
    metadata: {labels: {app: set}}
    spec: {containers: [{name: web, image: web:1}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: good}
spec:
  selector: {matchLabels: {app: daemon}}
  template:
    metadata: {labels: {app: daemon}}
    spec: {containers: [{name: web, image: web:1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: good}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: web, image: web:1}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: unused}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: good}
spec: {minAvailable: 9, selector: {matchLabels: {app: good}}}
---
apiVersion: v1
kind: Service
metadata: {name: good}
spec: {type: LoadBalancer, selector: {app: good}, ports: [{port: 80}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: good}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: good}}
"#;

/// Version, plural and name; state of the apply's answer, state and message in the end.
const EXPECTED: &[(&str, &str, &str, HealthState, HealthState, &str)] = {
    use HealthState::{Current, Failed, InProgress};
    &[
        ("apps/v1", "deployments", "good", InProgress, Current, "2 replicas available"),
        ("apps/v1", "deployments", "none", InProgress, Current, "scaled to 0"),
        ("apps/v1", "deployments", "late", InProgress, Failed, "ProgressDeadlineExceeded: "),
        ("apps/v1", "statefulsets", "good", InProgress, Current, "2 replicas available"),
        ("apps/v1", "daemonsets", "good", InProgress, Current, ""),
        ("batch/v1", "jobs", "good", InProgress, Current, "has completed"),
        ("v1", "persistentvolumeclaims", "unused", InProgress, Current, "has no volume yet"),
        ("policy/v1", "poddisruptionbudgets", "good", InProgress, Current, "its budget is computed"),
        ("v1", "services", "good", Current, Current, "has a cluster IP, but no load balancer address yet"),
        ("autoscaling/v2", "horizontalpodautoscalers", "good", InProgress, Current, "has a target"),
    ]
};

fn judge(object: &Value) -> Health {
    RuleSet::default().assess(object, Timestamp::now())
}

#[story]
async fn health_follows_the_statuses_of_real_controllers() {
    let story = Story::on(Bed::shared(), "health").await;
    let answers = story.kubectl(&["apply", "--server-side", "-f", "-", "-o", "json"], OBJECTS);
    let answers: Value = serde_json::from_str(&answers).expect("a list of objects");
    for (version, plural, name, first, _, _) in EXPECTED {
        let is = |object: &&Value| {
            let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
            object["apiVersion"] == *version
                && plural.starts_with(&kind)
                && object["metadata"]["name"] == *name
        };
        let object = answers["items"].as_array().expect("items").iter().find(is).expect("an answer");
        let health = judge(object);
        assert_eq!(health.state, *first, "{plural}/{name} {}: {object}", health.message);
    }
    for (version, plural, name, _, state, message) in EXPECTED {
        story
            .wait_for(&format!("{plural}/{name} is {state}: {message}"), async || {
                let health = judge(&story.object(version, plural, name).await?);
                (health.state == *state && health.message.starts_with(message)).then_some(())
            })
            .await;
    }
}

#[story]
async fn namespaces_and_definitions_are_current_once_they_serve() {
    let story = Story::on(Bed::shared(), "health-definition").await;
    let group = format!("{}.example.com", story.namespace());
    let definition = format!("widgets.{group}");
    let yaml = format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {definition}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{plural: widgets, singular: widget, kind: Widget}}
  versions: [{{name: v1, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object}}}}}}]
"
    );
    let answer = story.kubectl(&["apply", "--server-side", "-f", "-", "-o", "json"], &yaml);
    let first = judge(&serde_json::from_str(&answer).expect("an object"));
    assert_eq!(first.state, HealthState::InProgress, "{}", first.message);
    let get = async |version: &str, plural: &str, name: &str| {
        Some(judge(&story.object_in(None, version, plural, name).await?))
    };
    story
        .wait_for("the definition is established", async || {
            let health = get("apiextensions.k8s.io/v1", "customresourcedefinitions", &definition).await?;
            (health == current("is established")).then_some(())
        })
        .await;
    let namespace = get("v1", "namespaces", story.namespace()).await;
    assert_eq!(namespace, Some(current("is active")));
    story.kubectl(&["delete", "crd", &definition], "");
}

fn current(message: &str) -> Health {
    Health { state: HealthState::Current, message: message.to_owned(), changes_at: None }
}
