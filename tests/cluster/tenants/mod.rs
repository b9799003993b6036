//! What tenants may do, and what they try.

mod escapes;
mod memory;
mod people;
mod policies;
mod quotas;
mod trial;
