//! Random histories of a cluster against a model.
//!
//! A history is a list of things that happen to releases and to what is around them:
//! revisions are pushed, specs change, hands edit and delete, rights come and go, the
//! registry, the API server and the operator fail. It runs against the real servers. Now
//! and then all that is broken is mended, and once the operator has come to rest
//! the cluster has to be what [`model`] says.
//!
//! [`generate`] makes a history of a seed, [`drive`] carries it out, [`snapshot`] looks at the
//! cluster, [`model`] judges, and [`shrink`] finds the shortest history that still
//! fails. Those that have failed once are in `regressions/`, and run always.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::print_stderr, reason = "seeds and histories are told to who runs the tests")]

mod action;
mod artifact;
mod drive;
mod generate;
mod history;
mod kinds;
mod model;
mod running;
mod settle;
mod shrink;
mod snapshot;
mod storm;
