//! What a person asks of a release that has gone back, and where its revisions are from.

use super::spec::Release;

impl Release {
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
