//! One event, one line: as text for people, or as one flat JSON object. No message can produce a
//! second line, whatever it contains.
//!
//! The formatters of tracing-subscriber are not used. As JSON they nest the fields of spans
//! (`span`, `spans`), so that `release` is not at the top where a filter looks for it. As
//! text they write a line break in a message or a value as it is, show a field of a span
//! twice that was recorded twice, and have no order in which the trace id is last. Neither
//! leaves out the fields that are for the tracer only.

use std::fmt;
use std::io::Write;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::log_format::LogFormat;

const MESSAGE: &str = "message";
/// It is last in a line of text: only machines need it.
const TRACE: &str = "trace_id";
/// Fields that only the tracer needs.
const FOR_THE_TRACER: &str = "otel.";
/// The prefix of all our module paths.
const OURS: &str = "supercargo::";

/// Writes each event.
pub(super) struct Lines<W> {
    pub format: LogFormat,
    pub colour: bool,
    pub writer: W,
}

/// The fields of an event, or of a span, in their order.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

/// A value, by the kinds that JSON has.
enum Value {
    Text(String),
    Bare(String),
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        if name.starts_with(FOR_THE_TRACER) {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Bare(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        self.set(field, if value.is_finite() { Value::Bare(text) } else { Value::Text(text) });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Value::Text(format!("{value:?}")));
    }
}

impl Value {
    fn json(&self) -> String {
        match self {
            Self::Bare(text) => text.clone(),
            Self::Text(text) => quoted(text),
        }
    }

    /// Without quotes if they are not needed.
    fn text(&self) -> String {
        match self {
            Self::Text(text)
                if text.is_empty() || text.contains(|c: char| " =\"\\".contains(c) || is_odd(c)) =>
            {
                quoted(text)
            }
            Self::Bare(text) | Self::Text(text) => text.clone(),
        }
    }
}

/// As a string of JSON, which has no line break and no control character in it.
fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap_or_default();
    escaped(&json)
}

/// Characters with a special meaning for a terminal or a line reader.
fn is_odd(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn escaped(text: &str) -> String {
    if !text.contains(is_odd) {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => plain.push_str("\\n"),
            '\t' => plain.push(' '),
            // Escaped as in JSON.
            c if is_odd(c) => plain.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => plain.push(c),
        }
    }
    plain
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = match fields.take(MESSAGE) {
            Some(Value::Text(text) | Value::Bare(text)) => text,
            None => String::new(),
        };
        // The fields of the spans around it, the outermost first; fields nearer to the event win.
        let mut around: Vec<(&'static str, String, String)> = Vec::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            for (name, value) in extensions.get::<Fields>().into_iter().flat_map(|f| &f.0) {
                around.retain(|(known, ..)| known != name);
                if !fields.0.iter().any(|(own, _)| own == name) {
                    around.push((name, value.json(), value.text()));
                }
            }
        }
        let own = fields.0.iter().map(|(name, value)| (*name, value.json(), value.text()));
        let all: Vec<_> = around.into_iter().chain(own).collect();
        let line = Line { level: *event.metadata().level(), target: event.metadata().target(), message, all };
        let line = match self.format {
            LogFormat::Json => line.json(),
            LogFormat::Text => line.text(self.colour),
        };
        // The reader of the log is gone: the error cannot be reported.
        drop(self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes()));
    }
}

/// A line before formatting: each field with its value in JSON and in text.
struct Line<'a> {
    level: Level,
    target: &'a str,
    message: String,
    all: Vec<(&'static str, String, String)>,
}

