//! Releases: what a spec requests, what a person requests at the command line, what is known
//! of an invalid spec, which release depends on which, and how the releases of other tools
//! translate to ours.

pub mod adopt;
pub mod approval;
mod awaited;
pub mod dependency;
pub mod graph;
mod guards;
pub mod inputs;
mod invalid;
mod manual;
pub mod observed;
mod pin;
pub mod readiness;
mod ready;
mod requests;
mod spec;

pub use awaited::Awaited;
pub use guards::{Guards, PromotionRule, RemovalLimits, promotion, windows};
pub use invalid::{InvalidSpec, object_name};
pub use manual::ManualRelease;
pub use pin::PinnedRevision;
pub use spec::{Release, has_begun, id_of};
