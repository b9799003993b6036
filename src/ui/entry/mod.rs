//! Who may see the page, and what they may see.

pub(super) mod gate;
pub(super) mod hosts;
pub(super) mod keys;
pub(super) mod refused;
pub(super) mod rights;
pub(super) mod seal;
pub(super) mod session;
pub(super) mod sign_in;
pub(super) mod token;
pub(super) mod tokens;
pub(super) mod viewer;
