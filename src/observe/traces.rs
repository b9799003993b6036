//! Traces: what a run did when, sent to a collector over OTLP. Behind the cargo feature
//! `otlp`; without it nothing of this is in the binary but the words that say so.
//!
//! The span of a run is the one that its log lines stand in. What is inside of it
//! is told by what is counted anyway: see the calls from `metrics`. So a span
//! holds names, methods and codes, and never content.

use std::time::Duration;

#[cfg(feature = "otlp")]
pub use super::otlp::Traces;

/// The name by which this process is known to whoever looks at traces.
#[cfg(feature = "otlp")]
pub(super) const SERVICE: &str = "supercargo";

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// They are not in this binary.
    #[error(
        "this binary sends no traces: leave --otlp-endpoint out, or build it with `cargo build --features otlp`"
    )]
    Absent,
    /// The flag does not name a collector.
    #[error("--otlp-endpoint is not the http:// or https:// URL of a collector, without a password")]
    Endpoint,
    /// The exporter cannot be made.
    #[error("traces cannot be sent")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The URL for traces of a collector's base URL, as OTEL_EXPORTER_OTLP_ENDPOINT has it.
///
/// # Errors
/// [`TracesError::Endpoint`] when it is none. A password belongs into
/// OTEL_EXPORTER_OTLP_HEADERS: this URL is told in messages.
#[cfg(any(feature = "otlp", test))]
pub(super) fn url(endpoint: &str) -> Result<String, TracesError> {
    let uri: http::Uri = endpoint.parse().map_err(|_| TracesError::Endpoint)?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let named = uri.authority().is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
    if !known || !named || uri.query().is_some() {
        return Err(TracesError::Endpoint);
    }
    Ok(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
}

/// The id of the trace that this span begins, to be logged with it: 32 digits. One
/// that nobody else knows where no trace is sent.
pub fn trace_id(span: &tracing::Span) -> String {
    #[cfg(feature = "otlp")]
    if let Some(id) = super::otlp::trace_id(span) {
        return id;
    }
    let _ = span;
    format!("{:032x}", fastrand::u128(..))
}

/// Something inside of the run at hand has just ended, after this time.
#[cfg_attr(not(feature = "otlp"), inline(always))]
pub(super) fn ended(what: What, took: Duration) {
    #[cfg(feature = "otlp")]
    super::otlp::ended(what, took);
    let _ = (what, took);
}

/// What a span inside of a run is about.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only the tracer reads it"))]
pub(super) enum What<'a> {
    /// A phase.
    Phase(&'static str),
    /// A request to a registry.
    Registry {
        /// Host and port.
        host: &'a str,
        /// The HTTP method.
        method: &'static str,
        /// The status, if there was one.
        status: Option<u16>,
    },
}

/// Where there are no traces.
#[cfg(not(feature = "otlp"))]
pub struct Traces(std::convert::Infallible);

#[cfg(not(feature = "otlp"))]
impl Traces {
    /// They are not in this binary.
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

    /// Sends what is left.
    pub fn end(self) {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_that_of_the_collector() {
        let check = |endpoint: &str, expected: Option<&str>| {
            assert_eq!(url(endpoint).ok().as_deref(), expected, "{endpoint}");
        };
        check("http://collector:4318", Some("http://collector:4318/v1/traces"));
        check("https://collector.example/otlp/", Some("https://collector.example/otlp/v1/traces"));
        check("http://[::1]:4318", Some("http://[::1]:4318/v1/traces"));
        check("http://me:secret@collector:4318", None);
        check("collector:4318", None);
        check("grpc://collector:4317", None);
        check("http://collector:4318/?key=secret", None);
        check("", None);
    }

    #[test]
    fn an_id_has_32_digits_and_is_another_one_each_time() {
        let id = || trace_id(&tracing::Span::none());
        assert!(id().len() == 32 && id().chars().all(|c| c.is_ascii_hexdigit()), "{}", id());
        assert_ne!(id(), id());
    }
}
