//! Content by digest, from a mirror where there is one, else from the registry.
//! What leaves here is what the digest names.

use bytes::Bytes;
use http::Method;

use super::download;
use super::registry::manifest_body;
use super::reply::Body;
use super::token::{Asker, Scope};
use super::transport::{Request, Transport};
use super::{Access, Digest, OciError, Registry, Repository};

/// What is asked for.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// A manifest or index.
    Manifest,
    /// A blob, of this size in bytes.
    Blob(u64),
}

impl Registry {
    /// The bytes of a digest.
    pub(super) async fn bytes_of(
        &self,
        content: Content,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Bytes, OciError> {
        for source in self.0.mirrors.of(repository, access) {
            match self.bytes_from(content, &source.repository, digest, &source.access).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.0.mirrors.failed(&source, &error),
            }
        }
        self.bytes_from(content, repository, digest, access).await
    }

    async fn bytes_from(
        &self,
        content: Content,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Bytes, OciError> {
        match content {
            Content::Manifest => self.manifest_from(repository, digest, access).await,
            Content::Blob(size) => self.blob_from(repository, digest, size, access).await,
        }
    }

    async fn manifest_from(
        &self,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Bytes, OciError> {
        let subject = repository.at(digest);
        let reply = self.ask_manifest(Method::GET, repository, digest.as_str(), access, &subject).await?;
        let bytes = manifest_body(reply, &subject).await?;
        if digest.is_of(&bytes) { Ok(bytes) } else { Err(OciError::Mismatch { subject }) }
    }

    async fn blob_from(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        access: &Access,
    ) -> Result<Bytes, OciError> {
        let subject = repository.at(digest);
        let url = Transport::url(repository, access, &format!("blobs/{digest}"))?;
        let asker = Asker { repository, access, scope: Scope::Pull, subject: &subject };
        let advance = usize::try_from(size).ok().and_then(|size| self.0.transport.meter(digest, size));
        let request = Request::new(Method::GET, url);
        let body = download::blob(&self.0.transport, &self.0.sessions, asker, request, size, advance).await?;
        match body {
            Body::Whole(bytes) if bytes.len() as u64 == size && digest.is_of(&bytes) => Ok(bytes),
            _ => Err(OciError::Mismatch { subject }),
        }
    }
}
