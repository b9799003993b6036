//! A run from outside: what is known before it, what it results in, and when the next one is.

pub mod ledger;
pub mod outcome;
pub mod schedule;
pub mod verdict;
