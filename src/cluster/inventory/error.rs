//! Why an inventory cannot be used.

use super::config_map::RESOURCES;
use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::domain::inventory::InventoryError;

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server.
    #[error("cannot {verb} the inventory {name}")]
    Api {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// The action: `read`, `write` or `delete`.
        verb: &'static str,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// Another client changed it since it was read.
    #[error("the inventory {name} was changed by another client")]
    Changed {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// It exceeds the limit of one inventory.
    #[error(
        "the inventory {name} is larger than {most} MiB, the limit for one inventory: delete its ConfigMaps that the \
         operator did not write, or raise the memory limit of the operator"
    )]
    TooLong {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// In MiB.
        most: u64,
    },
    /// The inventories of its namespace use all the memory that is allowed.
    #[error(
        "cannot read the inventory {name}, the inventories of its namespace are too large: delete their ConfigMaps \
         that the operator did not write, or raise the memory limit of the operator"
    )]
    NoRoom {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// Its text is broken.
    #[error(
        "the inventory {name} is broken: restore its data.{RESOURCES}, or set it to [] to give up the objects in it"
    )]
    Broken {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// How.
        #[source]
        source: InventoryError,
    },
}

impl StoreError {
    /// Whether it cannot be written because its namespace does not exist.
    pub fn lacks_namespace(&self) -> bool {
        matches!(self, Self::Api { source, .. } if source.is_not_found())
    }

    /// The reason for conditions.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Api { source, .. } => match source.reason() {
                Reason::PreflightFailed => Reason::InventoryInvalid,
                other => other,
            },
            Self::Changed { .. } => Reason::ApiServerUnavailable,
            Self::Broken { .. } => Reason::InventoryInvalid,
            Self::TooLong { .. } | Self::NoRoom { .. } => Reason::ArtifactTooLarge,
        }
    }
}
