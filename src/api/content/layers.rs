//! Which layers of an artifact are used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Layers of the artifact that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LayersMode {
    /// The first layer with manifests.
    #[default]
    First,
    /// All layers with manifests, merged in their order. A file in two of them is an error.
    All,
}
