//! Writing to a registry, for the command line.
//!
//! Blobs first, the manifest last: until the tag is written, no pull sees anything of a
//! push. After a temporary failure, the retry first checks whether the blob has arrived.

use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Method, StatusCode};

use super::artifact::{MANIFEST_TYPE, Package, layout};
use super::auth::{RequestContext, TokenScope};
use super::credentials::Access;
use super::error::OciError;
use super::limits::{MAX_PUSH_RETRIES, MAX_PUSH_RETRY_AFTER, PUSH_PAUSE};
use super::pull::manifest_body;
use super::reference::{Digest, Repository, Tag, Wanted};
use super::registry::Registry;
use super::transport::{Reach, Reply, Request, Transport};

/// Why a step of a push failed.
enum Setback {
    /// A retry would fail too.
    Final(OciError),
    /// A retry may succeed; the registry may say when.
    Passing(OciError, Option<Duration>),
}

/// The manifest for a tag.
struct Stored<'a> {
    tag: &'a Tag,
    media_type: &'a str,
    bytes: Bytes,
}

impl Registry {
    /// Uploads the missing blobs, then points the tag at the manifest.
    ///
    /// # Guarantees
    ///
    /// The tag is written last: until then no pull sees anything of it. To push the same package
    /// again is safe, and sends no existing blob.
    ///
    /// # Errors
    /// When the registry does not answer, denies the write, or computes another digest.
    /// Says whether the tag was written, where that is in doubt.
    ///
    /// # Caveats
    ///
    /// An existing tag is moved; of two concurrent pushes, the last one wins. A push that is
    /// dropped leaves blobs without a tag, and, if it was at its end, perhaps the tag.
    pub async fn push(
        &self,
        repository: &Repository,
        tag: &Tag,
        package: &Package,
        access: &Access,
    ) -> Result<Digest, OciError> {
        let subject = format!("{repository}:{tag}");
        let context = RequestContext { repository, access, scope: TokenScope::Push, subject: &subject };
        for (digest, bytes) in &package.blobs {
            let uploaded = self.upload(context, digest, bytes).await;
            uploaded.map_err(|e| not_published(&subject, e))?;
        }
        self.store(context, Stored { tag, media_type: MANIFEST_TYPE, bytes: package.manifest.clone() }).await
    }

