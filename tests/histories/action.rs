//! What can happen, as a value that is written down and read again.

use serde::{Deserialize, Serialize};

use crate::kinds::Kind;

/// Which release: `r0`, `r1`, …
pub type Number = u8;

/// One thing that happens. What it names may not be there: then nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum Action {
    /// A revision is pushed to the repository of a release.
    Push { release: Number, tag: String, revision: Revision },
    /// What a tag names is signed.
    Sign { release: Number, tag: String },
    /// A release is created.
    Create { release: Number, spec: Spec },
    /// A field of its spec is changed.
    Specify { release: Number, change: Change },
    /// It is deleted.
    Delete { release: Number },
    /// It is asked to run now.
    Ask { release: Number },
    /// The annotation that asked is taken away.
    Unask { release: Number },
    /// Somebody approves what the release waits with.
    Approve { release: Number, which: Approval },
    /// Somebody asks to try the revision that the release wants once more, or another one.
    Retry { release: Number, right: bool },
    /// Somebody touches an object of the cluster.
    Hand { kind: Kind, name: u8, away: bool, edit: Edit },
    /// Somebody touches an inventory.
    Inventory { release: Number, edit: InventoryEdit },
    /// The account `weak` gets or loses its rights.
    Rights { granted: bool },
    /// The registry is there or away.
    Registry { there: bool },
    /// The API server is there for the operator, or away.
    ApiServer { there: bool },
    /// The API server itself is killed and started, for all histories.
    RestartApiServer,
    /// The operator is killed, and started again when all is mended.
    Kill,
    /// It is killed and started at once.
    Restart,
    /// It stands still until all is mended.
    Freeze,
    /// It is killed at its nth write from now on, before or after that has landed.
    Crash { nth: u64, landed: bool },
    /// A second replica is started.
    Replica,
    /// The cluster is looked at in the middle of everything: what holds always has to
    /// hold now.
    Look,
    /// Time passes, in milliseconds.
    Pass { milliseconds: u64 },
    /// All is mended, the operator comes to rest, and the cluster is judged.
    Settle,
}

/// The content of an artifact: two directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// The objects in `a/`.
    pub a: Vec<Piece>,
    /// The objects in `b/`.
    pub b: Vec<Piece>,
    /// Whether a document is broken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub broken: bool,
}

/// An object of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Piece {
    /// Its kind.
    pub kind: Kind,
    /// Its name is `o` and this.
    pub name: u8,
    /// Which content.
    pub variant: u8,
    /// What is special about it.
    #[serde(default, skip_serializing_if = "How::is_plain")]
    pub how: How,
    /// The step that a Job is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Its place in the order of its revision.
    #[serde(default, skip_serializing_if = "Place::is_none")]
    pub place: Place,
}

/// Where an object that is no step comes in its revision.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// `supercargo.dev/wave`; 0 is no annotation.
    #[serde(default)]
    pub wave: i8,
    /// The one that it depends on, in the namespace of the releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<(Kind, u8)>,
}

impl Place {
    /// Whether there is no annotation.
    pub fn is_none(&self) -> bool {
        *self == Place::default()
    }
}

/// A Job that runs once for a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Whether it runs after the other objects are healthy, and not before they are written.
    pub after: bool,
    /// `supercargo.dev/wave`.
    pub wave: i8,
    /// How it ends.
    pub end: End,
}

/// How a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// It succeeds, and stays.
    Stays,
    /// It succeeds, and its time to live is over then.
    Expires,
    /// It succeeds, and its cleanup is `OnSuccess`.
    Cleaned,
    /// It fails.
    Fails,
}

impl Piece {
    /// Whether a revision with it is bad, where health is waited for.
    pub fn is_bad(&self) -> bool {
        self.how.is_bad() || self.fails(false) || self.fails(true)
    }

    /// Whether it is a step that fails, of that phase.
    pub fn fails(&self, after: bool) -> bool {
        self.step.is_some_and(|step| step.end == End::Fails && step.after == after)
    }
}

