//! Who may come in, and what every request passes.

pub(super) mod gate;
pub(super) mod session;
