//! The door of this room: references to digests, digests to files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::sync::Semaphore;

use super::artifact::encryption::{self, Identities};
use super::artifact::layout::{self, Document, Manifest};
use super::artifact::unpack::{self, Order};
use super::auth::{Asker, Scope, Sessions, TokenHost, Variables};
use super::cache::{Cache, CacheObserver};
use super::content::{Content, manifest_body};
use super::credentials::Access;
use super::error::OciError;
use super::fetched::{Artifact, Resolved, Selection};
use super::limits::{
    CONNECT_TIMEOUT, ContentLimits, DEFAULT_CACHE_BYTES, IDLE_TIMEOUT, MAX_ANNOTATION_BYTES,
    MAX_LARGE_EVIDENCE, MAX_MANIFEST_BYTES, MAX_UNPACKING,
};
use super::mirror::{Mirror, Mirrors};
use super::reference::{Digest, Repository, Tag, Wanted};
use super::room::Rooms;
use super::tags;
use super::transport::{Hosts, Meter, Observer, Reply, Request, Transport, TransportOptions};
use crate::domain::capacity::Capacity;

/// How a [`Registry`] behaves.
#[derive(Clone)]
pub struct RegistryOptions {
    /// What requests say they come from.
    pub user_agent: String,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How long an answer may go without progress.
    pub idle_timeout: Duration,
    /// Bounds on the content of an artifact.
    pub limits: ContentLimits,
    /// How much memory artifacts may take, all together and each.
    pub capacity: Capacity,
    /// Where content is kept; absent: nowhere.
    pub cache_dir: Option<PathBuf>,
    /// How much of it is kept, in bytes.
    pub cache_max_size: u64,
    /// Is told of every request.
    pub observer: Option<Observer>,
    /// Is told what the cache has.
    pub cache_observer: Option<CacheObserver>,
    /// Is told of every transfer of content.
    pub meter: Option<Meter>,
    /// Where content is read first, by prefix.
    pub mirrors: Vec<Mirror>,
    /// Token services on hosts that have nothing to do with their registry's.
    pub token_hosts: Vec<TokenHost>,
    /// The environment variables in which the clouds say who this process is.
    pub variables: Variables,
    /// Addresses for names; the system's resolver knows the others.
    pub hosts: Hosts,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("supercargo/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: CONNECT_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            limits: ContentLimits::default(),
            capacity: Capacity::default(),
            cache_dir: None,
            cache_max_size: DEFAULT_CACHE_BYTES,
            observer: None,
            cache_observer: None,
            meter: None,
            mirrors: Vec::new(),
            token_hosts: Vec::new(),
            variables: Arc::new(|name| std::env::var(name).ok()),
            hosts: Hosts::default(),
        }
    }
}

