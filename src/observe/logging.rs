//! Structured logs on stderr. What is logged is decided where it happens; the
//! form, the levels and the destination are decided here.

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// The variable that `tracing` programs read their levels from.
pub const FILTER_VARIABLE: &str = "RUST_LOG";
/// Without the variable: our own messages, and of the libraries only what
/// somebody has to look at. A library that logs at `info` does so per request.
const DEFAULT_FILTER: &str = "warn,supercargo=info";

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The word of the flag.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LogFormat {
    type Err = LoggingError;

    fn from_str(text: &str) -> Result<Self, LoggingError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(LoggingError::Format(other.to_owned())),
        }
    }
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// There is no such format.
    #[error("{0:?} is not a log format, use text or json")]
    Format(String),
    /// `RUST_LOG` does not parse.
    #[error("{FILTER_VARIABLE} is not a list of levels such as info or warn,supercargo=debug")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// It has begun before.
    #[error("logging is set up twice")]
    Twice,
}

/// Sends the events of the whole process to stderr. To be called once, before
/// anything is worth a message.
///
/// # Errors
/// [`LoggingError::Filter`] for a `RUST_LOG` that means nothing: who sets it
/// wants to see something, and should not wonder why he does not.
pub fn init(format: LogFormat) -> Result<(), LoggingError> {
    let variable = std::env::var(FILTER_VARIABLE).ok();
    let colour = io::stderr().is_terminal();
    subscriber(format, filter(variable.as_deref())?, colour, io::stderr)
        .try_init()
        .map_err(|_| LoggingError::Twice)
}

fn filter(variable: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let directives = variable.filter(|v| !v.trim().is_empty()).unwrap_or(DEFAULT_FILTER);
    EnvFilter::builder().parse(directives).map_err(LoggingError::Filter)
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    colour: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_span_events(FmtSpan::NONE).with_writer(writer);
    match format {
        LogFormat::Text => Box::new(builder.with_ansi(colour).finish()),
        // The release, its revision and the trace id stand in spans around the
        // event; all of them, since the innermost is often that of one object.
        LogFormat::Json => {
            let json = builder.json().flatten_event(true).with_current_span(false).with_span_list(true);
            Box::new(json.finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    fn logged(format: LogFormat, variable: Option<&str>) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, filter(variable).unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("reconcile", release = "apps/demo", revision = "1.0.0");
            let _entered = span.enter();
            tracing::info!(target: "supercargo::controller", entries = 3, "applied");
            tracing::debug!(target: "supercargo::controller", "detail");
            tracing::info!(target: "hyper::client", "connected");
            tracing::warn!(target: "hyper::client", "refused");
        });
        let bytes = captured.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn libraries_are_quiet_unless_asked() {
        let check = |variable: Option<&str>, expected: &[&str]| {
            let text = logged(LogFormat::Text, variable);
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
    }

    #[test]
    fn json_names_the_release() {
        let text = logged(LogFormat::Json, None);
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(line["message"], "applied");
        assert_eq!(line["entries"], 3);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["spans"][0]["release"], "apps/demo");
        assert_eq!(line["spans"][0]["revision"], "1.0.0");
    }

    #[test]
    fn text_names_the_release_without_colours() {
        let text = logged(LogFormat::Text, None);
        assert!(text.contains("release=\"apps/demo\"") && text.contains("entries=3"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn what_is_no_format_or_filter_is_told() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert_eq!(
            "yaml".parse::<LogFormat>().unwrap_err().to_string(),
            "\"yaml\" is not a log format, use text or json"
        );
        assert_eq!(
            filter(Some("supercargo=loud")).unwrap_err().to_string(),
            "RUST_LOG is not a list of levels such as info or warn,supercargo=debug"
        );
    }
}
