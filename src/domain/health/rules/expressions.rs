//! Rules that a person writes as expressions, for the kinds of one release.
//!
//! The order and the meaning are those of RFC 9 of Flux
//! (github.com/fluxcd/flux2/tree/main/rfcs/0009-custom-health-checks): a status of an older
//! generation is in progress before any expression is asked; then `inProgress`, `failed` and
//! `current`; if none is true, the object is in progress. An expression without an answer
//! ends the judgement there, with words.

use serde_json::Value;

use super::super::fields::{Fields, unobserved};
use super::super::verdict::{Health, cut};
use crate::api::health::HealthCheckExpr;
use crate::domain::expression::{Expression, FieldPath};
use crate::domain::objects::identity::group_of;

/// How much of an expression a message quotes, in bytes.
const QUOTED: usize = 160;

/// What an expression that is true says about an object.
type Verdict = fn(String) -> Health;

/// The rules of a release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpressionRules(Vec<ExpressionRule>);

/// The rule for a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpressionRule {
    group: String,
    /// `None` for all other kinds of the group.
    kind: Option<String>,
    /// Where it is in the spec.
    place: usize,
    /// Nothing for a kind that is ignored.
    checks: Option<Checks>,
}

#[derive(Clone, Debug, PartialEq)]
struct Checks {
    in_progress: Option<Expression>,
    failed: Option<Expression>,
    current: Expression,
}

impl ExpressionRules {
    /// Parses `healthCheckExprs`.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub fn parse(rules: &[HealthCheckExpr]) -> Result<Self, (String, String)> {
        let mut all: Vec<ExpressionRule> = Vec::with_capacity(rules.len());
        for (place, rule) in rules.iter().enumerate() {
            let field = |name: &str| format!("healthCheckExprs[{place}].{name}");
            let parse = |name: &str, text: &Option<String>| {
                let parsed = text.as_deref().map(Expression::parse).transpose();
                parsed.map_err(|error| (field(name), error.to_string()))
            };
            let group = group_of(&rule.api_version).to_owned();
            let current = parse("current", &rule.current)?;
            let (in_progress, failed) =
                (parse("inProgress", &rule.in_progress)?, parse("failed", &rule.failed)?);
            let checks = match (current, rule.ignore) {
                (Some(current), false) => Some(Checks { in_progress, failed, current }),
                (None, true) => None,
                _ => {
                    let problem = "needs exactly one of current and ignore: true".to_owned();
                    return Err((format!("healthCheckExprs[{place}]"), problem));
                }
            };
            if let Some(other) = all.iter().find(|other| other.group == group && other.kind == rule.kind) {
                let problem = format!("there is a rule for it already: healthCheckExprs[{}]", other.place);
                return Err((field(if rule.kind.is_some() { "kind" } else { "apiVersion" }), problem));
            }
            all.push(ExpressionRule { group, kind: rule.kind.clone(), place, checks });
        }
        Ok(Self(all))
    }

    /// The rule for a kind: its own, or that of its group.
    pub fn of(&self, group: &str, kind: &str) -> Option<&ExpressionRule> {
        let named =
            |name: Option<&str>| self.0.iter().find(|r| r.group == group && r.kind.as_deref() == name);
        named(Some(kind)).or_else(|| named(None))
    }
}

impl ExpressionRule {
    /// Whether objects of the kind can be anything but current.
    pub(super) fn can_be_unhealthy(&self) -> bool {
        self.checks.is_some()
    }

    /// The fields that its expressions need, each with the place of the expression in the
    /// spec.
    pub fn fields(&self) -> Vec<(String, FieldPath)> {
        let Some(checks) = &self.checks else { return Vec::new() };
        let named = [
            ("inProgress", checks.in_progress.as_ref()),
            ("failed", checks.failed.as_ref()),
            ("current", Some(&checks.current)),
        ];
        let of = |(name, expression): (&str, Option<&Expression>)| {
            let place = format!("healthCheckExprs[{}].{name}", self.place);
            let fields = expression.map(Expression::fields).unwrap_or_default();
            fields.into_iter().map(move |path| (place.clone(), path)).collect::<Vec<_>>()
        };
        named.into_iter().flat_map(of).collect()
    }

