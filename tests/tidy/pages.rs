//! What pages for operators promise: every reason has its section, and messages,
//! commands, flags and links in them are those that there are.

use std::collections::BTreeSet;
use std::fs;

use supercargo::api::reason::{Disposition, Reason};

use super::source::{root, sources, strings};

/// Fewer letters between two placeholders prove nothing.
const LETTERS: usize = 4;

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Reasons without a section or with two, sections without a reason, and sections
/// that do not begin with what the operator does next.
pub fn reasons(page: &str) -> Vec<String> {
    let told = page.split_once("\n## Reasons\n").map_or("", |(_, rest)| rest);
    let told = told.split("\n## ").next().unwrap_or_default();
    let sections: Vec<(&str, &str)> =
        told.split("\n### ").skip(1).filter_map(|section| section.split_once('\n')).collect();
    let mut found = Vec::new();
    for reason in Reason::ALL {
        let mut own = sections.iter().filter(|(name, _)| *name == reason.as_str());
        let Some((_, text)) = own.next() else {
            found.push(format!("{reason} has no section"));
            continue;
        };
        // A link to the heading leads to the first; nobody reads the second.
        if own.next().is_some() {
            found.push(format!("{reason} has two sections"));
        }
        let begins: &[&str] = match reason.disposition() {
            Disposition::Retry => &["**retry"],
            Disposition::Stalled => &["**stalled"],
            Disposition::Wait => &["**wait", "**no failure"],
        };
        if !begins.iter().any(|begin| text.trim_start().starts_with(begin)) {
            found.push(format!("the section {reason} does not begin with {}", begins.join(" or ")));
        }
    }
    for (name, _) in sections {
        if !Reason::ALL.iter().any(|reason| reason.as_str() == name) {
            found.push(format!("{name} is no reason"));
        }
    }
    found
}

/// Messages that nothing in `src` prints: of each, the parts between `<placeholders>`
/// have to stand in the strings of the code.
pub fn messages(page: &str) -> Vec<String> {
    let parts: Vec<String> = sources("src")
        .iter()
        .flat_map(|source| strings(&source.text[..source.product.len()]))
        .flat_map(|string| fixed(&string, ['{', '}']))
        .collect();
    let mut found = Vec::new();
    for (n, quote) in blocks(page, "text").into_iter().chain(quoted_rows(page)) {
        let fixed = fixed(quote, ['<', '>']);
        if fixed.iter().all(|part| letters(part) < LETTERS) {
            found.push(format!("line {n}: {quote:?} says nothing that could be found"));
        }
        // Where one string ends and the next begins there is only punctuation.
        let words = fixed.iter().map(|part| part.trim_matches(|c: char| !c.is_alphanumeric()));
        let missing = words.into_iter().find(|words| !parts.iter().any(|part| part.contains(words)));
        found.extend(missing.map(|words| format!("line {n}: nothing prints {words:?}")));
    }
    found
}

/// The first cells of tables whose first column is `text`.
fn quoted_rows(page: &str) -> Vec<(usize, &str)> {
    let (mut rows, mut inside) = (Vec::new(), false);
    for (n, line) in page.lines().enumerate() {
        inside = line.starts_with("| text |") || inside && line.starts_with('|');
        let quote = line.strip_prefix("| `").and_then(|rest| rest.split('`').next());
        rows.extend(quote.filter(|_| inside).map(|quote| (n + 1, quote)));
    }
    rows
}

/// Commands and flags of ours that docs/cli.md does not have.
pub fn commands(page: &str) -> Vec<String> {
    let cli = read("docs/cli.md");
    let known: BTreeSet<&str> = cli.lines().filter_map(|l| l.strip_prefix("## supercargo ")).collect();
    let flags: BTreeSet<&str> = cli.split(|c: char| !(c.is_ascii_lowercase() || c == '-')).collect();
    let spans = page.split('`').skip(1).step_by(2).map(|span| (0, span));
    let lines = blocks(page, "console");
    let mut found = Vec::new();
    for (n, code) in lines.into_iter().chain(spans) {
        for command in code.split("&&").flat_map(|c| c.split('|')) {
            let Some(words) = command.trim().strip_prefix("supercargo ") else { continue };
            let verb: Vec<&str> =
                words.split(' ').take_while(|w| w.chars().all(|c| c.is_ascii_lowercase())).take(2).collect();
            let one = verb.first().copied().unwrap_or_default();
            // Alone it names the commands that begin so.
            let family = words == one && known.iter().any(|name| name.starts_with(&format!("{one} ")));
            if !family && !known.contains(verb.join(" ").as_str()) && !known.contains(one) {
                found.push(format!("line {n}: there is no command `{}`", command.trim()));
            }
            let unknown = words.split(' ').filter(|w| w.starts_with("--") && w.len() > 2);
            let unknown = unknown.map(|w| w.split('=').next().unwrap_or(w)).filter(|w| !flags.contains(w));
            found.extend(unknown.map(|w| format!("line {n}: docs/cli.md has no flag {w}")));
        }
    }
    found
}

