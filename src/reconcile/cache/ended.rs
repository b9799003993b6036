//! Jobs and pods that have run to their end: that is remembered before they are
//! gone, so that they are not taken for deleted.

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
use crate::reconcile::env::Env;
use crate::reconcile::flow::parallel::unordered;

impl ClusterCache {
    /// The uid of the object of that name that has run to its end, as far as a
    /// watch or a question has shown.
    pub fn ended(&self, id: &ObjectId) -> Option<String> {
        match (id.group.as_str(), id.kind.as_str()) {
            ("batch", "Job") => self.watches.iter().find(|w| w.covers(id))?.completed(id),
            ("", "Pod") => self.asked.get(id).filter(|a| a.succeeded).map(|a| a.uid.clone()),
            _ => None,
        }
    }

    /// Whether the object of an entry, and no other of that name, has run to its end.
    pub fn ended_as(&self, id: &ObjectId, entry: &Entry) -> bool {
        entry.uid.is_some() && self.ended(id) == entry.uid
    }

    /// Whether an object that has run to its end, and that no watch shows, may still be
    /// there without our labels.
    pub fn may_be_unlabelled(&self, id: &ObjectId, entry: &Entry) -> bool {
        let ended = entry.done || self.ended_as(id, entry);
        ended && !entry.retained && self.gone.get(id) != entry.uid.as_ref()
    }

    /// Remembers what the API server has said of such an object.
    pub fn has_told(&mut self, id: &ObjectId, record: Option<&Record>) {
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

    /// An inventory with the objects marked that have run to their end; `None` when
    /// it says so of all of them.
    pub fn mark_ended(&self, inventory: &Inventory) -> Option<Inventory> {
        let open = inventory.entries.iter().filter(|(_, entry)| !entry.done && entry.uid.is_some());
        let ended: Vec<(&ObjectId, String)> =
            open.filter_map(|(id, _)| Some((id, self.ended(id)?))).collect();
        inventory.with_done(ended.iter().map(|(id, uid)| (*id, uid.as_str())))
    }

    /// Whether a pod has to be asked whether it has run to its end.
    pub fn may_have_succeeded(&self, id: &ObjectId, entry: &Entry, record: &Record) -> bool {
        let asked_again = |asked: &AskedPod| asked.uid == record.uid && record.version <= asked.version;
        let open = !entry.done && entry.uid.as_deref() == Some(record.uid.as_str());
        open && id.is("", "Pod") && !self.asked.get(id).is_some_and(asked_again)
    }

    /// Whether one of the objects that were seen to change has run to its end, which
    /// the inventory does not say yet.
    pub fn has_ended(&self, touched: &HashSet<ObjectId>) -> bool {
        let entries = &self.inventory.entries;
        touched.iter().any(|id| entries.get(id).is_some_and(|e| !e.done && self.ended_as(id, e)))
    }

    /// Asks for the pods that were seen to change, where that does not say whether they
    /// have run to their end.
    pub async fn ask_touched(&mut self, env: &Env, touched: &HashSet<ObjectId>) {
        let pods: Vec<(ObjectId, Record)> = touched
            .iter()
            .filter_map(|id| {
                let (entry, record) = (self.inventory.entries.get(id)?, self.record(id)?);
                self.may_have_succeeded(id, entry, &record).then(|| (id.clone(), record))
            })
            .collect();
        let Some(identity) = self.identity.clone().filter(|_| !pods.is_empty()) else { return };
        // Who cannot be asked now is asked when the pod changes, and by the next run.
        let Ok(session) = env.session.impersonate(identity) else { return };
        let Ok(discovery) = session.discovery().await else { return };
        self.ask_pods(&session, &discovery, &pods).await;
    }

    /// Asks for pods whose records do not say whether they have run to their end.
    /// One that cannot be read is asked for again when it changes.
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
            // One that is always restarted never ends.
            let endless = same && pod["spec"]["restartPolicy"] == "Always";
            let version = if endless { u64::MAX } else { record.version };
            let asked = AskedPod { uid: record.uid.clone(), version, succeeded };
            self.asked.insert(id.clone(), asked);
        }
        drop(answers);
        let entries = &self.inventory.entries;
        self.asked.retain(|id, _| entries.contains_key(id));
    }

    /// Whether an applied object has run to its end, so that it may be gone and is
    /// healthy all the same.
    pub fn has_run_to_its_end(&self, id: &ObjectId) -> bool {
        self.inventory.entries.get(id).is_some_and(|entry| entry.done || self.ended_as(id, entry))
    }

    /// Whether an object that was applied or kept by a run has ended since.
    pub fn has_run(&self, id: &ObjectId, fates: &BTreeMap<ObjectId, Fate>) -> bool {
        let entry = match fates.get(id) {
            Some(Fate::Applied(entry)) => Some(entry),
            _ => self.inventory.entries.get(id),
        };
        entry.is_some_and(|entry| self.ended_as(id, entry))
    }
}
