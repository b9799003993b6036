//! The kinds that workloads depend on: definitions, namespaces, Services, budgets,
//! autoscalers and aggregated APIs.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::fields::{Condition, Fields};
use super::rule::Rule;
use super::verdict::{Health, HealthState};
use crate::api::keys;

/// The rules of this family.
pub fn rule(group: &str, kind: &str) -> Option<Rule> {
    let rule: Rule = match (group, kind) {
        ("", "Service") => service,
        ("networking.k8s.io", "Ingress") => ingress,
        ("", "Namespace") => namespace,
        ("policy", "PodDisruptionBudget") => disruption_budget,
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler,
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition,
        ("apiregistration.k8s.io", "APIService") => api_service,
        _ => return None,
    };
    Some(rule)
}

/// Whether the object asks for the address of a load balancer. Many clusters never
/// assign one.
fn wants_address(fields: Fields<'_>) -> bool {
    let annotations = fields.value("/metadata/annotations");
    annotations.and_then(|a| a.get(keys::WAIT_FOR_ADDRESS)?.as_str()) == Some(keys::ENABLED)
}

fn has_address(fields: Fields<'_>) -> bool {
    fields.list("/status/loadBalancer/ingress").next().is_some()
}

/// As in kstatus, a Service is current once it has its cluster IP. It waits for the
/// address of a load balancer only if its annotation asks for that; the message says
/// that the address is missing.
pub(super) fn service(fields: Fields<'_>, _now: Timestamp) -> Health {
    let kind = fields.text("/spec/type").unwrap_or("ClusterIP");
    if kind == "ExternalName" {
        return Health::current("is an ExternalName Service");
    }
    if fields.text("/spec/clusterIP").is_none() {
        return Health::in_progress("has no cluster IP yet");
    }
    match kind == "LoadBalancer" && !has_address(fields) {
        true if wants_address(fields) => Health::in_progress("has no load balancer address yet"),
        true => Health::current("has a cluster IP, but no load balancer address yet"),
        false => Health::current("has its addresses"),
    }
}

/// An Ingress has an address when its controller serves it. It waits for it only if its
/// annotation asks for that: some controllers never write one.
pub(super) fn ingress(fields: Fields<'_>, _now: Timestamp) -> Health {
    match has_address(fields) {
        true => Health::current("has an address"),
        false if wants_address(fields) => Health::in_progress("has no address yet"),
        false => Health::current("exists"),
    }
}

pub(super) fn namespace(fields: Fields<'_>, _now: Timestamp) -> Health {
    match fields.text("/status/phase").unwrap_or_default() {
        "Active" => Health::current("is active"),
        "Terminating" => Health::new(HealthState::Terminating, "is being deleted"),
        _ => Health::in_progress("is not active yet"),
    }
}

pub(super) fn definition(fields: Fields<'_>, _now: Timestamp) -> Health {
    if let Some(c) = fields.condition("NamesAccepted").filter(|c| c.is("False")) {
        return Health::failed(format!("its names are not accepted, {}", c.explain()));
    }
    if let Some(c) = fields.holds("NonStructuralSchema") {
        return Health::failed(format!("its schema is not structural, {}", c.explain()));
    }
    match fields.condition("Established") {
        Some(c) if c.is("True") => Health::current("is established"),
        Some(c) if c.is("False") && c.reason() != "Installing" => {
            Health::failed(format!("cannot be established, {}", c.explain()))
        }
        _ => Health::in_progress("is not established yet"),
    }
}

pub(super) fn disruption_budget(fields: Fields<'_>, _now: Timestamp) -> Health {
    if let Some(health) = fields.unobserved() {
        return health;
    }
    // False because pods are missing is the purpose of a budget; only a failed sync
    // means that the budget protects nothing.
    match fields.conditions().find(|c| c.kind() == "DisruptionAllowed" && c.reason() == "SyncFailed") {
        Some(c) => Health::in_progress(c.explain()),
        None => Health::current("its budget is computed"),
    }
}

/// How long the controller of autoscalers may take to look at a new one: it does so every
/// 15 seconds.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(30);

/// Where version 1 keeps the conditions.
const CONDITIONS_OF_V1: &str = "/metadata/annotations/autoscaling.alpha.kubernetes.io~1conditions";

/// Without a metrics server an autoscaler never becomes active, and that is not a
/// fault of the release. A target that does not exist or cannot be scaled is one.
pub(super) fn autoscaler(fields: Fields<'_>, now: Timestamp) -> Health {
    let of_v1: Value =
        fields.text(CONDITIONS_OF_V1).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let conditions = fields.conditions().chain(of_v1.as_array().into_iter().flatten().map(Condition::of));
    let conditions: Vec<Condition<'_>> = conditions.collect();
    if conditions.is_empty() {
        return fields.unreported(FIRST_LOOK, now);
    }
    match conditions.into_iter().find(|c| c.kind() == "AbleToScale") {
        Some(c) if c.is("False") || c.reason() == "FailedGetScale" => {
            Health::in_progress(format!("cannot scale its target, {}", c.explain()))
        }
        _ => Health::current("has a target"),
    }
}

