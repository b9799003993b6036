//! The verbs about the program itself: its version, its documentation, and how it is
//! run as the operator.

pub(super) mod completion;
pub(super) mod controller;
pub(super) mod crd;
pub(super) mod docs;
mod health;
mod metrics;
pub(super) mod reference;
pub(super) mod ui;
pub(super) mod version;
