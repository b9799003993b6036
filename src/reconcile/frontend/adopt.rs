//! Adopts objects of another tool: everything is checked before the first write, the inventory has
//! the objects before they are ours, and nothing is deleted or restarted.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use crate::cluster::discovery::{ApiDiscovery, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::{FinalizerPolicy, StoreError, Stored};
use crate::cluster::session::Session;
use crate::domain::adopt::{Former, FormerClaim, claim, lost_marks, relabel, take_over};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::{Entries, Entry, Inventory, Provenance};
use crate::domain::outcome::ObjectFailure;
use crate::domain::stage::order;
use crate::domain::status::inventory_name;
use crate::reconcile::error::{chain, masked};
use crate::reconcile::flow::parallel::{ordered, unordered};

/// Retries for an object that changes between read and write: controllers write the status of busy
/// objects all the time.
const ATTEMPTS: usize = 8;

/// What is adopted, and for whom.
pub struct Adoption<'a> {
    /// The session with the person's rights.
    pub session: &'a Session,
    /// The tool that owns the objects now.
    pub former: &'a Former,
    /// The new inventory.
    pub me: &'a ReleaseId,
    /// The objects, with their versions.
    pub inventory: &'a Inventory,
    /// Where they come from.
    pub provenance: &'a Provenance,
}

/// The state of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptionFinding {
    /// Owned by the other tool: it is, or would be, adopted. Lists the annotations of that tool
    /// that have no effect any more.
    Theirs(Vec<String>),
    /// Ours already.
    Ours,
    /// It does not exist.
    Missing,
    /// Owned by another client, and why: it is not changed.
    Foreign(String),
}

/// The finding for each object, in the order of an apply.
pub type Findings = Vec<(ObjectId, AdoptionFinding)>;

/// Why nothing, or not everything, was adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Before anything was written.
    #[error("nothing written, cannot adopt {} object(s)", .0.len())]
    Refused(Vec<ObjectFailure>),
    /// The inventory has all objects, and these are not ours yet.
    #[error("partly adopted, {} object(s) remain (all are in the inventory): rerun the command to continue", .0.len())]
    Incomplete(Vec<ObjectFailure>),
    /// An inventory of that name exists, for other objects.
    #[error("nothing written: {0}")]
    Taken(String),
    /// The API server failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The inventory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Target {
    resource: Arc<Resource>,
    live: Value,
    version: String,
}

/// An object, and whether it may be changed.
type Look = (ObjectId, AdoptionFinding, Option<Target>);
type Looks = Vec<Look>;

