//! Reports of requests and transfers, for metrics and progress.

use std::sync::Arc;
use std::time::Duration;

/// How one request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The server answered with this status.
    Status(u16),
    /// No connection.
    ConnectFailed,
    /// No progress in time.
    TimedOut,
    /// The connection broke.
    Broken,
}

/// One request as it was sent, for metrics and tests.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The host and port it went to.
    pub host: String,
    /// The HTTP method: `HEAD`, `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// Until the head of the answer.
    pub elapsed: Duration,
}

/// Receives every request.
pub type Observer = Arc<dyn Fn(&RequestRecord) + Send + Sync>;

/// Receives more bytes of a transfer; dropped at its end.
pub type Advance = Arc<dyn Fn(u64) + Send + Sync>;

/// Receives a transfer when it begins, with a short name and its size in bytes.
pub type Meter = Arc<dyn Fn(&str, u64) -> Advance + Send + Sync>;
