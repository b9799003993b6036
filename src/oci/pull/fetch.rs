//! From a digest to the files in it, with room in memory for them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::fetched::{Artifact, Selection};
use super::source::Content;
use crate::oci::artifact::encryption::{self, Identities};
use crate::oci::artifact::layout::{Document, Manifest};
use crate::oci::artifact::unpack::{self, Order, Unpacked};
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_ANNOTATION_BYTES, MAX_MANIFEST_BYTES};
use crate::oci::reference::{Digest, Repository};
use crate::oci::registry::Registry;

impl Registry {
    /// Fetches the artifact and takes out the selected files.
    ///
    /// # Guarantees
    ///
    /// All bytes match their digest, wherever they come from: the cache, a mirror or the
    /// registry. The cache serves an access only what the registry has granted it in this
    /// process. The artifact fits into its reserved memory, which is held until the last clone of
    /// [`Artifact::room`] is dropped.
    ///
    /// # Errors
    /// When the bytes cannot be read, do not match the digest, are not a configuration artifact,
    /// or exceed a limit. When they are encrypted, and no given key decrypts them.
    ///
    /// # Caveats
    ///
    /// It waits for memory while others use it; [`Selection::queue`] shows when. A layer that is
    /// being unpacked is unpacked to its end, also when the caller is gone. The origin of the
    /// artifact is not verified here.
    pub async fn fetch(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
        selection: &Selection,
    ) -> Result<Artifact, OciError> {
        let path = unpack::normal_path(&selection.path)?;
        let subject = repository.at(digest);
        let about = |e: OciError| e.about(&subject);
        let manifest = self.content_manifest(repository, digest, access).await?;
        let encrypted = is_encrypted(&manifest);
        if encrypted && selection.identities.is_none() {
            return Err(OciError::Encrypted { subject });
        }
        let layer = manifest.layer(selection.media_type.as_deref()).map_err(about)?;
        let most = self.0.rooms.most(selection.size);
        let mut limits = self.0.limits;
        limits.layer = limits.layer.min(most / 2);
        limits.unpacked = limits.unpacked.min(most.saturating_sub(layer.size));
        if layer.size > limits.layer {
            let why = format!("its layer has {} bytes, more than {}", layer.size, limits.layer);
            return Err(OciError::TooLarge { subject, why });
        }
        let tenant = &selection.tenant;
        let (rooms, queue) = (&self.0.rooms, &selection.queue);
        let pulled = queue.wait(rooms.layer(tenant, layer.size)).await;
        let blob = self.blob(repository, &layer.digest, layer.size, access).await?;
        let room = queue.wait(rooms.content(tenant, selection.size)).await;
        let checksum = manifest.annotations.get("supercargo.dev/checksum");
        let checksum = checksum.or_else(|| manifest.annotations.get("kustomizer.dev/checksum"));
        let checksum = checksum.filter(|_| layer.first).cloned();
        let order = Order { path, title: layer.title, checksum, limits };
        let keys = selection.identities.clone();
        let Unpacked { files, form } = self.unpack(blob, order, keys, encrypted).await.map_err(about)?;
        drop(pulled);
        let note = |key: &str| annotation(&manifest.annotations, key);
        Ok(Artifact {
            digest: digest.clone(),
            created: note("org.opencontainers.image.created").or_else(|| note("kustomizer.dev/created")),
            source: note("org.opencontainers.image.source"),
            revision: note("org.opencontainers.image.revision"),
            encrypted,
            annotations: manifest.annotations.keys().filter_map(|k| Some((k.clone(), note(k)?))).collect(),
            files,
            form,
            room,
        })
    }

    /// Unpacks off the async workers, a few at a time.
    async fn unpack(
        &self,
        blob: Bytes,
        order: Order,
        keys: Option<Identities>,
        encrypted: bool,
    ) -> Result<Unpacked, OciError> {
        let _place = self.0.unpacking.acquire().await;
        let unpacked = tokio::task::spawn_blocking(move || match keys {
            Some(keys) => encryption::unpack(&blob, order, &keys, encrypted),
            None => unpack::unpack(&blob, &order),
        })
        .await;
        unpacked.unwrap_or_else(|_| Err(OciError::invalid("its layer cannot be unpacked: the task ended")))
    }

    /// The manifest that holds the configuration, through an index if there
    /// is one.
    async fn content_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Manifest, OciError> {
        let about = |e: OciError| e.about(&repository.at(digest));
        let bytes = self.manifest(repository, digest, access).await?;
        let child = match Document::parse(&bytes).map_err(about)? {
            Document::Manifest(manifest) => return Ok(manifest),
            Document::Index(index) => index.content().map_err(about)?,
        };
        // An access that can read an index of a repository can read the manifests in it.
        self.0.cache.prove(access, repository, &child);
        let bytes = self.manifest(repository, &child, access).await?;
        match Document::parse(&bytes).map_err(about)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(about(OciError::invalid("it is an image index within an image index"))),
        }
    }

    /// The bytes of a manifest or index, cached where this access was granted them
    /// before.
    async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Bytes, OciError> {
        let cache = &self.0.cache;
        if let Some(bytes) = cache.get(access, repository, digest, MAX_MANIFEST_BYTES).await
            && (cache.is_proved(access, repository, digest) || self.prove(repository, digest, access).await?)
        {
            return Ok(bytes);
        }
        let bytes = self.bytes_of(Content::Manifest, repository, digest, access).await?;
        cache.prove(access, repository, digest);
        cache.put(access, repository, digest, bytes.clone()).await;
        Ok(bytes)
    }

    /// The bytes of a blob of known size, from a manifest that this access was granted.
    async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        access: &Access,
    ) -> Result<Bytes, OciError> {
        if let Some(bytes) = self.0.cache.get(access, repository, digest, size).await {
            return Ok(bytes);
        }
        let bytes = self.bytes_of(Content::Blob(size), repository, digest, access).await?;
        self.0.cache.put(access, repository, digest, bytes.clone()).await;
        Ok(bytes)
    }
}

fn is_encrypted(manifest: &Manifest) -> bool {
    ["supercargo.dev/encrypted", "kustomizer.dev/encrypted"]
        .iter()
        .any(|key| manifest.annotations.contains_key(*key))
}

/// An annotation that can be shown: of limited length, without control characters.
fn annotation(annotations: &BTreeMap<String, String>, key: &str) -> Option<String> {
    let value = annotations.get(key)?;
    let fit =
        !value.is_empty() && value.len() <= MAX_ANNOTATION_BYTES && !value.chars().any(char::is_control);
    fit.then(|| value.clone())
}
