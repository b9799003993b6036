//! What a refused dry run means: whether another object of the same plan would
//! fix it, and how the refusal is shown to users.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::stage::{Stage, stage};
use super::{Action, Plan, Step, defined_kinds};
use crate::domain::objects::identity::{GroupKind, ObjectId};
use crate::domain::objects::object::Object;

/// A refusal by the API server, or by discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunRefusal {
    /// HTTP status; 0 when the kind is not served at all, so that no request was
    /// sent.
    pub code: u16,
    /// The reason of the API server's Status, such as `Invalid`.
    pub reason: String,
    /// Its message.
    pub message: String,
    /// The resource and the name that it is about; of a 404, those of what does not exist.
    pub subject: (String, String),
}

impl DryRunRefusal {
    /// The kind is not served.
    pub fn no_such_kind(api_version: &str, kind: &str) -> Self {
        Self {
            code: 0,
            reason: "NoMatch".into(),
            message: format!("no matches for kind {kind:?} in version {api_version:?}"),
            subject: Default::default(),
        }
    }

    /// Whether it says that a namespace does not exist.
    pub fn lacks_namespace(&self, name: &str) -> bool {
        self.is_about_a_namespace() && self.subject.1 == name
    }

    /// Whether it says that some namespace does not exist.
    pub fn is_about_a_namespace(&self) -> bool {
        self.code == 404 && self.subject.0 == "namespaces"
    }

    /// Whether the authorizer refuses it. Admission plugins and webhooks deny with the
    /// same code and reason, and the details are those of the object: only the message,
    /// which every authorizer gets from the API server, differs
    /// (k8s.io/apiserver, endpoints/handlers/responsewriters).
    pub fn lacks_rights(&self) -> bool {
        matches!(self.code, 401 | 403) && self.message.contains("is forbidden: User \"")
    }

    /// Whether perhaps only the update is refused, and the object would be accepted
    /// as a new one, which is tried then. The API server answers `Invalid` for an
    /// update of an immutable field, with a different text for each kind, and for
    /// other faults as well; the attempt to create the object shows the difference.
    pub fn may_be_of_the_update(&self) -> bool {
        self.code == 422 || self.is_immutable()
    }

    /// Whether it says that a field is immutable. Only the message says so: the API
    /// server has the causes `FieldValueInvalid` and `FieldValueForbidden` for this and
    /// for other faults, and webhooks deny with any code and no cause. Any other refusal
    /// must not lead to a deletion (fluxcd/kustomize-controller#734).
    pub fn is_immutable(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let says_so = [
            "field is immutable",
            "is immutable",
            "are immutable",
            "may not be changed",
            "cannot be changed",
            "may not change once set",
        ]
        .iter()
        .any(|word| message.contains(word))
            || message.contains("updates to statefulset spec for fields other than");
        matches!(self.code, 422 | 403 | 400) && says_so
    }
}

/// What an object would look like, as far as that is known without the API server:
/// what is sent, merged over the live object. Lists are replaced by those that are sent.
pub fn laid_over(live: &Value, sent: &Value) -> Value {
    let (Value::Object(live), Value::Object(sent)) = (live, sent) else { return sent.clone() };
    let mut result = live.clone();
    for (key, value) in sent {
        let below = live.get(key).map_or_else(|| value.clone(), |there| laid_over(there, value));
        result.insert(key.clone(), below);
    }
    Value::Object(result)
}

/// The longest value that a message quotes, in bytes.
const MAX_QUOTED: usize = 200;

/// A message without the whole structs that the API server quotes as invalid
/// values: a pod template in Go's notation is pages long, and the error comes
/// after it.
pub fn shortened(message: &str) -> String {
    const QUOTES: &str = "Invalid value: {";
    let mut result = String::with_capacity(message.len().min(1024));
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(QUOTES) {
        result.push_str(before);
        let quoted = quoted(after);
        match quoted {
            Some(end) if end > MAX_QUOTED => {
                result.push_str("Invalid value: {…}");
                rest = after.get(end..).unwrap_or_default();
            }
            _ => {
                result.push_str(QUOTES);
                rest = after;
            }
        }
    }
    result.push_str(rest);
    result
}

