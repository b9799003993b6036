//! Requests for a manifest to one registry, by tag or digest. The bytes are not verified
//! here.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::oci::artifact::layout;
use crate::oci::auth::{RequestContext, TokenScope};
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::limits::MAX_MANIFEST_BYTES;
use crate::oci::reference::{Digest, Repository};
use crate::oci::registry::Registry;
use crate::oci::transport::{Body, Reply, Request, Transport};

impl Registry {
    /// Checks at the registry whether this access can read the digest. Any answer but yes
    /// is an error, because the cache serves no access that the registry refuses; a
    /// registry without HEAD leaves it open.
    pub(in crate::oci) async fn prove(
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

    /// Requests a manifest, or with HEAD its existence.
    pub(in crate::oci) async fn ask_manifest(
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
        let context = RequestContext { repository, access, scope: TokenScope::Pull, subject };
        self.0.sessions.send(&self.0.transport, context, request).await
    }
}

/// The bytes of a manifest or index, from an answer.
pub(in crate::oci) async fn manifest_body(reply: Reply, subject: &str) -> Result<Bytes, OciError> {
    if !reply.status.is_success() {
        return Err(reply.error(subject).await);
    }
    match reply.body(MAX_MANIFEST_BYTES).await? {
        Body::Whole(bytes) => Ok(bytes),
        Body::TooLong => {
            let why = format!("its manifest has more than {MAX_MANIFEST_BYTES} bytes");
            Err(OciError::TooLarge { subject: subject.to_owned(), why })
        }
    }
}
