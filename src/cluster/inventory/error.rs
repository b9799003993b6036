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
         operator did not write, or raise {cure}"
    )]
    TooLong {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// In MiB.
        most: u64,
        /// The limit to raise.
        cure: &'static str,
    },
    /// One of its ConfigMaps is longer than any that is read.
    #[error(
        "cannot read the inventory, the ConfigMap {name} is larger than {most} KiB: delete it if the operator did not \
         write it, or raise {cure}"
    )]
    LongPart {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// In KiB.
        most: u64,
        /// The limit to raise.
        cure: &'static str,
    },
    /// The inventories of its namespace use all the memory that is allowed.
    #[error(
        "cannot read the inventory {name}, the inventories of its namespace are too large: delete their ConfigMaps \
         that the operator did not write, or raise {cure}"
    )]
    NoRoom {
        /// `namespace/name` of the ConfigMap.
        name: String,
        /// The limit to raise.
        cure: &'static str,
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
                // It is no fault of the ConfigMap, and is tried again.
                Reason::PreflightFailed if source.code() == 500 => Reason::ApiServerUnavailable,
                Reason::PreflightFailed => Reason::InventoryInvalid,
                other => other,
            },
            Self::Changed { .. } => Reason::ApiServerUnavailable,
            Self::Broken { .. } => Reason::InventoryInvalid,
            Self::TooLong { .. } | Self::LongPart { .. } | Self::NoRoom { .. } => Reason::ArtifactTooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::error::Status;

    #[test]
    fn an_error_inside_of_the_api_server_is_tried_again() {
        let check = |code: u16, expected: Reason| {
            let status = Status { code, reason: "InternalError".into(), ..Status::default() };
            let source = ApiError::Status(Box::new(status));
            let error = StoreError::Api { name: "team/inv-app".into(), verb: "write", source };
            assert_eq!(error.reason(), expected, "{code}");
        };
        check(500, Reason::ApiServerUnavailable);
        check(422, Reason::InventoryInvalid);
        check(403, Reason::AccessDenied);
        check(503, Reason::ApiServerUnavailable);
    }
}
