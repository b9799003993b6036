//! Taking objects over from another tool: all that can be known is known before
//! the first write, the inventory names them before they are ours, and nothing
//! is deleted or restarted.

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
use crate::domain::inventory::{Entry, Inventory, Provenance};
use crate::domain::outcome::ObjectFailure;
use crate::domain::stage::order;
use crate::domain::status::inventory_name;
use crate::reconcile::error::{chain, masked};
use crate::reconcile::flow::parallel::{ordered, unordered};

/// How often an object that changes between a look and a write is looked at
/// again: controllers write the status of busy ones all the time.
const ATTEMPTS: usize = 8;

/// What is taken over, and for whom.
pub struct Adoption<'a> {
    /// As whom.
    pub session: &'a Session,
    /// Whose the objects are.
    pub former: &'a Former,
    /// The inventory that they are to be in.
    pub me: &'a ReleaseId,
    /// The objects, with their versions.
    pub inventory: &'a Inventory,
    /// Where they come from.
    pub provenance: &'a Provenance,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdoptionFinding {
    /// The other tool's: it is, or would be, taken over. What its marks for that
    /// tool lose by it is told.
    Theirs(Vec<String>),
    /// Ours already.
    Ours,
    /// It does not exist.
    Missing,
    /// Another client's, and why: it stays as it is.
    Foreign(String),
}

/// What becomes of each object, in the order of an apply.
pub type Findings = Vec<(ObjectId, AdoptionFinding)>;

/// Why nothing, or not all, was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Before anything was written.
    #[error("nothing was written, {} object(s) cannot be taken over", .0.len())]
    Refused(Vec<ObjectFailure>),
    /// The inventory names all, and these are not ours yet.
    #[error("the inventory names all, but {} object(s) are not taken over yet; the same command goes on", .0.len())]
    Incomplete(Vec<ObjectFailure>),
    /// An inventory of the name is there that is about something else.
    #[error("nothing was written: {0}")]
    Taken(String),
    /// The cluster.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The inventory.
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
    /// Finds out what would be taken over; writes nothing.
    ///
    /// # Errors
    /// When an object cannot be looked at, or may not be changed.
    pub async fn look(&self) -> Result<Findings, AdoptError> {
        self.refuse_another(&self.session.read_inventory(self.me).await?)?;
        Ok(self.see().await?.into_iter().map(|(id, found, _)| (id, found)).collect())
    }

    /// Takes the objects over.
    ///
    /// # Errors
    /// What could not be taken over. All that was is in the inventory.
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

    /// An inventory of the same name may only be what an adoption of the same
    /// objects has left: the next prune would delete the rest.
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
            // Its own record is what is taken over; another tool's is not.
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
                refused(format!("is there already, and names {other}, which would not be among the rest"))
            }
        }
    }

    /// The inventory without the mark, and without what turned out not to be
    /// ours.
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

    /// What the entry of another tool stands for: the first that exists.
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
        // Whether it may be changed is known before anything is.
        let mut patch = relabel(&live, self.former, self.me);
        if let Some(metadata) = patch["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        self.session.merge_patch(&resource, id, &patch, true).await?;
        let version = resource.version.clone();
        Ok((found, Some(Target { resource, live, version })))
    }

    async fn write_inventory(&self, stored: &mut Stored, seen: &Looks) -> Result<(), AdoptError> {
        let before: BTreeMap<ObjectId, Entry> = match stored.is_ours() {
            true => stored.inventory.entries.clone(),
            false => BTreeMap::new(),
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
        // Who finds the mark knows that it has to go on, and with what.
        let adopting = serde_json::to_string(self.former).unwrap_or_default();
        stored.provenance = Provenance { adopting, ..self.provenance.clone() };
        let finalizer = if stored.operators { FinalizerPolicy::Set } else { FinalizerPolicy::Omit };
        let inventory = Inventory { entries, ..Inventory::default() };
        Ok(self.session.write_inventory(self.me, stored, inventory, finalizer).await?)
    }

    /// Labels first, then field ownership: an object between the two is ours, and
    /// taken up again by the next run.
    /// Says what it found instead, if it is not to be taken over any more.
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
                // Gone meanwhile: there is nothing to take over.
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
