//! The cluster at one moment, as far as a history has to do with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::action::Number;
use crate::model::Id;

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Releases, whole.
    pub releases: BTreeMap<Number, Value>,
    /// The ids in their inventories, over all parts.
    pub inventories: BTreeMap<Number, BTreeSet<Id>>,
    /// The revision and options that an inventory is the complete result of.
    pub results: BTreeMap<Number, String>,
    /// Objects that a history may have made, whole.
    pub objects: BTreeMap<Id, Value>,
    /// What `kubectl apply --server-side` would make of what a release wants, in an empty
    /// namespace.
    pub references: BTreeMap<(Number, Id), Value>,
}

impl Snapshot {
    /// What the recorded steps of a release are of, if that is one thing.
    pub fn step_key(&self, release: Number) -> Option<String> {
        let records = self.releases.get(&release)?["status"]["steps"].as_array()?;
        let keys: BTreeSet<&str> = records.iter().filter_map(|record| record["key"].as_str()).collect();
        let mut keys = keys.into_iter();
        keys.next().filter(|_| keys.next().is_none()).map(str::to_owned)
    }

    /// Adds a part of an inventory.
    pub fn add_inventory(&mut self, part: &Value) {
        let name = part["metadata"]["name"].as_str().unwrap_or_default();
        let Some(number) = name.strip_prefix("inv-r").and_then(|rest| rest.split('.').next()) else { return };
        let Ok(number) = number.parse() else { return };
        let entries = part["data"]["resources"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let entries: Vec<Value> = entries.unwrap_or_default();
        if let Some(key) = part["data"]["applied"].as_str().filter(|key| !key.is_empty()) {
            self.results.insert(number, key.to_owned());
        }
        let ids = entries.iter().filter_map(|entry| entry["id"].as_str()).map(str::to_owned);
        self.inventories.entry(number).or_default().extend(ids);
    }
}
