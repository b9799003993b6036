//! What a new revision would remove, and what would be lost with it.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use serde_json::Value;

use super::Planned;
use crate::api::keys;
use crate::api::release::{GROUP, KIND};
use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::domain::gate::{self, Facts};
use crate::domain::identity::{GroupKind, ObjectId, ReleaseId};
use crate::domain::message::List;
use crate::domain::plan::removal::{HeldContent, PlannedRemoval, removal_record};
use crate::domain::status::inventory_name;
use crate::reconcile::cache::held::{HeldCache, HeldQuestion};
use crate::reconcile::error::ReconcileError;
use crate::reconcile::flow::parallel::unordered;
use crate::reconcile::phase::preflight::approval;
use crate::reconcile::scope::revision::Update;
use crate::reconcile::scope::{Scope, Trigger};

/// How many objects of a kind are looked at.
const LOOKED_AT: usize = 250;
/// How many objects a message names.
const NAMED: usize = 2;

/// What is known of a revision that may remove objects.
#[derive(Clone, Copy, Debug)]
pub struct RemovalCase {
    /// Whether it has no objects.
    pub is_empty: bool,
    /// Whether a person approves its plan.
    pub is_planned: bool,
}

/// Checks what a new revision would remove. A correction of drift and a way back to an earlier
/// revision need no approval.
///
/// # Errors
/// That the removal is not approved, or that what it would lose cannot be read.
pub async fn check(
    scope: &Scope<'_>,
    update: &Update<'_>,
    cache: &mut HeldCache,
    planned: &mut Planned<'_>,
    case: RemovalCase,
) -> Result<(), ReconcileError> {
    let (Update { session, revision, .. }, release) = (*update, scope.release);
    let is_new = scope.trigger != Trigger::Restore && revision.way_back().is_none();
    // An empty artifact is approved as a whole, by its digest.
    let given = release.approved.as_ref().map(|given| given.hash.as_str());
    let is_approved = case.is_empty && given == Some(revision.digest.as_str());
    if !scope.policy.repeats || !is_new || is_approved || planned.plan.leaving.is_empty() {
        return Ok(());
    }
    // An approved removal that has begun is finished: what is left of it is another one.
    let record = |token: &str| removal_record(token, &revision.key);
    let recorded = scope.status().approved_removal.clone();
    let has_begun = update.ledger.begun.as_ref().is_some_and(|begun| begun.key == revision.key);
    let is_finished =
        has_begun && !case.is_planned && given.is_some_and(|given| recorded == Some(record(given)));
    let Planned { discovery, plan, view, .. } = planned;
    let going = view.deleted(&release.id, release.prune, &plan.leaving).into_iter();
    // What was kept then was not part of it, such as an object that another release was to take.
    let going = going.filter(|(leaving, _)| !is_finished || leaving.entry.retained);
    let mut removal = PlannedRemoval {
        objects: going.map(|(leaving, uid)| (leaving.id.clone(), uid)).collect(),
        applied: planned.applied,
        cause: revision.digest.as_str().to_owned(),
        ..PlannedRemoval::default()
    };
    if !case.is_planned
        && let Some(plan) = approval::begun(scope, update).await?
    {
        // All objects of the plan are written, and the end of it is left.
        let approved = |id: &ObjectId| {
            let name = id.to_string();
            plan.changes.iter().any(|entry| entry.action == "pruned" && entry.object == name)
        };
        removal.objects.retain(|(id, _)| !approved(id));
    }
    if removal.objects.is_empty() {
        cache.forget();
        return Ok(());
    }
    let kept: Vec<&ObjectId> = plan.steps.iter().map(|step| &step.id).collect();
    let contents = Contents { session, discovery, me: &release.id, kept: &kept };
    if case.is_planned {
        // The plan that a person approves shows what is removed, and what is lost with it.
        planned.losses = contents.losses(&removal).await?;
        return Ok(());
    }
    let decide = |removal: &PlannedRemoval| {
        let facts = Facts { removal: Some((revision.name.as_str(), removal)), ..scope.facts() };
        ReconcileError::from_gate(gate::decide(&facts))
    };
    let is_known;
    (removal.losses, is_known) = contents.known_losses(scope, cache, &removal).await?;
    decide(&removal)?;
    if is_known {
        // What an earlier run has seen can hold it back, but not let it pass.
        removal.losses = contents.losses(&removal).await?;
        decide(&removal)?;
    }
    cache.forget();
    let approved = Some(removal.token()).filter(|token| given == Some(token.as_str()));
    match approved.map(|token| record(&token)).filter(|record| recorded.as_ref() != Some(record)) {
        Some(record) => Ok(scope.record_approved_removal(record).await?),
        None => Ok(()),
    }
}

