//! Faults that are known: what leads to them is not generated yet.

use std::sync::OnceLock;

/// A known fault, by what leads to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A HorizontalPodAutoscaler comes to a Deployment that is there.
    AutoscalerJoins,
    /// A definition and its objects change together.
    DefinitionChanges,
    /// The template of a Job changes.
    JobChanges,
    /// A Job is removed once it is done.
    JobIsDone,
    /// A field that cannot change does, with `force`.
    Recreated,
    /// A release that is suspended had been asked to run, and is not asked any more.
    SuspendHolds,
    /// An object is missing in the mode Report or Off, and a new revision comes.
    MissingUnderReport,
    /// An account may not even read its objects: they may differ from what was applied,
    /// and nobody says that this is not known.
    BlindAccount,
}

/// What is not generated. To find out whether a fault is mended, take it out, or name it in
/// `HISTORIES_WITH` (separated by commas, `all` for all).
const KNOWN: &[Fault] = &[
    Fault::AutoscalerJoins,
    Fault::DefinitionChanges,
    Fault::JobChanges,
    Fault::JobIsDone,
    Fault::Recreated,
    Fault::SuspendHolds,
    Fault::MissingUnderReport,
    Fault::BlindAccount,
];

/// Whether histories have it.
pub fn generated(fault: Fault) -> bool {
    static WITH: OnceLock<Vec<String>> = OnceLock::new();
    let with = WITH.get_or_init(|| {
        let named = std::env::var("HISTORIES_WITH").unwrap_or_default();
        named.split(',').map(|name| name.trim().to_owned()).collect()
    });
    let name = format!("{fault:?}");
    !KNOWN.contains(&fault) || with.iter().any(|n| *n == name || n == "all")
}
