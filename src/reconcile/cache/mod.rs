//! What one release remembers between its runs. Nothing of it is needed for correctness.

pub mod rollout;