/// Where the braces that are open at the beginning close, outside of strings.
fn quoted(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (1, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            '{' if !in_string => depth += 1,
            '}' if !in_string => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// What would fix a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cure {
    /// The plan's Namespaces and CustomResourceDefinitions.
    Definitions,
    /// These policies or webhook configurations, which the plan changes.
    Admission(Vec<ObjectId>),
    /// Objects of stages after these but before the refused one, such as a Role.
    Foundations,
}

/// A policy, its binding or a webhook configuration of the plan.
#[derive(Clone, Debug)]
struct Admission {
    id: ObjectId,
    /// The webhooks of a configuration.
    webhooks: Vec<String>,
    /// Whether it already exists in the cluster, so that the refusal can come from it.
    exists: bool,
}

impl Admission {
    fn of(step: &Step) -> Option<Self> {
        if step.id.group != "admissionregistration.k8s.io" {
            return None;
        }
        let webhooks = step.object.value()["webhooks"].as_array().into_iter().flatten();
        let webhooks = webhooks.filter_map(|w| Some(w["name"].as_str()?.to_owned())).collect();
        Some(Self { id: step.id.clone(), webhooks, exists: !step.anew })
    }

    /// Whether it is what refuses. A webhook is named, its configuration is not: a
    /// webhook that the plan removes from a configuration is not in the plan.
    fn refuses(&self, admission: &Refuser<'_>) -> bool {
        match admission {
            Refuser::Webhook(_) if !self.id.kind.ends_with("WebhookConfiguration") => false,
            Refuser::Webhook(name) => self.exists || self.webhooks.iter().any(|w| w == name),
            Refuser::Policy(names) => names.contains(&self.id.name.as_str()),
        }
    }
}

/// What of admission refuses an object.
#[derive(Debug, PartialEq, Eq)]
enum Refuser<'a> {
    /// A webhook: it denied, or could not be called.
    Webhook(&'a str),
    /// A policy and its binding.
    Policy(Vec<&'a str>),
}

impl<'a> Refuser<'a> {
    /// Reads it from the message: the Status has no field for it, and its details are
    /// those of the refused object (k8s.io/apiserver, admission/plugin/webhook/errors and
    /// admission/plugin/policy/validating).
    fn of(message: &'a str) -> Option<Self> {
        let after = |words: &str| message.split_once(words).map(|(_, after)| after);
        let webhook = after("admission webhook \"").or_else(|| after("failed calling webhook \""));
        if let Some(name) = webhook.and_then(|after| after.split('"').next()) {
            return Some(Self::Webhook(name));
        }
        Some(Self::Policy(after("AdmissionPolicy")?.split('\'').skip(1).step_by(2).collect()))
    }
}

/// The kind that a definition defines, in each served version; without a version
/// where none is served.
pub fn defined_versions(object: &Object) -> Vec<(GroupKind, Option<String>)> {
    let Some(kind) = defined_kinds(std::slice::from_ref(object)).pop() else { return Vec::new() };
    let versions = object.value()["spec"]["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|v| v["served"] == true).filter_map(|v| v["name"].as_str());
    let mut served: Vec<_> = served.map(|v| (kind.clone(), Some(v.to_owned()))).collect();
    if served.is_empty() {
        served.push((kind, None));
    }
    served
}

/// The schema of a kind in a version, where this object defines it.
pub fn schema_in<'a>(object: &'a Object, kind: &GroupKind, version: &str) -> Option<&'a Value> {
    if defined_kinds(std::slice::from_ref(object)).pop()? != *kind {
        return None;
    }
    let mut versions = object.value()["spec"]["versions"].as_array()?.iter();
    versions.find(|v| v["name"] == version)?.pointer("/schema/openAPIV3Schema")
}

/// The API versions, as `group/version`, whose schema differs between two states of
/// a definition.
pub fn changed_schemas(before: &Value, after: &Value) -> Vec<String> {
    fn versions(definition: &Value) -> BTreeMap<&str, (&Value, &Value)> {
        let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
        versions.filter_map(|v| Some((v["name"].as_str()?, (&v["served"], &v["schema"])))).collect()
    }
    let group = after["spec"]["group"].as_str().unwrap_or_default();
    let (before, after) = (versions(before), versions(after));
    let changed = after.iter().filter(|(name, schema)| before.get(*name) != Some(*schema));
    changed.filter(|(_, (served, _))| **served == true).map(|(name, _)| format!("{group}/{name}")).collect()
}

/// What the plan contains that could fix a refusal. Only objects that are
/// written count: what already exists has not fixed it.
#[derive(Clone, Debug, Default)]
pub struct Cures {
    namespaces: Vec<String>,
    kinds: Vec<GroupKind>,
    admission: Vec<Admission>,
    /// The namespaces of the written objects of these stages; empty for cluster-scoped ones.
    foundations: BTreeSet<String>,
    bindings: BTreeSet<String>,
}

impl Cures {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let written = || plan.steps.iter().filter(|s| s.action == Action::Write);
        let crds: Vec<_> = written()
            .filter(|s| s.id.is("apiextensions.k8s.io", "CustomResourceDefinition"))
            .map(|s| s.object.clone())
            .collect();
        let namespaces_of =
            |stage: Stage| written().filter(|s| s.stage == stage).map(|s| s.id.namespace.clone()).collect();
        Self {
            namespaces: written().filter(|s| s.id.is("", "Namespace")).map(|s| s.id.name.clone()).collect(),
            kinds: defined_kinds(&crds),
            admission: written().filter_map(Admission::of).collect(),
            foundations: namespaces_of(Stage::Foundations),
            bindings: namespaces_of(Stage::Bindings),
        }
    }

    /// Whether the plan writes the definition of a kind.
    pub fn defines(&self, kind: &GroupKind) -> bool {
        self.kinds.contains(kind)
    }

    /// A namespace that does not exist yet is created before the plan is executed.
    pub fn add_namespace(&mut self, name: &str) {
        self.namespaces.push(name.to_owned());
    }

    /// What would fix the refusal of an object, if anything. Once the definitions
    /// exist (`defined`), they do not fix anything more. Policies and webhooks are
    /// written with them, and do not either.
    pub fn cure(&self, id: &ObjectId, refusal: &DryRunRefusal, defined: bool) -> Option<Cure> {
        let kind = id.group_kind();
        if stage(&kind) == Stage::Definitions {
            return None;
        }
        if !defined {
            // The new definition may accept what the old one refuses.
            if self.defines(&kind) {
                return Some(Cure::Definitions);
            }
            let refuser = Refuser::of(&refusal.message);
            let is_it = |a: &&Admission| a.id != *id && refuser.as_ref().is_some_and(|r| a.refuses(r));
            let refuse: Vec<ObjectId> = self.admission.iter().filter(is_it).map(|a| a.id.clone()).collect();
            if !refuse.is_empty() {
                return Some(Cure::Admission(refuse));
            }
        }
        if !matches!(refusal.code, 0 | 403 | 404) {
            return None;
        }
        if !defined && refusal.code != 0 && self.namespaces.contains(&id.namespace) {
            return Some(Cure::Definitions);
        }
        // Rights in one namespace do not apply in another.
        let near = |there: &BTreeSet<String>| there.contains(&id.namespace) || there.contains("");
        // An object of these stages is retried only once, after the stages before
        // it; the answer to a binding to a missing role is 404.
        let cured = match stage(&kind) {
            Stage::Definitions | Stage::Foundations => false,
            Stage::Bindings => refusal.code != 0 && near(&self.foundations),
            _ => refusal.code == 403 && (near(&self.foundations) || near(&self.bindings)),
        };
        cured.then_some(Cure::Foundations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(code: u16, message: &str) -> DryRunRefusal {
        DryRunRefusal { code, reason: String::new(), message: message.into(), subject: Default::default() }
    }

    fn id(text: &str) -> ObjectId {
        ObjectId::from_inventory_id(text).unwrap()
    }

    #[test]
    fn what_the_plan_itself_contains_defers_a_refusal() {
        let cures = Cures {
            namespaces: vec!["new".into()],
            kinds: vec![GroupKind::new("example.com", "Widget")],
            ..Cures::default()
        };
        let of = |namespace: &str| BTreeSet::from([namespace.to_owned()]);
        let rbac = Cures { foundations: of("old"), ..Cures::default() };
        let check = |cures: &Cures, object: &str, code: u16, defined: bool, expected: Option<Cure>| {
            assert_eq!(
                cures.cure(&id(object), &refusal(code, "x"), defined),
                expected,
                "{object} {code} {defined}"
            );
        };
        let definitions = || Some(Cure::Definitions);
        check(&cures, "new_a__ConfigMap", 404, false, definitions());
        check(&cures, "new_a__ConfigMap", 403, false, definitions());
        check(&cures, "new_a__ConfigMap", 422, false, None);
        check(&cures, "new_a__ConfigMap", 404, true, None);
        check(&cures, "old_a__ConfigMap", 404, false, None);
        check(&cures, "old_a_example.com_Widget", 0, false, definitions());
        // Any refusal by the old definition, and no later one.
        for code in [400, 403, 404, 409, 422, 500] {
            check(&cures, "old_a_example.com_Widget", code, false, definitions());
            check(&cures, "old_a_example.com_Widget", code, true, None);
        }
        check(&cures, "old_a_example.com_Gadget", 0, false, None);
        check(&rbac, "old_a_apps_Deployment", 403, false, Some(Cure::Foundations));
        check(&rbac, "old_a_apps_Deployment", 403, true, Some(Cure::Foundations));
        check(&rbac, "old_a_apps_Deployment", 404, true, None);
        check(&rbac, "_old__Namespace", 403, false, None);
        check(&rbac, "old_a_rbac.authorization.k8s.io_Role", 403, true, None);
        for code in [403, 404] {
            check(&rbac, "old_a_rbac.authorization.k8s.io_RoleBinding", code, true, Some(Cure::Foundations));
        }
        check(&rbac, "old_a_rbac.authorization.k8s.io_RoleBinding", 422, true, None);
        let bindings = Cures { bindings: of("old"), ..Cures::default() };
        check(&bindings, "old_a_apps_Deployment", 403, true, Some(Cure::Foundations));
        // An object of one namespace fixes nothing in another, nor for the whole cluster.
        for cures in [&rbac, &bindings] {
            check(cures, "other_a_apps_Deployment", 403, true, None);
            check(cures, "_a_storage.example_Pool", 403, true, None);
        }
        check(&rbac, "other_a_rbac.authorization.k8s.io_RoleBinding", 403, true, None);
        let whole = Cures { foundations: of(""), ..Cures::default() };
        check(&whole, "other_a_apps_Deployment", 403, true, Some(Cure::Foundations));
        check(&whole, "other_a_rbac.authorization.k8s.io_RoleBinding", 404, true, Some(Cure::Foundations));
        check(&bindings, "old_a_rbac.authorization.k8s.io_RoleBinding", 404, true, None);
    }

    #[test]
    fn a_policy_or_webhook_that_the_plan_changes_is_changed_before_what_it_refuses() {
        let admission = |kind: &str, name: &str, webhooks: &[&str], exists: bool| Admission {
            id: id(&format!("_{name}_admissionregistration.k8s.io_{kind}")),
            webhooks: webhooks.iter().map(|w| (*w).to_owned()).collect(),
            exists,
        };
        let cures = Cures {
            admission: vec![
                admission("ValidatingAdmissionPolicy", "sizes", &[], true),
                admission("ValidatingAdmissionPolicyBinding", "sizes-all", &[], true),
                admission("ValidatingWebhookConfiguration", "new", &["new.example.com"], false),
                admission("MutatingWebhookConfiguration", "old", &["old.example.com"], true),
            ],
            ..Cures::default()
        };
        let check = |message: &str, expected: &[&str]| {
            let cure = cures.cure(&id("a_x__ConfigMap"), &refusal(422, message), false);
            let names = |ids: Vec<ObjectId>| ids.into_iter().map(|i| i.name).collect::<Vec<_>>();
            let found = match cure {
                Some(Cure::Admission(ids)) => names(ids),
                None => Vec::new(),
                other => panic!("{other:?}"),
            };
            assert_eq!(found, expected, "{message}");
            assert_eq!(cures.cure(&id("a_x__ConfigMap"), &refusal(422, message), true), None);
        };
        let policy = "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy ";
        check(
            &format!("{policy}'sizes' with binding 'sizes-all' denied request: no"),
            &["sizes", "sizes-all"],
        );
        check(&format!("{policy}'sizes' with binding 'other' denied request: no"), &["sizes"]);
        check(&format!("{policy}'other' with binding 'sizes-all' denied request: no"), &["sizes-all"]);
        check(&format!("{policy}'other' with binding 'other' denied request: no"), &[]);
        check("admission webhook \"new.example.com\" denied the request: no", &["new", "old"]);
        // One that the plan removes from an existing configuration.
        check("admission webhook \"taken.example.com\" denied the request: no", &["old"]);
        check("Internal error occurred: failed calling webhook \"old.example.com\": no", &["old"]);
        check("ConfigMap \"x\" is invalid: 'sizes'", &[]);
        let policy = id("_sizes_admissionregistration.k8s.io_ValidatingAdmissionPolicy");
        let set_owner_labels = "ValidatingAdmissionPolicy 'sizes' with binding 'b' denied request: no";
        assert_eq!(
            cures.cure(&policy, &refusal(422, set_owner_labels), false),
            None,
            "it does not wait for itself"
        );
    }

    #[test]
    fn a_message_names_what_of_admission_refuses() {
        let check = |message: &str, expected: Option<Refuser<'_>>| {
            assert_eq!(Refuser::of(message), expected, "{message}");
        };
        check(
            "admission webhook \"policy.example.com\" denied the request: no",
            Some(Refuser::Webhook("policy.example.com")),
        );
        check(
            "Internal error occurred: failed calling webhook \"policy.example.com\": failed to call webhook: \
             Post \"https://policy.apps.svc:443/?timeout=10s\": dial tcp 10.0.0.1:443: connect: connection refused",
            Some(Refuser::Webhook("policy.example.com")),
        );
        check(
            "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'sizes' with binding 'all' denied request: no",
            Some(Refuser::Policy(vec!["sizes", "all"])),
        );
        check("ConfigMap \"a\" is invalid: data: Invalid value: \"b\"", None);
    }

    #[test]
    fn a_message_tells_the_authorizer_from_admission() {
        let check = |code: u16, message: &str, expected: bool| {
            assert_eq!(refusal(code, message).lacks_rights(), expected, "{code} {message}");
        };
        let user = "configmaps \"a\" is forbidden: User \"system:serviceaccount:apps:deployer\" cannot patch \
                    resource \"configmaps\" in API group \"\" in the namespace \"apps\"";
        check(403, user, true);
        check(422, user, false);
        check(403, "admission webhook \"policy.example.com\" denied the request: no", false);
        check(403, "pods \"a\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=1", false);
    }

    #[test]
    fn a_missing_namespace_is_known_by_its_resource() {
        let check = |code: u16, resource: &str, name: &str, expected: bool| {
            let subject = (resource.to_owned(), name.to_owned());
            let found = DryRunRefusal { subject, ..refusal(code, "x") };
            assert_eq!(found.lacks_namespace("apps"), expected, "{code} {resource} {name}");
        };
        check(404, "namespaces", "apps", true);
        check(404, "namespaces", "web", false);
        check(404, "clusterroles", "apps", false);
        check(403, "namespaces", "apps", false);
    }

    #[test]
    fn what_is_sent_is_merged_over_the_live_object() {
        let live =
            json!({"metadata": {"uid": "u", "labels": {"a": "1"}}, "spec": {"size": "s", "list": [1, 2]}});
        let sent = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"size": "l", "list": [3]}});
        let expected = json!({"metadata": {"uid": "u", "labels": {"a": "1", "b": "2"}}, "spec": {"size": "l", "list": [3]}});
        assert_eq!(laid_over(&live, &sent), expected);
    }

    #[test]
    fn a_definition_brings_its_served_versions_and_changes_those_whose_schema_differs() {
        let definition = |versions: Value| {
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "widgets.example.com"},
                "spec": {"group": "example.com", "names": {"kind": "Widget"}, "versions": versions}})
        };
        let version = |name: &str, served: bool, schema: &str| json!({"name": name, "served": served, "schema": schema});
        let brings = |versions: Value, expected: &[Option<&str>]| {
            let found = defined_versions(&Object::new(definition(versions)).unwrap());
            let expected: Vec<_> = expected
                .iter()
                .map(|v| (GroupKind::new("example.com", "Widget"), v.map(str::to_owned)))
                .collect();
            assert_eq!(found, expected);
        };
        brings(
            json!([version("v1", true, "a"), version("v2", false, "a"), version("v3", true, "a")]),
            &[Some("v1"), Some("v3")],
        );
        brings(json!([version("v1", false, "a")]), &[None]);
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        assert!(defined_versions(&Object::new(other).unwrap()).is_empty());

        let changes = |before: Value, after: Value, expected: &[&str]| {
            assert_eq!(changed_schemas(&definition(before), &definition(after)), expected);
        };
        let first = || version("v1", true, "a");
        changes(json!([first()]), json!([first()]), &[]);
        changes(json!([first()]), json!([version("v1", true, "b")]), &["example.com/v1"]);
        changes(json!([first()]), json!([first(), version("v2", true, "a")]), &["example.com/v2"]);
        changes(json!([version("v1", false, "a")]), json!([first()]), &["example.com/v1"]);
        changes(json!([first()]), json!([version("v1", false, "a")]), &[]);
    }

    #[test]
    fn what_is_wrong_is_not_hidden_behind_a_quoted_struct() {
        let check = |message: &str, expected: &str| assert_eq!(shortened(message), expected);
        let long = format!(r#"{{"a":"}}\"{}","b":{{}}}}"#, "x".repeat(MAX_QUOTED));
        check(
            &format!("spec.a: Invalid value: {long}: field is immutable, spec.b: Invalid value: {long}: bad"),
            "spec.a: Invalid value: {…}: field is immutable, spec.b: Invalid value: {…}: bad",
        );
        for kept in [
            "spec.a: Invalid value: {\"a\":1}: field is immutable",
            "spec.a: Invalid value: \"x\": bad",
            "Invalid value: {",
            "",
        ] {
            check(kept, kept);
        }
        let open = format!("Invalid value: {{{}", "x".repeat(MAX_QUOTED * 2));
        check(&open, &open);
    }

    #[test]
    fn only_words_of_immutability_allow_a_recreation() {
        let check = |code: u16, message: &str, expected: bool| {
            assert_eq!(refusal(code, message).is_immutable(), expected, "{code} {message}");
        };
        check(
            422,
            "Deployment.apps \"a\" is invalid: spec.selector: Invalid value: {}: field is immutable",
            true,
        );
        check(
            422,
            "StatefulSet.apps \"a\" is invalid: spec: Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
            true,
        );
        check(422, "spec.ports[0].port: Required value", false);
        check(403, "admission webhook \"x\" denied the request: size is immutable", true);
        check(409, "field is immutable", false);
        check(500, "field is immutable", false);
    }
}
