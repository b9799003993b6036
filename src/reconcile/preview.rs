//! What a run would do, from the same plan and the same dry run: the sequence, stopped
//! before the first write.

use futures::StreamExt;
use serde_json::Value;

use super::cache::Caches;
use super::error::ReconcileError;
use super::flow::parallel::{at_once, ordered_within};
use super::phase::obtain::Obtained;
use super::phase::pin::pin;
use super::phase::plan::{Planned, expressions, ownership, plan};
use super::phase::preflight::changes::changes;
use super::phase::preflight::dry_run::{Preflight, Ready, Tried};
use super::phase::preflight::preflight;
use super::phase::preflight::refusal::failed;
use super::removal::planned::planned_removal;
use super::scope::Scope;
use super::scope::progress::ObjectChange;
use super::scope::revision::Update;
use crate::api::step::{StepOutcome, StepStatus};
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::diff::unified;
use crate::domain::drift::differing_paths;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Inventory;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::changeset::{ChangeSet, KnownChanges, PlanKey};
use crate::domain::plan::steps::record_of;
use crate::domain::plan::{Action, Plan, Step};
use crate::domain::preflight::laid_over;

/// The longest message of a failure that is kept for a person with bounds, in characters.
const MAX_FAILURE: usize = 2000;

/// The planned change of an object.
#[derive(Clone, Debug)]
pub struct PlannedChange {
    /// Which.
    pub id: ObjectId,
    /// The planned change.
    pub change: ObjectChange,
    /// What differs from the live object, as a unified diff; empty where there is only one state. It is made as soon as
    /// both are read, and then they are forgotten.
    pub diff: String,
    /// How many lines of it are left out.
    pub more_lines: usize,
}

impl PlannedChange {
    fn of(id: &ObjectId, change: ObjectChange) -> Self {
        Self { id: id.clone(), change, diff: String::new(), more_lines: 0 }
    }

    /// A change from a live object. If its Namespace or kind does not exist yet, or its definition changes, `after` is
    /// what would be sent, without defaults.
    fn between(id: &ObjectId, change: ObjectChange, before: &Value, after: &Value, lines: usize) -> Self {
        Self { diff: unified(Some(before), Some(after)), ..Self::of(id, change) }.within(lines)
    }

    /// The same with so many lines.
    fn within(mut self, lines: usize) -> Self {
        if let Some((end, _)) = self.diff.match_indices('\n').nth(lines.saturating_sub(1)) {
            let kept = if lines == 0 { 0 } else { end + 1 };
            self.more_lines += self.diff[kept..].lines().count();
            self.diff.truncate(kept);
            self.diff.shrink_to_fit();
        }
        self
    }
}

/// What a run would do.
#[derive(Debug, Default)]
pub struct Preview {
    /// Every object: those of the manifests in the order of the apply, then those
    /// that would be deleted.
    pub objects: Vec<PlannedChange>,
    /// What the dry run refuses; with any, nothing at all would be written.
    pub failures: Vec<ObjectFailure>,
    /// What a person should know.
    pub notes: Vec<String>,
    /// Whether the inventory's namespace does not exist yet.
    pub lacks_namespace: bool,
    /// What the inventory says of the revision.
    pub state: PreviewedState,
}

/// What the inventory says of a revision that is compared with the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreviewedState {
    /// The objects in the cluster are those of the revision, the spec and its inputs.
    #[default]
    Applied,
    /// They are those of another revision, of another spec, or of other inputs.
    Otherwise,
    /// Some of them may be of another revision.
    Incomplete,
}

impl PreviewedState {
    fn of(inventory: &Inventory, key: &str) -> Self {
        let has = |recorded: &Option<String>| recorded.as_deref() == Some(key);
        match (&inventory.applied, &inventory.begun) {
            (Some(_), _) if has(&inventory.applied) => Self::Applied,
            (Some(_), _) => Self::Otherwise,
            (None, None) if has(&inventory.written) => Self::Applied,
            (None, _) => Self::Incomplete,
        }
    }

    /// What a person should know who compares the objects with the revision that was applied last.
    pub fn warning(self) -> Option<&'static str> {
        match self {
            Self::Applied => None,
            Self::Otherwise => Some(
                "The spec or its inputs have changed since this revision was applied: part of what differs may come from that",
            ),
            Self::Incomplete => Some(
                "A rollout is in progress or did not complete: part of the objects may be of another revision",
            ),
        }
    }
}

/// Previews a run. What would stop a run before its first write also stops the preview, except
/// refusals of the dry run: these are listed for each object. So many lines are kept of what differs.
///
/// # Errors
/// Why there is no preview.
pub async fn preview(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    obtained: Obtained,
    lines: usize,
) -> Result<Preview, ReconcileError> {
    let session = update.session;
    let state = PreviewedState::of(&caches.cluster.inventory, &update.revision.key);
    let pinned = pin(scope, caches.into(), update, obtained).await?;
    let planned = plan(scope, &mut caches.cluster, update, pinned.rendered).await?;
    ownership::check(scope, session, &planned).await?;
    expressions::check(scope, session, &planned).await?;
    let mut preview = dry_run(scope, session, &planned, lines).await?;
    preview.notes.extend(failed_steps(&scope.status().steps, &planned.plan, &update.revision.key));
    removals(scope, session, &planned, &mut preview).await?;
    Ok(Preview { state, ..preview })
}

