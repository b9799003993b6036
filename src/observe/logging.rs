//! Structured logs on stderr. The messages are written where the events happen; levels and
//! destination are set here, the format in `lines`.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::lines::Lines;
use super::traces::Traces;

pub use super::log_format::{LogFormat, UnknownFormat};

/// The variable that `tracing` programs read their levels from.
pub const FILTER_VARIABLE: &str = "RUST_LOG";
/// Without the variable: our own messages, and warnings of the libraries. A library that logs at
/// `info` does so per request.
const DEFAULT_FILTER: &str = "warn,supercargo=info";

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `RUST_LOG` does not parse.
    #[error("{FILTER_VARIABLE} is not a list of levels such as info or warn,supercargo=debug")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// It was set up before.
    #[error("logging is set up twice")]
    Twice,
}

/// Sends the events of the whole process to stderr, and its spans to where traces go. Must be
/// called once, before the first message.
///
/// # Errors
/// [`LoggingError::Filter`] for an invalid `RUST_LOG`: otherwise the user would not see why
/// messages are missing.
pub fn init(format: LogFormat, traces: Option<&Traces>) -> Result<(), LoggingError> {
    let variable = std::env::var(FILTER_VARIABLE).ok();
    let lines = Lines { format, colour: io::stderr().is_terminal(), writer: io::stderr };
    // An error in the variable is reported as well.
    let (filter, wrong) = match filter(variable.as_deref()) {
        Ok(filter) => (filter, None),
        Err(wrong) => (EnvFilter::new(DEFAULT_FILTER), Some(wrong)),
    };
    subscriber(lines, filter, traces.map(Traces::layer)).try_init().map_err(|_| LoggingError::Twice)?;
    wrong.map_or(Ok(()), Err)
}

fn filter(variable: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let directives = variable.filter(|v| !v.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    EnvFilter::builder().parse(directives).map_err(LoggingError::Filter)
}

/// The levels apply only to the log: traces are always complete.
fn subscriber<W>(
    lines: Lines<W>,
    filter: EnvFilter,
    traces: Option<Box<dyn Layer<Registry> + Send + Sync>>,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    Registry::default().with(traces).with(lines.with_filter(filter))
}

/// The lines that `log` writes in this format.
#[cfg(test)]
pub(crate) fn written(format: LogFormat, variable: Option<&str>, log: impl FnOnce()) -> String {
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let captured = Captured::default();
    let writer = captured.clone();
    let lines = Lines { format, colour: false, writer: move || writer.clone() };
    let subscriber = subscriber(lines, filter(variable).unwrap(), None);
    tracing::subscriber::with_default(subscriber, log);
    let bytes = captured.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(variable: Option<&str>) -> String {
        written(LogFormat::Text, variable, || {
            let span = tracing::error_span!("reconcile", release = "apps/demo");
            let _entered = span.enter();
            tracing::info!(target: "supercargo::controller", "applied");
            tracing::debug!(target: "supercargo::controller", "detail");
            tracing::info!(target: "hyper::client", "connected");
            tracing::warn!(target: "hyper::client", "refused");
        })
    }

    #[test]
    fn libraries_are_quiet_unless_asked() {
        let check = |variable: Option<&str>, expected: &[&str]| {
            let text = logged(variable);
            let seen: Vec<_> = ["applied", "detail", "connected", "refused"]
                .into_iter()
                .filter(|w| text.contains(w))
                .collect();
            assert_eq!(seen, expected, "{variable:?}: {text}");
        };
        check(None, &["applied", "refused"]);
        check(Some(""), &["applied", "refused"]);
        check(Some("debug"), &["applied", "detail", "connected", "refused"]);
        check(Some("off,supercargo=debug"), &["applied", "detail"]);
        check(Some("error,supercargo::controller=info"), &["applied"]);
    }

    #[test]
    fn the_release_is_named_whatever_the_level() {
        for variable in [None, Some("warn"), Some("hyper=warn,supercargo=warn")] {
            let text = logged(variable);
            assert!(text.contains("refused release=apps/demo"), "{variable:?}: {text}");
            assert!(!text.contains('\u{1b}'), "no colours: {text}");
        }
    }

    #[test]
    fn what_is_not_a_filter_is_refused() {
        assert_eq!(
            filter(Some("supercargo=loud")).unwrap_err().to_string(),
            "RUST_LOG is not a list of levels such as info or warn,supercargo=debug"
        );
    }
}
