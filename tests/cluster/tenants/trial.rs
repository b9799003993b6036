//! One policy before real users: what was allowed without it is refused by every way
//! that leads to the object, and what it allows stays allowed.

use http::Method;
use serde_json::{Value, json};
use supercargo_testbed::Story;

use super::people::Person;
use crate::chart::helm;

pub const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const EDIT: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// The ways to change a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Update,
    Merge,
    Edit,
    Apply,
}

const WAYS: [Way; 4] = [Way::Update, Way::Merge, Way::Edit, Way::Apply];

/// Somebody's change, as a merge patch, and what is said of it; empty: it is allowed.
pub struct Attempt<'a> {
    pub who: &'a Person,
    pub patch: Value,
    pub says: &'static str,
    /// A new release that has it from the beginning is refused, too.
    pub new: bool,
}

/// A change that is refused, also of a release that is new.
pub fn refused<'a>(who: &'a Person, patch: Value, says: &'static str) -> Attempt<'a> {
    Attempt { who, patch, says, new: true }
}

/// A change that is refused, of a release that is there.
pub fn change<'a>(who: &'a Person, patch: Value, says: &'static str) -> Attempt<'a> {
    Attempt { who, patch, says, new: false }
}

/// A change that is allowed.
pub fn allowed(who: &Person, patch: Value) -> Attempt<'_> {
    Attempt { who, patch, says: "", new: false }
}

/// A story with a release, `app`.
pub struct Trial<'a> {
    pub story: Story<'static>,
    admin: Person,
    values: &'a str,
}

/// Installs policies of the chart for the namespace of a story.
pub fn install(story: &Story<'_>, values: &str) {
    let namespace = story.namespace();
    let selector =
        format!("namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}");
    // The name has at most 42 characters.
    let name = format!("p-{}", &namespace[namespace.len().saturating_sub(38)..].trim_start_matches('-'));
    let values = format!("{{fullnameOverride: {name}, {}}}", values.replace("SELECTOR", &selector));
    let flags = ["--show-only=templates/policies.yaml"];
    let yaml = helm::printed(&helm::template(namespace, &values, &flags));
    story.bed().kubectl(&["apply", "--server-side", "-f", "-"], &yaml);
}

