//! The spans inside of a run.

/// The kind of a span inside of a run.
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
