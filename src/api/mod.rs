//! The wire contract: the custom resource, its status, and the closed set of
//! reasons. No client, no clock, no decision.

pub mod crd;
pub mod dependency;
pub mod drift;
pub mod guards;
pub mod health;
pub mod keys;
pub mod object_reference;
pub mod patch;
pub mod provider;
pub mod reason;
pub mod release;
pub mod rollback;
pub mod status;
pub mod step;
pub mod verify;
