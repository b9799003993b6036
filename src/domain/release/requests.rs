//! What a person requests of a release by annotations, and where its revisions are from.

use super::spec::Release;

impl Release {
    /// Whether a person requests a run that has not been `handled` yet. A removed
    /// annotation requests nothing: a tool that replaces the object removes it.
    pub fn is_asked(&self, handled: Option<&str>) -> bool {
        self.reconcile_at.is_some() && self.reconcile_at.as_deref() != handled
    }

    /// Whether a person asks to try the quarantined revision with that digest, in a way that has not
    /// been `handled` yet.
    pub fn retries(&self, digest: &str, handled: Option<&str>) -> bool {
        let retry = self.retry.as_deref().filter(|retry| Some(*retry) != handled);
        retry.is_some_and(|retry| retry.split('@').next() == Some(digest))
    }

    /// The repository, without `oci://`.
    pub fn repository(&self) -> &str {
        self.url.trim_start_matches("oci://")
    }
}