impl Adoption<'_> {
    /// Finds out what would be adopted; writes nothing.
    ///
    /// # Errors
    /// When an object cannot be read or changed.
    pub async fn look(&self) -> Result<Findings, AdoptError> {
        self.refuse_another(&self.session.read_inventory(self.me).await?)?;
        Ok(self.see().await?.into_iter().map(|(id, found, _)| (id, found)).collect())
    }

    /// Adopts the objects.
    ///
    /// # Errors
    /// What could not be adopted. All adopted objects are in the inventory.
    pub async fn run(&self) -> Result<Findings, AdoptError> {
        let mut stored = self.session.read_inventory(self.me).await?;
        self.refuse_another(&stored)?;
        let seen = self.see().await?;
        self.write_inventory(&mut stored, &seen).await?;
        let (mut failures, mut late) = (Vec::new(), BTreeMap::new());
        let taking = seen.iter().filter_map(|(id, _, target)| Some((id, target.as_ref()?)));
        let mut taken =
            unordered(taking.map(|(id, target)| async move { (id, self.take(id, target).await) }));
        while let Some((id, result)) = taken.next().await {
            match result {
                Ok(None) => {}
                Ok(Some(changed)) => drop(late.insert(id.clone(), changed)),
                Err(error) => failures.push(failed(id, &error)),
            }
        }
        drop(taken);
        if !failures.is_empty() {
            return Err(AdoptError::Incomplete(failures));
        }
        self.finish(&mut stored, &late).await?;
        let now = |id: ObjectId, before: AdoptionFinding| (late.get(&id).cloned().unwrap_or(before), id);
        Ok(seen.into_iter().map(|(id, before, _)| now(id, before)).map(|(found, id)| (id, found)).collect())
    }

    /// An existing inventory of the same name must come from an adoption of the same objects: the
    /// next prune would delete the others.
    fn refuse_another(&self, stored: &Stored) -> Result<(), AdoptError> {
        if !stored.exists() {
            return Ok(());
        }
        let name = format!("{}/{}", self.me.namespace, inventory_name(&self.me.name));
        let refused = |why: String| Err(AdoptError::Taken(format!("the inventory {name} {why}")));
        if stored.deleting {
            return refused("is being deleted".into());
        }
        if !stored.is_ours() {
            // The inventory of that tool is adopted; that of any other tool is not.
            return match self.former.managers.contains(&stored.writer) {
                true => Ok(()),
                false => refused(format!("was written by {}", stored.writer)),
            };
        }
        let mine = &self.inventory.entries;
        let is_mine = |id: &&ObjectId| id.readings().iter().any(|reading| mine.contains_key(reading));
        match stored.inventory.entries.keys().find(|id| !is_mine(id)) {
            None => Ok(()),
            Some(other) => {
                refused(format!("already exists and has {other}, which is not part of this adoption"))
            }
        }
    }

    /// The inventory without the mark, and without objects that turned out not to be ours.
    async fn finish(
        &self,
        stored: &mut Stored,
        late: &BTreeMap<ObjectId, AdoptionFinding>,
    ) -> Result<(), AdoptError> {
        let mut inventory = Inventory::clone(&stored.inventory);
        inventory.entries.retain(|id, _| !late.contains_key(id));
        stored.provenance.adopting.clear();
        let finalizer = if stored.operators { FinalizerPolicy::Set } else { FinalizerPolicy::Omit };
        Ok(self.session.write_inventory(self.me, stored, inventory, finalizer).await?)
    }

    async fn see(&self) -> Result<Looks, AdoptError> {
        let entries = &self.inventory.entries;
        let discovery = self.session.discovery_of(entries.keys().map(ObjectId::group_kind)).await?;
        let mut ids: Vec<(&ObjectId, &Entry)> = entries.iter().collect();
        ids.sort_by(|a, b| order(a.0).cmp(&order(b.0)));
        let discovery = &discovery;
        let mut looks = ordered(
            ids.into_iter()
                .map(|(id, entry)| async move { (id.clone(), self.see_any(discovery, id, entry).await) }),
        );
        let (mut seen, mut failures) = (Vec::new(), Vec::new());
        while let Some((id, look)) = looks.next().await {
            match look {
                Ok(look) => seen.push(look),
                Err(error) => failures.push(failed(&id, &error)),
            }
        }
        drop(looks);
        if failures.is_empty() { Ok(seen) } else { Err(AdoptError::Refused(failures)) }
    }

    /// The object of another tool's entry: the first reading that exists.
    async fn see_any(
        &self,
        discovery: &ApiDiscovery,
        id: &ObjectId,
        entry: &Entry,
    ) -> Result<Look, ApiError> {
        for reading in id.readings() {
            match self.see_one(discovery, &reading, entry).await? {
                (AdoptionFinding::Missing, _) => {}
                (found, target) => return Ok((reading, found, target)),
            }
        }
        Ok((id.clone(), AdoptionFinding::Missing, None))
    }

    async fn see_one(
        &self,
        discovery: &ApiDiscovery,
        id: &ObjectId,
        entry: &Entry,
    ) -> Result<(AdoptionFinding, Option<Target>), ApiError> {
        let kind = id.group_kind();
        let Some(resource) = discovery.served(&kind, &entry.version) else {
            self.session.is_undefined(&kind).await?;
            return Ok((AdoptionFinding::Missing, None));
        };
        let live: Value = match self.session.get(&resource, id).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.is_not_found() => return Ok((AdoptionFinding::Missing, None)),
            Err(error) => return Err(error),
        };
        let found = match claim(&live, self.former, self.me) {
            FormerClaim::Theirs => AdoptionFinding::Theirs(lost_marks(&live, self.former)),
            FormerClaim::Ours => AdoptionFinding::Ours,
            FormerClaim::Foreign(why) => return Ok((AdoptionFinding::Foreign(why), None)),
        };
        // The permission to change it is checked before anything is changed.
        let mut patch = relabel(&live, self.former, self.me);
        if let Some(metadata) = patch["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        self.session.merge_patch(&resource, id, &patch, true).await?;
        let version = resource.version.clone();
        Ok((found, Some(Target { resource, live, version })))
    }

    async fn write_inventory(&self, stored: &mut Stored, seen: &Looks) -> Result<(), AdoptError> {
        let before: Entries = match stored.is_ours() {
            true => stored.inventory.entries.clone(),
            false => Entries::new(),
        };
        let taken = seen.iter().filter_map(|(id, _, target)| Some((id, target.as_ref()?)));
        let mut entries = before;
        for (id, target) in taken {
            let uid = target.live.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
            entries.entry(id.clone()).or_insert_with(|| Entry {
                version: target.version.clone(),
                uid,
                ..Entry::default()
            });
        }
        // The mark shows that the adoption must be continued, and with which objects.
        let adopting = serde_json::to_string(self.former).unwrap_or_default();
        stored.provenance = Provenance { adopting, ..self.provenance.clone() };
        let finalizer = if stored.operators { FinalizerPolicy::Set } else { FinalizerPolicy::Omit };
        let inventory = Inventory { entries, ..Inventory::default() };
        Ok(self.session.write_inventory(self.me, stored, inventory, finalizer).await?)
    }

    /// Labels first, then field ownership: an object between the two is ours, and the next run
    /// continues with it. Returns the new finding if it cannot be adopted any more.
    async fn take(&self, id: &ObjectId, target: &Target) -> Result<Option<AdoptionFinding>, ApiError> {
        let resource = &target.resource;
        let mut live = target.live.clone();
        for _ in 0..ATTEMPTS {
            match self.take_once(id, resource, &live).await {
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
            live = match self.session.get(resource, id).await {
                Ok(answer) => answer.json()?,
                // Deleted meanwhile: there is nothing to adopt.
                Err(error) if error.is_not_found() => return Ok(Some(AdoptionFinding::Missing)),
                Err(error) => return Err(error),
            };
        }
        Err(ApiError::ConflictRetriesExhausted(ATTEMPTS))
    }

    async fn take_once(
        &self,
        id: &ObjectId,
        resource: &Resource,
        live: &Value,
    ) -> Result<Option<AdoptionFinding>, ApiError> {
        let live = match claim(live, self.former, self.me) {
            FormerClaim::Foreign(why) => return Ok(Some(AdoptionFinding::Foreign(why))),
            FormerClaim::Ours => live.clone(),
            FormerClaim::Theirs => {
                let patch = relabel(live, self.former, self.me);
                self.session.merge_patch(resource, id, &patch, false).await?
            }
        };
        if let Some(fields) = take_over(&live, &self.former.managers) {
            self.session.replace_managed_fields(resource, id, &live, &fields).await?;
        }
        Ok(None)
    }
}

fn failed(id: &ObjectId, error: &ApiError) -> ObjectFailure {
    let message = match error.status() {
        Some(status) if id.is("", "Secret") && !error.is_forbidden() => masked(id, &status.message),
        _ => chain(error),
    };
    ObjectFailure { id: id.clone(), reason: error.reason(), message }
}
