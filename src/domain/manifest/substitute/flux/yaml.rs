//! An object as YAML, in the form that kustomize gives it: that of go-yaml v2. Which values are in
//! quotes decides what a variable becomes.

use std::cmp::Ordering;

use libyaml_safer::{Emitter, Encoding, Event, MappingStyle, ScalarStyle, SequenceStyle};
use serde_json::{Number, Value};

use super::text::is_identifier;
use crate::domain::manifest::scalar::{Scalar, is_timestamp, resolve, shortest};

/// What stands for a rune of four bytes until the text is complete: as long, and written with as many
/// letters, as the escape that go-yaml writes and the emitter does not.
const WIDE: &str = "\u{fffe}\u{2}";
const WIDE_WRITTEN: &[u8] = b"\\uFFFE\\x02";

/// Writes a value; `None` when the emitter refuses it.
pub fn write(value: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut writer = Writer { emitter: Emitter::new(), wide: Vec::new() };
    writer.emitter.set_output_string(&mut out);
    writer.emitter.set_unicode(true);
    writer.document(value).ok()?;
    let Writer { emitter, wide } = writer;
    drop(emitter);
    // The emitter ends a document so after some texts, and go-yaml never.
    if out.ends_with(b"\n...\n") {
        out.truncate(out.len() - 4);
    }
    if wide.is_empty() { Some(out) } else { with_wide(&out, &wide) }
}

/// The text with the runes of four bytes; `None` when it is not known which is where.
fn with_wide(text: &[u8], wide: &[char]) -> Option<Vec<u8>> {
    let (mut out, mut rest, mut wide) = (Vec::with_capacity(text.len()), text, wide.iter());
    while let Some(&byte) = rest.first() {
        match rest.strip_prefix(WIDE_WRITTEN) {
            Some(after) => {
                out.extend(format!("\\U{:08X}", u32::from(*wide.next()?)).into_bytes());
                rest = after;
            }
            None => {
                out.push(byte);
                rest = &rest[1..];
            }
        }
    }
    wide.next().is_none().then_some(out)
}

/// A text as it is after kustomize has read it back from JSON with a YAML parser: there a next-line
/// character is a line break, which is folded.
fn read_back(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{85}') {
        out.push_str(rest[..at].trim_end_matches([' ', '\t']));
        let after = rest[at..].trim_start_matches([' ', '\t', '\u{85}']);
        let breaks = rest[at..rest.len() - after.len()].matches('\u{85}').count();
        match breaks {
            1 => out.push(' '),
            _ => (1..breaks).for_each(|_| out.push('\n')),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

struct Writer<'w> {
    emitter: Emitter<'w>,
    /// The runes of four bytes, in their order.
    wide: Vec<char>,
}

type Written = Result<(), libyaml_safer::Error>;

impl Writer<'_> {
    fn document(&mut self, value: &Value) -> Written {
        self.emitter.emit(Event::stream_start(Encoding::Utf8))?;
        self.emitter.emit(Event::document_start(None, &[], true))?;
        self.value(value)?;
        self.emitter.emit(Event::document_end(true))?;
        self.emitter.emit(Event::stream_end())
    }

    fn value(&mut self, value: &Value) -> Written {
        match value {
            Value::Null => self.scalar("null", ScalarStyle::Plain),
            Value::Bool(value) => self.scalar(if *value { "true" } else { "false" }, ScalarStyle::Plain),
            Value::Number(value) => self.scalar(&number(value), ScalarStyle::Plain),
            Value::String(value) => self.text(value),
            Value::Array(items) => {
                self.emitter.emit(Event::sequence_start(None, None, true, SequenceStyle::Block))?;
                items.iter().try_for_each(|item| self.value(item))?;
                self.emitter.emit(Event::sequence_end())
            }
            Value::Object(fields) => {
                self.emitter.emit(Event::mapping_start(None, None, true, MappingStyle::Block))?;
                let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
                fields.sort_by(|a, b| in_order(a.0, b.0));
                for (key, value) in fields {
                    self.text(key)?;
                    self.value(value)?;
                }
                self.emitter.emit(Event::mapping_end())
            }
        }
    }

    fn text(&mut self, text: &str) -> Written {
        let mut text = std::borrow::Cow::Borrowed(text);
        if text.contains('\u{85}') {
            text = read_back(&text).into();
        }
        let style = match () {
            () if text.contains('\n') => ScalarStyle::Literal,
            () if is_plain(&text) => ScalarStyle::Plain,
            () => ScalarStyle::DoubleQuoted,
        };
        let is_wide = |c: char| c > '\u{ffff}';
        if !text.contains(is_wide) {
            return self.scalar(&text, style);
        }
        self.wide.extend(text.chars().filter(|c| is_wide(*c)));
        self.scalar(&text.replace(is_wide, WIDE), style)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle) -> Written {
        self.emitter.emit(Event::scalar(None, None, text, true, true, style))
    }
}

/// Whether a text without quotes is still text.
fn is_plain(text: &str) -> bool {
    matches!(resolve(None, true, text.to_owned()), Ok(Scalar::Text(_)))
        && !is_timestamp(text)
        && !is_base_60(text)
}

/// `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digit = |byte: u8| byte.is_ascii_digit();
    let digits = |text: &str| text.bytes().all(|byte| is_digit(byte) || byte == b'_');
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let minute = |part: &str| match *part.as_bytes() {
        [one] => is_digit(one),
        [ten, one] => (b'0'..=b'5').contains(&ten) && is_digit(one),
        _ => false,
    };
    let mut parts = parts.peekable();
    first.bytes().next().is_some_and(is_digit)
        && digits(first)
        && parts.peek().is_some()
        && parts.all(minute)
        && digits(fraction)
}

/// A number in the form of Go's `%g`.
fn number(number: &Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let float = number.as_f64().unwrap_or_default();
    let (mantissa, exponent) = shortest(&format!("{float:e}"), |digits| format!("{float:.digits$e}"));
    if (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// The order of go-yaml's keys: numbers in them count as numbers, and letters come last.
fn in_order(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let is_digit = |c: char| c != '_' && is_identifier(c) && c.is_numeric();
    let is_letter = |c: char| c != '_' && is_identifier(c) && !c.is_numeric();
    let shared = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (Some(&x), Some(&y)) = (a.get(shared), b.get(shared)) else { return a.len().cmp(&b.len()) };
    match (is_letter(x), is_letter(y)) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut start: i64 = 0;
    if x == '0' || y == '0' {
        let before = a[..shared].iter().rev().take_while(|c| is_digit(**c));
        start = i64::from(before.into_iter().any(|c| *c != '0'));
    }
    let read = |from: &[char]| {
        let digits = from[shared..].iter().take_while(|c| is_digit(**c));
        digits.fold((start, shared), |(number, at), digit| {
            let value = i64::from(u32::from(*digit)) - 48;
            (number.wrapping_mul(10).wrapping_add(value), at + 1)
        })
    };
    let ((number_a, end_a), (number_b, end_b)) = (read(&a), read(&b));
    number_a.cmp(&number_b).then(end_a.cmp(&end_b)).then(x.cmp(&y))
}
