//! The expressions of dependencies that have changed while a release waits for them. They are
//! evaluated one after the other, outside of any run: a dependency may change often, and a run costs
//! more than an evaluation.

use std::sync::Arc;

use super::Dependencies;
use super::state::{Inner, Notified, Snapshot, evaluated};
use crate::domain::health::RuleSet;
use crate::domain::identity::ReleaseId;
use crate::domain::release::dependency::Dependency;
use crate::domain::release::readiness::DependencyVerdict;

/// What has to be evaluated for a release.
struct Evaluation {
    dependency: Arc<Dependency>,
    rules: RuleSet,
    state: Snapshot,
}

/// A state of a dependency, and what expressions say of it.
type EvaluationResult = (Arc<Dependency>, Snapshot, DependencyVerdict);

impl Dependencies {
    /// Waits until expressions have to be evaluated, and evaluates those of one release.
    pub async fn evaluated(&self) -> Notified {
        loop {
            let Some((release, pending)) = self.with(Inner::next_evaluations) else {
                self.evaluations.notified().await;
                continue;
            };
            let dependent = self.json_of(&release);
            let mut results: Vec<EvaluationResult> = Vec::with_capacity(pending.len());
            for Evaluation { dependency, rules, state } in pending {
                if let Some(verdict) = evaluated(&dependency, &rules, &state, &dependent) {
                    results.push((dependency, state, verdict));
                }
                tokio::task::yield_now().await;
            }
            return self.notice(|inner| inner.answer(&release, results));
        }
    }
}

impl Inner {
    /// The next release that waits for evaluations.
    fn next_evaluations(&mut self) -> Option<(ReleaseId, Vec<Evaluation>)> {
        while let Some(release) = self.unevaluated.pop_first() {
            let Some(follower) = self.followers.get(&release).filter(|follower| follower.waits) else {
                continue;
            };
            let pending = follower.followed.iter().filter(|followed| followed.has_expression());
            let pending = pending.filter_map(|followed| {
                let state = self.snapshot(followed)?;
                let is_known = followed.answer.as_ref().is_some_and(|(known, _)| known.is(&state));
                let (dependency, rules) = (Arc::clone(&followed.dependency), followed.rules.clone());
                (!is_known).then_some(Evaluation { dependency, rules, state })
            });
            let pending: Vec<Evaluation> = pending.collect();
            if !pending.is_empty() {
                return Some((release, pending));
            }
        }
        None
    }

    /// Takes over the results, unless the release has run in the meantime.
    fn answer(&mut self, release: &ReleaseId, results: Vec<EvaluationResult>) -> Notified {
        let Some(follower) = self.followers.get_mut(release) else { return Notified::default() };
        let mut answered = Vec::new();
        for (dependency, state, verdict) in results {
            let known = follower.followed.iter_mut().find(|f| Arc::ptr_eq(&f.dependency, &dependency));
            if let Some(followed) = known {
                followed.answer = Some((state, verdict));
                answered.push(dependency);
            }
        }
        self.notified(vec![release.clone()], |followed| {
            answered.iter().any(|dependency| Arc::ptr_eq(dependency, &followed.dependency))
        })
    }
}