    /// Points another tag at the current target of the reference.
    ///
    /// # Guarantees
    ///
    /// The manifest is written back as it was read from the registry itself, byte by byte: its
    /// digest and its signatures stay valid.
    ///
    /// # Errors
    /// When the reference does not resolve, or the registry denies the write. Says
    /// whether the tag was written, where that is in doubt.
    ///
    /// # Caveats
    ///
    /// An existing tag is moved.
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
        let context = RequestContext { repository, access, scope: TokenScope::Push, subject: &subject };
        self.store(context, Stored { tag, media_type: &media_type, bytes }).await?;
        Ok(digest)
    }

    async fn send(&self, context: RequestContext<'_>, request: Request) -> Result<Reply, Setback> {
        self.0.sessions.send(&self.0.transport, context, request).await.map_err(Setback::of)
    }

    async fn upload(
        &self,
        context: RequestContext<'_>,
        digest: &Digest,
        bytes: &Bytes,
    ) -> Result<(), OciError> {
        // A registry that does not answer the first request is unavailable; the transport
        // retries reads.
        if self.has(context, digest).await.map_err(Setback::into_error)? {
            return Ok(());
        }
        let mut begun = false;
        patiently(async || {
            if std::mem::replace(&mut begun, true) && self.has(context, digest).await? {
                return Ok(());
            }
            self.upload_once(context, digest, bytes.clone()).await
        })
        .await
    }

    async fn has(&self, context: RequestContext<'_>, digest: &Digest) -> Result<bool, Setback> {
        let url = url(context, &format!("blobs/{digest}"))?;
        let reply = self.send(context, Request::new(Method::HEAD, url)).await?;
        match reply.status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(Setback::answered(reply, context).await),
        }
    }

    /// Uploads a blob in one piece.
    async fn upload_once(
        &self,
        context: RequestContext<'_>,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), Setback> {
        let url = url(context, "blobs/uploads/")?;
        let mut request = Request::new(Method::POST, url.clone());
        request.body = Some(("application/octet-stream".to_owned(), Bytes::new()));
        let reply = self.send(context, request).await?;
        if reply.status != StatusCode::ACCEPTED {
            return Err(Setback::answered(reply, context).await);
        }
        let location = reply.headers.get(LOCATION).and_then(|v| v.to_str().ok()).filter(|l| !l.is_empty());
        let unusable = || {
            Setback::Final(OciError::Unavailable {
                host: context.repository.registry().to_owned(),
                why: "it returned no upload location".into(),
            })
        };
        let mut target = location.and_then(|l| reply.url.join(l).ok()).ok_or_else(unusable)?;
        let reach = Reach::Own.redirected(reply.zone, target.host() == url.host());
        drop(reply);
        target.query_pairs_mut().append_pair("digest", digest.as_str());
        let same_origin = target.origin() == url.origin();
        if !same_origin && target.scheme() != "https" {
            return Err(unusable());
        }
        let mut request = Request::new(Method::PUT, target);
        request.advance = self.0.transport.meter(digest, bytes.len());
        request.body = Some(("application/octet-stream".to_owned(), bytes));
        // On another host the location itself authorizes the upload; our credentials stay
        // with the registry.
        let reply = if same_origin {
            self.send(context, request).await?
        } else {
            (request.reach, request.identified) = (reach, false);
            self.0.transport.send(context.access, &request).await.map_err(Setback::of)?
        };
        match reply.status {
            status if status.is_success() => Ok(()),
            // A restarted registry does not know the upload.
            StatusCode::NOT_FOUND => Err(Setback::Passing(reply.error(context.subject).await, None)),
            _ => Err(Setback::answered(reply, context).await),
        }
    }

    /// Writes a manifest under a tag. When that fails, the current target of the tag is
    /// read.
    async fn store(&self, context: RequestContext<'_>, stored: Stored<'_>) -> Result<Digest, OciError> {
        let digest = Digest::of(&stored.bytes);
        let error = match patiently(async || self.store_once(context, &stored, &digest).await).await {
            Ok(()) => return Ok(digest),
            Err(error @ OciError::Unavailable { .. }) => error,
            Err(error) => return Err(error),
        };
        let RequestContext { repository, access, subject, .. } = context;
        let (subject, source) = (subject.to_owned(), Box::new(error));
        match self.tag_digest(repository, stored.tag, access).await {
            Ok(found) if found == digest => Ok(digest),
            Ok(_) | Err(OciError::NotFound { .. }) => Err(OciError::NotPublished { subject, source }),
            Err(_) => Err(OciError::PerhapsPublished { subject, source }),
        }
    }

    async fn store_once(
        &self,
        context: RequestContext<'_>,
        stored: &Stored<'_>,
        digest: &Digest,
    ) -> Result<(), Setback> {
        let url = url(context, &format!("manifests/{}", stored.tag))?;
        let mut request = Request::new(Method::PUT, url);
        request.body = Some((stored.media_type.to_owned(), stored.bytes.clone()));
        let reply = self.send(context, request).await?;
        if !reply.status.is_success() {
            return Err(Setback::answered(reply, context).await);
        }
        let stated = reply.headers.get("docker-content-digest").and_then(|v| v.to_str().ok());
        match stated {
            Some(stated) if stated != digest.as_str() => {
                Err(Setback::Final(OciError::Mismatch { subject: context.subject.to_owned() }))
            }
            _ => Ok(()),
        }
    }
}

fn url(context: RequestContext<'_>, rest: &str) -> Result<reqwest::Url, Setback> {
    Transport::url(context.repository, context.access, rest).map_err(Setback::Final)
}

/// Retries the work until it succeeds, fails finally, or the retries are used up.
async fn patiently(mut work: impl AsyncFnMut() -> Result<(), Setback>) -> Result<(), OciError> {
    let mut pause = PUSH_PAUSE;
    for _ in 0..MAX_PUSH_RETRIES {
        match work().await {
            Ok(()) => return Ok(()),
            Err(Setback::Final(error)) => return Err(error),
            Err(Setback::Passing(_, wait)) => tokio::time::sleep(wait.unwrap_or(pause)).await,
        }
        pause *= 2;
    }
    work().await.map_err(Setback::into_error)
}

impl Setback {
    fn of(error: OciError) -> Self {
        match error {
            OciError::Unavailable { .. } => Self::Passing(error, None),
            _ => Self::Final(error),
        }
    }

    async fn answered(reply: Reply, context: RequestContext<'_>) -> Self {
        let passing = matches!(reply.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
        let wait = reply.retry_after();
        let error = reply.error(context.subject).await;
        match passing && wait.is_none_or(|wait| wait <= MAX_PUSH_RETRY_AFTER) {
            true => Self::Passing(error, wait),
            false => Self::Final(error),
        }
    }

    fn into_error(self) -> OciError {
        match self {
            Self::Final(error) | Self::Passing(error, _) => error,
        }
    }
}

/// Adds to an outage that the tag was not written; other errors imply it.
fn not_published(subject: &str, error: OciError) -> OciError {
    match error {
        OciError::Unavailable { .. } => {
            OciError::NotPublished { subject: subject.to_owned(), source: Box::new(error) }
        }
        other => other,
    }
}
