//! Removing inventories. Only what was read is removed: otherwise an apply that wrote the
//! inventory meanwhile would have objects that no inventory lists.

use http::Method;
use serde_json::{Value, json};

use super::config_map::{ConfigMap, Part, part_name, path};
use super::error::StoreError;
use super::stored::Stored;
use crate::api::keys;
use crate::cluster::error::ApiError;
use crate::cluster::session::{Call, JSON, Session};
use crate::domain::identity::ReleaseId;

impl Session {
    /// Asks for the deletion of an inventory whose finalizer holds it: it remains
    /// readable until [`Session::remove_inventory`].
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another client has written it since it was read; when
    /// the API server refuses.
    pub async fn mark_inventory_for_deletion(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        match self.mark_parts_for_deletion(release, stored).await {
            Err(StoreError::Changed { name }) => {
                *stored = self.unwritten(release, stored, name).await?;
                self.mark_parts_for_deletion(release, stored).await
            }
            marked => marked,
        }
    }

    /// Removes the inventory of a release: finalizer and ConfigMaps.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when another client has written it since it was read; when
    /// the API server refuses.
    pub async fn remove_inventory(&self, release: &ReleaseId, stored: &Stored) -> Result<(), StoreError> {
        match self.remove_parts(release, stored).await {
            Err(StoreError::Changed { name }) => {
                let now = self.unwritten(release, stored, name).await?;
                self.remove_parts(release, &now).await
            }
            removed => removed,
        }
    }

    /// The current inventory, if its content is still what was read. A new version with
    /// the same content comes from a label, or from the namespace being deleted.
    ///
    /// # Errors
    /// [`StoreError::Changed`] with that name when its content differs; when it cannot be
    /// read.
    pub async fn unwritten(
        &self,
        release: &ReleaseId,
        stored: &Stored,
        name: String,
    ) -> Result<Stored, StoreError> {
        let now = self.read_inventory(release).await?;
        match !now.exists() || now.says_the_same(stored) {
            true => Ok(now),
            false => Err(StoreError::Changed { name }),
        }
    }

    async fn mark_parts_for_deletion(
        &self,
        release: &ReleaseId,
        stored: &mut Stored,
    ) -> Result<(), StoreError> {
        for n in (0..stored.parts.len()).rev() {
            // This changes its version.
            if let Some(part) = self.delete_part(release, n, &stored.parts[n]).await? {
                stored.parts[n] = part;
            }
        }
        stored.deleting = true;
        Ok(())
    }

    async fn remove_parts(&self, release: &ReleaseId, stored: &Stored) -> Result<(), StoreError> {
        for (n, part) in stored.parts.iter().enumerate().rev() {
            self.remove_part(release, n, part).await?;
        }
        Ok(())
    }

    /// Removes our finalizer from a part, keeps other finalizers, and deletes it.
    pub(super) async fn remove_part(
        &self,
        release: &ReleaseId,
        n: usize,
        part: &Part,
    ) -> Result<(), StoreError> {
        match self.release_part(release, n, part).await? {
            Some(part) => self.delete_part(release, n, &part).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// The resulting part; none when it is deleted.
    async fn release_part(
        &self,
        release: &ReleaseId,
        n: usize,
        part: &Part,
    ) -> Result<Option<Part>, StoreError> {
        if !part.finalizers.iter().any(|f| f == keys::FINALIZER) {
            return Ok(Some(part.clone()));
        }
        let name = part_name(&release.name, n);
        let finalizers: Vec<&String> = part.finalizers.iter().filter(|f| *f != keys::FINALIZER).collect();
        let patch = json!({"metadata": {"resourceVersion": part.version, "finalizers": finalizers}});
        let body = patch.to_string().into_bytes().into();
        let uri = path(&release.namespace, &name);
        let call = Call::with_body(Method::PATCH, uri, "application/merge-patch+json", body);
        let answer = self.call(call).await.and_then(|answer| answer.json::<ConfigMap>());
        gone_or(answer.map(|map| Some(Part::of(&map))), release, &name)
    }

    /// Deletes a part if it is what was read. Returns its current state when a finalizer
    /// holds it.
    async fn delete_part(
        &self,
        release: &ReleaseId,
        n: usize,
        part: &Part,
    ) -> Result<Option<Part>, StoreError> {
        if part.version.is_empty() {
            // It did not exist.
            return Ok(None);
        }
        let name = part_name(&release.name, n);
        let mut preconditions = json!({"resourceVersion": part.version});
        if !part.uid.is_empty() {
            preconditions["uid"] = part.uid.as_str().into();
        }
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions});
        let body = options.to_string().into_bytes().into();
        let delete = Call::with_body(Method::DELETE, path(&release.namespace, &name), JSON, body);
        let held = async {
            let answer: Value = self.call(delete).await?.json()?;
            // A Status means that it is deleted.
            if answer["kind"] == "Status" {
                return Ok(None);
            }
            let map: ConfigMap = serde_json::from_value(answer).map_err(ApiError::answer)?;
            Ok(Some(Part::of(&map)))
        };
        gone_or(held.await, release, &name)
    }
}

fn gone_or(
    answer: Result<Option<Part>, ApiError>,
    release: &ReleaseId,
    name: &str,
) -> Result<Option<Part>, StoreError> {
    let name = || format!("{}/{name}", release.namespace);
    match answer {
        Ok(part) => Ok(part),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) if e.is_conflict() => Err(StoreError::Changed { name: name() }),
        Err(source) => Err(StoreError::Api { name: name(), verb: "delete", source }),
    }
}
