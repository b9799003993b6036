//! Lists of referrers: which of them may be signatures, and in which order they are read.
//! Pure: bytes in, referrers out.

use super::gather::{Gathered, Notes};
use crate::oci::artifact::layout::{Document, RawDescriptor};
use crate::oci::limits::MAX_REFERRERS;
use crate::oci::reference::Digest;

/// The type of Sigstore bundles, in any version.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// The type that current cosign writes.
pub(super) const BUNDLE_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The predicate of a signature that cosign makes; other bundles are about
/// provenance, contents, scans.
const SIGN_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";
/// Values that a registry may return instead of the artifact type: nothing, or the type
/// of the config (ghcr.io does).
const UNSPECIFIED: [&str; 4] = [
    "",
    "application/vnd.oci.empty.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// A manifest that refers to the digest, from a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Referrer {
    pub digest: Digest,
    /// The priority, if there are too many.
    rank: u8,
}

impl Referrer {
    /// Whether the list marks it as a bundle.
    pub fn is_marked(&self) -> bool {
        self.rank < 2
    }

    fn of(descriptor: &RawDescriptor) -> Option<Self> {
        let kind = descriptor.artifact_type.as_deref().unwrap_or_default();
        let predicate =
            descriptor.annotations.as_ref().and_then(|a| a.get("dev.sigstore.bundle.predicateType"));
        let rank = match predicate {
            Some(predicate) if predicate == SIGN_PREDICATE => 0,
            _ if is_bundle(kind) => 1,
            _ if UNSPECIFIED.contains(&kind) => 2,
            _ => return None,
        };
        Some(Self { digest: Digest::parse(&descriptor.digest).ok()?, rank })
    }
}

/// Whether something of this type is a Sigstore bundle.
pub(super) fn is_bundle(media_type: &str) -> bool {
    let base = media_type.split(';').next().unwrap_or_default().trim();
    base.starts_with(BUNDLE) && base.ends_with("+json")
}

/// The referrers of a list that may be signatures, each once and up to the limit.
#[derive(Default)]
pub(super) struct Shortlist {
    chosen: Vec<Referrer>,
    left: usize,
}

impl Shortlist {
    /// Adds a page of a list.
    pub fn add(&mut self, page: &[RawDescriptor]) {
        for referrer in page.iter().filter_map(Referrer::of) {
            if self.chosen.iter().any(|chosen| chosen.digest == referrer.digest) {
                continue;
            }
            // After all that are at least as likely.
            let place = self.chosen.partition_point(|chosen| chosen.rank <= referrer.rank);
            self.chosen.insert(place, referrer);
            self.left += self.chosen.len().saturating_sub(MAX_REFERRERS);
            self.chosen.truncate(MAX_REFERRERS);
        }
    }

    pub fn finish(self, mut notes: Notes) -> Gathered<Referrer> {
        if self.left > 0 {
            notes.note(format!("{} more referrers: only {MAX_REFERRERS} are read", self.left));
        }
        Gathered { things: self.chosen, notes }
    }
}

/// The entries of a list of referrers, if it is one.
pub(super) fn entries(bytes: &[u8]) -> Option<Vec<RawDescriptor>> {
    match Document::parse(bytes) {
        Ok(Document::Index(index)) => Some(index.0),
        _ => None,
    }
}
