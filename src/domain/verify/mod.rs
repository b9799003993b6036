//! Trust: whose signatures an artifact has, and whether they are those that are
//! asked for. No network: what a registry keeps arrives here as bytes.

pub mod declared;
pub mod evidence;
pub mod floor;
pub mod images;
pub mod judge;
pub mod key;
pub mod policy;
mod prefix;
pub mod proof;
pub mod root;
