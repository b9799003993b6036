//! Splits a file into its documents, where kubectl splits it. It reads lines, not
//! YAML: a line that begins with `---` ends a document anywhere, also inside a block
//! scalar.

use std::borrow::Cow;

/// One document of a file, not parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The number of the document in the file, from 1. Empty documents count.
    pub ordinal: usize,
    /// The line of the file where the bytes begin, from 1.
    pub first_line: usize,
    /// The bytes, with the separator that opened the document if it is the
    /// first line of the file.
    pub bytes: &'a [u8],
    /// The line of a separator that ends this document and is followed by other
    /// text, which kubectl refuses.
    pub bad_separator: Option<usize>,
}

const SEPARATOR: &[u8] = b"---";

/// Splits a file, by the rules of `YAMLReader` in apimachinery's `util/yaml`:
/// only spaces and a comment may follow a separator, and a separator where no
/// document is open yet belongs to the next document.
pub fn split(file: &[u8]) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut start, mut first_line) = (0, 1);
    let mut end = 0;
    for (index, line) in file.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line_number = index + 1;
        let next = end + line.len();
        if let Some(behind) = line.strip_prefix(SEPARATOR) {
            let bad = !only_comment(behind);
            if end > start || bad {
                let bad_separator = bad.then_some(line_number);
                let ordinal = chunks.len() + 1;
                chunks.push(Chunk { ordinal, first_line, bytes: &file[start..end], bad_separator });
                (start, first_line) = (next, line_number + 1);
            }
        }
        end = next;
    }
    if end > start {
        let ordinal = chunks.len() + 1;
        chunks.push(Chunk { ordinal, first_line, bytes: &file[start..end], bad_separator: None });
    }
    chunks
}

fn only_comment(behind: &[u8]) -> bool {
    String::from_utf8_lossy(behind).trim().chars().next().is_none_or(|first| first == '#')
}

impl<'a> Chunk<'a> {
    /// The text as kubectl's line reader returns it: CRLF becomes LF, and the last
    /// line ends with LF. `None` when the bytes are not UTF-8.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        let text = str::from_utf8(self.bytes).ok()?;
        let mut text =
            if text.contains("\r\n") { text.replace("\r\n", "\n").into() } else { Cow::Borrowed(text) };
        if !text.ends_with('\n') {
            text.to_mut().push('\n');
        }
        Some(text)
    }

    /// The line of the file where the content begins, after blank lines, comments
    /// and the separator, from 1.
    pub fn content_line(&self) -> usize {
        let blank = |line: &[u8]| {
            let line = line.trim_ascii();
            line.is_empty() || line.starts_with(b"#") || line.starts_with(SEPARATOR)
        };
        let skipped = self.bytes.split(|byte| *byte == b'\n').take_while(|line| blank(line)).count();
        self.first_line + skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each document as `ordinal@line:text`, and `!line` after a bad one.
    fn check(file: &str, expected: &[&str]) {
        let found: Vec<String> = split(file.as_bytes())
            .iter()
            .map(|c| {
                let bad = c.bad_separator.map(|line| format!("!{line}")).unwrap_or_default();
                format!("{}@{}:{}{bad}", c.ordinal, c.first_line, c.text().unwrap())
            })
            .collect();
        assert_eq!(found, expected, "{file:?}");
    }

    #[test]
    fn documents_end_where_a_line_begins_with_dashes() {
        check("", &[]);
        check("a: 1", &["1@1:a: 1\n"]);
        check("a: 1\n---\nb: 2\n", &["1@1:a: 1\n", "2@3:b: 2\n"]);
        check("---\na: 1\n---\n", &["1@1:---\na: 1\n"]);
        check("---\n---\na: 1\n", &["1@1:---\n", "2@3:a: 1\n"]);
        check("a: 1\n--- # next\nb: 2\n", &["1@1:a: 1\n", "2@3:b: 2\n"]);
        check("a: 1\n---   \t\nb: 2\n", &["1@1:a: 1\n", "2@3:b: 2\n"]);
        check("a: |\n  ---\n  x\n", &["1@1:a: |\n  ---\n  x\n"]);
        check("a: 1\r\n---\r\nb: 2\r\n", &["1@1:a: 1\n", "2@3:b: 2\n"]);
        check("\n\n---\n\na: 1", &["1@1:\n\n", "2@4:\na: 1\n"]);
    }

    #[test]
    fn text_after_a_separator_is_found() {
        check("a: 1\n--- b: 2\nc: 3\n", &["1@1:a: 1\n!2", "2@3:c: 3\n"]);
        check("----\nc: 3\n", &["1@1:\n!1", "2@2:c: 3\n"]);
        check("---a\n", &["1@1:\n!1"]);
    }

    #[test]
    fn the_line_of_the_content_is_after_comments() {
        let check = |file: &str, expected: usize| {
            assert_eq!(split(file.as_bytes())[0].content_line(), expected, "{file:?}");
        };
        check("a: 1", 1);
        check("---\n# c\n\n  # d\na: 1\n", 5);
    }

    #[test]
    fn bytes_that_are_not_utf8_have_no_text() {
        assert_eq!(split(b"a: \xff")[0].text(), None);
    }
}
