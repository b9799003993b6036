//! The collector of traces, and our name there.

/// The service name of this process in traces.
#[cfg(feature = "otlp")]
pub(super) const SERVICE: &str = "supercargo";

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// This binary has no tracing support.
    #[error(
        "this binary has no tracing support: remove --otlp-endpoint, or build with `cargo build --features otlp`"
    )]
    Absent,
    /// The flag does not name a collector.
    #[error("--otlp-endpoint must be the http:// or https:// URL of a collector, without a password")]
    Endpoint,
    /// The exporter cannot be created.
    #[error("cannot send traces")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The URL for traces of a collector's base URL, which has the form of OTEL_EXPORTER_OTLP_ENDPOINT.
///
/// # Errors
/// [`TracesError::Endpoint`] when it is invalid. A password must be in OTEL_EXPORTER_OTLP_HEADERS:
/// this URL is shown in messages.
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
}
