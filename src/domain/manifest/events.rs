//! The events of libyaml, from a parser that can fail but does not panic, and the
//! places where it accepts what go-yaml refuses.

use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libyaml_safer::{Encoding, Event, EventData, Parser, ScalarStyle};

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the text, from 1.
    pub line: usize,
    /// What is wrong. Contains no value of the document.
    pub message: String,
    /// Whether a limit was exceeded, not a rule broken.
    pub too_large: bool,
}

pub(super) type Read<T> = Result<T, Problem>;

const READ_AHEAD: usize = 16 << 10;

/// The events of one text.
pub(super) struct Events<'a> {
    parser: Parser<BufReader<&'a [u8]>>,
    text: &'a str,
    slashes: Vec<u64>,
    /// The line of the last event.
    line: usize,
}

impl<'a> Events<'a> {
    /// The events of a text, whose byte order mark is skipped.
    pub fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut parser = Parser::new();
        parser.set_encoding(Encoding::Utf8);
        parser.set_input(BufReader::with_capacity(READ_AHEAD.min(text.len() + 1), text.as_bytes()));
        Self { parser, text, slashes: escaped_slashes(text), line: 1 }
    }

    /// The next event.
    ///
    /// # Errors
    /// The document is not YAML; do not call this again after that.
    pub fn next(&mut self) -> Read<Event> {
        // libyaml-safer 0.3 panics on some broken documents (`[!a,b]`, `!%ff`).
        // Anyone with push rights can send such a document, so a panic counts as an
        // error. The parser is not used again after an error.
        let parser = &mut self.parser;
        let Ok(parsed) = catch_unwind(AssertUnwindSafe(|| parser.parse())) else {
            let message = "not valid YAML: cannot parse a tag or an escape sequence in or after this line";
            return Err(Problem { line: self.line, message: message.into(), too_large: false });
        };
        let event = parsed.map_err(|error| {
            let mark = error.problem_mark().or_else(|| error.context_mark());
            let line = mark.map_or_else(|| line_of_unprintable(self.text), |mark| mark.line as usize + 1);
            let context = error.context().map(|context| format!(" {context}")).unwrap_or_default();
            let message = format!("not valid YAML: {}{context}", error.problem());
            Problem { line, message, too_large: false }
        })?;
        self.line = line(&event);
        Ok(event)
    }

    /// Why go-yaml refuses a scalar that current libyaml accepts. `in_flow`: it is
    /// inside braces or brackets.
    pub fn only_libyaml_takes(&self, event: &Event, in_flow: bool) -> Option<&'static str> {
        let EventData::Scalar { value, style, .. } = &event.data else { return None };
        match style {
            ScalarStyle::DoubleQuoted if !self.slashes.is_empty() => {
                let first = self.slashes.partition_point(|at| *at < event.start_mark.index);
                let found = self.slashes.get(first).is_some_and(|at| *at < event.end_mark.index);
                found.then_some("not valid YAML: found unknown escape character `\\/`")
            }
            // go-yaml reads it as the key indicator.
            ScalarStyle::Plain if in_flow && value.contains('?') => {
                Some("not valid YAML: a string with `?` inside braces or brackets must be quoted")
            }
            _ => None,
        }
    }
}

/// The message about a document that is deeper than [`MAX_DEPTH`](super::budget::MAX_DEPTH).
pub(super) const TOO_DEEP: &str = "the document is nested too deeply (more than 120 levels)";

/// The message about a duplicate key.
pub(super) fn twice(key: &str) -> String {
    let shown: String = key.chars().take(80).collect();
    format!("duplicate key {shown:?}")
}

/// How a document is read that does not come from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// `yes`, `no`, `on` and `off` are texts, as in kustomize, which uses go-yaml
    /// v3. In kubectl they are booleans.
    pub words_are_texts: bool,
    /// The line break that ends the text is not part of it; the parser needs
    /// one.
    pub open_end: bool,
}

/// The line of an event, from 1.
pub(super) fn line(event: &Event) -> usize {
    event.start_mark.line as usize + 1
}

/// A problem at an event.
pub(super) fn problem(at: &Event, message: &str) -> Problem {
    Problem { line: line(at), message: message.to_owned(), too_large: false }
}

/// The position of `\/`, counted in characters: current libyaml accepts this escape
/// in a double-quoted scalar, go-yaml does not.
fn escaped_slashes(text: &str) -> Vec<u64> {
    if !text.contains("\\/") {
        return Vec::new();
    }
    let mut escaped = false;
    let mut found = Vec::new();
    for (at, char) in text.chars().enumerate() {
        if escaped && char == '/' {
            found.push(at as u64);
        }
        escaped = char == '\\' && !escaped;
    }
    found
}

/// Finds a character that YAML does not allow: the parser does not report its position.
fn line_of_unprintable(text: &str) -> usize {
    let allowed = |char: char| {
        matches!(char, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
            || char >= '\u{10000}'
    };
    let before = text.find(|char| !allowed(char)).unwrap_or_default();
    text[..before].matches('\n').count() + 1
}