/// The changes of a run as a person approves them: of the whole plan, which has to be accepted.
///
/// # Errors
/// Why there is no plan, or which objects the dry run refuses.
pub async fn change_set(
    scope: &Scope<'_>,
    caches: &mut Caches,
    update: &Update<'_>,
    obtained: Obtained,
    key: &PlanKey,
) -> Result<ChangeSet, ReconcileError> {
    let session = update.session;
    let pinned = pin(scope, caches.into(), update, obtained).await?;
    let planned = plan(scope, &mut caches.cluster, update, pinned.rendered).await?;
    ownership::check(scope, session, &planned).await?;
    expressions::check(scope, session, &planned).await?;
    let accepted = preflight(scope, session, &mut caches.rollout, planned, true).await?;
    changes(scope, session, &accepted, key, &KnownChanges::default()).await
}

/// The planned changes of the objects of the plan.
async fn dry_run(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
    lines: usize,
) -> Result<Preview, ReconcileError> {
    let Planned { plan, discovery, .. } = planned;
    let mut preflight = Preflight::new(scope, session, plan);
    preflight.keeps_answers = true;
    let home = &scope.release.id.namespace;
    let brought = plan.steps.iter().any(|s| s.id.is("", "Namespace") && s.id.name == *home);
    let lacks_namespace = !brought && !session.namespace_exists(home).await?;
    if lacks_namespace {
        preflight.will_have_namespace(home);
    }
    let look = Look { session, discovery, preflight: &preflight, lines };
    let mut preview = Preview { lacks_namespace, ..Preview::default() };
    look.at_all(plan, &mut preview).await?;
    Ok(preview)
}

/// Says which steps have failed for the revision: a run stops at them.
fn failed_steps(records: &[StepStatus], plan: &Plan, key: &str) -> Vec<String> {
    let has_failed = |step: &&Step| {
        let record = record_of(records, &step.id, key).filter(|_| step.action == Action::Run);
        record.is_some_and(|record| record.outcome != StepOutcome::Started)
    };
    let failed = plan.steps.iter().filter(has_failed);
    failed.map(|step| format!("step {} has failed, and is run again only on request", step.id)).collect()
}

/// What would be deleted.
async fn removals(
    scope: &Scope<'_>,
    session: &Session,
    planned: &Planned<'_>,
    preview: &mut Preview,
) -> Result<(), ReconcileError> {
    let Planned { plan, view, .. } = planned;
    let removed = planned_removal(scope, session, plan, view).await?;
    preview.failures.extend(removed.failures.into_iter().map(|failure| within_bounds(session, failure)));
    preview.notes.extend(removed.notes.into_iter().map(|n| n.message));
    let going = removed.touched.into_iter();
    preview.objects.extend(going.map(|id| PlannedChange::of(&id, ObjectChange::Deleted)));
    Ok(())
}

/// How the steps of a plan are looked at.
struct Look<'a> {
    session: &'a Session,
    discovery: &'a ApiDiscovery,
    preflight: &'a Preflight<'a>,
    /// The most lines of what differs.
    lines: usize,
}

impl Look<'_> {
    /// Looks at one after the other, or at many at once, and keeps what differs.
    async fn at_all(&self, plan: &Plan, preview: &mut Preview) -> Result<(), ApiError> {
        let looks = plan.steps.iter().map(|step| self.at(step));
        let mut seen = ordered_within(at_once(self.session), looks);
        let mut left = self.lines;
        while let Some(one) = seen.next().await {
            match one? {
                Ok(change) => {
                    let change = change.within(left);
                    left = left.saturating_sub(change.diff.lines().count());
                    preview.objects.push(change);
                }
                Err(refused) => preview.failures.push(within_bounds(self.session, refused)),
            }
        }
        preview.failures.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(())
    }

    /// The planned change of a step, or why it is refused.
    async fn at(&self, step: &Step) -> Result<Result<PlannedChange, ObjectFailure>, ApiError> {
        let ready = match step.action {
            Action::Keep => return Ok(Ok(PlannedChange::of(&step.id, ObjectChange::Unchanged))),
            Action::Run | Action::Write => match self.preflight.look(step, self.discovery).await {
                Tried::Ready(ready) => Some(ready),
                Tried::Deferred => None,
                Tried::Refused(failure) => return Ok(Err(failure)),
            },
        };
        if step.action == Action::Run {
            return Ok(Ok(PlannedChange::of(&step.id, ObjectChange::Run)));
        }
        let change = match ready {
            Some(ready) => self.planned(step, ready).await,
            None => self.after_its_cure(step).await,
        };
        match change {
            // A person may see what can be seen of the others.
            Err(error) if self.session.is_bounded() && error.is_of_the_object() => {
                Ok(Err(failed(step, &error)))
            }
            change => change.map(Ok),
        }
    }

    async fn planned(&self, step: &Step, ready: Ready) -> Result<PlannedChange, ApiError> {
        let id = &step.id;
        let Ready { resource, live, recreate, answer, .. } = ready;
        if live.is_none() {
            return Ok(PlannedChange::of(id, ObjectChange::Created));
        }
        if step.found.as_ref().is_some_and(|found| !found.is_left) {
            return Ok(PlannedChange::of(id, ObjectChange::Unchanged));
        }
        let before = match self.session.get(&resource, id).await {
            Ok(before) => before,
            Err(error) if error.is_not_found() => return Ok(PlannedChange::of(id, ObjectChange::Created)),
            Err(error) => return Err(error),
        };
        // From here on nothing waits: of what is decoded, one object is in memory.
        let before: Value = before.json()?;
        let after: Value = match &answer {
            Some(answer) => serde_json::from_slice(answer).unwrap_or_default(),
            None => step.object.value().clone(),
        };
        if !recreate && differing_paths(&before, &after).is_empty() {
            return Ok(PlannedChange::of(id, ObjectChange::Unchanged));
        }
        let change = if recreate { ObjectChange::Recreated } else { ObjectChange::Configured };
        Ok(PlannedChange::between(id, change, &before, &after, self.lines))
    }

    /// The change of a step that depends on a part of the plan that is not written yet.
    async fn after_its_cure(&self, step: &Step) -> Result<PlannedChange, ApiError> {
        let (id, sent) = (&step.id, step.object.value());
        Ok(match before_its_cure(self.session, self.discovery, step).await? {
            Some(before) => {
                let after = laid_over(&before, sent);
                PlannedChange::between(id, ObjectChange::Configured, &before, &after, self.lines)
            }
            None => PlannedChange::of(id, ObjectChange::Created),
        })
    }
}

