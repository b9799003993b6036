//! A search for signatures, and its single requests to the registry.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::gather::Notes;
use crate::oci::auth::{RequestContext, TokenScope};
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::limits::{MAX_BUNDLE_BYTES, MAX_MANIFEST_BYTES};
use crate::oci::pull::manifest_body;
use crate::oci::reference::{Digest, Repository, Tag};
use crate::oci::registry::Registry;
use crate::oci::transport::{Body, Request, Transport};

/// The digest, the repository and the access of a search.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub registry: &'a Registry,
    pub repository: &'a Repository,
    pub digest: &'a Digest,
    pub access: &'a Access,
}

impl<'a> Search<'a> {
    /// The manifest of a tag; nothing if the tag does not exist, or is not valid (for a
    /// digest of another algorithm).
    pub(super) async fn tagged(self, tag: &str, notes: &mut Notes) -> Result<Option<Bytes>, OciError> {
        if Tag::parse(tag).is_err() {
            return Ok(None);
        }
        let subject = format!("{}:{tag}", self.repository);
        let reply =
            self.registry.ask_manifest(Method::GET, self.repository, tag, self.access, &subject).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        match manifest_body(reply, &subject).await {
            Err(error @ OciError::TooLarge { .. }) => {
                notes.missed(&format!("tag {tag}"), error);
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    /// The context of the requests.
    pub(super) fn context<'b>(&self, subject: &'b str) -> RequestContext<'b>
    where
        'a: 'b,
    {
        RequestContext { repository: self.repository, access: self.access, scope: TokenScope::Pull, subject }
    }

    /// A manifest from a list that this access has read.
    pub(super) async fn manifest(self, digest: &Digest) -> Result<Bytes, OciError> {
        if let Some(bytes) = self.cached(digest, MAX_MANIFEST_BYTES).await {
            return Ok(bytes);
        }
        let subject = self.repository.at(digest);
        let reply = self
            .registry
            .ask_manifest(Method::GET, self.repository, digest.as_str(), self.access, &subject)
            .await?;
        let bytes = manifest_body(reply, &subject).await?;
        self.checked(digest, bytes, subject).await
    }

    /// A payload or bundle of that size.
    pub(super) async fn blob(self, digest: &Digest, size: u64) -> Result<Bytes, OciError> {
        let subject = self.repository.at(digest);
        // Not the stated size: the cache would treat larger content as damaged.
        if let Some(bytes) = self.cached(digest, MAX_BUNDLE_BYTES).await {
            return if bytes.len() as u64 == size { Ok(bytes) } else { Err(OciError::Mismatch { subject }) };
        }
        let url = Transport::url(self.repository, self.access, &format!("blobs/{digest}"))?;
        let inner = &self.registry.0;
        let context = self.context(&subject);
        let reply = inner.sessions.send(&inner.transport, context, Request::new(Method::GET, url)).await?;
        if !reply.status.is_success() {
            return Err(reply.error(&subject).await);
        }
        match reply.body(size).await? {
            Body::Whole(bytes) if bytes.len() as u64 == size => self.checked(digest, bytes, subject).await,
            _ => Err(OciError::Mismatch { subject }),
        }
    }

    /// The cached content of a digest that the registry has just listed for this access.
    async fn cached(self, digest: &Digest, limit: u64) -> Option<Bytes> {
        self.registry.0.cache.get(self.access, self.repository, digest, limit).await
    }

    async fn checked(self, digest: &Digest, bytes: Bytes, subject: String) -> Result<Bytes, OciError> {
        if !digest.is_of(&bytes) {
            return Err(OciError::Mismatch { subject });
        }
        self.registry.0.cache.put(self.access, self.repository, digest, bytes.clone()).await;
        Ok(bytes)
    }
}
