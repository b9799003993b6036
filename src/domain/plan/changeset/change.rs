//! The changes of a plan.

use super::seal::{Mac, PlanKey};
use crate::api::plan::PlanCounts;
use crate::domain::objects::identity::ObjectId;

/// What a revision would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// The changes, in the order of the apply; then what is deleted.
    pub changes: Vec<PlanChange>,
}

/// What happens to an object that another release leaves.
pub const HANDED_OVER: &str = "handedOver";

/// What happens to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanAction {
    /// It is created.
    Created,
    /// It is changed.
    Configured,
    /// It is deleted and created again.
    Recreated {
        /// The uid of the object that is deleted.
        uid: String,
    },
    /// It is deleted.
    Pruned {
        /// Its uid, if it is known.
        uid: String,
        /// What is lost with it that is not the release's: a fragment that follows its name.
        lost: String,
    },
    /// Another release has left it, and this one takes it.
    HandedOver {
        /// The other release.
        owner: String,
    },
    /// It is a step, and is run.
    Run,
    /// It is applied, and its change is unknown.
    Unknown {
        /// Why.
        why: String,
    },
}

/// The change of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanChange {
    /// The object.
    pub id: ObjectId,
    /// What happens to it.
    pub action: PlanAction,
    /// The fields that change, where that is known and the object exists.
    pub fields: Vec<FieldChange>,
    /// Covers the change and its values.
    pub(super) mac: Mac,
}

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// JSON pointer.
    pub path: String,
    /// The value before, as it is shown.
    pub before: Option<String>,
    /// The value after.
    pub after: Option<String>,
    /// Whether two dry runs differ in it.
    pub is_unstable: bool,
}

impl PlanAction {
    /// The word of the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Recreated { .. } => "recreated",
            Self::Pruned { .. } => "pruned",
            Self::HandedOver { .. } => HANDED_OVER,
            Self::Run => "run",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// What the hash covers in addition to the word. Reasons are not part of it.
    fn sealed(&self) -> &str {
        match self {
            Self::Recreated { uid } | Self::Pruned { uid, .. } => uid,
            Self::HandedOver { owner } => owner,
            Self::Created | Self::Configured | Self::Run | Self::Unknown { .. } => "",
        }
    }
}

impl PlanChange {
    /// A change. `content` covers the values.
    pub(super) fn sealed(
        key: &PlanKey,
        id: &ObjectId,
        action: PlanAction,
        fields: Vec<FieldChange>,
        content: &[u8],
    ) -> Self {
        let object = id.to_inventory_id();
        let parts: [&[u8]; 4] =
            [object.as_bytes(), action.as_str().as_bytes(), action.sealed().as_bytes(), content];
        Self { id: id.clone(), mac: key.mac(&parts), action, fields }
    }

    /// The deletion of an object, and what is lost with it.
    pub fn pruned(key: &PlanKey, id: &ObjectId, uid: String, lost: String) -> Self {
        let content = lost.clone();
        Self::sealed(key, id, PlanAction::Pruned { uid, lost }, Vec::new(), content.as_bytes())
    }

    /// A short digest of the change, for comparisons.
    pub fn digest(&self) -> String {
        hex::encode(&self.mac[..6])
    }
}

impl ChangeSet {
    /// How many changes there are of each kind.
    pub fn counts(&self) -> PlanCounts {
        let mut counts = PlanCounts::default();
        for change in &self.changes {
            let count = match change.action {
                PlanAction::Created => &mut counts.created,
                PlanAction::Configured => &mut counts.configured,
                PlanAction::Recreated { .. } => &mut counts.recreated,
                PlanAction::Pruned { .. } => &mut counts.pruned,
                PlanAction::HandedOver { .. } => &mut counts.handed_over,
                PlanAction::Run => &mut counts.run,
                PlanAction::Unknown { .. } => &mut counts.unknown,
            };
            *count = count.saturating_add(1);
        }
        counts
    }
}
