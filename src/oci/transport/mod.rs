//! Requests to registries and their answers: connections, retries, redirects, the request
//! rate of a host and where a server may redirect us. Nothing here knows what a manifest
//! is, or how to authenticate.

mod client;
mod exchange;
mod failure;
pub(super) mod link;
mod observer;
mod pace;
mod probe;
mod reach;
mod reply;
mod request;
mod resolver;
mod upload;

pub(super) use exchange::{Transport, TransportOptions};
pub use observer::{Advance, Meter, Observer, RequestOutcome, RequestRecord};
pub use probe::speaks_tls;
pub(super) use reach::Reach;
pub(super) use reply::{Body, Part, Reply};
pub(super) use request::Request;
pub use resolver::Hosts;
