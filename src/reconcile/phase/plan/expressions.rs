//! The expressions of a release against the schemas of the kinds that they judge. A misspelt field
//! is found before anything is written, and not by a wait that never ends.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::reason::Reason;
use crate::cluster::session::Session;
use crate::domain::health::{ExpressionRule, RuleSet};
use crate::domain::identity::GroupKind;
use crate::domain::preflight::schema_in;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::scope::{Scope, Trigger};

/// Checks all expressions that judge an object of the plan, or one that the release waits for.
/// Without any, there is no request. A correction of drift judges nothing, and the expressions may be
/// those of a newer revision.
///
/// # Errors
/// The first field that a schema does not have.
pub async fn check(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
) -> Result<(), ReconcileError> {
    if scope.trigger == Trigger::Restore {
        return Ok(());
    }
    let rules = RuleSet::of(scope.release);
    let steps = planned.plan.steps.iter().map(|s| (s.id.group_kind(), s.version.as_str()));
    let named = scope.release.health_checks.iter().map(|c| (c.id.group_kind(), c.version.as_str()));
    let kinds: BTreeMap<GroupKind, &str> =
        steps.chain(named).filter(|(kind, _)| rules.own(kind).is_some()).collect();
    for (kind, version) in kinds {
        let Some(rule) = rules.own(&kind) else { continue };
        let brought = planned.plan.steps.iter().find_map(|s| schema_in(&s.object, &kind, version));
        if let Some(schema) = brought {
            refuse(rule, &kind, version, schema, &Value::Null)?;
            continue;
        }
        let Some(resource) = planned.discovery.served(&kind, version) else { continue };
        // Without an answer, the wait for health says which field is not there.
        if let Ok(Some((schema, document))) = session.published_schema(&resource).await {
            refuse(rule, &kind, version, &schema, &document)?;
        }
    }
    Ok(())
}

fn refuse(
    rule: &ExpressionRule,
    kind: &GroupKind,
    version: &str,
    schema: &Value,
    root: &Value,
) -> Result<(), ReconcileError> {
    let fault = |(place, path): &(String, crate::domain::expression::FieldPath)| {
        Some(format!("spec.{place}: {} (schema of {kind}/{version})", path.fault(schema, root)?))
    };
    match rule.fields().iter().find_map(fault) {
        Some(message) => Err(failure(Reason::InvalidCELExpression, message).into()),
        None => Ok(()),
    }
}
