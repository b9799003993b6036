//! From a digest to the files in it, with room in memory for them.

use std::collections::VecDeque;

use bytes::Bytes;

use super::fetched::{Artifact, Selection};
use super::notes::Notes;
use super::source::Content;
use crate::oci::artifact::encryption::{self, Identities};
use crate::oci::artifact::layout::{Document, Layer, Manifest};
use crate::oci::artifact::unpack::{self, Order, StoredLayer, Unpacked};
use crate::oci::artifact::{ArtifactKind, Composition};
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::limits::{ContentLimits, MAX_MANIFEST_BYTES};
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
        let (manifest, child) = self.content_manifest(repository, digest, access).await?;
        let notes = Notes::of(&manifest.annotations);
        let encrypted = notes.is_encrypted;
        let is_chart = manifest.kind() == ArtifactKind::Helm;
        if is_chart && encrypted {
            return Err(about(OciError::invalid("it is an encrypted Helm chart, which is not supported")));
        }
        if is_chart && !path.is_empty() {
            let why =
                format!("{subject} is a Helm chart, which is rendered as a whole; remove path ({path})");
            return Err(OciError::Spec(why));
        }
        if encrypted && selection.identities.is_none() {
            return Err(OciError::Encrypted { subject });
        }
        let wanted = selection.media_type.as_deref();
        let mut layers = manifest.chosen(wanted, selection.all_layers).map_err(about)?;
        let mut others = match selection.all_layers {
            true => VecDeque::new(),
            false => VecDeque::from(manifest.others(wanted, &layers)),
        };
        let mut composition = Composition::of(&manifest, child, &layers);
        // It may be large, and is in no room.
        drop(manifest);
        let most = self.0.rooms.most(selection.size);
        let mut limits = self.0.limits;
        limits.layer = limits.layer.min(most / 2);
        let tenant = &selection.tenant;
        let (rooms, queue) = (&self.0.rooms, &selection.queue);
        // Of the layers that were passed over, in bytes.
        let mut passed = 0u64;
        let (stored, pulled) = loop {
            let size = layers.iter().fold(passed, |size, layer| size.saturating_add(layer.size));
            limits.unpacked = self.0.limits.unpacked.min(most.saturating_sub(size));
            if size > limits.layer {
                let why = match layers.len() {
                    1 => format!("its layer has {size} bytes, more than {}", limits.layer),
                    _ => format!("its layers have {size} bytes together, more than {}", limits.layer),
                };
                return Err(OciError::TooLarge { subject, why });
            }
            let pulled = queue.wait(rooms.layer(tenant, size)).await.map_err(about)?;
            let mut stored = Vec::with_capacity(layers.len());
            for Layer { digest, size, title, position, name, hint } in layers.clone() {
                let bytes = self.blob(repository, &digest, size, access).await?;
                stored.push(StoredLayer { bytes, title, name, position, hint });
            }
            let is_blank = !others.is_empty() && self.is_blank(&stored, limits).await;
            let next = if is_blank { others.pop_front() } else { None };
            match next {
                Some(next) => (layers, passed) = (vec![next], size),
                None => break (stored, pulled),
            }
        };
        composition.settle(&layers, others.len());
        let checksum = notes.checksum.filter(|_| layers.first().is_some_and(|first| first.position == 1));
        let room = queue.wait(rooms.content(tenant, selection.size)).await.map_err(about)?;
        let order = Order { path, checksum, limits, is_merged: selection.all_layers && !is_chart };
        let keys = selection.identities.clone();
        let reading = match keys {
            _ if is_chart => Reading::Chart,
            Some(keys) => Reading::Encrypted { keys, encrypted },
            None => Reading::Plain,
        };
        let Unpacked { files, form } = self.unpack(stored, order, reading).await.map_err(about)?;
        drop(pulled);
        Ok(Artifact {
            digest: digest.clone(),
            created: notes.created,
            source: notes.source,
            revision: notes.revision,
            encrypted,
            annotations: notes.shown,
            files,
            form,
            composition,
            room,
        })
    }

    /// When an artifact was created, by its annotations: those of the manifest with its content.
    ///
    /// # Errors
    /// When the manifest cannot be read.
    pub async fn created(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Option<String>, OciError> {
        let (manifest, _) = self.content_manifest(repository, digest, access).await?;
        Ok(Notes::of(&manifest.annotations).created)
    }

    /// Whether the digest is known to be the one of an image index. The cache does not keep the answer:
    /// it is asked for artifacts that nobody has signed.
    pub async fn is_index(&self, repository: &Repository, digest: &Digest, access: &Access) -> bool {
        let manifest = self.bytes_of(Content::Manifest, repository, digest, access).await;
        manifest.is_ok_and(|bytes| matches!(Document::content(&bytes), Ok(Document::Index(_))))
    }

    /// Whether the only layer has no files: an image has layers that only make a directory.
    async fn is_blank(&self, stored: &[StoredLayer], limits: ContentLimits) -> bool {
        let [layer] = stored else { return false };
        let layer = StoredLayer::alone(layer.bytes.clone());
        let _place = self.0.unpacking.acquire().await;
        tokio::task::spawn_blocking(move || unpack::is_blank(&layer, &limits)).await.unwrap_or(false)
    }

    /// Unpacks off the async workers, a few at a time.
    async fn unpack(
        &self,
        layers: Vec<StoredLayer>,
        order: Order,
        reading: Reading,
    ) -> Result<Unpacked, OciError> {
        let _place = self.0.unpacking.acquire().await;
        let unpacked = tokio::task::spawn_blocking(move || match reading {
            Reading::Chart => unpack::unpack_chart(&layers, &order),
            Reading::Encrypted { keys, encrypted } => encryption::unpack(&layers, order, &keys, encrypted),
            Reading::Plain => unpack::unpack(&layers, &order),
        })
        .await;
        unpacked.unwrap_or_else(|_| Err(OciError::invalid("its layer cannot be unpacked: the task ended")))
    }

    /// The manifest that holds the configuration, through an index if there
    /// is one, and why that one of the index.
    async fn content_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<(Manifest, Option<String>), OciError> {
        let about = |e: OciError| e.about(&repository.at(digest));
        let bytes = self.manifest(repository, digest, access).await?;
        let child = match Document::content(&bytes).map_err(about)? {
            Document::Manifest(manifest) => return Ok((manifest, None)),
            Document::Index(index) => index.content().map_err(about)?,
        };
        // An access that can read an index of a repository can read the manifests in it.
        self.0.cache.prove(access, repository, &child.digest);
        let bytes = self.manifest(repository, &child.digest, access).await?;
        match Document::content(&bytes).map_err(about)? {
            Document::Manifest(manifest) => Ok((manifest, Some(child.chosen))),
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
        if let Some(bytes) = self.0.cache.get_sized(access, repository, digest, size).await {
            return Ok(bytes);
        }
        let bytes = self.bytes_of(Content::Blob(size), repository, digest, access).await?;
        self.0.cache.put(access, repository, digest, bytes.clone()).await;
        Ok(bytes)
    }
}

/// How the layers of an artifact are unpacked.
enum Reading {
    /// As they are.
    Plain,
    /// With keys, whether or not the artifact says that it needs them.
    Encrypted { keys: Identities, encrypted: bool },
    /// All files of a chart.
    Chart,
}
