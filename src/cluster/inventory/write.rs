//! Writing inventories. Every write carries the resource version that was read.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::stored::{
    APPLIED, ARTIFACTS, ConfigMap, PARTS, Part, RESOURCES, SEQUENCE, StoreError, Stored, WRITER, part_name,
    path,
};
use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, JSON, Session};
use crate::domain::identity::ReleaseId;
use crate::domain::inventory::{Inventory, PART_BYTES};

/// Who writes an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// With our finalizer, so that nothing that it names is forgotten.
    Finalizer,
    /// Without it: a person's namespace must not wait for a person.
    Loose,
}

impl Session {
    /// Writes the inventory of a release, its provenance as `stored` has it.
    /// Parts after the first are written before it with everything they held,
    /// and shrunk after it, so that at no time an entry is in none of them.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when somebody has written it since it was read:
    /// read it again and decide anew.
    pub async fn write_inventory(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
        inventory: Inventory,
        hold: Hold,
    ) -> Result<(), StoreError> {
        stored.operators = hold == Hold::Finalizer;
        let texts = inventory.write_parts(PART_BYTES);
        let old_parts = stored.parts.len();
        stored.sequence += 1;
        let several = texts.len() > 1 || old_parts > 1;
        if several {
            let union = union_texts(&stored.inventory, old_parts.max(1), &texts);
            for (n, text) in union.iter().enumerate().skip(1) {
                self.write_part(release, stored, n, text, &inventory, texts.len()).await?;
            }
        }
        self.write_part(release, stored, 0, &texts[0], &inventory, texts.len()).await?;
        if several {
            for (n, text) in texts.iter().enumerate().skip(1) {
                self.write_part(release, stored, n, text, &inventory, texts.len()).await?;
            }
            for n in (texts.len()..stored.parts.len()).rev() {
                self.remove_part(release, n).await?;
                stored.parts.truncate(n);
            }
        }
        stored.writer = WRITER.to_owned();
        stored.inventory = Arc::new(inventory);
        Ok(())
    }

    async fn write_part(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
        part: usize,
        text: &str,
        inventory: &Inventory,
        parts: usize,
    ) -> Result<(), StoreError> {
        let name = part_name(&release.name, part);
        let known = stored.parts.get(part).cloned().unwrap_or_default();
        let mut data = BTreeMap::from([
            (RESOURCES.to_owned(), text.to_owned()),
            (SEQUENCE.to_owned(), stored.sequence.to_string()),
        ]);
        if part == 0 {
            data.insert(PARTS.to_owned(), parts.to_string());
            data.insert(APPLIED.to_owned(), inventory.applied.clone().unwrap_or_default());
            // Strings always serialize.
            let artifacts = &stored.provenance.artifacts;
            if !artifacts.is_empty() {
                data.insert(ARTIFACTS.to_owned(), serde_json::to_string(artifacts).unwrap_or_default());
            }
        }
        let provenance = &stored.provenance;
        let notes = [
            (keys::SOURCE, &provenance.source),
            (keys::REVISION, &provenance.revision),
            (keys::LAST_APPLIED_TIME, &provenance.applied_at),
            (keys::ADOPTING, &provenance.adopting),
        ];
        let annotations: BTreeMap<&str, &String> =
            notes.into_iter().filter(|(_, value)| part == 0 && !value.is_empty()).collect();
        let finalizers: &[&str] = if stored.operators { &[keys::FINALIZER] } else { &[] };
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
            // Gone since it was read; in a dying namespace nothing is made anew.
            Err(e) if e.is_not_found() && !known.version.is_empty() => {
                return Err(StoreError::Changed { name: full_name() });
            }
            Err(e) => Err(e),
        };
        let written =
            answer.map_err(|source| StoreError::Api { name: full_name(), verb: "written", source })?;
        if stored.parts.len() <= part {
            stored.parts.resize_with(part + 1, Part::default);
        }
        stored.parts[part] = Part { version: written.metadata.resource_version };
        Ok(())
    }

    /// Asks for the deletion of an inventory whose finalizer holds it: it is
    /// there to be read until [`Session::remove_inventory`].
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn condemn_inventory(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        for part in (0..stored.parts.len()).rev() {
            self.delete_part(release, part).await?;
        }
        stored.deleting = true;
        // Their versions have changed by it.
        *stored = self.read_inventory(release).await?;
        Ok(())
    }

    /// Removes the inventory of a release: finalizer and ConfigMaps.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn remove_inventory(&self, release: &ReleaseId, stored: &Stored) -> Result<(), StoreError> {
        for part in (0..stored.parts.len()).rev() {
            self.remove_part(release, part).await?;
        }
        Ok(())
    }

    async fn remove_part(&self, release: &ReleaseId, part: usize) -> Result<(), StoreError> {
        let name = part_name(&release.name, part);
        let uri = path(&release.namespace, &name);
        match self.release_part(&uri).await {
            Ok(()) => self.delete_part(release, part).await,
            Err(e) if e.is_not_found() => Ok(()),
            Err(source) => Err(not_removed(release, &name, source)),
        }
    }

    async fn delete_part(&self, release: &ReleaseId, part: usize) -> Result<(), StoreError> {
        let name = part_name(&release.name, part);
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions"}).to_string();
        let uri = path(&release.namespace, &name);
        let delete = Call::with_body(Method::DELETE, uri, JSON, options.into_bytes().into());
        match self.call(delete).await {
            Ok(_) => Ok(()),
            Err(e) if e.is_not_found() => Ok(()),
            Err(source) => Err(not_removed(release, &name, source)),
        }
    }

    /// Takes our finalizer off a part, and leaves those of others.
    async fn release_part(&self, uri: &str) -> Result<(), ApiError> {
        let part: ConfigMap = self.call(Call::get(uri)).await?.json()?;
        let mut finalizers = part.metadata.finalizers;
        let before = finalizers.len();
        finalizers.retain(|f| f != keys::FINALIZER);
        if finalizers.len() == before {
            return Ok(());
        }
        let version = part.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version, "finalizers": finalizers}});
        let body = patch.to_string().into_bytes().into();
        let call = Call::with_body(Method::PATCH, uri, "application/merge-patch+json", body);
        self.call(call).await.map(|_| ())
    }
}

fn not_removed(release: &ReleaseId, name: &str, source: ApiError) -> StoreError {
    StoreError::Api { name: format!("{}/{name}", release.namespace), verb: "removed", source }
}

/// For each part the entries that it held and those that it is to hold.
fn union_texts(before: &Inventory, old_parts: usize, texts: &[String]) -> Vec<String> {
    let old_texts = before.write_parts(PART_BYTES);
    let parts = texts.len().max(old_texts.len()).max(old_parts);
    (0..parts)
        .map(|n| {
            let mut union = Inventory::default();
            for text in [texts.get(n), old_texts.get(n)].into_iter().flatten() {
                // Both were written by us just now.
                let _ = union.read_part(text);
            }
            union.write_parts(usize::MAX).remove(0)
        })
        .collect()
}
