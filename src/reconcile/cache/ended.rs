//! Jobs and pods that have finished: that is recorded before they are gone, so that they do not
//! count as deleted.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::StreamExt;
use serde_json::Value;

use super::cluster::{AskedPod, ClusterCache};
use crate::cluster::discovery::ApiDiscovery;
use crate::cluster::session::Session;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::{Entry, Fate, Inventory};
use crate::domain::live::Record;
use crate::reconcile::flow::parallel::unordered;

impl ClusterCache {
    /// The uid of the object of that name that has finished, as far as a watch or a read has shown.
    pub fn ended(&self, id: &ObjectId) -> Option<String> {
        match (id.group.as_str(), id.kind.as_str()) {
            ("batch", "Job") => self.watches.iter().find(|w| w.covers(id))?.completed(id),
            ("", "Pod") => self.asked.get(id).filter(|a| a.succeeded).map(|a| a.uid.clone()),
            _ => None,
        }
    }

    /// Whether the object of an entry, and no other of that name, has finished.
    pub fn ended_as(&self, id: &ObjectId, entry: &Entry) -> bool {
        entry.uid.is_some() && self.ended(id) == entry.uid
    }

    /// Whether a finished object that no watch shows may still exist without our labels.
    pub fn may_be_unlabelled(&self, id: &ObjectId, entry: &Entry) -> bool {
        let ended = entry.done || self.ended_as(id, entry);
        ended && !entry.retained && self.gone.get(id) != entry.uid.as_ref()
    }

    /// Records what the API server has returned for such an object.
    pub fn note_end(&mut self, id: &ObjectId, record: Option<&Record>) {
        let entries = &self.inventory.entries;
        let Some(entry) = entries.get(id).filter(|entry| self.may_be_unlabelled(id, entry)) else { return };
        let uid = entry.uid.clone().unwrap_or_default();
        if record.is_none_or(|record| record.uid != uid) {
            self.gone.retain(|id, _| entries.contains_key(id));
            self.gone.insert(id.clone(), uid);
        }
    }

    /// What a watch shows of an object, synced or not.
    pub fn record(&self, id: &ObjectId) -> Option<Record> {
        self.watches.iter().find(|w| w.covers(id))?.record(id)
    }

    /// The inventory with finished objects marked; `None` when all are marked already.
    pub fn mark_ended(&self, inventory: &Inventory) -> Option<Inventory> {
        let open = inventory.entries.iter().filter(|(_, entry)| !entry.done && entry.uid.is_some());
        let ended: Vec<(&ObjectId, String)> =
            open.filter_map(|(id, _)| Some((id, self.ended(id)?))).collect();
        inventory.with_done(ended.iter().map(|(id, uid)| (*id, uid.as_str())))
    }

    /// Whether a pod has to be fetched to know whether it has finished.
    pub fn may_have_succeeded(&self, id: &ObjectId, entry: &Entry, record: &Record) -> bool {
        let asked_again = |asked: &AskedPod| asked.uid == record.uid && record.version <= asked.version;
        let open = !entry.done && entry.uid.as_deref() == Some(record.uid.as_str());
        open && id.is("", "Pod") && !self.asked.get(id).is_some_and(asked_again)
    }

    /// Whether one of the changed objects has finished, and is not marked in the inventory yet.
    pub fn has_ended(&self, touched: &HashSet<ObjectId>) -> bool {
        let entries = &self.inventory.entries;
        touched.iter().any(|id| entries.get(id).is_some_and(|e| !e.done && self.ended_as(id, e)))
    }

    /// Fetches the changed pods whose records do not say whether they have finished.
    pub async fn ask_touched(&mut self, touched: &HashSet<ObjectId>) {
        let pods: Vec<(ObjectId, Record)> = touched
            .iter()
            .filter_map(|id| {
                let (entry, record) = (self.inventory.entries.get(id)?, self.record(id)?);
                self.may_have_succeeded(id, entry, &record).then(|| (id.clone(), record))
            })
            .collect();
        let Some(session) = self.session.clone().filter(|_| !pods.is_empty()) else { return };
        // A pod that cannot be fetched now is fetched when it changes, and by the next run.
        let Ok(discovery) = session.discovery().await else { return };
        self.ask_pods(&session, &discovery, &pods).await;
    }

    /// Fetches pods whose records do not say whether they have finished. One that cannot be read is
    /// fetched again when it changes.
    pub async fn ask_pods(
        &mut self,
        session: &Session,
        discovery: &Arc<ApiDiscovery>,
        pods: &[(ObjectId, Record)],
    ) {
        let asked = pods.iter().filter_map(|(id, record)| {
            let resource = discovery.preferred(&id.group_kind())?;
            Some(async move { (id, record, session.get(&resource, id).await) })
        });
        let mut answers = unordered(asked);
        while let Some((id, record, answer)) = answers.next().await {
            let pod: Value = answer.ok().and_then(|answer| answer.json().ok()).unwrap_or_default();
            let same = pod["metadata"]["uid"] == record.uid.as_str();
            let succeeded = same && pod["status"]["phase"] == "Succeeded";
            // A pod that is always restarted never finishes.
            let endless = same && pod["spec"]["restartPolicy"] == "Always";
            let version = if endless { u64::MAX } else { record.version };
            let asked = AskedPod { uid: record.uid.clone(), version, succeeded };
            self.asked.insert(id.clone(), asked);
        }
        drop(answers);
        let entries = &self.inventory.entries;
        self.asked.retain(|id, _| entries.contains_key(id));
    }

    /// Whether an applied object has finished, so that it may be gone and still counts as healthy.
    pub fn has_run_to_its_end(&self, id: &ObjectId) -> bool {
        self.inventory.entries.get(id).is_some_and(|entry| entry.done || self.ended_as(id, entry))
    }

    /// Whether an object that was applied or kept by a run has finished since.
    pub fn has_run(&self, id: &ObjectId, fates: &BTreeMap<ObjectId, Fate>) -> bool {
        let entry = match fates.get(id) {
            Some(Fate::Applied(entry)) => Some(entry),
            _ => self.inventory.entries.get(id),
        };
        entry.is_some_and(|entry| self.ended_as(id, entry))
    }
}
