//! Taking over what other tools applied: whose an object is by their labels,
//! how their field ownership becomes ours, and what a release of theirs is as
//! one of ours. Nothing here deletes or restarts anything.

mod fields;
mod flux;
mod former;
pub mod kustomizer;

pub use fields::take_over;
pub use flux::{Bystanders, FluxKustomization, Translation, bystanders, is_translation, rest, translate};
pub use former::{Former, FormerClaim, claim, lost_marks, relabel};
