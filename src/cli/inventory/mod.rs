//! The verbs on inventories: what is applied together, and recorded so.

mod apply;
mod build;
mod content;
mod delete;
mod diff;
mod inspect;
mod interrupt;
mod list;
mod narrator;
mod target;

pub(super) use apply::apply;
pub(super) use build::build;
pub(super) use delete::delete;
pub(super) use diff::{diff, show};
pub(super) use inspect::inspect;
pub(super) use list::list;
pub(super) use narrator::{why_not, with_failures};
pub(super) use target::{refuse_live_release, target};
