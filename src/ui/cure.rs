//! What a reason means and what to do about it, from the page that people read anyway:
//! docs/troubleshooting.md, which is part of the program.

use std::collections::BTreeMap;

use crate::domain::identity::ReleaseId;

const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");
/// The names in the examples of that page.
const EXAMPLE: (&str, &str) = ("apps", "demo-app");

/// A piece of a paragraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Prose.
    Text(String),
    /// A command, a field or a value.
    Code(String),
}

/// What the documentation says of a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    /// What the operator does next, in bold there; empty when it is not said.
    pub next: String,
    /// What the reason means.
    pub meaning: Vec<Piece>,
    /// What to check and to fix: a paragraph each, or a row of a table.
    pub steps: Vec<Vec<Piece>>,
}

/// The cures by their reasons.
#[derive(Debug)]
pub struct AdviceBook(BTreeMap<&'static str, Advice>);

impl Default for AdviceBook {
    fn default() -> Self {
        Self::read(TROUBLESHOOTING)
    }
}

impl AdviceBook {
    fn read(page: &'static str) -> Self {
        let sections = page.split("\n### ").skip(1).filter_map(|section| {
            let (title, body) = section.split_once('\n')?;
            // The last section of a chapter ends where the next chapter begins.
            let body = body.split("\n## ").next().unwrap_or(body);
            (!title.contains(' ')).then(|| (title, cure(body)))
        });
        Self(sections.collect())
    }

    /// Of a reason, with the names of a release in its commands.
    pub fn of(&self, reason: &str, release: &ReleaseId) -> Option<Advice> {
        let cure = self.0.get(reason)?;
        let named = |pieces: &Vec<Piece>| pieces.iter().map(|piece| piece.naming(release)).collect();
        Some(Advice {
            next: cure.next.clone(),
            meaning: named(&cure.meaning),
            steps: cure.steps.iter().map(named).collect(),
        })
    }
}

fn cure(body: &str) -> Advice {
    let mut paragraphs = paragraphs(body).into_iter();
    let first = paragraphs.next().unwrap_or_default();
    let (next, meaning) = match first.strip_prefix("**").and_then(|rest| rest.split_once("**")) {
        Some((next, meaning)) => (next.trim_end_matches('.'), meaning.trim_start_matches('.').trim()),
        None => ("", first.as_str()),
    };
    // A few sections begin with what happens next, and say later what it means.
    let later = if meaning.is_empty() { paragraphs.next().unwrap_or_default() } else { String::new() };
    let meaning = if meaning.is_empty() { later.as_str() } else { meaning };
    Advice {
        next: next.to_owned(),
        meaning: pieces(meaning),
        steps: paragraphs.map(|paragraph| pieces(&paragraph)).collect(),
    }
}

/// The paragraphs of prose, each on one line, with the items of lists and the rows of tables: no blocks of code.
fn paragraphs(body: &str) -> Vec<String> {
    let (mut all, mut current, mut fenced, mut rows) = (Vec::new(), String::new(), false, 0);
    for line in body.lines().chain([""]) {
        let is_fence = line.starts_with("```");
        fenced ^= is_fence;
        let is_row = !fenced && line.starts_with('|');
        rows = if is_row { rows + 1 } else { 0 };
        let is_prose = !fenced && !is_fence && !is_row && !line.trim().is_empty();
        let item = line.strip_prefix("- ").filter(|_| is_prose);
        if (!is_prose || item.is_some()) && !current.is_empty() {
            all.push(std::mem::take(&mut current));
        }
        if is_prose {
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(item.unwrap_or(line).trim());
        }
        // The first two are the titles and the line below them.
        if rows > 2 {
            all.push(row(line));
        }
    }
    all
}

/// A row of a table in a sentence: the cause, and what to do.
fn row(line: &str) -> String {
    let cells = line.trim().trim_matches('|').split(" | ");
    cells.map(str::trim).collect::<Vec<_>>().join(": ")
}

/// Prose and code of a paragraph. Of a link, its text is left: a person in front of the page may not have the files.
fn pieces(paragraph: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (n, part) in paragraph.split('`').enumerate() {
        match n % 2 {
            _ if part.is_empty() => {}
            0 => pieces.push(Piece::Text(part.replace("**", ""))),
            _ => pieces.push(Piece::Code(part.to_owned())),
        }
    }
    without_links(pieces)
}

/// A link may have code in its text, so its end may be in another piece than its beginning.
fn without_links(mut pieces: Vec<Piece>) -> Vec<Piece> {
    for piece in &mut pieces {
        let Piece::Text(text) = piece else { continue };
        while let Some(at) = text.find("](") {
            let end = text[at..].find(')').map_or(text.len(), |end| at + end + 1);
            let start = text[..at].rfind('[').map_or(0, |start| start + 1);
            let words = match text[start..at].strip_suffix(".md") {
                Some(page) => format!("the page \u{201c}{page}\u{201d} of the documentation"),
                None => text[start..at].to_owned(),
            };
            text.replace_range(start..end, &words);
        }
        *text = text.replace('[', "");
    }
    pieces
}

impl Piece {
    /// The same with the names of a release in place of those of the examples.
    fn naming(&self, release: &ReleaseId) -> Self {
        let Self::Code(code) = self else { return self.clone() };
        let (namespace, name) = EXAMPLE;
        let code = code
            .replace(&format!("-n {namespace}"), &format!("-n {}", release.namespace))
            .replace(&format!(":{namespace}:"), &format!(":{}:", release.namespace))
            .replace(name, &release.name);
        Self::Code(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::{Disposition, Reason};

    fn release() -> ReleaseId {
        ReleaseId { namespace: "team".into(), name: "shop".into() }
    }

    #[test]
    fn every_failure_says_what_it_means_and_what_to_do() {
        let cures = AdviceBook::default();
        for reason in Reason::ALL {
            let cure = cures.of(reason.as_str(), &release()).unwrap_or_default();
            let is_failure = [Disposition::Stalled, Disposition::Retry].contains(&reason.disposition());
            assert!(
                !is_failure || !cure.meaning.is_empty(),
                "{reason} has no first paragraph in docs/troubleshooting.md"
            );
            assert!(
                !is_failure || !cure.steps.is_empty(),
                "{reason} has no second paragraph in docs/troubleshooting.md, which says what to do"
            );
        }
        let unavailable = cures.of("RegistryUnavailable", &release()).unwrap();
        let cause = [
            Piece::Code("certificate signed by unknown authority".to_owned()),
            Piece::Text(": the registry uses a private CA: set ".to_owned()),
        ];
        assert!(unavailable.steps.iter().any(|step| step.starts_with(&cause)), "{unavailable:?}");
    }

    #[test]
    fn no_advice_names_a_file_of_the_documentation() {
        let check = |text: &str, expected: &str| {
            assert_eq!(pieces(text), [Piece::Text(expected.to_owned())], "{text}")
        };
        check(
            "See [health.md](health.md#expressions).",
            "See the page \u{201c}health\u{201d} of the documentation.",
        );
        check(
            "[delivery.md](delivery.md) says ([steps](steps.md))",
            "the page \u{201c}delivery\u{201d} of the documentation says (steps)",
        );
        let cures = AdviceBook::default();
        for reason in Reason::ALL {
            let Some(advice) = cures.of(reason.as_str(), &release()) else { continue };
            let prose = format!("{advice:?}");
            let named = prose.split_whitespace().find(|word| word.contains(".md"));
            assert_eq!(named, None, "{reason}");
        }
    }

    #[test]
    fn commands_name_the_release() {
        let text = "\n### Broken\n\n**retry.** It is [broken](x.md#y) a **bit**.\n\n```text\nFix: no\n```\n\n\
            | a | b |\n| --- | --- |\n| `x` | do y |\n\nCheck: `status demo-app -n apps`,\nthen [`a.b`](c.md). Fix: demo-app.\n\nMore:\n- one\n  thing\n- two\n\n## End\n\nCheck: no.\n";
        let cure = AdviceBook::read(text).of("Broken", &release()).unwrap();
        let prose = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(cure.next, "retry");
        assert_eq!(cure.meaning, [prose("It is broken a bit.")]);
        let code = |text: &str| Piece::Code(text.to_owned());
        let step = vec![
            prose("Check: "),
            code("status shop -n team"),
            prose(", then "),
            code("a.b"),
            prose(". Fix: demo-app."),
        ];
        let row = vec![code("x"), prose(": do y")];
        let [more, one, two] = ["More:", "one thing", "two"].map(|text| vec![prose(text)]);
        assert_eq!(cure.steps, [row, step, more, one, two]);
        assert_eq!(AdviceBook::default().of("Bogus", &release()), None);
    }
}
