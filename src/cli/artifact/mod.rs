//! The verbs on artifacts in a registry. Each is one file: its options, its help
//! and its code.

mod chart;
pub(super) mod diff;
pub(super) mod evidence;
pub(super) mod fetch;
mod images;
pub(super) mod inspect;
pub(super) mod list;
pub(super) mod pull;
pub(super) mod push;
pub(super) mod reading;
pub(super) mod signers;
pub(super) mod tag;
pub(super) mod verify;