impl Line<'_> {
    fn json(&self) -> String {
        let mut line = format!(
            "{{\"timestamp\":\"{}\",\"level\":\"{}\",\"target\":{},\"message\":{}",
            now(),
            self.level,
            quoted(self.target),
            quoted(&self.message)
        );
        for (name, json, _) in &self.all {
            line.push_str(&format!(",{}:{json}", quoted(name)));
        }
        line.push_str("}\n");
        line
    }

    fn text(&self, colour: bool) -> String {
        let (on, off) = if colour { (shade(self.level), "\u{1b}[0m") } else { ("", "") };
        let target = self.target.strip_prefix(OURS).unwrap_or(self.target);
        let mut line = format!("{} {on}{:5}{off} {target}: {}", now(), self.level, escaped(&self.message));
        let (last, first): (Vec<_>, Vec<_>) = self.all.iter().partition(|(name, ..)| *name == TRACE);
        for (name, _, text) in first.into_iter().chain(last) {
            // A digest is not repeated in one line.
            if !(*name == "revision" && self.message.contains(text.as_str())) {
                line.push_str(&format!(" {name}={text}"));
            }
        }
        line.push('\n');
        line
    }
}

fn shade(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[2m",
    }
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::logging::written;

    fn lines(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
        written(format, Some("trace"), log).lines().map(str::to_owned).collect()
    }

    /// Without the time, which is different each time.
    fn timeless(line: &str) -> &str {
        line.split_once(' ').map_or("", |(_, rest)| rest)
    }

    #[test]
    fn text_is_for_people() {
        let check = |log: fn(), expected: &str| {
            let lines = lines(LogFormat::Text, log);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(timeless(&lines[0]), expected);
            assert_eq!(lines[0].find('Z'), Some(23), "a time in milliseconds: {lines:?}");
        };
        check(
            || tracing::info!(target: "supercargo::controller::report", created = 3, seconds = 0.25, "applied"),
            "INFO  controller::report: applied created=3 seconds=0.25",
        );
        check(
            || tracing::warn!(target: "hyper", reason = "Contested", error = "a b", empty = "", "lost"),
            "WARN  hyper: lost reason=Contested error=\"a b\" empty=\"\"",
        );
        check(
            || tracing::error!(target: "x", "one\ntwo\u{1b}[31m\u{2028}three\r"),
            "ERROR x: one\\ntwo\\u001b[31m\\u2028three\\u000d",
        );
    }

    #[test]
    fn what_stands_around_an_event_is_said_once() {
        let lines = lines(LogFormat::Text, || {
            let run = tracing::info_span!(
                "reconcile",
                release = "apps/demo",
                revision = tracing::field::Empty,
                trace_id = "ab",
                otel.status_code = "ERROR"
            );
            let _in = run.enter();
            run.record("revision", "1@sha256:00");
            let inner = tracing::info_span!("object", release = "apps/other");
            inner.in_scope(|| tracing::info!(target: "x", "a"));
            tracing::info!(target: "x", release = "own", n = 1, "applied 1@sha256:00");
        });
        let said: Vec<&str> = lines.iter().map(|line| timeless(line)).collect();
        assert_eq!(
            said,
            [
                "INFO  x: a revision=1@sha256:00 release=apps/other trace_id=ab",
                "INFO  x: applied 1@sha256:00 release=own n=1 trace_id=ab"
            ]
        );
    }

    #[test]
    fn json_is_flat_and_keeps_its_kinds() {
        let lines = lines(LogFormat::Json, || {
            let run = tracing::info_span!("reconcile", release = "apps/demo", trace_id = "ab");
            run.in_scope(|| {
                let nothing: Option<u64> = None;
                tracing::info!(target: "t", n = 3, i = -1, f = 0.5, nan = f64::NAN, b = true, nothing, "a \"b\"\nc\u{2028}");
            });
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let mut line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().unwrap().parse::<Timestamp>().is_ok(), "{time}");
        let expected = serde_json::json!({
            "level": "INFO", "target": "t", "message": "a \"b\"\nc\u{2028}", "release": "apps/demo", "trace_id": "ab",
            "n": 3, "i": -1, "f": 0.5, "nan": "NaN", "b": true,
        });
        assert_eq!(line, expected);
    }
}
