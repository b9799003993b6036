//! Adopting objects that other tools applied: who owns an object by their labels, how
//! their field ownership is transferred to us, and how their releases translate to
//! ours. Nothing here deletes or restarts anything.

mod fields;
mod flux;
mod former;
pub mod kustomizer;

pub use fields::take_over;
pub use flux::{Bystanders, FluxKustomization, Translation, bystanders, is_translation, rest, translate};
pub use former::{Former, FormerClaim, claim, lost_marks, relabel};
