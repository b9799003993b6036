//! When the API server uses the new schema of a definition that a plan changes. A definition stays
//! established while its schema is replaced, and has no other mark of that: only the published
//! schemas of the API server show it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::cluster::discovery::Resource;
use crate::cluster::session::Session;
use crate::domain::identity::{GroupKind, ObjectId};
use crate::domain::plan::{Plan, Step};
use crate::domain::preflight::{changed_schemas, defined_versions};
use crate::reconcile::flow::poll::{Poll, PollPace, Tick, Until};
use crate::reconcile::phase::preflight::dry_run::Preflight;
use crate::reconcile::scope::Scope;

/// How long the publication may take. It follows the schema by about a second; after this time the
/// run continues without it, since refused objects are tried again anyway.
const PUBLICATION: PollPace = PollPace {
    first: Duration::from_millis(100),
    longest: Duration::from_millis(100),
    timeout: Duration::from_secs(5),
};

/// The schemas before the definitions are written.
#[derive(Default)]
pub struct Schemas {
    definitions: BTreeMap<ObjectId, Value>,
    published: BTreeMap<String, String>,
}

impl Schemas {
    /// The definitions that the plan changes together with their objects. If there are none, no
    /// request is made.
    pub async fn before(session: &Session, plan: &Plan, preflight: &Preflight<'_>) -> Self {
        let mut definitions = BTreeMap::new();
        for (id, resource) in redefined(plan, preflight) {
            let answer = session.get(&resource, &id).await;
            if let Some(before) = answer.ok().and_then(|a| a.json::<Value>().ok()) {
                definitions.insert(id, before);
            }
        }
        if definitions.is_empty() {
            return Self::default();
        }
        let published = session.published_schemas().await.unwrap_or_default();
        Self { definitions, published }
    }

    /// Waits until the API server publishes the changed schemas. `answers` has the definitions as
    /// written.
    pub async fn in_force(&self, scope: &Scope<'_>, session: &Session, answers: &BTreeMap<ObjectId, Bytes>) {
        let mut changed: Vec<String> = Vec::new();
        for (id, before) in &self.definitions {
            let after = answers.get(id).and_then(|a| serde_json::from_slice::<Value>(a).ok());
            changed.extend(after.map(|after| changed_schemas(before, &after)).unwrap_or_default());
        }
        let mut poll = Poll::new(PUBLICATION, Until::Never, scope.signals, Some(scope.slot));
        while !changed.is_empty() && !self.published.is_empty() {
            // Without the right to read them, there is no wait.
            let Ok(published) = session.published_schemas().await else { return };
            changed.retain(|version| published.get(version) == self.published.get(version));
            if !changed.is_empty() && poll.pause().await != Tick::Look {
                return;
            }
        }
    }
}

/// The definitions that exist and are written together with objects of them.
fn redefined(plan: &Plan, preflight: &Preflight<'_>) -> Vec<(ObjectId, Arc<Resource>)> {
    let mut redefined = Vec::new();
    for step in plan.writes() {
        let kinds = defined_versions(&step.object);
        if kinds.is_empty() {
            continue;
        }
        let is_of = |s: &Step| kinds.iter().any(|(kind, _)| *kind == s.id.group_kind());
        let is_concerned = plan.writes().any(|s| is_of(s) && preflight.is_redefined(s));
        let ready = preflight.ready.get(&step.id).filter(|r| is_concerned && r.live.is_some());
        redefined.extend(ready.map(|r| (step.id.clone(), Arc::clone(&r.resource))));
    }
    redefined
}

/// The kinds that definitions define, each in every served version.
pub fn brought_kinds(definitions: &[&Step]) -> Vec<(GroupKind, Option<String>)> {
    definitions.iter().flat_map(|s| defined_versions(&s.object)).collect()
}
