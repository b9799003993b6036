//! Who has signed what, and what may be made of that.

pub mod admission;
pub mod evidence;
pub mod images;
pub mod pinned;
