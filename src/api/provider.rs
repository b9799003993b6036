//! Where credentials for a registry come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Source of credentials for the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryProvider {
    /// Only the Secrets.
    #[default]
    Generic,
    /// Amazon ECR.
    Aws,
    /// Azure Container Registry.
    Azure,
    /// Google Artifact Registry and Container Registry.
    Gcp,
}

impl RegistryProvider {
    /// All of them, as they are written.
    pub const NAMES: [&str; 4] = ["generic", "aws", "azure", "gcp"];
}

impl std::fmt::Display for RegistryProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Generic => "generic",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        })
    }
}

impl std::str::FromStr for RegistryProvider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Generic, Self::Aws, Self::Azure, Self::Gcp];
        let found = all.into_iter().find(|provider| provider.to_string() == text);
        found.ok_or_else(|| format!("must be one of {}", Self::NAMES.join(", ")))
    }
}
