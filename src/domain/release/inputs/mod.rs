//! What a rendering depends on besides the artifact and the spec: ConfigMaps and Secrets.

mod data;
mod declared;
mod read;

pub use data::{InputData, InputReference, MAX_INPUT_BYTES, RenderInputs};
pub(super) use declared::{declared, declared_chart};
