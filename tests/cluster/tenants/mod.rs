//! What tenants may do, and what they try.

mod escapes;
mod people;
mod policies;
mod quotas;
mod trial;
