//! The bodies of the requests, by type of receiver.

mod alertmanager;
mod cloud_events;
mod commit_status;
mod request;
mod slack;

pub use alertmanager::Alert;
pub use request::{NewsRequest, alert_request, request};
