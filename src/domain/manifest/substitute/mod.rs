//! VariableSet in the objects of an artifact: which ones a spec declares, and what becomes of them, in
//! our own way or as in Flux.

mod error;
mod flux;
mod forms;
mod known;
mod objects;
mod options;
mod place;
mod redaction;
mod sensitive;
mod typed;
mod variables;

pub use error::{MAX_SUBSTITUTION_PROBLEMS, SubstitutionError};
pub use flux::{FluxError, FluxFailure, FluxLimits, evaluate, flux_yaml, substitute_object};
pub use objects::substitute;
pub use options::{Substitution, is_name};
pub use redaction::Redaction;
pub(super) use sensitive::{hide, shown};
pub use variables::{Variable, VariableSet};
