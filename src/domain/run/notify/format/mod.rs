//! The bodies of the requests, by type of receiver.

mod cloud_events;
mod request;
mod slack;

pub use request::{NewsRequest, request};
