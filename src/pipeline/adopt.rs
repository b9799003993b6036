//! Taking objects over from another tool: all that can be known is known before
//! the first write, the inventory names them before they are ours, and nothing
//! is deleted or restarted.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use super::acquire::chain;
use super::parallel::{ordered, unordered};
use crate::cluster::discovery::{Known, Resource};
use crate::cluster::error::ApiError;
use crate::cluster::inventory::{Hold, StoreError};
use crate::cluster::session::Session;
use crate::domain::adopt::{Claim, Former, claim, relabel, take_over};
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::inventory::{Entry, Inventory, Provenance};
use crate::domain::outcome::ObjectFailure;
use crate::domain::stage::order;

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
pub enum Found {
    /// The other tool's: it is, or would be, taken over.
    Theirs,
    /// Ours already.
    Ours,
    /// It does not exist.
    Missing,
    /// Somebody else's, and why: it stays as it is.
    Foreign(String),
}

/// What becomes of each object, in the order of an apply.
pub type Findings = Vec<(ObjectId, Found)>;

/// Why nothing, or not all, was taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Before anything was written.
    #[error("nothing was written, {} object(s) cannot be taken over", .0.len())]
    Refused(Vec<ObjectFailure>),
    /// The inventory names all, and these are not ours yet.
    #[error("the inventory names all, but {} object(s) are not taken over yet; the same command goes on", .0.len())]
    Incomplete(Vec<ObjectFailure>),
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

/// Looks at all objects, and asks the API server whether each may be changed.
type Seen = Vec<(ObjectId, Found, Option<Target>)>;

impl Adoption<'_> {
    /// Finds out what would be taken over; writes nothing.
    ///
    /// # Errors
    /// When an object cannot be looked at, or may not be changed.
    pub async fn look(&self) -> Result<Findings, AdoptError> {
        Ok(self.see().await?.into_iter().map(|(id, found, _)| (id, found)).collect())
    }

    /// Takes the objects over.
    ///
    /// # Errors
    /// What could not be taken over. All that was is in the inventory.
    pub async fn run(&self) -> Result<Findings, AdoptError> {
        let seen = self.see().await?;
        self.write_inventory(&seen).await?;
        let mut failures = Vec::new();
        let taking = seen.iter().filter_map(|(id, _, target)| Some((id, target.as_ref()?)));
        let mut taken =
            unordered(taking.map(|(id, target)| async move { (id, self.take(id, target).await) }));
        while let Some((id, result)) = taken.next().await {
            if let Err(error) = result {
                let (id, reason) = (id.clone(), error.reason());
                failures.push(ObjectFailure { id, reason, message: chain(&error) });
            }
        }
        drop(taken);
        if !failures.is_empty() {
            return Err(AdoptError::Incomplete(failures));
        }
        Ok(seen.into_iter().map(|(id, found, _)| (id, found)).collect())
    }

    async fn see(&self) -> Result<Seen, AdoptError> {
        let entries = &self.inventory.entries;
        let known = self.session.known_of(entries.keys().map(ObjectId::group_kind)).await?;
        let mut ids: Vec<(&ObjectId, &Entry)> = entries.iter().collect();
        ids.sort_by(|a, b| order(a.0).cmp(&order(b.0)));
        let known = &known;
        let mut looks = ordered(
            ids.into_iter()
                .map(|(id, entry)| async move { (id.clone(), self.see_one(known, id, entry).await) }),
        );
        let (mut seen, mut failures) = (Vec::new(), Vec::new());
        while let Some((id, look)) = looks.next().await {
            match look {
                Ok((found, target)) => seen.push((id, found, target)),
                Err(error) => {
                    let reason = error.reason();
                    failures.push(ObjectFailure { id, reason, message: chain(&error) });
                }
            }
        }
        drop(looks);
        if failures.is_empty() { Ok(seen) } else { Err(AdoptError::Refused(failures)) }
    }

    async fn see_one(
        &self,
        known: &Known,
        id: &ObjectId,
        entry: &Entry,
    ) -> Result<(Found, Option<Target>), ApiError> {
        let kind = id.group_kind();
        let Some(resource) = known.resource(&kind, &entry.version).or_else(|| known.preferred(&kind)) else {
            known.absent(&kind)?;
            return Ok((Found::Missing, None));
        };
        let live: Value = match self.session.get(&resource, id).await {
            Ok(answer) => answer.json()?,
            Err(error) if error.is_not_found() => return Ok((Found::Missing, None)),
            Err(error) => return Err(error),
        };
        let found = match claim(&live, self.former, self.me) {
            Claim::Theirs => Found::Theirs,
            Claim::Ours => Found::Ours,
            Claim::Foreign(why) => return Ok((Found::Foreign(why), None)),
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

    async fn write_inventory(&self, seen: &Seen) -> Result<(), AdoptError> {
        let mut stored = self.session.read_inventory(self.me).await?;
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
        stored.provenance = self.provenance.clone();
        let hold = if stored.operators { Hold::Finalizer } else { Hold::Loose };
        let inventory = Inventory { entries, applied: None };
        Ok(self.session.write_inventory(self.me, &mut stored, inventory, hold).await?)
    }

    /// Labels first, then field ownership: an object between the two is ours, and
    /// taken up again by the next run.
    async fn take(&self, id: &ObjectId, target: &Target) -> Result<(), ApiError> {
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
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            };
        }
        Err(ApiError::Restless(ATTEMPTS))
    }

    async fn take_once(&self, id: &ObjectId, resource: &Resource, live: &Value) -> Result<(), ApiError> {
        let live = match claim(live, self.former, self.me) {
            Claim::Foreign(_) => return Ok(()),
            Claim::Ours => live.clone(),
            Claim::Theirs => {
                let patch = relabel(live, self.former, self.me);
                self.session.merge_patch(resource, id, &patch, false).await?
            }
        };
        match take_over(&live, &self.former.managers) {
            Some(fields) => self.session.replace_managed_fields(resource, id, &live, &fields).await,
            None => Ok(()),
        }
    }
}
