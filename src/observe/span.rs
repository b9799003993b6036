//! What the spans inside of a run tell.

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
