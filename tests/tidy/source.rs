//! Reads the sources: every file as code without comments, strings and tests,
//! line by line as it was, so that a rule can name the line it found.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file.
pub struct Source {
    /// Path from the root of the package, with slashes.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The file with comments and the contents of strings blanked.
    pub code: String,
    /// `code` up to the unit tests; empty for a file of tests.
    pub product: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let product = if path.ends_with("/tests.rs") { String::new() } else { without_tests(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, product }
    }

    /// The room that it is in.
    pub fn room(&self) -> &str {
        room_of(&self.path)
    }

    /// The module path: `src/domain/health/rules.rs` is `[domain, health, rules]`.
    pub fn modules(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let mut modules: Vec<_> = inside.trim_end_matches(".rs").split('/').collect();
        if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
            modules.pop();
        }
        modules
    }
}

/// The room of a file: `src/<room>/…` or `src/<room>.rs`.
pub fn room_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let room = inside.split('/').next().unwrap_or(inside);
    room.strip_suffix(".rs").unwrap_or(room)
}

/// The root of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder of the package.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.sort();
    let sources = files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs"));
    let sources: Vec<_> =
        sources.map(|file| Source::new(&relative(file), &fs::read_to_string(file).unwrap())).collect();
    assert!(!sources.is_empty(), "no Rust file below {folder}: the rules would hold for nothing");
    sources
}

/// Path from the root of the package, with slashes.
pub fn relative(file: &Path) -> String {
    file.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/")
}

/// Every file below a folder, without what is built or hidden.
pub fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() || name == "target" || name == ".git" {
            continue;
        }
        if path.is_dir() { walk(&path, into) } else { into.push(path) }
    }
}

/// The number of the line at a position, from 1.
pub fn line(text: &str, position: usize) -> usize {
    text[..position].matches('\n').count() + 1
}

/// By convention the unit tests are one module at the end of the file.
fn without_tests(code: &str) -> String {
    let mut end = code.len();
    for (position, mark) in code.match_indices("#[cfg(test)]") {
        let item = code[position + mark.len()..].trim_start();
        let inline = item.find('{').is_some_and(|open| item.find(';').is_none_or(|end| open < end));
        if item.starts_with("mod ") && inline {
            end = position;
            break;
        }
    }
    code[..end].to_owned()
}

/// Replaces comments and the contents of strings and characters by spaces.
fn blank(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    for (start, end) in not_code(text) {
        for byte in &mut out[start..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(out).unwrap()
}

/// The comments of a text, line by line as they were, with all else blanked.
pub fn comments(text: &str) -> String {
    let mut out: Vec<u8> = text.bytes().map(|byte| if byte == b'\n' { b'\n' } else { b' ' }).collect();
    for (start, end) in not_code(text).into_iter().filter(|(start, _)| text[*start..].starts_with('/')) {
        out[start..end].copy_from_slice(&text.as_bytes()[start..end]);
    }
    String::from_utf8(out).unwrap()
}

/// What stands in the strings of a text, as the program has it.
pub fn strings(text: &str) -> Vec<String> {
    let token = |(start, end): (usize, usize)| &text[start..end];
    not_code(text).into_iter().map(token).filter_map(content).collect()
}

/// The content of a string; none for comments and characters.
fn content(token: &str) -> Option<String> {
    if let Some(raw) = token.strip_prefix('r') {
        return Some(raw.trim_matches('#').trim_matches('"').to_owned());
    }
    let mut content = String::new();
    let mut rest = token.strip_prefix('"')?.strip_suffix('"')?.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            // The line goes on where the next one begins to say something.
            ('\\', Some('\n')) => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            ('\\', Some('"' | '\\' | '\'')) => content.extend(rest.next()),
            _ => content.push(c),
        }
    }
    Some(content)
}

/// Where comments, strings and characters begin and end.
fn not_code(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => at + find(&bytes[at..], b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => at + comment(&bytes[at..]),
            b'r' if raw(bytes, at).is_some() => raw(bytes, at).unwrap(),
            b'"' => at + quoted(&bytes[at..]),
            b'\'' => at + character(&text[at..]),
            _ => at,
        };
        if end > at {
            found.push((at, end));
        }
        at = end.max(at + 1);
    }
    found
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap_or(bytes.len())
}

fn comment(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of a raw string that begins at the position.
fn raw(bytes: &[u8], at: usize) -> Option<usize> {
    let prefixed = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if prefixed && bytes[at - 1] != b'b' {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
    let open = at + 1 + hashes;
    (bytes.get(open) == Some(&b'"')).then(|| {
        let close = format!("\"{}", "#".repeat(hashes));
        (open + 1 + find(&bytes[open + 1..], close.as_bytes()) + close.len()).min(bytes.len())
    })
}

fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a character; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text[1..].char_indices();
    match inside.next() {
        Some((_, '\\')) => 3 + text[3..].find('\'').map_or(0, |at| at + 1),
        Some((_, c)) if text[1 + c.len_utf8()..].starts_with('\'') => 2 + c.len_utf8(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked() {
        let check = |text: &str, expected: &str| {
            let code = blank(text);
            let words: Vec<_> = code.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "{text}");
            assert_eq!(code.lines().count(), text.lines().count(), "{text}");
        };
        check("a // b\nc", "a c");
        check("a /* b /* c */ d */ e", "a e");
        check("a \"b \\\" c\" d", "a d");
        check("a r#\"b \" c\"# d", "a d");
        check("a br\"b\" d", "a b d");
        check("a '\"' b '\\'' c '\\u{1f}' d", "a b c d");
        check("fn a<'b>(c: &'b str)", "fn a<'b>(c: &'b str)");
        check("'ä' b", "b");
    }

    #[test]
    fn strings_are_read_as_the_program_has_them() {
        let check = |text: &str, expected: &[&str]| assert_eq!(strings(text), expected, "{text}");
        check(r#"a "b" /* "c" */ 'd' "e\"f" // "g""#, &["b", "e\"f"]);
        check("\"a \\\n      b\"", &["a b"]);
        check("r#\"a \" b\"# ", &["a \" b"]);
    }

    #[test]
    fn tests_are_cut_off() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Source::new("src/a/b.rs", text).product, expected);
        };
        check("a\n#[cfg(test)]\nmod tests { b }\n", "a\n");
        check("a\n#[cfg(test)]\nmod tests;\nb", "a\n#[cfg(test)]\nmod tests;\nb");
        check("#[cfg(test)]\nfn a() {}\n", "#[cfg(test)]\nfn a() {}\n");
    }
}
