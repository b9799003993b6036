//! Writing inventories. Every write carries the resource version that was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::config_map::{
    APPLIED, ARTIFACTS, BEGUN, BUILT, CHART, CLUSTER, ConfigMap, ENTRIES, PARTS, Part, RESOURCES, SEQUENCE,
    WRITER, WRITTEN, part_name, path,
};
use super::error::StoreError;
use super::stored::Stored;
use crate::api::keys;
use crate::cluster::session::{Call, JSON, Session};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::{Inventory, PART_BYTES};

/// Whether an inventory is written with our finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalizerPolicy {
    /// With our finalizer, so that none of its objects is forgotten.
    Set,
    /// Without it: the deletion of a namespace must not wait for a person.
    Omit,
}

/// The fields that all parts of a write share.
#[derive(Clone, Copy)]
struct Writing<'a> {
    release: &'a ReleaseId,
    inventory: &'a Inventory,
    finalizer: FinalizerPolicy,
    parts: usize,
    sequence: u64,
}

impl Session {
    /// Writes the inventory of a release, its provenance as `stored` has it. Parts after
    /// the first are written before it with everything they held, and shrunk after it, so
    /// that every entry is in a part at all times.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another client has written it since it was read: read
    /// it again and decide again.
    pub async fn write_inventory(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
        inventory: Inventory,
        finalizer: FinalizerPolicy,
    ) -> Result<(), StoreError> {
        let texts = inventory.write_parts(PART_BYTES);
        let sequence = stored.sequence + 1;
        let writing = Writing { release, inventory: &inventory, finalizer, parts: texts.len(), sequence };
        let old_parts = stored.parts.len();
        let several = texts.len() > 1 || old_parts > 1;
        if several {
            let union = union_texts(stored, old_parts.max(1), &texts);
            for (n, text) in union.iter().enumerate().skip(1) {
                self.write_part(writing, stored, n, text).await?;
            }
        }
        self.write_part(writing, stored, 0, &texts[0]).await?;
        // Not before: a caller that continues after an error must not see it as done.
        stored.sequence = sequence;
        stored.operators = finalizer == FinalizerPolicy::Set;
        if several {
            for (n, text) in texts.iter().enumerate().skip(1) {
                self.write_part(writing, stored, n, text).await?;
            }
            for n in (texts.len()..stored.parts.len()).rev() {
                self.remove_part(release, n, &stored.parts[n]).await?;
                stored.parts.truncate(n);
            }
        }
        stored.writer = WRITER.to_owned();
        stored.inventory = Arc::new(inventory);
        stored.scattered = Vec::new();
        Ok(())
    }

    async fn write_part(
        &self,
        writing: Writing<'_>,
        stored: &mut Stored,
        part: usize,
        text: &str,
    ) -> Result<(), StoreError> {
        let Writing { release, inventory, finalizer, parts, sequence } = writing;
        let name = part_name(&release.name, part);
        let known = stored.parts.get(part).cloned().unwrap_or_default();
        let mut data = BTreeMap::from([
            (RESOURCES.to_owned(), text.to_owned()),
            (SEQUENCE.to_owned(), sequence.to_string()),
        ]);
        if part == 0 {
            data.insert(PARTS.to_owned(), parts.to_string());
            data.insert(ENTRIES.to_owned(), inventory.entries.len().to_string());
            data.insert(APPLIED.to_owned(), inventory.applied.clone().unwrap_or_default());
            data.extend(inventory.written.iter().map(|written| (WRITTEN.to_owned(), written.clone())));
            // Strings always serialize.
            let begun = inventory.begun.iter().filter_map(|begun| serde_json::to_string(begun).ok());
            data.extend(begun.map(|begun| (BEGUN.to_owned(), begun)));
            data.extend(inventory.built.iter().map(|built| (BUILT.to_owned(), built.clone())));
            let chart = inventory.chart.as_ref().and_then(|chart| chart.text());
            data.extend(chart.map(|chart| (CHART.to_owned(), chart)));
            let artifacts = &stored.provenance.artifacts;
            if !artifacts.is_empty() {
                data.insert(ARTIFACTS.to_owned(), serde_json::to_string(artifacts).unwrap_or_default());
            }
        }
        // In each part: the others still say it when the first is gone.
        let place = inventory.place.iter().filter_map(|place| serde_json::to_string(&**place).ok());
        data.extend(place.map(|place| (CLUSTER.to_owned(), place)));
        let provenance = &stored.provenance;
        let notes = [
            (keys::SOURCE, &provenance.source),
            (keys::REVISION, &provenance.revision),
            (keys::LAST_APPLIED_TIME, &provenance.applied_at),
            (keys::ADOPTING, &provenance.adopting),
        ];
        let annotations: BTreeMap<&str, &String> =
            notes.into_iter().filter(|(_, value)| part == 0 && !value.is_empty()).collect();
        let finalizers: &[&str] = if finalizer == FinalizerPolicy::Set { &[keys::FINALIZER] } else { &[] };
        let mut metadata = json!({
            "name": name,
            "namespace": release.namespace,
            "labels": {
                "app.kubernetes.io/name": release.name,
                "app.kubernetes.io/component": "inventory",
                "app.kubernetes.io/created-by": WRITER,
            },
            "annotations": annotations,
            "finalizers": finalizers,
        });
        let call = if known.version.is_empty() {
            let uri = format!("/api/v1/namespaces/{}/configmaps", release.namespace);
            (Method::POST, uri)
        } else {
            metadata["resourceVersion"] = known.version.as_str().into();
            (Method::PUT, path(&release.namespace, &name))
        };
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        let body = map.to_string().into_bytes().into();
        let uri = format!("{}?fieldManager={}", call.1, keys::FIELD_MANAGER);
        let full_name = || format!("{}/{name}", release.namespace);
        let answer = match self.call(Call::with_body(call.0, uri, JSON, body)).await {
            Ok(answer) => answer.json::<ConfigMap>(),
            Err(e) if e.is_conflict() || e.already_exists() => {
                return Err(StoreError::Changed { name: full_name() });
            }
            // Deleted since it was read; nothing can be created in a namespace that is being
            // deleted.
            Err(e) if e.is_not_found() && !known.version.is_empty() => {
                return Err(StoreError::Changed { name: full_name() });
            }
            Err(e) => Err(e),
        };
        let written =
            answer.map_err(|source| StoreError::Api { name: full_name(), verb: "write", source })?;
        if stored.parts.len() <= part {
            stored.parts.resize_with(part + 1, Part::default);
        }
        stored.parts[part] = Part::of(&written);
        Ok(())
    }
}

/// For each part, the entries that it held and those that it will hold.
fn union_texts(stored: &Stored, old_parts: usize, texts: &[String]) -> Vec<String> {
    let old_texts: Vec<String> = match stored.scattered.as_slice() {
        [] => stored.inventory.write_parts(PART_BYTES),
        parts => parts.iter().map(|part| part.write_parts(usize::MAX).remove(0)).collect(),
    };
    let parts = texts.len().max(old_texts.len()).max(old_parts);
    (0..parts)
        .map(|n| {
            let mut union = Inventory::default();
            for text in [texts.get(n), old_texts.get(n)].into_iter().flatten() {
                // Both were just written by us.
                let _ = union.read_part(text);
            }
            union.write_parts(usize::MAX).remove(0)
        })
        .collect()
}
