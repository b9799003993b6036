//! Writing to a registry, for the command line.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Method, StatusCode};

use super::layout;
use super::pack::MANIFEST_TYPE;
use super::registry::manifest_body;
use super::reply::Reply;
use super::token::{Asker, Scope};
use super::transport::{Request, Transport};
use super::{Access, Digest, OciError, Package, Registry, Repository, Tag, Wanted};

impl Registry {
    /// Uploads what the registry does not have yet, then points the tag at it.
    ///
    /// # Errors
    /// When the registry does not answer, does not let us write, or takes the
    /// bytes for others than they are.
    pub async fn push(
        &self,
        repository: &Repository,
        tag: &Tag,
        package: &Package,
        access: &Access,
    ) -> Result<Digest, OciError> {
        let subject = format!("{repository}:{tag}");
        let asker = Asker { repository, access, scope: Scope::Push, subject: &subject };
        for (digest, bytes) in &package.blobs {
            self.upload(asker, digest, bytes.clone()).await?;
        }
        self.put_manifest(asker, tag, MANIFEST_TYPE, package.manifest.clone()).await
    }

    /// Points another tag at what the reference means now.
    ///
    /// # Errors
    /// When the reference does not resolve, or the registry does not let us
    /// write.
    pub async fn tag(
        &self,
        repository: &Repository,
        wanted: &Wanted,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, OciError> {
        let digest = self.resolve(repository, wanted, access).await?.digest;
        let subject = repository.at(&digest);
        let reply = self.ask_manifest(Method::GET, repository, digest.as_str(), access, &subject).await?;
        let bytes = manifest_body(reply, &subject).await?;
        if !digest.is_of(&bytes) {
            return Err(OciError::Mismatch { subject });
        }
        let media_type = layout::media_type(&bytes).map_err(|e| e.about(&subject))?;
        let subject = format!("{repository}:{tag}");
        let asker = Asker { repository, access, scope: Scope::Push, subject: &subject };
        self.put_manifest(asker, tag, &media_type, bytes).await
    }

    async fn send(&self, asker: Asker<'_>, request: Request) -> Result<Reply, OciError> {
        self.0.sessions.send(&self.0.transport, asker, request).await
    }

    /// Uploads a blob in one piece, unless it is there.
    async fn upload(&self, asker: Asker<'_>, digest: &Digest, bytes: Bytes) -> Result<(), OciError> {
        let url = Transport::url(asker.repository, asker.access, &format!("blobs/{digest}"))?;
        let reply = self.send(asker, Request::new(Method::HEAD, url)).await?;
        match reply.status {
            StatusCode::OK => return Ok(()),
            StatusCode::NOT_FOUND => drop(reply),
            _ => return Err(reply.error(asker.subject).await),
        }
        let url = Transport::url(asker.repository, asker.access, "blobs/uploads/")?;
        let mut request = Request::new(Method::POST, url.clone());
        request.body = Some(("application/octet-stream".to_owned(), Bytes::new()));
        let reply = self.send(asker, request).await?;
        if reply.status != StatusCode::ACCEPTED {
            return Err(reply.error(asker.subject).await);
        }
        let location = reply.headers.get(LOCATION).and_then(|v| v.to_str().ok()).filter(|l| !l.is_empty());
        let unusable = || OciError::Unavailable {
            host: asker.repository.registry().to_owned(),
            why: "it does not say where to upload to".to_owned(),
        };
        let mut target = location.and_then(|l| reply.url.join(l).ok()).ok_or_else(unusable)?;
        drop(reply);
        target.query_pairs_mut().append_pair("digest", digest.as_str());
        let same_origin = target.origin() == url.origin();
        if !same_origin && target.scheme() != "https" {
            return Err(unusable());
        }
        let mut request = Request::new(Method::PUT, target);
        request.body = Some(("application/octet-stream".to_owned(), bytes));
        // Elsewhere the location itself is what entitles us; our credentials
        // stay with the registry.
        let reply = if same_origin {
            self.send(asker, request).await?
        } else {
            self.0.transport.send(asker.access, &request).await?
        };
        if reply.status.is_success() { Ok(()) } else { Err(reply.error(asker.subject).await) }
    }

    async fn put_manifest(
        &self,
        asker: Asker<'_>,
        tag: &Tag,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, OciError> {
        let digest = Digest::of(&bytes);
        let url = Transport::url(asker.repository, asker.access, &format!("manifests/{tag}"))?;
        let mut request = Request::new(Method::PUT, url);
        request.body = Some((media_type.to_owned(), bytes));
        let reply = self.send(asker, request).await?;
        if !reply.status.is_success() {
            return Err(reply.error(asker.subject).await);
        }
        let told = reply.headers.get("docker-content-digest").and_then(|v| v.to_str().ok());
        match told {
            Some(told) if told != digest.as_str() => {
                Err(OciError::Mismatch { subject: asker.subject.to_owned() })
            }
            _ => Ok(digest),
        }
    }
}
