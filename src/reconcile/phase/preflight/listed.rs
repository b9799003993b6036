//! The live objects of a large plan: read by lists, where that takes fewer requests than one for each.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dry_run::Ready;
use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::plan::Step;
use crate::reconcile::phase::plan::Planned;
use crate::reconcile::scope::Scope;

/// The fewest objects of a kind and namespace that are listed.
const LEAST: usize = 10;
/// The most objects that are listed for one that is needed.
const MOST: usize = 4;

/// Reads live objects of steps by lists of what the release has of a kind in a namespace. `observe`
/// does not get all of them: those of small groups, those without the labels of the release, and
/// those that its account may not list are left out.
///
/// # Errors
/// When the API server does not list them.
pub async fn each_of_many<'a>(
    scope: &Scope<'_>,
    session: &Session,
    planned: &'a Planned<'_>,
    needed: impl Iterator<Item = (&'a Step, &'a Ready)>,
    mut observe: impl FnMut(&'a Step, &'a Ready, Value),
) -> Result<(), ApiError> {
    let release = &scope.release.id;
    let selector =
        format!("{}={},{}={}", keys::OWNER_NAME, release.name, keys::OWNER_NAMESPACE, release.namespace);
    for (steps, total) in groups(planned, needed) {
        let (Some((first, ready)), false) = (steps.values().next(), total > steps.len() * MOST) else {
            continue;
        };
        let (resource, namespace) = (&ready.resource, Some(first.id.namespace.as_str()));
        let listed = session.each_object(resource, namespace, Some(&selector), |live| {
            let name = live["metadata"]["name"].as_str().unwrap_or_default();
            if let Some((step, ready)) = steps.get(name) {
                observe(step, ready, live);
            }
        });
        match listed.await {
            Err(error) if !error.is_forbidden() && !error.is_no_path() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The steps of a group, by name.
type Steps<'a> = BTreeMap<&'a str, (&'a Step, &'a Ready)>;

/// The steps of each kind, version and namespace, with how many objects the release has of them.
fn groups<'a>(
    planned: &'a Planned<'_>,
    needed: impl Iterator<Item = (&'a Step, &'a Ready)>,
) -> Vec<(Steps<'a>, usize)> {
    let mut groups: BTreeMap<(GroupKind, &str, &str), Steps<'a>> = BTreeMap::new();
    for (step, ready) in needed {
        let group = (step.id.group_kind(), ready.resource.version.as_str(), step.id.namespace.as_str());
        groups.entry(group).or_default().insert(step.id.name.as_str(), (step, ready));
    }
    groups.retain(|_, steps| steps.len() >= LEAST);
    let plan = &planned.plan;
    let all = || plan.steps.iter().map(|step| &step.id).chain(plan.leaving.iter().map(|leaving| &leaving.id));
    let is_of = |id: &&ObjectId, kind: &GroupKind, namespace: &str| {
        id.namespace == namespace && id.group == kind.group && id.kind == kind.kind
    };
    let counted = groups.into_iter().map(|((kind, _, namespace), steps)| {
        let total = all().filter(|id| is_of(id, &kind, namespace)).count();
        (steps, total)
    });
    counted.collect()
}
