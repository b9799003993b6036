//! References in the spec to objects in the release's namespace, such as a Secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reference to an object in the release's namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalObjectReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
