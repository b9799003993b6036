//! Objects that belong to other releases.

use super::decision::{Blocker, Decision};
use super::facts::Facts;
use crate::api::reason::Reason;
use crate::domain::outcome::ObjectFailure;

/// Refuses a plan with an object that belongs to another release.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(claimed) = facts.claimed.filter(|claimed| !claimed.by_others.is_empty()) else {
        return Decision::Pass;
    };
    let objects = claimed.by_others.iter().map(|(id, owner)| {
        let message = format!("belongs to {owner}: remove it from one of the two");
        ObjectFailure { id: id.clone(), reason: Reason::OwnershipConflict, message }
    });
    let objects = objects.chain(claimed.denied.iter().cloned()).collect();
    Decision::Refuse(Blocker::about(
        Reason::OwnershipConflict,
        "nothing applied, ownership conflict on",
        objects,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::facts::ClaimConflicts;
    use crate::domain::gate::tests::{held, release};
    use crate::domain::identity::ObjectId;

    #[test]
    fn objects_of_others_are_refused_and_listed_with_those_denied() {
        let id = |name: &str| ObjectId::from_inventory_id(&format!("apps_{name}__ConfigMap")).unwrap();
        let denied = |name: &str| ObjectFailure {
            id: id(name),
            reason: Reason::AccessDenied,
            message: "no".to_owned(),
        };
        let check = |by_others: &[&str], denied: Vec<ObjectFailure>, expected: Option<&str>| {
            let by_others = by_others.iter().map(|name| (id(name), "the release a/b".to_owned())).collect();
            let claimed = ClaimConflicts { by_others, denied };
            let release = release();
            let found = held(decide(&Facts { claimed: Some(&claimed), ..Facts::of(&release) }));
            assert_eq!(found.as_ref().map(|(_, message)| message.as_str()), expected);
        };
        check(&[], Vec::new(), None);
        check(&[], vec![denied("x")], None);
        let message = "nothing applied, ownership conflict on 2 objects; ConfigMap/apps/x: belongs to the release a/b: \
                       remove it from one of the two; ConfigMap/apps/y: no";
        check(&["x"], vec![denied("y")], Some(message));
    }
}
