//! The dependencies of a release, before a new revision is applied. A revision that is applied
//! does not wait for them again: the run only reports those that do not exist any more.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::State;
use crate::cluster::discovery::Resource;
use crate::cluster::session::Session;
use crate::domain::gate::{self, DependencyFacts, Facts};
use crate::domain::health::RuleSet;
use crate::domain::identity::ObjectId;
use crate::domain::message::List;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::release::dependency::Dependency;
use crate::domain::release::readiness::{DependencyVerdict, by_expression, of_object};
use crate::reconcile::cache::rollout::RolloutCache;
use crate::reconcile::env::dependencies::{DependencyReport, DependencySource, Followed};
use crate::reconcile::error::{ReconcileError, chain};
use crate::reconcile::scope::Scope;
use crate::reconcile::scope::revision::Update;

/// How long a run waits for the registries of its dependencies.
const CHECK: Duration = Duration::from_secs(1);
/// How many missing dependencies a message names.
const NAMED: usize = 3;

/// Checks the dependencies of a release.
///
/// # Errors
/// That the revision waits for some of them.
pub async fn check(
    scope: &Scope<'_>,
    update: &Update<'_>,
    outcome: &mut Outcome,
) -> Result<(), ReconcileError> {
    let release = scope.release;
    if !scope.policy.repeats {
        return Ok(());
    }
    let all = &scope.env.dependencies;
    if release.depends_on.is_empty() {
        all.kinds.forget(&release.id);
        all.unfollow(&release.id);
        outcome.dependencies = Some(Vec::new());
        return Ok(());
    }
    // Dependencies are objects of the operator's own cluster.
    let home = &scope.env.at_home(update.session)?;
    let key = &update.revision.key;
    // A way back does not wait for what a new revision needs.
    let is_applied = update.ledger.whole() == Some(key.as_str()) || update.revision.way_back().is_some();
    all.kinds.forget(&release.id);
    let sources = release.depends_on.iter().map(|dependency| source(scope, home, dependency));
    let sources = tokio::select! {
        sources = futures::future::try_join_all(sources) => sources?,
        () = scope.signals.superseded() => return Err(ReconcileError::SUPERSEDED),
    };
    let entries = release.depends_on.iter().cloned().zip(sources);
    let rules = RuleSet::of(release);
    let mut followed: Vec<Followed> =
        entries.map(|(dependency, source)| Followed::new(dependency, source, rules.clone())).collect();
    for kind in followed.iter().filter_map(Followed::missing_kind).filter(|_| !is_applied) {
        all.kinds.wait(home, &release.id, kind, &scope.env.wake);
    }
    if !is_applied && followed.iter().any(Followed::has_expression) {
        let dependent = all.json_of(&release.id);
        for one in followed.iter_mut().filter(|one| one.has_expression()) {
            all.evaluate(one, &dependent);
            // An expensive expression does not keep the runs of others from the thread.
            tokio::task::yield_now().await;
        }
    }
    let DependencyReport { waited_for, unchecked, is_only_unchecked, changes_at } =
        all.follow(&release.id, key, is_applied, followed);
    scope.env.wake(unchecked);
    if let Some(at) = changes_at {
        let left = Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default();
        scope.env.wake_after(&release.id, left + Duration::from_millis(5));
    }
    outcome.dependencies = Some(waited_for.clone());
    if is_applied {
        return Ok(());
    }
    if is_only_unchecked {
        // They usually answer within the time of a request: that is not worth a status.
        scope.slot.release();
        tokio::select! {
            () = scope.signals.superseded() => return Err(ReconcileError::SUPERSEDED),
            () = tokio::time::sleep(CHECK) => {}
        }
    }
    let facts = DependencyFacts {
        across_namespaces: all.scope.across_namespaces,
        waited_for: &waited_for,
        ..DependencyFacts::default()
    };
    let decision = gate::decide(&Facts { dependencies: Some(facts), ..scope.facts() });
    ReconcileError::from_gate(decision).inspect_err(|_| {
        // Not applied yet, as releases that depend on this one see.
        outcome.artifact = Some(update.revision.artifact());
    })
}

/// Adds the dependencies that do not exist any more to the message of a revision that is applied.
pub fn name_missing(rollout: &mut RolloutCache, outcome: &mut Outcome) {
    let Outcome { verdict: Verdict::Ready { message }, dependencies: Some(missing), .. } = outcome else {
        return;
    };
    if missing.is_empty() {
        return;
    }
    message.push_str(&format!("; dependency {}", List::Clauses.few(missing.as_slice(), NAMED)));
    if let Some(checkup) = &mut rollout.checkup {
        checkup.ready.clone_from(message);
    }
}

/// How a dependency is known: from the watch over releases, or from one over the object, with the
/// rights of the release.
async fn source(
    scope: &Scope<'_>,
    session: &Session,
    dependency: &Dependency,
) -> Result<DependencySource, ReconcileError> {
    let env = scope.env;
    if let Some(release) = dependency.release() {
        env.dependencies.listed().await;
        if env.dependencies.covers(&release) {
            return Ok(DependencySource::Release);
        }
    }
    let kind = dependency.id.group_kind();
    let wanted = std::iter::once((kind.clone(), dependency.version.clone()));
    let discovery = session.known_in(wanted).await?;
    let unserved = || {
        let words = format!("is of a kind that the API server does not serve: {kind}");
        Ok(DependencySource::Read(DependencyVerdict::NotReady(words), None))
    };
    let Some(resource) = discovery.served(&kind, &dependency.version) else {
        discovery.absent(&kind)?;
        return unserved();
    };
    let mut id = dependency.id.clone();
    if !resource.namespaced {
        id.namespace.clear();
    }
    let identity = env.identity(scope.release);
    let watched = env.named.watch(&identity, &resource, &id)?;
    match watched.settled().await {
        State::Synced => Ok(DependencySource::Object(watched)),
        // What is known of the API server is older than that.
        State::NotServed => unserved(),
        State::Syncing | State::Denied(_) => {
            let readiness = read(scope, session, dependency, &resource, &id).await?;
            Ok(DependencySource::Read(readiness, Some(watched)))
        }
    }
}

/// Reads an object that cannot be watched.
async fn read(
    scope: &Scope<'_>,
    session: &Session,
    dependency: &Dependency,
    resource: &Arc<Resource>,
    id: &ObjectId,
) -> Result<DependencyVerdict, ReconcileError> {
    let judge = |object: Option<&Value>| {
        let rules = RuleSet::of(scope.release);
        let dependent = || scope.env.dependencies.json_of(&scope.release.id);
        let expression = object.and_then(|object| by_expression(dependency, &rules, object, &dependent()));
        of_object(dependency, &rules, resource.reports, object, expression.as_ref(), Timestamp::now())
    };
    match session.get(resource, id).await {
        Ok(answer) => Ok(judge(Some(&answer.json()?))),
        Err(error) if error.is_not_found() => Ok(judge(None)),
        Err(error) if error.is_forbidden() => {
            let words = format!(
                "cannot be read; allow the release's account to get, list and watch it: {}",
                chain(&error)
            );
            Ok(DependencyVerdict::NotReady(words))
        }
        Err(error) => Err(error.into()),
    }
}
