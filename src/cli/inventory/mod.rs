//! The verbs on inventories, `VERB -i NAME`, and `VERB inventory NAME` as
//! Kustomizer 2 says it: what is applied together, and recorded so. Each is one
//! file: its options, its help and what it does.

pub(super) mod apply;
pub(super) mod build;
mod content;
pub(super) mod delete;
pub(super) mod diff;
pub(super) mod get;
pub(super) mod inspect;
mod interrupt;
pub(super) mod narrator;
pub(super) mod preview;
pub(super) mod target;
