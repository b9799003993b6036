//! How the spec names an object beside the release, such as a Secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of an object in the release's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalObjectReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