/// How objects that hold others are looked at.
pub struct Contents<'a> {
    /// The session with the rights for it.
    pub session: &'a Session,
    /// The kinds that are served.
    pub discovery: &'a Arc<ApiDiscovery>,
    /// The release.
    pub me: &'a ReleaseId,
    /// The objects of the release that stay.
    pub kept: &'a [&'a ObjectId],
}

impl Contents<'_> {
    /// What a removal would lose: what Namespaces, definitions and storage hold that is not the
    /// release's.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn losses(&self, removal: &PlannedRemoval) -> Result<Vec<HeldContent>, ApiError> {
        let mut losses = Vec::new();
        for (id, _) in &removal.objects {
            let held = match (id.group.as_str(), id.kind.as_str()) {
                ("", "Namespace") => self.of_namespace(&id.name).await?,
                ("apiextensions.k8s.io", "CustomResourceDefinition") => self.of_definition(id).await?,
                ("", "PersistentVolumeClaim") => self.of_claim(id).await?,
                ("", "PersistentVolume") => self.of_volume(id, removal).await?,
                _ => None,
            };
            losses.extend(held.map(|words| HeldContent { id: id.clone(), words }));
        }
        Ok(losses)
    }

    /// The same for a removal that may wait for approval, and whether that is known from an earlier run:
    /// it counts until an approval comes, the objects change, or a person asks for a run.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn known_losses(
        &self,
        scope: &Scope<'_>,
        cache: &mut HeldCache,
        removal: &PlannedRemoval,
    ) -> Result<(Vec<HeldContent>, bool), ApiError> {
        let question = HeldQuestion::new(removal, self.kept, scope.release.approved.as_ref());
        let now = Instant::now();
        if let Some(losses) = cache.answer(&question, now).filter(|_| !scope.is_asked) {
            return Ok((losses, true));
        }
        let losses = self.losses(removal).await?;
        cache.remember(question, now, &losses);
        Ok((losses, false))
    }

    async fn of_namespace(&self, namespace: &str) -> Result<Option<String>, ApiError> {
        let kept: Vec<_> = self.kept.iter().filter(|id| id.namespace == namespace).collect();
        if !kept.is_empty() {
            return Ok(Some(format!("holds objects of this revision: {}", List::Names.few(kept, NAMED))));
        }
        let kinds: Vec<&Arc<Resource>> =
            self.discovery.all_namespaced().filter(|kind| is_content(kind)).collect();
        let looks =
            kinds.into_iter().map(|kind| async move { (kind, self.first_of(kind, Some(namespace)).await) });
        let looks: Vec<_> = unordered(looks).collect().await;
        let (mut foreign, mut unread) = (Vec::new(), Vec::new());
        for (kind, look) in looks {
            match look {
                Ok(objects) => {
                    let found: Vec<String> =
                        objects.iter().filter_map(|object| self.foreign(kind, object)).collect();
                    // There are more than these.
                    if found.is_empty() && objects.len() >= LOOKED_AT {
                        unread.push(kind.plural.clone());
                    }
                    foreign.extend(found);
                }
                Err(error) if error.is_forbidden() => unread.push(kind.plural.clone()),
                Err(error) => return Err(error),
            }
        }
        foreign.sort();
        unread.sort();
        Ok(match (foreign.is_empty(), unread.is_empty()) {
            (false, _) => Some(not_of_this_release(&foreign)),
            (true, false) => {
                let kinds = List::Names.few(&unread, NAMED);
                Some(format!("may hold others: the account of the release cannot list all {kinds}"))
            }
            (true, true) => None,
        })
    }

    async fn of_definition(&self, id: &ObjectId) -> Result<Option<String>, ApiError> {
        let Some(definition) = self.live(id).await? else { return Ok(None) };
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = GroupKind::new(text("/spec/group"), text("/spec/names/kind"));
        let Some(resource) = self.discovery.preferred(&kind) else { return Ok(None) };
        match self.first_of(&resource, None).await {
            Ok(objects) => {
                let mut foreign: Vec<String> =
                    objects.iter().filter_map(|object| self.foreign(&resource, object)).collect();
                foreign.sort();
                let more = || objects.len() >= LOOKED_AT;
                Ok(match foreign.is_empty() {
                    false => Some(not_of_this_release(&foreign)),
                    // There are more than these.
                    true => {
                        more().then(|| format!("may hold others: there are too many {}", resource.plural))
                    }
                })
            }
            Err(error) if error.is_forbidden() => {
                let plural = &resource.plural;
                Ok(Some(format!(
                    "may hold others: the account of the release cannot list {plural} in all namespaces"
                )))
            }
            Err(error) => Err(error),
        }
    }

    /// The first objects of a kind. Since the kinds were read, it may have got another version, or be
    /// gone.
    async fn first_of(&self, kind: &Arc<Resource>, namespace: Option<&str>) -> Result<Vec<Value>, ApiError> {
        match self.session.first_metadata(kind, namespace, "", LOOKED_AT).await {
            Err(error) if error.is_no_path() => {}
            answer => return answer,
        }
        let newer = self.session.rediscover(self.discovery).await?;
        match newer.preferred(&kind.group_kind()).filter(|other| other != kind) {
            Some(other) => self.session.first_metadata(&other, namespace, "", LOOKED_AT).await,
            None => self.session.is_undefined(&kind.group_kind()).await.map(|()| Vec::new()),
        }
    }

    async fn of_claim(&self, id: &ObjectId) -> Result<Option<String>, ApiError> {
        let Some(claim) = self.live(id).await? else { return Ok(None) };
        let volume = claim.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default();
        if volume.is_empty() || claim.pointer("/status/phase").is_none_or(|phase| phase != "Bound") {
            return Ok(None);
        }
        let volume = ObjectId {
            namespace: String::new(),
            name: volume.to_owned(),
            group: String::new(),
            kind: "PersistentVolume".to_owned(),
        };
        let policy = match self.live(&volume).await {
            Ok(live) => live.and_then(|live| {
                Some(live.pointer("/spec/persistentVolumeReclaimPolicy")?.as_str()?.to_owned())
            }),
            // Without the right to read it, the data counts as lost.
            Err(error) if error.is_forbidden() => None,
            Err(error) => return Err(error),
        };
        match policy.as_deref() {
            Some("Retain") => Ok(None),
            _ => Ok(Some(format!("holds the data of {volume}, which is deleted with it"))),
        }
    }

    async fn of_volume(&self, id: &ObjectId, removal: &PlannedRemoval) -> Result<Option<String>, ApiError> {
        let Some(volume) = self.live(id).await? else { return Ok(None) };
        let text =
            |pointer: &str| volume.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let claim = ObjectId {
            namespace: text("/spec/claimRef/namespace"),
            name: text("/spec/claimRef/name"),
            group: String::new(),
            kind: "PersistentVolumeClaim".to_owned(),
        };
        let goes = removal.objects.iter().any(|(id, _)| *id == claim);
        let is_used = text("/status/phase") == "Bound" && !goes;
        Ok(is_used.then(|| format!("is bound to {claim}")))
    }

    async fn live(&self, id: &ObjectId) -> Result<Option<Value>, ApiError> {
        let Some(resource) = self.discovery.preferred(&id.group_kind()) else { return Ok(None) };
        match self.session.get(&resource, id).await {
            Ok(answer) => answer.json().map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The name of an object, unless it is the release's, belongs to another object, or comes with
    /// every namespace.
    fn foreign(&self, kind: &Resource, object: &Value) -> Option<String> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let label = |key: &str| text(&format!("/metadata/labels/{}", key.replace('/', "~1"))).to_owned();
        let id = ObjectId {
            namespace: text("/metadata/namespace").to_owned(),
            name: text("/metadata/name").to_owned(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
        };
        let owner = ReleaseId { namespace: label(keys::OWNER_NAMESPACE), name: label(keys::OWNER_NAME) };
        let is_owned = object
            .pointer("/metadata/ownerReferences")
            .and_then(Value::as_array)
            .is_some_and(|o| !o.is_empty());
        let comes_with_it = matches!(
            (id.kind.as_str(), id.name.as_str()),
            ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default")
        );
        // In another cluster, that namespace has neither the release nor its inventory.
        let at_home = self.session.mark().is_none() && id.namespace == self.me.namespace;
        let is_self = at_home && id.is(GROUP, KIND) && id.name == self.me.name;
        let inventory = inventory_name(&self.me.name);
        let is_inventory = at_home
            && id.kind == "ConfigMap"
            && (id.name == inventory
                || id.name.strip_prefix(&inventory).is_some_and(|rest| rest.starts_with('.')));
        let mark = label(keys::OWNER_CLUSTER);
        let is_mine = owner == *self.me && mark == self.session.mark().unwrap_or_default();
        let is_ours = is_mine || is_owned || comes_with_it || is_self || is_inventory;
        (!is_ours).then(|| id.to_string())
    }
}

fn not_of_this_release(objects: &[String]) -> String {
    format!("holds objects that are not of this release: {}", List::Names.few(objects, NAMED))
}

/// Whether the objects of a kind are content, and not records that Kubernetes writes by itself.
fn is_content(kind: &Resource) -> bool {
    !matches!(
        (kind.group.as_str(), kind.kind.as_str()),
        ("" | "events.k8s.io", "Event")
            | ("", "Endpoints")
            | ("discovery.k8s.io", "EndpointSlice")
            | ("coordination.k8s.io", _)
    )
}
