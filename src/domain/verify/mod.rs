//! Trust: whose signatures an artifact has, and whether they are those that are
//! asked for. No network: what a registry keeps arrives here as bytes.

pub mod evidence;
mod json;
pub mod judge;
pub mod key;
mod pem;
pub mod proof;
mod refusal;
pub mod root;
mod rules;
mod signature;
mod text;

pub use rules::{declared, images, policy, trust_policy};
pub use signature::{bundle, certificate, simple_signing};
