//! What a refused dry run means: whether an object of the same plan would cure
//! it, and how it is told to a person.

use super::identity::{GroupKind, ObjectId};
use super::plan::{Action, Plan, defined_kinds};
use super::stage::{Stage, stage};

/// A refusal by the API server, or by discovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; 0 when the kind is not served at all, so that there was no
    /// request.
    pub code: u16,
    /// The reason of the API server's Status, such as `Invalid`.
    pub reason: String,
    /// Its message.
    pub message: String,
}

impl Refusal {
    /// The kind is not served.
    pub fn no_such_kind(api_version: &str, kind: &str) -> Self {
        Self {
            code: 0,
            reason: "NoMatch".into(),
            message: format!("no matches for kind {kind:?} in version {api_version:?}"),
        }
    }

    /// Whether it says that a namespace does not exist.
    pub fn lacks_namespace(&self, name: &str) -> bool {
        self.code == 404 && self.message == format!("namespaces {name:?} not found")
    }

    /// Whether the object may be acceptable, and only its update is not: a new
    /// one is tried then. The API server says `Invalid` for an update of what
    /// cannot change, in other words for each kind, and for other faults as well;
    /// whether it would take the object anew tells them apart.
    pub fn may_be_of_the_update(&self) -> bool {
        self.code == 422 || self.is_immutable()
    }

    /// Whether it says that a field may not change. Webhooks deny with any code,
    /// so their words decide. Any other refusal must not lead to a deletion
    /// (fluxcd/kustomize-controller#734).
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

/// The longest value that a message quotes, in bytes.
const MAX_QUOTED: usize = 200;

/// A message without the whole structs that the API server quotes as invalid
/// values: a pod template in Go's words is pages long, and what is wrong comes
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

/// What would cure a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// The plan's Namespaces and CustomResourceDefinitions.
    Definitions,
    /// Objects of stages after these but before the refused one, such as a Role.
    Foundations,
}

/// What the plan brings that could cure a refusal. Only objects that are
/// written count: what exists already has not cured it.
#[derive(Debug, Default)]
pub struct Cures {
    namespaces: Vec<String>,
    kinds: Vec<GroupKind>,
    foundations: bool,
    bindings: bool,
}

impl Cures {
    /// Of a plan.
    pub fn of(plan: &Plan) -> Self {
        let written = || plan.steps.iter().filter(|s| s.action == Action::Write);
        let crds: Vec<_> = written()
            .filter(|s| s.id.is("apiextensions.k8s.io", "CustomResourceDefinition"))
            .map(|s| s.object.clone())
            .collect();
        Self {
            namespaces: written().filter(|s| s.id.is("", "Namespace")).map(|s| s.id.name.clone()).collect(),
            kinds: defined_kinds(&crds),
            foundations: written().any(|s| s.stage == Stage::Foundations),
            bindings: written().any(|s| s.stage == Stage::Bindings),
        }
    }

    /// A namespace that does not exist yet will be made before the plan is
    /// carried out.
    pub fn add_namespace(&mut self, name: &str) {
        self.namespaces.push(name.to_owned());
    }

    /// What would cure the refusal of an object, if anything. Once the
    /// definitions are there (`defined`), they cure nothing more.
    pub fn cure(&self, id: &ObjectId, refusal: &Refusal, defined: bool) -> Option<Cure> {
        let kind = id.group_kind();
        let curable = matches!(refusal.code, 0 | 403 | 404);
        if !curable || stage(&kind) == Stage::Definitions {
            return None;
        }
        if !defined {
            if self.kinds.contains(&kind) {
                return Some(Cure::Definitions);
            }
            if refusal.code != 0 && self.namespaces.contains(&id.namespace) {
                return Some(Cure::Definitions);
            }
        }
        // An object of these stages is tried only once more, after what is before
        // it; a binding to a role that is missing is answered with 404.
        let cured = match stage(&kind) {
            Stage::Definitions | Stage::Foundations => false,
            Stage::Bindings => refusal.code != 0 && self.foundations,
            _ => refusal.code == 403 && (self.foundations || self.bindings),
        };
        cured.then_some(Cure::Foundations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: u16, message: &str) -> Refusal {
        Refusal { code, reason: String::new(), message: message.into() }
    }

    fn id(text: &str) -> ObjectId {
        ObjectId::from_inventory_id(text).unwrap()
    }

    #[test]
    fn what_the_plan_itself_brings_defers_a_refusal() {
        let cures = Cures {
            namespaces: vec!["new".into()],
            kinds: vec![GroupKind::new("example.com", "Widget")],
            ..Cures::default()
        };
        let rbac = Cures { foundations: true, ..Cures::default() };
        let check = |cures: &Cures, object: &str, code: u16, defined: bool, expected: Option<Cure>| {
            assert_eq!(
                cures.cure(&id(object), &refusal(code, "x"), defined),
                expected,
                "{object} {code} {defined}"
            );
        };
        let definitions = Some(Cure::Definitions);
        check(&cures, "new_a__ConfigMap", 404, false, definitions);
        check(&cures, "new_a__ConfigMap", 403, false, definitions);
        check(&cures, "new_a__ConfigMap", 422, false, None);
        check(&cures, "new_a__ConfigMap", 404, true, None);
        check(&cures, "old_a__ConfigMap", 404, false, None);
        check(&cures, "old_a_example.com_Widget", 0, false, definitions);
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
        let bindings = Cures { bindings: true, ..Cures::default() };
        check(&bindings, "old_a_apps_Deployment", 403, true, Some(Cure::Foundations));
        check(&bindings, "old_a_rbac.authorization.k8s.io_RoleBinding", 404, true, None);
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
