//! The verbs on inventories, `VERB -i NAME`, or `VERB inventory NAME` as in
//! Kustomizer 2. An inventory records objects that are applied together. Each is one
//! file: its options, its help and its code.

pub(super) mod apply;
pub(super) mod build;
mod content;
pub(super) mod delete;
pub(super) mod diff;
pub(super) mod get;
pub(super) mod health;
pub(super) mod inspect;
mod interrupt;
pub(super) mod narrator;
pub(super) mod plan;
pub(super) mod preview;
pub(super) mod target;