/// Links of a page to files or headings that do not exist.
pub fn links(path: &str) -> Vec<String> {
    let page = read(path);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        // Of the book: packaging/book puts the first page there.
        let is_first = path == "docs/SUMMARY.md" && link == "README.md";
        if is_first || link.contains("://") || link.contains(' ') {
            continue;
        }
        let (file, heading) = link.split_once('#').map_or((link, None), |(f, h)| (f, Some(h)));
        let target = if file.is_empty() { root().join(path) } else { root().join(folder).join(file) };
        let wrong = match heading {
            _ if !target.exists() => true,
            Some(heading) => !anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(heading),
            None => false,
        };
        found.extend(wrong.then(|| format!("{path}: {link}")));
    }
    found
}

/// What the headings of a page are linked to by, as GitHub makes it of them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    let words = headings.map(|heading| heading.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    words.map(|words| words.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The lines in fenced blocks of a language, with their numbers.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<(usize, &'a str)> {
    let mut inside = None;
    let mut lines = Vec::new();
    for (n, line) in page.lines().enumerate() {
        match (inside, line.strip_prefix("```")) {
            (None, Some(opened)) => inside = Some(opened),
            (Some(_), Some(_)) => inside = None,
            (Some(opened), None) if opened == language && !line.is_empty() => lines.push((n + 1, line)),
            _ => {}
        }
    }
    lines
}

/// What stands outside of the placeholders; doubled braces are braces.
fn fixed(text: &str, [open, close]: [char; 2]) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if (c == open || c == close) && depth == 0 && rest.peek() == Some(&c) {
            rest.next();
            parts.last_mut().unwrap().push(c);
        } else if c == open {
            depth += 1;
            parts.push(String::new());
        } else if c == close && depth > 0 {
            depth -= 1;
        } else if depth == 0 {
            parts.last_mut().unwrap().push(c);
        }
    }
    parts
}

fn letters(part: &str) -> usize {
    part.chars().filter(|c| c.is_alphabetic()).count()
}

#[test]
fn texts_are_compared_without_their_placeholders() {
    let check = |text: &str, marks: [char; 2], expected: &[&str]| assert_eq!(fixed(text, marks), expected);
    check("a {b} c {d:?}", ['{', '}'], &["a ", " c ", ""]);
    check("a {{b}} c", ['{', '}'], &["a {b} c"]);
    check("the inventory <a/b> is <x>", ['<', '>'], &["the inventory ", " is ", ""]);
}

#[test]
fn what_a_page_gets_wrong_is_found() {
    let none: &[String] = &[];
    assert_eq!(messages("```text\nregistry <host> is unavailable: <why>\n```\n"), none);
    assert_eq!(messages("```text\nregistry <host> is on holiday\n```\n").len(), 1);
    assert_eq!(messages("```text\n<what> <why>\n```\n").len(), 1);
    assert_eq!(commands("`supercargo reconcile release demo-app -n apps`"), none);
    assert_eq!(commands("`supercargo adopt` and `supercargo adopt inventory`"), none);
    assert_eq!(commands("`supercargo adopt everything`").len(), 1);
    assert_eq!(commands("```console\nsupercargo heal release demo-app\n```\n").len(), 1);
    assert_eq!(commands("`supercargo status release demo-app --watch-it`").len(), 1);
    assert!(reasons("\n## Reasons\n\n### Healthy\n\n**retry**\n\n### Sunny\n").len() >= Reason::ALL.len());
    let twice = "### Healthy\n\n**retry**\n\n";
    let found = reasons(&format!("\n## Reasons\n\n{twice}{twice}"));
    assert!(found.contains(&"Healthy has two sections".to_owned()), "{found:?}");
}
