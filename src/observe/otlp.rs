//! The OTLP exporter: batches of spans over HTTP, from its own thread. It never delays a run: spans
//! that do not fit into the queue are dropped, and an unavailable collector is logged only from
//! time to time.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{Span as _, SpanContext, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tracing::Level;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

use super::collector::{SERVICE, TracesError, url};
use super::span::What;
use crate::domain::proxy::is_service;

/// How long one batch may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the shutdown waits for unsent spans.
const FLUSH: Duration = Duration::from_secs(5);
/// The minimum time between two messages about an unavailable collector.
const SILENCE: Duration = Duration::from_secs(600);
/// The maximum length of a logged message of the exporter.
const MOST: usize = 300;

/// For the spans inside of a run, which are created when they have ended.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// The exporter to the collector.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sets it up; nothing is sent before the first span has ended. Headers, sampling, the queue
    /// and the resource attributes come from OpenTelemetry's environment variables. Must be called
    /// outside of a runtime.
    ///
    /// # Errors
    /// When the endpoint or a variable is invalid.
    pub fn start(endpoint: &str) -> Result<Self, TracesError> {
        let url = url(endpoint)?;
        // Another part of the process may have installed it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // No redirects: the headers may hold a key, which is for the collector only.
        let client =
            reqwest::blocking::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // A pod reaches the Services of its cluster without a proxy.
        let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let host = url.parse::<reqwest::Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
        let near = in_pod && host.as_deref().is_some_and(is_service);
        let client = if near { client.no_proxy() } else { client };
        let client = client.build().map_err(|e| TracesError::Exporter(e.into()))?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url)
            .build()
            .map_err(|e| TracesError::Exporter(e.into()))?;
        let named = std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty());
        let resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        let resource = if named { resource } else { resource.with_service_name(SERVICE) };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_batch_exporter(Watched { exporter, reported: Mutex::default() })
            .build();
        let _ = TRACER.set(provider.tracer(SERVICE));
        Ok(Self(provider))
    }

    /// The layer that adds our spans, and the log events inside of them, to traces.
    pub(super) fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Box::new(layer.with_filter(Targets::new().with_target(SERVICE, Level::INFO)))
    }

    /// Sends the remaining spans, for a few seconds at most.
    pub fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(FLUSH) {
            tracing::debug!(%error, "cannot send the last traces");
        }
    }
}

/// The id of the trace that a span belongs to.
pub(super) fn trace_id(span: &tracing::Span) -> Option<String> {
    let context = span.context();
    let found = context.span().span_context().clone();
    found.is_valid().then(|| found.trace_id().to_string())
}

/// A span inside of the current run, if there is one.
pub(super) fn ended(what: What<'_>, took: Duration) {
    let Some(tracer) = TRACER.get() else { return };
    let parent: Context = tracing::Span::current().context();
    if !is_sampled(parent.span().span_context()) {
        return;
    }
    let end = SystemTime::now();
    let start = end.checked_sub(took).unwrap_or(end);
    let (name, kind, attributes) = described(what);
    let builder =
        tracer.span_builder(name).with_kind(kind).with_start_time(start).with_attributes(attributes);
    builder.start_with_context(tracer, &parent).end_with_timestamp(end);
}

fn is_sampled(context: &SpanContext) -> bool {
    context.is_valid() && context.is_sampled()
}

/// Name, kind and attributes, after OpenTelemetry's conventions for HTTP.
fn described(what: What<'_>) -> (String, SpanKind, Vec<KeyValue>) {
    match what {
        What::Phase(name) => (name.to_owned(), SpanKind::Internal, Vec::new()),
        What::Registry { host, method, status } => {
            let mut attributes = vec![
                KeyValue::new("server.address", host.to_owned()),
                KeyValue::new("http.request.method", method),
            ];
            attributes.extend(status.map(|s| KeyValue::new("http.response.status_code", i64::from(s))));
            (format!("registry {method}"), SpanKind::Client, attributes)
        }
    }
}

/// Logs when spans are lost, and when sending works again.
#[derive(Debug)]
struct Watched<E> {
    exporter: E,
    reported: Mutex<Option<Instant>>,
}

impl<E> Watched<E> {
    fn watch(&self, sent: &OTelSdkResult) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        match sent {
            Ok(()) if reported.take().is_some() => tracing::info!("sending traces again"),
            Ok(()) => {}
            Err(_) if reported.is_some_and(|at| at.elapsed() < SILENCE) => {}
            Err(error) => {
                let error: String = error.to_string().chars().take(MOST).collect();
                tracing::warn!(error, "losing traces: the collector is unreachable or rejects them");
                *reported = Some(Instant::now());
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        self.watch(&sent);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
