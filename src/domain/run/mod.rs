//! A run from outside: what is known before it, what it results in, who is notified, and when the next
//! one is.

pub mod age;
pub mod ledger;
pub mod notify;
pub mod outcome;
pub mod schedule;
pub mod verdict;
