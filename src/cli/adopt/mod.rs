//! Taking over what other tools have applied.

mod flux;
mod kustomizer;
mod narrate;

pub(super) use flux::kustomization;
pub(super) use kustomizer::inventory;
