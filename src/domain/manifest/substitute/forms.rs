//! The forms that the value of a Secret has in texts that others have written.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Shorter values are in many texts by chance, in bytes.
const TELLING_BYTES: usize = 4;
/// The same for a single line of a longer value.
const TELLING_LINE: usize = 8;
/// A longer value is a file, which no message quotes as a whole: its beginning is looked for, and its
/// lines.
const MAX_BYTES: usize = 16 << 10;

/// How many texts are looked for at most, and how long they are together: more take too much memory, and
/// too long to look for.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub texts: usize,
    /// In bytes.
    pub bytes: usize,
}

/// Of the values of one release.
pub(super) const LIMITS: Limits = Limits { texts: 16 << 10, bytes: 2 << 20 };

impl Limits {
    /// Whether so many texts with so many bytes are within them.
    pub fn admit(self, texts: usize, bytes: usize) -> bool {
        texts <= self.texts && bytes <= self.bytes
    }
}

/// The forms of values; none, once they are too many.
pub(super) struct Forms {
    limits: Limits,
    texts: BTreeSet<String>,
    bytes: usize,
    is_full: bool,
}

impl Forms {
    pub fn new(limits: Limits) -> Self {
        Self { limits, texts: BTreeSet::new(), bytes: 0, is_full: false }
    }

    /// All of them; `None` when they are too many.
    pub fn into_texts(self) -> Option<BTreeSet<String>> {
        (!self.is_full).then_some(self.texts)
    }

    /// A value in every form that a message has.
    pub fn add(&mut self, value: &[u8]) {
        if value.len() < TELLING_BYTES {
            return;
        }
        // So that the encoded text has no padding where it is cut.
        self.insert(STANDARD.encode(&value[..value.len().min(MAX_BYTES / 4 * 3)]));
        let Ok(text) = std::str::from_utf8(value) else { return };
        let start = beginning(text);
        let trimmed = start.trim();
        self.insert(STANDARD.encode(trimmed));
        let joined: String = start.chars().filter(|c| *c != '\n').collect();
        for text in [start, trimmed, &joined] {
            self.add_text(text);
        }
        if let Some(number) = as_go_prints(trimmed) {
            self.insert(number);
        }
        for line in text.lines().map(|line| beginning(line.trim())).filter(|l| l.len() >= TELLING_LINE) {
            if self.is_full {
                return;
            }
            self.add_text(line);
        }
    }

    fn add_text(&mut self, text: &str) {
        self.insert(text.to_owned());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '+' | '=' | '.');
        if text.chars().all(is_plain) {
            return;
        }
        self.insert(unquoted(&format!("{text:?}")));
        let json = unquoted(&serde_json::Value::from(text).to_string());
        let ascii = in_ascii(&json);
        for form in [of_go(&json), json.replace('/', "\\/"), ascii.replace('/', "\\/"), ascii, json] {
            self.insert(form);
        }
    }

    fn insert(&mut self, text: String) {
        if self.is_full || text.len() < TELLING_BYTES || self.texts.contains(&text) {
            return;
        }
        self.bytes += text.len();
        self.texts.insert(text);
        if !self.limits.admit(self.texts.len(), self.bytes) {
            self.is_full = true;
            self.texts.clear();
        }
    }
}

/// The first bytes of a long text.
fn beginning(text: &str) -> &str {
    let end = (0..=MAX_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

fn unquoted(text: &str) -> String {
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// As Go writes JSON, which may be part of a page.
fn of_go(json: &str) -> String {
    let mut found = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '&' | '<' | '>' | '\u{2028}' | '\u{2029}' => escape(c, &mut found),
            c => found.push(c),
        }
    }
    found
}

/// As many programs write JSON, without other characters than those of ASCII.
fn in_ascii(json: &str) -> String {
    let mut found = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() { found.push(c) } else { escape(c, &mut found) }
    }
    found
}

fn escape(c: char, to: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a text does not fail.
        let _ = write!(to, "\\u{unit:04x}");
    }
}

/// A number as templates print it: Helm reads every number as a float, and Go prints large ones with an
/// exponent.
fn as_go_prints(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let written = format!("{number:e}");
    let (digits, exponent) = written.split_once('e')?;
    let exponent: i32 = exponent.parse().ok()?;
    if (-4..21).contains(&exponent) && exponent < 6 {
        return None;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    Some(format!("{digits}e{sign}{:02}", exponent.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_the_forms_that_programs_write() {
        let check = |value: &str, expected: &[&str]| {
            let mut forms = Forms::new(LIMITS);
            forms.add(value.as_bytes());
            let found = forms.into_texts().unwrap();
            for form in expected {
                assert!(found.contains(*form), "{form}: {found:?}");
            }
        };
        check("a&b<c>d", &["a&b<c>d", r"a\u0026b\u003cc\u003ed"]);
        check("pässword", &["pässword", r"p\u00e4ssword"]);
        check("key😀key", &[r"key\ud83d\ude00key"]);
        check("https://db/ä", &[r"https:\/\/db\/ä", r"https:\/\/db\/\u00e4"]);
        check("a\u{8}b\u{1}c", &[r"a\bb\u0001c"]);
        check("hunter2\n", &["hunter2", "aHVudGVyMg==", "aHVudGVyMgo="]);
        check("12345678", &["12345678", "1.2345678e+07"]);
        check("1000000", &["1e+06"]);
        check("0.000012", &["1.2e-05"]);
        assert_eq!(as_go_prints("123456"), None);
        assert_eq!(as_go_prints("0.0001"), None);
        check("first \"line\"\nsecond line", &["second line", "first \\\"line\\\""]);
        let file = format!("first line\n{}\nlast line", "x".repeat(MAX_BYTES));
        check(&file, &["first line", "last line", &"x".repeat(MAX_BYTES)]);
    }

    #[test]
    fn they_are_not_without_number() {
        let limits = Limits { texts: 100, bytes: 10_000 };
        let check = |value: &str, is_known: bool| {
            let mut forms = Forms::new(limits);
            forms.add(value.as_bytes());
            assert_eq!(forms.into_texts().is_some(), is_known);
        };
        let lines = |count: usize| (0..count).map(|n| format!("line-{n:04}\n")).collect::<String>();
        check(&lines(90), true);
        check(&lines(110), false);
        check(&"x".repeat(9_000), false);
        check(&"x".repeat(1_000), true);
    }
}