/// A failure as it is kept: where answers have a bound, its message has one, too, since there may be one for each object.
fn within_bounds(session: &Session, mut failure: ObjectFailure) -> ObjectFailure {
    if session.is_bounded() {
        failure.message = cut(failure.message);
    }
    failure
}

fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_FAILURE) {
        message.truncate(end);
        message.push('…');
        message.shrink_to_fit();
    }
    message
}

/// The live object of a step that is refused until the plan is applied.
async fn before_its_cure(
    session: &Session,
    discovery: &ApiDiscovery,
    step: &Step,
) -> Result<Option<Value>, ApiError> {
    let Some(resource) = discovery.served(&step.id.group_kind(), &step.version) else { return Ok(None) };
    match session.get(&resource, &step.id).await {
        Ok(answer) => answer.json().map(Some),
        Err(ApiError::NotServed { .. }) => Ok(None),
        Err(error) if error.is_not_found() || error.is_forbidden() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::inventory::BegunRollout;

    #[test]
    fn the_inventory_says_whether_the_cluster_has_a_revision_as_it_is_rendered_now() {
        let check = |applied: Option<&str>, written: Option<&str>, begun: bool, expected: PreviewedState| {
            let [applied, written] = [applied, written].map(|key| key.map(str::to_owned));
            let begun = begun.then(BegunRollout::default);
            let inventory = Inventory { applied, written, begun, ..Inventory::default() };
            let found = PreviewedState::of(&inventory, "k");
            assert_eq!(found, expected, "{inventory:?}");
            assert_eq!(found.warning().is_none(), expected == PreviewedState::Applied);
        };
        check(Some("k"), None, false, PreviewedState::Applied);
        check(Some("j"), None, false, PreviewedState::Otherwise);
        // It is written, and was not healthy in time.
        check(None, Some("k"), false, PreviewedState::Applied);
        check(None, Some("k"), true, PreviewedState::Incomplete);
        check(None, Some("j"), false, PreviewedState::Incomplete);
        check(None, None, true, PreviewedState::Incomplete);
    }

    #[test]
    fn the_message_of_a_failure_has_a_bound() {
        assert_eq!(cut("short".to_owned()), "short");
        let long = cut("ü".repeat(3 << 20));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_FAILURE + 1, true));
    }

    #[test]
    fn of_many_lines_the_first_are_kept_and_the_rest_are_counted() {
        let [group, namespace] = ["", "apps"].map(str::to_owned);
        let id = ObjectId { group, kind: "ConfigMap".to_owned(), namespace, name: "a".to_owned() };
        let map = |letter: &str| json!({"kind": "ConfigMap", "data": {"a": letter, "b": letter}});
        let check = |lines: usize, expected: (usize, usize)| {
            let (before, after) = (map("one"), map("two"));
            let change = PlannedChange::between(&id, ObjectChange::Configured, &before, &after, lines);
            assert!(change.diff.is_empty() || change.diff.ends_with('\n'), "{}", change.diff);
            assert_eq!((change.diff.lines().count(), change.more_lines), expected, "{lines}");
            // Once more, when others have taken their part.
            let rest = change.within(1);
            assert_eq!(rest.diff.lines().count() + rest.more_lines, expected.0 + expected.1, "{lines}");
        };
        check(usize::MAX, (7, 0));
        check(7, (7, 0));
        check(6, (6, 1));
        check(1, (1, 6));
        check(0, (0, 7));
    }
}
