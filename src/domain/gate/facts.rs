//! What gates know.

use crate::domain::allowed::Allowed;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::ledger::goes_back;
use crate::domain::outcome::ObjectFailure;
use crate::domain::release::Release;

/// What a run knows so far. It learns more as it goes on: a gate that lacks what it asks
/// about lets the run pass, and is asked again.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The release.
    pub release: &'a Release,
    /// Whether a person asks for this run.
    pub is_asked: bool,
    /// What the release names in a registry, and which registries are allowed.
    pub registry: Option<RegistryFacts<'a>>,
    /// The inventory, as read.
    pub inventory: Option<InventoryFacts<'a>>,
    /// The way that the newest tag leads.
    pub step: Option<TagStep<'a>>,
    /// Who has to have signed.
    pub demands: Option<Demands>,
    /// The name and the digest of a revision, and how many objects it holds.
    pub rendered: Option<(&'a str, &'a str, usize)>,
    /// How many objects the inventory names.
    pub entries: usize,
    /// The objects that others have, and those that may not be written.
    pub claimed: Option<&'a ClaimConflicts>,
}

impl<'a> Facts<'a> {
    /// Nothing but the release, for which nobody has asked.
    pub fn of(release: &'a Release) -> Self {
        Self {
            release,
            is_asked: false,
            registry: None,
            inventory: None,
            step: None,
            demands: None,
            rendered: None,
            entries: 0,
            claimed: None,
        }
    }
}

/// What a release names, and what it may name.
#[derive(Clone, Copy)]
pub struct RegistryFacts<'a> {
    /// What the administrator allows.
    pub allowed: &'a Allowed,
    /// The registry with its port.
    pub host: &'a str,
    /// The path of the repository in it.
    pub path: &'a str,
}

/// An inventory that exists.
#[derive(Clone, Copy)]
pub struct InventoryFacts<'a> {
    /// Whose name it has.
    pub id: &'a ReleaseId,
    /// Whom its objects are being taken over from; empty when nobody does that.
    pub adopting: &'a str,
    /// The tool that wrote it.
    pub writer: &'a str,
    /// Whether that was not another one than this.
    pub is_ours: bool,
    /// Whether someone has deleted it, and that keeps the run from writing to it.
    pub is_going: bool,
}

/// Who has to have signed an artifact.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// How many policies ask for signatures.
    pub policies: usize,
    /// Whether the administrator exempts the repository.
    pub is_exempt: bool,
    /// Whether every artifact has to be verified.
    pub required: bool,
}

/// The way that the newest tag leads.
#[derive(Clone, Copy, Debug)]
pub struct TagStep<'a> {
    /// The tag of what was applied last.
    pub from: &'a str,
    /// The newest tag.
    pub to: &'a str,
}

impl TagStep<'_> {
    /// Whether it leads back.
    pub fn is_back(&self, facts: &Facts<'_>) -> bool {
        goes_back(facts.release, self.from, self.to)
    }
}

/// What keeps a release from having all the objects of its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimConflicts {
    /// Objects that others have, each with what its owner is called here.
    pub by_others: Vec<(ObjectId, String)>,
    /// Objects that the release may not write, whichever release has them.
    pub denied: Vec<ObjectFailure>,
}