/// The registries, as this process sees them: one of it a process, cheap to
/// clone.
#[derive(Clone)]
pub struct Registry(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub transport: Transport,
    pub sessions: Sessions,
    pub cache: Cache,
    pub mirrors: Mirrors,
    unpacking: Semaphore,
    /// Places for those that read much that may be signatures.
    pub large_evidence: Semaphore,
    limits: ContentLimits,
    rooms: Rooms,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

impl Registry {
    /// Prepares clients and limits; sends nothing.
    pub fn new(options: RegistryOptions) -> Self {
        let RegistryOptions {
            user_agent,
            connect_timeout,
            idle_timeout,
            limits,
            capacity,
            cache_dir,
            cache_max_size,
            observer,
            cache_observer,
            meter,
            mirrors,
            token_hosts,
            variables,
            hosts,
        } = options;
        let transport = Transport::new(TransportOptions {
            user_agent,
            connect_timeout,
            idle_timeout,
            observer,
            meter,
            hosts,
        });
        let sessions = Sessions::new(token_hosts, variables);
        let cache = Cache::new(cache_dir.as_deref(), cache_max_size, cache_observer);
        let mirrors = Mirrors::new(mirrors);
        let unpacking = Semaphore::new(MAX_UNPACKING);
        let large_evidence = Semaphore::new(MAX_LARGE_EVIDENCE);
        let rooms = Rooms::new(capacity);
        let inner = Inner { transport, sessions, cache, mirrors, unpacking, large_evidence, limits, rooms };
        Self(Arc::new(inner))
    }

    /// Finds the digest: for a tag with one HEAD, for a range with the tag
    /// pages and one HEAD, for a digest without a request.
    ///
    /// # Errors
    /// When the registry does not answer, does not let us in, or has nothing
    /// that matches.
    pub async fn resolve(
        &self,
        repository: &Repository,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<Resolved, OciError> {
        let tag = match wanted {
            Wanted::Digest(digest) => {
                return Ok(Resolved { digest: digest.clone(), tag: None, revision: digest.to_string() });
            }
            Wanted::Tag(tag) => tag.clone(),
            Wanted::Semver { range, filter } => {
                let tags = self.tags(repository, access).await?;
                let highest = range.highest(tags.iter().map(Tag::as_str), filter.as_ref());
                let none = || OciError::NoMatchingTag {
                    repository: repository.to_string(),
                    wanted: wanted.describe(),
                    seen: tags.len(),
                };
                Tag::parse(highest.ok_or_else(none)?)?
            }
        };
        let digest = self.tag_digest(repository, &tag, access).await?;
        self.0.cache.prove(access, repository, &digest);
        let revision = format!("{tag}@{digest}");
        Ok(Resolved { digest, tag: Some(tag), revision })
    }

    /// Every tag of the repository, in the registry's order.
    ///
    /// # Errors
    /// When the registry does not answer, does not let us in, or there are more
    /// than anybody looks at.
    pub async fn tags(&self, repository: &Repository, access: &Access) -> Result<Vec<Tag>, OciError> {
        let subject = format!("{repository} (its tags)");
        let asker = Asker { repository, access, scope: Scope::Pull, subject: &subject };
        tags::list(&self.0.transport, &self.0.sessions, asker).await
    }

    /// Whether the registry answers now, whatever it says: asked once.
    pub async fn answers(&self, repository: &Repository, access: &Access) -> bool {
        self.0.transport.answers(repository, access).await
    }

    /// Fetches the artifact and takes out the selected files.
    ///
    /// # Errors
    /// When the bytes cannot be had, are not what the digest names, are not a
    /// configuration artifact, or exceed a limit.
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
        let files = self.unpack(blob, order, keys, encrypted).await.map_err(about)?;
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
            room,
        })
    }

    /// Unpacks off the async workers, and not everybody at once.
    async fn unpack(
        &self,
        blob: Bytes,
        order: Order,
        keys: Option<Identities>,
        encrypted: bool,
    ) -> Result<Vec<(String, Bytes)>, OciError> {
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
        // Who may read an index of a repository may read what it lists there.
        self.0.cache.prove(access, repository, &child);
        let bytes = self.manifest(repository, &child, access).await?;
        match Document::parse(&bytes).map_err(about)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(about(OciError::invalid("it is an image index within an image index"))),
        }
    }

    /// The digest that a tag points at now.
    pub(super) async fn tag_digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, OciError> {
        let subject = format!("{repository}:{tag}");
        let reply = self.ask_manifest(Method::HEAD, repository, tag.as_str(), access, &subject).await?;
        let told = reply.headers.get("docker-content-digest").and_then(|v| v.to_str().ok());
        match told.map(Digest::parse) {
            Some(Ok(digest)) if reply.status.is_success() => return Ok(digest),
            _ if reply.status.is_success() || reply.status == StatusCode::METHOD_NOT_ALLOWED => {}
            _ => return Err(reply.error(&subject).await),
        }
        drop(reply);
        let reply = self.ask_manifest(Method::GET, repository, tag.as_str(), access, &subject).await?;
        let bytes = manifest_body(reply, &subject).await?;
        Ok(Digest::of(&bytes))
    }

    /// The bytes of a manifest or index, cached where this access has been let
    /// in to them before.
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

    /// Asks the registry whether this access may have the digest. Any answer
    /// but yes is an error, for the cache serves nobody whom the registry
    /// refuses; a registry that knows no HEAD leaves the question open.
    pub(super) async fn prove(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<bool, OciError> {
        let subject = repository.at(digest);
        let reply = self.ask_manifest(Method::HEAD, repository, digest.as_str(), access, &subject).await?;
        match reply.status {
            status if status.is_success() => {
                self.0.cache.prove(access, repository, digest);
                Ok(true)
            }
            StatusCode::METHOD_NOT_ALLOWED => Ok(false),
            _ => Err(reply.error(&subject).await),
        }
    }

    pub(super) async fn ask_manifest(
        &self,
        method: Method,
        repository: &Repository,
        name: &str,
        access: &Access,
        subject: &str,
    ) -> Result<Reply, OciError> {
        let url = Transport::url(repository, access, &format!("manifests/{name}"))?;
        let mut request = Request::new(method, url);
        request.accept = Some(layout::ACCEPT);
        let asker = Asker { repository, access, scope: Scope::Pull, subject };
        self.0.sessions.send(&self.0.transport, asker, request).await
    }

    /// The bytes of a blob of known size, which a manifest names that this
    /// access has been let in to.
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

/// An annotation that is fit to be shown: of bounded length, without control
/// characters.
fn annotation(annotations: &BTreeMap<String, String>, key: &str) -> Option<String> {
    let value = annotations.get(key)?;
    let fit =
        !value.is_empty() && value.len() <= MAX_ANNOTATION_BYTES && !value.chars().any(char::is_control);
    fit.then(|| value.clone())
}
