//! Removals that need approval: more than the spec allows, or of objects that hold what is not the
//! release's.

use super::decision::{Blocker, Decision};
use super::facts::Facts;
use crate::api::keys;
use crate::api::reason::Reason;
use crate::domain::message::List;
use crate::domain::objects::identity::ObjectId;
use crate::domain::outcome::ObjectFailure;

/// How many objects a message names.
const NAMED: usize = 3;

/// Refuses a revision that would remove too much, until a person approves exactly that removal.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some((revision, removal)) = facts.removal else { return Decision::Pass };
    let release = facts.release;
    let token = removal.token();
    if removal.objects.is_empty() || release.approved.as_ref().is_some_and(|given| given.hash == token) {
        return Decision::Pass;
    }
    let (count, applied) = (removal.objects.len(), removal.applied);
    let mut causes = Vec::new();
    let mut objects: Vec<ObjectFailure> = Vec::new();
    let failure = |id: &ObjectId, message: String| ObjectFailure {
        id: id.clone(),
        reason: Reason::PruneNotApproved,
        message,
    };
    if let Some(limits) = release.guards.removal.as_deref() {
        if let Some(most) = limits.max_percent.filter(|most| count * 100 > usize::from(*most) * applied) {
            causes.push(format!("more than spec.pruneGuard.maxPercent allows ({most})"));
        }
        if let Some(most) =
            limits.max_count.filter(|most| count > usize::try_from(*most).unwrap_or(usize::MAX))
        {
            causes.push(format!("more than spec.pruneGuard.maxCount allows ({most})"));
        }
        let protected: Vec<&ObjectId> =
            removal.objects.iter().map(|(id, _)| id).filter(|id| limits.protects(&id.group_kind())).collect();
        if !protected.is_empty() {
            let names = List::Names.few(&protected, NAMED);
            causes.push(format!("of a kind in spec.pruneGuard.protectKinds: {names}"));
        }
        objects.extend(protected.into_iter().map(|id| failure(id, "would be removed".to_owned())));
    }
    if let Some(loss) = removal.losses.first() {
        causes.push(format!("{} {}", loss.id, loss.words));
        let more = removal.losses.len() - 1;
        if more > 0 {
            causes.push(format!("{more} more objects hold what is not of this release"));
        }
    }
    objects.extend(
        removal.losses.iter().map(|loss| failure(&loss.id, format!("would be removed, and {}", loss.words))),
    );
    if causes.is_empty() {
        return Decision::Pass;
    }
    let names = List::Names.few(removal.objects.iter().map(|(id, _)| id), NAMED);
    let message = format!(
        "revision {revision} would remove {count} of {applied} objects ({names}): {}; to apply it and remove them: \
         `kubectl -n {} annotate --overwrite oar {} {}={token}`",
        causes.join("; "),
        release.id.namespace,
        release.id.name,
        keys::APPROVE,
    );
    Decision::Refuse(Blocker { objects, ..Blocker::new(Reason::PruneNotApproved, message) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::gate::tests::{held, release};
    use crate::domain::plan::removal::{HeldContent, PlannedRemoval};
    use crate::domain::release::RemovalLimits;
    use crate::domain::release::approval::GivenApproval;

    fn id(name: &str, kind: &str) -> ObjectId {
        ObjectId::from_inventory_id(&format!("a_{name}__{kind}")).unwrap()
    }

    #[test]
    fn a_removal_beyond_the_limits_needs_approval_of_exactly_that_removal() {
        let none = RemovalLimits::default;
        let check = |limits: Option<RemovalLimits>, removed: usize, lost: &[&str], expected: Option<&str>| {
            let mut release = release();
            release.guards.removal = limits.map(Arc::new);
            let objects: Vec<_> =
                (0..removed).map(|n| (id(&format!("c{n}"), "ConfigMap"), "u".to_owned())).collect();
            let losses =
                lost.iter().map(|words| HeldContent { id: id("n", "Namespace"), words: (*words).to_owned() });
            let losses = losses.collect();
            let removal = PlannedRemoval { cause: "sha256:a".into(), applied: 10, objects, losses };
            let facts = |approve: Option<String>, removal: &PlannedRemoval| {
                let mut release = release.clone();
                release.approved = approve.map(|hash| GivenApproval { hash, by: None, at: None });
                held(decide(&Facts { removal: Some(("1@sha256:a", removal)), ..Facts::of(&release) }))
            };
            let found = facts(None, &removal);
            let message = found.map(|(reason, message)| {
                assert_eq!(reason, Reason::PruneNotApproved);
                message.split("; to apply it").next().unwrap().split_once("): ").unwrap().1.to_owned()
            });
            assert_eq!(message.as_deref(), expected);
            assert_eq!(facts(Some(removal.token()), &removal), None);
            assert_eq!(facts(Some("sha256:a".into()), &removal).is_some(), expected.is_some());
        };
        check(None, 9, &[], None);
        let percent = || Some(RemovalLimits { max_percent: Some(20), ..none() });
        check(percent(), 2, &[], None);
        check(percent(), 3, &[], Some("more than spec.pruneGuard.maxPercent allows (20)"));
        let number = |most: u32| Some(RemovalLimits { max_count: Some(most), ..none() });
        check(number(3), 3, &[], None);
        check(number(0), 1, &[], Some("more than spec.pruneGuard.maxCount allows (0)"));
        check(number(0), 0, &[], None);
        let kinds = |group: Option<&str>| {
            Some(RemovalLimits { kinds: vec![("ConfigMap".into(), group.map(str::to_owned))], ..none() })
        };
        let names = "of a kind in spec.pruneGuard.protectKinds: ConfigMap/a/c0";
        check(kinds(None), 1, &[], Some(names));
        check(kinds(Some("apps")), 1, &[], None);
        check(None, 1, &["holds x"], Some("Namespace/a/n holds x"));
        let both = "Namespace/a/n holds x; 1 more objects hold what is not of this release";
        check(None, 1, &["holds x", "holds y"], Some(both));
    }
}
