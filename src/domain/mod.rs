//! Every decision, as pure functions over values: no client, no async, no
//! clock, no randomness. Time is an argument.

pub mod adopt;
pub mod allowed;
pub mod capacity;
pub mod configuration;
pub mod delegated;
pub mod diff;
pub mod drift;
pub mod fair;
pub mod gate;
pub mod health;
pub mod identity;
pub mod images;
pub mod inventory;
pub mod ledger;
pub mod live;
pub mod manifest;
pub mod object;
pub mod outcome;
pub mod patch;
pub mod plan;
pub mod prefix;
pub mod preflight;
pub mod proxy;
pub mod prune;
pub mod recreate;
pub mod release;
pub mod salvage;
pub mod schedule;
pub mod size;
pub mod stage;
pub mod status;
pub mod tags;
pub mod verify;
pub mod version;
pub mod webhook;
