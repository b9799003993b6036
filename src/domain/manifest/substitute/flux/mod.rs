//! VariableSet as Flux replaces them: in the YAML text of an object, with all forms and oddities of its
//! engine. `tests/tools/envsubst` has the engine of Flux itself, which a test compares with this one.

mod error;
mod evaluate;
mod functions;
mod glob;
mod limits;
mod object;
mod parse;
mod scan;
mod text;
mod yaml;

pub use error::{FluxError, FluxFailure};
pub use evaluate::evaluate;
pub use limits::FluxLimits;
pub use object::substitute_object;
pub use yaml::write as flux_yaml;
