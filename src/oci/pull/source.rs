//! Content by digest, from a mirror where there is one, else from the registry. All
//! returned bytes match the digest.

use bytes::Bytes;
use http::Method;

use super::download;
use super::manifest::manifest_body;
use crate::oci::auth::{RequestContext, TokenScope};
use crate::oci::content::Fault;
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::reference::{Digest, Repository};
use crate::oci::registry::Registry;
use crate::oci::transport::{Body, Request, Transport};

/// The kind of content.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// A manifest or index.
    Manifest,
    /// A blob, of this size in bytes.
    Blob(u64),
}

impl Registry {
    /// The bytes of a digest, checked against it.
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
                Err(fault) => self.0.mirrors.failed(&source, &fault),
            }
        }
        self.bytes_from(content, repository, digest, access).await.map_err(Fault::error)
    }

    async fn bytes_from(
        &self,
        content: Content,
        repository: &Repository,
        digest: &Digest,
        access: &Access,
    ) -> Result<Bytes, Fault> {
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
    ) -> Result<Bytes, Fault> {
        let subject = repository.at(digest);
        let reply = self.ask_manifest(Method::GET, repository, digest.as_str(), access, &subject).await?;
        let bytes = manifest_body(reply, &subject).await?;
        if digest.is_of(&bytes) { Ok(bytes) } else { Err(Fault::Lied(OciError::Mismatch { subject })) }
    }

    async fn blob_from(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        access: &Access,
    ) -> Result<Bytes, Fault> {
        let subject = repository.at(digest);
        let url = Transport::url(repository, access, &format!("blobs/{digest}"))?;
        let context = RequestContext { repository, access, scope: TokenScope::Pull, subject: &subject };
        let advance = usize::try_from(size).ok().and_then(|size| self.0.transport.meter(digest, size));
        let request = Request::new(Method::GET, url);
        let body =
            download::blob(&self.0.transport, &self.0.sessions, context, request, size, advance).await?;
        match body {
            Body::Whole(bytes) if digest.is_of(&bytes) => match bytes.len() as u64 == size {
                true => Ok(bytes),
                false => Err(Fault::Failed(OciError::Mismatch { subject })),
            },
            Body::Whole(_) => Err(Fault::Lied(OciError::Mismatch { subject })),
            // More than the manifest says: whether it matches the digest is unknown.
            Body::TooLong => Err(Fault::Failed(OciError::Mismatch { subject })),
        }
    }
}
