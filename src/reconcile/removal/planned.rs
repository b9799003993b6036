//! What a plan would delete.

use super::in_order::remove_in_order;
use super::remove::{Removal, RemovalOrder};
use super::removed::{Deletion, Removed};
use crate::cluster::session::Session;
use crate::domain::plan::Plan;
use crate::reconcile::error::ReconcileError;
use crate::reconcile::live::view::View;
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::progress::NoProgress;
use std::collections::BTreeMap;

/// Goes through the removal of what left the plan, and deletes nothing.
///
/// # Errors
/// When the kinds that are served cannot be read.
pub async fn planned_removal(
    scope: &Scope<'_>,
    session: &Session,
    plan: &Plan,
    view: &View<'_>,
) -> Result<Removed, ReconcileError> {
    let order = RemovalOrder {
        release: &scope.release.id,
        prune: scope.release.prune,
        promised: &BTreeMap::new(),
        deletion: Deletion::Planned,
        in_order: false,
        progress: &NoProgress,
        signals: None,
    };
    let discovery = session.discovery_of(plan.leaving.iter().map(|l| l.id.group_kind())).await?;
    let (env, leaving) = (scope.env, plan.leaving.as_slice());
    Ok(remove_in_order(Removal { env, session, order, leaving, discovery: &discovery, view }).await)
}
