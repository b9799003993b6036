//! The gates that a person opens: by the approval of exactly what would be done.

pub(super) mod empty;
pub(super) mod plan;

pub use plan::counted;
