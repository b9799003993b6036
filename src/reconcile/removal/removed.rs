//! The result of a removal.

use std::collections::BTreeMap;

use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::domain::identity::ObjectId;
use crate::domain::inventory::Fate;
use crate::domain::outcome::{Note, ObjectFailure};
use crate::domain::prune::Holder;

/// The result of a removal.
#[derive(Default)]
pub struct Removed {
    /// The fate of each object.
    pub fates: BTreeMap<ObjectId, Fate>,
    /// How many were deleted; some may still be terminating.
    pub deleted: usize,
    /// What was deleted now, or would be, in that order.
    pub touched: Vec<ObjectId>,
    /// What is still terminating.
    pub terminating: Vec<ObjectId>,
    /// The terminating objects that block the rest.
    pub holders: Vec<Holder>,
    /// What is deleted only after those are gone.
    pub waiting: Vec<ObjectId>,
    /// What is kept because another release may write it and waits for it.
    pub handed: Vec<ObjectId>,
    /// What could not be deleted.
    pub failures: Vec<ObjectFailure>,
    /// Notes about objects that are not ours, or were given up.
    pub notes: Vec<Note>,
    /// Whether it was interrupted. Objects that it did not reach have no fate.
    pub interrupted: bool,
}

impl Removed {
    /// Adds the result of a later part of the same removal.
    pub fn extend(&mut self, more: Self) {
        self.fates.extend(more.fates);
        self.deleted += more.deleted;
        self.touched.extend(more.touched);
        self.terminating.extend(more.terminating);
        self.holders.extend(more.holders);
        self.waiting.extend(more.waiting);
        self.handed.extend(more.handed);
        self.failures.extend(more.failures);
        self.notes.extend(more.notes);
        self.interrupted |= more.interrupted;
    }
}

/// The reason of an object that could not be deleted, or looked at. A cluster that is away says nothing
/// about the object.
pub fn removal_reason(error: &ApiError) -> Reason {
    match error.reason() {
        away @ Reason::ClusterUnreachable => away,
        _ => Reason::PruneFailed,
    }
}

/// What a removal does with an object that has to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Deletes it.
    Real,
    /// Reports it as deleted, and deletes nothing.
    Planned,
    /// Leaves it for later. Objects that are already gone are recorded as gone.
    Withheld,
}
