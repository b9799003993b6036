//! What came of a removal.

use std::collections::BTreeMap;

use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::outcome::{Note, ObjectFailure};
use crate::domain::prune::Holder;

/// What came of a removal.
#[derive(Default)]
pub struct Removed {
    /// What became of each object.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// How many were deleted; some may still be terminating.
    pub deleted: usize,
    /// What was deleted just now, or would be, in that order.
    pub touched: Vec<ObjectId>,
    /// What is still terminating.
    pub terminating: Vec<ObjectId>,
    /// What of it holds up the rest.
    pub holders: Vec<Holder>,
    /// What is not deleted before those are gone.
    pub waiting: Vec<ObjectId>,
    /// What stays because another release may write it and waits for it.
    pub handed: Vec<ObjectId>,
    /// What could not be deleted.
    pub failures: Vec<ObjectFailure>,
    /// What was not ours, or was let go.
    pub notes: Vec<Note>,
    /// Whether someone has ended it before its end. What it did not come to has
    /// no fate.
    pub interrupted: bool,
}

/// What a removal does where it comes to an object that is to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Deletes it.
    Real,
    /// Tells it as deleted, and deletes nothing.
    Foretold,
    /// Leaves it for later. What is gone by itself is found to be gone.
    Withheld,
}
