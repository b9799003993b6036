//! The reference of a release into a registry.

use crate::api::reason::Reason;
use crate::domain::artifact::wanted::WantedVersion;
use crate::domain::release::Release;
use crate::domain::version::TagFilter;
use crate::oci::{Digest, Repository, Tag};
use crate::reconcile::error::{RunFailure, failure};

/// The repository of a release.
///
/// # Errors
/// When the url cannot be used.
pub fn repository(release: &Release) -> Result<Repository, Box<RunFailure>> {
    Repository::parse(&release.url).map_err(|e| failure(e.reason(), format!("spec.url: {e}")))
}

/// The wanted version.
///
/// # Errors
/// When the reference cannot be used.
pub fn wanted(release: &Release) -> Result<crate::oci::Wanted, Box<RunFailure>> {
    let bad = |e: &dyn std::fmt::Display| failure(Reason::InvalidSpec, format!("spec.ref: {e}"));
    Ok(match &release.wanted {
        WantedVersion::Tag(tag) => crate::oci::Wanted::Tag(Tag::parse(tag).map_err(|e| bad(&e))?),
        WantedVersion::Pinned { tag, digest } => crate::oci::Wanted::Pinned {
            tag: Tag::parse(tag).map_err(|e| bad(&e))?,
            digest: Digest::parse(digest).map_err(|e| bad(&e))?,
        },
        WantedVersion::Digest(digest) => {
            crate::oci::Wanted::Digest(Digest::parse(digest).map_err(|e| bad(&e))?)
        }
        WantedVersion::Semver { range, filter } => crate::oci::Wanted::Semver {
            range: crate::domain::version::Range::parse(range).map_err(|e| bad(&e))?,
            filter: filter.as_deref().map(TagFilter::parse).transpose().map_err(|e| bad(&e))?,
        },
    })
}
