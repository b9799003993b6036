//! Traces of runs, sent to a collector over OTLP. Behind the cargo feature `otlp`; without it the
//! binary has only an error message.
//!
//! The span of a run is the one of its log lines. The spans inside of it come from the calls of
//! `metrics`. So a span has names, methods and codes, and never content.

use std::time::Duration;

pub use super::collector::TracesError;
#[cfg(feature = "otlp")]
pub use super::otlp::Traces;
use super::span::What;

/// The id of the trace that this span begins, to be logged with it: 32 digits. A random id if
/// traces are not sent.
pub fn trace_id(span: &tracing::Span) -> String {
    #[cfg(feature = "otlp")]
    if let Some(id) = super::otlp::trace_id(span) {
        return id;
    }
    let _ = span;
    format!("{:032x}", fastrand::u128(..))
}

/// A part of the current run has just ended, after this time.
#[cfg_attr(not(feature = "otlp"), inline(always))]
pub(super) fn ended(what: What, took: Duration) {
    #[cfg(feature = "otlp")]
    super::otlp::ended(what, took);
    let _ = (what, took);
}

/// Without tracing support.
#[cfg(not(feature = "otlp"))]
pub struct Traces(std::convert::Infallible);

#[cfg(not(feature = "otlp"))]
impl Traces {
    /// Always an error.
    ///
    /// # Errors
    /// [`TracesError::Absent`].
    pub fn start(_endpoint: &str) -> Result<Self, TracesError> {
        Err(TracesError::Absent)
    }

    pub(super) fn layer(
        &self,
    ) -> Box<dyn tracing_subscriber::Layer<tracing_subscriber::Registry> + Send + Sync> {
        match self.0 {}
    }

    /// Sends the remaining spans.
    pub fn end(self) {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_32_digits_and_is_another_one_each_time() {
        let id = || trace_id(&tracing::Span::none());
        assert!(id().len() == 32 && id().chars().all(|c| c.is_ascii_hexdigit()), "{}", id());
        assert_ne!(id(), id());
    }
}
