//! An inventory that belongs to another tool, or is being deleted.

use super::decision::Decision;
use super::facts::{Facts, InventoryFacts};
use crate::api::reason::Reason;
use crate::domain::identity::ReleaseId;
use crate::domain::status::inventory_name;

/// Refuses an inventory that a run must not write to. The objects in the inventory of
/// another tool do not have our labels, so they would be left behind. A person has to adopt
/// them, a release does not.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(InventoryFacts { id, adopting, writer, is_ours, is_going }) = facts.inventory else {
        return Decision::Pass;
    };
    let ReleaseId { namespace, name } = id;
    let inventory = format!("the inventory {namespace}/{}", inventory_name(name));
    let message = match (adopting.is_empty(), is_ours, is_going) {
        (false, _, _) => format!(
            "{inventory} is only partly adopted from another tool: to finish, rerun the `supercargo adopt` \
             command that was interrupted"
        ),
        (true, false, _) => format!(
            "{inventory} was written by {writer}: adopt its objects, without changing them, with `supercargo \
             adopt inventory {name} --inventory-namespace {namespace}`"
        ),
        (true, true, true) => format!(
            "{inventory} is being deleted: finish the deletion first with `supercargo delete -i {name} \
             --inventory-namespace {namespace}`"
        ),
        (true, true, false) => return Decision::Pass,
    };
    Decision::refuse(Reason::InventoryInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::gate::tests::{held, release};

    #[test]
    fn only_an_inventory_of_ours_that_stays_is_written_to() {
        let id = ReleaseId { namespace: "team".into(), name: "app".into() };
        let check = |adopting: &str, writer: &str, is_ours: bool, is_going: bool, expected: &str| {
            let inventory = Some(InventoryFacts { id: &id, adopting, writer, is_ours, is_going });
            let found = held(decide(&Facts { inventory, ..Facts::of(&release()) }));
            let message = found.map(|(reason, message)| {
                assert_eq!(reason, Reason::InventoryInvalid);
                message
            });
            assert_eq!(message.as_deref().and_then(|m| m.split(':').next()).unwrap_or_default(), expected);
        };
        let inventory = "the inventory team/inv-app";
        check("", "", true, false, "");
        check("", "flux", false, false, &format!("{inventory} was written by flux"));
        check("", "flux", false, true, &format!("{inventory} was written by flux"));
        check("", "", true, true, &format!("{inventory} is being deleted"));
        let cut_off = format!("{inventory} is only partly adopted from another tool");
        check("flux", "", true, true, &cut_off);
    }
}
