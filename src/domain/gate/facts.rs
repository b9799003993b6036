//! The facts that gates decide on.

use jiff::Timestamp;

use crate::api::plan::PlanCounts;
use crate::api::rollback::QuarantineEntry;
use crate::domain::allowed::Allowed;
use crate::domain::identity::{ObjectId, ReleaseId};
use crate::domain::ledger::goes_back;
use crate::domain::outcome::ObjectFailure;
use crate::domain::plan::removal::PlannedRemoval;
use crate::domain::release::Release;
use crate::domain::release::dependency::WaitedFor;

/// What a run knows so far. It learns more in each phase: a gate whose facts are missing
/// lets the run pass, and is evaluated again later.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The release.
    pub release: &'a Release,
    /// Whether a person requested this run.
    pub is_asked: bool,
    /// What its namespace may have.
    pub quota: Option<QuotaFacts>,
    /// The repository of the release, and which registries are allowed.
    pub registry: Option<RegistryFacts<'a>>,
    /// The inventory, as read.
    pub inventory: Option<InventoryFacts<'a>>,
    /// The step from the applied tag to the newest one.
    pub step: Option<TagStep<'a>>,
    /// What is known of the revision, if it is quarantined.
    pub quarantined: Option<&'a QuarantineEntry>,
    /// Which signatures are required.
    pub demands: Option<Demands>,
    /// The name and the digest of a revision, and how many objects it holds.
    pub rendered: Option<(&'a str, &'a str, usize)>,
    /// How many layers of its artifact could have manifests, and are not used because one layer is.
    pub unused_layers: usize,
    /// What is known of a new revision, before it is obtained.
    pub arrival: Option<ArrivalFacts<'a>>,
    /// The name of a new revision, and what it would remove.
    pub removal: Option<(&'a str, &'a PlannedRemoval)>,
    /// How many objects the inventory names.
    pub entries: usize,
    /// What is known of the dependencies.
    pub dependencies: Option<DependencyFacts<'a>>,
    /// The objects that belong to other releases, and those that must not be written.
    pub claimed: Option<&'a ClaimConflicts>,
    /// The plan of a new revision.
    pub plan: Option<PlanFacts<'a>>,
}

impl<'a> Facts<'a> {
    /// Only the release, in a run that nobody requested.
    pub fn of(release: &'a Release) -> Self {
        Self {
            release,
            is_asked: false,
            quota: None,
            registry: None,
            inventory: None,
            step: None,
            quarantined: None,
            demands: None,
            rendered: None,
            unused_layers: 0,
            arrival: None,
            removal: None,
            entries: 0,
            dependencies: None,
            claimed: None,
            plan: None,
        }
    }
}

/// A revision that the cluster does not hold yet.
#[derive(Clone, Copy, Debug)]
pub struct ArrivalFacts<'a> {
    /// `tag@digest`, or the digest.
    pub revision: &'a str,
    /// Its digest.
    pub digest: &'a str,
    /// The time of the decision.
    pub now: Timestamp,
    /// When this release has seen the digest first.
    pub first_seen: Timestamp,
    /// The earliest time that a transparency log or a timestamp authority proves for a
    /// signature that counts.
    pub signed_at: Option<Timestamp>,
    /// Whether the digest was applied before.
    pub is_known: bool,
    /// Whether the administrator allows promotions from other namespaces.
    pub across_namespaces: bool,
    /// The releases that have not had it for long enough.
    pub unpromoted: &'a [Unpromoted],
}

/// A release that has not had a revision, healthy, for long enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpromoted {
    /// The release.
    pub id: ReleaseId,
    /// Why: a lowercase fragment that follows its name.
    pub words: String,
    /// When that changes by time alone, if nothing else changes.
    pub until: Option<Timestamp>,
}

/// What a namespace may have, where that is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaFacts {
    /// The most releases, if this one is beyond them.
    pub releases: Option<usize>,
    /// The most objects, and how many the other releases have or are about to have.
    pub objects: Option<(usize, usize)>,
}

/// The repository of a release, and the allowed ones.
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
    /// The release or inventory that it is named after.
    pub id: &'a ReleaseId,
    /// The tool that its objects are being adopted from; empty when they are not.
    pub adopting: &'a str,
    /// The tool that wrote it.
    pub writer: &'a str,
    /// Whether that is this tool.
    pub is_ours: bool,
    /// Whether it is being deleted, and the run must not write to it for that reason.
    pub is_going: bool,
}

/// Which signatures an artifact needs.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// How many policies require signatures.
    pub policies: usize,
    /// Whether the administrator exempts the repository.
    pub is_exempt: bool,
    /// Whether every artifact has to be verified.
    pub required: bool,
}

/// The step from the applied tag to the newest one.
#[derive(Clone, Copy, Debug)]
pub struct TagStep<'a> {
    /// The tag of what was applied last.
    pub from: &'a str,
    /// The newest tag.
    pub to: &'a str,
}

impl TagStep<'_> {
    /// Whether it is a downgrade.
    pub fn is_back(&self, facts: &Facts<'_>) -> bool {
        goes_back(facts.release, self.from, self.to)
    }
}

/// What is known of the dependencies of a release.
#[derive(Clone, Copy, Debug, Default)]
pub struct DependencyFacts<'a> {
    /// A cycle that the release leads to, if the release is part of one. It usually begins with the
    /// release.
    pub cycle: Option<&'a [ReleaseId]>,
    /// Whether the administrator allows dependencies in other namespaces.
    pub across_namespaces: bool,
    /// The dependencies that a new revision waits for.
    pub waited_for: &'a [WaitedFor],
}

/// The plan of a new revision.
#[derive(Clone, Copy, Debug)]
pub struct PlanFacts<'a> {
    /// The name of the revision.
    pub revision: &'a str,
    /// Its hash.
    pub hash: &'a str,
    /// Its changes.
    pub counts: &'a PlanCounts,
    /// The approved plan that this one differs from, and the first difference.
    pub outdated: Option<(&'a str, &'a str)>,
    /// The time.
    pub now: Timestamp,
}

/// What prevents a release from applying all objects of its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimConflicts {
    /// Objects that belong to others, each with the name of its owner.
    pub by_others: Vec<(ObjectId, String)>,
    /// Objects that the release is not allowed to write, with any owner.
    pub denied: Vec<ObjectFailure>,
}
