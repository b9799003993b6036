//! Trust: whose signatures an artifact has, and whether they are the required ones. No
//! network: the contents of a registry arrive here as bytes.

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
pub(in crate::domain) mod text;

pub use rules::{declared, images, policy, trust_policy};
pub use signature::{bundle, certificate, simple_signing};
