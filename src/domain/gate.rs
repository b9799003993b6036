//! What can stop a run of a release: one gate per file, each a pure function with a
//! table of tests. They are evaluated in the order of a list.

mod approval;
mod arrival;
mod cycle;
mod decision;
mod dependencies;
pub mod downgrade;
mod facts;
#[cfg(test)]
mod frozen;
mod inventory;
mod limits;
mod ownership;
pub mod quarantine;
mod removal;
mod suspend;
#[cfg(test)]
mod tests;
pub mod trust;

pub use approval::counted;
pub use decision::{Blocker, Decision, WakeOn};
pub use facts::{
    ArrivalFacts, ClaimConflicts, Demands, DependencyFacts, Facts, InventoryFacts, PlanFacts, QuotaFacts,
    RegistryFacts, TagStep, Unpromoted,
};
pub use limits::registry;

/// A gate.
type Gate = fn(&Facts<'_>) -> Decision;

/// All gates. A new one needs its own file, a module and a line here, and a field of
/// [`Facts`] if it needs a new fact.
const GATES: &[Gate] = &[
    suspend::decide,
    limits::quota::decide,
    registry::decide,
    cycle::decide,
    arrival::minimum_age::decide,
    arrival::promotion::decide,
    arrival::window::decide,
    dependencies::decide,
    inventory::decide,
    trust::decide,
    downgrade::decide,
    quarantine::decide,
    approval::empty::decide,
    ownership::decide,
    removal::decide,
    approval::plan::decide,
    #[cfg(test)]
    frozen::decide,
];

/// The decision of the first gate that does not let the run pass.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let decisions = GATES.iter().map(|gate| gate(facts));
    decisions.into_iter().find(|decision| *decision != Decision::Pass).unwrap_or(Decision::Pass)
}
