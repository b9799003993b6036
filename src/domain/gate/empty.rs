//! An artifact without objects: it would remove all applied objects.

use super::decision::Decision;
use super::facts::Facts;
use crate::api::keys;
use crate::api::reason::Reason;

/// Refuses an artifact without objects until a person approves its digest.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some((revision, digest, 0)) = facts.rendered else { return Decision::Pass };
    let release = facts.release;
    if release.approve.as_deref() == Some(digest) {
        return Decision::Pass;
    }
    let message = format!(
        "revision {revision} has no objects under path {:?}; to apply it anyway and remove {} objects: \
         `kubectl -n {} annotate --overwrite oar {} {}={digest}`",
        release.path.replace('`', "'"),
        facts.entries,
        release.id.namespace,
        release.id.name,
        keys::APPROVE,
    );
    Decision::refuse(Reason::ArtifactEmpty, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests::{held, release};

    #[test]
    fn nothing_is_applied_only_where_a_person_says_so() {
        let check = |approved: Option<&str>, objects: usize, refused: bool| {
            let mut release = release();
            release.approve = approved.map(str::to_owned);
            let facts = Facts { rendered: Some(("1@sha256:a", "sha256:a", objects)), ..Facts::of(&release) };
            let found = held(decide(&facts)).map(|(reason, _)| reason);
            assert_eq!(found, refused.then_some(Reason::ArtifactEmpty), "{approved:?} {objects}");
        };
        check(None, 1, false);
        check(None, 0, true);
        check(Some("sha256:a"), 0, false);
        check(Some("sha256:b"), 0, true);
    }
}
