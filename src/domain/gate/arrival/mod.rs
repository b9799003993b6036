//! What holds a new revision back before it is obtained: its age, other releases, and windows.

pub mod minimum_age;
pub mod promotion;
pub mod window;