/// What is special about an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// Nothing.
    #[default]
    Plain,
    /// `supercargo.dev/prune: disabled`.
    Kept,
    /// `supercargo.dev/apply: IfNotPresent`.
    Once,
    /// A Deployment whose pods fail.
    Failing,
    /// A Job that is removed as soon as it is done.
    Brief,
    /// A ConfigMap that is not healthy, by the rule of its release.
    Sick,
    /// A ConfigMap that never becomes healthy.
    Slow,
    /// A ConfigMap that the API server refuses after the dry run.
    Refused,
}

impl How {
    fn is_plain(&self) -> bool {
        *self == How::Plain
    }

    /// Whether an object is not healthy, or refused, because of it.
    fn is_bad(self) -> bool {
        matches!(self, How::Failing | How::Sick | How::Slow | How::Refused)
    }
}

/// A spec, as far as histories change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    pub reference: Reference,
    pub path: Path,
    pub away: bool,
    pub prune: bool,
    pub wait: bool,
    pub force: bool,
    pub suspend: bool,
    pub account: Account,
    pub drift: Drift,
    pub policy: Policy,
    pub label: Option<u8>,
    pub patched: Option<u8>,
    pub mirror_url: bool,
    pub verify: bool,
    /// The release that it depends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Number>,
    /// What new revisions have to pass, if the release is about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            reference: Reference::Tag("1.0.0".to_owned()),
            path: Path::Whole,
            away: false,
            prune: true,
            wait: false,
            force: false,
            suspend: false,
            account: Account::Default,
            drift: Drift::Correct,
            policy: Policy::MirrorPrune,
            label: None,
            patched: None,
            mirror_url: false,
            verify: false,
            depends_on: None,
            gates: None,
        }
    }
}

/// The gates of a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gates {
    /// `rollback.mode`.
    pub rollback: Rollback,
    /// `approval: Manual`.
    pub manual: bool,
    /// A window of `schedule` denies all revisions.
    pub closed: bool,
    /// `pruneGuard`: nothing is removed without approval.
    pub guarded: bool,
}

/// `rollback.mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rollback {
    #[default]
    Off,
    OnFailure,
    Freeze,
}

/// Which hash is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Approval {
    /// That of what waits.
    Right,
    /// That of what waited before.
    Stale,
    /// One that nothing has.
    Wrong,
}

/// One field of a spec and what it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// `ref`.
    Reference(Reference),
    /// `path`.
    Path(Path),
    /// `targetNamespace`.
    Away(bool),
    /// `prune`.
    Prune(bool),
    /// `wait`.
    Wait(bool),
    /// `force`.
    Force(bool),
    /// `suspend`.
    Suspend(bool),
    /// `serviceAccountName`.
    Account(Account),
    /// `drift.mode`.
    Drift(Drift),
    /// `deletionPolicy`.
    Policy(Policy),
    /// A label of `commonMetadata`.
    Label(Option<u8>),
    /// A patch of every ConfigMap.
    Patched(Option<u8>),
    /// `url`: another address of the same registry.
    MirrorUrl(bool),
    /// `verify`, by the one key that there is.
    Verify(bool),
    /// `dependsOn`.
    DependsOn(Option<Number>),
    /// The gates.
    Gates(Gates),
}

/// `ref`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reference {
    Tag(String),
    /// A range: `1.x`, `>=1.0.0`.
    Range(String),
    /// The digest that a tag has at that moment.
    Digest(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Path {
    Whole,
    A,
    B,
}

/// Whose rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Account {
    /// Names none.
    Default,
    /// May do anything.
    Strong,
    /// May do anything, or nothing.
    Weak,
    /// Does not exist.
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Drift {
    Correct,
    Report,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    MirrorPrune,
    Delete,
    WaitForTermination,
    Orphan,
}

/// What a hand does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Edit {
    /// Changes a field that artifacts set.
    Change,
    /// Removes one.
    Remove,
    /// Adds an annotation that no artifact has.
    Note,
    /// Deletes the object.
    Delete,
    /// Takes the labels of its release away.
    Unlabel,
    /// Labels it as another release's.
    Relabel(Number),
}

/// What a hand does to an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InventoryEdit {
    /// Adds what is nobody's.
    Add,
    /// Takes all entries out.
    Empty,
    /// Deletes it, which its finalizer holds up.
    Delete,
    /// Deletes it with its finalizer.
    Lose,
}
