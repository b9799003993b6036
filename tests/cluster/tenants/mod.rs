//! What tenants may do, and what they try.

mod people;
mod policies;
mod trial;