    /// Judges an object.
    pub(super) fn judge(&self, object: &Value, fields: Fields<'_>) -> Health {
        let Some(checks) = &self.checks else {
            return Health::current("is not checked (ignore in spec.healthCheckExprs)");
        };
        let observed = fields.number("/status/observedGeneration");
        if observed.is_some_and(|seen| fields.number("/metadata/generation").is_some_and(|now| now != seen)) {
            return unobserved();
        }
        let variables: Vec<(&str, &Value)> =
            object.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect();
        let states: [(&str, Option<&Expression>, Verdict); 3] = [
            ("inProgress", checks.in_progress.as_ref(), Health::in_progress),
            ("failed", checks.failed.as_ref(), Health::failed),
            ("current", Some(&checks.current), Health::current),
        ];
        for (name, expression, health) in states {
            let Some(expression) = expression else { continue };
            let quoted = cut(expression.text().to_owned(), QUOTED);
            match expression.holds(&variables) {
                Ok(true) => return health(format!("{name} is true: {quoted}")),
                Ok(false) => {}
                Err(error) => return Health::in_progress(format!("{name} has no answer, {error}: {quoted}")),
            }
        }
        Health::in_progress(format!("current is not true: {}", cut(checks.current.text().to_owned(), QUOTED)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{HealthState, HealthState::*, Reports, RuleSet};
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn rules(rules: Value) -> Result<RuleSet, String> {
        let rules: Vec<HealthCheckExpr> = serde_json::from_value(rules).unwrap();
        let rules =
            ExpressionRules::parse(&rules).map_err(|(field, problem)| format!("{field}: {problem}"))?;
        Ok(RuleSet::with(Arc::new(rules)))
    }

    #[test]
    fn the_order_is_that_of_flux() {
        let rules = rules(json!([{
            "apiVersion": "example.com/v1", "kind": "Widget",
            "inProgress": "status.phase == 'Working'",
            "failed": "status.phase == 'Broken' || status.broken",
            "current": "status.phase in ['Done', 'Working', 'Broken']",
        }]))
        .unwrap();
        let check = |status: Value, state: HealthState, message: &str| {
            let object = json!({"apiVersion": "example.com/v2", "kind": "Widget",
                "metadata": {"name": "a", "generation": 2}, "status": status});
            let health = rules.assess_of(Reports::Yes, &object, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!((health.state, health.message.as_str()), (state, message), "{object}");
        };
        check(
            json!({"phase": "Working", "broken": true}),
            InProgress,
            "inProgress is true: status.phase == 'Working'",
        );
        check(
            json!({"phase": "Broken"}),
            Failed,
            "failed is true: status.phase == 'Broken' || status.broken",
        );
        check(
            json!({"phase": "Done", "broken": false}),
            Current,
            "current is true: status.phase in ['Done', 'Working', 'Broken']",
        );
        check(
            json!({"phase": "Odd", "broken": false}),
            InProgress,
            "current is not true: status.phase in ['Done', 'Working', 'Broken']",
        );
        check(
            json!({"phase": "Done", "broken": false, "observedGeneration": 1}),
            InProgress,
            "its controller has not seen the latest change yet",
        );
        check(
            json!({"phase": "Done"}),
            InProgress,
            "failed has no answer, there is no status.broken: status.phase == 'Broken' || status.broken",
        );
        check(
            json!({"phase": 1, "broken": "yes"}),
            InProgress,
            "failed has no answer, '||' needs bool, not string: status.phase == 'Broken' || status.broken",
        );
        check(
            json!(null),
            InProgress,
            "inProgress has no answer, status is null_type, it has no field phase: status.phase == 'Working'",
        );
    }

    #[test]
    fn a_rule_of_the_kind_wins_over_one_of_the_group() {
        let rules = rules(json!([
            {"apiVersion": "example.com/v1", "current": "has(status.a)"},
            {"apiVersion": "example.com/v1", "kind": "Gadget", "ignore": true},
            {"apiVersion": "v1", "kind": "ConfigMap", "current": "data.ready == 'yes'"},
        ]))
        .unwrap();
        let check = |object: Value, state: HealthState| {
            let health = rules.assess(&object, jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(health.state, state, "{object}: {}", health.message);
        };
        check(json!({"apiVersion": "example.com/v1", "kind": "Widget", "status": {}}), InProgress);
        check(json!({"apiVersion": "example.com/v1", "kind": "Widget", "status": {"a": 1}}), Current);
        check(json!({"apiVersion": "example.com/v1", "kind": "Gadget", "status": {}}), Current);
        // Kinds that are built into Kubernetes have rules, too; being deleted is a fact.
        check(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}}), InProgress);
        check(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ready": "yes"}}), Current);
        check(json!({"apiVersion": "v1", "kind": "Secret", "data": {}}), Current);
        check(
            json!({"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            Terminating,
        );
        let has_rule = |group: &str, kind: &str| {
            rules.has_rule(&crate::domain::objects::identity::GroupKind::new(group, kind))
        };
        assert!(has_rule("example.com", "Widget") && has_rule("", "ConfigMap"));
        assert!(!has_rule("example.com", "Gadget") && !has_rule("", "Secret"));
    }

    #[test]
    fn what_is_wrong_with_a_rule_names_the_field() {
        let check = |given: Value, expected: &str| {
            assert_eq!(rules(given).map(|_| ()).unwrap_err(), expected);
        };
        let widget = "example.com/v1";
        check(
            json!([{"apiVersion": widget, "current": "status."}]),
            "healthCheckExprs[0].current: expected identifier after '.' at character 8",
        );
        check(
            json!([{"apiVersion": widget, "current": "true", "failed": "foo(1)"}]),
            "healthCheckExprs[0].failed: there is no function foo",
        );
        check(
            json!([{"apiVersion": widget, "current": "true", "kind": "A"}, {"apiVersion": "example.com/v2", "kind": "A", "ignore": true}]),
            "healthCheckExprs[1].kind: there is a rule for it already: healthCheckExprs[0]",
        );
        check(
            json!([{"apiVersion": widget, "current": "true"}, {"apiVersion": widget, "current": "true"}]),
            "healthCheckExprs[1].apiVersion: there is a rule for it already: healthCheckExprs[0]",
        );
        check(
            json!([{"apiVersion": widget}]),
            "healthCheckExprs[0]: needs exactly one of current and ignore: true",
        );
        check(
            json!([{"apiVersion": widget, "current": "true", "ignore": true}]),
            "healthCheckExprs[0]: needs exactly one of current and ignore: true",
        );
    }
}
