//! The expressions of a release against the schemas of the kinds that they judge. A misspelt field
//! is found before anything is written, and not by a wait that never ends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::api::reason::Reason;
use crate::cluster::discovery::Resource;
use crate::cluster::session::Session;
use crate::domain::health::{ExpressionRule, RuleSet};
use crate::domain::identity::GroupKind;
use crate::domain::preflight::schema_in;
use crate::reconcile::error::{ReconcileError, failure};
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::scope::{Scope, Trigger};

/// How long the publication of a schema may take. It follows the definition by about a second, and
/// by more where many definitions change at once.
const PUBLICATION: PollPace = PollPace {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(1),
    timeout: Duration::from_secs(5),
};

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
        // The API server's own kinds have no definition.
        let defined = match kind.group.contains('.') {
            true => session.defined_schema(&resource).await.ok().flatten(),
            false => None,
        };
        match defined {
            Some(schema) => refuse(rule, &kind, version, &schema, &Value::Null)?,
            None => by_published(scope, session, rule, &kind, &resource).await?,
        }
    }
    Ok(())
}

/// Checks the expressions of a kind by the schema that the API server publishes. The publication
/// may follow a change by a moment, so a schema that is absent or lacks a field is read again before
/// it counts. Without an answer, the wait for health says which field is missing.
async fn by_published(
    scope: &Scope<'_>,
    session: &Session,
    rule: &ExpressionRule,
    kind: &GroupKind,
    resource: &Resource,
) -> Result<(), ReconcileError> {
    let mut poll = Poll::new(PUBLICATION, Until::Never, scope.signals, Some(scope.slot));
    loop {
        let Ok(published) = session.published_schema(resource).await else { return Ok(()) };
        let checked = published
            .as_ref()
            .map(|(schema, document)| refuse(rule, kind, &resource.version, schema, document));
        // The API server's own kinds are always published as they are.
        let is_final = matches!(checked, Some(Ok(()))) || !kind.group.contains('.');
        if is_final || poll.pause().await != Tick::Look {
            return checked.unwrap_or(Ok(()));
        }
    }
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
