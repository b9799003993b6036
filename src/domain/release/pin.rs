//! The revision that a person has pinned a release to, and what happens when one fails.

use crate::api::keys;
use crate::api::release::{OCIArtifactReleaseSpec, RollbackMode};
use crate::domain::artifact::digest::is_digest;

/// The longest name of a revision: a tag, and a digest.
const MAX_NAME: usize = 300;
/// How many characters of a reason a message shows.
const MAX_REASON: usize = 200;

/// The revision that a person has pinned a release to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedRevision {
    /// Its name, `tag@digest` or the digest.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// Why, in the words of the person.
    pub reason: Option<String>,
}

impl PinnedRevision {
    /// From the annotations of a release.
    ///
    /// # Errors
    /// When it is no revision.
    pub(super) fn parse(name: String, reason: Option<String>) -> Result<Self, String> {
        let digest = name.rsplit('@').next().unwrap_or_default().to_owned();
        if !is_digest(&digest) || name.len() > MAX_NAME {
            let key = keys::PIN;
            return Err(format!(
                "the annotation {key} must be tag@digest or a digest, sha256:…; remove or correct it"
            ));
        }
        let reason = reason.map(|reason| reason.split_whitespace().collect::<Vec<_>>().join(" "));
        let reason = reason.map(|reason| reason.chars().take(MAX_REASON).collect());
        Ok(Self { name, digest, reason })
    }

    /// What the message of Ready says of it.
    pub fn describe(&self) -> String {
        match &self.reason {
            Some(reason) => format!("pinned, spec.ref is not followed: {reason}"),
            None => "pinned, spec.ref is not followed".to_owned(),
        }
    }
}

/// What happens when a new revision fails.
///
/// # Errors
/// When no revision is ever known to be healthy.
pub(super) fn rollback_mode(spec: &OCIArtifactReleaseSpec) -> Result<RollbackMode, String> {
    match spec.rollback.mode {
        RollbackMode::OnFailure | RollbackMode::Freeze if !spec.wait && spec.health_checks.is_empty() => {
            Err("needs spec.wait or spec.healthChecks: without them no revision is known to be healthy"
                .to_owned())
        }
        mode => Ok(mode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_names_a_digest() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let check = |name: &str, reason: Option<&str>, expected: Option<&str>| {
            let found = PinnedRevision::parse(name.to_owned(), reason.map(str::to_owned)).ok();
            assert_eq!(found.as_ref().map(PinnedRevision::describe).as_deref(), expected, "{name}");
            assert!(found.is_none_or(|pin| pin.digest == digest && pin.name == name));
        };
        let plain = Some("pinned, spec.ref is not followed");
        check(&digest, None, plain);
        check(&format!("1.0@{digest}"), None, plain);
        check(&digest, Some(" two\n lines "), Some("pinned, spec.ref is not followed: two lines"));
        check("1.0", None, None);
        check("sha256:abc", None, None);
        check(&format!("{}@{digest}", "t".repeat(300)), None, None);
    }
}
