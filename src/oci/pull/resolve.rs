//! From a reference to a digest. The registry itself is asked, never a mirror or the
//! cache: a tag may have moved.

use http::{Method, StatusCode};

use super::fetched::{Resolved, StrayTag};
use super::manifest::manifest_body;
use super::tags;
use crate::oci::auth::{RequestContext, TokenScope};
use crate::oci::credentials::Access;
use crate::oci::error::OciError;
use crate::oci::reference::{Digest, Repository, Tag, Wanted};
use crate::oci::registry::Registry;

impl Registry {
    /// Finds the digest: for a tag with one HEAD, for a range with the tag
    /// pages and one HEAD, for a digest without a request. For a digest with a tag, one HEAD
    /// says what the tag names.
    ///
    /// # Guarantees
    ///
    /// The registry itself is asked every time, never a mirror or the cache. The grant of the
    /// digest to this access is remembered: the cache can serve it now.
    ///
    /// # Errors
    /// When the registry does not answer, denies access, or has nothing that matches.
    ///
    /// # Caveats
    ///
    /// A requested digest is not checked: its content may be missing when it is fetched. Where a
    /// registry returns no digest for a HEAD, the whole manifest is requested.
    pub async fn resolve(
        &self,
        repository: &Repository,
        wanted: &Wanted,
        access: &Access,
    ) -> Result<Resolved, OciError> {
        let tag = match wanted {
            Wanted::Digest(digest) => {
                let revision = digest.to_string();
                return Ok(Resolved { digest: digest.clone(), tag: None, revision, stray: None });
            }
            Wanted::Pinned { tag, digest } => return self.pinned(repository, tag, digest, access).await,
            Wanted::Tag(tag) => tag.clone(),
            Wanted::Semver { range, filter } => {
                let tags = self.tags(repository, access).await?;
                let highest = range.highest(tags.iter().map(Tag::as_str), filter.as_ref());
                let none = || OciError::NoMatchingTag {
                    repository: repository.to_string(),
                    wanted: wanted.describe(),
                };
                Tag::parse(highest.ok_or_else(none)?)?
            }
        };
        let digest = self.tag_digest(repository, &tag, access).await?;
        self.0.cache.prove(access, repository, &digest);
        let revision = format!("{tag}@{digest}");
        Ok(Resolved { digest, tag: Some(tag), revision, stray: None })
    }

    /// The digest, and whether the tag names it. A tag that names another one grants nothing to
    /// this access: the cache asks for the digest before it serves it.
    async fn pinned(
        &self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
        access: &Access,
    ) -> Result<Resolved, OciError> {
        let stray = match self.tag_digest(repository, tag, access).await {
            Ok(named) if named == *digest => None,
            // The registry has the choice of the algorithm.
            Ok(named) if named.algorithm() != digest.algorithm() => {
                let subject = format!("{repository}:{tag}");
                let reply =
                    self.ask_manifest(Method::GET, repository, tag.as_str(), access, &subject).await?;
                let is_it = digest.is_of(&manifest_body(reply, &subject).await?);
                (!is_it).then_some(StrayTag::Other(named))
            }
            Ok(named) => Some(StrayTag::Other(named)),
            Err(OciError::NotFound { .. }) => Some(StrayTag::Gone),
            Err(error) => return Err(error),
        };
        if stray.is_none() {
            self.0.cache.prove(access, repository, digest);
        }
        let revision = format!("{tag}@{digest}");
        Ok(Resolved { digest: digest.clone(), tag: Some(tag.clone()), revision, stray })
    }

    /// Every tag of the repository, in the registry's order. Invalid tags are left out.
    ///
    /// # Errors
    /// When the registry does not answer, denies access, or there are more than the limits on pages
    /// and tags: a part of the list is not returned.
    pub async fn tags(&self, repository: &Repository, access: &Access) -> Result<Vec<Tag>, OciError> {
        let subject = format!("{repository} (its tags)");
        let context = RequestContext { repository, access, scope: TokenScope::Pull, subject: &subject };
        tags::list(&self.0.transport, &self.0.sessions, context).await
    }

    /// The digest that a tag points at now.
    pub(in crate::oci) async fn tag_digest(
        &self,
        repository: &Repository,
        tag: &Tag,
        access: &Access,
    ) -> Result<Digest, OciError> {
        let subject = format!("{repository}:{tag}");
        let reply = self.ask_manifest(Method::HEAD, repository, tag.as_str(), access, &subject).await?;
        let stated = reply.headers.get("docker-content-digest").and_then(|v| v.to_str().ok());
        match stated.map(Digest::parse) {
            Some(Ok(digest)) if reply.status.is_success() => return Ok(digest),
            _ if reply.status.is_success() || reply.status == StatusCode::METHOD_NOT_ALLOWED => {}
            _ => return Err(reply.error(&subject).await),
        }
        drop(reply);
        let reply = self.ask_manifest(Method::GET, repository, tag.as_str(), access, &subject).await?;
        let bytes = manifest_body(reply, &subject).await?;
        Ok(Digest::of(&bytes))
    }
}
