//! An artifact without objects: it would remove all applied objects.

use super::super::decision::Decision;
use super::super::facts::Facts;
use crate::api::keys;
use crate::api::reason::Reason;
use crate::domain::release::approval::ApprovalPolicy;

/// Refuses an artifact without objects until a person approves its digest.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some((revision, digest, 0)) = facts.rendered else { return Decision::Pass };
    let release = facts.release;
    let approved = release.approved.as_ref().is_some_and(|given| given.hash == digest);
    // The plan that a person approves shows what is removed.
    if approved || release.approval != ApprovalPolicy::Automatic {
        return Decision::Pass;
    }
    let unused = match facts.unused_layers {
        0 => String::new(),
        1 => "; 1 other layer is not used (spec.layers: First)".to_owned(),
        more => format!("; {more} other layers are not used (spec.layers: First)"),
    };
    let message = format!(
        "revision {revision} has no objects under path {:?}{unused}; to apply it anyway and remove {} objects: \
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
    use crate::domain::release::approval::GivenApproval;

    #[test]
    fn nothing_is_applied_only_where_a_person_says_so() {
        let check = |policy: ApprovalPolicy, approved: Option<&str>, objects: usize, refused: bool| {
            let mut release = release();
            release.approval = policy;
            let given = |hash: &str| GivenApproval { hash: hash.to_owned(), by: None, at: None };
            release.approved = approved.map(given);
            let facts = Facts { rendered: Some(("1@sha256:a", "sha256:a", objects)), ..Facts::of(&release) };
            let found = held(decide(&facts)).map(|(reason, _)| reason);
            assert_eq!(found, refused.then_some(Reason::ArtifactEmpty), "{approved:?} {objects}");
        };
        let automatic = || ApprovalPolicy::Automatic;
        check(automatic(), None, 1, false);
        check(automatic(), None, 0, true);
        check(automatic(), Some("sha256:a"), 0, false);
        check(automatic(), Some("sha256:b"), 0, true);
        let release = release();
        let says = |unused_layers: usize| {
            let facts = Facts { rendered: Some(("1@sha256:a", "sha256:a", 0)), ..Facts::of(&release) };
            held(decide(&Facts { unused_layers, ..facts })).unwrap().1
        };
        assert!(
            !says(0).contains("layer")
                && says(1).contains("; 1 other layer is not used (spec.layers: First); to")
        );
        assert!(
            says(2).contains("; 2 other layers are not used (spec.layers: First); to apply"),
            "{}",
            says(2)
        );
        // The gate of the plan decides.
        check(ApprovalPolicy::Manual { timeout: None }, None, 0, false);
    }
}