pub(super) fn api_service(fields: Fields<'_>, _now: Timestamp) -> Health {
    match fields.condition("Available") {
        Some(c) if c.is("True") => Health::current("is available"),
        Some(c) => Health::in_progress(format!("is not available, {}", c.explain())),
        None => Health::in_progress("is not available yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HealthState, HealthState::*, RuleSet};
    use serde_json::{Value, json};

    fn check(version: &str, kind: &str, spec: Value, status: Value, state: HealthState, message: &str) {
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"generation": 1},
            "spec": spec, "status": status});
        let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"conditions": [{"type": kind, "status": status, "reason": reason, "message": "m"}]})
    }

    #[test]
    fn services() {
        let check = |spec, status, state, message: &str| check("v1", "Service", spec, status, state, message);
        check(json!({}), json!({}), InProgress, "has no cluster IP yet");
        check(json!({"clusterIP": "10.0.0.1"}), json!({}), Current, "has its addresses");
        check(json!({"clusterIP": "None"}), json!({}), Current, "has its addresses");
        check(json!({"type": "ExternalName"}), json!({}), Current, "is an ExternalName Service");
        let balanced = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"});
        check(
            balanced.clone(),
            json!({"loadBalancer": {}}),
            Current,
            "has a cluster IP, but no load balancer address yet",
        );
        check(
            balanced,
            json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}),
            Current,
            "has its addresses",
        );
    }

    #[test]
    fn addresses_are_waited_for_on_request() {
        let check = |version: &str,
                     kind: &str,
                     spec: Value,
                     status: Value,
                     asked: bool,
                     state,
                     message: &str| {
            let annotations =
                if asked { json!({"supercargo.dev/wait-for-address": "enabled"}) } else { json!({}) };
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"annotations": annotations},
                "spec": spec, "status": status});
            let health = RuleSet::default().assess(&object, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
        };
        let (none, one) =
            (json!({"loadBalancer": {}}), json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}));
        let balanced = json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"});
        let plain = json!({"clusterIP": "10.0.0.1"});
        check(
            "v1",
            "Service",
            balanced.clone(),
            none.clone(),
            true,
            InProgress,
            "has no load balancer address yet",
        );
        check("v1", "Service", balanced, one.clone(), true, Current, "has its addresses");
        check("v1", "Service", plain, none.clone(), true, Current, "has its addresses");
        let ingress = |status: &Value, asked, state, message: &str| {
            check("networking.k8s.io/v1", "Ingress", json!({}), status.clone(), asked, state, message);
        };
        ingress(&none, false, Current, "exists");
        ingress(&none, true, InProgress, "has no address yet");
        ingress(&one, true, Current, "has an address");
    }

    #[test]
    fn namespaces() {
        let check =
            |status, state, message: &str| check("v1", "Namespace", json!({}), status, state, message);
        check(json!({}), InProgress, "is not active yet");
        check(json!({"phase": "Active"}), Current, "is active");
        check(json!({"phase": "Terminating"}), Terminating, "is being deleted");
    }

    #[test]
    fn definitions() {
        let check = |status, state, message: &str| {
            check("apiextensions.k8s.io/v1", "CustomResourceDefinition", json!({}), status, state, message);
        };
        check(json!({}), InProgress, "is not established yet");
        check(condition("Established", "False", "Installing"), InProgress, "is not established yet");
        check(condition("Established", "True", "InitialNamesAccepted"), Current, "is established");
        check(condition("Established", "False", "Broken"), Failed, "cannot be established, Broken: m");
        check(
            condition("NamesAccepted", "False", "PluralConflict"),
            Failed,
            "its names are not accepted, PluralConflict: m",
        );
    }

    #[test]
    fn budgets_autoscalers_and_aggregated_apis() {
        let budget = |status, state, message: &str| {
            check("policy/v1", "PodDisruptionBudget", json!({}), status, state, message);
        };
        budget(json!({}), InProgress, "its controller has not seen the latest change yet");
        budget(json!({"observedGeneration": 1}), Current, "its budget is computed");
        let mut failed = condition("DisruptionAllowed", "False", "SyncFailed");
        failed["observedGeneration"] = 1.into();
        budget(failed, InProgress, "SyncFailed: m");

        let scaler = |status, state, message: &str| {
            check("autoscaling/v2", "HorizontalPodAutoscaler", json!({}), status, state, message);
        };
        scaler(json!({}), InProgress, "has no status yet");
        scaler(condition("ScalingActive", "False", "FailedGetResourceMetric"), Current, "has a target");
        scaler(
            condition("AbleToScale", "False", "FailedGetScale"),
            InProgress,
            "cannot scale its target, FailedGetScale: m",
        );

        let aggregated = |status, state, message: &str| {
            check("apiregistration.k8s.io/v1", "APIService", json!({}), status, state, message);
        };
        aggregated(json!({}), InProgress, "is not available yet");
        aggregated(condition("Available", "True", "Passed"), Current, "is available");
        aggregated(
            condition("Available", "False", "MissingEndpoints"),
            InProgress,
            "is not available, MissingEndpoints: m",
        );
    }
}
