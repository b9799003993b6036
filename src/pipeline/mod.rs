//! Acquire, decide, execute: what the operator and the command line share. It
//! knows neither of them.

pub mod acquire;
pub mod adopt;
mod apply;
mod body;
mod cause;
pub mod checkup;
pub mod claims;
mod conclude;
mod conflicts;
pub mod context;
mod decrypt;
pub mod depart;
mod drift;
pub mod ended;
mod execute;
mod finalize;
mod health;
mod hold;
pub mod images;
pub mod local;
mod look;
mod parallel;
mod patience;
mod pin;
pub mod places;
mod preflight;
pub mod preview;
pub mod progress;
mod prune;
mod rehearse;
mod rendering;
mod resolve;
mod restore;
pub mod returning;
mod rollout;
pub mod run;
mod schemas;
pub mod signals;
mod terminating;
pub mod trust;
mod verify;
mod view;
mod work;

pub use finalize::Farewell;
