//! The sections of the page of a release. Each is empty where there is nothing to say.

pub(super) mod actions;
pub(super) mod conditions;
pub(super) mod events;
pub(super) mod history;
pub(super) mod objects;
pub(super) mod plan;
pub(super) mod signatures;
pub(super) mod steps;
pub(super) mod waits;
