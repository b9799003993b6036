//! Trust: whose signatures an artifact has, and whether they are those that are
//! asked for. No network: what a registry keeps arrives here as bytes.

pub mod bundle;
mod candidate;
pub mod certificate;
mod claim;
pub mod declared;
pub mod evidence;
pub mod floor;
pub mod images;
mod json;
pub mod judge;
pub mod key;
mod keyless;
mod pem;
pub mod policy;
pub mod proof;
mod refusal;
pub mod root;
pub mod simple_signing;
mod text;
