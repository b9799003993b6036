//! The bodies of the requests, by type of receiver.

mod alertmanager;
mod chat;
mod cloud_events;
mod commit_status;
mod request;
mod teams;
mod text;

pub use alertmanager::Alert;
pub use request::{NewsRequest, alert_request, request};
