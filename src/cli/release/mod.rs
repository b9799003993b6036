//! The verbs on releases, which the operator reconciles. Each is one file: its
//! options, its help and its code.

pub(super) mod approve;
pub(super) mod diff;
mod fields;
mod find;
pub(super) mod get;
pub(super) mod history;
pub(super) mod plan;
pub(super) mod reconcile;
mod request;
pub(super) mod resume;
pub(super) mod rollback;
pub(super) mod running;
pub(super) mod status;
pub(super) mod suspend;
mod wait;
