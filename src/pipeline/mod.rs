//! Acquire, decide, execute: what the operator and the command line share. It
//! knows neither of them.

pub mod acquire;
pub mod adopt;
pub mod claims;
mod conclude;
pub mod context;
mod decrypt;
pub mod depart;
mod drift;
mod execute;
mod finalize;
mod health;
mod hold;
pub mod images;
pub mod local;
mod parallel;
mod patience;
mod pin;
pub mod places;
mod preflight;
pub mod preview;
pub mod progress;
mod prune;
mod rendering;
mod resolve;
pub mod returning;
pub mod run;
mod schemas;
pub mod signals;
mod terminating;
pub mod trust;
mod verify;
mod view;
mod work;

pub use finalize::Farewell;