impl Trial<'_> {
    /// `values` are those of the chart, with SELECTOR among those of `policies`; `release` is laid over a
    /// release.
    pub async fn begin(name: &str, values: &'static str, release: &Value) -> Trial<'static> {
        let story = Story::begin(name).await;
        let admin = Person::admin(&story);
        let trial = Trial { story, admin, values };
        let path = trial.path("/app?fieldManager=trial");
        let mut object = json!({
            "apiVersion": "supercargo.dev/v1alpha1",
            "kind": "OCIArtifactRelease",
            "metadata": {"name": "app", "annotations": {"example.com/note": "x"}},
            "spec": {"url": "oci://ghcr.io/acme/app", "prune": true},
        });
        merge(&mut object, release);
        trial.admin.send(Method::PATCH, &path, APPLY, &object).await.expect("the release");
        trial
    }

    fn path(&self, rest: &str) -> String {
        let namespace = self.story.namespace();
        format!("/apis/supercargo.dev/v1alpha1/namespaces/{namespace}/ociartifactreleases{rest}")
    }

    async fn release(&self) -> Value {
        self.story.release("app").await.expect("the release")
    }

    /// Sends one change by one way.
    async fn by(&self, attempt: &Attempt<'_>, way: Way, parameters: &str) -> Result<Value, String> {
        let before = self.release().await;
        let mut after = before.clone();
        merge(&mut after, &attempt.patch);
        let path = self.path(&format!("/app?fieldManager=trial&{parameters}"));
        let who = attempt.who;
        match way {
            Way::Update => who.send(Method::PUT, &path, JSON, &after).await,
            Way::Merge => who.send(Method::PATCH, &path, MERGE, &attempt.patch).await,
            Way::Edit => who.send(Method::PATCH, &path, EDIT, &edits(&attempt.patch, &after)).await,
            Way::Apply => {
                let body = bare(&after, "app");
                who.send(Method::PATCH, &format!("{path}&force=true"), APPLY, &body).await
            }
        }
    }

    /// Creates another release with the change, by both ways.
    async fn create(&self, attempt: &Attempt<'_>) -> [Result<Value, String>; 2] {
        let mut after = self.release().await;
        merge(&mut after, &attempt.patch);
        let body = bare(&after, "new");
        let (post, patch) = (self.path("?dryRun=All"), self.path("/new?fieldManager=trial&dryRun=All"));
        let created = attempt.who.send(Method::POST, &post, JSON, &body).await;
        [created, attempt.who.send(Method::PATCH, &patch, APPLY, &body).await]
    }

    /// What is judged of a release: all but what the API server keeps itself.
    async fn judged(&self) -> Value {
        let release = self.release().await;
        json!([release["spec"], release["metadata"]["annotations"]])
    }

    /// Installs the policies, and holds all attempts against them.
    pub async fn judge(&self, attempts: &[Attempt<'_>]) {
        // Without the policy all of it is allowed: it is what refuses.
        for attempt in attempts {
            for way in WAYS {
                let answer = self.by(attempt, way, "dryRun=All").await;
                assert!(answer.is_ok(), "without a policy, {way:?} {}: {answer:?}", attempt.patch);
            }
            if attempt.new {
                assert!(self.create(attempt).await.iter().all(Result::is_ok), "{}", attempt.patch);
            }
        }
        install(&self.story, self.values);
        let first = attempts.iter().find(|attempt| !attempt.says.is_empty()).expect("one that is refused");
        let in_force = async || {
            let answer = self.by(first, Way::Merge, "dryRun=All").await;
            answer.is_err_and(|said| said.contains(first.says)).then_some(())
        };
        self.story.wait_for("the policy is in force", in_force).await;
        let before = self.judged().await;
        for attempt in attempts {
            let patch = &attempt.patch;
            if attempt.says.is_empty() {
                for way in WAYS {
                    let answer = self.by(attempt, way, "dryRun=All").await;
                    assert!(answer.is_ok(), "{way:?} {patch} is allowed: {answer:?}");
                }
                continue;
            }
            for way in WAYS {
                let said = self.by(attempt, way, "").await.expect_err(&format!("{way:?} {patch}"));
                assert!(said.contains(attempt.says), "{way:?} {patch}: {said}");
                assert!(!said.contains("failed expression"), "{way:?} {patch}: {said}");
            }
            for answer in if attempt.new { self.create(attempt).await.to_vec() } else { Vec::new() } {
                let said = answer.expect_err(&format!("new with {patch}"));
                assert!(said.contains(attempt.says), "new with {patch}: {said}");
            }
            self.by_status(attempt).await;
            assert_eq!(self.judged().await, before, "{patch}");
        }
    }

    /// The status has its own address, which takes whole releases.
    async fn by_status(&self, attempt: &Attempt<'_>) {
        let mut whole = self.release().await;
        merge(&mut whole, &attempt.patch);
        let path = self.path("/app/status");
        let merged = attempt.who.send(Method::PATCH, &path, MERGE, &attempt.patch).await;
        let updated = attempt.who.send(Method::PUT, &path, JSON, &whole).await;
        // Either the user has no right to it, or it changes nothing but the status.
        let forbidden = |said: &str| said.contains("is forbidden: User");
        for answer in [merged, updated] {
            assert!(
                answer.as_ref().err().is_none_or(|said| forbidden(said) || said.contains("modified")),
                "{answer:?}"
            );
        }
    }
}

/// A JSON merge patch.
pub fn merge(into: &mut Value, patch: &Value) {
    let (Some(map), Some(changes)) = (into.as_object_mut(), patch.as_object()) else {
        *into = patch.clone();
        return;
    };
    for (key, value) in changes {
        match value {
            Value::Null => drop(map.remove(key)),
            Value::Object(_) => merge(map.entry(key).or_insert_with(|| json!({})), value),
            value => drop(map.insert(key.clone(), value.clone())),
        }
    }
}

/// The operations that a merge patch is, given the object after it.
fn edits(patch: &Value, after: &Value) -> Value {
    let mut all = Vec::new();
    for place in ["/spec", "/metadata/annotations"] {
        for key in patch.pointer(place).and_then(Value::as_object).into_iter().flatten().map(|(key, _)| key) {
            let path = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
            all.push(match after.pointer(&path) {
                Some(value) => json!({"op": "add", "path": path, "value": value}),
                None => json!({"op": "remove", "path": path}),
            });
        }
    }
    all.into()
}

/// A release as somebody would write it, with another name.
fn bare(release: &Value, name: &str) -> Value {
    json!({
        "apiVersion": release["apiVersion"],
        "kind": release["kind"],
        "metadata": {"name": name, "annotations": release["metadata"]["annotations"]},
        "spec": release["spec"],
    })
}
