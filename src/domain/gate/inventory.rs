//! An inventory that is another tool's, or on its way out.

use super::decision::Decision;
use super::facts::{Facts, InventoryFacts};
use crate::api::reason::Reason;
use crate::domain::identity::ReleaseId;
use crate::domain::status::inventory_name;

/// Refuses an inventory that a run may not write to. What another tool recorded is not
/// marked as ours: it would be left behind. A person takes it over, not a release.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let Some(InventoryFacts { id, adopting, writer, is_ours, is_going }) = facts.inventory else {
        return Decision::Pass;
    };
    let ReleaseId { namespace, name } = id;
    let inventory = format!("the inventory {namespace}/{}", inventory_name(name));
    let message = match (adopting.is_empty(), is_ours, is_going) {
        (false, _, _) => format!(
            "{inventory} is being taken over from another tool, and that was cut off: finish it with the \
             `supercargo adopt` that began it"
        ),
        (true, false, _) => format!(
            "{inventory} was written by {writer}: `supercargo adopt inventory {name} --inventory-namespace \
             {namespace}` takes over what it names, without a change to what runs"
        ),
        (true, true, true) => format!(
            "{inventory} is being deleted: finish that first with `supercargo delete -i {name} \
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
        let cut_off = format!("{inventory} is being taken over from another tool, and that was cut off");
        check("flux", "", true, true, &cut_off);
    }
}
