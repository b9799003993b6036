//! Text for people. Most of it comes from outside: names, images and
//! annotations from the author of an artifact, messages from a registry or an API
//! server. So a piece of text is one line whatever it contains, and several lines
//! are made only here.

use std::borrow::Cow;
use std::fmt;

use super::color::{Colour, Tone};
pub(in crate::cli) use crate::domain::message::printable::printable as sanitize_lines;
use crate::domain::message::printable::steers;

/// One line. Nothing in it can begin another one, or steer the terminal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(String, Option<Tone>)>);

impl Line {
    /// A line of one colour.
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self::default().and(text, Some(tone))
    }

    /// The line with more at its end.
    pub fn and(mut self, text: impl AsRef<str>, tone: Option<Tone>) -> Self {
        self.0.push((sanitize_for_terminal(text.as_ref()).into_owned(), tone));
        self
    }

    /// A line of a diff, coloured by how it begins.
    pub fn of_diff(line: &str) -> Self {
        let tone = match line.chars().next() {
            Some('+') => Some(Tone::Good),
            Some('-') => Some(Tone::Bad),
            Some('@') if line.starts_with("@@") => Some(Tone::Place),
            Some('►') => Some(Tone::Heading),
            _ => None,
        };
        // Compared text can contain tabs.
        let tab = if tone == Some(Tone::Heading) { ' ' } else { '\t' };
        Self(vec![(one_line(line, tab).into_owned(), tone)])
    }

    /// Its width in columns.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(text, _)| text.chars().count()).sum()
    }

    /// As it is written to a stream.
    pub fn painted(&self, colour: Colour) -> String {
        let paint = |(text, tone): &(String, Option<Tone>)| match tone {
            Some(tone) => colour.paint(*tone, text).into_owned(),
            None => text.clone(),
        };
        self.0.iter().map(paint).collect()
    }
}

impl<T: AsRef<str>> From<T> for Line {
    fn from(text: T) -> Self {
        Self::default().and(text, None)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(text, _)| f.write_str(text))
    }
}

/// One line or more, such as a failure and its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(Vec<Line>);

impl Lines {
    /// A line below the others.
    pub fn push(&mut self, line: impl Into<Line>) {
        self.0.push(line.into());
    }

    /// The lines from the top.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.0.iter()
    }
}

impl<T: Into<Line>> From<T> for Lines {
    fn from(line: T) -> Self {
        Self(vec![line.into()])
    }
}

impl<T: Into<Line>> FromIterator<T> for Lines {
    fn from_iter<I: IntoIterator<Item = T>>(lines: I) -> Self {
        Self(lines.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, line) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{line}")?;
        }
        Ok(())
    }
}

/// The text as a part of one line: a line break is written as `\n`, and anything
/// else that would control a terminal, or make it show other text, as `?`.
pub(in crate::cli) fn sanitize_for_terminal(text: &str) -> Cow<'_, str> {
    one_line(text, ' ')
}

fn one_line(text: &str, tab: char) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push(tab),
            c if steers(c) => shown.push('?'),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// Prose of several lines, such as that of an admission webhook, in one.
pub(in crate::cli) fn folded(text: &str) -> String {
    if !text.contains('\n') {
        return text.to_owned();
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_text_is_one_line_and_steers_nothing() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Line::from(text).to_string(), expected);
            assert_eq!(sanitize_for_terminal(expected), expected, "sanitized text is unchanged");
        };
        check("oci://host/äpp:1", "oci://host/äpp:1");
        check("x\nVerified by: key", "x\\nVerified by: key");
        check("x\r\nVerified by: key", "x?\\nVerified by: key");
        check("a\tb", "a b");
        check("a\u{1b}]0;b\u{7}\u{9b}2Jc\u{7f}", "a?]0;b??2Jc?");
        check("a\u{2028}b\u{85}c\u{202e}d", "a?b?c?d");
    }

    #[test]
    fn several_lines_are_only_made_on_purpose() {
        let mut lines = Lines::from("head\nhead:");
        lines.push("  Widget/a\nb: no");
        assert_eq!(lines.to_string(), "head\\nhead:\n  Widget/a\\nb: no");
        assert_eq!(sanitize_lines("a: b\n\tc\u{1b}\r\n"), "a: b\n\tc??\n");
    }

    #[test]
    fn lines_of_a_diff_have_the_colours_that_people_know() {
        let check = |line: &str, expected: &str| {
            assert_eq!(Line::of_diff(line).painted(Colour::always()), expected);
        };
        check("+a", "\u{1b}[32m+a\u{1b}[0m");
        check("-a", "\u{1b}[31m-a\u{1b}[0m");
        check("@@ -1 +1 @@", "\u{1b}[36m@@ -1 +1 @@\u{1b}[0m");
        check("► ConfigMap/a drifted", "\u{1b}[1m► ConfigMap/a drifted\u{1b}[0m");
        check("+a\u{1b}[0m", "\u{1b}[32m+a?[0m\u{1b}[0m");
        check(" a\n\tb", " a\\n\tb");
        check("", "");
        assert_eq!(Line::of_diff("+a").painted(Colour::default()), "+a");
    }
}
