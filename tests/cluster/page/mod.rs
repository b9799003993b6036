//! The page in a real browser.

mod acting;
mod compared;
mod drifted;
mod elsewhere;
mod flows;
mod guarded;
mod looks;
mod persons;
mod shared;
mod window;
