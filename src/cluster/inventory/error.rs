//! Why an inventory cannot be used.

use super::config_map::RESOURCES;
use crate::api::reason::Reason;
use crate::cluster::error::ApiError;
use crate::domain::inventory::InventoryError;

/// Why an inventory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server.
    #[error("the inventory {name} cannot be {verb}")]
    Api {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// What was tried.
        verb: &'static str,
        /// Why not.
        #[source]
        source: ApiError,
    },
    /// It was changed by another client since it was read.
    #[error("the inventory {name} was changed meanwhile")]
    Changed {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// It comes to more than one inventory may.
    #[error(
        "the inventory {name} comes to more than {most} MiB, all that one may have beside the others: delete the \
         ConfigMaps of it that the operator has not written, or give the operator more memory"
    )]
    TooLong {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// In MiB.
        most: u64,
    },
    /// The inventories of its namespace take all the memory that they may.
    #[error(
        "the inventory {name} is not read, because those of its namespace are too large together: delete the \
         ConfigMaps of them that the operator has not written, or give the operator more memory"
    )]
    NoRoom {
        /// `namespace/name` of the ConfigMap.
        name: String,
    },
    /// Its text is broken.
    #[error(
        "the inventory {name} is broken: restore its data.{RESOURCES}, or set it to [] to give up what it named"
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
